//! The documents, field by field as admissionregistration.k8s.io/v1 has them.

use super::selector::LabelSelector;
use crate::PolicyError;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Longest YAML text, bytes: more than the API server stores in one object many times over.
const MAX_YAML: usize = 4 << 20;
/// Most policies and bindings in one text.
const MAX_DOCUMENTS: usize = 1000;
const GROUP: &str = "admissionregistration.k8s.io/";

#[derive(Debug, Default)]
pub(super) struct Documents {
    pub(super) policies: Vec<Policy>,
    pub(super) bindings: Vec<Binding>,
    /// Objects of other kinds: parameters may be among them.
    pub(super) others: Vec<serde_json::Value>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Metadata {
    pub(super) name: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Policy {
    pub(super) metadata: Metadata,
    pub(super) spec: PolicySpec,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct PolicySpec {
    pub(super) param_kind: Option<ParamKind>,
    pub(super) match_constraints: Option<MatchResources>,
    #[serde(default)]
    pub(super) validations: Vec<Validation>,
    pub(super) failure_policy: Option<FailurePolicy>,
    #[serde(default)]
    pub(super) audit_annotations: Vec<Annotation>,
    #[serde(default)]
    pub(super) match_conditions: Vec<Named>,
    #[serde(default)]
    pub(super) variables: Vec<Named>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub(super) enum FailurePolicy {
    Fail,
    Ignore,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ParamKind {
    pub(super) api_version: String,
    pub(super) kind: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) expression: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Annotation {
    pub(super) key: String,
    pub(super) value_expression: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Validation {
    pub(super) expression: String,
    #[serde(default)]
    pub(super) message: String,
    pub(super) reason: Option<String>,
    #[serde(default)]
    pub(super) message_expression: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct MatchResources {
    pub(super) namespace_selector: Option<LabelSelector>,
    pub(super) object_selector: Option<LabelSelector>,
    #[serde(default)]
    pub(super) resource_rules: Vec<Rule>,
    #[serde(default)]
    pub(super) exclude_resource_rules: Vec<Rule>,
    pub(super) match_policy: Option<MatchPolicy>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub(super) enum MatchPolicy {
    Exact,
    Equivalent,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Rule {
    #[serde(default)]
    pub(super) resource_names: Vec<String>,
    #[serde(default)]
    pub(super) operations: Vec<String>,
    #[serde(default)]
    pub(super) api_groups: Vec<String>,
    #[serde(default)]
    pub(super) api_versions: Vec<String>,
    #[serde(default)]
    pub(super) resources: Vec<String>,
    pub(super) scope: Option<Scope>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub(super) enum Scope {
    #[serde(rename = "*")]
    All,
    Namespaced,
    Cluster,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Binding {
    pub(super) metadata: Metadata,
    pub(super) spec: BindingSpec,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct BindingSpec {
    pub(super) policy_name: String,
    pub(super) param_ref: Option<ParamRef>,
    pub(super) match_resources: Option<MatchResources>,
    #[serde(default)]
    pub(super) validation_actions: Vec<ValidationAction>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub(super) enum ValidationAction {
    Deny,
    Warn,
    Audit,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ParamRef {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) namespace: String,
    pub(super) selector: Option<LabelSelector>,
    pub(super) parameter_not_found_action: Option<NotFound>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub(super) enum NotFound {
    Allow,
    Deny,
}

/// Reads all documents of a text and adds them to those there are.
pub(super) fn read(yaml: &str, documents: &mut Documents) -> Result<(), PolicyError> {
    if yaml.len() > MAX_YAML {
        return Err(PolicyError::Yaml(format!("{} bytes are more than 4 MiB", yaml.len())));
    }
    let values: Vec<serde_json::Value> = serde_saphyr::from_multiple(yaml).map_err(|e| PolicyError::Yaml(e.to_string()))?;
    for value in values {
        let listed = value.get("kind").and_then(serde_json::Value::as_str).is_some_and(|kind| kind.ends_with("List"));
        match value.get("items").and_then(serde_json::Value::as_array).filter(|_| listed) {
            Some(items) => items.iter().try_for_each(|item| add(documents, item.clone()))?,
            None => add(documents, value)?,
        }
        if documents.policies.len() + documents.bindings.len() + documents.others.len() > MAX_DOCUMENTS {
            return Err(PolicyError::Yaml(format!("there are more than {MAX_DOCUMENTS} objects")));
        }
    }
    Ok(())
}

fn add(documents: &mut Documents, value: serde_json::Value) -> Result<(), PolicyError> {
    let text = |pointer: &str| value.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    let (version, kind, name) = (text("/apiVersion"), text("/kind"), text("/metadata/name"));
    let ours = matches!(kind.as_str(), "ValidatingAdmissionPolicy" | "ValidatingAdmissionPolicyBinding");
    let Some(version) = version.strip_prefix(GROUP).filter(|_| ours) else {
        documents.others.push(value);
        return Ok(());
    };
    let invalid = |detail: String| PolicyError::Invalid { policy: name.clone(), detail };
    if !jinwu_cel::is_object_name(&name) {
        return Err(invalid("metadata.name must be a DNS subdomain: at most 253 lower-case letters, digits, '-' and '.'".into()));
    }
    if !matches!(version, "v1" | "v1beta1" | "v1alpha1") {
        return Err(invalid(format!("apiVersion must be {GROUP}v1, not {GROUP}{version}")));
    }
    if kind == "ValidatingAdmissionPolicy" {
        let policy = serde_json::from_value(value).map_err(|e| invalid(e.to_string()))?;
        documents.policies.push(policy);
        return Ok(());
    }
    let binding: Binding = serde_json::from_value(value).map_err(|e| invalid(e.to_string()))?;
    check(&binding).map_err(invalid)?;
    documents.bindings.push(binding);
    Ok(())
}

/// What the API server asks of a binding before it stores it.
fn check(binding: &Binding) -> Result<(), String> {
    if !jinwu_cel::is_object_name(&binding.spec.policy_name) {
        return Err("spec.policyName must be the name of a policy".into());
    }
    let actions = &binding.spec.validation_actions;
    if actions.is_empty() {
        return Err("validationActions needs at least one of Deny, Warn and Audit".into());
    }
    if actions.contains(&ValidationAction::Deny) && actions.contains(&ValidationAction::Warn) {
        return Err("validationActions must not have both Deny and Warn: a refusal says what a warning would".into());
    }
    if let Some(param) = &binding.spec.param_ref {
        if param.name.is_empty() == param.selector.is_none() {
            return Err("paramRef needs either name or selector".into());
        }
        if param.parameter_not_found_action.is_none() {
            return Err("paramRef needs parameterNotFoundAction, Allow or Deny".into());
        }
        param.selector.as_ref().map_or(Ok(()), LabelSelector::check)?;
    }
    binding.spec.match_resources.as_ref().map_or(Ok(()), MatchResources::check)
}

// === impl MatchResources ===

impl MatchResources {
    /// What the API server asks of selectors and rules.
    pub(super) fn check(&self) -> Result<(), String> {
        for selector in [&self.namespace_selector, &self.object_selector].into_iter().flatten() {
            selector.check()?;
        }
        for rule in self.resource_rules.iter().chain(&self.exclude_resource_rules) {
            if rule.operations.is_empty() || rule.api_groups.is_empty() || rule.api_versions.is_empty() || rule.resources.is_empty() {
                return Err("a rule needs operations, apiGroups, apiVersions and resources".into());
            }
            for (what, list) in [("operations", &rule.operations), ("apiGroups", &rule.api_groups), ("apiVersions", &rule.api_versions)] {
                if list.len() > 1 && list.iter().any(|entry| entry == "*") {
                    return Err(format!("{what}: beside '*' nothing else may stand"));
                }
            }
            resources(&rule.resources)?;
            if let Some(unknown) = rule.operations.iter().find(|o| !["*", "CREATE", "UPDATE", "DELETE", "CONNECT"].contains(&o.as_str())) {
                return Err(format!("operation {unknown} is unknown; CREATE, UPDATE, DELETE, CONNECT and * are known"));
            }
        }
        Ok(())
    }
}

/// What a rule's resources may not have beside one another: what a wildcard has already.
fn resources(all: &[String]) -> Result<(), String> {
    let has = |entry: &str| all.iter().any(|known| known == entry);
    for entry in all {
        let (resource, sub) = entry.split_once('/').unwrap_or((entry, ""));
        let plain = !entry.contains('/');
        let covered = match entry.as_str() {
            "" => return Err("resources: an entry is empty".into()),
            "*/*" => (all.len() > 1).then_some("*/*"),
            _ if plain && resource != "*" && has("*") => Some("*"),
            _ if !plain && sub != "*" && has(&format!("{resource}/*")) => Some(entry.as_str()),
            _ if !plain && resource != "*" && has(&format!("*/{sub}")) => Some(entry.as_str()),
            _ => None,
        };
        if let Some(covered) = covered {
            return Err(format!("resources: {covered} stands beside what it covers, or what covers it"));
        }
    }
    Ok(())
}

/// Labels of an object, where it has any.
pub(super) fn labels_of(object: &serde_json::Value) -> Option<BTreeMap<&str, &str>> {
    let labels = object.pointer("/metadata/labels")?.as_object()?;
    Some(labels.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_str()?))).collect())
}
