//! Semantic versions 2.0.0: since Kubernetes 1.33.

use super::ordered::{Ordered, compare_to, greater, less};
use super::{Context, Overload};
use crate::error::{EvaluationError, Outcome, fail};
use crate::types::Signature::{Bool, Int, Opaque, String};
use crate::value::{self, Value};
use std::cmp::Ordering;

const SEMVER: crate::types::Signature = Opaque("kubernetes.Semver");

pub(super) static TABLE: &[Overload] = &[
    Overload::function("semver", "string_to_semver", &[String], SEMVER, semver).since(33),
    Overload::function("semver", "string_bool_to_semver", &[String, Bool], SEMVER, semver).since(33),
    Overload::function("isSemver", "is_semver_string", &[String], Bool, is_semver).since(33),
    Overload::function("isSemver", "is_semver_string_bool", &[String, Bool], Bool, is_semver).since(33),
    Overload::method("isGreaterThan", "semver_is_greater_than", &[SEMVER, SEMVER], Bool, greater::<Semver>).since(33),
    Overload::method("isLessThan", "semver_is_less_than", &[SEMVER, SEMVER], Bool, less::<Semver>).since(33),
    Overload::method("compareTo", "semver_compare_to", &[SEMVER, SEMVER], Int, compare_to::<Semver>).since(33),
    Overload::method("major", "semver_major", &[SEMVER], Int, major).since(33),
    Overload::method("minor", "semver_minor", &[SEMVER], Int, minor).since(33),
    Overload::method("patch", "semver_patch", &[SEMVER], Int, patch).since(33),
];

/// A version; what follows `+` does not count in comparisons and is not kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Semver {
    numbers: [u64; 3],
    prerelease: Vec<Identifier>,
}

#[derive(Clone, Debug, PartialEq)]
enum Identifier {
    Number(u64),
    Word(std::string::String),
}

// === impl Semver ===

impl Semver {
    fn read(text: &str) -> Result<Semver, &'static str> {
        let mut parts = text.splitn(3, '.');
        let (Some(major), Some(minor), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("no major, minor and patch numbers");
        };
        let (rest, build) = rest.split_once('+').map_or((rest, None), |(r, b)| (r, Some(b)));
        let (patch, prerelease) = rest.split_once('-').map_or((rest, None), |(r, p)| (r, Some(p)));
        let numbers = [number(major)?, number(minor)?, number(patch)?];
        let prerelease = match prerelease {
            None => Vec::new(),
            Some(words) => words.split('.').map(Identifier::read).collect::<Result<_, _>>()?,
        };
        if build.is_some_and(|build| build.split('.').any(|word| !is_word(word))) {
            return Err("build metadata has an empty part or other characters than letters, digits and '-'");
        }
        Ok(Semver { numbers, prerelease })
    }

    /// Reads what people write: a leading `v`, missing numbers, leading zeros.
    fn read_loosely(text: &str) -> Result<Semver, &'static str> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let mut parts: Vec<std::string::String> = text.splitn(3, '.').map(without_zeros).collect();
        if parts.len() < 3 && parts.last().is_some_and(|p| p.contains(['+', '-'])) {
            return Err("a short version cannot have prerelease or build metadata");
        }
        while parts.len() < 3 {
            parts.push("0".into());
        }
        Semver::read(&parts.join("."))
    }

    pub(crate) fn compare(&self, other: &Semver) -> Ordering {
        let words = match (self.prerelease.is_empty(), other.prerelease.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => self
                .prerelease
                .iter()
                .zip(&other.prerelease)
                .map(|(a, b)| a.compare(b))
                .find(|o| o.is_ne())
                .unwrap_or_else(|| self.prerelease.len().cmp(&other.prerelease.len())),
        };
        self.numbers.cmp(&other.numbers).then(words)
    }
}

fn without_zeros(part: &str) -> std::string::String {
    if part.len() <= 1 {
        return part.to_owned();
    }
    let rest = part.trim_start_matches('0');
    if rest.starts_with(|c: char| c.is_ascii_digit()) { rest.to_owned() } else { format!("0{rest}") }
}

fn is_word(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn number(text: &str) -> Result<u64, &'static str> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err("a version number is empty or has other characters than digits");
    }
    if text.len() > 1 && text.starts_with('0') {
        return Err("a version number must not have leading zeros");
    }
    text.parse().map_err(|_| "a version number is too large")
}

// === impl Identifier ===

impl Identifier {
    fn read(word: &str) -> Result<Identifier, &'static str> {
        if !is_word(word) {
            return Err("prerelease has an empty part or other characters than letters, digits and '-'");
        }
        if word.bytes().all(|b| b.is_ascii_digit()) { number(word).map(Identifier::Number) } else { Ok(Identifier::Word(word.to_owned())) }
    }

    fn compare(&self, other: &Identifier) -> Ordering {
        match (self, other) {
            (Identifier::Number(a), Identifier::Number(b)) => a.cmp(b),
            (Identifier::Word(a), Identifier::Word(b)) => a.cmp(b),
            (Identifier::Number(_), Identifier::Word(_)) => Ordering::Less,
            (Identifier::Word(_), Identifier::Number(_)) => Ordering::Greater,
        }
    }
}

fn read(arguments: &[Value<'_>]) -> Outcome<Result<Semver, &'static str>> {
    match arguments {
        [Value::String(text)] | [Value::String(text), Value::Bool(false)] => Ok(Semver::read(text.as_str())),
        [Value::String(text), Value::Bool(true)] => Ok(Semver::read_loosely(text.as_str())),
        _ => Err(EvaluationError::no_overload()),
    }
}

fn semver<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    match read(arguments)? {
        Ok(version) => Ok(Value::opaque(value::Opaque::Semver(version))),
        Err(why) => fail(format!("invalid semantic version: {why}")),
    }
}

fn is_semver<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    Ok(Value::Bool(read(arguments)?.is_ok()))
}

impl Ordered for Semver {
    fn of<'v>(value: Option<&'v Value<'_>>) -> Outcome<&'v Semver> {
        match value {
            Some(Value::Opaque(opaque)) => match opaque.as_ref() {
                value::Opaque::Semver(version) => Ok(version),
                _ => Err(EvaluationError::no_overload()),
            },
            _ => Err(EvaluationError::no_overload()),
        }
    }

    fn order_to(&self, other: &Semver) -> Ordering {
        self.compare(other)
    }
}

fn part<'a>(arguments: &[Value<'a>], which: usize) -> Outcome<Value<'a>> {
    let number = Semver::of(arguments.first())?.numbers.get(which).copied().unwrap_or(0);
    Ok(Value::Int(number as i64))
}

fn major<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    part(arguments, 0)
}

fn minor<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    part(arguments, 1)
}

fn patch<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    part(arguments, 2)
}
