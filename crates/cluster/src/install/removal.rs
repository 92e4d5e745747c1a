//! The Job that takes the guards away before a Helm release goes: gates make them, so no chart holds them.

use super::permission::NATIVE;
use super::{GATE, NAMESPACE, PART_OF};
use serde_json::{Value, json};

/// Name of the Job, its account and its role.
pub(crate) const REMOVAL: &str = "jinwu-gate-remove";

/// Account, role, binding, Job, in this order. The role is by name and no wider than what the Job removes.
pub(crate) fn objects(image: &str) -> [Value; 4] {
    let rbac = "rbac.authorization.k8s.io";
    let metadata = |weight: &str| {
        json!({"name": REMOVAL, "labels": {"app.kubernetes.io/name": REMOVAL, PART_OF.0: PART_OF.1}, "annotations": {
            "helm.sh/hook": "pre-delete", "helm.sh/hook-weight": weight, "helm.sh/hook-delete-policy": "before-hook-creation,hook-succeeded"}})
    };
    let inside = |weight: &str| {
        let mut metadata = metadata(weight);
        metadata["namespace"] = json!(NAMESPACE);
        metadata
    };
    let rule = |group: &str, resources: &[&str], names: &[&str]| json!({"apiGroups": [group], "resources": resources, "resourceNames": names, "verbs": ["get", "delete"]});
    let rules = [
        rule("admissionregistration.k8s.io", &["validatingwebhookconfigurations", "mutatingwebhookconfigurations"], &[GATE]),
        rule("admissionregistration.k8s.io", &["validatingadmissionpolicies", "validatingadmissionpolicybindings"], &NATIVE),
        // Without this gates would make them again.
        rule(rbac, &["clusterrolebindings"], &[GATE]),
    ];
    [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": inside("0")}),
        json!({"apiVersion": format!("{rbac}/v1"), "kind": "ClusterRole", "metadata": metadata("0"), "rules": rules}),
        json!({"apiVersion": format!("{rbac}/v1"), "kind": "ClusterRoleBinding", "metadata": metadata("1"),
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": REMOVAL}, "subjects": [{"kind": "ServiceAccount", "name": REMOVAL, "namespace": NAMESPACE}]}),
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": inside("2"), "spec": {
            "backoffLimit": 3, "activeDeadlineSeconds": 240, "template": {"metadata": {"labels": {"app.kubernetes.io/name": REMOVAL, PART_OF.0: PART_OF.1}}, "spec": pod(image)}}}),
    ]
}

fn pod(image: &str) -> Value {
    json!({
        "serviceAccountName": REMOVAL,
        "restartPolicy": "Never",
        "priorityClassName": "system-cluster-critical",
        "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{
            "name": "remove", "image": image, "args": ["remove"],
            "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "128Mi"}},
            "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "runAsNonRoot": true, "runAsUser": 65532,
                "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}}
        }]
    })
}
