//! Reviews as an API server sends them, and what is decided.
#![allow(clippy::unwrap_used)]

use jinwu_admission::answer;
use jinwu_admission::check::{Read, image};
use jinwu_admission::judge::{Judgement, Question, judge};
use jinwu_admission::protocol::{BaseComponent, Bundle, EntryGrant, ImageAnswer, ImageFinding, Knowledge, WorkloadException};
use jinwu_admission::review::{Review, ReviewError};
use jinwu_admission::rules::Rules;
use jinwu_model::{DecisionId, Kind, Mode, Outcome, PolicyId, ProtectionLevel, Text};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};

const NOW: i64 = 1_000_000;
const APP: &str = "registry.example/demo/app:1.0";

fn digest() -> String {
    format!("sha256:{}", "ab".repeat(32))
}

fn bundle() -> Bundle {
    Bundle {
        admission: BTreeMap::new(),
        cluster: "test".into(),
        generation: "g1".into(),
        made: 0,
        default_level: ProtectionLevel::FOUR,
        enforcement: BTreeMap::from([("*".into(), Mode::Block)]),
        modes: BTreeMap::new(),
        exceptions: vec![],
        grants: vec![],
        policies: vec![],
        registries: vec![],
        own_registries: vec!["registry.example".into()],
        level_setters: vec!["group:security".into()],
        base_platform: vec![],
        sandboxed_runtimes: vec!["gvisor".into()],
        blocked: vec![],
        authority: String::new(),
        rules: Default::default(),
        verdict_generation: "v1".into(),
    }
}

fn known(uid: Option<u32>, findings: Vec<ImageFinding>) -> HashMap<String, ImageAnswer> {
    let answer = ImageAnswer {
        reference: APP.into(),
        digest: Some(digest().parse().unwrap()),
        signers: vec![],
        knowledge: Knowledge::Judged { uid, user_basis: "USER".into(), findings },
        verdict_generation: "v1".into(),
        valid_until: NOW + 1,
    };
    HashMap::from([(APP.to_owned(), answer)])
}

fn review(resource: (&str, &str), sub: &str, kind: &str, operation: &str, user: &str, object: &Value, old: &Value) -> Value {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u-1", "kind": {"group": resource.0, "version": "v1", "kind": kind},
        "resource": {"group": resource.0, "version": "v1", "resource": resource.1}, "subResource": sub,
        "name": "web", "namespace": "shop", "operation": operation, "userInfo": {"username": user, "groups": ["system:authenticated"]},
        "object": object, "oldObject": old, "dryRun": false}})
}

fn decide(review: &Value, bundle: Bundle, images: &HashMap<String, ImageAnswer>) -> (Judgement, Value) {
    let body = review.to_string();
    let review = Review::parse(body.as_bytes()).unwrap();
    let read = Read::of(&review.request);
    let rules = Rules::new(bundle).unwrap();
    let scope = rules.scope(review.request.namespace(), None);
    let id = DecisionId("d-1".into());
    let judgement = judge(&Question { request: &review.request, read: &read, rules: &rules, scope, images, now: NOW, id });
    let answer = serde_json::from_slice(&answer::validating(&review.request, &judgement).body()).unwrap();
    (judgement, answer)
}

/// A pod nothing is wrong with, at level 4.
fn pod() -> Value {
    json!({"metadata": {"name": "web"}, "spec": {
        "runtimeClassName": "gvisor",
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "app", "image": APP, "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}]}})
}

fn create(object: &Value) -> Value {
    review(("", "pods"), "", "Pod", "CREATE", "alice", object, &Value::Null)
}

fn blocking(j: &Judgement) -> Vec<&str> {
    let mut names: Vec<&str> = j.decision.blocking().map(|v| v.policy.0.as_str()).collect();
    names.dedup();
    names
}

#[test]
fn a_good_pod_passes_without_a_word() {
    let asked = create(&pod()).to_string();
    let images = known(Some(1000), vec![]);
    let (j, answer) = decide(&create(&pod()), bundle(), &images);
    assert_eq!(j.decision.violations, []);
    assert_eq!(answer, json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {"uid": "u-1", "allowed": true}}));
    let review = Review::parse(asked.as_bytes()).unwrap();
    let Read::Pods { pods, .. } = Read::of(&review.request) else { panic!("no pods") };
    assert_eq!(image::pins(&pods, &images), [("/spec/containers/0/image".to_owned(), format!("{APP}@{}", digest()))]);
}

#[test]
fn every_policy_of_pods_has_a_pod_it_refuses() {
    let finding = ImageFinding {
        policy: PolicyId("malware".into()),
        clauses: vec![],
        modes: [Mode::Block; 4],
        finding: Text::new("木马", "trojan"),
        advice: Text::new("重建", "rebuild"),
        exception: None,
    };
    let cases: [(&str, &str, Value); 8] = [
        ("privileged-container", "/spec/containers/0/securityContext/privileged", json!(true)),
        ("host-namespaces", "/spec/hostPID", json!(true)),
        ("host-filesystem", "/spec/volumes", json!([{"name": "h", "hostPath": {"path": "/"}}])),
        ("added-capabilities", "/spec/containers/0/securityContext/capabilities/add", json!(["SYS_ADMIN"])),
        ("kernel-protection", "/spec/containers/0/securityContext/procMount", json!("Unmasked")),
        ("restricted-profile", "/spec/containers/0/securityContext/allowPrivilegeEscalation", json!(true)),
        ("privileged-user", "/spec/securityContext/runAsUser", json!(0)),
        ("image-registry", "/spec/containers/0/image", json!("docker.io/library/nginx:1")),
    ];
    for (policy, pointer, value) in cases {
        let mut bad = pod();
        let (parent, member) = pointer.rsplit_once('/').unwrap();
        bad.pointer_mut(parent).unwrap()[member] = value;
        for (resource, kind, wrap) in [(("", "pods"), "Pod", false), (("apps", "deployments"), "Deployment", true)] {
            let object = if wrap { json!({"metadata": {"name": "web"}, "spec": {"template": bad}}) } else { bad.clone() };
            let asked = review(resource, "", kind, "CREATE", "alice", &object, &Value::Null);
            let (j, answer) = decide(&asked, bundle(), &known(Some(1000), vec![]));
            assert!(blocking(&j).contains(&policy), "{policy} {kind}: {:?}", j.decision);
            let message = answer["response"]["status"]["message"].as_str().unwrap();
            assert!(message.contains(&format!("[jinwu/{policy}]")) && message.contains("d-1"), "{message}");
            assert_eq!(answer["response"]["status"]["code"], 403);
            if wrap && pointer != "/spec/containers/0/image" {
                assert!(message.contains("spec.template.spec"), "the person's own path: {message}");
            }
            // The same, only told.
            let mut told = bundle();
            told.enforcement = BTreeMap::from([("*".into(), Mode::Alert)]);
            let (j, answer) = decide(&asked, told, &known(Some(1000), vec![]));
            assert!(j.decision.permit && answer["response"]["allowed"] == true, "{policy}");
            assert!(answer["response"]["warnings"].to_string().contains(policy), "{answer}");
        }
    }
    let (j, _) = decide(&create(&pod()), bundle(), &known(Some(1000), vec![finding]));
    assert_eq!(blocking(&j), ["malware"], "the registry's verdict");
    let (j, _) = decide(&create(&pod()), bundle(), &HashMap::new());
    assert!(blocking(&j).contains(&"unknown-image") && blocking(&j).contains(&"privileged-user"), "nothing is known: {:?}", blocking(&j));
    let (j, _) = decide(&create(&pod()), bundle(), &known(None, vec![]));
    assert_eq!(blocking(&j), ["privileged-user"], "a user nobody can tell is root");
    let mut shared = pod();
    shared["spec"]["runtimeClassName"] = Value::Null;
    let (j, _) = decide(&create(&shared), bundle(), &known(Some(1000), vec![]));
    assert!(j.decision.permit && j.decision.alarming().any(|v| v.policy.0 == "sandboxed-runtime"), "an alarm by default");
}

#[test]
fn what_does_not_change_a_pod_is_not_refused() {
    let mut bad = pod();
    bad["spec"]["hostNetwork"] = json!(true);
    let mut labelled = bad.clone();
    labelled["metadata"]["labels"] = json!({"a": "b"});
    let update = review(("", "pods"), "", "Pod", "UPDATE", "alice", &labelled, &bad);
    assert!(decide(&update, bundle(), &known(Some(1000), vec![])).0.decision.violations.is_empty());
    let remove = review(("", "pods"), "", "Pod", "DELETE", "alice", &Value::Null, &bad);
    assert!(decide(&remove, bundle(), &known(Some(1000), vec![])).0.decision.permit);
}

#[test]
fn containers_are_entered_with_leave_only() {
    let options = json!({"kind": "PodExecOptions", "command": ["sh"]});
    let grant = |person: &str, pod: &str, way: &str, expires: i64| EntryGrant {
        id: "e-1".into(),
        person: person.into(),
        namespace: "shop".into(),
        pod: pod.into(),
        ways: vec![way.into()],
        reason: "r".into(),
        approver: "b".into(),
        not_before: 0,
        expires,
    };
    for (grants, permit) in [
        (vec![], false),
        (vec![grant("alice", "web", "exec", NOW + 1)], true),
        (vec![grant("alice", "w*", "exec", NOW + 1)], true),
        (vec![grant("bob", "web", "exec", NOW + 1)], false),
        (vec![grant("alice", "db", "exec", NOW + 1)], false),
        (vec![grant("alice", "web", "attach", NOW + 1)], false),
        (vec![grant("alice", "web", "exec", NOW)], false),
    ] {
        let mut bundle = bundle();
        bundle.grants = grants.clone();
        let asked = review(("", "pods"), "exec", "PodExecOptions", "CONNECT", "alice", &options, &Value::Null);
        let (j, answer) = decide(&asked, bundle, &HashMap::new());
        assert_eq!(j.decision.permit, permit, "{grants:?}");
        assert_eq!(j.object, "pod:shop/web/exec");
        assert_eq!(answer["response"]["auditAnnotations"]["grant"], if permit { json!("e-1") } else { Value::Null });
    }
    let proxy = review(("", "nodes"), "proxy", "NodeProxyOptions", "CONNECT", "system:serviceaccount:a:b", &json!({}), &Value::Null);
    assert_eq!(blocking(&decide(&proxy, bundle(), &HashMap::new()).0), ["container-entry"]);
}

#[test]
fn services_permissions_and_levels() {
    let refused = |asked: &Value| blocking(&decide(asked, bundle(), &HashMap::new()).0).iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    let service = |spec: Value, old: Value| review(("", "services"), "", "Service", "UPDATE", "alice", &json!({"spec": spec}), &json!({"spec": old}));
    assert_eq!(refused(&service(json!({"type": "NodePort"}), json!({"type": "ClusterIP"}))), ["exposed-service"]);
    assert_eq!(refused(&service(json!({"externalIPs": ["1.2.3.4"]}), json!({}))), ["exposed-service"]);
    assert!(refused(&service(json!({"type": "NodePort"}), json!({"type": "NodePort"}))).is_empty());
    let rbac = |resource: &str, kind: &str, user: &str, object: Value| review(("rbac.authorization.k8s.io", resource), "", kind, "CREATE", user, &object, &Value::Null);
    let all = json!({"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]});
    assert_eq!(refused(&rbac("clusterroles", "ClusterRole", "alice", all.clone())), ["excessive-permission"]);
    assert!(refused(&rbac("clusterroles", "ClusterRole", "system:apiserver", all)).is_empty(), "what Kubernetes comes with");
    let token = json!({"rules": [{"apiGroups": [""], "resources": ["serviceaccounts/token"], "verbs": ["create"]}]});
    assert_eq!(refused(&rbac("roles", "Role", "alice", token)), ["excessive-permission"]);
    let binding = |role: &str, name: &str| json!({"roleRef": {"kind": "ClusterRole", "name": role}, "subjects": [{"kind": "Group", "name": name}]});
    assert_eq!(refused(&rbac("clusterrolebindings", "ClusterRoleBinding", "alice", binding("cluster-admin", "ops"))), ["excessive-permission"]);
    assert_eq!(refused(&rbac("rolebindings", "RoleBinding", "alice", binding("view", "system:unauthenticated"))), ["excessive-permission"]);
    assert!(refused(&rbac("rolebindings", "RoleBinding", "alice", binding("view", "ops"))).is_empty());
    let labels = |before: Value, after: Value, group: &str| {
        let mut asked = review(("", "namespaces"), "", "Namespace", "UPDATE", "alice", &json!({"metadata": {"labels": after}}), &json!({"metadata": {"labels": before}}));
        asked["request"]["userInfo"]["groups"] = json!([group]);
        refused(&asked)
    };
    assert_eq!(labels(json!({}), json!({"jinwu.io/level": "2"}), "dev"), ["level-change"]);
    assert_eq!(labels(json!({}), json!({"jinwu.io/level": "0"}), "dev"), [""; 0], "no level is the default");
    assert!(labels(json!({}), json!({"jinwu.io/level": "2"}), "security").is_empty());
    assert!(labels(json!({"jinwu.io/level": "2"}), json!({"jinwu.io/level": "3"}), "dev").is_empty(), "up is free");
    assert_eq!(labels(json!({"pod-security.kubernetes.io/enforce": "restricted"}), json!({}), "dev"), ["level-change"]);
}

#[test]
fn exceptions_and_the_base_platform() {
    let mut bad = pod();
    bad["spec"]["containers"][0]["securityContext"]["privileged"] = json!(true);
    let exception = |namespace: Option<&str>, workload: Option<&str>, expires: i64| WorkloadException {
        id: "x-1".into(),
        policy: PolicyId("privileged-container".into()),
        namespace: namespace.map(Into::into),
        workload: workload.map(Into::into),
        digest: None,
        expires,
    };
    for (e, lifted) in [
        (exception(Some("shop"), None, NOW + 1), true),
        (exception(None, Some("pod/web"), NOW + 1), true),
        (exception(Some("other"), None, NOW + 1), false),
        (exception(Some("shop"), Some("pod/other"), NOW + 1), false),
        (exception(Some("shop"), None, NOW), false),
        (exception(None, None, NOW + 1), false),
    ] {
        let mut bundle = bundle();
        bundle.exceptions = vec![e.clone()];
        let (j, _) = decide(&create(&bad), bundle, &known(Some(1000), vec![]));
        assert_eq!(!blocking(&j).contains(&"privileged-container"), lifted, "{e:?}");
    }
    // An owner is believed only of a controller.
    let mut owned = bad.clone();
    owned["metadata"] = json!({"labels": {"pod-template-hash": "5f6"}, "ownerReferences": [{"kind": "ReplicaSet", "name": "front-5f6", "controller": true}]});
    for (user, lifted) in [("system:serviceaccount:kube-system:replicaset-controller", true), ("alice", false)] {
        let mut bundle = bundle();
        bundle.exceptions = vec![exception(None, Some("deployment/front"), NOW + 1)];
        let asked = review(("", "pods"), "", "Pod", "CREATE", user, &owned, &Value::Null);
        assert_eq!(!blocking(&decide(&asked, bundle, &known(Some(1000), vec![])).0).contains(&"privileged-container"), lifted, "{user}");
    }
    let component = |namespace: &str, signer: Option<&str>| BaseComponent {
        namespace: namespace.into(),
        digest: digest().parse().unwrap(),
        signer: signer.map(Into::into),
        approver: "b".into(),
        reason: "r".into(),
    };
    for (c, spared) in [(component("shop", None), true), (component("kube-system", None), false), (component("shop", Some("key")), false)] {
        let mut bundle = bundle();
        bundle.base_platform = vec![c.clone()];
        let (j, _) = decide(&create(&bad), bundle, &known(Some(0), vec![]));
        assert_eq!(j.decision.permit, spared, "{c:?}");
    }
    // With a signer's key: if the server says that key has signed this digest.
    let pem = "-----BEGIN PUBLIC KEY-----\nQUJD\nREVG\n-----END PUBLIC KEY-----\n";
    for (signers, spared) in [(vec!["QUJDREVG"], true), (vec!["QUJD"], false), (vec![], false)] {
        let mut bundle = bundle();
        bundle.base_platform = vec![component("shop", Some(pem))];
        let mut images = known(Some(0), vec![]);
        images.values_mut().for_each(|a| a.signers = signers.iter().map(|s| (*s).to_owned()).collect());
        assert_eq!(decide(&create(&bad), bundle, &images).0.decision.permit, spared, "{signers:?}");
    }
}

#[test]
fn a_refusal_leaves_linked_records() {
    let mut bad = pod();
    bad["spec"]["hostNetwork"] = json!(true);
    let asked = create(&bad).to_string();
    let (j, _) = decide(&create(&bad), bundle(), &known(Some(1000), vec![]));
    let review = Review::parse(asked.as_bytes()).unwrap();
    let records = answer::records(&review.request, &j, "test", NOW);
    assert_eq!(records.iter().map(|r| r.kind).collect::<Vec<_>>(), [Kind::Alarm, Kind::Interception]);
    assert!(records.iter().all(|r| r.decision == Some(DecisionId("d-1".into())) && r.outcome == Outcome::Denied && r.object == "pod:shop/web"));
    assert!(records[1].detail["reason"].as_str().unwrap().contains("network namespace"));
}

#[test]
fn bodies_that_are_no_reviews() {
    let good = create(&pod());
    let mut other = good.clone();
    other["apiVersion"] = json!("admission.k8s.io/v1beta1");
    assert!(matches!(Review::parse(other.to_string().as_bytes()), Err(ReviewError::Version(_))));
    let mut empty = good.clone();
    empty["request"] = Value::Null;
    assert!(matches!(Review::parse(empty.to_string().as_bytes()), Err(ReviewError::NoRequest)));
    let mut nameless = good.clone();
    nameless["request"]["uid"] = json!("");
    assert!(matches!(Review::parse(nameless.to_string().as_bytes()), Err(ReviewError::NoUid)));
    let mut strange = good.clone();
    strange["request"]["operation"] = json!("FROB");
    for body in [strange.to_string(), String::new(), "{".into(), "[]".into(), "nul".into()] {
        assert!(matches!(Review::parse(body.as_bytes()), Err(ReviewError::Unreadable(_) | ReviewError::Version(_))), "{body}");
    }
    assert!(matches!(Review::parse(&vec![b' '; (8 << 20) + 1]), Err(ReviewError::TooLarge(_))));
    // What cannot be read is refused where anything is enforced.
    let mut broken = pod();
    broken["spec"]["hostNetwork"] = json!("yes");
    let (j, _) = decide(&create(&broken), bundle(), &HashMap::new());
    assert_eq!(blocking(&j), ["unreadable-object"]);
}

#[test]
fn references_of_a_template_keep_their_place() {
    let object = json!({"metadata": {"name": "web"}, "spec": {"jobTemplate": {"spec": {"template": pod()}}}});
    let asked = review(("batch", "cronjobs"), "", "CronJob", "CREATE", "alice", &object, &Value::Null).to_string();
    let review = Review::parse(asked.as_bytes()).unwrap();
    let Read::Pods { pods, .. } = Read::of(&review.request) else { panic!("no pods") };
    assert_eq!(image::references(&pods)[0].0, "spec.jobTemplate.spec.template.spec.containers[0].image");
}

#[test]
fn an_image_that_is_mounted_is_judged_and_bound_like_one_that_runs() {
    let mounting = |reference: &str| {
        let mut pod = pod();
        pod["spec"]["volumes"] = json!([{"name": "e", "emptyDir": {}}, {"name": "m", "image": {"reference": reference, "pullPolicy": "Always"}}]);
        create(&pod)
    };
    let images = known(Some(1000), vec![]);
    for foreign in ["docker.io/library/model:1", "registry.example/other:1", ""] {
        let (j, _) = decide(&mounting(foreign), bundle(), &images);
        assert!(!j.decision.permit, "{foreign:?} is mounted");
    }
    let asked = mounting(APP);
    let (j, _) = decide(&asked, bundle(), &images);
    assert_eq!(blocking(&j), Vec::<&str>::new());
    let asked = asked.to_string();
    let review = Review::parse(asked.as_bytes()).unwrap();
    let Read::Pods { pods, .. } = Read::of(&review.request) else { panic!("no pods") };
    let places: Vec<String> = image::pins(&pods, &images).into_iter().map(|(place, _)| place).collect();
    assert_eq!(places, ["/spec/containers/0/image", "/spec/volumes/1/image/reference"]);
}

/// Names that look like our registry's to a careless comparison.
#[test]
fn a_registry_that_only_looks_like_ours_is_foreign() {
    for image in [
        "registry.example.evil.test/demo/app:1.0",
        "registry.example:443/demo/app:1.0",
        "xregistry.example/demo/app:1.0",
        "docker.io/registry.example/demo/app:1.0",
        "registry.example@evil.test/demo/app:1.0",
        "https://registry.example/demo/app:1.0",
        "registry.example/../evil/app:1.0",
        "registry.exаmple/demo/app:1.0",
        "registry.example\u{200b}/demo/app:1.0",
        " registry.example/demo/app:1.0",
        "registry.example./demo/app:1.0",
        "//registry.example/demo/app:1.0",
    ] {
        let mut bad = pod();
        bad["spec"]["containers"][0]["image"] = json!(image);
        let (j, _) = decide(&create(&bad), bundle(), &known(Some(1000), vec![]));
        assert!(!j.decision.permit, "{image:?} is let in");
    }
}
