//! Policies: facts in, decisions out.
//!
//! A policy is a YAML document in the shape of Kubernetes' ValidatingAdmissionPolicy
//! ([`document`]); its expressions are CEL over the facts of an image ([`Facts`]). Built-in and
//! custom policies are the same thing. What a violation does (放行/告警/拦截) is not the policy's to
//! say but its [`Mode`](jinwu_model::Mode), by protection level and project, and [`Exception`]s
//! lift it for a named thing and time. [`judge`] is a pure function: same facts, same decision.
#![forbid(unsafe_code)]

pub mod admission_policy;
pub mod compile;
pub mod document;
pub mod exception;
pub mod facts;
pub mod judge;
pub mod message;
pub mod set;
mod variables;

pub use document::Document;
pub use exception::Exception;
pub use facts::{Facts, ImageFacts};
pub use judge::{Scope, judge};
pub use set::PolicySet;

/// Why a policy document is refused. Names the policy, the place and what to change.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    #[error("policy document cannot be read: {0}")]
    Yaml(String),
    #[error("policy {policy}: {place}: {detail}")]
    Expression { policy: String, place: String, detail: String },
    #[error("policy {policy}: {detail}")]
    Invalid { policy: String, detail: String },
}
