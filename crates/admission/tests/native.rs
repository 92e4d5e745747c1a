//! The native policy, evaluated as the API server evaluates it, says what the gate says.
#![allow(clippy::unwrap_used)]

use jinwu_admission::native::{self, NativeFinding, Reach};
use jinwu_admission::protocol::{BaseComponent, Bundle, WorkloadException};
use jinwu_admission::rules::Rules;
use jinwu_model::{Mode, PolicyId, ProtectionLevel};
use jinwu_policy::admission_policy::{AdmissionInput, AdmissionPolicies, Review};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn bundle() -> Bundle {
    serde_json::from_value(json!({
        "cluster": "c", "generation": "g", "made": 0, "default_level": 2, "enforcement": {"*": "block"}, "modes": {}, "exceptions": [], "grants": [],
        "policies": [], "registries": [], "own_registries": [], "level_setters": [], "base_platform": [], "sandboxed_runtimes": [], "blocked": [],
        "verdict_generation": "v"
    }))
    .unwrap()
}

struct Case {
    user: &'static str,
    namespace: &'static str,
    level: Option<&'static str>,
    /// Whether the gate's endpoints are ready; none: there is no EndpointSlice.
    ready: Option<bool>,
    pod: Value,
}

fn case() -> Case {
    Case { user: "alice", namespace: "web", level: Some("4"), ready: Some(false), pod: pod("img") }
}

/// Privileged, else without fault.
fn pod(image: &str) -> Value {
    json!({"metadata": {"name": "p"}, "spec": {
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "c", "image": image, "securityContext": {"privileged": true, "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}]}})
}

fn ask(bundle: Bundle, case: &Case) -> Review {
    ask_with(bundle, case, case.ready.map(|ready| json!({"endpoints": [{"conditions": {"ready": ready}}]})))
}

fn ask_with(bundle: Bundle, case: &Case, slice: Option<Value>) -> Review {
    ask_at(bundle, case, slice, Reach::Everywhere)
}

fn ask_at(bundle: Bundle, case: &Case, slice: Option<Value>, reach: Reach) -> Review {
    let rules = Rules::new(bundle).unwrap();
    let objects = native::objects(&rules, "jinwu", "jinwu-gate", &["kube-system", "jinwu"], reach);
    let yaml = objects.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n---\n");
    let policies = AdmissionPolicies::load(&yaml, 30).unwrap_or_else(|e| panic!("{e}"));
    let mut labels = BTreeMap::from([("kubernetes.io/metadata.name".to_owned(), case.namespace.to_owned())]);
    labels.extend(case.level.map(|l| ("jinwu.io/level".to_owned(), l.to_owned())));
    let request = json!({"operation": "CREATE", "name": "p", "namespace": case.namespace, "kind": {"group": "", "version": "v1", "kind": "Pod"}, "userInfo": {"username": case.user}});
    policies.evaluate(&AdmissionInput {
        operation: "CREATE", group: "", version: "v1", resource: "pods", subresource: "", name: "p", namespace: case.namespace,
        namespace_labels: Some(&labels), object: &case.pod, old_object: &Value::Null, request: &request,
        namespace_object: &json!({"metadata": {"name": case.namespace, "labels": labels}}),
        params: &|_| Ok(slice.iter().collect()), params_namespaced: &|_, _| Some(true), authorizer: None,
    })
}

#[test]
fn it_holds_only_while_no_gate_is_ready() {
    let refused = ask(bundle(), &case());
    assert!(refused.denies(), "{refused:?}");
    assert!(refused.findings.iter().all(|f| f.message.starts_with("[jinwu/privileged-container] ")), "{refused:?}");
    assert!(refused.annotations.iter().any(|a| a.key == "jinwu-pod-security/denials" && a.value == "privileged"), "{refused:?}");
    assert_eq!(ask(bundle(), &Case { ready: Some(true), ..case() }), Review::default());
    assert!(ask(bundle(), &Case { ready: None, ..case() }).denies(), "the service is gone: closed");
    assert!(!ask(bundle(), &Case { ready: None, namespace: "kube-system", ..case() }).denies(), "but where the platform comes up");
    assert!(ask(bundle(), &Case { namespace: "kube-system", ..case() }).denies());
    assert!(!ask(bundle(), &Case { namespace: "jinwu", ..case() }).denies(), "the gate itself comes back");
    let none = ask_with(bundle(), &case(), Some(json!({"endpoints": null})));
    assert!(none.findings.iter().all(|f| f.message.starts_with("[jinwu/privileged-container] ")) && none.denies(), "{none:?}");
}

#[test]
fn where_the_webhook_is_closed_only_the_platform_is_bound() {
    let none_ready = || Some(json!({"endpoints": [{"conditions": {"ready": false}}]}));
    let at = |namespace, slice| ask_at(bundle(), &Case { namespace, ..case() }, slice, Reach::Platform);
    assert_eq!(at("web", none_ready()), Review::default());
    assert_eq!(at("web", None), Review::default());
    assert!(at("kube-system", none_ready()).denies());
}

#[test]
fn modes_are_those_of_namespace_level_and_enforcement() {
    let enforced = |enforcement: &[(&str, Mode)], modes: &[(&str, Mode)], case: &Case| {
        let mut b = bundle();
        b.enforcement = enforcement.iter().map(|(n, m)| ((*n).to_owned(), *m)).collect();
        b.modes = modes.iter().map(|(n, m)| ((*n).to_owned(), BTreeMap::from([(PolicyId("privileged-container".into()), *m)]))).collect();
        ask(b, case)
    };
    let alert = enforced(&[("*", Mode::Alert)], &[], &case());
    assert!(!alert.denies());
    let annotations: Vec<_> = alert.annotations.iter().map(|a| (a.key.as_str(), a.value.as_str())).collect();
    assert_eq!(annotations, [("jinwu-pod-security/alerts", "privileged"), ("jinwu-pod-security/level", "4")]);
    assert!(enforced(&[("*", Mode::Alert), ("web", Mode::Block)], &[], &case()).denies());
    assert!(!enforced(&[("*", Mode::Block), ("web", Mode::Allow)], &[], &case()).denies());
    assert!(!enforced(&[("*", Mode::Block)], &[("web", Mode::Alert)], &case()).denies());
    assert!(enforced(&[("*", Mode::Block)], &[("other", Mode::Alert)], &case()).denies());
    // Level by label, else the default; the gate's own rules say which modes those are.
    for (label, level) in [(Some("1"), 1), (Some("3"), 3), (None, 2), (Some("04"), 2), (Some("9"), 2)] {
        let rules = Rules::new(bundle()).unwrap();
        let labels = label.map(|l| BTreeMap::from([("jinwu.io/level".to_owned(), l.to_owned())]));
        let scope = rules.scope("web", labels.as_ref());
        assert_eq!(scope.level, ProtectionLevel::try_from(level).unwrap(), "{label:?}");
        let blocks = rules.mode(&PolicyId("privileged-container".into()), &scope) == Mode::Block;
        assert_eq!(ask(bundle(), &Case { level: label, ..case() }).denies(), blocks, "{label:?}");
    }
}

#[test]
fn exceptions_and_base_platform_are_honoured() {
    let excepted = |namespace: Option<&str>, workload: Option<&str>, case: &Case| {
        let mut b = bundle();
        let (namespace, workload) = (namespace.map(str::to_owned), workload.map(str::to_owned));
        b.exceptions = vec![WorkloadException { id: "x".into(), policy: PolicyId("privileged-container".into()), namespace, workload, digest: None, expires: 1 }];
        !ask(b, case).denies()
    };
    assert!(excepted(Some("web"), None, &case()));
    assert!(!excepted(Some("other"), None, &case()));
    assert!(excepted(Some("web"), Some("pod/p"), &case()));
    let mut owned = pod("img");
    owned["metadata"]["labels"] = json!({"pod-template-hash": "5f"});
    owned["metadata"]["ownerReferences"] = json!([{"kind": "ReplicaSet", "name": "shop-5f", "controller": true}]);
    let of_deployment = |user| Case { user, pod: owned.clone(), ..case() };
    assert!(excepted(Some("web"), Some("deployment/shop"), &of_deployment("system:serviceaccount:kube-system:replicaset-controller")));
    assert!(!excepted(Some("web"), Some("deployment/shop"), &of_deployment("mallory")), "an owner is believed of controllers alone");
    let digest = format!("sha256:{}", "ab".repeat(32));
    let mut b = bundle();
    b.base_platform = vec![BaseComponent { namespace: "web".into(), digest: digest.parse().unwrap(), signer: None, approver: "a".into(), reason: "r".into() }];
    assert!(!ask(b.clone(), &Case { pod: pod(&format!("r/x@{digest}")), ..case() }).denies());
    assert!(ask(b.clone(), &Case { pod: pod(&format!("r/x@{digest}")), namespace: "other", ..case() }).denies());
    b.base_platform[0].signer = Some("k".into());
    assert!(ask(b, &Case { pod: pod(&format!("r/x@{digest}")), ..case() }).denies(), "nobody verified its signature");
}

#[test]
fn audit_annotations_are_read() {
    let failure = |policy: &str| json!({"message": "[jinwu/privileged-container] x", "policy": policy, "binding": "b", "expressionIndex": "6", "validationActions": ["Deny", "Audit"]});
    let annotations = BTreeMap::from([
        (native::FAILURES.to_owned(), json!([failure("jinwu-pod-security"), failure("jinwu-pod-security"), failure("other")]).to_string()),
        ("jinwu-pod-security/alerts".to_owned(), "hostPorts, runAsUser".to_owned()),
        ("jinwu-pod-security/denials".to_owned(), "hostNamespaces, privileged".to_owned()),
    ]);
    let found = native::read_audit(|key| annotations.get(key).map(String::as_str)).findings;
    let first = NativeFinding { policy: Some(PolicyId("privileged-container".into())), control: Some("privileged".into()), denied: true, message: "[jinwu/privileged-container] x".into() };
    assert_eq!(found.first(), Some(&first));
    let more: Vec<_> = found.iter().skip(1).filter_map(|f| Some((f.control.as_deref()?, f.denied))).collect();
    assert_eq!(more, [("hostNamespaces", true), ("hostPorts", false), ("runAsUser", false)]);
    // Another policy's failure took the place of ours.
    let taken = native::read_audit(|key| (key == "jinwu-pod-security/denials").then_some("privileged")).findings;
    assert_eq!(taken.iter().map(|f| (f.control.as_deref(), f.denied)).collect::<Vec<_>>(), [(Some("privileged"), true)]);
    assert_eq!(native::read_audit(|key| (key == native::FAILURES).then_some("not json")), native::Said::default());
}
