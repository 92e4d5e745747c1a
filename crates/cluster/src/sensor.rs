//! The sensor in a cluster: a DaemonSet in a namespace of its own. It asks the API server nothing, so it has no rights
//! there; it enrols by the token of its pod.

use crate::install::PART_OF;
use serde_json::{Value, json};

/// The sensor's namespace: the gate's refuses privileged pods.
pub const SENSOR_NAMESPACE: &str = "jinwu-sensor";
/// Name of its DaemonSet and service account.
pub const SENSOR: &str = "jinwu-agent";
/// For whom its token is issued.
pub const AUDIENCE: &str = "jinwu";
/// Port of its metrics.
pub const METRICS_PORT: u16 = 9465;
const PULL: &str = "jinwu-pull";

/// What a sensor is installed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SensorInstallation {
    /// Name by which the server knows the cluster.
    pub cluster: String,
    /// Image by digest.
    pub image: String,
    pub server_url: String,
    /// `host:port` to connect to, where that differs.
    pub server_address: Option<String>,
    /// PEM.
    pub server_authority: String,
    /// `auths` of a docker configuration, if the image needs one.
    pub pull_secret: Option<String>,
}

// === impl SensorInstallation ===

impl SensorInstallation {
    /// Every object, in the order in which they must be made.
    pub fn objects(&self) -> Vec<Value> {
        let labels = json!({"app.kubernetes.io/name": SENSOR, PART_OF.0: PART_OF.1});
        let named = |name: &str| json!({"name": name, "namespace": SENSOR_NAMESPACE, "labels": labels});
        let mut way = json!({"url": self.server_url, "ca.crt": self.server_authority, "cluster": self.cluster});
        if let Some(address) = &self.server_address {
            way["address"] = json!(address);
        }
        let mut all = vec![
            json!({
                "apiVersion": "v1", "kind": "Namespace",
                "metadata": {"name": SENSOR_NAMESPACE, "labels": {PART_OF.0: PART_OF.1, "pod-security.kubernetes.io/enforce": "privileged"}}
            }),
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": named(SENSOR), "automountServiceAccountToken": false}),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": named("jinwu-server"), "data": way}),
        ];
        if let Some(auths) = &self.pull_secret {
            all.push(json!({"apiVersion": "v1", "kind": "Secret", "metadata": named(PULL), "type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": auths}}));
        }
        all.push(self.daemon_set(&labels));
        all
    }

    /// YAML documents of [`SensorInstallation::objects`]; JSON is YAML.
    pub fn manifest(&self) -> String {
        self.objects().iter().map(|o| format!("---\n{}\n", serde_json::to_string_pretty(o).unwrap_or_default())).collect()
    }

    fn daemon_set(&self, labels: &Value) -> Value {
        let pull: Vec<Value> = self.pull_secret.iter().map(|_| json!({"name": PULL})).collect();
        json!({
            "apiVersion": "apps/v1", "kind": "DaemonSet",
            "metadata": {"name": SENSOR, "namespace": SENSOR_NAMESPACE, "labels": labels},
            "spec": {
                "selector": {"matchLabels": {"app.kubernetes.io/name": SENSOR}},
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "serviceAccountName": SENSOR, "automountServiceAccountToken": false, "imagePullSecrets": pull,
                        "priorityClassName": "system-node-critical", "hostPID": true, "terminationGracePeriodSeconds": 10,
                        "tolerations": [{"operator": "Exists"}],
                        "containers": [self.container()],
                        "volumes": [
                            {"name": "node", "hostPath": {"path": "/"}},
                            {"name": "cgroups", "hostPath": {"path": "/sys/fs/cgroup"}},
                            {"name": "data", "hostPath": {"path": "/var/lib/jinwu-agent", "type": "DirectoryOrCreate"}},
                            {"name": "server", "configMap": {"name": "jinwu-server"}},
                            {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"audience": AUDIENCE, "expirationSeconds": 3600, "path": "token"}}]}},
                            {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
                        ],
                    },
                },
            },
        })
    }

    /// Privileged: it loads programs into the kernel, reads processes of all containers, writes to their cgroups.
    fn container(&self) -> Value {
        json!({
            "name": SENSOR, "image": self.image,
            "args": [
                "--data", "/data", "run", "--node", "$(NODE)", "--root", "/node", "--scope", "own", "--server", "/etc/jinwu/server",
                "--metrics", format!("0.0.0.0:{METRICS_PORT}"),
            ],
            "env": [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
            "ports": [{"name": "metrics", "containerPort": METRICS_PORT}],
            "readinessProbe": {"httpGet": {"path": "/metrics", "port": "metrics"}, "periodSeconds": 5},
            "livenessProbe": {"httpGet": {"path": "/metrics", "port": "metrics"}, "periodSeconds": 20, "failureThreshold": 6, "initialDelaySeconds": 30},
            "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "1Gi"}},
            "securityContext": {"privileged": true, "runAsUser": 0, "runAsNonRoot": false, "readOnlyRootFilesystem": true},
            "volumeMounts": [
                {"name": "node", "mountPath": "/node", "readOnly": true, "mountPropagation": "HostToContainer"},
                {"name": "cgroups", "mountPath": "/sys/fs/cgroup"},
                // One machine may hold several nodes.
                {"name": "data", "mountPath": "/data", "subPathExpr": "$(NODE)"},
                {"name": "server", "mountPath": "/etc/jinwu/server", "readOnly": true},
                {"name": "token", "mountPath": "/var/run/secrets/jinwu", "readOnly": true},
                {"name": "tmp", "mountPath": "/tmp"},
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_no_rights_in_the_api_and_its_image_by_digest() {
        let installation = SensorInstallation {
            cluster: "lab".into(),
            image: format!("r.example/open/jinwu-agent@sha256:{}", "a".repeat(64)),
            server_url: "https://r.example".into(),
            server_address: Some("10.0.0.1:443".into()),
            server_authority: "CA".into(),
            pull_secret: Some("{}".into()),
        };
        let objects = installation.objects();
        let kinds: Vec<&str> = objects.iter().filter_map(|o| o["kind"].as_str()).collect();
        assert_eq!(kinds, ["Namespace", "ServiceAccount", "ConfigMap", "Secret", "DaemonSet"]);
        let pod = &objects[4]["spec"]["template"]["spec"];
        assert_eq!(pod["automountServiceAccountToken"], false);
        assert!(pod["containers"][0]["image"].as_str().unwrap().contains("@sha256:"));
    }
}
