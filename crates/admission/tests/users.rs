//! Users' admission policies in the gate: what comes of what they say.
#![allow(clippy::unwrap_used)]

use jinwu_admission::answer;
use jinwu_admission::protocol::Bundle;
use jinwu_admission::review::Review;
use jinwu_admission::rules::Rules;
use jinwu_admission::users::{self, Asked, Surroundings, Users, Which};
use jinwu_model::{DecisionId, Kind, Mode, Outcome};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const NOW: i64 = 1_000_000;

/// A policy that wants `data.size` small, and its binding.
fn policy(name: &str, actions: &str, more: &str) -> String {
    format!(
        "apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: {name}}}
spec:
  matchConstraints: {{resourceRules: [{{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}}]}}
  validations: [{{expression: \"object.data.size == 'small'\", message: it must be small, reason: Forbidden}}]
  auditAnnotations: [{{key: size, valueExpression: \"string(object.data.?size.orValue(''))\"}}]
{more}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: {name}-bound}}
spec: {{policyName: {name}, validationActions: [{actions}]}}
"
    )
}

fn bundle(texts: &[String]) -> Value {
    let admission: BTreeMap<String, &String> = texts.iter().enumerate().map(|(i, text)| (format!("{i}.yaml"), text)).collect();
    json!({
        "cluster": "c", "generation": "g", "made": 0, "default_level": 4, "enforcement": {"*": "block"}, "modes": {}, "exceptions": [],
        "grants": [], "policies": [], "registries": [], "own_registries": [], "level_setters": [], "base_platform": [],
        "sandboxed_runtimes": [], "blocked": [], "verdict_generation": "v", "admission": admission,
    })
}

fn rules(bundle: Value) -> Rules {
    Rules::new(serde_json::from_value::<Bundle>(bundle).unwrap()).unwrap()
}

fn body(data: &Value) -> String {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u-1", "kind": {"group": "", "version": "v1", "kind": "ConfigMap"}, "resource": {"group": "", "version": "v1", "resource": "configmaps"},
        "name": "web", "namespace": "shop", "operation": "CREATE", "userInfo": {"username": "alice", "groups": []}, "dryRun": false,
        "object": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}, "data": data}}})
    .to_string()
}

/// The outcome, the webhook's answer and the records.
fn judge(rules: &Rules, which: Which, data: &Value) -> (Users, Value, Vec<jinwu_model::Record>) {
    let text = body(data);
    let review = Review::parse(text.as_bytes()).unwrap();
    let asked = Asked::parse(text.as_bytes()).unwrap();
    let labels = BTreeMap::new();
    let around = Surroundings {
        labels: Some(&labels),
        namespace: &Value::Null,
        params: &|_| Ok(Vec::new()),
        params_namespaced: &|_, _| None,
        authorizer: None,
        stopped: &|| false,
    };
    let said = users::evaluate(&rules.users, which, &asked, &around);
    let request = &review.request;
    let users = users::judge(rules, request, "configmap/web", rules.scope("shop", None), &said, NOW, DecisionId("d-1".into()));
    let answer: Value = serde_json::from_slice(&users.response(request).body()).unwrap();
    let records = answer::records(request, &users.judgement, "c", NOW);
    (users, answer["response"].clone(), records)
}

fn large() -> Value {
    json!({"size": "large"})
}

#[test]
fn a_denial_is_told_and_recorded() {
    let rules = rules(bundle(&[policy("sizes", "Deny", "")]));
    let (_, answer, records) = judge(&rules, Which::All, &large());
    let message = answer["status"]["message"].as_str().unwrap();
    assert!(message.contains("[jinwu/admission:sizes]") && message.contains("ValidatingAdmissionPolicy 'sizes' with binding 'sizes-bound': it must be small"), "{message}");
    assert_eq!((&answer["allowed"], &answer["status"]["code"], &answer["status"]["reason"]), (&json!(false), &json!(403), &json!("Forbidden")));
    assert_eq!(answer["auditAnnotations"]["audit_annotations"], json!(r#"{"sizes/size":"large"}"#));
    let kinds: Vec<_> = records.iter().map(|r| (r.kind, r.outcome)).collect();
    assert_eq!(kinds, [(Kind::Alarm, Outcome::Denied), (Kind::Interception, Outcome::Denied)]);
    assert!(records.iter().all(|r| r.decision == Some(DecisionId("d-1".into()))), "linked");
    let (_, answer, records) = judge(&rules, Which::All, &json!({"size": "small"}));
    assert_eq!((&answer["allowed"], records.len()), (&json!(true), 0));
}

#[test]
fn a_warning_warns_and_an_entry_in_the_audit_log_is_silent() {
    let (_, answer, records) = judge(&rules(bundle(&[policy("soft", "Warn", ""), policy("quiet", "Audit", "")])), Which::All, &large());
    assert_eq!(answer["allowed"], true);
    let warnings = answer["warnings"].as_array().unwrap();
    assert!(warnings.len() == 1 && warnings[0].as_str().unwrap().starts_with("jinwu/admission:soft: "), "{warnings:?}");
    let noted: Value = serde_json::from_str(answer["auditAnnotations"]["validation_failure"].as_str().unwrap()).unwrap();
    assert_eq!(noted, json!([{"binding": "quiet-bound", "message": "it must be small", "policy": "quiet"}]));
    assert_eq!(records.iter().map(|r| r.kind).collect::<Vec<_>>(), [Kind::Alarm, Kind::Alarm], "both are recorded");
}

#[test]
fn modes_enforcement_and_exceptions_hold_for_users_policies() {
    let texts = [policy("sizes", "'Deny', 'Audit'", "")];
    let mut soft = bundle(&texts);
    soft["modes"] = json!({"shop": {"admission:sizes": "alert"}});
    let (users, answer, records) = judge(&rules(soft), Which::All, &large());
    assert_eq!((&answer["allowed"], answer["warnings"].as_array().unwrap().len(), records.len()), (&json!(true), 1, 1));
    assert_eq!(users.judgement.decision.violations.len(), 1, "one finding, whatever comes of it");
    let mut off = bundle(&texts);
    off["modes"] = json!({"*": {"admission:sizes": "allow"}});
    let (_, answer, records) = judge(&rules(off), Which::All, &large());
    assert_eq!((answer, records.len()), (json!({"uid": "u-1", "allowed": true}), 0));
    let mut young = bundle(&texts);
    young["enforcement"] = json!({"*": "alert"});
    assert_eq!(judge(&rules(young), Which::All, &large()).1["allowed"], true);
    let mut lifted = bundle(&texts);
    lifted["exceptions"] = json!([{"id": "x", "policy": "admission:sizes", "namespace": "shop", "workload": "configmap/web", "expires": NOW + 1}]);
    let (users, answer, _) = judge(&rules(lifted.clone()), Which::All, &large());
    assert_eq!((&answer["allowed"], users.judgement.decision.violations[0].mode), (&json!(true), Mode::Block));
    lifted["exceptions"][0]["workload"] = json!("configmap/other");
    assert_eq!(judge(&rules(lifted), Which::All, &large()).1["allowed"], false);
}

#[test]
fn each_webhook_asks_its_own() {
    let rules = rules(bundle(&[policy("closed", "Deny", ""), policy("open", "Deny", "  failurePolicy: Ignore")]));
    let names = |which| judge(&rules, which, &large()).0.judgement.decision.violations.iter().map(|v| v.policy.0.clone()).collect::<Vec<_>>();
    assert_eq!(names(Which::Closed), ["admission:closed"]);
    assert_eq!(names(Which::Open), ["admission:open"]);
    // A failure refuses, or lets pass.
    assert_eq!(judge(&rules, Which::Closed, &json!({})).1["status"]["code"], 422);
    assert_eq!(judge(&rules, Which::Open, &json!({})).1["allowed"], true);
    let registered = users::registered(&rules.users);
    assert_eq!((registered.closed.len(), registered.open.len()), (1, 1));
    let unbound = policy("alone", "Deny", "").split("---").next().unwrap().to_owned();
    let alone = Rules::new(serde_json::from_value(bundle(&[unbound])).unwrap()).unwrap();
    assert_eq!(users::registered(&alone.users), users::Registered::default(), "what has no binding is asked nothing");
}

#[test]
fn a_bundle_with_a_policy_that_does_not_compile_is_not_taken() {
    let bad = policy("bad", "Deny", "").replace("object.data.size ==", "object.data.size +");
    let error = Rules::new(serde_json::from_value(bundle(&[policy("good", "Deny", ""), bad])).unwrap()).err().unwrap().to_string();
    assert!(error.contains("1.yaml: policy bad: validations[0].expression"), "{error}");
}
