//! Values: what an expression reads and gives.
//!
//! JSON is wrapped, not converted: a list or map that came in as JSON is a borrow of the caller's
//! tree, and an element becomes a value when it is looked at.

mod compare;
mod json;
mod key;
mod list;
mod map;
mod opaque;
mod size;
mod text;
mod time;

pub(crate) use compare::{compare, equal, strictly_equal};
pub use key::Key;
pub(crate) use key::is_key;
pub use list::List;
pub use map::Map;
pub(crate) use map::MapBuilder;
pub use opaque::Opaque;
pub(crate) use size::{size, traversal};
pub use text::Str;
pub use time::{Duration, Timestamp};
pub(crate) use time::MIN_SECOND;

use crate::types::Type;
use std::sync::Arc;

/// A value of an expression. `'a` is the life of the JSON it may borrow from.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(Str<'a>),
    Bytes(Arc<[u8]>),
    List(List<'a>),
    Map(Map<'a>),
    /// From year 1 to year 9999.
    Timestamp(Timestamp),
    Duration(Duration),
    Type(Arc<str>),
    Optional(Option<Arc<Value<'a>>>),
    /// One of Kubernetes' own types.
    Opaque(Arc<Opaque<'a>>),
}

// === impl Value ===

impl<'a> Value<'a> {
    /// A string that shares nothing with its origin.
    pub fn string(text: impl Into<Arc<str>>) -> Value<'a> {
        Value::String(Str::Shared(text.into()))
    }

    /// A list of values made by the program.
    pub fn list(elements: Vec<Value<'a>>) -> Value<'a> {
        Value::List(List::Shared(Arc::new(elements)))
    }

    pub(crate) fn some(value: Value<'a>) -> Value<'a> {
        Value::Optional(Some(Arc::new(value)))
    }

    pub(crate) const NONE: Value<'static> = Value::Optional(None);

    pub(crate) fn opaque(value: Opaque<'a>) -> Value<'a> {
        Value::Opaque(Arc::new(value))
    }

    /// The name of its type, as `type()` gives it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "null_type",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Uint(_) => "uint",
            Value::Double(_) => "double",
            Value::String(_) => "string",
            Value::Bytes(_) => "bytes",
            Value::List(_) => "list",
            Value::Map(_) => "map",
            Value::Timestamp(_) => "google.protobuf.Timestamp",
            Value::Duration(_) => "google.protobuf.Duration",
            Value::Type(_) => "type",
            Value::Optional(_) => "optional_type",
            Value::Opaque(opaque) => opaque.type_name(),
        }
    }

    /// The text of a string value.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text.as_str()),
            _ => None,
        }
    }

    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// What `optional.ofNonZeroValue` leaves out.
    pub(crate) fn is_zero(&self) -> bool {
        match self {
            Value::Null => true,
            Value::Bool(value) => !value,
            Value::Int(value) => *value == 0,
            Value::Uint(value) => *value == 0,
            Value::Double(value) => *value == 0.0,
            Value::String(text) => text.as_str().is_empty(),
            Value::Bytes(bytes) => bytes.is_empty(),
            Value::List(list) => list.is_empty(),
            Value::Map(map) => map.is_empty(),
            Value::Duration(duration) => duration.nanoseconds() == 0,
            Value::Timestamp(time) => time.second() == MIN_SECOND && time.subsecond() == 0,
            Value::Optional(_) | Value::Type(_) | Value::Opaque(_) => false,
        }
    }

    /// The type a constant has before the program runs; elements of aggregates are not looked at.
    pub(crate) fn static_type(&self) -> Type {
        match self {
            Value::Null => Type::Null,
            Value::Bool(_) => Type::Bool,
            Value::Int(_) => Type::Int,
            Value::Uint(_) => Type::Uint,
            Value::Double(_) => Type::Double,
            Value::String(_) => Type::String,
            Value::Bytes(_) => Type::Bytes,
            Value::Timestamp(_) => Type::Timestamp,
            Value::Duration(_) => Type::Duration,
            Value::Type(_) => Type::Type,
            Value::List(_) => Type::list(Type::Dyn),
            Value::Map(_) => Type::map(Type::Dyn, Type::Dyn),
            Value::Optional(_) => Type::optional(Type::Dyn),
            Value::Opaque(opaque) => Type::Opaque(opaque.type_name()),
        }
    }
}

impl<'a> From<bool> for Value<'a> {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl<'a> From<i64> for Value<'a> {
    fn from(value: i64) -> Self {
        Value::Int(value)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Value::String(Str::Borrowed(text))
    }
}

impl<'a> From<String> for Value<'a> {
    fn from(text: String) -> Self {
        Value::string(text)
    }
}
