//! The sixteen checks of the Pod Security Standards' restricted profile, in the languages of the engines
//! that are measured: CEL for ValidatingAdmissionPolicy and Kyverno, Rego for Gatekeeper.

use serde_json::{Value, json};

pub(super) struct Check {
    pub(super) name: &'static str,
    /// True of a good pod; `CONTAINERS` stands for the list of all containers.
    cel: &'static str,
    /// Bodies of `violation` rules; any that holds is a violation. `c` is a container where `containers[c]` stands.
    rego: &'static [&'static str],
}

const CONTAINERS: &str = "(object.spec.containers + object.spec.?initContainers.orValue([]) + object.spec.?ephemeralContainers.orValue([]))";

pub(super) const CHECKS: [Check; 16] = [
    Check {
        name: "privileged",
        cel: "!CONTAINERS.exists(c, c.?securityContext.?privileged.orValue(false))",
        rego: &["containers[c]; c.securityContext.privileged"],
    },
    Check {
        name: "host-namespaces",
        cel: "!object.spec.?hostNetwork.orValue(false) && !object.spec.?hostPID.orValue(false) && !object.spec.?hostIPC.orValue(false)",
        rego: &["input.review.object.spec.hostNetwork", "input.review.object.spec.hostPID", "input.review.object.spec.hostIPC"],
    },
    Check { name: "host-path", cel: "object.spec.?volumes.orValue([]).all(v, !has(v.hostPath))", rego: &["input.review.object.spec.volumes[_].hostPath"] },
    Check {
        name: "host-ports",
        cel: "CONTAINERS.all(c, c.?ports.orValue([]).all(p, p.?hostPort.orValue(0) == 0))",
        rego: &["containers[c]; c.ports[_].hostPort != 0"],
    },
    Check {
        name: "capabilities",
        cel: "CONTAINERS.all(c, c.?securityContext.?capabilities.?add.orValue([]).all(a, a == 'NET_BIND_SERVICE'))",
        rego: &["containers[c]; c.securityContext.capabilities.add[_] != \"NET_BIND_SERVICE\""],
    },
    Check {
        name: "drop-all",
        cel: "CONTAINERS.all(c, c.?securityContext.?capabilities.?drop.orValue([]).exists(d, d == 'ALL'))",
        rego: &["containers[c]; not drops_all(c)"],
    },
    Check {
        name: "app-armor",
        cel: "object.spec.?securityContext.?appArmorProfile.?type.orValue('RuntimeDefault') in ['RuntimeDefault', 'Localhost'] && \
              CONTAINERS.all(c, c.?securityContext.?appArmorProfile.?type.orValue('RuntimeDefault') in ['RuntimeDefault', 'Localhost'])",
        rego: &[
            "t := input.review.object.spec.securityContext.appArmorProfile.type; not safe_profile(t)",
            "containers[c]; t := c.securityContext.appArmorProfile.type; not safe_profile(t)",
        ],
    },
    Check {
        name: "se-linux",
        cel: "CONTAINERS.all(c, c.?securityContext.?seLinuxOptions.?type.orValue('') in ['', 'container_t', 'container_init_t', 'container_kvm_t', 'container_engine_t'] && \
              c.?securityContext.?seLinuxOptions.?user.orValue('') == '' && c.?securityContext.?seLinuxOptions.?role.orValue('') == '')",
        rego: &[
            "containers[c]; t := c.securityContext.seLinuxOptions.type; not container_type(t)",
            "containers[c]; c.securityContext.seLinuxOptions.user != \"\"",
            "containers[c]; c.securityContext.seLinuxOptions.role != \"\"",
        ],
    },
    Check {
        name: "proc-mount",
        cel: "CONTAINERS.all(c, c.?securityContext.?procMount.orValue('Default') == 'Default')",
        rego: &["containers[c]; c.securityContext.procMount != \"Default\""],
    },
    Check {
        name: "seccomp",
        cel: "CONTAINERS.all(c, c.?securityContext.?seccompProfile.?type.orValue(object.spec.?securityContext.?seccompProfile.?type.orValue('')) in ['RuntimeDefault', 'Localhost'])",
        rego: &["containers[c]; not seccomp(c)"],
    },
    Check {
        name: "sysctls",
        cel: "object.spec.?securityContext.?sysctls.orValue([]).all(s, s.name in ['kernel.shm_rmid_forced', 'net.ipv4.ip_local_port_range', \
              'net.ipv4.ip_unprivileged_port_start', 'net.ipv4.tcp_syncookies', 'net.ipv4.ping_group_range'])",
        rego: &["s := input.review.object.spec.securityContext.sysctls[_]; not safe_sysctl(s.name)"],
    },
    Check {
        name: "host-process",
        cel: "!object.spec.?securityContext.?windowsOptions.?hostProcess.orValue(false) && \
              CONTAINERS.all(c, !c.?securityContext.?windowsOptions.?hostProcess.orValue(false))",
        rego: &["input.review.object.spec.securityContext.windowsOptions.hostProcess", "containers[c]; c.securityContext.windowsOptions.hostProcess"],
    },
    Check {
        name: "volume-types",
        cel: "object.spec.?volumes.orValue([]).all(v, has(v.configMap) || has(v.csi) || has(v.downwardAPI) || has(v.emptyDir) || has(v.ephemeral) || \
              has(v.persistentVolumeClaim) || has(v.projected) || has(v.secret))",
        rego: &["v := input.review.object.spec.volumes[_]; not safe_volume(v)"],
    },
    Check {
        name: "privilege-escalation",
        cel: "CONTAINERS.all(c, !c.?securityContext.?allowPrivilegeEscalation.orValue(true))",
        rego: &["containers[c]; not no_escalation(c)"],
    },
    Check {
        name: "run-as-non-root",
        cel: "CONTAINERS.all(c, c.?securityContext.?runAsNonRoot.orValue(object.spec.?securityContext.?runAsNonRoot.orValue(false)))",
        rego: &["containers[c]; not non_root(c)"],
    },
    Check {
        name: "run-as-user",
        cel: "object.spec.?securityContext.?runAsUser.orValue(1) != 0 && CONTAINERS.all(c, c.?securityContext.?runAsUser.orValue(1) != 0)",
        rego: &["input.review.object.spec.securityContext.runAsUser == 0", "containers[c]; c.securityContext.runAsUser == 0"],
    },
];

/// What the Rego bodies above call.
const HELPERS: &str = r#"
containers[c] { c := input.review.object.spec.containers[_] }
containers[c] { c := input.review.object.spec.initContainers[_] }
containers[c] { c := input.review.object.spec.ephemeralContainers[_] }
drops_all(c) { c.securityContext.capabilities.drop[_] == "ALL" }
safe_profile(t) { {"RuntimeDefault", "Localhost"}[t] }
container_type(t) { {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}[t] }
seccomp(c) { safe_profile(c.securityContext.seccompProfile.type) }
seccomp(c) { not c.securityContext.seccompProfile.type; safe_profile(input.review.object.spec.securityContext.seccompProfile.type) }
safe_sysctl(n) { {"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start", "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range"}[n] }
safe_volume(v) { v[{"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}[_]] }
no_escalation(c) { c.securityContext.allowPrivilegeEscalation == false }
non_root(c) { c.securityContext.runAsNonRoot == true }
non_root(c) { not has_non_root(c); input.review.object.spec.securityContext.runAsNonRoot == true }
has_non_root(c) { c.securityContext.runAsNonRoot == false }
"#;

impl Check {
    fn expression(&self) -> String {
        self.cel.replace("CONTAINERS", CONTAINERS)
    }

    fn validation(&self) -> Value {
        json!({"expression": self.expression(), "message": self.name})
    }

    fn rego(&self) -> String {
        let rules: String = self.rego.iter().map(|body| format!("violation[{{\"msg\": \"{}\"}}] {{ {body} }}\n", self.name)).collect();
        format!("package bench\n{HELPERS}{rules}")
    }
}

fn pods() -> Value {
    json!([{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["pods"]}])
}

/// ValidatingAdmissionPolicies with their bindings: one that holds all checks, or one for each.
pub(super) fn native(folded: bool) -> Value {
    let policy = |name: &str, validations: Vec<Value>| {
        let api = "admissionregistration.k8s.io/v1";
        [
            json!({"apiVersion": api, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
                "spec": {"matchConstraints": {"resourceRules": pods()}, "validations": validations}}),
            json!({"apiVersion": api, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
                "spec": {"policyName": name, "validationActions": ["Deny"]}}),
        ]
    };
    let items: Vec<Value> = match folded {
        true => policy("bench-all", CHECKS.iter().map(Check::validation).collect()).into(),
        false => CHECKS.iter().flat_map(|c| policy(&format!("bench-{}", c.name), vec![c.validation()])).collect(),
    };
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

/// Kyverno's ValidatingPolicies.
pub(super) fn kyverno() -> Value {
    let items: Vec<Value> = CHECKS
        .iter()
        .map(|c| {
            json!({"apiVersion": "policies.kyverno.io/v1", "kind": "ValidatingPolicy", "metadata": {"name": format!("bench-{}", c.name)},
                "spec": {"validationActions": ["Deny"], "matchConstraints": {"resourceRules": pods()}, "validations": [c.validation()],
                    "autogen": {"podControllers": {"controllers": []}}}})
        })
        .collect();
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

/// Gatekeeper's templates, and the constraints that use them.
pub(super) fn gatekeeper() -> [Value; 2] {
    let kind = |c: &Check| format!("Bench{}", c.name.split('-').map(|w| w[..1].to_uppercase() + &w[1..]).collect::<String>());
    let templates: Vec<Value> = CHECKS
        .iter()
        .map(|c| {
            json!({"apiVersion": "templates.gatekeeper.sh/v1", "kind": "ConstraintTemplate", "metadata": {"name": kind(c).to_lowercase()},
                "spec": {"crd": {"spec": {"names": {"kind": kind(c)}}}, "targets": [{"target": "admission.k8s.gatekeeper.sh", "rego": c.rego()}]}})
        })
        .collect();
    let constraints: Vec<Value> = CHECKS
        .iter()
        .map(|c| {
            json!({"apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": kind(c), "metadata": {"name": "bench"},
                "spec": {"enforcementAction": "deny", "match": {"kinds": [{"apiGroups": [""], "kinds": ["Pod"]}]}}})
        })
        .collect();
    [templates, constraints].map(|items| json!({"apiVersion": "v1", "kind": "List", "items": items}))
}

/// A pod that passes everything, as people write them: two containers, probes, resources, a projected
/// volume.
pub(super) fn good_pod(image: &str) -> Value {
    let security =
        json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": true, "runAsNonRoot": true, "runAsUser": 65532});
    let container = |name: &str| {
        json!({"name": name, "image": image, "securityContext": security, "ports": [{"containerPort": 8080, "name": name}],
            "env": [{"name": "MODE", "value": "serve"}, {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
            "readinessProbe": {"httpGet": {"path": "/ready", "port": name}}, "livenessProbe": {"httpGet": {"path": "/live", "port": name}},
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
            "volumeMounts": [{"name": "config", "mountPath": "/etc/app"}]})
    };
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "bench-", "labels": {"app": "bench", "tier": "web"}},
        "spec": {"automountServiceAccountToken": false, "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}, "runAsNonRoot": true},
            "containers": [container("web"), container("side")], "volumes": [{"name": "config", "emptyDir": {}}]}})
}

/// The same, privileged: whatever enforces anything refuses it.
pub(super) fn bad_pod(image: &str) -> Value {
    let mut pod = good_pod(image);
    pod["spec"]["containers"][0]["securityContext"] = json!({"privileged": true});
    pod
}
