//! People.

use crate::authz::AdminRole;
use jinwu_model::Masked;
use serde::{Deserialize, Serialize};

/// A person. What is secret is hashed (password) or masked from printing (TOTP seed).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    pub name: String,
    #[serde(default)]
    pub role: Option<AdminRole>,
    pub disabled: bool,
    /// Unix milliseconds.
    pub created: i64,
    /// Rises with every change that ends sessions, credentials and tokens at once.
    pub epoch: u64,
    /// True until the initial password was changed.
    pub initial: bool,
    pub(crate) secrets: Secrets,
    #[serde(default)]
    pub(crate) failures: Failures,
}

/// Stored, never shown.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Secrets {
    pub(crate) password: String,
    #[serde(default)]
    pub(crate) history: Vec<String>,
    /// TOTP seed, base32. Present for administrators always.
    #[serde(default)]
    pub(crate) totp: Option<String>,
    /// Last TOTP step accepted: a code works once.
    #[serde(default)]
    pub(crate) last_step: u64,
}

/// Failed logins since the last success.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Failures {
    pub(crate) count: u32,
    pub(crate) last: i64,
    pub(crate) locked_until: i64,
}

/// A logged-in session. The bearer value itself is not stored, only its SHA-256.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    pub account: String,
    pub created: i64,
    pub used: i64,
    pub two_factor: bool,
    pub epoch: u64,
}

/// Handed out once when an account is made or reset.
#[derive(Clone, Debug)]
pub struct NewSecrets {
    pub password: Masked,
    /// Base32, for an authenticator.
    pub totp: Option<Masked>,
}

/// An account as the API shows it.
#[derive(Clone, Debug, Serialize)]
pub struct AccountView {
    pub name: String,
    pub role: Option<AdminRole>,
    pub disabled: bool,
    pub second_factor: bool,
    pub initial_password: bool,
    pub locked: bool,
    pub created: i64,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl Account {
    pub fn view(&self, now: i64) -> AccountView {
        AccountView {
            name: self.name.clone(),
            role: self.role,
            disabled: self.disabled,
            second_factor: self.secrets.totp.is_some(),
            initial_password: self.initial,
            locked: self.failures.locked_until > now,
            created: self.created,
        }
    }
}
