//! JSON that two readers would understand differently.
//!
//! Go's `encoding/json`, which container runtimes use, takes the last of two equal keys and matches
//! keys to fields without regard to case; other readers take the first, or are exact. An image whose
//! configuration says `"User":"app"` here and `"user":"root"` there shows one face to a scanner and
//! another to a runtime. [`ambiguities`] finds such keys anywhere in a document.

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use std::collections::HashMap;
use std::fmt;

/// Largest document looked at; the limit of registries for manifests.
pub const MAX_BYTES: usize = 4 << 20;
/// Deepest nesting (serde_json itself stops at 128).
pub const MAX_DEPTH: usize = 64;
/// More keys than this in all are refused.
const MAX_KEYS: usize = 200_000;
/// Listing stops after this many.
const MAX_REPORTED: usize = 20;

/// Free-form maps: readers take their keys exactly, so keys that differ in case are different keys.
const FREE_FORM: [&str; 4] = ["annotations", "Labels", "ExposedPorts", "Volumes"];

/// Fields a runtime reads, wherever they stand; a key that is one of them but for its case is read by
/// one reader and not by another.
const FIELDS: [&str; 24] = [
    "schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "digest", "subject",
    "architecture", "os", "rootfs", "diff_ids", "history", "created_by", "empty_layer", "User", "Env", "Entrypoint", "Cmd",
    "ExposedPorts", "WorkingDir", "Volumes", "StopSignal", "Shell",
];

/// Why a document cannot be looked at.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum JsonError {
    #[error("document of {0} bytes is larger than {MAX_BYTES}")]
    TooLarge(usize),
    #[error("not valid JSON: {0}")]
    Syntax(String),
}

struct Check {
    /// Keys and indices from the root.
    place: Vec<String>,
    found: Vec<String>,
    keys: usize,
}

struct Value<'a>(&'a mut Check);

/// Everything ambiguous, as `place: what`; empty for an unambiguous document.
pub fn ambiguities(bytes: &[u8]) -> Result<Vec<String>, JsonError> {
    if bytes.len() > MAX_BYTES {
        return Err(JsonError::TooLarge(bytes.len()));
    }
    let mut check = Check { place: Vec::new(), found: Vec::new(), keys: 0 };
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let walked = Value(&mut check).deserialize(&mut deserializer).and_then(|()| deserializer.end());
    walked.map_err(|e| JsonError::Syntax(e.to_string()))?;
    Ok(check.found)
}

/// Case folding at least as wide as Go's `bytes.EqualFold`: `ſ` is an `s`, the Kelvin sign a `k`.
fn fold(key: &str) -> String {
    key.to_uppercase().to_lowercase()
}

impl Check {
    fn report(&mut self, what: String) {
        if self.found.len() < MAX_REPORTED {
            let place: String = self.place.iter().map(|p| format!("/{}", clip(p))).collect();
            self.found.push(format!("{}: {what}", if place.is_empty() { "/" } else { &place }));
        }
    }
}

fn clip(text: &str) -> String {
    text.chars().take(64).collect()
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let check = self.0;
        if check.place.len() >= MAX_DEPTH {
            return Err(A::Error::custom(format!("nested deeper than {MAX_DEPTH}")));
        }
        let mut index = 0_usize;
        loop {
            check.place.push(index.to_string());
            let more = items.next_element_seed(Value(check))?;
            check.place.pop();
            if more.is_none() {
                return Ok(());
            }
            index += 1;
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let check = self.0;
        if check.place.len() >= MAX_DEPTH {
            return Err(A::Error::custom(format!("nested deeper than {MAX_DEPTH}")));
        }
        let free_form = check.place.last().is_some_and(|p| FREE_FORM.contains(&p.as_str()));
        // Exact keys where keys are free, folded ones elsewhere; the value is the key as written.
        let mut seen: HashMap<String, String> = HashMap::new();
        while let Some(key) = members.next_key::<String>()? {
            check.keys += 1;
            if check.keys > MAX_KEYS {
                return Err(A::Error::custom(format!("more than {MAX_KEYS} keys")));
            }
            let name = if free_form { key.clone() } else { fold(&key) };
            match seen.get(&name) {
                Some(before) if *before == key => check.report(format!("key {:?} occurs twice", clip(&key))),
                Some(before) => {
                    let what = format!("keys {:?} and {:?} differ in case only", clip(before), clip(&key));
                    check.report(what);
                }
                None => {
                    let misspelt = FIELDS.iter().find(|f| !free_form && **f != key && fold(f) == name);
                    if let Some(field) = misspelt {
                        check.report(format!("key {:?} is {field:?} in another case: some readers take it, some do not", clip(&key)));
                    }
                    seen.insert(name, key.clone());
                }
            }
            check.place.push(key);
            members.next_value_seed(Value(check))?;
            check.place.pop();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_readers_disagree_about() {
        let one = |text: &str| ambiguities(text.as_bytes()).unwrap().join("; ");
        assert_eq!(one(r#"{"config":{"User":"a","Labels":{"A":"1","a":"2"}},"x":[{"y":1}]}"#), "");
        assert!(one(r#"{"a":1,"a":2}"#).contains("occurs twice"));
        assert!(one(r#"{"config":{"User":"app","user":"root"}}"#).contains("/config: keys \"User\" and \"user\""));
        assert!(one(r#"{"l":[{"z":{"k":1,"K":2}}]}"#).starts_with("/l/0/z"), "the Kelvin sign is a k");
        assert!(one(r#"{"config":{"user":"root"}}"#).contains("in another case"));
        assert!(one(r#"{"Labels":{"a":"1","a":"2"}}"#).contains("occurs twice"));
        assert!(one("{\"u\\u0073er\":1,\"user\":2}").contains("occurs twice"), "escapes are read first");
        assert!(matches!(ambiguities(&b"[".repeat(5000)), Err(JsonError::Syntax(_))));
        assert!(matches!(ambiguities(b"{} x"), Err(JsonError::Syntax(_))));
        assert!(matches!(ambiguities(&vec![b' '; MAX_BYTES + 1]), Err(JsonError::TooLarge(_))));
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300), text in "[\\[\\]{}:,\"a-cA-C\\\\ ]{0,80}") {
            let _ = ambiguities(&bytes);
            let _ = ambiguities(text.as_bytes());
        }

        #[test]
        fn a_repeated_key_is_always_found(key in "[a-z]{1,8}", depth in 0_usize..20) {
            let inner = format!(r#"{{"{key}":1,"q":[],"{key}":2}}"#);
            let text = format!("{}{inner}{}", r#"[{"d":"#.repeat(depth), "}]".repeat(depth));
            proptest::prop_assert!(!ambiguities(text.as_bytes()).unwrap().is_empty());
        }
    }
}
