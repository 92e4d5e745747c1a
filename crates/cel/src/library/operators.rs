//! Arithmetic, order, membership, `size`.

use super::{Context, Overload};
use crate::error::{EvaluationError, Outcome, fail};
use crate::types::Signature::{self as S, Bool, Bytes, Double, Duration, Dyn, Int, List, Map, Parameter, String, Timestamp, Uint};
use crate::value::{self, List as Elements, Value, compare};
use std::cmp::Ordering;

const A: S = Parameter(0);
const B: S = Parameter(1);

const fn binary(function: &'static str, id: &'static str, parameters: &'static [S], result: S, run: super::Run) -> Overload {
    Overload::function(function, id, parameters, result, run)
}

pub(super) static ARITHMETIC: &[Overload] = &[
    binary("_+_", "add_int64", &[Int, Int], Int, add),
    binary("_+_", "add_uint64", &[Uint, Uint], Uint, add),
    binary("_+_", "add_double", &[Double, Double], Double, add),
    binary("_+_", "add_string", &[String, String], String, add),
    binary("_+_", "add_bytes", &[Bytes, Bytes], Bytes, add),
    binary("_+_", "add_list", &[List(&A), List(&A)], List(&A), add),
    binary("_+_", "add_timestamp_duration", &[Timestamp, Duration], Timestamp, add),
    binary("_+_", "add_duration_timestamp", &[Duration, Timestamp], Timestamp, add),
    binary("_+_", "add_duration_duration", &[Duration, Duration], Duration, add),
    binary("_-_", "subtract_int64", &[Int, Int], Int, subtract),
    binary("_-_", "subtract_uint64", &[Uint, Uint], Uint, subtract),
    binary("_-_", "subtract_double", &[Double, Double], Double, subtract),
    binary("_-_", "subtract_timestamp_timestamp", &[Timestamp, Timestamp], Duration, subtract),
    binary("_-_", "subtract_timestamp_duration", &[Timestamp, Duration], Timestamp, subtract),
    binary("_-_", "subtract_duration_duration", &[Duration, Duration], Duration, subtract),
    binary("_*_", "multiply_int64", &[Int, Int], Int, multiply),
    binary("_*_", "multiply_uint64", &[Uint, Uint], Uint, multiply),
    binary("_*_", "multiply_double", &[Double, Double], Double, multiply),
    binary("_/_", "divide_int64", &[Int, Int], Int, divide),
    binary("_/_", "divide_uint64", &[Uint, Uint], Uint, divide),
    binary("_/_", "divide_double", &[Double, Double], Double, divide),
    binary("_%_", "modulo_int64", &[Int, Int], Int, modulo),
    binary("_%_", "modulo_uint64", &[Uint, Uint], Uint, modulo),
    binary("-_", "negate_int64", &[Int], Int, negate),
    binary("-_", "negate_double", &[Double], Double, negate),
];

/// The forms of one order operator.
macro_rules! order {
    ($function:literal, $name:literal, $run:ident) => {
        [
            binary($function, concat!($name, "_bool"), &[Bool, Bool], Bool, $run),
            binary($function, concat!($name, "_int64"), &[Int, Int], Bool, $run),
            binary($function, concat!($name, "_int64_double"), &[Int, Double], Bool, $run),
            binary($function, concat!($name, "_int64_uint64"), &[Int, Uint], Bool, $run),
            binary($function, concat!($name, "_uint64"), &[Uint, Uint], Bool, $run),
            binary($function, concat!($name, "_uint64_double"), &[Uint, Double], Bool, $run),
            binary($function, concat!($name, "_uint64_int64"), &[Uint, Int], Bool, $run),
            binary($function, concat!($name, "_double"), &[Double, Double], Bool, $run),
            binary($function, concat!($name, "_double_int64"), &[Double, Int], Bool, $run),
            binary($function, concat!($name, "_double_uint64"), &[Double, Uint], Bool, $run),
            binary($function, concat!($name, "_string"), &[String, String], Bool, $run),
            binary($function, concat!($name, "_bytes"), &[Bytes, Bytes], Bool, $run),
            binary($function, concat!($name, "_timestamp"), &[Timestamp, Timestamp], Bool, $run),
            binary($function, concat!($name, "_duration"), &[Duration, Duration], Bool, $run),
        ]
    };
}

static ORDERS: [[Overload; 14]; 4] = [
    order!("_<_", "less", less),
    order!("_<=_", "less_equals", less_or_equal),
    order!("_>_", "greater", greater),
    order!("_>=_", "greater_equals", greater_or_equal),
];

pub(super) static ORDER: &[Overload] = ORDERS.as_flattened();

pub(super) static OTHERS: &[Overload] = &[
    binary("!_", "logical_not", &[Bool], Bool, not),
    binary("@in", "in_list", &[A, List(&A)], Bool, contains),
    binary("@in", "in_map", &[A, Map(&A, &B)], Bool, contains),
    binary("size", "size_string", &[String], Int, size),
    binary("size", "size_bytes", &[Bytes], Int, size),
    binary("size", "size_list", &[List(&A)], Int, size),
    binary("size", "size_map", &[Map(&A, &B)], Int, size),
    Overload::method("size", "string_size", &[String], Int, size),
    Overload::method("size", "bytes_size", &[Bytes], Int, size),
    Overload::method("size", "list_size", &[List(&A)], Int, size),
    Overload::method("size", "map_size", &[Map(&A, &B)], Int, size),
    binary("dyn", "to_dyn", &[A], Dyn, same),
];

fn same<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    arguments.first().cloned().ok_or_else(EvaluationError::no_overload)
}

fn overflow(what: &str) -> EvaluationError {
    EvaluationError::failed(format!("{what} overflow"))
}

fn add<'a>(arguments: &[Value<'a>], context: &mut Context<'_>) -> Outcome<Value<'a>> {
    let [a, b] = arguments else { return Err(EvaluationError::no_overload()) };
    Ok(match (a, b) {
        (Value::Int(a), Value::Int(b)) => Value::Int(a.checked_add(*b).ok_or_else(|| overflow("integer"))?),
        (Value::Uint(a), Value::Uint(b)) => Value::Uint(a.checked_add(*b).ok_or_else(|| overflow("unsigned integer"))?),
        (Value::Double(a), Value::Double(b)) => Value::Double(a + b),
        (Value::String(a), Value::String(b)) => {
            let (a, b) = (a.as_str(), b.as_str());
            context.meter.memory((a.len() + b.len()) as u64)?;
            Value::string([a, b].concat())
        }
        (Value::Bytes(a), Value::Bytes(b)) => {
            context.meter.memory((a.len() + b.len()) as u64)?;
            Value::Bytes([a.as_ref(), b.as_ref()].concat().into())
        }
        (Value::List(a), Value::List(b)) => {
            if a.is_empty() {
                return Ok(Value::List(b.clone()));
            }
            if b.is_empty() {
                return Ok(Value::List(a.clone()));
            }
            context.meter.elements((a.len() + b.len()) as u64)?;
            Value::List(Elements::Shared(std::sync::Arc::new(a.iter().chain(b.iter()).collect())))
        }
        (Value::Timestamp(t), Value::Duration(d)) | (Value::Duration(d), Value::Timestamp(t)) => moved(*t, i128::from(d.nanoseconds()))?,
        (Value::Duration(a), Value::Duration(b)) => span(i128::from(a.nanoseconds()) + i128::from(b.nanoseconds()))?,
        _ => return Err(EvaluationError::no_overload()),
    })
}

/// A timestamp so many nanoseconds later.
fn moved<'a>(time: value::Timestamp, by: i128) -> Outcome<Value<'a>> {
    value::Timestamp::from_nanosecond(time.nanosecond() + by).map(Value::Timestamp).ok_or_else(|| overflow("timestamp"))
}

fn span<'a>(nanoseconds: i128) -> Outcome<Value<'a>> {
    let nanoseconds = i64::try_from(nanoseconds).map_err(|_| overflow("duration"))?;
    Ok(Value::Duration(value::Duration::from_nanoseconds(nanoseconds)))
}

fn subtract<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    Ok(match arguments {
        [Value::Int(a), Value::Int(b)] => Value::Int(a.checked_sub(*b).ok_or_else(|| overflow("integer"))?),
        [Value::Uint(a), Value::Uint(b)] => Value::Uint(a.checked_sub(*b).ok_or_else(|| overflow("unsigned integer"))?),
        [Value::Double(a), Value::Double(b)] => Value::Double(a - b),
        [Value::Timestamp(a), Value::Timestamp(b)] => span(a.nanosecond() - b.nanosecond())?,
        [Value::Timestamp(t), Value::Duration(d)] => moved(*t, -i128::from(d.nanoseconds()))?,
        [Value::Duration(a), Value::Duration(b)] => span(i128::from(a.nanoseconds()) - i128::from(b.nanoseconds()))?,
        _ => return Err(EvaluationError::no_overload()),
    })
}

fn multiply<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    Ok(match arguments {
        [Value::Int(a), Value::Int(b)] => Value::Int(a.checked_mul(*b).ok_or_else(|| overflow("integer"))?),
        [Value::Uint(a), Value::Uint(b)] => Value::Uint(a.checked_mul(*b).ok_or_else(|| overflow("unsigned integer"))?),
        [Value::Double(a), Value::Double(b)] => Value::Double(a * b),
        _ => return Err(EvaluationError::no_overload()),
    })
}

fn divide<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    Ok(match arguments {
        [Value::Int(_), Value::Int(0)] | [Value::Uint(_), Value::Uint(0)] => return fail("division by zero"),
        [Value::Int(a), Value::Int(b)] => Value::Int(a.checked_div(*b).ok_or_else(|| overflow("integer"))?),
        [Value::Uint(a), Value::Uint(b)] => Value::Uint(a.checked_div(*b).ok_or_else(|| overflow("unsigned integer"))?),
        [Value::Double(a), Value::Double(b)] => Value::Double(a / b),
        _ => return Err(EvaluationError::no_overload()),
    })
}

fn modulo<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    Ok(match arguments {
        [Value::Int(_), Value::Int(0)] | [Value::Uint(_), Value::Uint(0)] => return fail("modulus by zero"),
        [Value::Int(a), Value::Int(b)] => Value::Int(a.checked_rem(*b).ok_or_else(|| overflow("integer"))?),
        [Value::Uint(a), Value::Uint(b)] => Value::Uint(a.checked_rem(*b).ok_or_else(|| overflow("unsigned integer"))?),
        _ => return Err(EvaluationError::no_overload()),
    })
}

fn negate<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    Ok(match arguments {
        [Value::Int(a)] => Value::Int(a.checked_neg().ok_or_else(|| overflow("integer"))?),
        [Value::Double(a)] => Value::Double(-a),
        _ => return Err(EvaluationError::no_overload()),
    })
}

fn not<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    match arguments {
        [Value::Bool(a)] => Ok(Value::Bool(!a)),
        _ => Err(EvaluationError::no_overload()),
    }
}

/// The order of two values; `None` for NaN.
fn order(arguments: &[Value<'_>]) -> Outcome<Option<Ordering>> {
    let [a, b] = arguments else { return Err(EvaluationError::no_overload()) };
    let nan = |v: &Value<'_>| matches!(v, Value::Double(d) if d.is_nan());
    match compare(a, b) {
        Some(order) => Ok(Some(order)),
        None if nan(a) || nan(b) => Ok(None),
        None => Err(EvaluationError::no_overload()),
    }
}

fn less<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    Ok(Value::Bool(order(arguments)?.is_some_and(Ordering::is_lt)))
}

fn less_or_equal<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    Ok(Value::Bool(order(arguments)?.is_some_and(Ordering::is_le)))
}

fn greater<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    Ok(Value::Bool(order(arguments)?.is_some_and(Ordering::is_gt)))
}

fn greater_or_equal<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    Ok(Value::Bool(order(arguments)?.is_some_and(Ordering::is_ge)))
}

fn contains<'a>(arguments: &[Value<'a>], context: &mut Context<'_>) -> Outcome<Value<'a>> {
    match arguments {
        [item, Value::List(list)] => {
            for element in list.iter() {
                if value::equal(&element, item, context.meter)? {
                    return Ok(Value::Bool(true));
                }
            }
            Ok(Value::Bool(false))
        }
        [key, Value::Map(map)] => Ok(Value::Bool(map.get(key).is_some())),
        _ => Err(EvaluationError::no_overload()),
    }
}

fn size<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    match arguments {
        [value @ (Value::String(_) | Value::Bytes(_) | Value::List(_) | Value::Map(_))] => Ok(Value::Int(value::size(value) as i64)),
        _ => Err(EvaluationError::no_overload()),
    }
}
