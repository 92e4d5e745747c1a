//! Effective permissions and paths, by small clusters made here.

use jinwu_inventory::rbac::Paths;
use jinwu_inventory::{Facts, Grants, Inventory, Kind, NotRead, Request, Seen, Subject, inspect};
use jinwu_model::{Text, Verdict};
use proptest::prelude::*;
use serde_json::{Value, json};

fn cluster(objects: &[(Kind, Value)]) -> Inventory {
    let mut inventory = Inventory::default();
    for (kind, object) in objects {
        inventory.add(*kind, &object.to_string()).expect("an object");
    }
    inventory
}

fn role(name: &str, rules: Value) -> (Kind, Value) {
    (Kind::ClusterRole, json!({"metadata": {"name": name}, "rules": rules}))
}

fn bind(role: &str, namespace: &str, user: &str) -> (Kind, Value) {
    let kind = if namespace.is_empty() { Kind::ClusterRoleBinding } else { Kind::RoleBinding };
    (kind, json!({
        "metadata": {"name": format!("{role}-{user}"), "namespace": namespace},
        "roleRef": {"kind": "ClusterRole", "name": role}, "subjects": [{"kind": "User", "name": user}]
    }))
}

fn rule(verbs: &[&str], groups: &[&str], resources: &[&str], names: &[&str]) -> Value {
    json!({"verbs": verbs, "apiGroups": groups, "resources": resources, "resourceNames": names})
}

fn may(inventory: &Inventory, user: &str, verb: &str, group: &str, resource: &str, namespace: &str, name: &str) -> bool {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let request = Request::Resource { verb, group, resource, subresource, namespace, name };
    Grants::new(inventory).allows(&Subject::User(user.into()).identity(), &request).is_some()
}

#[test]
fn rules_match_as_the_api_server_matches_them() {
    let i = cluster(&[
        role("r", json!([
            rule(&["get"], &[""], &["pods", "pods/log", "*/scale"], &[]),
            rule(&["update"], &["apps"], &["deployments"], &["web"]),
            {"verbs": ["get"], "nonResourceURLs": ["/metrics", "/healthz/*"]},
        ])),
        bind("r", "shop", "ann"),
        bind("r", "", "bob"),
    ]);
    assert!(may(&i, "ann", "get", "", "pods", "shop", "a"));
    assert!(may(&i, "ann", "get", "", "pods/log", "shop", ""));
    assert!(may(&i, "ann", "get", "", "anything/scale", "shop", ""));
    assert!(!may(&i, "ann", "get", "", "pods/exec", "shop", ""));
    assert!(!may(&i, "ann", "get", "", "pods", "", ""), "a RoleBinding gives nothing cluster-wide");
    assert!(!may(&i, "ann", "get", "", "pods", "other", ""));
    assert!(may(&i, "ann", "update", "apps", "deployments", "shop", "web"));
    assert!(!may(&i, "ann", "update", "apps", "deployments", "shop", ""), "resourceNames ask for a name");
    assert!(!may(&i, "ann", "update", "", "deployments", "shop", "web"), "another group");
    let g = Grants::new(&i);
    let url = |user: &str, path: &str| g.allows(&Subject::User(user.into()).identity(), &Request::Url { verb: "get", path }).is_some();
    assert!(url("bob", "/healthz/etcd") && url("bob", "/metrics") && !url("bob", "/metrics/x") && !url("bob", "/healthz"));
    assert!(!url("ann", "/metrics"), "a RoleBinding gives no URLs");
}

#[test]
fn null_rules_and_missing_roles_are_seen() {
    let i = cluster(&[role("empty", Value::Null), bind("empty", "", "ann"), bind("nothing", "", "ann")]);
    assert!(!may(&i, "ann", "get", "", "pods", "", ""));
    assert_eq!(Grants::new(&i).dangling.len(), 1);
    let findings = inspect(&Facts { inventory: &i, not_read: &[], seen: &Seen::default() }, None);
    assert!(findings.iter().any(|f| f.check == "rbac-dangling" && f.verdict == Verdict::Fails));
}

#[test]
fn wrong_types_are_errors_and_add_nothing() {
    let mut i = Inventory::default();
    for bad in [json!({"metadata": {"name": "x"}, "rules": [{"verbs": "get"}]}), json!([]), json!({"metadata": {"name": 5}})] {
        assert!(i.add(Kind::ClusterRole, &bad.to_string()).is_err(), "{bad}");
    }
    assert!(i.roles.is_empty());
}

fn ground() -> Vec<(Kind, Value)> {
    vec![
        (Kind::Node, json!({"metadata": {"name": "n1"}})),
        (Kind::Namespace, json!({"metadata": {"name": "open"}})),
        (Kind::Namespace, json!({"metadata": {"name": "tight", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}})),
        (Kind::ServiceAccount, json!({"metadata": {"name": "strong", "namespace": "tight"}})),
        role("cluster-admin", json!([rule(&["*"], &["*"], &["*"], &[])])),
        (Kind::ClusterRoleBinding, json!({"metadata": {"name": "s"}, "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "strong", "namespace": "tight"}]})),
    ]
}

fn reach(rules: Value, namespace: &str) -> (Option<usize>, Option<usize>) {
    let mut objects = ground();
    objects.extend([role("r", rules), bind("r", namespace, "eve")]);
    let i = cluster(&objects);
    let g = Grants::new(&i);
    let p = Paths::new(&g);
    let eve = Subject::User("eve".into());
    (p.to_cluster_admin(&eve).map(|p| p.len()), p.to_node(&eve).map(|p| p.len()))
}

#[test]
fn each_technique_makes_a_path_and_its_absence_none() {
    let rbac = "rbac.authorization.k8s.io";
    let cases: &[(&str, Value, &str, Option<usize>)] = &[
        ("nothing", json!([rule(&["get", "list"], &[""], &["pods", "configmaps"], &[])]), "", None),
        ("create pods beside the strong account", json!([rule(&["create"], &[""], &["pods"], &[])]), "tight", Some(2)),
        ("create pods elsewhere", json!([rule(&["create"], &[""], &["pods"], &[])]), "open", None),
        ("bind", json!([rule(&["bind"], &[rbac], &["clusterroles"], &[]), rule(&["create"], &[rbac], &["clusterrolebindings"], &[])]), "", Some(1)),
        ("bind without create", json!([rule(&["bind"], &[rbac], &["clusterroles"], &[])]), "", None),
        ("create bindings without bind", json!([rule(&["create"], &[rbac], &["clusterrolebindings"], &[])]), "", None),
        ("escalate", json!([rule(&["escalate", "update"], &[rbac], &["clusterroles"], &[])]), "", Some(1)),
        ("impersonate the account", json!([rule(&["impersonate"], &[""], &["serviceaccounts"], &["strong"])]), "tight", Some(2)),
        ("token", json!([rule(&["create"], &[""], &["serviceaccounts/token"], &[])]), "tight", Some(2)),
        ("token of another", json!([rule(&["create"], &[""], &["serviceaccounts/token"], &["weak"])]), "tight", None),
        ("webhooks", json!([rule(&["patch"], &["admissionregistration.k8s.io"], &["mutatingwebhookconfigurations"], &[])]), "", Some(1)),
        ("escalate on roles it is not bound to", json!([rule(&["escalate", "update"], &[rbac], &["roles"], &[])]), "tight", None),
        ("bind in a namespace", json!([rule(&["bind"], &[rbac], &["clusterroles"], &[]), rule(&["create"], &[rbac], &["rolebindings"], &[])]), "tight", Some(3)),
    ];
    for (what, rules, namespace, expected) in cases {
        assert_eq!(reach(rules.clone(), namespace).0, *expected, "{what}");
    }
}

#[test]
fn pod_security_closes_the_way_to_the_node_and_volumes_open_it() {
    let pods = rule(&["create"], &[""], &["pods", "persistentvolumeclaims"], &[]);
    assert_eq!(reach(json!([pods]), "open").1, Some(1));
    // Not at once: only by way of the strong account, which is cluster-admin.
    assert_eq!(reach(json!([pods]), "tight").1, Some(2));
    let cluster_wide = json!([rule(&["create"], &[""], &["pods", "persistentvolumeclaims", "persistentvolumes"], &["x"])]);
    assert_eq!(reach(cluster_wide, "").1, None, "a name never matches create");
}

#[test]
fn what_could_not_be_read_is_unconfirmed_and_never_conforms() {
    let i = cluster(&ground());
    let not_read = [NotRead { kind: Kind::RoleBinding, object: None, reason: Text::new("无权", "forbidden") }];
    let findings = inspect(&Facts { inventory: &i, not_read: &not_read, seen: &Seen::default() }, Some(&"AC-1".parse().expect("a clause")));
    assert!(findings.iter().any(|f| f.check == "rbac-wildcard" && f.verdict == Verdict::Unconfirmed));
    assert!(!findings.iter().any(|f| f.check.starts_with("rbac") && f.verdict == Verdict::Conforms));
    assert!(findings.iter().any(|f| f.check == "token-legacy" && f.verdict == Verdict::Conforms), "secrets were read");
}

#[test]
fn ten_thousand_pods_take_a_few_mebibytes() {
    let mut i = Inventory::default();
    for n in 0..10_000 {
        let app = n % 100;
        let suffix = format!("{n:05x}");
        let pod = json!({
            "metadata": {"name": format!("app-{app}-5d8f9c7b6d-{suffix}"), "namespace": format!("ns-{}", app % 20), "uid": format!("00000000-0000-0000-0000-0000000{suffix}"),
                "labels": {"app": format!("app-{app}"), "pod-template-hash": "5d8f9c7b6d"}, "annotations": {"huge": "x".repeat(2000)},
                "ownerReferences": [{"kind": "ReplicaSet", "name": format!("app-{app}-5d8f9c7b6d"), "controller": true}]},
            "spec": {"nodeName": format!("node-{}", n % 50), "serviceAccountName": "app", "containers": [{"name": "c", "image": format!("registry/app-{app}@sha256:{}", "0".repeat(64)),
                "env": (0..20).map(|e| json!({"name": format!("V{e}"), "value": "hunter2"})).collect::<Vec<_>>(), "volumeMounts": [{"name": format!("kube-api-access-{suffix}"), "mountPath": "/x"}]}],
                "volumes": [{"name": format!("kube-api-access-{suffix}"), "projected": {"sources": [{"serviceAccountToken": {"expirationSeconds": 3607}}]}}]},
            "status": {"phase": "Running", "podIP": "10.0.0.1", "containerStatuses": [{"name": "c", "imageID": "sha256:1", "ready": true}]}
        });
        i.add(Kind::Pod, &pod.to_string()).expect("a pod");
    }
    assert_eq!(i.pods.len(), 10_000);
    assert!(i.size() < 16 << 20, "{} bytes", i.size());
    println!("10,000 pods: {} KiB", i.size() / 1024);
    let shown = serde_json::to_string(&i).expect("JSON");
    assert!(!shown.contains("hunter2"), "values of variables are not kept");
}

proptest! {
    /// Adding a rule never takes a right away.
    #[test]
    fn grants_only_add_up(verbs in proptest::collection::vec("get|list|create|\\*", 1..3), resources in proptest::collection::vec("pods|secrets|pods/exec|\\*", 1..3),
                          verb in "get|list|create", resource in "pods|secrets|pods/exec") {
        let words = |l: &[String]| json!(l);
        let first = json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]});
        let second = json!({"verbs": words(&verbs), "apiGroups": [""], "resources": words(&resources)});
        let one = cluster(&[role("r", json!([first])), bind("r", "", "ann")]);
        let two = cluster(&[role("r", json!([first, second])), bind("r", "", "ann")]);
        if may(&one, "ann", &verb, "", &resource, "n", "x") {
            prop_assert!(may(&two, "ann", &verb, "", &resource, "n", "x"));
        }
    }
}
