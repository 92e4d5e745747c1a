//! What the engine asks of an event.

use crate::field::{Argument, CommonField, FieldId, Source};
use std::borrow::Cow;
use std::net::IpAddr;

/// A field's value. Borrowed from the event wherever it can be.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldValue<'a> {
    /// The event has no such thing: every comparison is false, `exists` too.
    Absent,
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    Flag(bool),
    /// Integers; times and durations in nanoseconds.
    Number(i64),
    Address(IpAddr),
    /// A list-valued field: `in` asks for all, `intersects` for one. Empty is absent.
    List(Vec<Cow<'a, str>>),
    /// Alternatives (any ancestor of a process): one that satisfies the comparison suffices.
    Any(Vec<Cow<'a, str>>),
    /// Both ends of a connection: `=` if one is equal, `!=` if both differ.
    Addresses([IpAddr; 2]),
    /// The same for ports.
    Ports([i64; 2]),
}

/// An event of one source.
pub trait Event {
    fn source(&self) -> Source;

    /// The event type's name, by which rules are indexed (`execve`); `None` if the source has none.
    fn kind(&self) -> Option<&str> {
        None
    }

    /// Nanoseconds since 1970, UTC; `None` if the event does not say.
    fn time(&self) -> Option<i64>;

    /// A field's value for conditions.
    fn field(&self, field: FieldId, argument: &Argument) -> FieldValue<'_>;

    /// A field's value for outputs: what must not be shown is masked.
    fn shown(&self, field: FieldId, argument: &Argument) -> FieldValue<'_> {
        self.field(field, argument)
    }
}

/// The common fields that follow from source and time. `evt.num` and `evt.hostname` are the
/// event's own to answer.
pub fn common<'a>(event: &impl Event, field: CommonField) -> FieldValue<'a> {
    let format = match field {
        CommonField::Number | CommonField::Host => return FieldValue::Absent,
        CommonField::Source => return FieldValue::Text(Cow::Borrowed(event.source().name())),
        CommonField::Direction => return FieldValue::Text(Cow::Borrowed("<")),
        CommonField::RawTime => return event.time().map_or(FieldValue::Absent, FieldValue::Number),
        CommonField::Time => "%H:%M:%S.%9f",
        CommonField::TimeSeconds => "%H:%M:%S",
        CommonField::TimeIso => "%Y-%m-%dT%H:%M:%S.%9fZ",
        CommonField::DateTime => "%Y-%m-%d %H:%M:%S.%9f",
    };
    match event.time().and_then(|t| jiff::Timestamp::from_nanosecond(i128::from(t)).ok()) {
        Some(time) => FieldValue::Text(Cow::Owned(time.strftime(format).to_string())),
        None => FieldValue::Absent,
    }
}

// === impl FieldValue ===

impl<'a> FieldValue<'a> {
    /// Text, if there is some.
    pub fn text(value: Option<impl Into<Cow<'a, str>>>) -> Self {
        value.map_or(FieldValue::Absent, |v| FieldValue::Text(v.into()))
    }

    /// A list; an empty one is absent.
    pub fn list(values: Vec<Cow<'a, str>>) -> Self {
        if values.is_empty() { FieldValue::Absent } else { FieldValue::List(values) }
    }
}
