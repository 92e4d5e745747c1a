//! Literals, lists and maps.

use super::planner::{Planned, Planner, Planning};
use super::Node;
use crate::syntax::{Expression, Literal};
use crate::types::Type;
use crate::value::{Key, MapBuilder, Value};

// === impl Planner ===

impl Planner<'_> {
    pub(super) fn literal(&self, literal: &Literal) -> Planned {
        let value = match literal {
            Literal::Null => Value::Null,
            Literal::Bool(value) => Value::Bool(*value),
            Literal::Int(value) => Value::Int(*value),
            Literal::Uint(value) => Value::Uint(*value),
            Literal::Double(value) => Value::Double(*value),
            Literal::String(text) => Value::string(text.as_str()),
            Literal::Bytes(bytes) => Value::Bytes(bytes.as_slice().into()),
        };
        Planned { kind: value.static_type(), node: Node::Constant(value) }
    }

    pub(super) fn list(&mut self, elements: &[(Expression, bool)]) -> Planning<Planned> {
        let mut kind: Option<Type> = None;
        let mut nodes = Vec::with_capacity(elements.len());
        for (element, optional) in elements {
            let planned = self.plan(element)?;
            let found = if *optional { self.inside(element, &planned.kind)? } else { planned.kind };
            kind = Some(self.joined(element, kind, found, "elements of a list")?);
            nodes.push((planned.node, *optional));
        }
        let element = kind.unwrap_or_else(|| self.types.fresh());
        Ok(Planned { node: constant_list(nodes), kind: Type::list(element) })
    }

    pub(super) fn map(&mut self, entries: &[(Expression, Expression, bool)]) -> Planning<Planned> {
        let (mut keys, mut values): (Option<Type>, Option<Type>) = (None, None);
        let mut nodes = Vec::with_capacity(entries.len());
        for (key, value, optional) in entries {
            let planned_key = self.plan(key)?;
            if self.environment.checked && !may_be_key(&self.types.shallow(&planned_key.kind)) {
                let found = self.types.resolve(&planned_key.kind);
                return self.error(key, format!("a key must be bool, int, uint or string, not {found}"));
            }
            keys = Some(self.joined(key, keys, planned_key.kind, "keys of a map")?);
            let planned = self.plan(value)?;
            let found = if *optional { self.inside(value, &planned.kind)? } else { planned.kind };
            values = Some(self.joined(value, values, found, "values of a map")?);
            nodes.push((planned_key.node, planned.node, *optional));
        }
        let key = keys.unwrap_or_else(|| self.types.fresh());
        let value = values.unwrap_or_else(|| self.types.fresh());
        Ok(Planned { node: constant_map(nodes), kind: Type::map(key, value) })
    }

    /// The type inside an optional element.
    fn inside(&mut self, at: &Expression, kind: &Type) -> Planning<Type> {
        match self.types.shallow(kind) {
            Type::Optional(inner) => Ok(inner.as_ref().clone()),
            Type::Dyn | Type::Variable(_) => Ok(Type::Dyn),
            _ if !self.environment.checked => Ok(Type::Dyn),
            other => self.error(at, format!("behind '?' an optional value is expected, not {other}")),
        }
    }

    fn joined(&mut self, at: &Expression, so_far: Option<Type>, next: Type, what: &str) -> Planning<Type> {
        let Some(before) = so_far else { return Ok(next) };
        if !self.environment.checked {
            return Ok(Type::Dyn);
        }
        match self.types.join(&before, &next) {
            Some(kind) => Ok(kind),
            None => {
                let (before, next) = (self.types.resolve(&before), self.types.resolve(&next));
                self.error(at, format!("{what} must be of one type, not {before} and {next}; write dyn(…) where that is meant"))
            }
        }
    }
}

fn may_be_key(kind: &Type) -> bool {
    matches!(kind, Type::Bool | Type::Int | Type::Uint | Type::String | Type::Dyn | Type::Variable(_))
}

/// A list of constants is a constant.
fn constant_list(nodes: Vec<(Node, bool)>) -> Node {
    let values = nodes.iter().map(|(node, optional)| match node {
        Node::Constant(value) if !optional => Some(value.clone()),
        _ => None,
    });
    match values.collect::<Option<Vec<_>>>() {
        Some(values) => Node::Constant(Value::list(values)),
        None => Node::List(nodes),
    }
}

/// A map of constants is a constant, unless a key stands twice.
fn constant_map(nodes: Vec<(Node, Node, bool)>) -> Node {
    let mut map = MapBuilder::default();
    let constant = nodes.iter().all(|(key, value, optional)| match (key, value) {
        (Node::Constant(key), Node::Constant(value)) if !optional => Key::from_value(key).is_some_and(|k| map.insert(k, value.clone())),
        _ => false,
    });
    if !constant {
        return Node::Map(nodes);
    }
    match map.finish() {
        Value::Map(map) => Node::Constant(Value::Map(map)),
        _ => Node::Map(nodes),
    }
}
