//! Conversions between types, and `type()`.

use super::{Context, Overload};
use crate::error::{EvaluationError, Outcome, fail};
use crate::library::times;
use crate::types::Signature::{self as S, Bool, Bytes, Double, Duration, Int, Opaque, Parameter, String, Timestamp, Type, Uint};
use crate::value::{self, Value};

const fn of(function: &'static str, id: &'static str, from: &'static [S], to: S, run: super::Run) -> Overload {
    Overload::function(function, id, from, to, run)
}

pub(super) static TABLE: &[Overload] = &[
    of("bool", "bool_to_bool", &[Bool], Bool, bool),
    of("bool", "string_to_bool", &[String], Bool, bool),
    of("bytes", "bytes_to_bytes", &[Bytes], Bytes, bytes),
    of("bytes", "string_to_bytes", &[String], Bytes, bytes),
    of("double", "double_to_double", &[Double], Double, double),
    of("double", "int64_to_double", &[Int], Double, double),
    of("double", "string_to_double", &[String], Double, double),
    of("double", "uint64_to_double", &[Uint], Double, double),
    of("int", "int64_to_int64", &[Int], Int, int),
    of("int", "double_to_int64", &[Double], Int, int),
    of("int", "string_to_int64", &[String], Int, int),
    of("int", "timestamp_to_int64", &[Timestamp], Int, int),
    of("int", "duration_to_int64", &[Duration], Int, int),
    of("int", "uint64_to_int64", &[Uint], Int, int),
    of("uint", "uint64_to_uint64", &[Uint], Uint, uint),
    of("uint", "double_to_uint64", &[Double], Uint, uint),
    of("uint", "int64_to_uint64", &[Int], Uint, uint),
    of("uint", "string_to_uint64", &[String], Uint, uint),
    of("string", "string_to_string", &[String], String, string),
    of("string", "bool_to_string", &[Bool], String, string),
    of("string", "bytes_to_string", &[Bytes], String, string),
    of("string", "double_to_string", &[Double], String, string),
    of("string", "duration_to_string", &[Duration], String, string),
    of("string", "int64_to_string", &[Int], String, string),
    of("string", "timestamp_to_string", &[Timestamp], String, string),
    of("string", "uint64_to_string", &[Uint], String, string),
    of("string", "ip_to_string", &[Opaque("net.IP")], String, string).since(30),
    of("string", "cidr_to_string", &[Opaque("net.CIDR")], String, string).since(30),
    of("type", "type", &[Parameter(0)], Type, kind),
    of("duration", "duration_to_duration", &[Duration], Duration, times::duration),
    of("duration", "string_to_duration", &[String], Duration, times::duration),
    of("timestamp", "timestamp_to_timestamp", &[Timestamp], Timestamp, times::timestamp),
    of("timestamp", "string_to_timestamp", &[String], Timestamp, times::timestamp),
    of("timestamp", "int64_to_timestamp", &[Int], Timestamp, times::timestamp),
];

fn range<'a>() -> Outcome<Value<'a>> {
    fail("range error: the number does not fit")
}

fn unreadable<'a>(to: &str) -> Outcome<Value<'a>> {
    fail(format!("type conversion error from 'string' to '{to}'"))
}

fn bool<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    match arguments {
        [Value::Bool(value)] => Ok(Value::Bool(*value)),
        [Value::String(text)] => match text.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
            _ => unreadable("bool"),
        },
        _ => Err(EvaluationError::no_overload()),
    }
}

fn bytes<'a>(arguments: &[Value<'a>], context: &mut Context<'_>) -> Outcome<Value<'a>> {
    match arguments {
        [Value::Bytes(value)] => Ok(Value::Bytes(value.clone())),
        [Value::String(text)] => {
            context.meter.memory(text.as_str().len() as u64)?;
            Ok(Value::Bytes(text.as_str().as_bytes().into()))
        }
        _ => Err(EvaluationError::no_overload()),
    }
}

fn double<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    Ok(Value::Double(match arguments {
        [Value::Double(value)] => *value,
        [Value::Int(value)] => *value as f64,
        [Value::Uint(value)] => *value as f64,
        [Value::String(text)] => match text.as_str().parse::<f64>() {
            // A finite text that gives no finite number is out of range.
            Ok(value) if value.is_infinite() && text.as_str().contains(|c: char| c.is_ascii_digit()) => return range(),
            Ok(value) => value,
            Err(_) => return unreadable("double"),
        },
        _ => return Err(EvaluationError::no_overload()),
    }))
}

fn int<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    Ok(Value::Int(match arguments {
        [Value::Int(value)] => *value,
        [Value::Uint(value)] => match i64::try_from(*value) {
            Ok(value) => value,
            Err(_) => return range(),
        },
        // The ends of the range are left out: not every number near them is a double.
        [Value::Double(value)] if value.is_finite() && *value > i64::MIN as f64 && *value < i64::MAX as f64 => *value as i64,
        [Value::Double(_)] => return range(),
        [Value::String(text)] => match text.as_str().parse::<i64>() {
            Ok(value) => value,
            Err(_) => return unreadable("int"),
        },
        [Value::Timestamp(time)] => time.second(),
        [Value::Duration(duration)] => duration.nanoseconds(),
        _ => return Err(EvaluationError::no_overload()),
    }))
}

fn uint<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    Ok(Value::Uint(match arguments {
        [Value::Uint(value)] => *value,
        [Value::Int(value)] => match u64::try_from(*value) {
            Ok(value) => value,
            Err(_) => return range(),
        },
        [Value::Double(value)] if value.is_finite() && *value >= 0.0 && *value < u64::MAX as f64 => *value as u64,
        [Value::Double(_)] => return range(),
        [Value::String(text)] if text.as_str().starts_with('+') => return unreadable("uint"),
        [Value::String(text)] => match text.as_str().parse::<u64>() {
            Ok(value) => value,
            Err(_) => return unreadable("uint"),
        },
        _ => return Err(EvaluationError::no_overload()),
    }))
}

fn string<'a>(arguments: &[Value<'a>], context: &mut Context<'_>) -> Outcome<Value<'a>> {
    match arguments {
        [Value::String(text)] => Ok(Value::String(text.clone())),
        [Value::Bytes(bytes)] => {
            context.meter.memory(bytes.len() as u64)?;
            match std::str::from_utf8(bytes) {
                Ok(text) => Ok(Value::string(text)),
                Err(_) => fail("invalid UTF-8 in bytes, cannot convert to string"),
            }
        }
        [value] => text_of(value).map(Value::from).ok_or_else(EvaluationError::no_overload),
        _ => Err(EvaluationError::no_overload()),
    }
}

/// What `string()` gives for everything but lists and maps.
pub(crate) fn text_of(value: &Value<'_>) -> Option<std::string::String> {
    Some(match value {
        Value::String(text) => text.as_str().to_owned(),
        Value::Bytes(bytes) => std::str::from_utf8(bytes).ok()?.to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Uint(value) => value.to_string(),
        Value::Double(value) => shortest(*value),
        Value::Timestamp(time) => times::timestamp_text(*time),
        Value::Duration(duration) => times::duration_text(*duration),
        Value::Type(name) => name.to_string(),
        Value::Opaque(opaque) => match opaque.as_ref() {
            value::Opaque::Ip(address) => address.to_string(),
            value::Opaque::Cidr(cidr) => cidr.to_string(),
            _ => return None,
        },
        _ => return None,
    })
}

/// A double as the API server's CEL writes it: shortest digits that give the same number, with an
/// exponent below 1e-4 and from 1e6 on.
pub(crate) fn shortest(value: f64) -> std::string::String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.into();
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value != 0.0 && !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    format!("{value}")
}

fn kind<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    match arguments {
        [value] => Ok(Value::Type(value.type_name().into())),
        _ => Err(EvaluationError::no_overload()),
    }
}
