//! For which event types a condition can hold at all.

use crate::condition::Operator;
use crate::field::{FieldId, SyscallField};
use crate::operand::Compiled;
use std::collections::BTreeSet;

/// Larger sets of names count as "all": there are some 400 system calls, and a set is kept for each
/// part of each condition.
const MAX_NAMES: usize = 512;

/// A set of event types, or its complement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventTypes {
    All,
    Only(BTreeSet<Box<str>>),
    Except(BTreeSet<Box<str>>),
}

// === impl EventTypes ===

impl EventTypes {
    pub(crate) fn none() -> Self {
        EventTypes::Only(BTreeSet::new())
    }

    /// Of one comparison: `evt.type = a`, `evt.type in (a, b)`; of any other, all.
    pub(crate) fn of(left: &Compiled, operator: Operator, values: &[String]) -> Self {
        if !matches!(left, Compiled::Field(FieldId::Syscall(SyscallField::EvtType), _)) {
            return EventTypes::All;
        }
        let names: BTreeSet<Box<str>> = values.iter().take(MAX_NAMES + 1).map(|v| v.as_str().into()).collect();
        match operator {
            _ if values.len() > MAX_NAMES => EventTypes::All,
            Operator::Equal | Operator::In | Operator::Intersects => EventTypes::Only(names),
            Operator::NotEqual => EventTypes::Except(names),
            _ => EventTypes::All,
        }
    }

    /// How many types; `None` when there is no bound.
    pub fn count(&self) -> Option<usize> {
        match self {
            EventTypes::Only(names) => Some(names.len()),
            EventTypes::All | EventTypes::Except(_) => None,
        }
    }

    /// For which types a single comparison with this set can fail. "All" comes from a comparison of
    /// another field, which can fail for every type too.
    pub(crate) fn complement(self) -> Self {
        match self {
            EventTypes::All => EventTypes::All,
            EventTypes::Only(names) if names.is_empty() => EventTypes::All,
            EventTypes::Only(names) => EventTypes::Except(names),
            EventTypes::Except(names) => EventTypes::Only(names),
        }
    }

    pub(crate) fn intersection(self, other: Self) -> Self {
        use EventTypes::{All, Except, Only};
        match (self, other) {
            (All, x) | (x, All) => x,
            (Only(a), Only(b)) => Only(a.intersection(&b).cloned().collect()),
            (Only(a), Except(b)) | (Except(b), Only(a)) => Only(a.difference(&b).cloned().collect()),
            (Except(a), Except(b)) => Except(a.union(&b).cloned().collect()),
        }
        .bounded()
    }

    pub(crate) fn union(self, other: Self) -> Self {
        use EventTypes::{All, Except, Only};
        match (self, other) {
            (All, _) | (_, All) => All,
            (Only(a), Only(b)) => Only(a.union(&b).cloned().collect()),
            (Only(a), Except(b)) | (Except(b), Only(a)) => Except(b.difference(&a).cloned().collect()),
            (Except(a), Except(b)) => Except(a.intersection(&b).cloned().collect()),
        }
        .bounded()
    }

    fn bounded(self) -> Self {
        match self {
            EventTypes::Only(names) | EventTypes::Except(names) if names.len() > MAX_NAMES => EventTypes::All,
            other => other,
        }
    }
}
