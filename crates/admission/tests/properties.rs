//! Reviews nobody expects: random bytes, real reviews with pieces exchanged, pods that are bad however
//! they are wrapped and whatever stands beside what is bad in them.
#![allow(clippy::unwrap_used)]

use jinwu_admission::answer;
use jinwu_admission::check::Read;
use jinwu_admission::judge::{Question, judge};
use jinwu_admission::protocol::Bundle;
use jinwu_admission::review::Review;
use jinwu_admission::rules::Rules;
use jinwu_model::DecisionId;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::OnceLock;

fn rules() -> &'static Rules {
    static RULES: OnceLock<Rules> = OnceLock::new();
    RULES.get_or_init(|| {
        let bundle: Bundle = serde_json::from_value(json!({
            "cluster": "test", "generation": "g", "made": 0, "default_level": 4, "enforcement": {"*": "block"}, "modes": {}, "exceptions": [],
            "grants": [], "policies": [], "registries": [], "own_registries": ["registry.example"], "level_setters": [], "base_platform": [],
            "sandboxed_runtimes": [], "blocked": [], "authority": "", "rules": {}, "verdict_generation": "v"
        }))
        .unwrap();
        Rules::new(bundle).unwrap()
    })
}

/// Whether it is permitted; none if it is no review at all.
fn permitted(body: &[u8]) -> Option<bool> {
    let review = Review::parse(body).ok()?;
    let read = Read::of(&review.request);
    let scope = rules().scope(review.request.namespace(), None);
    let question = Question { request: &review.request, read: &read, rules: rules(), scope, images: &HashMap::new(), now: 1, id: DecisionId("d".into()) };
    let judgement = judge(&question);
    let response = answer::validating(&review.request, &judgement);
    let sent: Value = serde_json::from_slice(&response.body()).unwrap();
    assert_eq!(sent["response"]["uid"], review.request.uid.as_str());
    assert_eq!(sent["response"]["allowed"], response.allowed);
    if !response.allowed {
        assert!(sent["response"]["status"]["message"].as_str().is_some_and(|m| m.contains("jinwu")), "{sent}");
    }
    Some(response.allowed)
}

fn review(group: &str, resource: &str, operation: &str, object: &Value) -> Value {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u", "kind": {"group": group, "version": "v1", "kind": "K"}, "resource": {"group": group, "version": "v1", "resource": resource},
        "name": "n", "namespace": "shop", "operation": operation, "userInfo": {"username": "ann"}, "object": object, "oldObject": null, "dryRun": false}})
}

/// Any JSON of moderate size, with the names of Kubernetes among its own.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-zA-Z0-9@:/._ \u{4e00}-\u{4e10}-]{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, |inner| prop_oneof![vec(inner.clone(), 0..5).prop_map(Value::from), vec((name(), inner), 0..6).prop_map(|m| Value::Object(m.into_iter().collect::<Map<_, _>>()))])
}

fn name() -> impl Strategy<Value = String> {
    const KNOWN: [&str; 29] = [
        "spec", "template", "jobTemplate", "metadata", "containers", "initContainers", "ephemeralContainers", "securityContext", "privileged", "hostNetwork",
        "volumes", "hostPath", "image", "name", "capabilities", "add", "drop", "runAsUser", "runAsNonRoot", "annotations", "labels", "ports", "hostPort", "request",
        "object", "oldObject", "userInfo", "subResource", "operation",
    ];
    prop_oneof![proptest::sample::select(&KNOWN[..]).prop_map(str::to_owned), "[a-z]{1,8}"]
}

/// One way of being bad, in a container or in the pod.
fn make_bad(pod: &mut Value, way: usize, place: &str) {
    let container = |security: Value| json!({"name": "bad", "image": "registry.example/a@sha256:00", "securityContext": security});
    let bad = match way {
        0 => container(json!({"privileged": true})),
        1 => container(json!({"capabilities": {"add": ["SYS_ADMIN"]}})),
        2 => container(json!({"runAsUser": 0})),
        3 => container(json!({"procMount": "Unmasked"})),
        4 => json!({"name": "bad", "image": "registry.example/a@sha256:00", "ports": [{"containerPort": 1, "hostPort": 1}]}),
        5 => {
            pod["hostPID"] = json!(true);
            return;
        }
        _ => {
            pod["volumes"] = json!([{"name": "v", "hostPath": {"path": "/"}}]);
            return;
        }
    };
    match &mut pod[place] {
        Value::Array(list) => list.push(bad),
        other => *other = json!([bad]),
    }
}

/// A pod's specification in the object of a kind that carries it.
fn wrapped(kind: usize, spec: Value) -> (&'static str, &'static str, Value) {
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": spec});
    match kind {
        0 => ("", "pods", template),
        1 => ("apps", "deployments", json!({"spec": {"template": template}})),
        2 => ("apps", "statefulsets", json!({"spec": {"template": template}})),
        3 => ("apps", "daemonsets", json!({"spec": {"template": template}})),
        4 => ("apps", "replicasets", json!({"spec": {"template": template}})),
        5 => ("", "replicationcontrollers", json!({"spec": {"template": template}})),
        6 => ("", "podtemplates", json!({"template": template})),
        7 => ("batch", "jobs", json!({"spec": {"template": template}})),
        _ => ("batch", "cronjobs", json!({"spec": {"jobTemplate": {"spec": {"template": template}}}})),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_never_panic(body in vec(any::<u8>(), 0..400)) {
        permitted(&body);
    }

    #[test]
    fn reviews_of_anything_never_panic(object in json_value(), old in json_value(), resource in name(), operation in "CREATE|UPDATE|DELETE|CONNECT") {
        let mut body = review("", &resource, &operation, &object);
        body["request"]["oldObject"] = old;
        permitted(body.to_string().as_bytes());
    }

    /// What stands where a pod's specification should is never let pass for being unreadable.
    #[test]
    fn a_specification_that_is_none_is_not_permitted(spec in json_value(), kind in 0..9_usize) {
        prop_assume!(!spec.is_object() && !spec.is_null());
        let (group, resource, object) = wrapped(kind, spec);
        prop_assert_ne!(permitted(review(group, resource, "CREATE", &object).to_string().as_bytes()), Some(true));
    }

    #[test]
    fn a_bad_pod_is_refused_however_it_is_wrapped(
        way in 0..7_usize, place in 0..3_usize, kind in 0..9_usize, operation in "CREATE|UPDATE",
        beside in vec((name(), json_value()), 0..6), containers in 0..3_usize,
    ) {
        let mut spec = json!({"containers": (0..containers).map(|n| json!({"name": format!("c{n}"), "image": "registry.example/a@sha256:00"})).collect::<Vec<_>>()});
        for (name, value) in beside.into_iter().filter(|(n, _)| !["containers", "initContainers", "ephemeralContainers", "volumes", "hostPID"].contains(&n.as_str())) {
            spec[name] = value;
        }
        make_bad(&mut spec, way, ["containers", "initContainers", "ephemeralContainers"][place]);
        let (group, resource, object) = wrapped(kind, spec);
        prop_assert_ne!(permitted(review(group, resource, &operation, &object).to_string().as_bytes()), Some(true));
    }

    /// Half a review, or one with a byte exchanged, is an error or judged; never a panic.
    #[test]
    fn damaged_reviews_never_panic(at in 0..2000_usize, byte in any::<u8>(), cut in any::<bool>()) {
        let (group, resource, object) = wrapped(1, json!({"containers": [{"name": "c", "image": "x", "securityContext": {"privileged": true}}]}));
        let mut body = review(group, resource, "CREATE", &object).to_string().into_bytes();
        let at = at % body.len();
        if cut { body.truncate(at) } else { body[at] = byte }
        permitted(&body);
    }
}
