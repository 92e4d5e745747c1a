//! A request and a way to policies, for all tests.

use jinwu_cel::{Attributes, AuthorizationDecision, AuthorizationTarget, Authorizer};
use jinwu_policy::admission_policy::{AdmissionInput, AdmissionPolicies, ParamQuery, Review};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// A request with everything it is judged by, to be changed by a test.
pub(crate) struct Case {
    pub(crate) operation: &'static str,
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) resource: &'static str,
    pub(crate) subresource: &'static str,
    pub(crate) name: &'static str,
    pub(crate) namespace: &'static str,
    pub(crate) labels: Option<BTreeMap<String, String>>,
    pub(crate) object: Json,
    pub(crate) old_object: Json,
    pub(crate) params: Vec<Json>,
    pub(crate) authorizer: bool,
}

impl Default for Case {
    fn default() -> Self {
        Case {
            operation: "CREATE",
            group: "apps",
            version: "v1",
            resource: "deployments",
            subresource: "",
            name: "web",
            namespace: "shop",
            labels: Some(BTreeMap::from([("environment".into(), "test".into())])),
            object: json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "labels": {"app": "web"}},
                "spec": {"replicas": 7, "template": {"spec": {"containers": [{"name": "web", "image": "registry.example/web:1"}]}}}}),
            old_object: Json::Null,
            params: Vec::new(),
            authorizer: true,
        }
    }
}

struct Rules;

impl Authorizer for Rules {
    fn authorize(&self, attributes: &Attributes) -> Result<AuthorizationDecision, String> {
        let AuthorizationTarget::Resource(resource) = &attributes.target else { return Err("no paths".into()) };
        let allowed = resource.resource == "deployments" && resource.namespace == "shop" && attributes.verb == "breakglass";
        Ok(AuthorizationDecision { allowed, reason: String::new() })
    }
}

pub(crate) fn judge(policies: &AdmissionPolicies, case: &Case) -> Review {
    judge_those(policies, case, &|_, _| true, &|| false)
}

pub(crate) fn judge_those(policies: &AdmissionPolicies, case: &Case, wanted: &dyn Fn(&str, bool) -> bool, stopped: &dyn Fn() -> bool) -> Review {
    let request = json!({"operation": case.operation, "name": case.name, "namespace": case.namespace, "dryRun": false,
        "kind": {"group": case.group, "version": case.version, "kind": "Deployment"},
        "userInfo": {"username": "alice", "groups": ["developers"]}});
    let namespace_object = json!({"metadata": {"name": case.namespace, "labels": case.labels}});
    let params = |query: &ParamQuery<'_>| Ok(case.params.iter().filter(|p| query.selects(p)).collect());
    let input = AdmissionInput {
        operation: case.operation,
        group: case.group,
        version: case.version,
        resource: case.resource,
        subresource: case.subresource,
        name: case.name,
        namespace: case.namespace,
        namespace_labels: case.labels.as_ref(),
        object: &case.object,
        old_object: &case.old_object,
        request: &request,
        namespace_object: &namespace_object,
        params: &params,
        params_namespaced: &|_, kind| match kind {
            "ReplicaLimit" => Some(true),
            "ClusterLimit" => Some(false),
            _ => None,
        },
        authorizer: if case.authorizer { Some(&Rules) } else { None },
    };
    policies.evaluate_those(&input, wanted, stopped)
}

pub(crate) fn load(yaml: &str) -> AdmissionPolicies {
    AdmissionPolicies::load(yaml, 34).unwrap_or_else(|e| panic!("{e}\n{yaml}"))
}

/// A policy over deployments with this spec beside matchConstraints, and a binding with this one.
pub(crate) fn policy(spec: Json, binding: Json) -> AdmissionPolicies {
    let merged = |mut base: Json, more: Json| {
        if let (Json::Object(base), Json::Object(more)) = (&mut base, more) {
            base.extend(more);
        }
        base
    };
    let rules = json!({"matchConstraints": {"resourceRules": [
        {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["deployments"]}]}});
    let policy = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "p"},
        "spec": merged(rules, spec)});
    let binding = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "b"},
        "spec": merged(json!({"policyName": "p", "validationActions": ["Deny"]}), binding)});
    load(&format!("{policy}\n---\n{binding}"))
}

/// What a review says: action and message, one line each.
pub(crate) fn said(review: &Review) -> Vec<String> {
    review.findings.iter().map(|f| format!("{:?} {}", f.action, f.message)).collect()
}
