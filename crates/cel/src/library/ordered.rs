//! `isGreaterThan`, `isLessThan` and `compareTo` of Kubernetes' ordered values.

use super::Context;
use crate::error::Outcome;
use crate::value::Value;
use std::cmp::Ordering;

/// An opaque value that has an order among its kind.
pub(super) trait Ordered: Sized {
    /// A value of this kind; another kind is no overload.
    fn of<'v>(value: Option<&'v Value<'_>>) -> Outcome<&'v Self>;

    fn order_to(&self, other: &Self) -> Ordering;
}

pub(super) fn greater<'a, T: Ordered>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    Ok(Value::Bool(order::<T>(arguments)?.is_gt()))
}

pub(super) fn less<'a, T: Ordered>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    Ok(Value::Bool(order::<T>(arguments)?.is_lt()))
}

pub(super) fn compare_to<'a, T: Ordered>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    Ok(Value::Int(order::<T>(arguments)? as i64))
}

fn order<T: Ordered>(arguments: &[Value<'_>]) -> Outcome<Ordering> {
    Ok(T::of(arguments.first())?.order_to(T::of(arguments.get(1))?))
}
