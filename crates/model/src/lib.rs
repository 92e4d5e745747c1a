//! The words of Jinwu as types. No I/O, no clock, no randomness.
//!
//! Every other crate speaks in these terms: a [`Subject`] performs an action on an object and a
//! [`Record`] remembers it; a gate turns facts (an [`report::ImageReport`]) into a [`Decision`];
//! clauses of T/ISEAA 004-2023 are named by [`ClauseId`] and judged with a [`Verdict`].
#![forbid(unsafe_code)]

pub mod clause;
pub mod decision;
pub mod digest;
pub mod grade;
pub mod level;
pub mod mode;
pub mod name;
pub mod record;
pub mod report;
pub mod secret;
pub mod subject;
pub mod text;
pub mod verdict;

pub use clause::ClauseId;
pub use decision::{Decision, DecisionId, Gate, PolicyId, Violation};
pub use digest::{Algorithm, Digest};
pub use grade::Grade;
pub use level::ProtectionLevel;
pub use mode::Mode;
pub use name::{ProjectName, Reference, RepositoryName, Tag};
pub use record::{Kind, Outcome, Record};
pub use secret::Masked;
pub use subject::{Subject, SubjectKind};
pub use text::Text;
pub use verdict::Verdict;
