//! The functions Kubernetes' CEL has, one module for each library.

pub(crate) mod authorizer;
mod conversions;
mod extended_lists;
mod format;
mod lists;
pub(crate) mod named_format;
pub(crate) mod network;
mod operators;
mod ordered;
mod optionals;
mod pattern;
pub(crate) mod quantity;
mod regular;
pub(crate) mod semver;
mod sets;
mod strings;
mod times;
pub(crate) mod url;

pub(crate) use conversions::text_of;
pub(crate) use format::{ClauseKind, clauses};
pub(crate) use pattern::{Pattern, Patterns};

use crate::cost::Meter;
use crate::error::Outcome;
use crate::types::Signature;
use crate::value::Value;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// What a function may use beside its arguments.
pub(crate) struct Context<'e> {
    pub(crate) meter: &'e mut Meter,
    pub(crate) patterns: &'e mut Patterns,
    /// The pattern argument, when it is constant and compiled already.
    pub(crate) constant: Option<&'e Pattern>,
}

pub(crate) type Run = for<'a> fn(&[Value<'a>], &mut Context<'_>) -> Outcome<Value<'a>>;

/// One form of a function: what it takes, what it gives, and since when Kubernetes has it.
pub(crate) struct Overload {
    pub(crate) function: &'static str,
    /// cel-go's name of this form; the cost model speaks of them.
    pub(crate) id: &'static str,
    /// Called as `first.function(rest)`.
    pub(crate) member: bool,
    pub(crate) parameters: &'static [Signature],
    pub(crate) result: Signature,
    /// Kubernetes' minor version that brought it; 0 when it was always there.
    pub(crate) since: u8,
    pub(crate) run: Run,
}

static LIBRARIES: [&[Overload]; 21] = [
    operators::ARITHMETIC,
    operators::ORDER,
    operators::OTHERS,
    conversions::TABLE,
    times::TABLE,
    times::DURATIONS,
    strings::TABLE,
    format::TABLE,
    regular::TABLE,
    lists::TABLE,
    lists::OTHERS,
    extended_lists::TABLE,
    extended_lists::SORTING,
    sets::TABLE,
    optionals::TABLE,
    quantity::TABLE,
    network::TABLE,
    url::TABLE,
    named_format::TABLE,
    named_format::NAMED,
    semver::TABLE,
];

static BY_NAME: LazyLock<BTreeMap<&'static str, Vec<&'static Overload>>> = LazyLock::new(|| {
    let mut by_name: BTreeMap<&'static str, Vec<&'static Overload>> = BTreeMap::new();
    for overload in LIBRARIES.iter().copied().flatten().chain(authorizer::TABLE) {
        by_name.entry(overload.function).or_default().push(overload);
    }
    by_name
});

/// All forms of a function, whatever the version.
pub(crate) fn overloads(function: &str) -> &'static [&'static Overload] {
    BY_NAME.get(function).map_or(&[], Vec::as_slice)
}

/// Names of all functions a version has, for suggestions.
pub(crate) fn names(minor: u8) -> impl Iterator<Item = &'static str> {
    BY_NAME.iter().filter(move |(_, forms)| forms.iter().any(|o| o.since <= minor)).map(|(name, _)| *name)
}

// === impl Overload ===

impl Overload {
    pub(crate) const fn function(
        function: &'static str,
        id: &'static str,
        parameters: &'static [Signature],
        result: Signature,
        run: Run,
    ) -> Overload {
        Overload { function, id, member: false, parameters, result, since: 0, run }
    }

    pub(crate) const fn method(
        function: &'static str,
        id: &'static str,
        parameters: &'static [Signature],
        result: Signature,
        run: Run,
    ) -> Overload {
        Overload { member: true, ..Overload::function(function, id, parameters, result, run) }
    }

    pub(crate) const fn since(mut self, minor: u8) -> Overload {
        self.since = minor;
        self
    }

    /// Whether values are of the kinds this form takes; elements are looked at one deep.
    pub(crate) fn accepts(&self, arguments: &[Value<'_>]) -> bool {
        self.parameters.len() == arguments.len() && self.parameters.iter().zip(arguments).all(|(p, a)| kind_fits(p, a))
    }
}

fn kind_fits(signature: &Signature, value: &Value<'_>) -> bool {
    match (signature, value) {
        (Signature::Dyn | Signature::Parameter(_), _)
        | (Signature::Bool, Value::Bool(_))
        | (Signature::Int, Value::Int(_))
        | (Signature::Uint, Value::Uint(_))
        | (Signature::Double, Value::Double(_))
        | (Signature::String, Value::String(_))
        | (Signature::Bytes, Value::Bytes(_))
        | (Signature::Timestamp, Value::Timestamp(_))
        | (Signature::Duration, Value::Duration(_))
        | (Signature::Type, Value::Type(_))
        | (Signature::Map(..), Value::Map(_))
        | (Signature::Optional(_), Value::Optional(_)) => true,
        (Signature::List(element), Value::List(list)) => list.get(0).is_none_or(|first| kind_fits(element, &first)),
        (Signature::Opaque(name), Value::Opaque(opaque)) => opaque.type_name() == *name,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A function nobody asks the API server about is a function nobody knows to be right.
    #[test]
    fn every_function_is_in_the_golden_expressions() {
        let asked = include_str!("../tests/golden/expressions.txt");
        let symbols = BTreeMap::from([("@in", " in "), ("@sortByAssociatedKeys", ".sortBy(")]);
        let missing: Vec<&str> = BY_NAME
            .keys()
            .filter(|name| {
                let operator = name.trim_matches('_');
                let written = match symbols.get(*name) {
                    Some(symbol) => (*symbol).to_owned(),
                    None if name.contains('_') && operator.chars().all(|c| !c.is_alphanumeric()) => operator.to_owned(),
                    None => format!("{name}("),
                };
                !asked.contains(&written)
            })
            .copied()
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn forms_have_names_of_their_own() {
        let mut seen = std::collections::BTreeSet::new();
        for overload in BY_NAME.values().flatten() {
            assert!(seen.insert((overload.function, overload.id)), "{} stands twice", overload.id);
            assert!(overload.since == 0 || (27..=crate::NEWEST).contains(&overload.since), "{}", overload.id);
        }
        assert!(seen.len() > 250, "{}", seen.len());
    }
}
