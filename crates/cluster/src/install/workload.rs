//! Deployment, Service, secrets, disruption budget of the gate.

use super::{BUNDLE_SECRET, FAILURE_MEMBER, GATE, Installation, NAMESPACE, POD_PORT, PULL_SECRET, SERVER_SECRET, SERVICE_PORT, TLS_SECRET, labels};
use serde_json::{Value, json};

pub(super) fn objects(i: &Installation) -> Vec<Value> {
    let secret = |name: &str, data: Value| {
        json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels()}, "stringData": data})
    };
    let mut way = json!({"url": i.server_url, "ca.crt": i.server_authority, "secret": i.secret, "verify.pem": i.verify_key});
    if let Some(address) = &i.server_address {
        way["address"] = json!(address);
    }
    let mut all = vec![secret(SERVER_SECRET, way), secret(TLS_SECRET, json!({})), secret(BUNDLE_SECRET, json!({FAILURE_MEMBER: i.failure.as_str()}))];
    if let Some(pull) = &i.pull_secret {
        all.push(json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
            "metadata": {"name": PULL_SECRET, "namespace": NAMESPACE, "labels": labels()}, "stringData": {".dockerconfigjson": pull}}));
    }
    let mut service = json!({"selector": {"app.kubernetes.io/name": GATE}, "ports": [{"name": "https", "port": SERVICE_PORT, "targetPort": "https"}]});
    if let Some(address) = &i.cluster_address {
        service["clusterIP"] = json!(address);
    }
    all.push(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": GATE, "namespace": NAMESPACE, "labels": labels()}, "spec": service}));
    all.push(json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": GATE, "namespace": NAMESPACE, "labels": labels()},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app.kubernetes.io/name": GATE}}}}));
    all.push(deployment(i));
    all
}

fn deployment(i: &Installation) -> Value {
    let mount = |name: &str, path: &str, read_only: bool| json!({"name": name, "mountPath": path, "readOnly": read_only});
    let probe = |path: &str| json!({"httpGet": {"path": path, "port": "https", "scheme": "HTTPS"}, "periodSeconds": 2, "failureThreshold": 3, "timeoutSeconds": 2});
    let container = json!({
        "name": "gate",
        "image": i.image,
        "args": ["serve"],
        "ports": [{"name": "https", "containerPort": POD_PORT}],
        "env": [{"name": "JINWU_GATE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            // By this it knows its own image, whose verdict it keeps for the time the server is away.
            {"name": "JINWU_GATE_IMAGE", "value": i.image}],
        "readinessProbe": probe("/readyz"),
        "livenessProbe": probe("/healthz"),
        "resources": {"requests": {"cpu": "50m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "runAsNonRoot": true, "runAsUser": 65532,
            "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}},
        "volumeMounts": [mount("server", "/etc/jinwu/server", true), mount("data", "/data", false)]
    });
    let mut pod = json!({
        "serviceAccountName": GATE,
        "priorityClassName": "system-cluster-critical",
        "terminationGracePeriodSeconds": 30,
        "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"app.kubernetes.io/name": GATE}}}],
        "containers": [container],
        "volumes": [
            {"name": "server", "secret": {"secretName": SERVER_SECRET}},
            {"name": "data", "emptyDir": {"sizeLimit": "512Mi"}}
        ]
    });
    if i.pull_secret.is_some() {
        pod["imagePullSecrets"] = json!([{"name": PULL_SECRET}]);
    }
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": GATE, "namespace": NAMESPACE, "labels": labels()},
        "spec": {
            "replicas": i.replicas,
            "selector": {"matchLabels": {"app.kubernetes.io/name": GATE}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {"metadata": {"labels": labels()}, "spec": pod}
        }
    })
}
