//! Who somebody is and what they may do.
//!
//! * [`authz`]: authorisation as closed tables. Three administrators (三权分立) with disjoint
//!   permissions, project roles as data; nobody holds everything.
//! * [`account`]: people with argon2id passwords, TOTP second factors, lockout and sessions.
//! * [`robot`]: accounts for programs, with expiry; [`credential`]: short-lived registry credentials
//!   a person gets in a two-factor session.
//! * [`grant`]: every role anybody receives is proposed by one person and approved by another.
//! * [`token`]: the registry's bearer tokens, revocable at the next request.
//!
//! State is small and read on every request, so it lives in memory, written through to SQLite
//! ([`jinwu_documents`]) before a change is answered.
#![forbid(unsafe_code)]

pub mod account;
pub mod authz;
pub mod credential;
pub mod grant;
pub mod password;
pub mod project;
pub mod robot;
pub mod service;
pub mod setup;
pub mod token;

pub use account::{Account, Session};
pub use authz::{AdminRole, Permission};
pub use project::Project;
pub use robot::Robot;
pub use service::{Identity, Settings};

/// Why identity refuses. `Display` is for the caller; it never tells which part of a login was wrong.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("账号、口令或验证码不正确 / name, password or code is wrong")]
    BadCredentials,
    #[error("该验证码已使用过,请等待下一个 / this code was used already; wait for the next one")]
    CodeUsed,
    #[error("账号已锁定,请在 {seconds} 秒后重试 / the account is locked; try again in {seconds} s")]
    Locked { seconds: i64 },
    #[error("会话无效或已过期,请重新登录 / the session is invalid or has expired; log in again")]
    NoSession,
    #[error("{0}")]
    Forbidden(String),
    #[error("不存在或不可见:{0} / does not exist, or is not yours to see: {0}")]
    NotFound(String),
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    Conflict(String),
    #[error("identity store: {0}")]
    Storage(String),
}

impl From<jinwu_documents::DocumentError> for IdentityError {
    fn from(e: jinwu_documents::DocumentError) -> Self {
        IdentityError::Storage(e.to_string())
    }
}
