//! cel-go's list extension, version 3: since Kubernetes 1.34.

use super::{Context, Overload};
use crate::error::{EvaluationError, Outcome, fail};
use crate::limits::MAX_DEPTH;
use crate::types::Signature::{self as S, Bool, Bytes, Double, Duration, Dyn, Int, List, Parameter, String, Timestamp, Uint};
use crate::value::{self, Value, compare, equal};
use std::cmp::Ordering;

const A: S = Parameter(0);

const fn of(function: &'static str, id: &'static str, parameters: &'static [S], result: S, run: super::Run) -> Overload {
    Overload::method(function, id, parameters, result, run).since(34)
}

/// The forms of a sort, by the type of what is compared.
macro_rules! sorts {
    ($($element:ident $name:literal),*) => {
        [$([
            of("sort", concat!("list_", $name, "_sort"), &[List(&$element)], List(&$element), sort),
            of("@sortByAssociatedKeys", concat!("list_", $name, "_sortByAssociatedKeys"), &[List(&A), List(&$element)], List(&A), sort_by),
        ]),*]
    };
}

static SORTS: [[Overload; 2]; 8] = sorts!(Int "int", Uint "uint", Double "double", Bool "bool", Duration "duration",
    Timestamp "timestamp", String "string", Bytes "bytes");

pub(super) static SORTING: &[Overload] = SORTS.as_flattened();

pub(super) static TABLE: &[Overload] = &[
    of("slice", "list_slice", &[List(&A), Int, Int], List(&A), slice),
    of("flatten", "list_flatten", &[List(&List(&A))], List(&A), flatten),
    of("flatten", "list_flatten_int", &[List(&Dyn), Int], List(&Dyn), flatten),
    of("reverse", "list_reverse", &[List(&A)], List(&A), reverse),
    of("distinct", "list_distinct", &[List(&A)], List(&A), distinct),
    Overload::function("lists.range", "lists_range", &[Int], List(&Int), range).since(34),
];

fn the_list<'v, 'a>(arguments: &'v [Value<'a>]) -> Outcome<&'v value::List<'a>> {
    match arguments.first() {
        Some(Value::List(list)) => Ok(list),
        _ => Err(EvaluationError::no_overload()),
    }
}

fn slice<'a>(arguments: &[Value<'a>], context: &mut Context<'_>) -> Outcome<Value<'a>> {
    let [Value::List(list), Value::Int(start), Value::Int(end)] = arguments else { return Err(EvaluationError::no_overload()) };
    let (Ok(from), Ok(to)) = (usize::try_from(*start), usize::try_from(*end)) else {
        return fail(format!("cannot slice({start}, {end}), negative indexes not supported"));
    };
    if from > to {
        return fail(format!("cannot slice({start}, {end}), start index must be less than or equal to end index"));
    }
    if list.len() < to {
        return fail(format!("cannot slice({start}, {end}), list is length {}", list.len()));
    }
    context.meter.elements((to - from) as u64)?;
    Ok(Value::list((from..to).filter_map(|i| list.get(i)).collect()))
}

fn flatten<'a>(arguments: &[Value<'a>], context: &mut Context<'_>) -> Outcome<Value<'a>> {
    let list = the_list(arguments)?;
    let depth = match arguments.get(1) {
        None => 1,
        Some(Value::Int(depth)) if *depth >= 0 => usize::try_from(*depth).unwrap_or(MAX_DEPTH).min(MAX_DEPTH),
        Some(Value::Int(_)) => return fail("level must be non-negative"),
        Some(_) => return Err(EvaluationError::no_overload()),
    };
    let mut flat = Vec::new();
    level(list, depth, &mut flat, context)?;
    Ok(Value::list(flat))
}

fn level<'a>(list: &value::List<'a>, depth: usize, flat: &mut Vec<Value<'a>>, context: &mut Context<'_>) -> Outcome<()> {
    for element in list.iter() {
        match element {
            Value::List(inner) if depth > 0 => level(&inner, depth - 1, flat, context)?,
            other => {
                context.meter.elements(1)?;
                flat.push(other);
            }
        }
    }
    Ok(())
}

fn reverse<'a>(arguments: &[Value<'a>], context: &mut Context<'_>) -> Outcome<Value<'a>> {
    let list = the_list(arguments)?;
    context.meter.elements(list.len() as u64)?;
    Ok(Value::list((0..list.len()).rev().filter_map(|i| list.get(i)).collect()))
}

fn distinct<'a>(arguments: &[Value<'a>], context: &mut Context<'_>) -> Outcome<Value<'a>> {
    let list = the_list(arguments)?;
    let mut kept: Vec<Value<'a>> = Vec::new();
    for element in list.iter() {
        let mut seen = false;
        for other in &kept {
            if equal(&element, other, context.meter)? {
                seen = true;
                break;
            }
        }
        if !seen {
            context.meter.elements(1)?;
            kept.push(element);
        }
    }
    Ok(Value::list(kept))
}

fn range<'a>(arguments: &[Value<'a>], context: &mut Context<'_>) -> Outcome<Value<'a>> {
    let [Value::Int(count)] = arguments else { return Err(EvaluationError::no_overload()) };
    context.meter.elements(u64::try_from(*count).unwrap_or(0))?;
    Ok(Value::list((0..*count).map(Value::Int).collect()))
}

fn sort<'a>(arguments: &[Value<'a>], context: &mut Context<'_>) -> Outcome<Value<'a>> {
    let list = the_list(arguments)?;
    by_keys(list, list, context)
}

fn sort_by<'a>(arguments: &[Value<'a>], context: &mut Context<'_>) -> Outcome<Value<'a>> {
    let [Value::List(list), Value::List(keys)] = arguments else { return Err(EvaluationError::no_overload()) };
    by_keys(list, keys, context)
}

/// The list in the order of its keys, which are all of one comparable type.
fn by_keys<'a>(list: &value::List<'a>, keys: &value::List<'a>, context: &mut Context<'_>) -> Outcome<Value<'a>> {
    if list.len() != keys.len() {
        return fail(format!("a list of {} elements cannot be sorted by {} keys", list.len(), keys.len()));
    }
    context.meter.elements(list.len() as u64 * 2)?;
    let mut pairs: Vec<(Value<'a>, Value<'a>)> = keys.iter().zip(list.iter()).collect();
    if let Some((first, _)) = pairs.first() {
        if compare(first, first).is_none() && !matches!(first, Value::Double(_)) {
            return fail("list elements must be comparable");
        }
        if pairs.iter().any(|(key, _)| key.type_name() != first.type_name()) {
            return fail("list elements must have the same type");
        }
    }
    // NaN has no order; beside it everything counts as equal, and any order is right. A total order
    // keeps the sort well defined.
    pairs.sort_by(|(a, _), (b, _)| match (a, b) {
        (Value::Double(a), Value::Double(b)) => a.total_cmp(b),
        _ => compare(a, b).unwrap_or(Ordering::Equal),
    });
    Ok(Value::list(pairs.into_iter().map(|(_, element)| element).collect()))
}
