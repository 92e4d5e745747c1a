//! Microseconds for sixteen validations in the manner of the Pod Security Standards over one pod.
//!
//! `cargo run --release -p jinwu-cel --example pod_security`

use jinwu_cel::{Budget, Environment, Program, Type, Value};
use std::time::Instant;

const VALIDATIONS: [&str; 16] = [
    "!has(object.spec.hostNetwork) || object.spec.hostNetwork == false",
    "!has(object.spec.hostPID) || object.spec.hostPID == false",
    "!has(object.spec.hostIPC) || object.spec.hostIPC == false",
    "object.spec.containers.all(c, !has(c.securityContext) || !has(c.securityContext.privileged) || c.securityContext.privileged == false)",
    "object.spec.containers.all(c, has(c.securityContext) && has(c.securityContext.allowPrivilegeEscalation) && c.securityContext.allowPrivilegeEscalation == false)",
    "object.spec.containers.all(c, has(c.securityContext) && has(c.securityContext.capabilities) && has(c.securityContext.capabilities.drop) && c.securityContext.capabilities.drop.exists(d, d == 'ALL'))",
    "object.spec.containers.all(c, !has(c.securityContext.capabilities.add) || c.securityContext.capabilities.add.all(a, a in ['NET_BIND_SERVICE']))",
    "object.spec.containers.all(c, !has(c.ports) || c.ports.all(p, !has(p.hostPort) || p.hostPort == 0))",
    "!has(object.spec.volumes) || object.spec.volumes.all(v, !has(v.hostPath))",
    "!has(object.spec.volumes) || object.spec.volumes.all(v, has(v.configMap) || has(v.csi) || has(v.downwardAPI) || has(v.emptyDir) || has(v.ephemeral) || has(v.persistentVolumeClaim) || has(v.projected) || has(v.secret))",
    "(has(object.spec.securityContext) && has(object.spec.securityContext.runAsNonRoot) && object.spec.securityContext.runAsNonRoot) || object.spec.containers.all(c, c.?securityContext.?runAsNonRoot.orValue(false))",
    "object.spec.?securityContext.?runAsUser.orValue(1) != 0 && object.spec.containers.all(c, c.?securityContext.?runAsUser.orValue(1) != 0)",
    "object.spec.?securityContext.?seccompProfile.?type.orValue('') in ['RuntimeDefault', 'Localhost'] || object.spec.containers.all(c, c.?securityContext.?seccompProfile.?type.orValue('') in ['RuntimeDefault', 'Localhost'])",
    "!has(object.spec.securityContext.sysctls) || object.spec.securityContext.sysctls.all(s, s.name in ['kernel.shm_rmid_forced', 'net.ipv4.ip_local_port_range', 'net.ipv4.tcp_syncookies', 'net.ipv4.ping_group_range'])",
    "object.spec.containers.all(c, !has(c.securityContext) || !has(c.securityContext.procMount) || c.securityContext.procMount == 'Default')",
    "object.spec.containers.all(c, c.image.matches('^registry[.]example/[a-z/-]+(:[0-9a-z.-]+|@sha256:[0-9a-f]{64})$') && !c.image.endsWith(':latest'))",
];

fn pod() -> serde_json::Value {
    let environment: Vec<_> = (0..40)
        .map(|i| serde_json::json!({"name": format!("SETTING_{i}"), "valueFrom": {"configMapKeyRef": {"name": "settings", "key": format!("key-{i}"), "optional": true}}}))
        .collect();
    let container = |name: &str| {
        serde_json::json!({
            "name": name, "image": format!("registry.example/shop/{name}:1.27.3"), "imagePullPolicy": "IfNotPresent", "env": environment,
            "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}, {"name": "metrics", "containerPort": 9090, "protocol": "TCP"}],
            "resources": {"limits": {"cpu": "500m", "memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
            "livenessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 10},
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, {"name": "config", "mountPath": "/etc/app", "readOnly": true}],
            "securityContext": {"allowPrivilegeEscalation": false, "privileged": false, "readOnlyRootFilesystem": true, "runAsNonRoot": true, "runAsUser": 10001,
                "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}, "seccompProfile": {"type": "RuntimeDefault"}}
        })
    };
    serde_json::json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web-7d9c5b9f4-abcde", "namespace": "shop", "labels": {"app": "web", "tier": "front"}},
        "spec": {
            "containers": [container("web"), container("proxy"), container("log-shipper")],
            "volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "config", "configMap": {"name": "settings"}}, {"name": "token", "projected": {"sources": []}}],
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}, "sysctls": [{"name": "net.ipv4.tcp_syncookies", "value": "1"}]},
            "serviceAccountName": "web", "hostNetwork": false
        }
    })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pod = pod();
    let environment = Environment::new().variable("object", Type::Dyn);
    let begin = Instant::now();
    let programs: Vec<Program> = VALIDATIONS.iter().map(|v| environment.compile(v)).collect::<Result<_, _>>()?;
    let compiled = begin.elapsed();
    let bindings = [("object", Value::from(&pod))];
    let rounds = 2000u32;
    let mut times = Vec::new();
    let mut cost = 0;
    for _ in 0..9 {
        let begin = Instant::now();
        for _ in 0..rounds {
            let mut budget = Budget::policy();
            for program in &programs {
                if program.evaluate(&bindings, &mut budget)?.as_bool() != Some(true) {
                    return Err("a validation is not met".into());
                }
            }
            cost = 10_000_000 - budget.remaining();
        }
        times.push(begin.elapsed().as_secs_f64() * 1e6 / f64::from(rounds));
    }
    println!("pod of {} bytes", serde_json::to_string(&pod)?.len());
    println!("compiled {} validations in {:.0} us", programs.len(), compiled.as_secs_f64() * 1e6);
    times.sort_by(f64::total_cmp);
    let (median, worst) = (times.get(times.len() / 2).copied().unwrap_or(0.0), times.last().copied().unwrap_or(0.0));
    println!("evaluated all {} in {median:.1} us (median of {} x {rounds}, slowest {worst:.1}), cost {cost}", programs.len(), times.len());
    Ok(())
}
