//! Lists as sets: since Kubernetes 1.29.

use super::{Context, Overload};
use crate::error::{EvaluationError, Outcome};
use crate::types::Signature::{self as S, Bool, List, Parameter};
use crate::value::{List as Elements, Value, equal};

const A: S = Parameter(0);

pub(super) static TABLE: &[Overload] = &[
    Overload::function("sets.contains", "list_sets_contains_list", &[List(&A), List(&A)], Bool, contains).since(29),
    Overload::function("sets.equivalent", "list_sets_equivalent_list", &[List(&A), List(&A)], Bool, equivalent).since(29),
    Overload::function("sets.intersects", "list_sets_intersects_list", &[List(&A), List(&A)], Bool, intersects).since(29),
];

fn has(list: &Elements<'_>, item: &Value<'_>, context: &mut Context<'_>) -> Outcome<bool> {
    for element in list.iter() {
        if equal(&element, item, context.meter)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn covers(list: &Elements<'_>, part: &Elements<'_>, context: &mut Context<'_>) -> Outcome<bool> {
    for item in part.iter() {
        if !has(list, &item, context)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn contains<'a>(arguments: &[Value<'a>], context: &mut Context<'_>) -> Outcome<Value<'a>> {
    let [Value::List(list), Value::List(part)] = arguments else { return Err(EvaluationError::no_overload()) };
    covers(list, part, context).map(Value::Bool)
}

fn equivalent<'a>(arguments: &[Value<'a>], context: &mut Context<'_>) -> Outcome<Value<'a>> {
    let [Value::List(a), Value::List(b)] = arguments else { return Err(EvaluationError::no_overload()) };
    Ok(Value::Bool(covers(a, b, context)? && covers(b, a, context)?))
}

fn intersects<'a>(arguments: &[Value<'a>], context: &mut Context<'_>) -> Outcome<Value<'a>> {
    let [Value::List(a), Value::List(b)] = arguments else { return Err(EvaluationError::no_overload()) };
    for item in a.iter() {
        if has(b, &item, context)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}
