//! RPM versions: `[epoch:]version[-release]` with rpmvercmp (rpm 4.18).
//!
//! Runs of digits and runs of letters compare in turn; what separates them is ignored. Digits are newer
//! than letters, and the longer version is the newer one. `~` is older than the end, `^` newer than the
//! end but older than anything else that follows. The epoch is numeric and 0 when absent. A version with a
//! release is newer than the same version without (to be compared only when both have one, as
//! advisories always do). A prefix that is no number is not an epoch.

use super::{push_number, take_digits};

/// Segment kinds in rank order. Bytes of letters and numbers follow their own kind, so ranks and
/// contents never meet.
mod rank {
    pub(super) const TILDE: u8 = 1;
    pub(super) const END: u8 = 2;
    pub(super) const CARET: u8 = 3;
    pub(super) const LETTERS: u8 = 4;
    pub(super) const DIGITS: u8 = 5;
}

/// The key of `[epoch:]version[-release]`; see [`super`].
pub fn key(version: &str) -> Vec<u8> {
    let version = version.trim();
    let (epoch, rest) = match version.split_once(':') {
        Some((e, r)) if !e.is_empty() && e.bytes().all(|b| b.is_ascii_digit()) => (e, r),
        _ => ("", version),
    };
    let mut key = Vec::with_capacity(version.len() * 2 + 4);
    push_number(&mut key, epoch.as_bytes());
    match rest.rsplit_once('-') {
        Some((version, release)) => {
            push_part(&mut key, version.as_bytes());
            key.push(1);
            push_part(&mut key, release.as_bytes());
        }
        None => {
            push_part(&mut key, rest.as_bytes());
            key.push(0);
        }
    }
    key
}

/// The key of a version or a release alone (rpmvercmp).
pub fn part_key(part: &str) -> Vec<u8> {
    let mut key = Vec::new();
    push_part(&mut key, part.as_bytes());
    key
}

fn push_part(key: &mut Vec<u8>, mut rest: &[u8]) {
    loop {
        let skipped = rest.iter().take_while(|b| !b.is_ascii_alphanumeric() && **b != b'~' && **b != b'^').count();
        rest = &rest[skipped..];
        match rest.first() {
            None => {
                key.push(rank::END);
                return;
            }
            Some(b'~') => {
                key.push(rank::TILDE);
                rest = &rest[1..];
            }
            Some(b'^') => {
                key.push(rank::CARET);
                rest = &rest[1..];
            }
            Some(b) if b.is_ascii_digit() => {
                let (digits, left) = take_digits(rest);
                key.push(rank::DIGITS);
                push_number(key, digits);
                rest = left;
            }
            Some(_) => {
                let (letters, left) = rest.split_at(rest.iter().take_while(|b| b.is_ascii_alphabetic()).count());
                key.push(rank::LETTERS);
                key.extend_from_slice(letters);
                key.push(0);
                rest = left;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_traps() {
        for (older, newer) in [
            ("1.0~rc1-1", "1.0-1"),
            ("1.0-1", "1.0^git1-1"),
            ("1.0^git1-1", "1.0.1-1"),
            ("1.0a-1", "1.0.1-1"),
            ("9-1", "1:1-1"),
            ("1-9", "1-10"),
        ] {
            assert!(key(older) < key(newer), "{older} < {newer}");
        }
        assert_eq!(key("1.05-1"), key("1_5-1"));
        assert_eq!(part_key("1."), part_key("1"));
    }
}
