//! Strings: the standard functions and version 2 of cel-go's extension.

use super::{Context, Overload};
use crate::error::{EvaluationError, Outcome, fail};
use crate::types::Signature::{self as S, Bool, Int, List, String};
use crate::value::Value;

const fn of(function: &'static str, id: &'static str, parameters: &'static [S], result: S, run: super::Run) -> Overload {
    Overload::method(function, id, parameters, result, run)
}

pub(super) static TABLE: &[Overload] = &[
    of("startsWith", "starts_with_string", &[String, String], Bool, starts_with),
    of("endsWith", "ends_with_string", &[String, String], Bool, ends_with),
    of("contains", "contains_string", &[String, String], Bool, contains),
    of("charAt", "string_char_at_int", &[String, Int], String, char_at),
    of("indexOf", "string_index_of_string", &[String, String], Int, index_of),
    of("indexOf", "string_index_of_string_int", &[String, String, Int], Int, index_of),
    of("lastIndexOf", "string_last_index_of_string", &[String, String], Int, last_index_of),
    of("lastIndexOf", "string_last_index_of_string_int", &[String, String, Int], Int, last_index_of),
    of("lowerAscii", "string_lower_ascii", &[String], String, lower),
    of("upperAscii", "string_upper_ascii", &[String], String, upper),
    of("replace", "string_replace_string_string", &[String, String, String], String, replace),
    of("replace", "string_replace_string_string_int", &[String, String, String, Int], String, replace),
    of("split", "string_split_string", &[String, String], List(&String), split),
    of("split", "string_split_string_int", &[String, String, Int], List(&String), split),
    of("substring", "string_substring_int", &[String, Int], String, substring),
    of("substring", "string_substring_int_int", &[String, Int, Int], String, substring),
    of("trim", "string_trim", &[String], String, trim),
    of("join", "list_join", &[List(&String)], String, join),
    of("join", "list_join_string", &[List(&String), String], String, join),
    Overload::function("strings.quote", "strings_quote", &[String], String, quote).since(29),
];

fn range<'a>(index: i64) -> Outcome<Value<'a>> {
    fail(format!("index out of range: {index}"))
}

/// The two strings every function here begins with.
fn two<'v>(arguments: &'v [Value<'_>]) -> Outcome<(&'v str, &'v str)> {
    match arguments {
        [a, b, ..] => a.as_str().zip(b.as_str()).ok_or_else(EvaluationError::no_overload),
        _ => Err(EvaluationError::no_overload()),
    }
}

fn made<'a>(text: std::string::String, context: &mut Context<'_>) -> Outcome<Value<'a>> {
    context.meter.memory(text.len() as u64)?;
    Ok(Value::from(text))
}

/// Byte offset of a code point; the end is one past the last.
fn offset(text: &str, index: i64) -> Option<usize> {
    let index = usize::try_from(index).ok()?;
    text.char_indices().map(|(at, _)| at).chain([text.len()]).nth(index)
}

fn starts_with<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    two(arguments).map(|(text, part)| Value::Bool(text.starts_with(part)))
}

fn ends_with<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    two(arguments).map(|(text, part)| Value::Bool(text.ends_with(part)))
}

fn contains<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    two(arguments).map(|(text, part)| Value::Bool(text.contains(part)))
}

fn char_at<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    let [Value::String(text), Value::Int(index)] = arguments else { return Err(EvaluationError::no_overload()) };
    let text = text.as_str();
    match offset(text, *index).and_then(|at| text.get(at..)) {
        Some(rest) => Ok(Value::from(rest.chars().take(1).collect::<std::string::String>())),
        None => range(*index),
    }
}

/// Code points before a byte offset.
fn position(text: &str, at: usize) -> i64 {
    text.get(..at).map_or(0, |before| before.chars().count() as i64)
}

fn index_of<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    let (text, part) = two(arguments)?;
    let from = match arguments {
        [_, _, Value::Int(from)] => *from,
        [_, _] => 0,
        _ => return Err(EvaluationError::no_overload()),
    };
    if part.is_empty() {
        return Ok(Value::Int(from));
    }
    if from < 0 {
        return range(from);
    }
    let found = offset(text, from).and_then(|at| Some((at, text.get(at..)?.find(part)?)));
    Ok(Value::Int(found.map_or(-1, |(at, found)| position(text, at + found))))
}

fn last_index_of<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    let (text, part) = two(arguments)?;
    let last = match arguments {
        [_, _, Value::Int(last)] => Some(*last),
        [_, _] => None,
        _ => return Err(EvaluationError::no_overload()),
    };
    let length = text.chars().count() as i64;
    if part.is_empty() {
        return Ok(Value::Int(last.unwrap_or(length)));
    }
    if last.is_none() && text.len() < part.len() {
        return Ok(Value::Int(-1));
    }
    let last = last.unwrap_or(length - 1);
    if last < 0 {
        return range(last);
    }
    if last >= length {
        return Ok(Value::Int(-1));
    }
    // The part may begin at `last`, so it may reach that much further.
    let end = offset(text, last.saturating_add(part.chars().count() as i64)).unwrap_or(text.len());
    Ok(Value::Int(text.get(..end).and_then(|t| t.rfind(part)).map_or(-1, |at| position(text, at))))
}

fn lower<'a>(arguments: &[Value<'a>], context: &mut Context<'_>) -> Outcome<Value<'a>> {
    let [Value::String(text)] = arguments else { return Err(EvaluationError::no_overload()) };
    made(text.as_str().to_ascii_lowercase(), context)
}

fn upper<'a>(arguments: &[Value<'a>], context: &mut Context<'_>) -> Outcome<Value<'a>> {
    let [Value::String(text)] = arguments else { return Err(EvaluationError::no_overload()) };
    made(text.as_str().to_ascii_uppercase(), context)
}

fn trim<'a>(arguments: &[Value<'a>], context: &mut Context<'_>) -> Outcome<Value<'a>> {
    let [Value::String(text)] = arguments else { return Err(EvaluationError::no_overload()) };
    made(text.as_str().trim().to_owned(), context)
}

fn replace<'a>(arguments: &[Value<'a>], context: &mut Context<'_>) -> Outcome<Value<'a>> {
    let (text, from, to, limit) = match arguments {
        [Value::String(text), Value::String(from), Value::String(to)] => (text, from, to, -1),
        [Value::String(text), Value::String(from), Value::String(to), Value::Int(limit)] => (text, from, to, *limit),
        _ => return Err(EvaluationError::no_overload()),
    };
    let (text, from, to) = (text.as_str(), from.as_str(), to.as_str());
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let count = text.matches(from).take(limit).count();
    let length = text.len() as u64 + count as u64 * to.len() as u64;
    context.meter.memory(length)?;
    Ok(Value::from(text.replacen(from, to, count)))
}

fn split<'a>(arguments: &[Value<'a>], context: &mut Context<'_>) -> Outcome<Value<'a>> {
    let (text, separator, limit) = match arguments {
        [Value::String(text), Value::String(separator)] => (text, separator, -1),
        [Value::String(text), Value::String(separator), Value::Int(limit)] => (text, separator, *limit),
        _ => return Err(EvaluationError::no_overload()),
    };
    let (text, separator) = (text.as_str(), separator.as_str());
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut parts = Vec::new();
    let mut rest = text;
    while parts.len() < limit {
        let found = if separator.is_empty() {
            // Between all code points, none before the first and after the last.
            rest.char_indices().nth(1).map(|(at, _)| (at, at))
        } else {
            rest.find(separator).map(|at| (at, at + separator.len()))
        };
        let cut = found.filter(|_| parts.len() + 1 < limit);
        let (end, next) = cut.unwrap_or((rest.len(), rest.len()));
        if separator.is_empty() && rest.is_empty() {
            break;
        }
        context.meter.elements(1)?;
        context.meter.memory(end as u64)?;
        parts.push(Value::string(rest.get(..end).unwrap_or_default()));
        if cut.is_none() {
            break;
        }
        rest = rest.get(next..).unwrap_or_default();
    }
    Ok(Value::list(parts))
}

fn substring<'a>(arguments: &[Value<'a>], context: &mut Context<'_>) -> Outcome<Value<'a>> {
    let (text, start, end) = match arguments {
        [Value::String(text), Value::Int(start)] => (text, *start, None),
        [Value::String(text), Value::Int(start), Value::Int(end)] => (text, *start, Some(*end)),
        _ => return Err(EvaluationError::no_overload()),
    };
    let text = text.as_str();
    if end.is_some_and(|end| start > end) {
        return fail(format!("invalid substring range. start: {start}, end: {}", end.unwrap_or_default()));
    }
    let Some(from) = offset(text, start) else { return range(start) };
    let to = match end {
        None => text.len(),
        Some(end) => match offset(text, end) {
            Some(to) => to,
            None => return range(end),
        },
    };
    made(text.get(from..to).unwrap_or_default().to_owned(), context)
}

fn join<'a>(arguments: &[Value<'a>], context: &mut Context<'_>) -> Outcome<Value<'a>> {
    let (list, separator) = match arguments {
        [Value::List(list)] => (list, ""),
        [Value::List(list), Value::String(separator)] => (list, separator.as_str()),
        _ => return Err(EvaluationError::no_overload()),
    };
    let mut joined = std::string::String::new();
    for (i, element) in list.iter().enumerate() {
        let Value::String(text) = &element else { return fail(format!("join: invalid input: a {}", element.type_name())) };
        context.meter.memory((text.as_str().len() + separator.len()) as u64)?;
        if i > 0 {
            joined.push_str(separator);
        }
        joined.push_str(text.as_str());
    }
    Ok(Value::from(joined))
}

fn quote<'a>(arguments: &[Value<'a>], context: &mut Context<'_>) -> Outcome<Value<'a>> {
    let [Value::String(text)] = arguments else { return Err(EvaluationError::no_overload()) };
    let mut quoted = std::string::String::with_capacity(text.as_str().len() + 2);
    quoted.push('"');
    for c in text.as_str().chars() {
        match c {
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            '\\' => quoted.push_str("\\\\"),
            '"' => quoted.push_str("\\\""),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    made(quoted, context)
}
