//! Variables and the way into them.

use super::Evaluator;
use crate::error::{EvaluationError, Outcome, fail};
use crate::plan::{Access, Key, Root, Step};
use crate::value::{Value, is_key};

// === impl Evaluator ===

impl<'a> Evaluator<'_, 'a> {
    /// The value at the end of the way. Each step costs one; the variable itself is counted by the caller.
    pub(super) fn resolve(&mut self, access: &Access) -> Outcome<Value<'a>> {
        let root = match &access.root {
            Root::Local(depth) => self.local(*depth)?,
            Root::Global(number) => self.global(*number)?,
            Root::Member(number) => {
                self.meter.charge(1)?;
                self.global(*number)?
            }
            Root::Node(node) => self.evaluate_inside(node)?,
        };
        if access.steps.is_empty() {
            return Ok(root);
        }
        self.walk(root, &access.steps, access.test)
    }

    fn local(&mut self, depth: usize) -> Outcome<Value<'a>> {
        let Some(local) = self.locals.get_mut(depth) else { return fail("no such variable") };
        let due = std::mem::take(&mut local.due);
        let value = local.value.clone();
        self.dues = self.dues.saturating_add(due);
        self.meter.charge(due)?;
        Ok(value)
    }

    fn global(&mut self, number: usize) -> Outcome<Value<'a>> {
        if let Some(Some(value)) = self.globals.get(number) {
            return Ok(value.clone());
        }
        let Some(name) = self.names.get(number) else { return fail("no such variable") };
        match self.bindings.get(name, self.budget) {
            Some(value) => {
                let value = value?;
                if let Some(slot) = self.globals.get_mut(number) {
                    *slot = Some(value.clone());
                }
                Ok(value)
            }
            None => fail(format!("no such attribute(s): {name}")),
        }
    }

    fn walk(&mut self, root: Value<'a>, steps: &[Step], test: bool) -> Outcome<Value<'a>> {
        let mut optional = false;
        let mut current = match root {
            Value::Optional(None) if test => return Ok(Value::Bool(false)),
            Value::Optional(None) => return Ok(Value::NONE),
            Value::Optional(Some(inner)) => {
                optional = true;
                inner.as_ref().clone()
            }
            other => other,
        };
        let last = steps.len() - 1;
        for (i, step) in steps.iter().enumerate() {
            optional |= step.optional;
            let tested = test && i == last;
            let found = self.step(&current, step)?;
            // A step that is only tried costs nothing when it leads nowhere.
            if found.is_some() || !optional {
                self.meter.charge(1)?;
            }
            current = match found {
                _ if tested => return Ok(Value::Bool(found.is_some())),
                Some(next) => next,
                None if optional && test => return Ok(Value::Bool(false)),
                None if optional => return Ok(Value::NONE),
                None => return Err(self.missing(&current, step)),
            };
        }
        Ok(if optional { Value::some(current) } else { current })
    }

    /// The next value; `None` when there is none, an error when the key cannot be one.
    fn step(&mut self, value: &Value<'a>, step: &Step) -> Outcome<Option<Value<'a>>> {
        match &step.key {
            Key::Field(name) => Ok(match value {
                Value::Map(map) => map.field(name),
                Value::List(_) => return fail("unsupported index type 'string' in list"),
                _ => None,
            }),
            Key::Constant(key) => find(value, key),
            Key::Node(node) => {
                let key = self.evaluate_inside(node)?;
                find(value, &key)
            }
        }
    }

    fn missing(&self, value: &Value<'_>, step: &Step) -> EvaluationError {
        let key = match &step.key {
            Key::Field(name) => name.to_string(),
            Key::Constant(key) => crate::library::text_of(key).unwrap_or_default(),
            Key::Node(_) => "the computed one".into(),
        };
        EvaluationError::failed(match value {
            Value::List(list) => format!("index out of bounds: {key} of a list of {}", list.len()),
            _ => format!("no such key: {key}"),
        })
    }
}

/// The element a key names.
fn find<'a>(value: &Value<'a>, key: &Value<'_>) -> Outcome<Option<Value<'a>>> {
    if !is_key(key) {
        return fail(format!("nothing can be found by a {}", key.type_name()));
    }
    match value {
        Value::Map(map) => Ok(map.get(key)),
        Value::List(list) => {
            let index = match key {
                Value::Int(index) => usize::try_from(*index).ok(),
                Value::Uint(index) => usize::try_from(*index).ok(),
                Value::Double(index) if *index == index.trunc() && *index >= 0.0 => Some(*index as usize),
                Value::Double(index) if *index == index.trunc() => None,
                other => return fail(format!("unsupported index type {} in list", other.type_name())),
            };
            Ok(index.and_then(|i| list.get(i)))
        }
        _ => Ok(None),
    }
}
