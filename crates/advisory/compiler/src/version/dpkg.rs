//! Debian versions: `[epoch:]upstream[-revision]` (deb-version(7), Debian Policy 5.6.12).
//!
//! The epoch is a number (absent: 0). The last `-` separates the revision (absent: equal to `0`). Upstream
//! and revision compare alike: a run of non-digits, a run of digits, and so on. Non-digits compare
//! character by character with `~` before everything **including the end**, then the end of the run,
//! then letters, then the rest. Digits compare as numbers; none is zero. dpkg refuses some texts (empty
//! upstream, an epoch that is no number); those sort as the same rule continued: an epoch that is no
//! number is part of the upstream version.
//!
//! The key writes each non-digit run with an end mark, each number with its length, and one end mark
//! after the last number, which stands for the empty rest: `~` is below the mark, all else above.

use super::{push_number, take_digits};

/// Below every character but `~`.
const END: u8 = 2;

/// The key of a version; see [`super`].
pub fn key(version: &str) -> Vec<u8> {
    let version = version.trim().as_bytes();
    let (epoch, rest) = match version.iter().position(|b| *b == b':') {
        Some(at) if at > 0 && version[..at].iter().all(u8::is_ascii_digit) => (&version[..at], &version[at + 1..]),
        _ => (&b""[..], version),
    };
    let (upstream, revision) = match rest.iter().rposition(|b| *b == b'-') {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => (rest, &b""[..]),
    };
    let mut key = Vec::with_capacity(version.len() * 2 + 8);
    push_number(&mut key, epoch);
    push_part(&mut key, upstream);
    push_part(&mut key, revision);
    key
}

fn push_part(key: &mut Vec<u8>, mut part: &[u8]) {
    loop {
        let run = part.iter().take_while(|b| !b.is_ascii_digit()).count();
        for &b in &part[..run] {
            push_character(key, b);
        }
        key.push(END);
        let (digits, rest) = take_digits(&part[run..]);
        push_number(key, digits);
        part = rest;
        if part.is_empty() {
            key.push(END);
            return;
        }
    }
}

/// `~` 1, letters as they are, everything else after all letters: 0x80 and the byte.
fn push_character(key: &mut Vec<u8>, b: u8) {
    match b {
        b'~' => key.push(1),
        b if b.is_ascii_alphabetic() => key.push(b),
        b => key.extend_from_slice(&[0x80, b]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cmp::Ordering;

    /// The rule told a second time, straight from the policy's words, without keys.
    fn by_the_policy(a: &str, b: &str) -> Ordering {
        fn split(v: &str) -> (&str, &str, &str) {
            let v = v.trim();
            let (epoch, rest) = match v.split_once(':') {
                Some((e, r)) if !e.is_empty() && e.bytes().all(|b| b.is_ascii_digit()) => (e, r),
                _ => ("", v),
            };
            match rest.rsplit_once('-') {
                Some((u, r)) => (epoch, u, r),
                None => (epoch, rest, ""),
            }
        }
        fn weight(b: Option<&u8>) -> i32 {
            match b {
                None => 0,
                Some(b) if b.is_ascii_digit() => 0,
                Some(b'~') => -1,
                Some(b) if b.is_ascii_alphabetic() => i32::from(*b),
                Some(b) => i32::from(*b) + 256,
            }
        }
        fn number(a: &[u8], b: &[u8]) -> Ordering {
            let strip = |x: &[u8]| x.iter().copied().skip_while(|d| *d == b'0').collect::<Vec<_>>();
            let (a, b) = (strip(a), strip(b));
            a.len().cmp(&b.len()).then(a.cmp(&b))
        }
        fn part(a: &str, b: &str) -> Ordering {
            let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
            while !a.is_empty() || !b.is_empty() {
                while a.first().is_some_and(|c| !c.is_ascii_digit()) || b.first().is_some_and(|c| !c.is_ascii_digit()) {
                    let order = weight(a.first()).cmp(&weight(b.first()));
                    if order != Ordering::Equal {
                        return order;
                    }
                    (a, b) = (a.get(1..).unwrap_or_default(), b.get(1..).unwrap_or_default());
                }
                let ((x, ra), (y, rb)) = (take_digits(a), take_digits(b));
                let order = number(x, y);
                if order != Ordering::Equal {
                    return order;
                }
                (a, b) = (ra, rb);
            }
            Ordering::Equal
        }
        let (a, b) = (split(a), split(b));
        number(a.0.as_bytes(), b.0.as_bytes()).then(part(a.1, b.1)).then(part(a.2, b.2))
    }

    #[test]
    fn the_traps() {
        for (a, op, b) in [
            ("1.0~rc1", '<', "1.0"),
            ("1.0~~", '<', "1.0~"),
            ("1.0", '<', "1.0+b1"),
            ("1.0a", '<', "1.0+"),
            ("1:0.1", '>', "2.0"),
            ("0:1", '=', "1"),
            ("1.0-0", '=', "1.0"),
            ("1.0-1+b1", '>', "1.0-1"),
            ("2.36-9+deb12u9", '<', "2.36-9+deb12u10"),
            ("111.0-1~deb11u1", '<', "111.0-1"),
            ("111.0-1~deb11u1", '>', "111.0-1~"),
            ("1.01", '=', "1.1"),
            ("1.0-1-1", '>', "1.0-1"),
        ] {
            let order = match op {
                '<' => Ordering::Less,
                '>' => Ordering::Greater,
                _ => Ordering::Equal,
            };
            assert_eq!(key(a).cmp(&key(b)), order, "{a} {op} {b}");
            assert_eq!(by_the_policy(a, b), order, "{a} {op} {b}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn keys_order_as_the_policy_says(a in "([0-2]:)?[0-3a~+.-]{0,7}", b in "([0-2]:)?[0-3a~+.-]{0,7}") {
            prop_assert_eq!(key(&a).cmp(&key(&b)), by_the_policy(&a, &b), "{} {}", a, b);
        }

        #[test]
        fn keys_order_as_the_policy_says_on_any_text(a in ".{0,9}", b in ".{0,9}") {
            prop_assert_eq!(key(&a).cmp(&key(&b)), by_the_policy(&a, &b), "{} {}", a, b);
        }
    }
}
