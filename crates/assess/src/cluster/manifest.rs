//! Objects of drills: a pod that meets every built-in policy, and what makes it an attack.

use serde_json::{Value, json};

/// The service account of drills' pods.
pub const ACCOUNT: &str = "app";
/// The secret they pull with.
pub const PULL: &str = "jinwu-assess-pull";

/// A pod's specification that meets the restricted profile, and nothing in it is more than asked.
pub fn spec(image: &str, arguments: &[&str]) -> Value {
    json!({
        "serviceAccountName": ACCOUNT,
        "automountServiceAccountToken": false,
        "imagePullSecrets": [{"name": PULL}],
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{
            "name": "app",
            "image": image,
            "args": arguments,
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}}
        }]
    })
}

pub fn pod(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels(name)}, "spec": spec})
}

pub fn deployment(name: &str, replicas: u32, spec: Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": labels(name)},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": {"metadata": {"labels": labels(name)}, "spec": spec}}
    })
}

fn labels(name: &str) -> Value {
    json!({"app": name, "app.kubernetes.io/managed-by": "jinwu-assess"})
}

/// A pod that asks for more than IP-6 allows.
#[derive(Clone, Copy, Debug)]
pub struct PodAttack {
    pub name: &'static str,
    pub zh: &'static str,
    pub en: &'static str,
    /// The policy that has to refuse it, among others perhaps.
    pub policy: &'static str,
    change: fn(&mut Value),
}

/// Privileged mode and privileged user in their forms.
pub const PRIVILEGED: [PodAttack; 9] = [
    attack("privileged", "特权模式容器", "a privileged container", "privileged-container", |s| s["containers"][0]["securityContext"] = json!({"privileged": true})),
    attack("privileged-init", "初始化容器为特权模式", "a privileged init container", "privileged-container", |s| {
        let mut init = s["containers"][0].clone();
        init["name"] = json!("init");
        init["args"] = json!(["true"]);
        init["securityContext"] = json!({"privileged": true});
        s["initContainers"] = json!([init]);
    }),
    attack("host-network", "使用宿主机网络", "the host's network", "host-namespaces", |s| s["hostNetwork"] = json!(true)),
    attack("host-pid", "使用宿主机进程空间", "the host's processes", "host-namespaces", |s| s["hostPID"] = json!(true)),
    attack("host-path", "挂载宿主机文件系统", "the host's file system", "host-filesystem", |s| {
        s["volumes"] = json!([{"name": "host", "hostPath": {"path": "/"}}]);
        s["containers"][0]["volumeMounts"] = json!([{"name": "host", "mountPath": "/host"}]);
    }),
    attack("capability", "增加 SYS_ADMIN 能力", "the capability SYS_ADMIN", "added-capabilities", |s| s["containers"][0]["securityContext"]["capabilities"] = json!({"drop": ["ALL"], "add": ["SYS_ADMIN"]})),
    attack("root-user", "以 uid 0 运行", "uid 0", "privileged-user", |s| {
        s["securityContext"] = json!({"seccompProfile": {"type": "RuntimeDefault"}});
        s["containers"][0]["securityContext"]["runAsUser"] = json!(0);
    }),
    attack("unconfined", "关闭 seccomp", "seccomp switched off", "kernel-protection", |s| s["securityContext"]["seccompProfile"] = json!({"type": "Unconfined"})),
    attack("escalation", "允许提升权限", "privilege escalation allowed", "restricted-profile", |s| s["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = json!(true)),
];

const fn attack(name: &'static str, zh: &'static str, en: &'static str, policy: &'static str, change: fn(&mut Value)) -> PodAttack {
    PodAttack { name, zh, en, policy, change }
}

impl PodAttack {
    /// The attack's pod, of a harmless image.
    pub fn pod(&self, image: &str) -> Value {
        let mut spec = spec(image, &["true"]);
        spec["restartPolicy"] = json!("Never");
        (self.change)(&mut spec);
        pod(&format!("attack-{}", self.name), spec)
    }
}
