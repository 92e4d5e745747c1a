//! What must not leave the event: contents of secrets, tokens, and copies of them.
//!
//! Conditions see everything; what is stored or shown goes through here. Names, labels, types and
//! sizes of secrets stay: an auditor needs them.

use super::AuditEvent;
use serde_json::{Map, Value};

/// Stands where something was taken out.
pub(super) const REMOVED: &str = "<removed>";

/// The annotation kubectl keeps a copy of the object in.
pub(super) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Which kind of secret things an object holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    /// A secret, a list of them, or a patch of one.
    Secret,
    /// Tokens asked for or reviewed.
    Token,
    Nothing,
}

// === impl AuditEvent ===

impl AuditEvent<'_> {
    /// The event as JSON, fit for storage and display. What cannot be read is left out whole.
    pub fn masked(&self) -> Value {
        let Some(Value::Object(mut event)) = self.whole().cloned() else {
            return serde_json::json!({ "auditID": self.audit_id(), "requestObject": REMOVED, "responseObject": REMOVED });
        };
        for member in ["requestObject", "responseObject"] {
            if let Some(object) = event.get_mut(member) {
                self.mask(object);
            }
        }
        Value::Object(event)
    }

    /// Masks an object of this event.
    pub(super) fn mask(&self, object: &mut Value) {
        let target = self.object_ref.as_ref();
        let word = |text: Option<&super::Text<'_>>| text.map(|t| t.to_string()).unwrap_or_default();
        let resource = word(target.and_then(|t| t.resource.as_ref()));
        let subresource = word(target.and_then(|t| t.subresource.as_ref()));
        let by_target = match (resource.as_str(), subresource.as_str()) {
            ("secrets", _) => Holds::Secret,
            ("serviceaccounts", "token") | ("tokenreviews" | "tokenrequests", _) => Holds::Token,
            _ => Holds::Nothing,
        };
        mask_object(object, by_target);
    }
}

/// Masks one object or patch, and the elements of a list.
fn mask_object(value: &mut Value, by_target: Holds) {
    match value {
        // A JSON patch: what is set in a secret may be anything.
        Value::Array(operations) if by_target != Holds::Nothing => {
            for operation in operations.iter_mut().filter_map(Value::as_object_mut) {
                take_out(operation, "value");
            }
        }
        Value::Object(object) => {
            let items = object.get_mut("items").and_then(Value::as_array_mut);
            for item in items.into_iter().flatten() {
                mask_one(item, by_target);
            }
            // What kubectl asks lists as: rows that carry the objects' metadata.
            let rows = object.get_mut("rows").and_then(Value::as_array_mut);
            for row in rows.into_iter().flatten().filter_map(|r| r.get_mut("object")) {
                mask_one(row, by_target);
            }
            mask_one(value, by_target);
        }
        _ => {}
    }
}

fn mask_one(value: &mut Value, by_target: Holds) {
    let Some(object) = value.as_object_mut() else { return };
    let by_kind = match object.get("kind").and_then(Value::as_str) {
        Some("Secret" | "SecretList") => Holds::Secret,
        Some("TokenReview" | "TokenRequest") => Holds::Token,
        // The answer to a refused request about a secret is a Status, and says nothing of the content.
        _ => by_target,
    };
    match by_kind {
        Holds::Secret => {
            for member in ["data", "stringData"] {
                match object.get_mut(member) {
                    Some(Value::Object(data)) => data.values_mut().for_each(|v| *v = Value::from(REMOVED)),
                    Some(Value::Null) | None => {}
                    Some(other) => *other = Value::from(REMOVED),
                }
            }
            if let Some(annotations) = object.get_mut("metadata").and_then(|m| m.get_mut("annotations")).and_then(Value::as_object_mut) {
                take_out(annotations, LAST_APPLIED);
            }
        }
        Holds::Token => {
            for member in ["spec", "status"] {
                if let Some(part) = object.get_mut(member).and_then(Value::as_object_mut) {
                    take_out(part, "token");
                }
            }
        }
        Holds::Nothing => {}
    }
}

fn take_out(object: &mut Map<String, Value>, key: &str) {
    if let Some(value) = object.get_mut(key) {
        *value = Value::from(REMOVED);
    }
}
