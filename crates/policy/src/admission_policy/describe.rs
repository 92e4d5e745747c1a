//! What policies are about and what they need, for whoever serves them.

use super::AdmissionPolicies;
use super::compile::Policy;
use super::document::{Binding, Rule};
use crate::PolicyError;
use serde::Serialize;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

/// A policy as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Described<'p> {
    pub name: &'p str,
    /// Bindings of it; without one it has no effect.
    pub bindings: Vec<&'p str>,
    /// Whether an evaluation that fails refuses.
    pub fails_closed: bool,
    /// What it is asked about, in the shape of a webhook's rules.
    pub rules: Vec<Json>,
    /// apiVersion and kind.
    pub param_kind: Option<(&'p str, &'p str)>,
    pub asks_authorizer: bool,
}

/// Parameters that bindings refer to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ParamSource {
    pub api_version: String,
    pub kind: String,
    /// Empty: of the namespace of whatever is asked about, or of a kind without namespace.
    pub namespace: String,
    /// Empty: those a selector selects.
    pub name: String,
}

// === impl AdmissionPolicies ===

impl AdmissionPolicies {
    pub fn described(&self) -> impl Iterator<Item = Described<'_>> {
        self.policies.iter().map(|policy| Described {
            name: &policy.name,
            bindings: self.bindings_of(policy).map(|b| b.metadata.name.as_str()).collect(),
            fails_closed: policy.fails_closed(),
            rules: policy.spec.match_constraints.iter().flat_map(|c| &c.resource_rules).map(Rule::webhook).collect(),
            param_kind: policy.spec.param_kind.as_ref().map(|k| (k.api_version.as_str(), k.kind.as_str())),
            asks_authorizer: policy.asks_authorizer(),
        })
    }

    pub fn has(&self, policy: &str) -> bool {
        self.policies.iter().any(|p| p.name == policy)
    }

    /// Parameters that came with the policies.
    pub fn given(&self) -> &[Json] {
        &self.given
    }

    /// Parameters of kinds that did not come with the policies: they are the cluster's.
    pub fn wanted(&self) -> BTreeSet<ParamSource> {
        let mut all = BTreeSet::new();
        for policy in &self.policies {
            let Some(kind) = &policy.spec.param_kind else { continue };
            if self.gives(&kind.api_version, &kind.kind) {
                continue;
            }
            all.extend(self.bindings_of(policy).filter_map(|b| b.spec.param_ref.as_ref()).map(|reference| ParamSource {
                api_version: kind.api_version.clone(),
                kind: kind.kind.clone(),
                namespace: reference.namespace.clone(),
                name: reference.name.clone(),
            }));
        }
        all
    }

    /// Whether objects of a kind came with the policies.
    pub fn gives(&self, api_version: &str, kind: &str) -> bool {
        self.given.iter().any(|object| is_of(object, api_version, kind))
    }

    /// Whether the given objects of a kind live in namespaces; `None` when there are none.
    pub fn given_namespaced(&self, api_version: &str, kind: &str) -> Option<bool> {
        self.given.iter().find(|object| is_of(object, api_version, kind)).map(|object| !text(object, "/metadata/namespace").is_empty())
    }

    fn bindings_of<'p>(&'p self, policy: &Policy) -> impl Iterator<Item = &'p Binding> {
        self.bindings.iter().filter(move |b| b.spec.policy_name == policy.name)
    }
}

// === impl ParamSource ===

impl ParamSource {
    /// Whether what is wanted of a kind, namespace and name is among these.
    pub fn covers(&self, query: &super::ParamQuery<'_>) -> bool {
        self.api_version == query.api_version
            && self.kind == query.kind
            && (self.namespace.is_empty() || self.namespace == query.namespace)
            && (self.name.is_empty() || self.name == query.name)
    }
}

// === impl Rule ===

impl Rule {
    /// As a webhook has rules: names of resources are not told apart there.
    fn webhook(&self) -> Json {
        let mut rule = json!({
            "operations": self.operations, "apiGroups": self.api_groups, "apiVersions": self.api_versions, "resources": self.resources,
        });
        rule["scope"] = match self.scope {
            None | Some(super::document::Scope::All) => "*",
            Some(super::document::Scope::Namespaced) => "Namespaced",
            Some(super::document::Scope::Cluster) => "Cluster",
        }
        .into();
        rule
    }
}

/// Those of the objects that are of some policy's paramKind. Within a kind either all have a namespace
/// or none has.
pub(super) fn given(policies: &[Policy], others: Vec<Json>) -> Result<Vec<Json>, PolicyError> {
    let kinds: Vec<_> = policies.iter().filter_map(|p| p.spec.param_kind.as_ref()).collect();
    let given: Vec<Json> = others.into_iter().filter(|o| kinds.iter().any(|k| is_of(o, &k.api_version, &k.kind))).collect();
    for object in &given {
        let name = text(object, "/metadata/name");
        let invalid = |detail: &str| {
            let what = format!("{} {name}", text(object, "/kind"));
            Err(PolicyError::Invalid { policy: what, detail: detail.to_owned() })
        };
        if name.is_empty() {
            return invalid("metadata.name is required");
        }
        let placed = |o: &Json| !text(o, "/metadata/namespace").is_empty();
        if text(object, "/apiVersion") == "v1" && matches!(text(object, "/kind"), "ConfigMap" | "Secret") && !placed(object) {
            return invalid("metadata.namespace is required");
        }
        let same = |o: &&Json| is_of(o, text(object, "/apiVersion"), text(object, "/kind"));
        if given.iter().filter(same).any(|other| placed(other) != placed(object)) {
            return invalid("either all objects of this kind have metadata.namespace or none has");
        }
        if given.iter().filter(same).filter(|o| text(o, "/metadata/name") == name && text(o, "/metadata/namespace") == text(object, "/metadata/namespace")).count() > 1 {
            return invalid("the name stands twice");
        }
    }
    Ok(given)
}

fn is_of(object: &Json, api_version: &str, kind: &str) -> bool {
    text(object, "/apiVersion") == api_version && text(object, "/kind") == kind
}

fn text<'o>(object: &'o Json, pointer: &str) -> &'o str {
    object.pointer(pointer).and_then(Json::as_str).unwrap_or_default()
}
