//! JSON in and out.

use super::{Key, List, Map, Str, Value};
use crate::limits::MAX_VALUE_DEPTH;
use serde_json::Value as Json;
use std::sync::Arc;

/// As Kubernetes reads numbers of unstructured objects: whole ones are `int`, all others `double`.
fn from_number<'a>(number: &serde_json::Number) -> Value<'a> {
    match number.as_i64() {
        Some(value) => Value::Int(value),
        None => Value::Double(number.as_f64().unwrap_or(f64::NAN)),
    }
}

impl<'a> From<&'a Json> for Value<'a> {
    fn from(json: &'a Json) -> Self {
        match json {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => from_number(number),
            Json::String(text) => Value::String(Str::Borrowed(text)),
            Json::Array(elements) => Value::List(List::Json(elements)),
            Json::Object(entries) => Value::Map(Map::Json(entries)),
        }
    }
}

impl Value<'_> {
    /// The value as JSON, for evidence and tests; `None` for what JSON cannot say (types, Kubernetes'
    /// own values, numbers that are none, keys that are no strings) and for values nested too deep.
    pub fn to_json(&self) -> Option<Json> {
        to_json(self, 0)
    }

    /// The same value without borrows.
    pub fn into_owned(self) -> Option<Value<'static>> {
        own(&self, 0)
    }
}

fn to_json(value: &Value<'_>, depth: usize) -> Option<Json> {
    if depth > MAX_VALUE_DEPTH {
        return None;
    }
    Some(match value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Int(value) => Json::from(*value),
        Value::Uint(value) => Json::from(*value),
        Value::Double(value) => Json::Number(serde_json::Number::from_f64(*value)?),
        Value::String(text) => Json::String(text.as_str().to_owned()),
        Value::List(list) => Json::Array(list.iter().map(|v| to_json(&v, depth + 1)).collect::<Option<_>>()?),
        Value::Map(map) => {
            let mut entries = serde_json::Map::new();
            for (key, value) in map.iter() {
                entries.insert(key.as_str()?.to_owned(), to_json(&value, depth + 1)?);
            }
            Json::Object(entries)
        }
        Value::Optional(Some(inner)) => to_json(inner, depth + 1)?,
        Value::Optional(None) => Json::Null,
        Value::Timestamp(_) | Value::Duration(_) => Json::String(crate::library::text_of(value)?),
        Value::Bytes(_) | Value::Type(_) | Value::Opaque(_) => return None,
    })
}

fn own(value: &Value<'_>, depth: usize) -> Option<Value<'static>> {
    if depth > MAX_VALUE_DEPTH {
        return None;
    }
    Some(match value {
        Value::Null => Value::Null,
        Value::Bool(value) => Value::Bool(*value),
        Value::Int(value) => Value::Int(*value),
        Value::Uint(value) => Value::Uint(*value),
        Value::Double(value) => Value::Double(*value),
        Value::String(Str::Shared(text)) => Value::String(Str::Shared(text.clone())),
        Value::String(text) => Value::string(text.as_str()),
        Value::Bytes(bytes) => Value::Bytes(bytes.clone()),
        Value::List(list) => Value::list(list.iter().map(|v| own(&v, depth + 1)).collect::<Option<_>>()?),
        Value::Map(map) => {
            let entries = map.iter().map(|(k, v)| Some((Key::from_value(&k)?, own(&v, depth + 1)?))).collect::<Option<_>>()?;
            Value::Map(Map::Shared(Arc::new(entries)))
        }
        Value::Timestamp(time) => Value::Timestamp(*time),
        Value::Duration(duration) => Value::Duration(*duration),
        Value::Type(name) => Value::Type(name.clone()),
        Value::Optional(None) => Value::NONE,
        Value::Optional(Some(inner)) => Value::some(own(inner, depth + 1)?),
        Value::Opaque(opaque) => Value::opaque(opaque.to_static()?),
    })
}
