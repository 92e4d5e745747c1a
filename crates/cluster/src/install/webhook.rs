//! The webhooks: a small scope, closed on failure; open on failure only where closing would lock the
//! cluster out of itself.

use super::{GATE, NAMESPACE, SERVICE_PORT, labels};
use serde_json::{Value, json};
use std::str::FromStr;

/// Names of the webhooks, which stand before audit annotations and in messages.
pub const VALIDATING: &str = "admit.jinwu.io";
pub const MUTATING: &str = "pin.jinwu.io";

/// Paths of the gate: validating, mutating, authorisation, audit.
pub const PATHS: [&str; 4] = ["/admit", "/pin", "/authorize", "/audit"];

/// Where the platform itself lives: judged like everything else, but a gate that does not answer must
/// not keep it from coming up again.
pub const PLATFORM: [&str; 4] = ["kube-system", "kube-public", "kube-node-lease", NAMESPACE];

/// Seconds the API server waits.
const TIMEOUT: u8 = 5;

/// What becomes of a request outside the platform's namespaces while no gate answers. The native policy
/// holds the controls of pods either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Failure {
    /// It is refused.
    #[default]
    Fail,
    /// It passes.
    Ignore,
}

/// ValidatingWebhookConfiguration and MutatingWebhookConfiguration, with the authority (base64 of PEM)
/// that signed the gate's certificate.
pub fn webhooks(authority: &str, failure: Failure) -> [Value; 2] {
    let client = |path: &str| json!({"caBundle": authority, "service": {"name": GATE, "namespace": NAMESPACE, "path": path, "port": SERVICE_PORT}});
    let hook = |name: &str, path: &str, failure: &str, selector: Value, rules: Value| {
        json!({
            "name": name, "clientConfig": client(path), "rules": rules, "failurePolicy": failure, "matchPolicy": "Equivalent",
            "namespaceSelector": selector, "objectSelector": {}, "sideEffects": "NoneOnDryRun", "timeoutSeconds": TIMEOUT,
            "admissionReviewVersions": ["v1"]
        })
    };
    let api = "admissionregistration.k8s.io/v1";
    let metadata = json!({"name": GATE, "labels": labels()});
    let mut pin = hook(MUTATING, "/pin", failure.as_str(), others(), pods());
    pin["reinvocationPolicy"] = json!("IfNeeded");
    // What is bound already need not be asked about.
    pin["matchConditions"] = json!([{"name": "unpinned", "expression": UNPINNED}]);
    let validating = json!([
        hook(VALIDATING, "/admit", failure.as_str(), others(), namespaced()),
        hook(&format!("platform.{VALIDATING}"), "/admit", "Ignore", platform(), namespaced()),
        hook(&format!("cluster.{VALIDATING}"), "/admit", "Ignore", json!({}), cluster_wide()),
    ]);
    [
        json!({"apiVersion": api, "kind": "ValidatingWebhookConfiguration", "metadata": metadata, "webhooks": validating}),
        json!({"apiVersion": api, "kind": "MutatingWebhookConfiguration", "metadata": metadata, "webhooks": [pin]}),
    ]
}

// === impl Failure ===

impl Failure {
    /// The word of Kubernetes.
    pub fn as_str(self) -> &'static str {
        match self {
            Failure::Fail => "Fail",
            Failure::Ignore => "Ignore",
        }
    }
}

impl FromStr for Failure {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "Fail" => Ok(Failure::Fail),
            "Ignore" => Ok(Failure::Ignore),
            other => Err(format!("{other}:应为 Fail 或 Ignore / expected Fail or Ignore")),
        }
    }
}

/// Some container's image has no digest, in a pod or any template.
const UNPINNED: &str = "\
[has(object.template) ? object.template.spec : \
has(object.spec.template) ? object.spec.template.spec : \
has(object.spec.jobTemplate) ? object.spec.jobTemplate.spec.template.spec : object.spec]\
.exists(s, (s.containers + s.?initContainers.orValue([])).exists(c, has(c.image) && !c.image.contains('@sha256:')))";

/// Namespaces by the label the API server itself sets, which nobody can change.
fn others() -> Value {
    json!({"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": PLATFORM}]})
}

fn platform() -> Value {
    json!({"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": PLATFORM}]})
}

fn rule(operations: &[&str], group: &str, resources: &[&str], scope: &str) -> Value {
    json!({"operations": operations, "apiGroups": [group], "apiVersions": ["*"], "resources": resources, "scope": scope})
}

fn pods() -> Value {
    let write = ["CREATE", "UPDATE"];
    json!([
        rule(&write, "", &["pods", "podtemplates", "replicationcontrollers"], "Namespaced"),
        rule(&write, "apps", &["deployments", "statefulsets", "daemonsets", "replicasets"], "Namespaced"),
        rule(&write, "batch", &["jobs", "cronjobs"], "Namespaced"),
    ])
}

fn namespaced() -> Value {
    let write = ["CREATE", "UPDATE"];
    let mut rules = pods();
    if let Some(list) = rules.as_array_mut() {
        list.push(rule(&["UPDATE"], "", &["pods/ephemeralcontainers", "pods/resize"], "Namespaced"));
        list.push(rule(&["CONNECT"], "", &["pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "services/proxy"], "Namespaced"));
        list.push(rule(&write, "", &["services"], "Namespaced"));
        list.push(rule(&write, "rbac.authorization.k8s.io", &["roles", "rolebindings"], "Namespaced"));
    }
    rules
}

/// What lies in no namespace. Open on failure: a gate that is away must not keep nodes and roles from
/// coming up; what passed meanwhile is found by audit.
fn cluster_wide() -> Value {
    let write = ["CREATE", "UPDATE"];
    json!([
        rule(&write, "", &["namespaces", "namespaces/finalize"], "Cluster"),
        rule(&["CONNECT"], "", &["nodes/proxy"], "Cluster"),
        rule(&write, "rbac.authorization.k8s.io", &["clusterroles", "clusterrolebindings"], "Cluster"),
    ])
}
