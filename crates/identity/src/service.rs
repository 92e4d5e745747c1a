//! The identity service: everything that reads or changes who may do what.

mod access;
mod accounts;
mod grants;
mod login;
mod robots;

pub use access::Standing;
pub use login::{LoggedIn, code_at};

use crate::IdentityError;
use crate::account::{Account, Session};
use crate::authz::{ProjectRole, builtin_project_roles};
use crate::credential::Credential;
use crate::grant::Grant;
use crate::project::Project;
use crate::robot::Robot;
use jinwu_documents::{Store, Write};
use jinwu_model::{ProjectName, ProtectionLevel};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Unix milliseconds; injected so that expiry can be tested.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// How strict identity is; level 3 and 4 bind what 等级保护 asks from level 3 on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Protection level of the installation.
    pub level: ProtectionLevel,
    /// Failed logins before the account is locked.
    pub lock_after: u32,
    /// Milliseconds of a lock; failures older than this are forgotten.
    pub lock_for: i64,
    /// Milliseconds a session lives without use, and at most.
    pub session_idle: i64,
    pub session_life: i64,
}

/// See the module's comment. All methods are short and may be called from async code, except
/// those that hash a password (they say so).
pub struct Identity {
    state: Mutex<State>,
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    /// Compared with when an account does not exist, so that both answers take as long.
    decoy: String,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) accounts: BTreeMap<String, Account>,
    pub(crate) sessions: BTreeMap<String, Session>,
    pub(crate) projects: BTreeMap<String, Project>,
    pub(crate) robots: BTreeMap<String, Robot>,
    pub(crate) credentials: BTreeMap<String, Credential>,
    pub(crate) grants: BTreeMap<String, Grant>,
    pub(crate) roles: BTreeMap<String, ProjectRole>,
    pub(crate) custom_roles: BTreeMap<String, ProjectRole>,
    pub(crate) store: Option<Store>,
}

// === impl Settings ===

impl Settings {
    pub fn for_level(level: ProtectionLevel) -> Self {
        Settings {
            level,
            lock_after: 5,
            lock_for: 15 * 60 * 1000,
            session_idle: 30 * 60 * 1000,
            session_life: 8 * 3600 * 1000,
        }
    }

    /// From level 3 on a person's password alone opens nothing.
    pub fn two_factor_required(&self) -> bool {
        self.level >= ProtectionLevel::THREE
    }
}

// === impl Identity ===

impl Identity {
    pub fn open(path: &Path, settings: Settings, clock: Clock) -> Result<Self, IdentityError> {
        let store = Store::open(path)?;
        let state = State {
            accounts: store.load("account")?,
            sessions: store.load("session")?,
            projects: store.load("project")?,
            robots: store.load("robot")?,
            credentials: store.load("credential")?,
            grants: store.load("grant")?,
            custom_roles: store.load("role")?,
            roles: builtin_project_roles()?,
            store: Some(store),
        };
        let decoy = crate::password::hash(&jinwu_trust::random::password(24))?;
        Ok(Identity { state: Mutex::new(state), settings, clock, decoy })
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn now(&self) -> i64 {
        (self.clock)()
    }

    /// True before the first set-up.
    pub fn is_empty(&self) -> bool {
        self.state.lock().accounts.is_empty()
    }

    pub fn projects(&self) -> Vec<Project> {
        self.state.lock().projects.values().cloned().collect()
    }

    pub fn project(&self, name: &ProjectName) -> Option<Project> {
        self.state.lock().projects.get(name.as_str()).cloned()
    }

    pub fn create_project(&self, name: ProjectName, level: ProtectionLevel) -> Result<Project, IdentityError> {
        let mut state = self.state.lock();
        if state.projects.contains_key(name.as_str()) {
            return Err(IdentityError::Conflict(format!("项目已存在:{name} / project {name} exists already")));
        }
        let project = Project { name: name.clone(), level, created: self.now(), members: BTreeMap::new() };
        state.write(&[Write::put("project", name.as_str(), &project)?])?;
        state.projects.insert(name.as_str().to_owned(), project.clone());
        Ok(project)
    }

    /// Forgets a project and who was in it. Whether it still holds images is the caller's to ask.
    pub fn delete_project(&self, name: &ProjectName) -> Result<(), IdentityError> {
        let mut state = self.state.lock();
        if !state.projects.contains_key(name.as_str()) {
            return Err(IdentityError::NotFound(name.to_string()));
        }
        state.write(&[Write::remove("project", name.as_str())])?;
        state.projects.remove(name.as_str());
        Ok(())
    }

    pub fn set_project_level(&self, name: &ProjectName, level: ProtectionLevel) -> Result<(), IdentityError> {
        let mut state = self.state.lock();
        let mut project = state.projects.get(name.as_str()).cloned().ok_or_else(|| IdentityError::NotFound(name.to_string()))?;
        project.level = level;
        state.write(&[Write::put("project", name.as_str(), &project)?])?;
        state.projects.insert(name.as_str().to_owned(), project);
        Ok(())
    }

    /// All project roles, built in and custom.
    pub fn project_roles(&self) -> BTreeMap<String, ProjectRole> {
        let state = self.state.lock();
        state.roles.iter().chain(&state.custom_roles).map(|(n, r)| (n.clone(), r.clone())).collect()
    }
}

// === impl State ===

impl State {
    pub(crate) fn write(&mut self, writes: &[Write]) -> Result<(), IdentityError> {
        match &mut self.store {
            Some(store) => Ok(store.apply(writes)?),
            None => Err(IdentityError::Storage("closed".into())),
        }
    }

    pub(crate) fn role(&self, name: &str) -> Option<&ProjectRole> {
        self.roles.get(name).or_else(|| self.custom_roles.get(name))
    }
}

/// SHA-256 of a high-entropy secret, hexadecimal: what is stored in its place.
pub(crate) fn fingerprint(secret: &str) -> String {
    hex::encode(jinwu_trust::sha256(secret.as_bytes()))
}

/// Names of accounts and robots: lower case, digits, `.`, `_`, `-`; 2 to 64.
pub(crate) fn check_name(name: &str) -> Result<(), IdentityError> {
    let good = (2..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
        && name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
    if good {
        Ok(())
    } else {
        Err(IdentityError::Invalid(format!(
            "名称 {name:?} 须为 2–64 个小写字母、数字、'.'、'_'、'-' / name {name:?} must be 2 to 64 lower-case letters, digits, '.', '_' or '-'"
        )))
    }
}
