//! What a name stands for.

use super::planner::{Planned, Planner, Planning};
use super::{Access, Node, Root};
use crate::syntax::{Expression, Kind};
use crate::types::Type;
use crate::value::Value;

/// Types that may be named, to be compared with what `type()` gives.
const TYPES: [&str; 15] = [
    "bool",
    "bytes",
    "double",
    "google.protobuf.Duration",
    "google.protobuf.Timestamp",
    "int",
    "list",
    "map",
    "net.CIDR",
    "net.IP",
    "null_type",
    "optional_type",
    "string",
    "type",
    "uint",
];

// === impl Planner ===

impl Planner<'_> {
    pub(super) fn identifier(&mut self, at: &Expression, name: &str, absolute: bool) -> Planning<Planned> {
        if !absolute
            && let Some(planned) = self.local(name) {
                return Ok(planned);
            }
        if let Some(planned) = self.global(name) {
            return Ok(planned);
        }
        if !self.environment.checked {
            // Without a check an unknown name fails only where it is needed.
            return Ok(Planned { node: access(Root::Global(self.number(name))), kind: Type::Dyn });
        }
        let mut known: Vec<&str> = self.environment.variables.keys().map(String::as_str).collect();
        known.extend(self.locals.iter().map(|(name, _)| name.as_str()));
        self.error(at, format!("undeclared reference to '{name}'; known here: {}", known.join(", ")))
    }

    fn local(&self, name: &str) -> Option<Planned> {
        let depth = self.locals.iter().rposition(|(local, _)| local == name)?;
        let kind = self.locals.get(depth)?.1.clone();
        Some(Planned { node: access(Root::Local(depth)), kind })
    }

    /// A variable of the environment or the name of a type.
    fn global(&mut self, name: &str) -> Option<Planned> {
        if let Some(kind) = self.environment.variables.get(name) {
            let kind = kind.clone();
            return Some(Planned { node: access(Root::Global(self.number(name))), kind });
        }
        TYPES.contains(&name).then(|| Planned { node: Node::Constant(Value::Type(name.into())), kind: Type::Type })
    }

    /// The number of a variable in the program.
    fn number(&mut self, name: &str) -> usize {
        self.globals.iter().position(|g| g == name).unwrap_or_else(|| {
            self.globals.push(name.to_owned());
            self.globals.len() - 1
        })
    }

    /// A field of a group of variables; `None` when the operand is no group.
    pub(super) fn member(&mut self, operand: &Expression, field: &str) -> Option<Planned> {
        let group = operand.identifier()?;
        if self.shadowed(operand) || !self.environment.groups.contains(group) {
            return None;
        }
        let Some(Type::Object(fields)) = self.environment.variables.get(group) else { return None };
        let kind = fields.fields.get(field)?.clone();
        Some(Planned { node: access(Root::Member(self.number(&format!("{group}.{field}")))), kind })
    }

    /// A dotted name that is declared as a whole, such as `authorizer.requestResource`.
    pub(super) fn qualified(&mut self, expression: &Expression) -> Planning<Option<Planned>> {
        let Some(name) = expression.dotted() else { return Ok(None) };
        if self.shadowed(expression) {
            return Ok(None);
        }
        Ok(self.global(&name))
    }

    /// Whether the first part of a dotted name is bound by a comprehension.
    pub(super) fn shadowed(&self, expression: &Expression) -> bool {
        let mut first = expression;
        while let Kind::Select { operand, .. } = &first.kind {
            first = operand;
        }
        match &first.kind {
            Kind::Identifier { name, absolute: false } => self.locals.iter().any(|(local, _)| local == name),
            _ => false,
        }
    }
}

pub(super) fn access(root: Root) -> Node {
    Node::Access(Box::new(Access { root, steps: Vec::new(), test: false }))
}
