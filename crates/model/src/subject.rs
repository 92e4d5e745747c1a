//! Who acts.

use serde::{Deserialize, Serialize};
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SubjectKind {
    /// Nobody proved who they are.
    Anonymous,
    /// A person with an account.
    User,
    /// A robot account: programs, CI.
    Robot,
    /// A user in a container, or of a node: `user@namespace/pod/container`.
    Process,
    /// Jinwu itself (start-up repair, sealing, collection).
    System,
}

/// A subject as records show it. `name` is what was claimed when authentication failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Subject {
    pub kind: SubjectKind,
    pub name: String,
}

impl Subject {
    pub fn anonymous() -> Self {
        Subject { kind: SubjectKind::Anonymous, name: String::new() }
    }

    pub fn user(name: impl Into<String>) -> Self {
        Subject { kind: SubjectKind::User, name: name.into() }
    }

    pub fn robot(name: impl Into<String>) -> Self {
        Subject { kind: SubjectKind::Robot, name: name.into() }
    }

    pub fn system(component: impl Into<String>) -> Self {
        Subject { kind: SubjectKind::System, name: component.into() }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            SubjectKind::Anonymous if self.name.is_empty() => f.write_str("anonymous"),
            SubjectKind::Anonymous => write!(f, "anonymous({})", self.name),
            SubjectKind::User => f.write_str(&self.name),
            SubjectKind::Robot => write!(f, "robot:{}", self.name),
            SubjectKind::Process => f.write_str(&self.name),
            SubjectKind::System => write!(f, "system:{}", self.name),
        }
    }
}
