//! `format`, checked when template and values are written down.

use super::planner::{Planned, Planner, Planning};
use crate::library::{ClauseKind, clauses};
use crate::syntax::{Expression, Kind, Literal};
use crate::types::Type;

// === impl Planner ===

impl Planner<'_> {
    pub(super) fn format(&mut self, at: &Expression, receiver: &Expression, arguments: &[Expression]) -> Planning<Planned> {
        self.mixed += 1;
        let planned = self.format_inside(at, receiver, arguments);
        self.mixed -= 1;
        planned
    }

    fn format_inside(&mut self, at: &Expression, receiver: &Expression, arguments: &[Expression]) -> Planning<Planned> {
        let template = self.plan(receiver)?;
        let (Kind::Literal(Literal::String(text)), [Expression { kind: Kind::List(elements), .. }]) = (&receiver.kind, arguments) else {
            let mut planned = vec![template];
            for argument in arguments {
                planned.push(self.plan(argument)?);
            }
            return self.function(at, "format", true, planned);
        };
        let mut kinds = Vec::with_capacity(elements.len());
        let list = self.list_of(elements, &mut kinds)?;
        if self.environment.checked {
            self.check_clauses(at, text, elements, &kinds)?;
        }
        self.function(at, "format", true, vec![template, list])
    }

    fn check_clauses(&self, at: &Expression, template: &str, elements: &[(Expression, bool)], kinds: &[Type]) -> Planning<()> {
        let clauses = match clauses(template) {
            Ok(clauses) => clauses,
            Err(error) => return self.error(at, format!("the template of format cannot be read: {error}")),
        };
        if clauses.len() != kinds.len() {
            return self.error(at, format!("format has {} clauses and {} values", clauses.len(), kinds.len()));
        }
        for ((clause, kind), (element, _)) in clauses.iter().zip(kinds).zip(elements) {
            let kind = self.types.resolve(kind);
            if kind != Type::Dyn && !takes(*clause, &kind) {
                return self.error(element, format!("the clause for this value does not take {kind}"));
            }
        }
        Ok(())
    }
}

/// Whether a clause writes values of a type.
fn takes(clause: ClauseKind, kind: &Type) -> bool {
    match clause {
        ClauseKind::Text => !matches!(kind, Type::Optional(_) | Type::Opaque(_) | Type::Object(_)),
        ClauseKind::Whole => matches!(kind, Type::Int | Type::Uint),
        ClauseKind::Binary => matches!(kind, Type::Int | Type::Uint | Type::Bool),
        ClauseKind::Hexadecimal => matches!(kind, Type::Int | Type::Uint | Type::String | Type::Bytes),
        // A string may be "NaN" or "Infinity".
        ClauseKind::Floating => matches!(kind, Type::Double | Type::String),
    }
}
