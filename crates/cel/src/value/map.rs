//! Maps, borrowed from JSON or made by the program.

use super::{Key, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub enum Map<'a> {
    Json(&'a serde_json::Map<String, serde_json::Value>),
    Shared(Arc<BTreeMap<Key, Value<'a>>>),
}

/// A map in the making.
#[derive(Debug, Default)]
pub(crate) struct MapBuilder<'a> {
    entries: BTreeMap<Key, Value<'a>>,
}

// === impl Map ===

impl<'a> Map<'a> {
    pub fn len(&self) -> usize {
        match self {
            Map::Json(entries) => entries.len(),
            Map::Shared(entries) => entries.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entry a field selection or string key names.
    pub fn field(&self, name: &str) -> Option<Value<'a>> {
        match self {
            Map::Json(entries) => entries.get(name).map(Value::from),
            Map::Shared(entries) => entries.get(&Key::String(name.into())).cloned(),
        }
    }

    pub fn get(&self, key: &Value<'_>) -> Option<Value<'a>> {
        match self {
            Map::Json(entries) => entries.get(key.as_str()?).map(Value::from),
            Map::Shared(entries) => entries.get(&Key::for_lookup(key)?).cloned(),
        }
    }

    /// Keys in a fixed order, with their values.
    pub fn iter(&self) -> Box<dyn Iterator<Item = (Value<'a>, Value<'a>)> + '_> {
        match self {
            Map::Json(entries) => Box::new(entries.iter().map(|(k, v)| (Value::from(k.as_str()), Value::from(v)))),
            Map::Shared(entries) => Box::new(entries.iter().map(|(k, v)| (k.to_value(), v.clone()))),
        }
    }
}

// === impl MapBuilder ===

impl<'a> MapBuilder<'a> {
    /// Adds an entry; `false` when the key is there already.
    pub(crate) fn insert(&mut self, key: Key, value: Value<'a>) -> bool {
        match self.entries.entry(key) {
            std::collections::btree_map::Entry::Occupied(_) => false,
            std::collections::btree_map::Entry::Vacant(slot) => {
                slot.insert(value);
                true
            }
        }
    }

    /// Adds an entry in place of one with that key.
    pub(crate) fn replace(&mut self, key: Key, value: Value<'a>) {
        self.entries.insert(key, value);
    }

    pub(crate) fn finish(self) -> Value<'a> {
        Value::Map(Map::Shared(Arc::new(self.entries)))
    }
}
