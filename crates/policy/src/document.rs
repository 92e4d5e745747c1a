//! The policy document.
//!
//! `spec.matchConditions`, `spec.variables` and `spec.validations` mean what they mean in
//! ValidatingAdmissionPolicy (admissionregistration.k8s.io/v1). Jinwu adds: the clauses a policy
//! serves, its default mode for each protection level, parameters with defaults, and `each` in a
//! validation: a list of which every element is a violation of its own, with the element's members
//! available to the messages as `{member.path}`.

use jinwu_model::{ClauseId, Gate, Mode, Text};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Document {
    pub api_version: String,
    pub kind: String,
    pub metadata: Metadata,
    pub spec: Spec,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// Kebab-case, at most 63 characters.
    pub name: String,
    pub title: Text,
    #[serde(default)]
    pub description: Text,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Spec {
    pub clauses: Vec<ClauseId>,
    pub gates: Vec<Gate>,
    /// Default mode for protection levels 1 to 4.
    pub modes: Modes,
    #[serde(default)]
    pub params: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    pub match_conditions: Vec<Condition>,
    #[serde(default)]
    pub variables: Vec<Variable>,
    #[serde(default)]
    pub validations: Vec<Validation>,
    /// Of a [`KIND_WORKLOAD`]: the checks of the admission gate that this policy switches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub controls: Vec<String>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Modes {
    #[serde(rename = "1")]
    pub one: Mode,
    #[serde(rename = "2")]
    pub two: Mode,
    #[serde(rename = "3")]
    pub three: Mode,
    #[serde(rename = "4")]
    pub four: Mode,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    pub name: String,
    pub expression: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    pub name: String,
    pub expression: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Validation {
    /// True means conforming. With `each` it may be left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
    /// A list; every element is a violation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<String>,
    /// What was found. `{a.b}` is the element's member (with `each`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Text>,
    /// A CEL expression giving a string; used for both languages when there is no `message`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_expression: Option<String>,
    /// What to change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<Text>,
}

/// The one `apiVersion`.
pub const API_VERSION: &str = "policy.jinwu.io/v1";
/// Judges images, by `validations`.
pub const KIND: &str = "ImagePolicy";
/// Judges what is asked of a cluster, by built-in `controls`.
pub const KIND_WORKLOAD: &str = "WorkloadPolicy";

impl Modes {
    pub fn at(&self, level: jinwu_model::ProtectionLevel) -> Mode {
        match level.get() {
            1 => self.one,
            2 => self.two,
            3 => self.three,
            _ => self.four,
        }
    }
}

impl Document {
    pub fn judges_images(&self) -> bool {
        self.kind == KIND
    }
}
