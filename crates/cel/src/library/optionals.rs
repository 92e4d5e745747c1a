//! Optional values: since Kubernetes 1.28. `or` and `orValue` look at their second side only when
//! needed and are part of the evaluator.

use super::{Context, Overload};
use crate::error::{EvaluationError, Outcome, fail};
use crate::types::Signature::{self as S, Bool, List, Optional, Parameter};
use crate::value::Value;

const A: S = Parameter(0);

pub(super) static TABLE: &[Overload] = &[
    Overload::function("optional.of", "optional_of", &[A], Optional(&A), of).since(28),
    Overload::function("optional.ofNonZeroValue", "optional_ofNonZeroValue", &[A], Optional(&A), of_non_zero).since(28),
    Overload::function("optional.none", "optional_none", &[], Optional(&A), none).since(28),
    Overload::method("value", "optional_value", &[Optional(&A)], A, value).since(28),
    Overload::method("hasValue", "optional_hasValue", &[Optional(&A)], Bool, has_value).since(28),
    Overload::method("or", "optional_or_optional", &[Optional(&A), Optional(&A)], Optional(&A), or).since(28),
    Overload::method("orValue", "optional_orValue_value", &[Optional(&A), A], A, or_value).since(28),
    Overload::method("first", "list_first", &[List(&A)], Optional(&A), first).since(34),
    Overload::method("last", "list_last", &[List(&A)], Optional(&A), last).since(34),
    Overload::function("optional.unwrap", "optional_unwrap", &[List(&Optional(&A))], List(&A), unwrap).since(34),
    Overload::method("unwrapOpt", "optional_unwrapOpt", &[List(&Optional(&A))], List(&A), unwrap).since(34),
];

fn of<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    arguments.first().cloned().map(Value::some).ok_or_else(EvaluationError::no_overload)
}

fn of_non_zero<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    match arguments {
        [value] if value.is_zero() => Ok(Value::NONE),
        [value] => Ok(Value::some(value.clone())),
        _ => Err(EvaluationError::no_overload()),
    }
}

fn none<'a>(_: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    Ok(Value::NONE)
}

fn value<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    match arguments {
        [Value::Optional(Some(inner))] => Ok(inner.as_ref().clone()),
        [Value::Optional(None)] => fail("optional.none() dereference"),
        _ => Err(EvaluationError::no_overload()),
    }
}

fn has_value<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    match arguments {
        [Value::Optional(inner)] => Ok(Value::Bool(inner.is_some())),
        _ => Err(EvaluationError::no_overload()),
    }
}

fn or<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    match arguments {
        [some @ Value::Optional(Some(_)), _] => Ok(some.clone()),
        [Value::Optional(None), other @ Value::Optional(_)] => Ok(other.clone()),
        _ => Err(EvaluationError::no_overload()),
    }
}

fn or_value<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    match arguments {
        [Value::Optional(Some(inner)), _] => Ok(inner.as_ref().clone()),
        [Value::Optional(None), other] => Ok(other.clone()),
        _ => Err(EvaluationError::no_overload()),
    }
}

fn at<'a>(list: Option<Value<'a>>) -> Value<'a> {
    list.map_or(Value::NONE, Value::some)
}

fn first<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    match arguments {
        [Value::List(list)] => Ok(at(list.get(0))),
        _ => Err(EvaluationError::no_overload()),
    }
}

fn last<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    match arguments {
        [Value::List(list)] => Ok(at(list.len().checked_sub(1).and_then(|i| list.get(i)))),
        _ => Err(EvaluationError::no_overload()),
    }
}

fn unwrap<'a>(arguments: &[Value<'a>], context: &mut Context<'_>) -> Outcome<Value<'a>> {
    let [Value::List(list)] = arguments else { return Err(EvaluationError::no_overload()) };
    let mut values = Vec::new();
    for element in list.iter() {
        match element {
            Value::Optional(Some(inner)) => {
                context.meter.elements(1)?;
                values.push(inner.as_ref().clone());
            }
            Value::Optional(None) => {}
            other => return fail(format!("value {} is not optional", other.type_name())),
        }
    }
    Ok(Value::list(values))
}
