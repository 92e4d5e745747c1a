//! Reading as the API server writes: `null` is absent, unknown members are nothing, a member of the
//! wrong type is an error; and how many bytes what was read takes.

use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// Why an object cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: 无法读取 / cannot be read: {detail}")]
pub struct ReadError {
    pub kind: &'static str,
    pub detail: String,
}

/// Bytes on the heap below a value, without the value itself. What is shared counts nowhere but in its pool.
pub trait Heap {
    fn heap(&self) -> usize;
}

pub(crate) fn null_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(d: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(d)?.unwrap_or_default())
}

/// Structs with the members of a JSON object that matter, in camelCase.
macro_rules! objects {
    ($($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty),* $(,)? })*) => { $(
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            $($(#[$field_meta])* #[serde(default, deserialize_with = "crate::read::null_default")] pub $field: $type,)*
        }

        impl crate::read::Heap for $name {
            fn heap(&self) -> usize {
                0 $(+ crate::read::Heap::heap(&self.$field))*
            }
        }
    )* };
}
pub(crate) use objects;

/// There is something, whatever it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Present;

/// Any JSON, canonical: keys sorted, no spaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Canonical(pub Box<str>);

/// A string, number or truth value as text (`maxUnavailable: 25%` or `1`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scalar(pub Box<str>);

/// JSON text with the keys of every object sorted.
pub fn canonical(value: &serde_json::Value) -> String {
    use serde_json::Value;
    match value {
        Value::Object(members) => {
            let sorted: BTreeMap<_, _> = members.iter().collect();
            let inside: Vec<_> = sorted.into_iter().map(|(k, v)| format!("{}:{}", Value::from(k.as_str()), canonical(v))).collect();
            format!("{{{}}}", inside.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

// === impls ===

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(d).map(|_| Present)
    }
}

impl Serialize for Present {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_bool(true)
    }
}

impl<'de> Deserialize<'de> for Canonical {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        serde_json::Value::deserialize(d).map(|v| Canonical(canonical(&v).into()))
    }
}

impl Serialize for Canonical {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        serde_json::from_str::<serde_json::Value>(&self.0).unwrap_or_default().serialize(s)
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(d)? {
            serde_json::Value::String(s) => Ok(Scalar(s.into())),
            v @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_)) => Ok(Scalar(v.to_string().into())),
            _ => Err(serde::de::Error::custom("a string or a number was expected")),
        }
    }
}

impl Serialize for Scalar {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

macro_rules! flat {
    ($($type:ty),*) => { $(impl Heap for $type { fn heap(&self) -> usize { 0 } })* };
}
flat!(bool, i32, i64, u16, u64, Present);

impl Heap for Box<str> {
    fn heap(&self) -> usize {
        self.len()
    }
}

impl Heap for Canonical {
    fn heap(&self) -> usize {
        self.0.len()
    }
}

impl Heap for Scalar {
    fn heap(&self) -> usize {
        self.0.len()
    }
}

impl<T: Heap> Heap for Option<T> {
    fn heap(&self) -> usize {
        self.as_ref().map_or(0, Heap::heap)
    }
}

impl<T: Heap> Heap for Vec<T> {
    fn heap(&self) -> usize {
        self.capacity() * size_of::<T>() + self.iter().map(Heap::heap).sum::<usize>()
    }
}

impl<K: Heap, V: Heap> Heap for BTreeMap<K, V> {
    fn heap(&self) -> usize {
        // A node of the standard library's tree holds eleven entries; half full is the worst but for the last.
        let nodes = if self.is_empty() { 0 } else { self.len() / 5 + 1 };
        nodes * (11 * (size_of::<K>() + size_of::<V>()) + 16) + self.iter().map(|(k, v)| k.heap() + v.heap()).sum::<usize>()
    }
}

impl<T> Heap for std::sync::Arc<T> {
    fn heap(&self) -> usize {
        0
    }
}
