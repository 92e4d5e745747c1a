//! Equality and order.

use super::{Opaque, Value};
use crate::cost::Meter;
use crate::error::{EvaluationError, Outcome};
use crate::limits::MAX_VALUE_DEPTH;
use std::cmp::Ordering;

/// Whether one value is the other, as searches ask: what cannot be compared is not.
pub(crate) fn equal(a: &Value<'_>, b: &Value<'_>, meter: &mut Meter) -> Outcome<bool> {
    unless_failed(same(a, b, meter, 0), false)
}

/// Whether two values are equal. Values of different kinds are not, numbers are compared as numbers;
/// Kubernetes' own values cannot be compared with others, which is a failure. Inside of lists and
/// maps such a failure counts as equal, as in the API server.
pub(crate) fn strictly_equal(a: &Value<'_>, b: &Value<'_>, meter: &mut Meter) -> Outcome<bool> {
    same(a, b, meter, 0)
}

fn unless_failed(result: Outcome<bool>, otherwise: bool) -> Outcome<bool> {
    match result {
        Err(error) if error.absorbable() => Ok(otherwise),
        result => result,
    }
}

fn same(a: &Value<'_>, b: &Value<'_>, meter: &mut Meter, depth: usize) -> Outcome<bool> {
    meter.work(1)?;
    if depth > MAX_VALUE_DEPTH {
        return Err(EvaluationError::LimitExceeded("a value is nested too deep"));
    }
    Ok(match (a, b) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::String(a), Value::String(b)) => {
            meter.work(a.as_str().len() as u64 / 64)?;
            a == b
        }
        (Value::Bytes(a), Value::Bytes(b)) => {
            meter.work(a.len() as u64 / 64)?;
            a == b
        }
        (Value::Timestamp(a), Value::Timestamp(b)) => a == b,
        (Value::Duration(a), Value::Duration(b)) => a == b,
        (Value::Type(a), Value::Type(b)) => a == b,
        (Value::Optional(a), Value::Optional(b)) => match (a, b) {
            (None, None) => true,
            (Some(a), Some(b)) => same(a, b, meter, depth + 1)?,
            _ => false,
        },
        (Value::List(a), Value::List(b)) => {
            if a.len() != b.len() {
                return Ok(false);
            }
            for (a, b) in a.iter().zip(b.iter()) {
                if !unless_failed(same(&a, &b, meter, depth + 1), true)? {
                    return Ok(false);
                }
            }
            true
        }
        (Value::Map(a), Value::Map(b)) => {
            if a.len() != b.len() {
                return Ok(false);
            }
            for (key, left) in a.iter() {
                match b.get(&key) {
                    Some(right) if unless_failed(same(&left, &right, meter, depth + 1), true)? => {}
                    _ => return Ok(false),
                }
            }
            true
        }
        (Value::Opaque(_), Value::Null) => false,
        (Value::Opaque(a), Value::Opaque(b)) => return Opaque::equal(a, b),
        (Value::Opaque(_), _) => return Err(EvaluationError::no_overload()),
        _ => numbers(a, b) == Some(Some(Ordering::Equal)),
    })
}

/// The order of two values of one kind, or of two numbers; `None` when they have none.
pub(crate) fn compare(a: &Value<'_>, b: &Value<'_>) -> Option<Ordering> {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::String(a), Value::String(b)) => Some(a.as_str().cmp(b.as_str())),
        (Value::Bytes(a), Value::Bytes(b)) => Some(a.cmp(b)),
        (Value::Timestamp(a), Value::Timestamp(b)) => Some(a.cmp(b)),
        (Value::Duration(a), Value::Duration(b)) => Some(a.cmp(b)),
        _ => numbers(a, b)?,
    }
}

/// `None` when one of them is no number, `Some(None)` when one is NaN.
fn numbers(a: &Value<'_>, b: &Value<'_>) -> Option<Option<Ordering>> {
    Some(match (a, b) {
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
        (Value::Double(a), other) => against(*a, whole(other)?),
        (other, Value::Double(b)) => against(*b, whole(other)?).map(Ordering::reverse),
        _ => Some(whole(a)?.cmp(&whole(b)?)),
    })
}

fn whole(value: &Value<'_>) -> Option<i128> {
    match value {
        Value::Int(value) => Some(i128::from(*value)),
        Value::Uint(value) => Some(i128::from(*value)),
        _ => None,
    }
}

/// A double against a whole number. Beyond the range of whole numbers the side decides; within it
/// the whole number is compared as a double, as the API server's CEL does.
fn against(double: f64, whole: i128) -> Option<Ordering> {
    double.partial_cmp(&(whole as f64))
}
