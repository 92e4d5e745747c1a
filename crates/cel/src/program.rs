//! A compiled expression.

use crate::cost::Budget;
use crate::error::EvaluationError;
use crate::evaluate::Evaluator;
use crate::plan::Node;
use crate::types::Type;
use crate::value::Value;

/// An expression ready to be evaluated any number of times.
#[derive(Debug)]
pub struct Program {
    node: Node,
    kind: Type,
    variables: Vec<String>,
    depth: usize,
}

/// Gives the variables of an evaluation their values. Each is asked for at most once per
/// evaluation, and only when it is needed.
pub trait Bindings<'a> {
    /// The value of a variable; `None` when it has none. What it costs to make it is taken from the
    /// budget, as the API server does for `variables`.
    fn get(&self, name: &str, budget: &mut Budget) -> Option<Result<Value<'a>, EvaluationError>>;
}

// === impl Program ===

impl Program {
    pub(crate) fn new(node: Node, kind: Type, variables: Vec<String>, depth: usize) -> Program {
        Program { node, kind, variables, depth }
    }

    /// The type of the result as far as it is known; parts that are not are `dyn`.
    pub fn result_type(&self) -> &Type {
        &self.kind
    }

    /// How deep the expression is nested. Whoever lets expressions read one another's values bounds
    /// the sum: evaluation and values go that deep.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Variables the expression reads.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().map(String::as_str)
    }

    /// The value of the expression. What it costs is taken from the budget, whether it succeeds or not.
    pub fn evaluate<'a>(&self, bindings: &dyn Bindings<'a>, budget: &mut Budget) -> Result<Value<'a>, EvaluationError> {
        let mut evaluator = Evaluator::new(&self.variables, bindings, budget);
        let result = evaluator.evaluate(&self.node);
        let meter = evaluator.finish();
        budget.take(&meter)?;
        result
    }
}

impl<'a> Bindings<'a> for [(&str, Value<'a>)] {
    fn get(&self, name: &str, _: &mut Budget) -> Option<Result<Value<'a>, EvaluationError>> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| Ok(value.clone()))
    }
}

impl<'a, const N: usize> Bindings<'a> for [(&str, Value<'a>); N] {
    fn get(&self, name: &str, budget: &mut Budget) -> Option<Result<Value<'a>, EvaluationError>> {
        Bindings::get(self.as_slice(), name, budget)
    }
}

impl<'a> Bindings<'a> for Vec<(String, Value<'a>)> {
    fn get(&self, name: &str, _: &mut Budget) -> Option<Result<Value<'a>, EvaluationError>> {
        self.iter().find(|(known, _)| known == name).map(|(_, value)| Ok(value.clone()))
    }
}
