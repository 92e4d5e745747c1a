//! Dual approval: proposing, approving, rejecting, withdrawing.

use super::{Identity, State, check_name};
use crate::IdentityError;
use crate::authz::{ProjectAction, ProjectRole};
use crate::grant::{Change, Grant, State as GrantState};
use jinwu_documents::Write;
use jinwu_model::Text;
use std::collections::{BTreeMap, BTreeSet};

impl Identity {
    pub fn grants(&self) -> Vec<Grant> {
        self.state.lock().grants.values().cloned().collect()
    }

    pub fn grant(&self, id: &str) -> Option<Grant> {
        self.state.lock().grants.get(id).cloned()
    }

    /// Proposes a change; refused at once when it could never be carried out.
    pub fn propose(&self, proposer: &str, change: Change, reason: &str) -> Result<Grant, IdentityError> {
        if reason.trim().is_empty() || reason.len() > 2000 {
            return Err(IdentityError::Invalid("须说明理由(2000 字节以内) / a reason is needed (at most 2000 bytes)".into()));
        }
        let mut state = self.state.lock();
        check(&state, &change)?;
        let grant = Grant {
            id: format!("g-{}", hex::encode(jinwu_trust::random::bytes::<6>())),
            change,
            reason: reason.trim().to_owned(),
            proposer: proposer.to_owned(),
            proposed: self.now(),
            state: GrantState::Proposed,
            decided_by: None,
            decided: None,
        };
        state.write(&[Write::put("grant", &grant.id, &grant)?])?;
        state.grants.insert(grant.id.clone(), grant.clone());
        Ok(grant)
    }

    /// Approves and carries out. The approver is never the proposer, nor the one who receives.
    pub fn approve(&self, approver: &str, id: &str) -> Result<Grant, IdentityError> {
        let mut state = self.state.lock();
        let mut grant = open_grant(&state, id)?;
        if grant.proposer == approver {
            return Err(IdentityError::Forbidden("申请人不得审批自己的申请 / who proposed cannot approve".into()));
        }
        if matches!(&grant.change, Change::AdminRole { account, .. } | Change::Member { account, .. } if account == approver) {
            return Err(IdentityError::Forbidden("不得审批授予自己的权限 / nobody approves a grant to themselves".into()));
        }
        check(&state, &grant.change)?;
        decide(&mut grant, GrantState::Approved, approver, self.now());
        let mut writes = vec![Write::put("grant", id, &grant)?];
        match &grant.change {
            Change::AdminRole { account, role } => {
                let mut a = state.accounts.get(account).cloned().ok_or_else(|| IdentityError::NotFound(account.clone()))?;
                a.role = Some(*role);
                a.epoch += 1;
                writes.push(Write::put("account", account, &a)?);
                state.write(&writes)?;
                state.accounts.insert(account.clone(), a);
            }
            Change::Member { project, account, role } => {
                let mut p = state.projects.get(project).cloned().ok_or_else(|| IdentityError::NotFound(project.clone()))?;
                p.members.insert(account.clone(), role.clone());
                writes.push(Write::put("project", project, &p)?);
                state.write(&writes)?;
                state.projects.insert(project.clone(), p);
            }
            Change::Robot { robot, grants } => {
                let mut r = state.robots.get(robot).cloned().ok_or_else(|| IdentityError::NotFound(robot.clone()))?;
                r.grants.clone_from(grants);
                r.approved = true;
                r.epoch += 1;
                writes.push(Write::put("robot", robot, &r)?);
                state.write(&writes)?;
                state.robots.insert(robot.clone(), r);
            }
            Change::Role { name, actions } => {
                let role = ProjectRole { title: Text::new(name.clone(), name.clone()), actions: actions.clone() };
                writes.push(Write::put("role", name, &role)?);
                state.write(&writes)?;
                state.custom_roles.insert(name.clone(), role);
            }
        }
        state.grants.insert(id.to_owned(), grant.clone());
        Ok(grant)
    }

    pub fn reject(&self, approver: &str, id: &str) -> Result<Grant, IdentityError> {
        let mut state = self.state.lock();
        let mut grant = open_grant(&state, id)?;
        decide(&mut grant, GrantState::Rejected, approver, self.now());
        state.write(&[Write::put("grant", id, &grant)?])?;
        state.grants.insert(id.to_owned(), grant.clone());
        Ok(grant)
    }

    /// Takes a member out of a project. Taking away needs one person only: it can wait for nobody.
    pub fn remove_member(&self, project: &str, account: &str) -> Result<(), IdentityError> {
        let mut state = self.state.lock();
        let mut p = state.projects.get(project).cloned().ok_or_else(|| IdentityError::NotFound(project.to_owned()))?;
        if p.members.remove(account).is_none() {
            return Err(IdentityError::NotFound(account.to_owned()));
        }
        state.write(&[Write::put("project", project, &p)?])?;
        state.projects.insert(project.to_owned(), p);
        Ok(())
    }

    /// First set-up only: carries a change out without a proposal.
    pub(crate) fn establish(&self, change: &Change) -> Result<(), IdentityError> {
        let grant = self.propose("setup", change.clone(), "initial set-up")?;
        self.approve("setup-approval", &grant.id).map(drop)
    }
}

fn open_grant(state: &State, id: &str) -> Result<Grant, IdentityError> {
    let grant = state.grants.get(id).cloned().ok_or_else(|| IdentityError::NotFound(id.to_owned()))?;
    if grant.state == GrantState::Proposed {
        Ok(grant)
    } else {
        Err(IdentityError::Conflict(format!("申请 {id} 已有结论 / proposal {id} is decided already")))
    }
}

fn decide(grant: &mut Grant, state: GrantState, by: &str, now: i64) {
    grant.state = state;
    grant.decided_by = Some(by.to_owned());
    grant.decided = Some(now);
}

fn check(state: &State, change: &Change) -> Result<(), IdentityError> {
    let account_exists = |name: &String| {
        state.accounts.get(name).ok_or_else(|| IdentityError::NotFound(name.clone()))
    };
    match change {
        Change::AdminRole { account, role } => {
            let account = account_exists(account)?;
            if let Some(has) = account.role {
                return Err(IdentityError::Conflict(format!(
                    "{} 已是{},三权不得兼任 / {} is {} already; the three roles exclude each other",
                    account.name,
                    has.zh(),
                    account.name,
                    has.as_str()
                )));
            }
            if state.projects.values().any(|p| p.members.contains_key(&account.name)) {
                return Err(IdentityError::Conflict(format!(
                    "{0} 是项目成员,不能兼任{1} / {0} is a project member and cannot be {2} too",
                    account.name,
                    role.zh(),
                    role.as_str()
                )));
            }
            Ok(())
        }
        Change::Member { project, account, role } => {
            if !state.projects.contains_key(project) {
                return Err(IdentityError::NotFound(project.clone()));
            }
            if account_exists(account)?.role.is_some() {
                return Err(IdentityError::Conflict(format!(
                    "{account} 是管理员,不能成为项目成员 / {account} is an administrator and cannot be a project member"
                )));
            }
            state.role(role).map(drop).ok_or_else(|| IdentityError::NotFound(format!("project role {role}")))
        }
        Change::Robot { robot, grants } => {
            if !state.robots.contains_key(robot) {
                return Err(IdentityError::NotFound(robot.clone()));
            }
            check_robot_grants(state, grants)
        }
        Change::Role { name, actions } => {
            check_name(name)?;
            if state.roles.contains_key(name) {
                return Err(IdentityError::Conflict(format!("{name} 是内置角色 / {name} is a built-in role")));
            }
            if actions.is_empty() {
                return Err(IdentityError::Invalid("角色至少包含一项权限 / a role has at least one action".into()));
            }
            Ok(())
        }
    }
}

fn check_robot_grants(state: &State, grants: &BTreeMap<String, BTreeSet<ProjectAction>>) -> Result<(), IdentityError> {
    let allowed = [ProjectAction::Pull, ProjectAction::Push, ProjectAction::Delete, ProjectAction::List];
    for (project, actions) in grants {
        if !state.projects.contains_key(project) {
            return Err(IdentityError::NotFound(project.clone()));
        }
        if actions.iter().any(|a| !allowed.contains(a)) {
            return Err(IdentityError::Invalid("机器人账号只能获得仓库权限 / robots receive repository actions only".into()));
        }
    }
    Ok(())
}
