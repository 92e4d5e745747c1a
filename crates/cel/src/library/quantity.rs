//! Kubernetes' quantities: `1.5G`, `200m`, `64Mi`.

mod amount;

pub(crate) use amount::Quantity;

use super::ordered::{Ordered, compare_to, greater, less};
use super::{Context, Overload};
use crate::error::{EvaluationError, Outcome, fail};
use crate::types::Signature::{self as S, Bool, Double, Int, Opaque, String};
use crate::value::{self, Value};

const QUANTITY: S = Opaque("kubernetes.Quantity");

const fn method(function: &'static str, id: &'static str, parameters: &'static [S], result: S, run: super::Run) -> Overload {
    Overload::method(function, id, parameters, result, run).since(28)
}

pub(super) static TABLE: &[Overload] = &[
    Overload::function("quantity", "string_to_quantity", &[String], QUANTITY, quantity).since(28),
    Overload::function("isQuantity", "is_quantity_string", &[String], Bool, is_quantity).since(28),
    Overload::function("sign", "quantity_sign", &[QUANTITY], Int, sign).since(28),
    method("isGreaterThan", "quantity_is_greater_than", &[QUANTITY, QUANTITY], Bool, greater::<Quantity>),
    method("isLessThan", "quantity_is_less_than", &[QUANTITY, QUANTITY], Bool, less::<Quantity>),
    method("compareTo", "quantity_compare_to", &[QUANTITY, QUANTITY], Int, compare_to::<Quantity>),
    method("asApproximateFloat", "quantity_get_float", &[QUANTITY], Double, approximate),
    method("asInteger", "quantity_get_int", &[QUANTITY], Int, integer),
    method("isInteger", "quantity_is_integer", &[QUANTITY], Bool, is_integer),
    method("add", "quantity_add", &[QUANTITY, QUANTITY], QUANTITY, add),
    method("add", "quantity_add_int", &[QUANTITY, Int], QUANTITY, add),
    method("sub", "quantity_sub", &[QUANTITY, QUANTITY], QUANTITY, subtract),
    method("sub", "quantity_sub_int", &[QUANTITY, Int], QUANTITY, subtract),
];

impl Ordered for Quantity {
    fn of<'v>(value: Option<&'v Value<'_>>) -> Outcome<&'v Quantity> {
        match value {
            Some(Value::Opaque(opaque)) => match opaque.as_ref() {
                value::Opaque::Quantity(quantity) => Ok(quantity),
                _ => Err(EvaluationError::no_overload()),
            },
            _ => Err(EvaluationError::no_overload()),
        }
    }

    fn order_to(&self, other: &Quantity) -> std::cmp::Ordering {
        self.compare(other)
    }
}

fn quantity<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    let [Value::String(text)] = arguments else { return Err(EvaluationError::no_overload()) };
    match Quantity::read(text.as_str()) {
        Some(quantity) => Ok(Value::opaque(value::Opaque::Quantity(quantity))),
        None => {
            let shown: std::string::String = text.as_str().chars().take(64).collect();
            fail(format!("{shown:?} is no quantity such as 500m, 1.5G or 64Mi"))
        }
    }
}

fn is_quantity<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    let [Value::String(text)] = arguments else { return Err(EvaluationError::no_overload()) };
    Ok(Value::Bool(Quantity::read(text.as_str()).is_some()))
}

fn sign<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    Ok(Value::Int(Quantity::of(arguments.first())?.sign()))
}

fn approximate<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    Ok(Value::Double(Quantity::of(arguments.first())?.to_f64()))
}

fn integer<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    Quantity::of(arguments.first())?.to_i64().map_or_else(|| fail("cannot convert value to integer"), |n| Ok(Value::Int(n)))
}

fn is_integer<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    Ok(Value::Bool(Quantity::of(arguments.first())?.to_i64().is_some()))
}

/// The second operand, a quantity or a whole number.
fn operand(value: Option<&Value<'_>>) -> Outcome<Quantity> {
    match value {
        Some(Value::Int(number)) => Ok(Quantity::whole(*number)),
        other => Quantity::of(other).cloned(),
    }
}

fn add<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    sum(Quantity::of(arguments.first())?, &operand(arguments.get(1))?)
}

fn subtract<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    sum(Quantity::of(arguments.first())?, &operand(arguments.get(1))?.negated())
}

fn sum<'a>(a: &Quantity, b: &Quantity) -> Outcome<Value<'a>> {
    match a.plus(b) {
        Some(sum) => Ok(Value::opaque(value::Opaque::Quantity(sum))),
        None => fail("quantity overflow"),
    }
}
