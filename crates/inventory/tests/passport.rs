//! Passports: what a move changes is no part of them, what permissions change is.

use jinwu_inventory::passport::{compare, passport, unordered_change};
use jinwu_inventory::{Grants, Inventory, Kind};
use proptest::prelude::*;
use serde_json::{Value, json};

fn pod(name: &str, node: &str, address: &str, privileged: bool) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "shop", "uid": name, "labels": {"app": "web"}, "ownerReferences": [{"kind": "ReplicaSet", "name": "web-1", "controller": true}]},
        "spec": {"nodeName": node, "serviceAccountName": "web", "containers": [{"name": "c", "image": "web", "securityContext": {"privileged": privileged},
            "volumeMounts": [{"name": format!("kube-api-access-{name}"), "mountPath": "/var/run/secrets"}]}],
            "volumes": [{"name": format!("kube-api-access-{name}"), "projected": {"sources": [{"serviceAccountToken": {}}]}}]},
        "status": {"phase": "Running", "podIP": address, "containerStatuses": [{"name": "c", "imageID": "docker.io/web@sha256:abc", "ready": true}]}
    })
}

fn cluster(pod: &Value, verbs: &[&str], policy: bool) -> Inventory {
    let mut i = Inventory::default();
    i.add(Kind::Pod, &pod.to_string()).expect("a pod");
    i.add(Kind::Namespace, &json!({"metadata": {"name": "shop", "labels": {"pod-security.kubernetes.io/enforce": "baseline"}}}).to_string()).expect("a namespace");
    i.add(Kind::Role, &json!({"metadata": {"name": "r", "namespace": "shop"}, "rules": [{"verbs": verbs, "apiGroups": [""], "resources": ["configmaps"]}]}).to_string()).expect("a role");
    i.add(Kind::RoleBinding, &json!({"metadata": {"name": "r", "namespace": "shop"}, "roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "ServiceAccount", "name": "web"}]}).to_string()).expect("a binding");
    if policy {
        i.add(Kind::NetworkPolicy, &json!({"metadata": {"name": "p", "namespace": "shop"}, "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"]}}).to_string()).expect("a policy");
    }
    i
}

fn taken(i: &Inventory) -> jinwu_inventory::passport::Passport {
    passport(&Grants::new(i), &i.pods[0])
}

proptest! {
    #[test]
    fn a_pod_made_anew_has_the_same_passport(a in "[a-z0-9]{5}", b in "[a-z0-9]{5}", node in "[a-z]{3}", address in "10\\.0\\.0\\.[1-9]") {
        let (one, two) = (cluster(&pod(&a, "n1", "10.0.0.9", false), &["get"], true), cluster(&pod(&b, &node, &address, false), &["get"], true));
        prop_assert_eq!(taken(&one).canonical(), taken(&two).canonical());
    }
}

#[test]
fn every_change_of_permission_is_told() {
    let before = taken(&cluster(&pod("a", "n1", "10.0.0.1", false), &["get"], true));
    for (what, after, member) in [
        ("a role", cluster(&pod("b", "n2", "10.0.0.2", false), &["get", "update"], true), "serviceAccount.rules"),
        ("a network policy", cluster(&pod("b", "n2", "10.0.0.2", false), &["get"], false), "networkPolicies"),
        ("privileged", cluster(&pod("b", "n2", "10.0.0.2", true), &["get"], true), "security.containers.c.context.privileged"),
    ] {
        let after = taken(&after);
        assert_ne!(before.canonical(), after.canonical(), "{what}");
        let told = compare(&before, &after);
        assert!(told.iter().any(|d| d.member == member), "{what}: {told:?}");
        assert_eq!(unordered_change(&before, &after), Some(told), "{what}");
    }
    assert_eq!(unordered_change(&before, &before.clone()), None);
}
