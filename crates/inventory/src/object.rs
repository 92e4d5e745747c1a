//! The members of API objects that matter here.

mod cluster;
mod pod;
mod rbac;

pub use cluster::*;
pub use pod::*;
pub use rbac::*;

use crate::read::objects;
use std::collections::BTreeMap;

pub type Labels = BTreeMap<Box<str>, Box<str>>;

objects! {
    /// `metadata`.
    Meta {
        name: Box<str>,
        namespace: Box<str>,
        uid: Box<str>,
        labels: Labels,
        /// Of these only [`KEPT_ANNOTATIONS`] stay.
        annotations: Labels,
        owner_references: Vec<Owner>,
        creation_timestamp: Box<str>,
        deletion_timestamp: Option<Box<str>>,
    }
    /// `metadata.ownerReferences[*]`.
    Owner { kind: Box<str>, name: Box<str>, controller: Option<bool> }
    /// `name` alone.
    Named { name: Box<str> }
    /// A label selector.
    Selector { match_labels: Labels, match_expressions: Vec<Requirement> }
    /// One expression of a selector.
    Requirement { key: Box<str>, operator: Box<str>, values: Vec<Box<str>> }
}

/// Beginnings of annotations that are kept; all others may hold anything, secrets included.
pub const KEPT_ANNOTATIONS: [&str; 4] = [
    "kubernetes.io/config.mirror",
    "kubernetes.io/service-account.name",
    "rbac.authorization.kubernetes.io/autoupdate",
    "container.apparmor.security.beta.kubernetes.io/",
];

// === impl Meta ===

impl Meta {
    /// `namespace/name`, or `name` of what has no namespace.
    pub fn place(&self) -> String {
        if self.namespace.is_empty() { self.name.to_string() } else { format!("{}/{}", self.namespace, self.name) }
    }

    /// The owner that controls it.
    pub fn controller(&self) -> Option<&Owner> {
        self.owner_references.iter().find(|o| o.controller == Some(true))
    }

    pub(crate) fn settle(&mut self) {
        self.annotations.retain(|key, _| KEPT_ANNOTATIONS.iter().any(|kept| key.starts_with(kept)));
    }
}

// === impl Selector ===

impl Selector {
    /// Whether it selects these labels. The empty selector selects all; an unknown operator none.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.match_labels.iter().all(|(k, v)| labels.get(k) == Some(v))
            && self.match_expressions.iter().all(|r| {
                let value = labels.get(&r.key);
                match &*r.operator {
                    "In" => value.is_some_and(|v| r.values.contains(v)),
                    "NotIn" => !value.is_some_and(|v| r.values.contains(v)),
                    "Exists" => value.is_some(),
                    "DoesNotExist" => value.is_none(),
                    _ => false,
                }
            })
    }
}
