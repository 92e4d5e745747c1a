//! Lists, borrowed from JSON or made by the program.

use super::Value;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub enum List<'a> {
    Json(&'a [serde_json::Value]),
    Shared(Arc<Vec<Value<'a>>>),
}

// === impl List ===

impl<'a> List<'a> {
    pub fn len(&self) -> usize {
        match self {
            List::Json(elements) => elements.len(),
            List::Shared(elements) => elements.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn get(&self, index: usize) -> Option<Value<'a>> {
        match self {
            List::Json(elements) => elements.get(index).map(Value::from),
            List::Shared(elements) => elements.get(index).cloned(),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + '_ {
        (0..self.len()).filter_map(|i| self.get(i))
    }
}
