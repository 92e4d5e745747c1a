//! Robots and short-lived credentials.

use super::{Identity, check_name, fingerprint};
use crate::IdentityError;
use crate::credential::{self, Credential};
use crate::robot::{self, Robot, RobotView};
use jinwu_documents::Write;
use jinwu_model::Masked;
use std::collections::BTreeMap;

impl Identity {
    pub fn robots(&self) -> Vec<RobotView> {
        self.state.lock().robots.values().map(Robot::view).collect()
    }

    /// A robot without grants, living `life` milliseconds (at most 366 days). What it may do is a
    /// grant to be proposed and approved; until then its secret opens nothing.
    pub fn create_robot(&self, name: &str, life: i64) -> Result<Masked, IdentityError> {
        check_name(name)?;
        if !(60_000..=robot::MAX_LIFE).contains(&life) {
            return Err(IdentityError::Invalid("机器人账号有效期为 1 分钟至 366 天 / a robot lives between 1 minute and 366 days".into()));
        }
        let now = self.now();
        let secret = format!("jwr_{}", jinwu_trust::random::password(40));
        let robot = Robot {
            name: name.to_owned(),
            grants: BTreeMap::new(),
            created: now,
            expires: now + life,
            disabled: false,
            approved: false,
            epoch: 1,
            secret: fingerprint(&secret),
        };
        let mut state = self.state.lock();
        if state.robots.contains_key(name) || state.accounts.contains_key(name) {
            return Err(IdentityError::Conflict(format!("名称已被使用:{name} / the name {name} is in use")));
        }
        state.write(&[Write::put("robot", name, &robot)?])?;
        state.robots.insert(name.to_owned(), robot);
        Ok(Masked::new(secret))
    }

    /// A new secret; the old one and its tokens end at once.
    pub fn rotate_robot(&self, name: &str) -> Result<Masked, IdentityError> {
        let secret = format!("jwr_{}", jinwu_trust::random::password(40));
        self.update_robot(name, |r| {
            r.secret = fingerprint(&secret);
            r.epoch += 1;
        })?;
        Ok(Masked::new(secret))
    }

    pub fn set_robot_disabled(&self, name: &str, disabled: bool) -> Result<(), IdentityError> {
        self.update_robot(name, |r| {
            r.disabled = disabled;
            r.epoch += 1;
        })
    }

    pub fn delete_robot(&self, name: &str) -> Result<(), IdentityError> {
        let mut state = self.state.lock();
        if !state.robots.contains_key(name) {
            return Err(IdentityError::NotFound(name.to_owned()));
        }
        state.write(&[Write::remove("robot", name)])?;
        state.robots.remove(name);
        Ok(())
    }

    pub(super) fn update_robot(&self, name: &str, change: impl FnOnce(&mut Robot)) -> Result<(), IdentityError> {
        let mut state = self.state.lock();
        let mut robot = state.robots.get(name).cloned().ok_or_else(|| IdentityError::NotFound(name.to_owned()))?;
        change(&mut robot);
        state.write(&[Write::put("robot", name, &robot)?])?;
        state.robots.insert(name.to_owned(), robot);
        Ok(())
    }

    /// A registry credential for the person of a session. From level 3 on the session must have two
    /// factors. `life` milliseconds, at most 12 hours.
    pub fn issue_credential(&self, session_token: &str, life: i64) -> Result<(String, Masked, i64), IdentityError> {
        let (session, account) = self.session(session_token)?;
        if self.settings.two_factor_required() && !session.two_factor {
            return Err(IdentityError::Forbidden("需要双因素登录的会话 / a two-factor session is needed".into()));
        }
        let now = self.now();
        let secret = format!("jwc_{}", jinwu_trust::random::password(40));
        let expires = now + life.clamp(60_000, credential::MAX_LIFE);
        let issued =
            Credential { account: account.name.clone(), created: now, expires, epoch: account.epoch, secret: fingerprint(&secret) };
        let mut state = self.state.lock();
        let old: Vec<String> = state.credentials.iter().filter(|(_, c)| c.expires < now).map(|(k, _)| k.clone()).collect();
        let mut writes = vec![Write::put("credential", &issued.secret, &issued)?];
        writes.extend(old.iter().map(|k| Write::remove("credential", k)));
        state.write(&writes)?;
        for key in old {
            state.credentials.remove(&key);
        }
        state.credentials.insert(issued.secret.clone(), issued);
        Ok((account.name, Masked::new(secret), expires))
    }
}
