//! Roles, bindings, service accounts.

use super::{Meta, Named};
use crate::read::objects;

objects! {
    /// Role, or ClusterRole (no namespace) with its aggregation resolved.
    Role { metadata: Meta, rules: Vec<Rule> }
    /// RoleBinding, or ClusterRoleBinding (no namespace).
    Binding { metadata: Meta, subjects: Vec<BoundSubject>, role_ref: RoleRef }
    /// `rules[*]`.
    Rule {
        verbs: Vec<Box<str>>,
        api_groups: Vec<Box<str>>,
        resources: Vec<Box<str>>,
        resource_names: Vec<Box<str>>,
        #[serde(rename = "nonResourceURLs")] non_resource_urls: Vec<Box<str>>,
    }
    /// `subjects[*]`.
    BoundSubject { kind: Box<str>, name: Box<str>, namespace: Box<str> }
    /// `roleRef`.
    RoleRef { kind: Box<str>, name: Box<str> }
    /// ServiceAccount.
    ServiceAccount { metadata: Meta, automount_service_account_token: Option<bool>, secrets: Vec<Named>, image_pull_secrets: Vec<Named> }
}
