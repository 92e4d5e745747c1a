//! The permission passport of a workload's instance (AC-4): everything that says what it, and people with
//! it, may do. Where it runs, its name, address and uid are no part of it, so that an instance that moves
//! keeps its passport, and any difference is a difference in permissions.

use crate::object::{Pod, PodSpec};
use crate::rbac::{Grants, Subject};
use crate::read::canonical;
use jinwu_model::Text;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A passport: for which workload, and what it says. Its canonical JSON is what a digest is taken of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Passport {
    /// `shop/ReplicaSet web-5d8f` or, of a pod nobody controls, `shop/Pod web`.
    pub workload: String,
    pub permissions: Value,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// `serviceAccount.rules`.
    pub member: String,
    pub text: Text,
}

/// The passport of a pod.
pub fn passport(grants: &Grants<'_>, pod: &Pod) -> Passport {
    let inventory = grants.inventory;
    let namespace = &*pod.metadata.namespace;
    let account = Subject::ServiceAccount { namespace: namespace.into(), name: pod.spec.service_account_name.to_string() };
    let identity = account.identity();
    let rules: BTreeSet<String> = grants
        .of(&identity)
        .flat_map(|g| g.role.rules.iter().map(move |r| canonical(&json!({"namespace": g.binding.metadata.namespace, "rule": r}))))
        .collect();
    let people: BTreeSet<String> = grants.subjects().filter_map(|s| acts_on_pods(grants, s, namespace).map(|acts| format!("{s}: {acts}"))).collect();
    let policies: BTreeSet<String> = inventory
        .network_policies
        .iter()
        .filter(|p| *p.metadata.namespace == *namespace && p.spec.pod_selector.matches(&pod.metadata.labels))
        .map(|p| canonical(&json!({"name": p.metadata.name, "types": p.spec.policy_types, "ingress": p.spec.ingress, "egress": p.spec.egress})))
        .collect();
    let level: serde_json::Map<String, Value> = inventory
        .namespace(namespace)
        .into_iter()
        .flat_map(|n| &n.metadata.labels)
        .filter(|(k, _)| k.starts_with("pod-security.kubernetes.io/") || k.contains("jinwu"))
        .map(|(k, v)| (k.to_string(), json!(v)))
        .collect();
    let parse = |set: BTreeSet<String>| set.into_iter().map(|t| serde_json::from_str::<Value>(&t).unwrap_or(Value::String(t))).collect::<Vec<_>>();
    Passport {
        workload: pod.metadata.controller().map_or_else(|| format!("{namespace}/Pod {}", pod.metadata.name), |o| format!("{namespace}/{} {}", o.kind, o.name)),
        permissions: json!({
            "serviceAccount": {"name": account.to_string(), "tokenMounted": pod.mounts_token(), "rules": parse(rules)},
            "people": people,
            "data": data(&pod.spec),
            "security": security(&pod.spec),
            "images": pod.images.iter().map(|(name, image)| (name.to_string(), json!(digest_of(image)))).collect::<serde_json::Map<_, _>>(),
            "networkPolicies": parse(policies),
            "namespace": level,
        }),
    }
}

/// Whether a pod's passport differs from its predecessor's of the same workload though nobody ordered a
/// change: same controller, hence same template, yet other permissions.
pub fn unordered_change(before: &Passport, after: &Passport) -> Option<Vec<Difference>> {
    (before.workload == after.workload && before.permissions != after.permissions).then(|| compare(before, after))
}

/// What differs, member by member, in words.
pub fn compare(before: &Passport, after: &Passport) -> Vec<Difference> {
    let mut all = Vec::new();
    walk("", &before.permissions, &after.permissions, &mut all);
    all
}

fn walk(at: &str, before: &Value, after: &Value, all: &mut Vec<Difference>) {
    match (before, after) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
                let member = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                walk(&member, a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null), all);
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            let mut say = |zh: &str, en: &str, item: &Value| {
                let item = canonical(item);
                all.push(Difference { member: at.to_owned(), text: Text::new(format!("{zh} {item}"), format!("{en} {item}")) });
            };
            a.iter().filter(|x| !b.contains(x)).for_each(|x| say("失去", "lost", x));
            b.iter().filter(|x| !a.contains(x)).for_each(|x| say("得到", "gained", x));
        }
        (a, b) if a != b => {
            let (a, b) = (canonical(a), canonical(b));
            all.push(Difference { member: at.to_owned(), text: Text::new(format!("由 {a} 变为 {b}"), format!("from {a} to {b}")) });
        }
        _ => {}
    }
}

/// Which rights over pods of a namespace a subject has of its own.
fn acts_on_pods(grants: &Grants<'_>, subject: &Subject, namespace: &str) -> Option<String> {
    use crate::rbac::Request::Resource;
    let mut acts = BTreeSet::new();
    for (verb, resource, subresource) in [("get", "pods", ""), ("get", "pods", "log"), ("create", "pods", ""), ("update", "pods", ""), ("delete", "pods", ""), ("create", "pods", "exec"), ("create", "pods", "attach"), ("create", "pods", "portforward"), ("get", "secrets", ""), ("get", "configmaps", "")] {
        let request = Resource { verb, group: "", resource, subresource, namespace, name: "" };
        if grants.named(subject).any(|g| g.holds_in(&request) && g.role.rules.iter().any(|r| r.permits(&request))) {
            acts.insert(format!("{verb} {resource}{}{subresource}", if subresource.is_empty() { "" } else { "/" }));
        }
    }
    (!acts.is_empty()).then(|| acts.into_iter().collect::<Vec<_>>().join(", "))
}

/// Secrets and ConfigMaps that the pod reads as files or variables.
fn data(spec: &PodSpec) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut secret = |n: &str| all.extend([format!("Secret {n}")]);
    for v in &spec.volumes {
        v.secret.iter().for_each(|s| secret(&s.secret_name));
        v.projected.iter().flat_map(|p| &p.sources).filter_map(|s| s.secret.as_ref()).for_each(|s| secret(&s.name));
    }
    for c in spec.all_containers() {
        c.env_from.iter().filter_map(|e| e.secret_ref.as_ref()).for_each(|s| secret(&s.name));
        c.env.iter().filter_map(|e| e.value_from.as_ref()?.secret_key_ref.as_ref()).for_each(|s| secret(&s.name));
    }
    let mut map = |n: &str| all.extend([format!("ConfigMap {n}")]);
    for v in &spec.volumes {
        v.config_map.iter().for_each(|s| map(&s.name));
        v.projected.iter().flat_map(|p| &p.sources).filter_map(|s| s.config_map.as_ref()).for_each(|s| map(&s.name));
    }
    for c in spec.all_containers() {
        c.env_from.iter().filter_map(|e| e.config_map_ref.as_ref()).for_each(|s| map(&s.name));
        c.env.iter().filter_map(|e| e.value_from.as_ref()?.config_map_key_ref.as_ref()).for_each(|s| map(&s.name));
    }
    all
}

fn security(spec: &PodSpec) -> Value {
    let containers: serde_json::Map<String, Value> = spec.all_containers().map(|c| (c.name.to_string(), json!({"context": c.security_context, "image": c.image}))).collect();
    let paths: BTreeSet<_> = spec.volumes.iter().filter_map(|v| v.host_path.as_ref()).map(|h| h.path.to_string()).collect();
    json!({
        "pod": spec.security_context, "runtimeClass": spec.runtime_class_name, "hostNetwork": spec.host_network, "hostPID": spec.host_pid, "hostIPC": spec.host_ipc,
        "hostUsers": spec.host_users, "hostPaths": paths, "containers": containers,
    })
}

/// `sha256:…` of an image id; what has none as it is.
fn digest_of(image: &str) -> &str {
    image.rfind("sha256:").map_or(image, |at| &image[at..])
}

// === impl Passport ===

impl Passport {
    /// The bytes a digest is taken of.
    pub fn canonical(&self) -> String {
        canonical(&json!({"workload": self.workload, "permissions": self.permissions}))
    }
}
