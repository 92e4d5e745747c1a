//! Logging in, sessions, second factors.

use super::{Identity, fingerprint};
use crate::account::{Account, Failures, Session};
use jinwu_documents::Write;
use crate::{IdentityError, password};
use jinwu_model::Masked;
use totp_rs::{Builder, Secret, Totp};

/// A new session.
#[derive(Clone, Debug)]
pub struct LoggedIn {
    /// The bearer value; shown once.
    pub token: Masked,
    pub session: Session,
    pub account: Account,
}

/// Seconds of a TOTP step (RFC 6238).
const STEP: u64 = 30;

impl Identity {
    /// Password and, where the account has one, TOTP code. Hashes a password: call it off the async
    /// threads (20 ms). Failures count towards the lock whichever part was wrong; an administrator
    /// without a second factor cannot log in at all.
    pub fn login(&self, name: &str, password_given: &str, code: Option<&str>) -> Result<LoggedIn, IdentityError> {
        let now = self.now();
        let account = self.state.lock().accounts.get(name).cloned();
        let phc = account.as_ref().map_or(self.decoy.as_str(), |a| a.secrets.password.as_str());
        let password_right = password::verify(password_given, phc);
        let Some(account) = account else { return Err(IdentityError::BadCredentials) };
        if account.failures.locked_until > now {
            return Err(IdentityError::Locked { seconds: (account.failures.locked_until - now) / 1000 + 1 });
        }
        let step = match &account.secrets.totp {
            None => None,
            Some(seed) => code.and_then(|c| accepted_step(seed, c, now)),
        };
        let second_right = match &account.secrets.totp {
            None => account.role.is_none(),
            Some(_) => step.is_some(),
        };
        if account.disabled || !password_right || !second_right {
            self.count_failure(name, now)?;
            return Err(IdentityError::BadCredentials);
        }
        let mut state = self.state.lock();
        let Some(mut fresh) = state.accounts.get(name).cloned() else { return Err(IdentityError::BadCredentials) };
        if let Some(step) = step {
            if step <= fresh.secrets.last_step {
                return Err(IdentityError::CodeUsed);
            }
            fresh.secrets.last_step = step;
        }
        fresh.failures = Failures::default();
        let token = format!("jws_{}", jinwu_trust::random::password(40));
        let session =
            Session { account: name.to_owned(), created: now, used: now, two_factor: step.is_some(), epoch: fresh.epoch };
        let key = fingerprint(&token);
        state.write(&[Write::put("account", name, &fresh)?, Write::put("session", &key, &session)?])?;
        state.accounts.insert(name.to_owned(), fresh.clone());
        state.sessions.insert(key, session.clone());
        Ok(LoggedIn { token: Masked::new(token), session, account: fresh })
    }

    /// The account behind a session token, if both stand. Use extends the session's idle limit.
    pub fn session(&self, token: &str) -> Result<(Session, Account), IdentityError> {
        let now = self.now();
        let key = fingerprint(token);
        let mut state = self.state.lock();
        let Some(mut session) = state.sessions.get(&key).cloned() else { return Err(IdentityError::NoSession) };
        let account = state.accounts.get(&session.account).cloned();
        let stands = now - session.used < self.settings.session_idle && now - session.created < self.settings.session_life;
        match account {
            Some(account) if stands && !account.disabled && account.epoch == session.epoch => {
                session.used = now;
                state.sessions.insert(key, session.clone());
                Ok((session, account))
            }
            _ => {
                state.write(&[Write::remove("session", &key)])?;
                state.sessions.remove(&key);
                Err(IdentityError::NoSession)
            }
        }
    }

    pub fn logout(&self, token: &str) -> Result<(), IdentityError> {
        let key = fingerprint(token);
        let mut state = self.state.lock();
        state.write(&[Write::remove("session", &key)])?;
        state.sessions.remove(&key);
        Ok(())
    }

    /// Changes one's own password. Ends every other session, credential and token of the account.
    /// Hashes passwords: call it off the async threads.
    pub fn change_password(&self, name: &str, old: &str, new: &str) -> Result<(), IdentityError> {
        let now = self.now();
        let account = self.state.lock().accounts.get(name).cloned().ok_or(IdentityError::BadCredentials)?;
        if account.failures.locked_until > now {
            return Err(IdentityError::Locked { seconds: (account.failures.locked_until - now) / 1000 + 1 });
        }
        if !password::verify(old, &account.secrets.password) {
            self.count_failure(name, now)?;
            return Err(IdentityError::BadCredentials);
        }
        password::check(new, name)?;
        let before = std::iter::once(&account.secrets.password).chain(&account.secrets.history);
        if before.take(password::HISTORY).any(|h| password::verify(new, h)) {
            return Err(IdentityError::Invalid(format!(
                "新口令不得与最近 {0} 个口令相同 / the new password must differ from the last {0}",
                password::HISTORY
            )));
        }
        let hash = password::hash(new)?;
        self.update_account(name, |a| {
            let old = std::mem::replace(&mut a.secrets.password, hash);
            a.secrets.history.insert(0, old);
            a.secrets.history.truncate(password::HISTORY);
            a.initial = false;
            a.epoch += 1;
            Ok(())
        })
        .map(drop)
    }

    pub(super) fn count_failure(&self, name: &str, now: i64) -> Result<(), IdentityError> {
        let (after, for_) = (self.settings.lock_after, self.settings.lock_for);
        self.update_account(name, |a| {
            if now - a.failures.last > for_ {
                a.failures.count = 0;
            }
            a.failures.count += 1;
            a.failures.last = now;
            if a.failures.count >= after {
                a.failures.locked_until = now + for_;
                a.failures.count = 0;
            }
            Ok(())
        })
        .map(drop)
    }
}

/// A new TOTP seed, base32 (160 bits).
pub(crate) fn new_seed() -> String {
    Secret::from(jinwu_trust::random::bytes::<20>().to_vec()).to_base32()
}

/// The code of a seed at a time (Unix milliseconds), for set-up files and tests.
pub fn code_at(seed: &str, now: i64) -> Option<String> {
    Some(generator(seed)?.generate((now / 1000).unsigned_abs()).to_string())
}

/// The step a code belongs to, one step of clock difference either way allowed.
fn accepted_step(seed: &str, code: &str, now: i64) -> Option<u64> {
    use subtle::ConstantTimeEq;
    let totp = generator(seed)?;
    let step = (now / 1000).unsigned_abs() / STEP;
    (step.saturating_sub(1)..=step + 1)
        .find(|s| bool::from(totp.generate(s * STEP).to_string().as_bytes().ct_eq(code.trim().as_bytes())))
}

fn generator(seed: &str) -> Option<Totp> {
    let secret = Secret::try_from_base32(seed).ok()?;
    Builder::new().with_secret(secret).with_digits(6).with_step_duration(STEP).build().ok()
}
