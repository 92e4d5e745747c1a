//! What the registry asks: who is this, do they still stand, what may they do here.

use super::{Identity, State, fingerprint};
use crate::IdentityError;
use crate::authz::ProjectAction;
use crate::token::Claims;
use jinwu_model::{ProjectName, Subject, SubjectKind};
use std::collections::BTreeSet;

/// A subject that is who it says, and its epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub subject: Subject,
    pub epoch: u64,
}

impl Identity {
    /// Name and secret as given to the registry (Basic, or the token service). Robots use their
    /// secret, people a short-lived credential; below level 3 a person without a second factor may
    /// use the password. May hash a password: call it off the async threads.
    pub fn registry_login(&self, name: &str, secret: &str) -> Result<Standing, IdentityError> {
        let now = self.now();
        let given = fingerprint(secret);
        {
            let state = self.state.lock();
            if let Some(robot) = state.robots.get(name) {
                return if same(&robot.secret, &given) && robot.usable(now) {
                    Ok(Standing { subject: Subject::robot(name), epoch: robot.epoch })
                } else {
                    Err(IdentityError::BadCredentials)
                };
            }
            if let Some(credential) = state.credentials.get(&given) {
                let account = state.accounts.get(&credential.account);
                return match account {
                    Some(a) if a.name == name && !a.disabled && a.epoch == credential.epoch && now < credential.expires => {
                        Ok(Standing { subject: Subject::user(name), epoch: a.epoch })
                    }
                    _ => Err(IdentityError::BadCredentials),
                };
            }
        }
        if self.settings.two_factor_required() {
            // The password is not even looked at: it would open nothing, and guessing it here must
            // tell nothing.
            return Err(IdentityError::BadCredentials);
        }
        let logged_in = self.login(name, secret, None)?;
        self.logout(logged_in.token.reveal())?;
        Ok(Standing { subject: Subject::user(name), epoch: logged_in.account.epoch })
    }

    /// Whether the subject of a token still stands.
    pub fn standing(&self, claims: &Claims) -> bool {
        self.stands(&Subject { kind: claims.kind, name: claims.sub.clone() }, claims.epoch)
    }

    /// Whether a subject still stands as it did at `epoch`: not disabled, not expired, nothing
    /// changed since.
    pub fn stands(&self, subject: &Subject, epoch: u64) -> bool {
        let state = self.state.lock();
        match subject.kind {
            SubjectKind::Robot => state.robots.get(&subject.name).is_some_and(|r| r.usable(self.now()) && r.epoch == epoch),
            SubjectKind::User => state.accounts.get(&subject.name).is_some_and(|a| !a.disabled && a.epoch == epoch),
            SubjectKind::Anonymous | SubjectKind::Process | SubjectKind::System => false,
        }
    }

    /// What a subject may do in a project; empty where the project does not exist.
    pub fn project_actions(&self, subject: &Subject, project: &ProjectName) -> BTreeSet<ProjectAction> {
        let state = self.state.lock();
        if !state.projects.contains_key(project.as_str()) {
            return BTreeSet::new();
        }
        match subject.kind {
            SubjectKind::Robot => state
                .robots
                .get(&subject.name)
                .filter(|r| r.usable(self.now()))
                .and_then(|r| r.grants.get(project.as_str()))
                .cloned()
                .unwrap_or_default(),
            SubjectKind::User => member_actions(&state, &subject.name, project),
            SubjectKind::Anonymous | SubjectKind::Process | SubjectKind::System => BTreeSet::new(),
        }
    }
}

fn member_actions(state: &State, account: &str, project: &ProjectName) -> BTreeSet<ProjectAction> {
    let Some(role) = state
        .accounts
        .get(account)
        .filter(|a| !a.disabled)
        .and_then(|_| state.projects.get(project.as_str()))
        .and_then(|p| p.members.get(account))
    else {
        return BTreeSet::new();
    };
    state.role(role).map(|r| r.actions.clone()).unwrap_or_default()
}

fn same(a: &str, b: &str) -> bool {
    use subtle::ConstantTimeEq;
    a.as_bytes().ct_eq(b.as_bytes()).into()
}
