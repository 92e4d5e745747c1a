//! Documents as users have them, and what is refused of them.

use crate::support::{judge_those, Case, judge, load, said};
use jinwu_policy::admission_policy::{Action, AdmissionPolicies, Review};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// The example of Kubernetes' own documentation, in shape.
const LIMIT: &str = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: replica-limit.example.com
  labels: {team: platform}
spec:
  failurePolicy: Fail
  paramKind:
    apiVersion: rules.example.com/v1
    kind: ReplicaLimit
  matchConstraints:
    resourceRules:
    - apiGroups:   ["apps"]
      apiVersions: ["v1"]
      operations:  ["CREATE", "UPDATE"]
      resources:   ["deployments"]
  matchConditions:
  - name: not-the-operator
    expression: '!("operators" in request.userInfo.groups)'
  variables:
  - name: replicas
    expression: object.spec.?replicas.orValue(1)
  validations:
  - expression: variables.replicas <= params.maxReplicas
    messageExpression: "'at most ' + string(params.maxReplicas) + ' replicas, not ' + string(variables.replicas)"
    reason: Forbidden
  - expression: "object.spec.template.spec.containers.all(c, c.image.startsWith('registry.example/'))"
    message: images come from registry.example
  auditAnnotations:
  - key: replicas
    valueExpression: "variables.replicas > 5 ? 'many: ' + string(variables.replicas) : ''"
---
# a document of another kind is passed over
apiVersion: v1
kind: ConfigMap
metadata: {name: other}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: replica-limit-test.example.com
spec:
  policyName: replica-limit.example.com
  validationActions: [Deny, Audit]
  paramRef:
    name: test-limit
    parameterNotFoundAction: Deny
  matchResources:
    namespaceSelector:
      matchLabels:
        environment: test
"#;

fn limit(max: i64) -> Json {
    json!({"apiVersion": "rules.example.com/v1", "kind": "ReplicaLimit", "metadata": {"name": "test-limit", "namespace": "shop"}, "maxReplicas": max})
}

#[test]
fn a_users_policy_loads_as_it_is() {
    let policies = load(LIMIT);
    assert_eq!(policies.len(), (1, 1));
    let review = judge(&policies, &Case { params: vec![limit(5)], ..Case::default() });
    assert_eq!(said(&review), ["Deny at most 5 replicas, not 7", "Audit at most 5 replicas, not 7"]);
    let first = &review.findings[0];
    assert_eq!((first.policy.as_str(), first.binding.as_str(), first.reason.as_str()), ("replica-limit.example.com", "replica-limit-test.example.com", "Forbidden"));
    assert!(review.denies());
    assert_eq!(review.annotations.len(), 1);
    assert_eq!((review.annotations[0].key.as_str(), review.annotations[0].value.as_str()), ("replica-limit.example.com/replicas", "many: 7"));
    assert_eq!(judge(&policies, &Case { params: vec![limit(9)], ..Case::default() }).findings, []);
    let mut foreign = Case { params: vec![limit(5)], ..Case::default() };
    foreign.object["spec"]["replicas"] = json!(2);
    foreign.object["spec"]["template"]["spec"]["containers"][0]["image"] = json!("docker.io/x");
    let review = judge(&policies, &foreign);
    assert_eq!(said(&review), ["Deny images come from registry.example", "Audit images come from registry.example"]);
    assert_eq!((review.findings[0].reason.as_str(), review.annotations.len()), ("Invalid", 0));
    // Another namespace is not bound.
    let elsewhere = Case { labels: Some(BTreeMap::new()), ..Case::default() };
    assert_eq!(judge(&policies, &elsewhere), Review::default());
    // No parameter: the binding says Deny.
    assert!(said(&judge(&policies, &Case::default()))[0].starts_with("Deny failed to configure binding: no params found"));
}

#[test]
fn lists_are_read_and_bindings_without_policy_named() {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "lonely"},
         "spec": {"policyName": "nowhere", "validationActions": ["Warn"]}}]});
    let policies = load(&list.to_string());
    assert_eq!((policies.len(), policies.is_empty()), ((0, 1), true));
    assert_eq!(policies.dangling().collect::<Vec<_>>(), ["lonely"]);
}

#[test]
fn what_the_api_server_would_not_store_is_refused() {
    let rules = json!({"resourceRules": [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}]});
    let validation = json!([{"expression": "true"}]);
    let spec = |more: Json| {
        let mut spec = json!({"matchConstraints": rules, "validations": validation}).as_object().unwrap().clone();
        spec.extend(more.as_object().unwrap().clone());
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "p"}, "spec": spec})
    };
    let rule = |more: Json| {
        let mut rule = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}).as_object().unwrap().clone();
        rule.extend(more.as_object().unwrap().clone());
        spec(json!({"matchConstraints": {"resourceRules": [rule]}}))
    };
    let binding = |spec: Json| {
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "b"}, "spec": spec})
    };
    let long: Vec<Json> = (0..300)
        .map(|i| json!({"name": format!("v{i}"), "expression": if i == 0 { "[1]".into() } else { format!("dyn([dyn([variables.v{}])])", i - 1) }}))
        .collect();
    for (document, wanted) in [
        (spec(json!({"validations": [{"expression": "object.spec.x"}]})), "validations[0].expression: it must evaluate to bool, not dyn"),
        (spec(json!({"validations": [{"expression": "nope"}]})), "validations[0].expression: line 1, column 1: undeclared reference to 'nope'"),
        (spec(json!({"validations": [{"expression": "params.x == 1"}]})), "undeclared reference to 'params'"),
        (spec(json!({"validations": [{"expression": "request.nope == ''"}]})), "undefined field 'nope'"),
        (spec(json!({"validations": [{"expression": "true", "messageExpression": "1"}]})), "messageExpression: it must evaluate to string, not int"),
        (spec(json!({"validations": [{"expression": "true", "messageExpression": "authorizer.path('/x').check('get').reason()"}]})), "undeclared reference to 'authorizer'"),
        (spec(json!({"validations": [{"expression": "true", "reason": "Because"}]})), "reason Because is unknown"),
        (spec(json!({"validations": []})), "needs validations or auditAnnotations"),
        (spec(json!({"matchConstraints": {}})), "resourceRules is required"),
        (spec(json!({"matchConstraints": {"resourceRules": [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["READ"], "resources": ["*"]}]}})), "operation READ is unknown"),
        (spec(json!({"matchConstraints": {"resourceRules": [{"apiGroups": ["*"], "operations": ["*"], "resources": ["*"]}]}})), "a rule needs"),
        (spec(json!({"matchConditions": [{"name": "c", "expression": "object"}]})), "matchConditions[0] c: it must evaluate to bool"),
        (spec(json!({"auditAnnotations": [{"key": "k", "valueExpression": "1"}]})), "auditAnnotations[0] k: it must evaluate to string or null_type"),
        (spec(json!({"variables": [{"name": "a", "expression": "variables.b"}, {"name": "b", "expression": "1"}]})), "undefined field 'b'"),
        (spec(json!({"variables": [{"name": "a", "expression": "1"}, {"name": "a", "expression": "1"}]})), "that no other variable has"),
        (spec(json!({"variables": [{"name": "a-b", "expression": "1"}]})), "the name must be an identifier"),
        (spec(json!({"variables": long})), "deep, more than 500"),
        (spec(json!({"unknownField": 1})), "unknown field"),
        (spec(json!({"validations": [{"expression": "true", "message": "a\nb"}]})), "validations[0].message must not have line breaks"),
        (spec(json!({"matchConditions": [{"name": "c", "expression": "true"}, {"name": "c", "expression": "true"}]})), "matchConditions[1]: the name"),
        (spec(json!({"paramKind": {"apiVersion": "v1", "kind": ""}})), "paramKind needs apiVersion and kind"),
        (rule(json!({"apiGroups": ["*", "apps"]})), "apiGroups: beside '*' nothing else may stand"),
        (rule(json!({"resources": ["*/*", "pods"]})), "resources: */* stands beside"),
        (rule(json!({"resources": ["*", "pods"]})), "resources: * stands beside"),
        (rule(json!({"resources": ["pods/*", "pods/log"]})), "resources: pods/log stands beside"),
        (binding(json!({"policyName": "A b", "validationActions": ["Deny"]})), "spec.policyName must be"),
        (binding(json!({"policyName": "p", "validationActions": []})), "needs at least one of Deny, Warn and Audit"),
        (binding(json!({"policyName": "p", "validationActions": ["Deny", "Warn"]})), "both Deny and Warn"),
        (binding(json!({"policyName": "p", "validationActions": ["Deny"], "paramRef": {"parameterNotFoundAction": "Deny"}})), "either name or selector"),
        (binding(json!({"policyName": "p", "validationActions": ["Deny"], "paramRef": {"name": "x"}})), "needs parameterNotFoundAction"),
        (binding(json!({"policyName": "p", "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchExpressions": [{"key": "k", "operator": "In"}]}}})), "matchExpressions k: In needs values"),
    ] {
        let error = AdmissionPolicies::load(&document.to_string(), 34).expect_err(wanted).to_string();
        assert!(error.contains(wanted), "wanted {wanted}\n   got {error}");
    }
    let twice = format!("{0}\n---\n{0}", spec(json!({})));
    assert!(AdmissionPolicies::load(&twice, 34).unwrap_err().to_string().contains("the name stands twice"));
    assert!(AdmissionPolicies::load("a: [", 34).is_err());
    // A function of a later version is not there in an earlier.
    let newer = spec(json!({"validations": [{"expression": "isSemver('1.2.3')"}]})).to_string();
    assert!(AdmissionPolicies::load(&newer, 34).is_ok());
    assert!(AdmissionPolicies::load(&newer, 32).unwrap_err().to_string().contains("since Kubernetes 1.33"));
}

#[test]
fn every_binding_speaks_for_itself() {
    let mut yaml = LIMIT.replace("name: test-limit", "name: absent").replace("parameterNotFoundAction: Deny", "parameterNotFoundAction: Allow");
    for (name, action, limit) in [("strict", "Deny", "strict-limit"), ("soft", "Warn", "soft-limit")] {
        yaml.push_str(&format!(
            "---\napiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\nmetadata: {{name: {name}}}\nspec:\n  policyName: replica-limit.example.com\n  validationActions: [{action}]\n  paramRef: {{name: {limit}, parameterNotFoundAction: Deny}}\n"
        ));
    }
    let named = |name: &str, max: i64| {
        let mut param = limit(max);
        param["metadata"]["name"] = json!(name);
        param
    };
    let review = judge(&load(&yaml), &Case { params: vec![named("strict-limit", 6), named("soft-limit", 3)], ..Case::default() });
    let found: Vec<_> = review.findings.iter().map(|f| (f.binding.as_str(), f.action, f.message.as_str())).collect();
    assert_eq!(found, [("strict", Action::Deny, "at most 6 replicas, not 7"), ("soft", Action::Warn, "at most 3 replicas, not 7")]);
    // The same annotation is made once.
    assert_eq!(review.annotations.len(), 1);
}

#[test]
fn what_policies_need_is_told() {
    let policies = load(LIMIT);
    let described: Vec<_> = policies.described().collect();
    assert_eq!((described[0].name, described[0].fails_closed, described[0].bindings.len()), ("replica-limit.example.com", true, 1));
    assert_eq!(described[0].rules[0]["resources"], json!(["deployments"]));
    let wanted: Vec<_> = policies.wanted().into_iter().map(|w| (w.kind, w.namespace, w.name)).collect();
    assert_eq!(wanted, [("ReplicaLimit".to_owned(), String::new(), "test-limit".to_owned())]);
    // Parameters that come with the policies are theirs.
    let with = load(&format!("{LIMIT}---\n{}", limit(3)));
    assert_eq!((with.given().len(), with.wanted().len(), with.given_namespaced("rules.example.com/v1", "ReplicaLimit")), (1, 0, Some(true)));
    let mut lost = limit(3);
    lost["metadata"] = json!({"name": "other"});
    let error = AdmissionPolicies::load(&format!("{LIMIT}---\n{}\n---\n{lost}", limit(3)), 34).unwrap_err().to_string();
    assert!(error.contains("either all objects of this kind have metadata.namespace"), "{error}");
}

#[test]
fn evaluation_is_by_those_wanted_and_ends_when_told() {
    let policies = load(LIMIT);
    let case = Case { params: vec![limit(5)], ..Case::default() };
    assert_eq!(judge_those(&policies, &case, &|_, closed| !closed, &|| false), Review::default());
    let stopped = judge_those(&policies, &case, &|_, _| true, &|| true);
    assert_eq!(said(&stopped), ["Deny failed to configure binding: the time for one request is used up"]);
}
