//! The proof: inspections (检查) and drills (模拟) of T/ISEAA 004-2023 against a live installation.
//!
//! ```text
//! Connection ── Target ──▶ steps (one per catalogue entry) ──▶ Evidence ──▶ verdicts ──▶ Assessment
//!                             │                                                          │
//!                             └─▶ Ground: temporary projects, robots, accounts           └─▶ wall, 测评记录, files
//! ```
//!
//! * [`sample`]: planted images, one good and at least one bad per built-in policy.
//! * [`target`]: the installation as clients see it; every exchange is captured.
//! * [`ground`]: where drills are done; labelled, bounded, removed at the end.
//! * [`cluster`]: a Kubernetes cluster likewise, and the namespace where drills in it are done.
//! * [`steps`]: what is done for each entry of the clause catalogue.
//! * [`assessment`]: the result; [`render`]: the wall and the record; [`store`]: evidence as files.
//!
//! Rules that hold everywhere: what was not seen is 待确认, never 符合; an error while a step runs is
//! 待确认 with the error; a drill passes only when the attack was stopped **and** its records were
//! found; drills never touch a user's project.
#![forbid(unsafe_code)]

pub mod assessment;
pub mod cluster;
pub mod evidence;
pub mod ground;
pub mod mask;
pub mod render;
pub mod run;
pub mod sample;
pub mod steps;
pub mod store;
pub mod target;
pub mod trail;

pub use assessment::{Assessment, Clause, Step, StepKind};
pub use evidence::{Evidence, Role};
pub use run::{Options, run};
pub use target::{Connection, Target};

/// Whether the standard has a clause of this id, `IP-6`.
pub fn is_clause(id: &str) -> bool {
    jinwu_standard::catalogue::clauses().iter().any(|c| c.id.as_str() == id)
}
