//! A gate's answer (裁决).

use crate::clause::ClauseId;
use crate::mode::Mode;
use crate::text::Text;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Links the records of one decision. Made by the gate (UUID v7), opaque here.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DecisionId(pub String);

/// A policy's name, kebab-case: `root-user`, `known-vulnerability`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PolicyId(pub String);

/// Where something can be stopped (关口).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Gate {
    Build,
    Push,
    Pull,
    Admission,
    Exec,
    File,
    Network,
    Api,
}

/// A gate's answer with everything needed to explain it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    pub id: DecisionId,
    pub gate: Gate,
    /// False when any violation stands in mode block.
    pub permit: bool,
    /// All violations, whatever their mode; those in mode allow are kept for the preview only.
    pub violations: Vec<Violation>,
}

/// One policy not met by one piece of evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Violation {
    pub policy: PolicyId,
    pub clauses: Vec<ClauseId>,
    pub mode: Mode,
    /// What was found: the CVE, file, variable; never a secret itself.
    pub finding: Text,
    /// What to change so that it passes.
    pub advice: Text,
    /// Set when an exception (例外) covers it; then it does not deny.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception: Option<String>,
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub evidence: serde_json::Value,
}

impl Decision {
    /// Counts more violations in. What denies stands first, then what alarms.
    pub fn add(&mut self, violations: Vec<Violation>) {
        self.violations.extend(violations);
        self.violations.sort_by_key(|v| (v.exception.is_some(), std::cmp::Reverse(v.mode)));
        let refused = self.blocking().next().is_some();
        self.permit = !refused;
    }

    /// Violations that deny: mode block and no exception.
    pub fn blocking(&self) -> impl Iterator<Item = &Violation> {
        self.violations.iter().filter(|v| v.mode == Mode::Block && v.exception.is_none())
    }

    /// Violations that must raise an alarm: alert or block, no exception.
    pub fn alarming(&self) -> impl Iterator<Item = &Violation> {
        self.violations.iter().filter(|v| v.mode != Mode::Allow && v.exception.is_none())
    }
}

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
