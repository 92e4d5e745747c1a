//! Grants: no role without two people.

use crate::authz::{AdminRole, ProjectAction};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What would change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "change", deny_unknown_fields)]
pub enum Change {
    /// Make an account one of the three administrators.
    AdminRole { account: String, role: AdminRole },
    /// Give an account a role in a project.
    Member { project: String, account: String, role: String },
    /// Give a robot actions in projects.
    Robot { robot: String, grants: BTreeMap<String, BTreeSet<ProjectAction>> },
    /// Define or change a custom project role.
    Role { name: String, actions: BTreeSet<ProjectAction> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Proposed,
    Approved,
    Rejected,
}

/// A proposal and what became of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Grant {
    pub id: String,
    #[serde(flatten)]
    pub change: Change,
    pub reason: String,
    pub proposer: String,
    pub proposed: i64,
    pub state: State,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<i64>,
}
