//! Version comparison, one module per scheme.
//!
//! Each scheme turns a version into a **key**: a byte string whose plain lexicographic order is the
//! order of the versions, and whose equality is theirs. That makes each comparison a total preorder by
//! construction, lets the database store keys instead of parsing at match time, and accepts any text:
//! there are no invalid versions, only ones that sort where the scheme's own tool puts them.

pub mod apk;
pub mod dpkg;
pub mod rpm;

use std::cmp::Ordering;

/// A version scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Debian and derivatives: deb-version(7).
    Dpkg,
    /// Alpine, Wolfi, Chainguard: apk-tools.
    Apk,
    /// RPM epoch:version-release.
    Rpm,
}

// === impl Scheme ===

impl Scheme {
    /// The key of a version. Any text has one; no bound on its length beyond the text's own.
    pub fn key(self, version: &str) -> Vec<u8> {
        match self {
            Scheme::Dpkg => dpkg::key(version),
            Scheme::Apk => apk::key(version),
            Scheme::Rpm => rpm::key(version),
        }
    }

    pub fn compare(self, a: &str, b: &str) -> Ordering {
        self.key(a).cmp(&self.key(b))
    }
}

/// Appends a decimal number so that keys order numerically whatever the length: leading zeros are
/// dropped, then the digit count (one byte, or 255 and four bytes), then the digits.
fn push_number(key: &mut Vec<u8>, digits: &[u8]) {
    let zeros = digits.iter().take_while(|d| **d == b'0').count();
    let digits = digits.get(zeros..).unwrap_or_default();
    if digits.len() < 255 {
        key.push(digits.len() as u8);
    } else {
        key.push(255);
        key.extend_from_slice(&u32::try_from(digits.len()).unwrap_or(u32::MAX).to_be_bytes());
    }
    key.extend_from_slice(digits);
}

/// Splits the leading decimal digits off.
fn take_digits(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().take_while(|b| b.is_ascii_digit()).count())
}

#[cfg(test)]
mod laws {
    //! What every scheme must keep, on arbitrary text and on text that looks like versions.
    use super::*;
    use proptest::prelude::*;

    const SCHEMES: [Scheme; 3] = [Scheme::Dpkg, Scheme::Apk, Scheme::Rpm];

    fn version() -> impl Strategy<Value = String> {
        prop_oneof![
            2 => ".{0,24}",
            5 => "([0-9]{1,2}:)?[0-9]{1,3}([.~+^_a-z-][0-9a-z]{0,3}){0,5}(-r?[0-9]{0,2})?",
            3 => "[01]{0,2}[.~:_r^-]?[01a]{0,2}[.~:_r^-]?[01]{0,2}",
            2 => "[0-9](\\.[0-9]{1,2}){0,3}[a-z]?(_(alpha|beta|pre|rc|cvs|svn|git|hg|p|x)[0-9]{0,2}){0,2}(~[0-9a-f]{1,3})?(-r[0-9]{0,2})?",
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn total_order(a in version(), b in version(), c in version()) {
            for s in SCHEMES {
                prop_assert_eq!(s.compare(&a, &a), Ordering::Equal);
                prop_assert_eq!(s.compare(&a, &b), s.compare(&b, &a).reverse());
                let (ab, bc, ac) = (s.compare(&a, &b), s.compare(&b, &c), s.compare(&a, &c));
                if ab != Ordering::Greater && bc != Ordering::Greater {
                    prop_assert_ne!(ac, Ordering::Greater, "{:?}: {:?} {:?} {:?}", s, a, b, c);
                }
                if ab == Ordering::Equal {
                    prop_assert_eq!(ac, bc, "{:?}: {:?} {:?} {:?}", s, a, b, c);
                }
            }
        }

        #[test]
        fn long_numbers_are_numbers(zeros in 0usize..300, a in 1usize..600, b in 1usize..600) {
            let text = |n: usize| format!("{}{}", "0".repeat(zeros), "9".repeat(n));
            for s in SCHEMES {
                prop_assert_eq!(s.compare(&text(a), &text(b)), a.cmp(&b));
            }
        }
    }
}
