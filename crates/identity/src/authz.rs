//! Authorisation tables.
//!
//! The three administrators of 三权分立 have disjoint permissions: [`TABLE`] gives every permission
//! to exactly one of them, and a test holds it to that. Ordinary people have none of these; what
//! they may do in a project comes from their project role.

use crate::IdentityError;
use jinwu_model::Text;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

/// The three administrators. An account has at most one of these, for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdminRole {
    /// 系统管理员: accounts, projects, robots, storage; proposes grants.
    SystemAdministrator,
    /// 安全管理员: policies, exceptions, reports; approves grants.
    SecurityAdministrator,
    /// 审计管理员: the ledger.
    AuditAdministrator,
}

/// Everything the management API protects outside of projects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Permission {
    AccountRead,
    AccountWrite,
    ProjectRead,
    ProjectWrite,
    RobotRead,
    RobotWrite,
    GrantPropose,
    SystemOperate,
    ClusterRead,
    ClusterWrite,
    GrantApprove,
    EntryApprove,
    PolicyRead,
    PolicyWrite,
    NodeWrite,
    ExceptionRead,
    ExceptionWrite,
    ReportRead,
    LedgerRead,
    LedgerOperate,
}

/// Which administrator holds which permission: one row each, one holder each.
pub const TABLE: [(Permission, AdminRole); 20] = {
    use AdminRole::{AuditAdministrator as Audit, SecurityAdministrator as Security, SystemAdministrator as System};
    use Permission::*;
    [
        (AccountRead, System),
        (AccountWrite, System),
        (ProjectRead, System),
        (ProjectWrite, System),
        (RobotRead, System),
        (RobotWrite, System),
        (GrantPropose, System),
        (SystemOperate, System),
        (ClusterRead, System),
        (ClusterWrite, System),
        (GrantApprove, Security),
        (EntryApprove, Security),
        (PolicyRead, Security),
        (PolicyWrite, Security),
        (NodeWrite, Security),
        (ExceptionRead, Security),
        (ExceptionWrite, Security),
        (ReportRead, Security),
        (LedgerRead, Audit),
        (LedgerOperate, Audit),
    ]
};

/// What can be done inside a project, `resource:action`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ProjectAction {
    #[serde(rename = "repository:pull")]
    Pull,
    #[serde(rename = "repository:push")]
    Push,
    #[serde(rename = "repository:delete")]
    Delete,
    #[serde(rename = "repository:list")]
    List,
    #[serde(rename = "member:list")]
    MemberList,
    #[serde(rename = "member:propose")]
    MemberPropose,
    #[serde(rename = "robot:list")]
    RobotList,
    #[serde(rename = "robot:propose")]
    RobotPropose,
    #[serde(rename = "report:read")]
    ReportRead,
    #[serde(rename = "policy:read")]
    PolicyRead,
}

/// A project role: built in or custom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectRole {
    pub title: Text,
    pub actions: BTreeSet<ProjectAction>,
}

// === impl AdminRole ===

impl AdminRole {
    pub const ALL: [AdminRole; 3] =
        [AdminRole::SystemAdministrator, AdminRole::SecurityAdministrator, AdminRole::AuditAdministrator];

    pub fn as_str(self) -> &'static str {
        match self {
            AdminRole::SystemAdministrator => "system-administrator",
            AdminRole::SecurityAdministrator => "security-administrator",
            AdminRole::AuditAdministrator => "audit-administrator",
        }
    }

    pub fn zh(self) -> &'static str {
        match self {
            AdminRole::SystemAdministrator => "系统管理员",
            AdminRole::SecurityAdministrator => "安全管理员",
            AdminRole::AuditAdministrator => "审计管理员",
        }
    }

    pub fn holds(self, permission: Permission) -> bool {
        TABLE.iter().any(|(p, role)| *p == permission && *role == self)
    }
}

impl FromStr for AdminRole {
    type Err = IdentityError;
    fn from_str(s: &str) -> Result<Self, IdentityError> {
        AdminRole::ALL
            .into_iter()
            .find(|r| r.as_str() == s || r.zh() == s)
            .ok_or_else(|| IdentityError::Invalid(format!("{s:?} is not an administrator's role")))
    }
}

// === impl ProjectAction ===

impl ProjectAction {
    pub const ALL: [ProjectAction; 10] = [
        ProjectAction::Pull,
        ProjectAction::Push,
        ProjectAction::Delete,
        ProjectAction::List,
        ProjectAction::MemberList,
        ProjectAction::MemberPropose,
        ProjectAction::RobotList,
        ProjectAction::RobotPropose,
        ProjectAction::ReportRead,
        ProjectAction::PolicyRead,
    ];
}

/// The built-in project roles by name (`content/roles/project-roles.toml`).
pub fn builtin_project_roles() -> Result<BTreeMap<String, ProjectRole>, IdentityError> {
    toml::from_str(include_str!("../../../content/roles/project-roles.toml"))
        .map_err(|e| IdentityError::Invalid(format!("content/roles/project-roles.toml: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn administrators_are_disjoint_and_every_permission_has_one_holder() {
        for (i, (permission, _)) in TABLE.iter().enumerate() {
            let holders = AdminRole::ALL.iter().filter(|r| r.holds(*permission)).count();
            assert_eq!(holders, 1, "{permission:?}");
            assert!(TABLE.iter().skip(i + 1).all(|(p, _)| p != permission), "{permission:?} stands twice");
        }
        for role in AdminRole::ALL {
            assert!(TABLE.iter().any(|(_, r)| *r == role), "{role:?} holds nothing");
        }
        assert!(!AdminRole::SystemAdministrator.holds(Permission::GrantApprove), "proposer and approver differ");
    }

    #[test]
    fn built_in_project_roles_are_the_five() {
        let roles = builtin_project_roles().unwrap();
        assert_eq!(roles.keys().map(String::as_str).collect::<Vec<_>>(), ["developer", "guest", "limited-guest", "maintainer", "project-admin"]);
        let may = |role: &str, action| roles[role].actions.contains(&action);
        assert!(may("developer", ProjectAction::Push) && !may("developer", ProjectAction::Delete));
        assert!(may("guest", ProjectAction::Pull) && !may("guest", ProjectAction::Push));
        assert!(may("maintainer", ProjectAction::Delete) && !may("maintainer", ProjectAction::MemberPropose));
    }
}
