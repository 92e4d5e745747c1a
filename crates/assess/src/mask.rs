//! Keeps secrets out of evidence.
//!
//! Two nets, because either alone has holes: every secret the assessment learns (session tokens,
//! robot secrets, bearer tokens, passwords) is replaced wherever it shows up; and whatever stands
//! where a secret stands (an Authorization header, a member called `password` or `token`, a value of
//! the product's own credential form, a JSON web token) is replaced though nobody learned it.

use parking_lot::Mutex;
use regex::Regex;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// Secrets learned so far.
#[derive(Default)]
pub struct Mask {
    known: Mutex<BTreeSet<String>>,
}

const STARS: &str = "***";
/// Shorter values would blot out ordinary text.
const SHORTEST: usize = 6;

static FORMS: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    let forms = [
        (r#"(?i)(authorization\s*:\s*)(basic|bearer)\s+\S+"#, "${1}${2} ***"),
        (r#"("(?:password|old|new|token|access_token|refresh_token|secret|totp|identitytoken|auth)"\s*:\s*)"(?:[^"\\]|\\.)*""#, "${1}\"***\""),
        (r#"("code"\s*:\s*)"[0-9]{6,8}""#, "${1}\"***\""),
        (r"jw[sctr]_[A-Za-z0-9]{16,}", "***"),
        (r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]*", "***"),
        (r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z ]*PRIVATE KEY-----|\z)", "***"),
        (r"(?i)((?:password|secret|token)=)[^&\s]+", "${1}***"),
    ];
    // Each is compiled by the tests below, so none is dropped in a build that passed them.
    forms.into_iter().filter_map(|(form, by)| Some((Regex::new(form).ok()?, by))).collect()
});

// === impl Mask ===

impl Mask {
    /// From now on this value is never written.
    pub fn learn(&self, secret: &str) {
        if secret.len() >= SHORTEST {
            self.known.lock().insert(secret.to_owned());
        }
    }

    /// `text` without secrets.
    pub fn apply(&self, text: &str) -> String {
        let mut out = text.to_owned();
        // Longest first, so that no part of a secret outlives another.
        let mut known: Vec<String> = self.known.lock().iter().cloned().collect();
        known.sort_by_key(|k| std::cmp::Reverse(k.len()));
        for secret in known {
            if out.contains(&secret) {
                out = out.replace(&secret, STARS);
            }
        }
        for (form, by) in FORMS.iter() {
            if let std::borrow::Cow::Owned(changed) = form.replace_all(&out, *by) {
                out = changed;
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_form_compiles() {
        assert_eq!(FORMS.len(), 7);
    }

    #[test]
    fn what_stands_where_a_secret_stands_is_masked() {
        let mask = Mask::default();
        for (text, masked) in [
            ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
            ("authorization: Basic ZGVtbzpzZWNyZXQ=", "authorization: Basic ***"),
            (r#"{"token":"x","expires_in":300}"#, r#"{"token":"***","expires_in":300}"#),
            (r#"{"name":"a","password": "p\"q","code":"123456"}"#, r#"{"name":"a","password": "***","code":"***"}"#),
            (r#"{"errors":[{"code":"DENIED"}]}"#, r#"{"errors":[{"code":"DENIED"}]}"#),
            ("robot jwr_ABCDEFGHJKLMNPQRSTUVWX used", "robot *** used"),
            ("a eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhIn0.c2ln b", "a *** b"),
            ("grant_type=password&password=abc&scope=x", "grant_type=password&password=***&scope=x"),
        ] {
            assert_eq!(mask.apply(text), masked);
        }
    }

    proptest! {
        #[test]
        fn a_learned_secret_never_shows(before in ".{0,40}", secret in "[A-Za-z0-9]{12,40}", after in ".{0,40}") {
            let mask = Mask::default();
            mask.learn(&secret);
            let masked = mask.apply(&format!("{before}{secret}{after}{secret}"));
            prop_assert!(!masked.contains(&secret));
        }

        #[test]
        fn never_panics(text in "(?s).*") {
            Mask::default().apply(&text);
        }
    }
}
