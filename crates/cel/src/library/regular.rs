//! `matches`, `find`, `findAll`.

use super::{Context, Overload, Pattern};
use crate::error::{EvaluationError, Outcome};
use crate::types::Signature::{Bool, Int, List, String};
use crate::value::Value;

pub(super) static TABLE: &[Overload] = &[
    Overload::function("matches", "matches", &[String, String], Bool, matches),
    Overload::method("matches", "matches_string", &[String, String], Bool, matches),
    Overload::method("find", "string_find_string", &[String, String], String, find),
    Overload::method("findAll", "string_find_all_string", &[String, String], List(&String), find_all),
    Overload::method("findAll", "string_find_all_string_int", &[String, String, Int], List(&String), find_all),
];

/// Text, pattern, and the compiled pattern: the constant one, or one compiled now.
fn prepared<'v>(arguments: &'v [Value<'_>], context: &mut Context<'_>) -> Outcome<(&'v str, Pattern)> {
    let [Value::String(text), Value::String(pattern), ..] = arguments else { return Err(EvaluationError::no_overload()) };
    let compiled = match context.constant {
        Some(constant) => constant.clone(),
        None => context.patterns.get(pattern.as_str(), context.meter)?,
    };
    context.meter.work(text.as_str().len() as u64 / 16)?;
    Ok((text.as_str(), compiled))
}

fn matches<'a>(arguments: &[Value<'a>], context: &mut Context<'_>) -> Outcome<Value<'a>> {
    if let ([Value::String(text), _], Some(constant)) = (arguments, context.constant) {
        return Ok(Value::Bool(constant.matches(text.as_str())));
    }
    let (text, pattern) = prepared(arguments, context)?;
    Ok(Value::Bool(pattern.matches(text)))
}

fn find<'a>(arguments: &[Value<'a>], context: &mut Context<'_>) -> Outcome<Value<'a>> {
    let (text, pattern) = prepared(arguments, context)?;
    Ok(Value::string(pattern.find(text).unwrap_or_default()))
}

fn find_all<'a>(arguments: &[Value<'a>], context: &mut Context<'_>) -> Outcome<Value<'a>> {
    let limit = match arguments.get(2) {
        Some(Value::Int(limit)) => usize::try_from(*limit).unwrap_or(usize::MAX),
        Some(_) => return Err(EvaluationError::no_overload()),
        None => usize::MAX,
    };
    let (text, pattern) = prepared(arguments, context)?;
    let mut found = Vec::new();
    for part in pattern.find_all(text).take(limit) {
        context.meter.elements(1)?;
        context.meter.memory(part.len() as u64)?;
        found.push(Value::string(part));
    }
    Ok(Value::list(found))
}
