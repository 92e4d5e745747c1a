//! Alpine versions, as apk-tools 2.14 and 3 order them:
//! `digits{.digits}[letter][digits]{_suffix[digits]}[~hash][-r[digits]]`.
//!
//! Two versions compare token by token. Tokens of the same kind compare by value:
//! - the first number, numbers after a letter or suffix, and the revision: as numbers;
//! - a later component: as text when either has a leading zero (`1.05 < 1.1`), else as a number;
//! - suffixes: `alpha beta pre rc` (none) `cvs svn git hg p`;
//! - a commit hash: as text.
//!
//! Where the kinds differ, the version that ends first is the older one, unless the other goes on with
//! `_alpha` … `_rc`. Kinds rank: pre-suffix < malformed < empty component < end < revision < hash <
//! suffix number < post-suffix < letter < component.
//!
//! Malformed text stops the comparison: what follows is one token, "malformed", below the end of a
//! well-formed version (`1-ruff < 1`), equal to any other malformed rest. A revision counts only when it
//! is the whole rest. A text without a leading digit is below every version and compares as text. An
//! empty component (`0..1`) is malformed for apk but ordered by the tools; it is a token of its own.
//! apk-tools 2 and 3 disagree about some malformed texts (`1-r-0` against `1-r0`); this is the newer order.

use super::{push_number, take_digits};

/// Token kinds in rank order.
mod rank {
    pub(super) const NO_VERSION: u8 = 1;
    pub(super) const FIRST: u8 = 2;
    pub(super) const PRE_SUFFIX: u8 = 3;
    pub(super) const MALFORMED: u8 = 4;
    pub(super) const EMPTY: u8 = 5;
    pub(super) const END: u8 = 6;
    pub(super) const REVISION: u8 = 7;
    pub(super) const HASH: u8 = 8;
    pub(super) const SUFFIX_NUMBER: u8 = 9;
    pub(super) const POST_SUFFIX: u8 = 10;
    pub(super) const LETTER: u8 = 11;
    pub(super) const COMPONENT: u8 = 12;
}

const PRE: [&str; 4] = ["alpha", "beta", "pre", "rc"];
const POST: [&str; 5] = ["cvs", "svn", "git", "hg", "p"];

/// How far the grammar has come.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Stage {
    Components,
    Letter,
    Suffixes,
    Hash,
}

/// The key of a version; see [`super`].
pub fn key(version: &str) -> Vec<u8> {
    let text = version.trim().as_bytes();
    let mut key = Vec::with_capacity(text.len() * 2 + 4);
    let (digits, mut rest) = take_digits(text);
    if digits.is_empty() {
        key.push(rank::NO_VERSION);
        key.extend_from_slice(text);
        return key;
    }
    key.push(rank::FIRST);
    push_number(&mut key, digits);
    let mut stage = Stage::Components;
    loop {
        match next(&mut key, stage, rest) {
            Some((after, left)) => (stage, rest) = (after, left),
            None => return key,
        }
    }
}

/// Writes one token; `None` after the last one.
fn next<'t>(key: &mut Vec<u8>, stage: Stage, rest: &'t [u8]) -> Option<(Stage, &'t [u8])> {
    let Some((&first, tail)) = rest.split_first() else {
        key.push(rank::END);
        return None;
    };
    match first {
        b'.' if stage <= Stage::Letter => {
            let (digits, left) = take_digits(tail);
            push_component(key, digits);
            Some((Stage::Components, left))
        }
        b'a'..=b'z' if stage == Stage::Components => {
            key.extend_from_slice(&[rank::LETTER, first]);
            Some((Stage::Letter, tail))
        }
        b'0'..=b'9' if stage == Stage::Letter => {
            let (digits, left) = take_digits(rest);
            push_component(key, digits);
            Some((Stage::Components, left))
        }
        b'_' if stage <= Stage::Suffixes => {
            let name = tail.iter().take_while(|b| b.is_ascii_lowercase()).count();
            let (name, left) = tail.split_at(name);
            let position = |list: &[&str]| list.iter().position(|s| s.as_bytes() == name);
            match (position(&PRE), position(&POST)) {
                (Some(at), _) => key.extend_from_slice(&[rank::PRE_SUFFIX, at as u8]),
                (_, Some(at)) => key.extend_from_slice(&[rank::POST_SUFFIX, at as u8]),
                _ => return malformed(key),
            }
            let (digits, left) = take_digits(left);
            if !digits.is_empty() {
                key.push(rank::SUFFIX_NUMBER);
                push_number(key, digits);
            }
            Some((Stage::Suffixes, left))
        }
        b'~' if stage <= Stage::Suffixes => {
            let (hash, left) = tail.split_at(tail.iter().take_while(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')).count());
            if hash.is_empty() {
                return malformed(key);
            }
            key.push(rank::HASH);
            key.extend_from_slice(hash);
            key.push(0);
            Some((Stage::Hash, left))
        }
        b'-' => match tail.strip_prefix(b"r") {
            Some(digits) if digits.iter().all(u8::is_ascii_digit) => {
                key.push(rank::REVISION);
                push_number(key, digits);
                key.push(rank::END);
                None
            }
            _ => malformed(key),
        },
        _ => malformed(key),
    }
}

fn malformed<'t>(key: &mut Vec<u8>) -> Option<(Stage, &'t [u8])> {
    key.push(rank::MALFORMED);
    None
}

/// Text with a leading zero is below every number without one, so one byte tells them apart.
fn push_component(key: &mut Vec<u8>, digits: &[u8]) {
    match digits.first() {
        None => key.push(rank::EMPTY),
        Some(b'0') => {
            key.extend_from_slice(&[rank::COMPONENT, 0]);
            key.extend_from_slice(digits);
            key.push(0);
        }
        Some(_) => {
            key.extend_from_slice(&[rank::COMPONENT, 1]);
            push_number(key, digits);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cmp::Ordering;

    #[test]
    fn the_traps() {
        for (a, op, b) in [
            ("1.2.5-r0", '<', "1.2.5-r1"),
            ("1.2.5-r9", '<', "1.2.5-r10"),
            ("1.36.1-r29", '<', "1.36.1-r31"),
            ("1.2", '>', "1.2_rc1"),
            ("1.2", '<', "1.2_p1"),
            ("1.2", '<', "1.2.0"),
            ("1.2", '<', "1.2-r0"),
            ("1.1.1d-r2", '<', "1.1.1g-r0"),
            ("0.05", '<', "0.1"),
            ("0.10", '>', "0.9"),
            ("3.0_alpha1_p1", '>', "3.0_alpha1"),
            ("3.0_rc", '<', "3.0_rc1"),
            ("0", '<', "1.0"),
            ("1-r", '=', "1-r0"),
            ("1.0~abc-r1", '>', "1.0-r1"),
            ("1.0x!", '<', "1.0x"),
        ] {
            let order = match op {
                '<' => Ordering::Less,
                '>' => Ordering::Greater,
                _ => Ordering::Equal,
            };
            assert_eq!(key(a).cmp(&key(b)), order, "{a} {op} {b}");
        }
    }
}
