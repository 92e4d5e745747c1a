//! Sequences: conditions that hold again and again, or one after the other, for the same key.
//!
//! ```yaml
//! - sequence: Secrets probed
//!   desc: …
//!   source: k8s_audit
//!   key: [ka.user.name, jinwu.source.ip]   # 1 to 4 fields; an event without one does not count
//!   window: 60s                            # 1s to 7d, by the time events say
//!   steps:                                 # 1 to 8, in this order
//!     - condition: …
//!       count: 5                           # so often (1 to 200; default 1)
//!       distinct: ka.target.name           # different values of this field only
//!       new: jinwu.source.ip               # only if the key was seen with other values and never with this
//!   output: …                              # of the event that completes it
//!   priority: WARNING
//! ```
//!
//! After a hit a key is quiet for one window, so that a burst is one alarm.

mod state;

pub use state::Sequences;

use crate::event::Event;
use crate::field::Source;
use crate::guidance::Guidance;
use crate::operand::Compiled;
use crate::output::Output;
use crate::problem::Place;
use crate::program::NodeId;
use crate::ruleset::Priority;
use std::time::Duration;

/// Most events one step can ask for.
pub const MAX_COUNT: u32 = 200;
/// Most steps of a sequence.
pub const MAX_STEPS: usize = 8;
/// Most keys kept per sequence; beyond, the longest untouched go.
pub const MAX_KEYS: usize = 8192;

/// A sequence, compiled.
#[derive(Debug)]
pub struct Sequence {
    pub name: String,
    pub desc: String,
    pub source: Source,
    pub priority: Priority,
    pub tags: Vec<String>,
    pub enabled: bool,
    pub place: Place,
    pub guidance: Option<Guidance>,
    pub window: Duration,
    pub(crate) output: Output,
    pub(crate) key: Vec<Key>,
    pub(crate) steps: Vec<Step>,
}

/// A field by whose value events belong together.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) operand: Compiled,
}

#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) condition: NodeId,
    pub(crate) count: u32,
    pub(crate) distinct: Option<Key>,
    pub(crate) new: Option<Key>,
}

/// A sequence that an event completes.
#[derive(Clone, Debug)]
pub struct SequenceMatch<'r> {
    pub sequence: &'r Sequence,
    /// Names and values of the key.
    pub key: Vec<(&'r str, String)>,
    /// When its first event happened, nanoseconds since 1970.
    pub begun: i64,
}

// === impl SequenceMatch ===

impl SequenceMatch<'_> {
    /// The sequence's output for the event that completed it.
    pub fn output(&self, event: &impl Event) -> String {
        self.sequence.output.format(event)
    }
}
