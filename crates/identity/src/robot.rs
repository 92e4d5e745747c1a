//! Robot accounts: for programs, limited in time and scope, revocable at the next request.

use crate::authz::ProjectAction;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Longest life a robot may be given, milliseconds (366 days).
pub const MAX_LIFE: i64 = 366 * 24 * 3600 * 1000;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Robot {
    pub name: String,
    /// Project → actions. Only `repository:*` actions are allowed here.
    pub grants: BTreeMap<String, BTreeSet<ProjectAction>>,
    pub created: i64,
    pub expires: i64,
    pub disabled: bool,
    /// False until the grant was approved: a robot nobody approved may do nothing.
    pub approved: bool,
    pub epoch: u64,
    /// SHA-256 of the secret, hexadecimal. 40 random characters need no slow hash.
    #[serde(default)]
    pub(crate) secret: String,
}

/// A robot as the API shows it.
#[derive(Clone, Debug, Serialize)]
pub struct RobotView {
    pub name: String,
    pub grants: BTreeMap<String, BTreeSet<ProjectAction>>,
    pub created: i64,
    pub expires: i64,
    pub disabled: bool,
    pub approved: bool,
}

impl Robot {
    pub fn usable(&self, now: i64) -> bool {
        self.approved && !self.disabled && now < self.expires
    }

    pub fn view(&self) -> RobotView {
        RobotView {
            name: self.name.clone(),
            grants: self.grants.clone(),
            created: self.created,
            expires: self.expires,
            disabled: self.disabled,
            approved: self.approved,
        }
    }
}
