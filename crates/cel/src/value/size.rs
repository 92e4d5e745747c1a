//! How large a value is, in the measure the cost model counts.

use super::{Opaque, Value};
use crate::cost::Meter;
use crate::error::{EvaluationError, Outcome};
use crate::limits::MAX_VALUE_DEPTH;

/// Code points, bytes, elements or entries; one for everything else.
pub(crate) fn size(value: &Value<'_>) -> u64 {
    match value {
        Value::String(text) => characters(text.as_str()),
        Value::Bytes(bytes) => bytes.len() as u64,
        Value::List(list) => list.len() as u64,
        Value::Map(map) => map.len() as u64,
        Value::Opaque(opaque) => match opaque.as_ref() {
            Opaque::Ip(address) => {
                if address.is_ipv4() { 4 } else { 16 }
            }
            Opaque::Cidr(cidr) => u64::from(cidr.length).div_ceil(8),
            _ => 1,
        },
        _ => 1,
    }
}

pub(crate) fn characters(text: &str) -> u64 {
    text.chars().count() as u64
}

/// What going through the whole value costs: strings by length, everything else one by one.
pub(crate) fn traversal(value: &Value<'_>, meter: &mut Meter) -> Outcome<u64> {
    traverse(value, meter, 0)
}

fn traverse(value: &Value<'_>, meter: &mut Meter, depth: usize) -> Outcome<u64> {
    meter.work(1)?;
    if depth > MAX_VALUE_DEPTH {
        return Err(EvaluationError::LimitExceeded("a value is nested too deep"));
    }
    Ok(match value {
        Value::String(text) => (text.as_str().len() as f64 * 0.1) as u64,
        Value::Bytes(bytes) => (bytes.len() as f64 * 0.1) as u64,
        Value::List(list) => {
            let mut cost = 0u64;
            for element in list.iter() {
                cost = cost.saturating_add(traverse(&element, meter, depth + 1)?);
            }
            cost
        }
        Value::Map(map) => {
            let mut cost = 0u64;
            for (key, element) in map.iter() {
                cost = cost.saturating_add(traverse(&key, meter, depth + 1)?);
                cost = cost.saturating_add(traverse(&element, meter, depth + 1)?);
            }
            cost
        }
        _ => 1,
    })
}
