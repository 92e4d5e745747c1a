//! The initial credentials: one file of mode 0600, from which an entry goes when it was changed.

use crate::config::Config;
use jinwu_identity::setup::Initial;
use parking_lot::Mutex;

static WRITING: Mutex<()> = Mutex::new(());

/// Keeps what a first set-up made.
pub fn keep(config: &Config, initial: &Initial) -> Result<(), jinwu_trust::TrustError> {
    let _turn = WRITING.lock();
    write(config, initial)
}

/// What of the initial credentials still stands.
pub fn read(config: &Config) -> Option<Initial> {
    serde_json::from_slice(&std::fs::read(config.initial_credentials()).ok()?).ok()
}

/// Takes an account's or robot's entry away; the file goes with the last account.
pub fn forget(config: &Config, name: &str) {
    let _turn = WRITING.lock();
    let Some(mut initial) = read(config) else { return };
    initial.accounts.retain(|a| a.name != name);
    if initial.robot.name == name {
        initial.robot.secret.clear();
    }
    let result = if initial.accounts.is_empty() {
        std::fs::remove_file(config.initial_credentials()).map_err(|e| e.to_string())
    } else {
        write(config, &initial).map_err(|e| e.to_string())
    };
    if let Err(error) = result {
        tracing::error!(path = %config.initial_credentials().display(), error, "the changed credential could not be removed; remove the file by hand");
    }
}

fn write(config: &Config, initial: &Initial) -> Result<(), jinwu_trust::TrustError> {
    let text = serde_json::to_vec_pretty(initial).unwrap_or_default();
    jinwu_trust::files::write(&config.initial_credentials(), &text, 0o600)
}
