//! What a call costs, by function, overload and arguments.

use super::Meter;
use crate::error::Outcome;
use crate::library::named_format;
use crate::value::{Opaque, Value, size, traversal};

/// How a call is counted; chosen when the expression is compiled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rule {
    Fixed(u64),
    /// A tenth of the first argument's size, so many times, rounded up.
    Text(u8),
    /// A tenth of the result's size, twice: `join`.
    Joined,
    /// Everything in the first argument is visited.
    Visit,
    /// String by pattern: `matches`, `find`, `findAll`.
    Pattern,
    /// A label or field selector is parsed.
    Selector,
    /// One network in another, or an address in a network.
    Contains { network: bool, parsed: bool },
    /// A string against a named format.
    Validate,
    /// Size of the list searched.
    Search,
    /// A tenth of the shorter argument.
    Shorter,
    /// A tenth of both arguments together.
    Both,
    /// Product of two tenths: `contains`.
    Product,
    /// Size of the resulting list.
    Output,
    Flatten,
    /// The argument's elements against one another: `distinct`, `sort`, `sortBy`.
    Pairs(usize),
    /// Two lists against each other, so many times.
    Cross(u8),
}

const STRING: f64 = 0.1;
const PATTERN: f64 = 0.25;
/// Making a list, in the cost model.
pub(crate) const LIST: u64 = 10;
/// Making a map.
pub(crate) const MAP: u64 = 30;
/// Making a structure; with a list it makes a selector's requirement.
const STRUCTURE: u64 = 40;

fn up(value: f64) -> u64 {
    value.ceil() as u64
}

/// `==` and `!=`: a tenth of the shorter side, one for Kubernetes' own values.
pub(crate) fn equality(a: &Value<'_>, b: &Value<'_>, negated: bool) -> u64 {
    if !negated && matches!(a, Value::Opaque(_)) {
        return 1;
    }
    match (a, b) {
        // The common case: one side is a scalar.
        (Value::Bool(_) | Value::Int(_) | Value::Null, Value::Bool(_) | Value::Int(_) | Value::Null) => 1,
        _ => up(unwrapped(a).min(unwrapped(b)) as f64 * STRING),
    }
}

/// Size, looking into optionals.
fn unwrapped(value: &Value<'_>) -> u64 {
    match value {
        Value::Optional(Some(inner)) => unwrapped(inner),
        other => size(other),
    }
}

// === impl Rule ===

impl Rule {
    /// The rule for a function; the overload is known when the argument types leave only one.
    pub(crate) fn of(function: &str, overload: Option<&str>) -> Rule {
        match function {
            "check" => Rule::Fixed(350_000),
            "fieldSelector" | "labelSelector" => Rule::Selector,
            "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" => Rule::Visit,
            "url" | "lowerAscii" | "upperAscii" | "substring" | "trim" | "cidr" | "isIP" | "isCIDR" | "quantity" | "isQuantity"
            | "semver" | "isSemver" => Rule::Text(1),
            "ip" if overload != Some("cidr_ip") => Rule::Text(1),
            "replace" | "split" | "ip.isCanonical" => Rule::Text(2),
            "join" => Rule::Joined,
            "find" | "findAll" => Rule::Pattern,
            "containsIP" => Rule::Contains { network: false, parsed: overload == Some("cidr_contains_ip_string") },
            "containsCIDR" => Rule::Contains { network: true, parsed: overload == Some("cidr_contains_cidr_string") },
            "validate" => Rule::Validate,
            _ => overload.map_or(Rule::Fixed(1), Rule::by_overload),
        }
    }

    fn by_overload(overload: &str) -> Rule {
        match overload {
            "starts_with_string" | "ends_with_string" | "string_to_bytes" | "bytes_to_string" | "strings_quote" | "string_format" => {
                Rule::Text(1)
            }
            "in_list" => Rule::Search,
            "less_string" | "greater_string" | "less_equals_string" | "greater_equals_string" | "less_bytes" | "greater_bytes"
            | "less_equals_bytes" | "greater_equals_bytes" => Rule::Shorter,
            "add_string" | "add_bytes" => Rule::Both,
            "matches_string" => Rule::Pattern,
            "contains_string" => Rule::Product,
            "list_slice" | "lists_range" | "list_reverse" => Rule::Output,
            "list_flatten" | "list_flatten_int" => Rule::Flatten,
            "list_distinct" => Rule::Pairs(0),
            "list_sets_contains_list" | "list_sets_intersects_list" => Rule::Cross(1),
            "list_sets_equivalent_list" => Rule::Cross(2),
            id if id.starts_with("list_") && id.ends_with("_sortByAssociatedKeys") => Rule::Pairs(1),
            id if id.starts_with("list_") && id.ends_with("_sort") => Rule::Pairs(0),
            _ => Rule::Fixed(1),
        }
    }

    /// What the call costs; `None` as result when it failed.
    pub(crate) fn cost(self, arguments: &[Value<'_>], result: Option<&Value<'_>>, meter: &mut Meter) -> Outcome<u64> {
        let argument = |i: usize| arguments.get(i).map_or(1, size);
        let tenth = |n: u64| up(n as f64 * STRING);
        Ok(match self {
            Rule::Fixed(cost) => cost,
            Rule::Text(1) => tenth(argument(0)),
            Rule::Text(times) => up(argument(0) as f64 * f64::from(times) * STRING),
            Rule::Joined => up(result.map_or(1, size) as f64 * 2.0 * STRING),
            Rule::Visit => match arguments.first() {
                Some(value) => traversal(value, meter)?,
                None => 0,
            },
            Rule::Pattern => pattern(argument(0), argument(1)),
            Rule::Selector => {
                let length = argument(1) as f64;
                LIST + up(length * STRING) + up(up(length * 0.5) as f64 * (LIST + STRUCTURE) as f64)
            }
            Rule::Contains { network, parsed } => {
                let length = argument(0);
                let mut cost = tenth(length + length);
                if network {
                    cost += tenth(length) + 1;
                }
                if parsed {
                    cost += tenth(argument(1));
                }
                cost
            }
            Rule::Validate => match arguments.first() {
                Some(Value::Opaque(opaque)) => match opaque.as_ref() {
                    Opaque::Format(name) => pattern(argument(1), named_format::pattern_size(name)),
                    _ => 1,
                },
                _ => 1,
            },
            Rule::Search => argument(1),
            Rule::Shorter => tenth(argument(0).min(argument(1))),
            Rule::Both => tenth(argument(0).saturating_add(argument(1))),
            Rule::Product => tenth(argument(0)).saturating_mul(tenth(argument(1))),
            Rule::Output => list(1.0, result.map_or(1, size)),
            Rule::Flatten => {
                let depth = match arguments.get(1) {
                    Some(Value::Int(depth)) => *depth as f64,
                    _ => 1.0,
                };
                list(depth, argument(0))
            }
            Rule::Pairs(which) => {
                let length = argument(which);
                let first = match arguments.get(which) {
                    Some(Value::List(list)) => list.get(0),
                    _ => None,
                };
                let text = matches!(first, Some(Value::String(_) | Value::Bytes(_)));
                list(if text { 2.0 + STRING } else { 2.0 }, length.saturating_mul(length))
            }
            Rule::Cross(times) => 1 + (argument(0).saturating_mul(argument(1)) as f64 * f64::from(times)) as u64,
        })
    }
}

fn list(factor: f64, elements: u64) -> u64 {
    ((elements as f64 * factor) as u64).saturating_add(1 + LIST)
}

fn pattern(text: u64, pattern: u64) -> u64 {
    up((1.0 + text as f64) * STRING).saturating_mul(up(pattern as f64 * PATTERN))
}
