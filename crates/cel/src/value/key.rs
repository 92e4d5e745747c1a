//! Keys of maps.

use super::{Str, Value};
use std::cmp::Ordering;
use std::sync::Arc;

/// A key of a map the program made. Whole numbers are one kind: `1` and `1u` are the same key.
#[derive(Clone, Debug)]
pub enum Key {
    Bool(bool),
    Int(i64),
    Uint(u64),
    String(Arc<str>),
}

/// Whether an element may be looked for by a value of this type.
pub(crate) fn is_key(value: &Value<'_>) -> bool {
    matches!(value, Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::String(_))
}

// === impl Key ===

impl Key {
    /// The key a value is, if it may be one. A double that is a whole number finds the same entry.
    pub(crate) fn from_value(value: &Value<'_>) -> Option<Key> {
        Some(match value {
            Value::Bool(value) => Key::Bool(*value),
            Value::Int(value) => Key::Int(*value),
            Value::Uint(value) => Key::Uint(*value),
            Value::String(Str::Shared(text)) => Key::String(text.clone()),
            Value::String(text) => Key::String(text.as_str().into()),
            _ => return None,
        })
    }

    /// The key a value looks for: whole doubles count too.
    pub(crate) fn for_lookup(value: &Value<'_>) -> Option<Key> {
        match value {
            Value::Double(value) => {
                let whole = *value as i64;
                if whole as f64 == *value {
                    return Some(Key::Int(whole));
                }
                let whole = *value as u64;
                (whole as f64 == *value).then_some(Key::Uint(whole))
            }
            other => Key::from_value(other),
        }
    }

    pub fn to_value<'a>(&self) -> Value<'a> {
        match self {
            Key::Bool(value) => Value::Bool(*value),
            Key::Int(value) => Value::Int(*value),
            Key::Uint(value) => Value::Uint(*value),
            Key::String(text) => Value::String(Str::Shared(text.clone())),
        }
    }

    fn number(&self) -> Option<i128> {
        match self {
            Key::Int(value) => Some(i128::from(*value)),
            Key::Uint(value) => Some(i128::from(*value)),
            _ => None,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Key::Bool(_) => 0,
            Key::Int(_) | Key::Uint(_) => 1,
            Key::String(_) => 2,
        }
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Key::Bool(a), Key::Bool(b)) => a.cmp(b),
            (Key::String(a), Key::String(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()).then_with(|| self.number().cmp(&other.number())),
        }
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Key {}
