//! Microseconds of the work for one pod: `cargo run -p jinwu-podsecurity --example measure`.

use jinwu_podsecurity::workload::Resource;
use jinwu_podsecurity::{Level, Paths, PodTemplate, Version, Workload, evaluate, privileged_mode};
use serde_json::{Value, json};
use std::hint::black_box;
use std::time::Instant;

fn main() {
    for (title, good) in [("a pod that meets restricted", true), ("one that does not", false)] {
        let text = pod(good).to_string();
        println!("{title}: {} bytes", text.len());
        time("read", || PodTemplate::from_json(&text).map(|p| p.spec.containers.len()).unwrap_or_default());
        let deployment = json!({"metadata": {"name": "d"}, "spec": {"replicas": 1, "template": pod(good)}}).to_string();
        let workload = Workload::of(&Resource { group: "apps", resource: "deployments", subresource: "" });
        time("read as a Deployment", || workload.as_ref().map(|w| w.pods(&deployment).map(|p| p.len()).unwrap_or_default()).unwrap_or_default());
        let Ok(parsed) = PodTemplate::from_json(&text) else { return };
        time("judge, restricted", || evaluate(Level::Restricted, Version::LATEST, &parsed.metadata, &parsed.spec).len());
        time("privileged mode", || privileged_mode(&parsed.spec, &Paths::pod()).len());
    }
}

fn time(title: &str, mut work: impl FnMut() -> usize) {
    const ROUNDS: u32 = 5_000;
    let mut best = f64::MAX;
    let mut answer = 0;
    for _ in 0..7 {
        let begun = Instant::now();
        for _ in 0..ROUNDS {
            answer = black_box(work());
        }
        best = best.min(begun.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS));
    }
    println!("  {title}: {best:.2} us ({answer})");
}

/// A pod as the API server has it: three containers, environment, mounts, managed fields, status; 20 KB.
fn pod(good: bool) -> Value {
    let container = |name: &str| {
        let env: Vec<Value> = (0..55).map(|n| json!({"name": format!("SETTING_{n}"), "value": format!("a value of some length, number {n}")})).collect();
        json!({
            "name": name, "image": "registry.example.com/team/application@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "env": env, "ports": [{"containerPort": 8080, "protocol": "TCP"}],
            "resources": {"limits": {"cpu": "500m", "memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
            "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "token", "mountPath": "/var/run/secrets/token", "readOnly": true}],
            "livenessProbe": {"httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"}, "periodSeconds": 10},
            "securityContext": {"allowPrivilegeEscalation": !good, "privileged": !good, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": true},
            "terminationMessagePath": "/dev/termination-log", "imagePullPolicy": "IfNotPresent"
        })
    };
    let managed: Vec<Value> = (0..6)
        .map(|n| json!({"manager": format!("manager-{n}"), "operation": "Update", "fieldsV1": {"f:metadata": {"f:annotations": {".": {}, "f:a": {}, "f:b": {}}, "f:labels": {".": {}, "f:app": {}}}, "f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {".": {}, "f:image": {}, "f:name": {}, "f:env": {".": {}, "k:{\"name\":\"X\"}": {".": {}, "f:name": {}, "f:value": {}}}}}}}}))
        .collect();
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "application-7d9c5b8f6-x2x7k", "namespace": "team", "managedFields": managed,
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": json!({"spec": {"containers": [container("a")]}}).to_string()}},
        "spec": {
            "initContainers": [container("prepare")], "containers": [container("application"), container("sidecar")],
            "volumes": [{"name": "data", "emptyDir": {}}, {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}],
            "securityContext": {"runAsNonRoot": good, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
            "serviceAccountName": "default", "nodeSelector": {"kubernetes.io/os": "linux"}
        },
        "status": {"phase": "Running", "conditions": (0..5).map(|n| json!({"type": format!("Condition{n}"), "status": "True", "lastTransitionTime": "2026-11-25T00:00:00Z"})).collect::<Vec<_>>()}
    })
}
