//! Every rule has an event it fires for, and one that differs in the point that matters.
//!
//! `cases/*.json`: `positive` is merged over the complete event of `audit::event`, `negative` over
//! the positive one.

use crate::audit::{event, merge};
use crate::fake::{held, load};
use jinwu_detect::content::{FALCO_KUBERNETES, kubernetes};
use jinwu_detect::reference::{Language, reference};
use jinwu_detect::{AuditEvent, RuleFile, RuleSet};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Case {
    rule: String,
    positive: Value,
    negative: Value,
}

/// Falco ships these switched off by macros that an operator overrides.
const SITE: &str = "
- macro: allowed_k8s_containers
  condition: ka.req.pod.containers.image.repository in (nginx)
- macro: consider_all_events
  condition: k8s_audit_always_true
- macro: allowed_full_admin_users
  condition: k8s_audit_never_true
- macro: allow_all_k8s_nodes
  condition: k8s_audit_never_true
- list: allowed_k8s_nodes
  items: [n1]
";

fn names(set: &RuleSet, value: &Value) -> Vec<String> {
    let text = value.to_string();
    held(set, &AuditEvent::parse(text.as_bytes()).unwrap())
}

/// Runs the cases; the names they cover.
fn run(set: &RuleSet, cases: &str) -> Vec<String> {
    let cases: Vec<Case> = serde_json::from_str(cases).unwrap();
    let mut covered = Vec::new();
    let mut wrong = Vec::new();
    for case in cases {
        let mut value = event(case.positive);
        if !names(set, &value).contains(&case.rule) {
            wrong.push(format!("{}: silent", case.rule));
        }
        merge(&mut value, case.negative);
        if names(set, &value).contains(&case.rule) {
            wrong.push(format!("{}: false alarm", case.rule));
        }
        covered.push(case.rule);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    covered.sort();
    covered
}

fn own(rule: &jinwu_detect::Rule) -> bool {
    rule.place.file.starts_with("rules/kubernetes/")
}

fn sorted(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut all: Vec<String> = names.collect();
    all.sort();
    all
}

pub(crate) fn shipped() -> RuleSet {
    let (set, warnings) = RuleSet::load(&kubernetes()).unwrap_or_else(|p| panic!("{p}"));
    assert!(warnings.is_empty(), "{warnings:?}");
    set
}

#[test]
fn falco_s_48_rules() {
    let (set, _) = RuleSet::load(&[FALCO_KUBERNETES, RuleFile { name: "site.yaml", text: SITE }]).unwrap_or_else(|p| panic!("{p}"));
    let covered = run(&set, include_str!("cases/falco.json"));
    assert_eq!(covered, sorted(set.rules().iter().map(|r| r.name.clone())));
    assert_eq!(covered.len(), 48);
}

#[test]
fn what_falco_switches_off_is_silent() {
    let set = load(FALCO_KUBERNETES.text);
    let found = names(&set, &event(serde_json::json!({"objectRef": {"resource": "nodes", "name": "n9"}, "user": {"username": "kubernetes-admin"}})));
    for off in ["All K8s Audit Events", "Full K8s Administrative Access", "Untrusted Node Successfully Joined the Cluster", "Create Disallowed Pod"] {
        assert!(!found.contains(&off.to_owned()), "{found:?}");
    }
}

#[test]
fn own_rules() {
    let set = shipped();
    let covered = run(&set, include_str!("cases/own.json"));
    assert_eq!(covered, sorted(set.rules().iter().filter(|r| own(r)).map(|r| r.name.clone())));
}

/// An ordinary deployment by an ordinary user is not news to Jinwu's own rules.
#[test]
fn ordinary_work_is_quiet() {
    let set = shipped();
    for changes in [
        serde_json::json!({"verb": "list", "responseStatus": {"code": 200}}),
        serde_json::json!({"objectRef": {"resource": "deployments"}, "requestObject": {"spec": {"template": {"spec": {"containers": [{"image": "nginx", "command": ["nginx"]}], "volumes": [{"name": "a", "emptyDir": {}}]}}}}}),
        serde_json::json!({"objectRef": {"resource": "services"}, "requestObject": {"spec": {"type": "ClusterIP"}}}),
        serde_json::json!({"user": {"username": "system:node:n1"}, "verb": "get", "objectRef": {"resource": "secrets"}, "responseStatus": {"code": 200}}),
        serde_json::json!({"user": {"username": "system:serviceaccount:kube-system:daemon-set-controller"}, "userAgent": "kube-controller-manager/v1.34.1", "requestObject": {"spec": {"hostNetwork": true, "containers": [{"image": "cni", "securityContext": {"privileged": true}}]}}}),
    ] {
        let mut found = Vec::new();
        let text = event(changes).to_string();
        set.evaluate(&AuditEvent::parse(text.as_bytes()).unwrap(), |m| {
            if own(m.rule) {
                found.push(m.rule.name.clone());
            }
        });
        assert!(found.is_empty(), "{found:?}: {text}");
    }
}

/// An account is not trusted because it lives in kube-system.
#[test]
fn accounts_of_kube_system_are_watched_too() {
    let set = shipped();
    let by = |user: &str| names(&set, &event(serde_json::json!({"verb": "list", "user": {"username": user}, "objectRef": {"resource": "secrets", "namespace": null, "name": null}, "responseStatus": {"code": 200}})));
    let rule = "All secrets listed".to_owned();
    assert!(by("system:serviceaccount:kube-system:dashboard").contains(&rule));
    assert!(!by("system:serviceaccount:kube-system:generic-garbage-collector").contains(&rule));
}

/// Patches name only what changes: the role comes from the answer, a JSON patch's result too.
#[test]
fn patches_are_no_way_around() {
    use serde_json::json;
    let set = shipped();
    let patched = |resource: &str, patch: Value, result: Value| {
        names(&set, &event(json!({"verb": "patch", "objectRef": {"resource": resource, "namespace": null}, "requestObject": patch, "responseObject": result, "responseStatus": {"code": 200}})))
    };
    let binding = json!({"kind": "ClusterRoleBinding", "roleRef": {"name": "cluster-admin"}, "subjects": [{"kind": "Group", "name": "system:masters"}, {"kind": "User", "name": "eve"}]});
    let subject = json!({"kind": "User", "name": "eve"});
    for patch in [json!({"subjects": [subject]}), json!([{"op": "add", "path": "/subjects/-", "value": subject}])] {
        assert!(patched("clusterrolebindings", patch, binding.clone()).contains(&"Strong role bound".to_owned()));
    }
    let role = json!({"kind": "ClusterRole", "rules": [{"verbs": ["*"], "resources": ["nodes/proxy"]}]});
    let found = patched("clusterroles", json!([{"op": "replace", "path": "/rules/0/verbs", "value": ["*"]}]), role);
    assert!(found.contains(&"Wildcard role".to_owned()) && found.contains(&"Role with dangerous resources".to_owned()), "{found:?}");
    let workload = json!({"kind": "Deployment", "spec": {"template": {"spec": {"containers": [{"image": "x", "securityContext": {"privileged": true}}]}}}});
    let found = patched("deployments", json!([{"op": "add", "path": "/spec/template/spec/containers/0/securityContext", "value": {"privileged": true}}]), workload);
    assert!(found.contains(&"Privileged workload".to_owned()), "{found:?}");
}

#[test]
fn every_own_rule_is_described_and_in_the_reference() {
    let set = shipped();
    let known: Vec<String> = serde_json::from_str::<Value>(include_str!("../../../../content/standard/clauses.json")).unwrap()
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|c| c["id"].as_str().map(str::to_owned))
        .collect();
    let (chinese, english) = (reference(&set, Language::Chinese), reference(&set, Language::English));
    let guidance = set.rules().iter().filter_map(|r| r.guidance.as_ref()).chain(set.sequences().iter().filter_map(|s| s.guidance.as_ref()));
    let mut described = 0;
    for guidance in guidance {
        described += 1;
        assert!(!guidance.title.zh.is_ascii() && !guidance.advice.zh.is_ascii() && !guidance.description.zh.is_ascii(), "{:?}", guidance.title);
        assert!(chinese.contains(&guidance.title.zh) && chinese.contains(&guidance.advice.zh) && english.contains(&guidance.advice.en));
        for clause in &guidance.clauses {
            assert!(known.iter().any(|k| k == clause.as_str()), "{clause}");
        }
    }
    assert_eq!(described, 94, "every rule and sequence that ships, Falco's too");
    for rule in set.rules() {
        assert!(english.contains(&rule.name.replace('|', "\\|")), "{}", rule.name);
    }
}

/// The pages are made by `examples/reference.rs`.
#[test]
fn the_pages_are_those_of_the_rules() {
    let set = shipped();
    for (language, page) in [
        (Language::Chinese, include_str!("../../../../docs/zh/rules-kubernetes.md")),
        (Language::English, include_str!("../../../../docs/en/rules-kubernetes.md")),
    ] {
        assert!(reference(&set, language) == page, "the page is old: cargo run -p jinwu-detect --example reference -- kubernetes zh|en > docs/…/rules-kubernetes.md");
    }
}
