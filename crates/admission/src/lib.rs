//! Admission of Kubernetes: reviews in, decisions out. No I/O, no clock.
//!
//! - [`protocol`]: what a gate and the server tell each other;
//! - [`review`]: the API server's AdmissionReview, read strictly, and its answer;
//! - [`rules`]: a bundle made ready: levels, modes, exceptions, grants;
//! - [`check`]: what is looked at in a request, kind by kind; every check has a name that a policy of
//!   kind WorkloadPolicy switches;
//! - [`judge()`]: request, rules and what is known of the images → a [`Judgement`];
//! - [`answer`]: the judgement in words, records and JSON patches;
//! - [`users`]: users' ValidatingAdmissionPolicies: the same decision, warnings and records;
//! - [`images`]: users' policies about images, which also judge pushes;
//! - [`native`]: the controls of pods as a policy of the API server itself, for the time no gate answers.
#![forbid(unsafe_code)]

pub mod answer;
pub mod check;
pub mod images;
pub mod judge;
pub mod native;
pub mod protocol;
pub mod reference;
pub mod review;
pub mod rules;
pub mod users;

pub use judge::{Judgement, Question, judge};
pub use review::{Operation, Request, Review, ReviewError};
pub use rules::{Rules, Scope};
