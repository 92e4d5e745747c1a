//! What a request is judged by.

use super::selector::LabelSelector;
use jinwu_cel::Authorizer;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// One request, in the version it was sent in. Texts that do not apply are empty, objects `null`.
#[derive(Clone, Copy)]
pub struct AdmissionInput<'a> {
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    pub operation: &'a str,
    pub group: &'a str,
    pub version: &'a str,
    /// Plural, such as `pods`.
    pub resource: &'a str,
    pub subresource: &'a str,
    /// Empty while the API server is still to make one of `generateName`.
    pub name: &'a str,
    /// Empty for what has no namespace; the namespace's own name for a request about it.
    pub namespace: &'a str,
    /// Labels of the namespace; `None` when they are not known, which fails what selects by them.
    pub namespace_labels: Option<&'a BTreeMap<String, String>>,
    pub object: &'a Json,
    pub old_object: &'a Json,
    /// The AdmissionRequest: kind, resource, userInfo, operation and so on.
    pub request: &'a Json,
    /// The namespace the object is in.
    pub namespace_object: &'a Json,
    /// Finds the parameters a binding refers to. An error is one of configuration: the policy fails.
    pub params: &'a dyn Fn(&ParamQuery<'_>) -> Result<Vec<&'a Json>, String>,
    /// Whether parameters of a kind (apiVersion, kind) live in namespaces; `None` when the kind is unknown.
    pub params_namespaced: &'a dyn Fn(&str, &str) -> Option<bool>,
    /// Answers `authorizer`; without one, expressions that ask it fail.
    pub authorizer: Option<&'a dyn Authorizer>,
}

/// Which parameters are wanted: one by name, or all that a selector selects.
#[derive(Clone, Copy, Debug)]
pub struct ParamQuery<'q> {
    pub api_version: &'q str,
    pub kind: &'q str,
    /// Empty for kinds without namespace.
    pub namespace: &'q str,
    /// Empty when a selector selects.
    pub name: &'q str,
    pub selector: Option<&'q LabelSelector>,
}

// === impl ParamQuery ===

impl ParamQuery<'_> {
    /// Whether an object is one of those wanted; for callers that hold all of them.
    pub fn selects(&self, object: &Json) -> bool {
        let text = |pointer: &str| object.pointer(pointer).and_then(Json::as_str).unwrap_or_default();
        let labels = super::document::labels_of(object).unwrap_or_default();
        text("/apiVersion") == self.api_version
            && text("/kind") == self.kind
            && text("/metadata/namespace") == self.namespace
            && (self.name.is_empty() || text("/metadata/name") == self.name)
            && self.selector.is_none_or(|s| s.matches(&labels))
    }
}
