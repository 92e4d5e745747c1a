//! Isolation and availability, each with a good and a bad case.

use jinwu_inventory::{Facts, Finding, Inventory, Kind, Seen, inspect};
use jinwu_model::Verdict;
use serde_json::{Value, json};

fn judged(objects: &[(Kind, Value)], check: &str) -> Vec<Finding> {
    let mut inventory = Inventory::default();
    for (kind, object) in objects {
        inventory.add(*kind, &object.to_string()).expect("an object");
    }
    inspect(&Facts { inventory: &inventory, not_read: &[], seen: &Seen::default() }, None).into_iter().filter(|f| f.check == check).collect()
}

fn verdicts(objects: &[(Kind, Value)], check: &str) -> Vec<Verdict> {
    judged(objects, check).iter().map(|f| f.verdict).collect()
}

fn pod(spec: Value) -> (Kind, Value) {
    (Kind::Pod, json!({"metadata": {"name": "p", "namespace": "shop"}, "spec": spec, "status": {"phase": "Running"}}))
}

#[test]
fn a_pod_without_a_kernel_of_its_own_fails_by_name() {
    let class = (Kind::RuntimeClass, json!({"metadata": {"name": "box"}, "handler": "runsc"}));
    let boxed = pod(json!({"runtimeClassName": "box", "containers": []}));
    assert_eq!(verdicts(&[class.clone(), boxed.clone()], "sandbox-pod"), [Verdict::Conforms]);
    let shared = judged(&[class, pod(json!({"containers": []}))], "sandbox-pod");
    assert_eq!((shared[0].verdict, shared[0].asset.as_str()), (Verdict::Fails, "Pod/shop/p"));
    assert_eq!(verdicts(&[boxed], "sandbox-pod"), [Verdict::Unconfirmed], "the class does not exist");
}

#[test]
fn ways_into_containers_are_found() {
    let container = |c: Value| pod(json!({"containers": [c]}));
    assert_eq!(verdicts(&[container(json!({"name": "c", "ports": [{"containerPort": 22}]}))], "entry-sshd"), [Verdict::Fails]);
    assert_eq!(verdicts(&[container(json!({"name": "c", "command": ["/usr/sbin/sshd", "-D"]}))], "entry-sshd"), [Verdict::Fails]);
    assert_eq!(verdicts(&[container(json!({"name": "c"}))], "entry-sshd"), [Verdict::Conforms]);
    let mounted = |path: &str| pod(json!({"containers": [], "volumes": [{"name": "v", "hostPath": {"path": path}}]}));
    for (path, verdict) in [("/run/containerd/containerd.sock", Verdict::Fails), ("/", Verdict::Fails), ("/var/lib/kubelet/pods", Verdict::Fails), ("/data/logs", Verdict::Conforms)] {
        assert_eq!(verdicts(&[mounted(path)], "entry-host"), [verdict], "{path}");
    }
}

#[test]
fn availability_says_what_is_missing() {
    let deployment = |replicas: i64, spec: Value| (Kind::Deployment, json!({"metadata": {"name": "d", "namespace": "shop"}, "spec": {"replicas": replicas, "template": {"metadata": {"labels": {"a": "b"}}, "spec": spec}}}));
    let bare = json!({"containers": [{"name": "c"}]});
    let full = json!({"containers": [{"name": "c", "livenessProbe": {}, "readinessProbe": {}}], "topologySpreadConstraints": [{}]});
    let pdb = |most: Value| (Kind::PodDisruptionBudget, json!({"metadata": {"name": "p", "namespace": "shop"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "maxUnavailable": most}}));
    assert_eq!(verdicts(&[deployment(1, bare.clone())], "recovery-probes"), [Verdict::Fails]);
    assert_eq!(verdicts(&[deployment(1, bare)], "recovery-replicas"), [Verdict::Fails]);
    assert_eq!(verdicts(&[deployment(2, full.clone())], "recovery-replicas"), [Verdict::Fails], "no PDB");
    let good = [deployment(2, full), pdb(json!(1))];
    assert_eq!(verdicts(&good, "recovery-replicas"), [Verdict::Conforms]);
    assert_eq!(verdicts(&good, "recovery-probes"), [Verdict::Conforms]);
    assert_eq!(verdicts(&good, "recovery-pdb-blocks"), [Verdict::Conforms]);
    assert_eq!(verdicts(&[pdb(json!(0))], "recovery-pdb-blocks"), [Verdict::Fails]);
}
