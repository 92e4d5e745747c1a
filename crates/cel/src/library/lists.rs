//! Kubernetes' list functions: `isSorted`, `sum`, `min`, `max`, `indexOf`, `lastIndexOf`.

use super::{Context, Overload};
use crate::error::{EvaluationError, Outcome, fail};
use crate::types::Signature::{self as S, Bool, Bytes, Double, Duration, Int, List, Parameter, String, Timestamp, Uint};
use crate::value::{self, Value, compare, equal};

const A: S = Parameter(0);

/// A function over lists of each comparable type; `$result` is the list's element or a fixed type.
macro_rules! comparable {
    ($function:literal, $suffix:literal, $run:ident, $($result:ident)?) => {
        [
            comparable!(@one $function, concat!("list_int_", $suffix), Int, $run, $($result)?),
            comparable!(@one $function, concat!("list_uint_", $suffix), Uint, $run, $($result)?),
            comparable!(@one $function, concat!("list_double_", $suffix), Double, $run, $($result)?),
            comparable!(@one $function, concat!("list_bool_", $suffix), Bool, $run, $($result)?),
            comparable!(@one $function, concat!("list_duration_", $suffix), Duration, $run, $($result)?),
            comparable!(@one $function, concat!("list_timestamp_", $suffix), Timestamp, $run, $($result)?),
            comparable!(@one $function, concat!("list_string_", $suffix), String, $run, $($result)?),
            comparable!(@one $function, concat!("list_bytes_", $suffix), Bytes, $run, $($result)?),
        ]
    };
    (@one $function:literal, $id:expr, $element:ident, $run:ident, $result:ident) => {
        Overload::method($function, $id, &[List(&$element)], $result, $run)
    };
    (@one $function:literal, $id:expr, $element:ident, $run:ident,) => {
        Overload::method($function, $id, &[List(&$element)], $element, $run)
    };
}

static COMPARABLE: [[Overload; 8]; 3] = [
    comparable!("isSorted", "is_sorted_bool", is_sorted, Bool),
    comparable!("min", "min", min,),
    comparable!("max", "max", max,),
];

pub(super) static TABLE: &[Overload] = COMPARABLE.as_flattened();

pub(super) static OTHERS: &[Overload] = &[
    Overload::method("sum", "list_int_sum_int", &[List(&Int)], Int, sum),
    Overload::method("sum", "list_uint_sum_uint", &[List(&Uint)], Uint, sum),
    Overload::method("sum", "list_double_sum_double", &[List(&Double)], Double, sum),
    Overload::method("sum", "list_duration_sum_duration", &[List(&Duration)], Duration, sum),
    Overload::method("indexOf", "list_a_index_of_int", &[List(&A), A], Int, index_of),
    Overload::method("lastIndexOf", "list_a_last_index_of_int", &[List(&A), A], Int, last_index_of),
];

/// A value that has an order at all.
fn orderable(value: &Value<'_>) -> Outcome<()> {
    match value {
        Value::Null | Value::List(_) | Value::Map(_) | Value::Type(_) | Value::Optional(_) | Value::Opaque(_) => {
            Err(EvaluationError::no_overload())
        }
        _ => Ok(()),
    }
}

fn is_sorted<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    let [Value::List(list)] = arguments else { return Err(EvaluationError::no_overload()) };
    let mut previous: Option<Value<'a>> = None;
    for element in list.iter() {
        orderable(&element)?;
        // Neighbours of different kinds have no order and count as sorted.
        if previous.as_ref().and_then(|p| compare(p, &element)).is_some_and(|o| o.is_gt()) {
            return Ok(Value::Bool(false));
        }
        previous = Some(element);
    }
    Ok(Value::Bool(true))
}

/// The element that comes first in an order.
fn extreme<'a>(arguments: &[Value<'a>], name: &str, wanted: std::cmp::Ordering) -> Outcome<Value<'a>> {
    let [Value::List(list)] = arguments else { return Err(EvaluationError::no_overload()) };
    let mut best: Option<Value<'a>> = None;
    for element in list.iter() {
        orderable(&element)?;
        let better = best.as_ref().is_none_or(|best| compare(&element, best) == Some(wanted));
        if better {
            best = Some(element);
        }
    }
    best.map_or_else(|| fail(format!("{name} called on empty list")), Ok)
}

fn min<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    extreme(arguments, "min", std::cmp::Ordering::Less)
}

fn max<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    extreme(arguments, "max", std::cmp::Ordering::Greater)
}

fn sum<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    let [Value::List(list)] = arguments else { return Err(EvaluationError::no_overload()) };
    let overflow = || EvaluationError::failed("integer overflow");
    let mut total: Option<Value<'a>> = None;
    for element in list.iter() {
        total = Some(match (total, element) {
            (None, first @ (Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::Duration(_))) => first,
            (Some(Value::Int(a)), Value::Int(b)) => Value::Int(a.checked_add(b).ok_or_else(overflow)?),
            (Some(Value::Uint(a)), Value::Uint(b)) => Value::Uint(a.checked_add(b).ok_or_else(overflow)?),
            (Some(Value::Double(a)), Value::Double(b)) => Value::Double(a + b),
            (Some(Value::Duration(a)), Value::Duration(b)) => {
                let nanoseconds = a.nanoseconds().checked_add(b.nanoseconds()).ok_or_else(overflow)?;
                Value::Duration(value::Duration::from_nanoseconds(nanoseconds))
            }
            _ => return Err(EvaluationError::no_overload()),
        });
    }
    Ok(total.unwrap_or(Value::Int(0)))
}

fn index_of<'a>(arguments: &[Value<'a>], context: &mut Context<'_>) -> Outcome<Value<'a>> {
    let [Value::List(list), item] = arguments else { return Err(EvaluationError::no_overload()) };
    for (i, element) in list.iter().enumerate() {
        if equal(&element, item, context.meter)? {
            return Ok(Value::Int(i as i64));
        }
    }
    Ok(Value::Int(-1))
}

fn last_index_of<'a>(arguments: &[Value<'a>], context: &mut Context<'_>) -> Outcome<Value<'a>> {
    let [Value::List(list), item] = arguments else { return Err(EvaluationError::no_overload()) };
    for i in (0..list.len()).rev() {
        if let Some(element) = list.get(i)
            && equal(&element, item, context.meter)? {
                return Ok(Value::Int(i as i64));
            }
    }
    Ok(Value::Int(-1))
}
