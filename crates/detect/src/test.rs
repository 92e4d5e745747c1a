//! Right sides of comparisons, made ready for many events.

mod build;

pub(crate) use build::{allowed, build};

use crate::condition::{Operator, Quantifier};
use crate::event::{Event, FieldValue};
use crate::glob::{Glob, PathTree};
use crate::operand::{Compiled, texts};
use aho_corasick::AhoCorasick;
use memchr::memmem::Finder;
use std::cmp::Ordering;
use std::collections::HashSet;
use std::net::IpAddr;

/// What is asked of a value.
#[derive(Debug)]
pub(crate) enum Test {
    Exists,
    Text(TextTest),
    /// `in`: every value is in the set; `intersects`: one is.
    Set { set: TextSet, one: bool },
    Path(PathTree),
    Number(Comparison, i64),
    Numbers(Box<[i64]>),
    Flag(bool),
    /// `in` and `=`: in one of the networks; `!=`: in none.
    Networks { networks: Box<[Network]>, negative: bool },
    Bytes(BytesTest),
    Many(Quantifier, Box<[Test]>),
    /// Against another operand of the event.
    Against(Operator, Compiled),
}

/// Tests of one text.
#[derive(Debug)]
pub(crate) enum TextTest {
    Compare(Comparison, Box<str>),
    Contains(Box<Finder<'static>>),
    ContainsAny(Box<AhoCorasick>),
    StartsWith(Box<str>),
    StartsWithAny(Box<[Box<str>]>),
    EndsWith(Box<str>),
    Glob(Glob),
    Regex(Box<regex::Regex>),
}

/// Tests of bytes.
#[derive(Debug)]
pub(crate) enum BytesTest {
    Equal(Box<[u8]>, bool),
    In(Box<[Box<[u8]>]>),
    Contains(Box<Finder<'static>>),
    StartsWith(Box<[u8]>),
    EndsWith(Box<[u8]>),
}

/// Ordered comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A set of texts: few are compared one by one, many are hashed.
#[derive(Debug)]
pub(crate) enum TextSet {
    Few(Box<[Box<str>]>),
    Many(HashSet<Box<str>>),
}

/// An address and how many of its bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    address: IpAddr,
    bits: u8,
}

// === impl Test ===

impl Test {
    pub(crate) fn holds<'e, E: Event>(&'e self, value: &FieldValue<'_>, event: &'e E) -> bool {
        if matches!(value, FieldValue::Absent) {
            return false;
        }
        match self {
            Test::Exists => true,
            Test::Text(test) => on_texts(value, |t| test.holds(t)),
            Test::Path(tree) => on_texts(value, |t| tree.holds(t)),
            Test::Set { set, one } => match value {
                FieldValue::List(all) if *one => all.iter().any(|t| set.holds(t)),
                FieldValue::List(all) => !all.is_empty() && all.iter().all(|t| set.holds(t)),
                other => on_texts(other, |t| set.holds(t)),
            },
            Test::Number(comparison, wanted) => on_numbers(value, |n| comparison.holds(n.cmp(wanted)), *comparison == Comparison::NotEqual),
            Test::Numbers(all) => on_numbers(value, |n| all.contains(&n), false),
            Test::Flag(wanted) => match value {
                FieldValue::Flag(f) => f == wanted,
                other => on_texts(other, |t| t == if *wanted { "true" } else { "false" }),
            },
            Test::Networks { networks, negative } => {
                let inside = |a: &IpAddr| networks.iter().any(|n| n.holds(*a));
                match value {
                    FieldValue::Address(a) => inside(a) != *negative,
                    FieldValue::Addresses(all) if *negative => !all.iter().any(inside),
                    FieldValue::Addresses(all) => all.iter().any(inside),
                    _ => false,
                }
            }
            Test::Bytes(test) => match value {
                FieldValue::Bytes(b) => test.holds(b),
                FieldValue::Text(t) => test.holds(t.as_bytes()),
                _ => false,
            },
            Test::Many(quantifier, tests) => {
                let held = tests.iter().filter(|t| t.holds(value, event)).count();
                match quantifier {
                    Quantifier::Any => held > 0,
                    Quantifier::All => held == tests.len() && held > 0,
                    Quantifier::One => held == 1,
                }
            }
            Test::Against(operator, operand) => against(*operator, value, operand.value(event, false)),
        }
    }
}

/// A text, or any of alternatives; what is no text is compared as it prints.
fn on_texts(value: &FieldValue<'_>, test: impl Fn(&str) -> bool) -> bool {
    match value {
        FieldValue::Text(t) => test(t),
        FieldValue::Any(all) | FieldValue::List(all) => all.iter().any(|t| test(t)),
        FieldValue::Absent => false,
        other => texts(other.clone()).iter().any(|t| test(t)),
    }
}

fn on_numbers(value: &FieldValue<'_>, test: impl Fn(i64) -> bool, both: bool) -> bool {
    match value {
        FieldValue::Number(n) => test(*n),
        FieldValue::Ports(all) if both => all.iter().all(|n| test(*n)),
        FieldValue::Ports(all) => all.iter().any(|n| test(*n)),
        FieldValue::Text(t) => t.parse().is_ok_and(test),
        FieldValue::Any(all) => all.iter().any(|t| t.parse().is_ok_and(&test)),
        _ => false,
    }
}

/// Two values of the event against each other.
fn against(operator: Operator, left: &FieldValue<'_>, right: FieldValue<'_>) -> bool {
    if matches!(right, FieldValue::Absent) {
        return false;
    }
    let comparison = Comparison::of(operator);
    if let (FieldValue::Number(a), FieldValue::Number(b), Some(c)) = (left, &right, comparison) {
        return c.holds(a.cmp(b));
    }
    let (all, right) = (texts(left.clone()), texts(right));
    match operator {
        Operator::In => all.iter().all(|t| right.contains(t)),
        Operator::Intersects => all.iter().any(|t| right.contains(t)),
        _ => {
            let (Some(a), Some(b)) = (all.first(), right.first()) else { return false };
            let (a, b): (&str, &str) = (a, b);
            match operator {
                Operator::Contains => a.contains(b),
                Operator::ContainsIgnoringCase => a.to_ascii_lowercase().contains(&b.to_ascii_lowercase()),
                Operator::StartsWith => a.starts_with(b),
                Operator::EndsWith => a.ends_with(b),
                Operator::PathPrefix => PathTree::new([b]).holds(a),
                _ => comparison.is_some_and(|c| c.holds(a.cmp(b))),
            }
        }
    }
}

// === impl TextTest ===

impl TextTest {
    fn holds(&self, text: &str) -> bool {
        match self {
            TextTest::Compare(comparison, wanted) => comparison.holds(text.cmp(wanted)),
            TextTest::Contains(finder) => finder.find(text.as_bytes()).is_some(),
            TextTest::ContainsAny(automaton) => automaton.is_match(text),
            TextTest::StartsWith(prefix) => text.starts_with(&**prefix),
            TextTest::StartsWithAny(prefixes) => prefixes.iter().any(|p| text.starts_with(&**p)),
            TextTest::EndsWith(suffix) => text.ends_with(&**suffix),
            TextTest::Glob(glob) => glob.holds(text),
            TextTest::Regex(regex) => regex.is_match(text),
        }
    }
}

// === impl BytesTest ===

impl BytesTest {
    fn holds(&self, bytes: &[u8]) -> bool {
        match self {
            BytesTest::Equal(wanted, equal) => (bytes == &**wanted) == *equal,
            BytesTest::In(all) => all.iter().any(|b| bytes == &**b),
            BytesTest::Contains(finder) => finder.find(bytes).is_some(),
            BytesTest::StartsWith(prefix) => bytes.starts_with(prefix),
            BytesTest::EndsWith(suffix) => bytes.ends_with(suffix),
        }
    }
}

// === impl Comparison ===

impl Comparison {
    pub(crate) fn of(operator: Operator) -> Option<Comparison> {
        Some(match operator {
            Operator::Equal => Comparison::Equal,
            Operator::NotEqual => Comparison::NotEqual,
            Operator::Less => Comparison::Less,
            Operator::LessOrEqual => Comparison::LessOrEqual,
            Operator::Greater => Comparison::Greater,
            Operator::GreaterOrEqual => Comparison::GreaterOrEqual,
            _ => return None,
        })
    }

    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Comparison::Equal => ordering.is_eq(),
            Comparison::NotEqual => ordering.is_ne(),
            Comparison::Less => ordering.is_lt(),
            Comparison::LessOrEqual => ordering.is_le(),
            Comparison::Greater => ordering.is_gt(),
            Comparison::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

// === impl TextSet ===

impl TextSet {
    pub(crate) fn new(values: impl IntoIterator<Item = Box<str>>) -> TextSet {
        let mut all: Vec<Box<str>> = values.into_iter().collect();
        all.sort_unstable();
        all.dedup();
        if all.len() <= 8 { TextSet::Few(all.into()) } else { TextSet::Many(all.into_iter().collect()) }
    }

    fn holds(&self, text: &str) -> bool {
        match self {
            TextSet::Few(all) => all.iter().any(|t| **t == *text),
            TextSet::Many(all) => all.contains(text),
        }
    }
}

// === impl Network ===

impl Network {
    /// `10.0.0.0/8`, `fd00::/8`, or one address.
    pub(crate) fn parse(text: &str) -> Option<Network> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(most), |b| b.parse().ok())?;
        (bits <= most).then_some(Network { address, bits })
    }

    fn holds(&self, other: IpAddr) -> bool {
        // An IPv4 address in its IPv6 dress is an IPv4 address.
        match (self.address, other.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                u32::from(a) & mask == u32::from(b) & mask
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
                u128::from(a) & mask == u128::from(b) & mask
            }
            _ => false,
        }
    }
}
