//! The webhooks: a small scope, closed on failure; open on failure only where closing would lock the
//! cluster out of itself.

use super::{GATE, NAMESPACE, SERVICE_PORT, labels};
use serde_json::{Value, json};
use std::str::FromStr;

/// Names of the webhooks, which stand before audit annotations and in messages.
pub const VALIDATING: &str = "admit.jinwu.io";
pub const MUTATING: &str = "pin.jinwu.io";
/// Of users' policies, where they fail closed; others have a word before it.
pub const POLICIES: &str = "policies.admit.jinwu.io";

/// Paths of the gate: validating, mutating, authorisation, audit, users' policies that fail closed and open.
pub const PATHS: [&str; 6] = ["/admit", "/pin", "/authorize", "/audit", "/policies/closed", "/policies/open"];

/// Where the platform itself lives: judged like everything else, but a gate that does not answer must
/// not keep it from coming up again.
pub const PLATFORM: [&str; 4] = ["kube-system", "kube-public", "kube-node-lease", NAMESPACE];

/// Seconds the API server waits.
const TIMEOUT: u8 = 5;

/// What users' policies must be asked about, as rules of webhooks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PolicyRules {
    /// Of policies that refuse where they cannot be evaluated.
    pub closed: Vec<Value>,
    /// Of policies that then let pass.
    pub open: Vec<Value>,
}

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
pub fn webhooks(authority: &str, failure: Failure, policies: &PolicyRules) -> [Value; 2] {
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
    // Asked about every pod: a condition by which those that are bound already are spared costs the API server the
    // conversion of object and request for CEL, which is more than the call (docs/benchmarks.md).
    let mut pin = hook(MUTATING, "/pin", failure.as_str(), others(), pods());
    pin["reinvocationPolicy"] = json!("IfNeeded");
    let mut validating = vec![
        hook(VALIDATING, "/admit", failure.as_str(), others(), namespaced()),
        hook(&format!("platform.{VALIDATING}"), "/admit", "Ignore", platform(), namespaced()),
        hook(&format!("cluster.{VALIDATING}"), "/admit", "Ignore", json!({}), cluster_wide()),
    ];
    for user in users(failure, policies) {
        let mut made = hook(&format!("{}{POLICIES}", user.name), user.path, user.failure, user.selector, json!(user.rules));
        let conditions = [NOT_THE_GATE, NO_QUESTION].into_iter().map(|(name, expression)| (name, expression.to_owned())).chain(user.condition);
        made["matchConditions"] = conditions.map(|(name, expression)| json!({"name": name, "expression": expression})).collect();
        validating.push(made);
    }
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

/// A webhook of users' policies.
struct UserHook {
    name: &'static str,
    path: &'static str,
    failure: &'static str,
    selector: Value,
    rules: Vec<Value>,
    /// A matchCondition of its own.
    condition: Option<(&'static str, String)>,
}

/// Closed only where a gate that does not answer cannot lock the cluster out of itself: in namespaces that
/// are not the platform's, and there not for what the cluster's own parts must write to go on.
fn users(failure: Failure, policies: &PolicyRules) -> Vec<UserHook> {
    let (namespaced, cluster) = (in_scope(&policies.closed, "Namespaced"), in_scope(&policies.closed, "Cluster"));
    let hook = |name, path, failure, selector, rules, condition| UserHook { name, path, failure, selector, rules, condition };
    let all = vec![
        hook("", "/policies/closed", failure.as_str(), others(), namespaced.clone(), Some(("not-vital", format!("!({VITAL})")))),
        hook("vital.", "/policies/closed", "Ignore", others(), namespaced.clone(), Some(("vital", VITAL.to_owned()))),
        hook("platform.", "/policies/closed", "Ignore", platform(), namespaced, None),
        hook("cluster.", "/policies/closed", "Ignore", json!({}), cluster, None),
        hook("open.", "/policies/open", "Ignore", json!({}), policies.open.clone(), None),
    ];
    all.into_iter().filter(|hook| !hook.rules.is_empty()).collect()
}

/// What the gate itself writes and asks is not for it to judge: it would ask itself for ever.
const NOT_THE_GATE: (&str, &str) = ("not-the-gate", "request.userInfo.username != 'system:serviceaccount:jinwu:jinwu-gate'");
/// Who is it, may they: these change nothing, and every kubelet asks them all the time.
const NO_QUESTION: (&str, &str) = ("no-question", "!(request.resource.group in ['authentication.k8s.io', 'authorization.k8s.io'])");
/// What nodes and controllers write all the time: states, leases, events, endpoints, tokens, placements.
const VITAL: &str = "request.resource.group in ['coordination.k8s.io', 'events.k8s.io', 'discovery.k8s.io'] || \
    (request.resource.group == '' && request.resource.resource in ['events', 'endpoints', 'bindings']) || \
    (has(request.subResource) && request.subResource in ['status', 'binding', 'token', 'finalize'])";

/// Rules as far as they are about a scope.
fn in_scope(rules: &[Value], scope: &str) -> Vec<Value> {
    let about = |rule: &&Value| rule["scope"] == "*" || rule["scope"] == scope;
    let mut out: Vec<Value> = Vec::new();
    for rule in rules.iter().filter(about) {
        let mut rule = rule.clone();
        rule["scope"] = json!(scope);
        if !out.contains(&rule) {
            out.push(rule);
        }
    }
    out
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn names(policies: &PolicyRules) -> Vec<String> {
        let [validating, _] = webhooks("Y2E=", Failure::Fail, policies);
        validating["webhooks"].as_array().unwrap().iter().map(|h| format!("{} {}", h["name"].as_str().unwrap(), h["failurePolicy"].as_str().unwrap())).collect()
    }

    #[test]
    fn policies_widen_the_webhooks_and_leave_no_trace() {
        let rule = |scope: &str| json!({"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["*"], "scope": scope});
        let none = names(&PolicyRules::default());
        assert_eq!(none, ["admit.jinwu.io Fail", "platform.admit.jinwu.io Ignore", "cluster.admit.jinwu.io Ignore"]);
        let both = names(&PolicyRules { closed: vec![rule("*")], open: vec![rule("Cluster")] });
        let fail: Vec<_> = both.iter().filter(|n| n.ends_with("Fail")).map(String::as_str).collect();
        assert_eq!(fail, ["admit.jinwu.io Fail", "policies.admit.jinwu.io Fail"], "what else there is, is open");
        assert_eq!(both.len(), none.len() + 5);
        // What lies in no namespace never waits for a gate.
        let cluster = names(&PolicyRules { closed: vec![rule("Cluster")], open: vec![] });
        assert_eq!(cluster[none.len()..], ["cluster.policies.admit.jinwu.io Ignore"]);
        let [validating, _] = webhooks("Y2E=", Failure::Fail, &PolicyRules { closed: vec![rule("*"), rule("Namespaced")], open: vec![] });
        assert_eq!(validating["webhooks"][3]["rules"], json!([rule("Namespaced")]));
        assert_eq!(validating["webhooks"][3]["namespaceSelector"], others());
    }
}
