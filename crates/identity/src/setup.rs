//! First set-up: three administrators, two projects, one robot, and nobody who can do everything.

use crate::authz::{AdminRole, ProjectAction};
use crate::grant::Change;
use crate::{Identity, IdentityError};
use jinwu_model::ProtectionLevel;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a first set-up made; written once to a file of mode 0600. Holds secrets in the clear.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Initial {
    pub accounts: Vec<InitialAccount>,
    pub robot: InitialRobot,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitialAccount {
    pub role: AdminRole,
    pub name: String,
    pub password: String,
    /// TOTP seed, base32.
    pub totp: String,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitialRobot {
    pub name: String,
    pub secret: String,
}

/// Names of the first three administrators.
pub const ADMINISTRATORS: [(&str, AdminRole); 3] = [
    ("sysadmin", AdminRole::SystemAdministrator),
    ("secadmin", AdminRole::SecurityAdministrator),
    ("auditadmin", AdminRole::AuditAdministrator),
];
/// The first robot: pushes and pulls in both projects, deletes in `open`.
pub const ROBOT: &str = "demo-robot";

impl Identity {
    /// Fills an empty store. Hashes passwords: call it off the async threads.
    pub fn set_up(&self) -> Result<Initial, IdentityError> {
        if !self.is_empty() {
            return Err(IdentityError::Conflict("set up already".into()));
        }
        for (name, level) in [("demo", ProtectionLevel::FOUR), ("open", ProtectionLevel::ONE)] {
            let name = name.parse().map_err(|e: jinwu_model::name::NameError| IdentityError::Invalid(e.to_string()))?;
            self.create_project(name, level)?;
        }
        let secret = self.create_robot(ROBOT, 90 * 24 * 3600 * 1000)?;
        let base = [ProjectAction::Pull, ProjectAction::Push, ProjectAction::List];
        let grants = BTreeMap::from([
            ("demo".to_owned(), base.into_iter().collect()),
            ("open".to_owned(), base.into_iter().chain([ProjectAction::Delete]).collect()),
        ]);
        self.establish(&Change::Robot { robot: ROBOT.to_owned(), grants })?;
        let mut accounts = Vec::new();
        for (name, role) in ADMINISTRATORS {
            let made = self.insert_account(name, Some(role))?;
            accounts.push(InitialAccount {
                role,
                name: name.to_owned(),
                password: made.password.reveal().to_owned(),
                totp: made.totp.map(|t| t.reveal().to_owned()).unwrap_or_default(),
            });
        }
        Ok(Initial { accounts, robot: InitialRobot { name: ROBOT.to_owned(), secret: secret.reveal().to_owned() } })
    }
}

pub use crate::service::code_at;
