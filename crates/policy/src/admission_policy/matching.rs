//! Whether a policy or binding is about a request.

use super::document::{MatchPolicy, MatchResources, Rule, Scope, labels_of};
use super::input::AdmissionInput;
use super::selector::LabelSelector;
use std::collections::BTreeMap;

/// The API server's own admission configuration is out of every policy's reach, so that a policy
/// cannot lock itself in.
const EXEMPT: [&str; 6] = [
    "validatingwebhookconfigurations",
    "mutatingwebhookconfigurations",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
    "mutatingadmissionpolicies",
    "mutatingadmissionpolicybindings",
];

pub(super) fn is_exempt(input: &AdmissionInput<'_>) -> bool {
    input.group == "admissionregistration.k8s.io" && EXEMPT.contains(&input.resource)
}

// === impl MatchResources ===

impl MatchResources {
    /// Whether these match; an error when that cannot be known.
    pub(super) fn matches(&self, input: &AdmissionInput<'_>) -> Result<bool, String> {
        // What is ruled out by rules or the object needs no labels of a namespace.
        let by_namespace = self.namespace_selector.as_ref().map_or(Ok(true), |s| namespace_matches(s, input));
        if by_namespace == Ok(false) || !self.object_selector.as_ref().is_none_or(|s| object_matches(s, input)) {
            return Ok(false);
        }
        let exact = self.match_policy == Some(MatchPolicy::Exact);
        let any = |rules: &[Rule]| rules.iter().any(|rule| rule.matches(input, exact));
        if any(&self.exclude_resource_rules) || !(self.resource_rules.is_empty() || any(&self.resource_rules)) {
            return Ok(false);
        }
        by_namespace
    }
}

fn namespace_matches(selector: &LabelSelector, input: &AdmissionInput<'_>) -> Result<bool, String> {
    let about_namespaces = input.resource == "namespaces";
    if selector.is_empty() || (input.namespace.is_empty() && !about_namespaces) {
        return Ok(true);
    }
    if about_namespaces && input.subresource.is_empty() && matches!(input.operation, "CREATE" | "UPDATE") {
        return Ok(selector.matches(&labels_of(input.object).unwrap_or_default()));
    }
    match input.namespace_labels {
        Some(labels) => Ok(selector.matches(&labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<BTreeMap<_, _>>())),
        None => Err(format!("labels of namespace {} are not known", input.namespace)),
    }
}

/// The object as it is to be, or as it was.
fn object_matches(selector: &LabelSelector, input: &AdmissionInput<'_>) -> bool {
    let selected = |object: &serde_json::Value| !object.is_null() && selector.matches(&labels_of(object).unwrap_or_default());
    selector.is_empty() || selected(input.object) || selected(input.old_object)
}

// === impl Rule ===

impl Rule {
    fn matches(&self, input: &AdmissionInput<'_>, exact: bool) -> bool {
        let any = |list: &[String], value: &str| list.iter().any(|known| known == "*" || known == value);
        let clustered = input.namespace.is_empty() || input.resource == "namespaces";
        let scope = match self.scope {
            None | Some(Scope::All) => true,
            Some(Scope::Namespaced) => !clustered,
            Some(Scope::Cluster) => clustered,
        };
        // Exact is about the request as it was sent, before the API server converted it.
        let (group, version) = if exact { sent_as(input) } else { (input.group, input.version) };
        scope
            && any(&self.operations, input.operation)
            && any(&self.api_groups, group)
            && (!exact || any(&self.api_versions, version))
            && self.resources.iter().any(|resource| resource_matches(resource, input))
            && (self.resource_names.is_empty() || self.resource_names.iter().any(|name| name == input.name))
    }
}

/// Group and version of the resource the client named.
fn sent_as<'a>(input: &AdmissionInput<'a>) -> (&'a str, &'a str) {
    let member = |name: &str| input.request.get("requestResource")?.get(name)?.as_str();
    match member("version") {
        Some(version) => (member("group").unwrap_or_default(), version),
        None => (input.group, input.version),
    }
}

/// `pods`, `pods/log`, `pods/*`, `*`, `*/*`, `*/scale`.
fn resource_matches(pattern: &str, input: &AdmissionInput<'_>) -> bool {
    let (resource, subresource) = pattern.split_once('/').unwrap_or((pattern, ""));
    (resource == "*" || resource == input.resource) && (subresource == "*" || subresource == input.subresource)
}
