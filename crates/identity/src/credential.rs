//! Short-lived registry credentials: what a person types into `podman login` from level 3 on,
//! issued in a two-factor session in place of the password.

use serde::{Deserialize, Serialize};

/// Longest life, milliseconds (12 hours).
pub const MAX_LIFE: i64 = 12 * 3600 * 1000;

/// One credential; the secret itself is handed out once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Credential {
    pub account: String,
    pub created: i64,
    pub expires: i64,
    /// The account's epoch when issued; a later epoch ends it.
    pub epoch: u64,
    /// SHA-256 of the secret.
    pub(crate) secret: String,
}
