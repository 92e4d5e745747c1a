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
        self.list_of(elements, &mut Vec::new())
    }

    /// A list, with the types of its elements.
    pub(super) fn list_of(&mut self, elements: &[(Expression, bool)], kinds: &mut Vec<Type>) -> Planning<Planned> {
        let mut kind = Elements::None;
        let mut nodes = Vec::with_capacity(elements.len());
        for (element, optional) in elements {
            let planned = self.plan(element)?;
            let found = if *optional { self.inside(element, &planned.kind)? } else { planned.kind };
            kinds.push(found.clone());
            self.joined(element, &mut kind, found);
            nodes.push((planned.node, *optional));
        }
        let element = kind.kind(self);
        Ok(Planned { node: constant_list(nodes), kind: Type::list(element) })
    }

    pub(super) fn map(&mut self, entries: &[(Expression, Expression, bool)]) -> Planning<Planned> {
        let (mut keys, mut values) = (Elements::None, Elements::None);
        let mut nodes = Vec::with_capacity(entries.len());
        for (key, value, optional) in entries {
            let planned_key = self.plan(key)?;
            if self.environment.checked && !may_be_key(&self.types.shallow(&planned_key.kind)) {
                let found = self.types.resolve(&planned_key.kind);
                return self.error(key, format!("a key must be bool, int, uint or string, not {found}"));
            }
            self.joined(key, &mut keys, planned_key.kind);
            let planned = self.plan(value)?;
            let found = if *optional { self.inside(value, &planned.kind)? } else { planned.kind };
            self.joined(value, &mut values, found);
            nodes.push((planned_key.node, planned.node, *optional));
        }
        let (key, value) = (keys.kind(self), values.kind(self));
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

    /// The type of elements so far. All must be of the first one's type; that is asked when all
    /// types are known, and not inside `format`, whose values are of any type.
    fn joined(&mut self, at: &Expression, so_far: &mut Elements, next: Type) {
        match so_far {
            Elements::None => *so_far = Elements::Some { first: next.clone(), all: next },
            Elements::Some { first, all } => {
                if self.environment.checked && self.mixed == 0 {
                    self.alike.push((at.at, first.clone(), next.clone()));
                }
                *all = self.types.join(all, &next).unwrap_or(Type::Dyn);
            }
        }
    }
}

/// Types of the elements of a list, or of the keys or values of a map.
pub(super) enum Elements {
    None,
    Some { first: Type, all: Type },
}

// === impl Elements ===

impl Elements {
    fn kind(self, planner: &mut Planner<'_>) -> Type {
        match self {
            Elements::None => planner.types.fresh(),
            Elements::Some { .. } if !planner.environment.checked => Type::Dyn,
            Elements::Some { all, .. } => all,
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

/// A map of constants is a constant. Of two entries with one key the later one counts.
fn constant_map(nodes: Vec<(Node, Node, bool)>) -> Node {
    let mut map = MapBuilder::default();
    let constant = nodes.iter().all(|(key, value, optional)| match (key, value) {
        (Node::Constant(key), Node::Constant(value)) if !optional => match Key::from_value(key) {
            Some(key) => {
                map.replace(key, value.clone());
                true
            }
            None => false,
        },
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
