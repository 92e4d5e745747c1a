//! What an evaluation costs, and where it ends.
//!
//! The units and rules are Kubernetes' (cel-go's runtime cost tracker and the API server's
//! `CostEstimator`, 1.34), so that an expression the API server cuts off is cut off here.

mod rule;

pub(crate) use rule::{LIST, MAP, Rule, equality};

use crate::error::{EvaluationError, Outcome};
use crate::limits::{EXPRESSION_COST, EXPRESSION_MEMORY, EXPRESSION_WORK, POLICY_COST};

/// What the expressions of one policy may cost together. Each evaluation takes from it.
#[derive(Clone, Debug)]
pub struct Budget {
    remaining: u64,
    expression: u64,
    last: u64,
}

/// What one evaluation has used.
#[derive(Debug)]
pub(crate) struct Meter {
    cost: u64,
    limit: u64,
    work: u64,
    memory: u64,
}

// === impl Budget ===

impl Budget {
    /// Kubernetes' limits: 10,000,000 for a policy and binding, 1,000,000 for one expression.
    pub fn policy() -> Budget {
        Budget { remaining: POLICY_COST, expression: EXPRESSION_COST, last: 0 }
    }

    /// Other limits, in the same units.
    pub fn new(total: u64, expression: u64) -> Budget {
        Budget { remaining: total, expression, last: 0 }
    }

    /// What is left.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    /// What the last evaluation cost.
    pub fn last_cost(&self) -> u64 {
        self.last
    }

    pub(crate) fn meter(&self) -> Meter {
        Meter { cost: 0, limit: self.expression.min(self.remaining), work: EXPRESSION_WORK, memory: EXPRESSION_MEMORY }
    }

    /// Takes what an evaluation used; an error when other expressions used it up meanwhile.
    pub(crate) fn take(&mut self, meter: &Meter) -> Outcome<()> {
        self.last = meter.cost;
        let enough = meter.cost <= self.remaining;
        self.remaining = self.remaining.saturating_sub(meter.cost);
        if enough { Ok(()) } else { Err(EvaluationError::CostExceeded { limit: meter.limit }) }
    }
}

// === impl Meter ===

impl Meter {
    /// A meter for what happens when an expression is compiled: constants are made then.
    pub(crate) fn of_compilation() -> Meter {
        Meter { cost: 0, limit: EXPRESSION_COST, work: EXPRESSION_WORK, memory: EXPRESSION_MEMORY }
    }

    pub(crate) fn cost(&self) -> u64 {
        self.cost
    }

    /// Adds cost; an error when that is more than the expression may cost.
    pub(crate) fn charge(&mut self, cost: u64) -> Outcome<()> {
        self.cost = self.cost.saturating_add(cost);
        if self.cost > self.limit { Err(EvaluationError::CostExceeded { limit: self.limit }) } else { Ok(()) }
    }

    /// Adds elementary steps that have no cost in Kubernetes' model.
    pub(crate) fn work(&mut self, steps: u64) -> Outcome<()> {
        match self.work.checked_sub(steps) {
            Some(left) => {
                self.work = left;
                Ok(())
            }
            None => Err(EvaluationError::LimitExceeded("the expression takes too many steps")),
        }
    }

    /// Adds bytes about to be made.
    pub(crate) fn memory(&mut self, bytes: u64) -> Outcome<()> {
        match self.memory.checked_sub(bytes) {
            Some(left) => {
                self.memory = left;
                Ok(())
            }
            None => Err(EvaluationError::LimitExceeded("the expression makes too much text or too long lists")),
        }
    }

    /// Adds list elements about to be made.
    pub(crate) fn elements(&mut self, count: u64) -> Outcome<()> {
        self.memory(count.saturating_mul(std::mem::size_of::<crate::Value<'_>>() as u64))
    }
}
