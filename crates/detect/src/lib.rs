//! Falco's rule language, compiled, over events of any source: Kubernetes audit events and node events.
//!
//! Rule files ([`RuleFile`]) become a [`RuleSet`]; [`RuleSet::evaluate`] says which rules hold for an
//! [`Event`]. Names of fields are resolved and values prepared when rules are loaded; equal
//! comparisons of different rules exist once and are evaluated at most once per event. [`Sequences`]
//! adds what Falco lacks: conditions that repeat or follow one another for the same subject.
//!
//! [`audit`] reads audit events of an API server and is the source `k8s_audit`; node events, the source
//! `syscall`, are those of `jinwu-event`; [`content`] holds
//! the rules the product ships, and [`reference`](mod@reference) describes them.
#![forbid(unsafe_code)]

pub mod audit;
pub mod compile;
pub mod condition;
pub mod content;
pub mod event;
pub mod evaluate;
pub mod field;
mod glob;
pub mod guidance;
pub mod loader;
mod operand;
pub mod output;
pub mod problem;
mod program;
pub mod reference;
pub mod ruleset;
pub mod sequence;
mod test;
pub mod yaml;

pub use audit::AuditEvent;
pub use evaluate::Scratch;
pub use glob::matches as glob_matches;
pub use event::{Event, FieldValue};
pub use guidance::Guidance;
pub use loader::RuleFile;
pub use problem::{Problem, Problems, Severity};
pub use ruleset::{Match, Priority, Rule, RuleSet};
pub use sequence::{Sequence, SequenceMatch, Sequences};
