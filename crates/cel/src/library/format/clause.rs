//! One formatting clause.

use crate::cost::Meter;
use crate::error::{EvaluationError, Outcome, fail};
use crate::library::conversions::text_of;
use crate::limits::MAX_VALUE_DEPTH;
use crate::value::Value;
use std::fmt::Write as _;

pub(super) enum Clause {
    Text,
    Decimal,
    Fixed(usize),
    /// The API server takes what is written as precision for the least width.
    Scientific(usize),
    Binary,
    Hexadecimal { upper: bool },
    Octal,
}

// === impl Clause ===

impl Clause {
    pub(super) fn write(&self, value: &Value<'_>, meter: &mut Meter) -> Outcome<String> {
        let unfit = |wanted: &str| fail(format!("{wanted}, was given {}", value.type_name()));
        match (self, value) {
            (Clause::Text, value) => text(value, meter),
            (Clause::Decimal, Value::Int(n)) => Ok(n.to_string()),
            (Clause::Decimal, Value::Uint(n)) => Ok(n.to_string()),
            (Clause::Decimal, _) => unfit("decimal clause can only be used on integers"),
            (Clause::Fixed(precision), value) => match double(value) {
                // Zero has no sign here.
                Some(n) if n.is_finite() => Ok(grouped(&format!("{:.precision$}", n + 0.0))),
                Some(n) => Ok(unbounded(n)),
                None => unfit("fixed-point clause can only be used on doubles"),
            },
            (Clause::Scientific(width), value) => match double(value) {
                Some(n) if n.is_finite() => Ok(scientific(n, *width)),
                Some(n) => Ok(unbounded(n)),
                None => unfit("scientific clause can only be used on doubles"),
            },
            (Clause::Binary, Value::Int(n)) => Ok(signed(*n, format!("{:b}", n.unsigned_abs()))),
            (Clause::Binary, Value::Uint(n)) => Ok(format!("{n:b}")),
            (Clause::Binary, Value::Bool(b)) => Ok(if *b { "1" } else { "0" }.into()),
            (Clause::Binary, _) => unfit("only integers and bools can be formatted as binary"),
            (Clause::Hexadecimal { upper }, value) => {
                let digits = match value {
                    Value::Int(n) => signed(*n, format!("{:x}", n.unsigned_abs())),
                    Value::Uint(n) => format!("{n:x}"),
                    Value::String(text) => hexadecimal(text.as_str().as_bytes()),
                    Value::Bytes(bytes) => hexadecimal(bytes),
                    _ => return unfit("only integers, byte buffers, and strings can be formatted as hex"),
                };
                Ok(if *upper { digits.to_ascii_uppercase() } else { digits })
            }
            (Clause::Octal, Value::Int(n)) => Ok(signed(*n, format!("{:o}", n.unsigned_abs()))),
            (Clause::Octal, Value::Uint(n)) => Ok(format!("{n:o}")),
            (Clause::Octal, _) => unfit("octal clause can only be used on integers"),
        }
    }
}

fn signed(number: i64, digits: String) -> String {
    if number < 0 { format!("-{digits}") } else { digits }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

fn double(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Double(n) => Some(*n),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

fn unbounded(number: f64) -> String {
    if number.is_nan() {
        return "NaN".into();
    }
    if number > 0.0 { "∞" } else { "-∞" }.into()
}

/// Digits before the point in groups of three, as English text has them.
fn grouped(number: &str) -> String {
    let (sign, number) = number.strip_prefix('-').map_or(("", number), |n| ("-", n));
    let (whole, fraction) = number.split_once('.').map_or((number, None), |(w, f)| (w, Some(f)));
    let mut out = String::from(sign);
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(fraction) = fraction {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

/// English scientific notation with six digits: `1.500000×10⁰³`.
fn scientific(number: f64, width: usize) -> String {
    // Zero has no sign here.
    let written = format!("{:.6e}", number + 0.0);
    let (mantissa, exponent) = written.split_once('e').unwrap_or((&written, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(("", exponent), |d| ("⁻", d));
    let raised: String =
        format!("{digits:0>2}").chars().map(|c| "⁰¹²³⁴⁵⁶⁷⁸⁹".chars().nth(c.to_digit(10).unwrap_or(0) as usize).unwrap_or(c)).collect();
    format!("{:>width$}", format!("{mantissa}×10{sign}{raised}"))
}

/// The `%s` clause.
fn text(value: &Value<'_>, meter: &mut Meter) -> Outcome<String> {
    match value {
        Value::Null => Ok("null".into()),
        Value::List(_) | Value::Map(_) => {
            let mut out = String::new();
            nested(value, &mut out, meter, 0)?;
            Ok(out)
        }
        Value::Optional(_) | Value::Opaque(_) => fail(format!(
            "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps, was given {}",
            value.type_name()
        )),
        other => text_of(other).ok_or_else(|| EvaluationError::failed("invalid UTF-8 in bytes, cannot convert to string")),
    }
}

/// A value inside a list or map: written as CEL would read it.
fn nested(value: &Value<'_>, out: &mut String, meter: &mut Meter, depth: usize) -> Outcome<()> {
    meter.memory(8)?;
    if depth > MAX_VALUE_DEPTH {
        return Err(EvaluationError::LimitExceeded("a value is nested too deep"));
    }
    match value {
        Value::List(list) => {
            out.push('[');
            for (i, element) in list.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                nested(&element, out, meter, depth + 1)?;
            }
            out.push(']');
        }
        Value::Map(map) => {
            let mut entries = Vec::with_capacity(map.len());
            for (key, element) in map.iter() {
                let (mut name, mut content) = (String::new(), String::new());
                nested(&key, &mut name, meter, depth + 1)?;
                nested(&element, &mut content, meter, depth + 1)?;
                meter.memory((name.len() + content.len()) as u64)?;
                entries.push((name, content));
            }
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            let joined: Vec<String> = entries.into_iter().map(|(name, content)| format!("{name}:{content}")).collect();
            let _ = write!(out, "{{{}}}", joined.join(", "));
        }
        Value::String(string) => quoted(string.as_str(), out, meter)?,
        Value::Bytes(bytes) => {
            out.push('b');
            let content = std::str::from_utf8(bytes).map_err(|_| EvaluationError::failed("invalid UTF-8 in bytes, cannot convert to string"))?;
            quoted(content, out, meter)?;
        }
        Value::Double(n) if n.is_finite() => {
            let _ = write!(out, "{n:.6}");
        }
        Value::Double(n) => {
            let _ = write!(out, "\"{}\"", if n.is_nan() { "NaN" } else if *n > 0.0 { "+Inf" } else { "-Inf" });
        }
        Value::Timestamp(_) => {
            let _ = write!(out, "timestamp(\"{}\")", text_of(value).unwrap_or_default());
        }
        Value::Duration(_) => {
            let _ = write!(out, "duration(\"{}\")", text_of(value).unwrap_or_default());
        }
        Value::Optional(_) | Value::Opaque(_) => return fail(format!("no formatting function for {}", value.type_name())),
        other => out.push_str(&text(other, meter)?),
    }
    Ok(())
}

/// A string in double quotes, control characters escaped.
fn quoted(text: &str, out: &mut String, meter: &mut Meter) -> Outcome<()> {
    meter.memory(text.len() as u64)?;
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\u{b}' => out.push_str("\\v"),
            c if c.is_control() => {
                let _ = if (c as u32) < 0x80 { write!(out, "\\x{:02x}", c as u32) } else { write!(out, "\\u{:04x}", c as u32) };
            }
            c => out.push(c),
        }
    }
    out.push('"');
    Ok(())
}
