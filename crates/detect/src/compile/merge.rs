//! Alternatives of one field, asked together: `a contains x or a contains y or …`.

use crate::condition::{Check, Expression, Literal, Operand, Operator, Quantifier, Right};
use std::borrow::Cow;

/// Fewer are not worth it.
const ENOUGH: usize = 3;

/// The parts of an `or`, with text comparisons of the same field and operator made one `anyof`.
/// Their place in the order does not matter: comparisons have no effects.
pub(super) fn alternatives(parts: &[Expression]) -> Cow<'_, [Expression]> {
    let mut groups: Vec<(&Operand, Operator, Vec<Literal>)> = Vec::new();
    for check in parts.iter().filter_map(single) {
        let Right::Value(value) = &check.right else { continue };
        match groups.iter_mut().find(|(left, operator, _)| **left == check.left && *operator == check.operator) {
            Some((.., values)) => values.push(value.clone()),
            None => groups.push((&check.left, check.operator, vec![value.clone()])),
        }
    }
    groups.retain(|(.., values)| values.len() >= ENOUGH);
    if groups.is_empty() {
        return Cow::Borrowed(parts);
    }
    let grouped = |check: &Check| groups.iter().any(|(left, operator, _)| **left == check.left && *operator == check.operator);
    let mut out: Vec<Expression> = parts.iter().filter(|p| !single(p).is_some_and(grouped)).cloned().collect();
    for (left, operator, values) in groups {
        out.push(Expression::Check(Check { left: left.clone(), operator, quantifier: Some(Quantifier::Any), right: Right::List(values) }));
    }
    Cow::Owned(out)
}

/// A comparison that may be joined with others.
fn single(part: &Expression) -> Option<&Check> {
    let Expression::Check(check) = part else { return None };
    let joins = matches!(check.operator, Operator::Contains | Operator::ContainsIgnoringCase | Operator::StartsWith);
    (joins && check.quantifier.is_none()).then_some(check)
}
