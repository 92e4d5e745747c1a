//! Projects: the unit of access control and of policy modes.

use jinwu_model::{ProjectName, ProtectionLevel};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Project {
    pub name: ProjectName,
    /// Decides the default mode of every policy.
    pub level: ProtectionLevel,
    pub created: i64,
    /// Account name → project role name.
    pub members: BTreeMap<String, String>,
}
