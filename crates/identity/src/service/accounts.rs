//! Making and changing accounts.

use super::{Identity, check_name, login};
use crate::account::{Account, AccountView, Failures, NewSecrets, Secrets};
use jinwu_documents::Write;
use crate::{AdminRole, IdentityError, password};
use jinwu_model::Masked;

impl Identity {
    pub fn accounts(&self) -> Vec<AccountView> {
        let now = self.now();
        self.state.lock().accounts.values().map(|a| a.view(now)).collect()
    }

    pub fn account(&self, name: &str) -> Option<Account> {
        self.state.lock().accounts.get(name).cloned()
    }

    /// A new account without any role, with a generated password and second factor. Hashes a
    /// password: call it off the async threads.
    pub fn create_account(&self, name: &str) -> Result<NewSecrets, IdentityError> {
        self.insert_account(name, None)
    }

    pub(crate) fn insert_account(&self, name: &str, role: Option<AdminRole>) -> Result<NewSecrets, IdentityError> {
        check_name(name)?;
        let plain = generated_password();
        let seed = login::new_seed();
        let account = Account {
            name: name.to_owned(),
            role,
            disabled: false,
            created: self.now(),
            epoch: 1,
            initial: true,
            secrets: Secrets { password: password::hash(&plain)?, history: vec![], totp: Some(seed.clone()), last_step: 0 },
            failures: Failures::default(),
        };
        let mut state = self.state.lock();
        if state.accounts.contains_key(name) || state.robots.contains_key(name) {
            return Err(IdentityError::Conflict(format!("名称已被使用:{name} / the name {name} is in use")));
        }
        state.write(&[Write::put("account", name, &account)?])?;
        state.accounts.insert(name.to_owned(), account);
        Ok(NewSecrets { password: Masked::new(plain), totp: Some(Masked::new(seed)) })
    }

    /// A new password and second factor for somebody who lost theirs; ends all their sessions.
    pub fn reset_account(&self, name: &str) -> Result<NewSecrets, IdentityError> {
        let plain = generated_password();
        let seed = login::new_seed();
        let hash = password::hash(&plain)?;
        self.update_account(name, |a| {
            a.secrets.password = hash;
            a.secrets.totp = Some(seed.clone());
            a.initial = true;
            a.epoch += 1;
            a.failures = Failures::default();
            Ok(())
        })?;
        Ok(NewSecrets { password: Masked::new(plain), totp: Some(Masked::new(seed)) })
    }

    /// Disables or enables an account. The last enabled holder of an administrator's role stays.
    pub fn set_disabled(&self, name: &str, disabled: bool) -> Result<(), IdentityError> {
        if disabled && let Some(role) = self.account(name).and_then(|a| a.role) {
            let state = self.state.lock();
            let others = state.accounts.values().filter(|a| a.role == Some(role) && !a.disabled && a.name != name).count();
            if others == 0 {
                return Err(IdentityError::Conflict(format!(
                    "{name} 是最后一名{} / {name} is the last {}",
                    role.zh(),
                    role.as_str()
                )));
            }
        }
        self.update_account(name, |a| {
            a.disabled = disabled;
            a.epoch += 1;
            Ok(())
        })
        .map(drop)
    }

    pub fn unlock(&self, name: &str) -> Result<(), IdentityError> {
        self.update_account(name, |a| {
            a.failures = Failures::default();
            Ok(())
        })
        .map(drop)
    }

    pub(super) fn update_account(
        &self,
        name: &str,
        change: impl FnOnce(&mut Account) -> Result<(), IdentityError>,
    ) -> Result<Account, IdentityError> {
        let mut state = self.state.lock();
        let mut account = state.accounts.get(name).cloned().ok_or_else(|| IdentityError::NotFound(name.to_owned()))?;
        change(&mut account)?;
        state.write(&[Write::put("account", name, &account)?])?;
        state.accounts.insert(name.to_owned(), account.clone());
        Ok(account)
    }
}

/// 24 characters that meet the policy whatever comes out of the generator.
fn generated_password() -> String {
    format!("{}-{}x7", jinwu_trust::random::password(11), jinwu_trust::random::password(10))
}
