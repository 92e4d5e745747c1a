//! Whose an object is: pods are told of under the workload that makes them.

use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// Kinds whose objects are judged themselves, so that what they make need not be.
const WORKLOADS: [&str; 7] = ["Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job", "ReplicaSet", "ReplicationController"];

/// Owners of what was seen, and pods of each workload.
#[derive(Default)]
pub(super) struct Owners {
    /// `namespace/kind/name` of a ReplicaSet or Job → its owner's.
    above: HashMap<String, String>,
    pods: BTreeMap<String, u64>,
}

impl Owners {
    /// Under what an object is told of: `deployment default/web`. None: it is judged with its owner, or is over.
    pub(super) fn place(&mut self, kind: &str, object: &Value) -> Option<String> {
        let metadata = &object["metadata"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
        let status = &object["status"];
        if matches!(status["phase"].as_str(), Some("Succeeded" | "Failed")) && kind == "Pod" || status["completionTime"].is_string() {
            return None;
        }
        let owner = metadata["ownerReferences"].as_array().into_iter().flatten().find(|o| o["controller"] == true);
        let owner = owner.map(|o| (text(&o["kind"]), text(&o["name"]))).filter(|(kind, _)| WORKLOADS.contains(&kind.as_str()));
        let own = key(&namespace, kind, &name);
        let Some((owner_kind, owner_name)) = owner else {
            if kind == "Pod" {
                *self.pods.entry(shown(&own)).or_default() += 1;
            }
            return Some(shown(&own));
        };
        let owner = key(&namespace, &owner_kind, &owner_name);
        if kind != "Pod" {
            self.above.insert(own, owner);
            return None;
        }
        // A Job of a CronJob, a ReplicaSet of a Deployment.
        let top = self.above.get(&owner).cloned().unwrap_or(owner);
        *self.pods.entry(shown(&top)).or_default() += 1;
        Some(shown(&top))
    }

    pub(super) fn pods_of(&self, workload: &str) -> Option<u64> {
        self.pods.get(workload).copied()
    }

    pub(super) fn pods(&self) -> &BTreeMap<String, u64> {
        &self.pods
    }
}

fn key(namespace: &str, kind: &str, name: &str) -> String {
    format!("{namespace}/{kind}/{name}")
}

fn shown(key: &str) -> String {
    let mut parts = key.splitn(3, '/');
    let (namespace, kind, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default().to_ascii_lowercase(), parts.next().unwrap_or_default());
    if namespace.is_empty() { format!("{kind} {name}") } else { format!("{kind} {namespace}/{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(name: &str, owner: Option<(&str, &str)>) -> Value {
        let owners = owner.map(|(kind, name)| json!([{"kind": kind, "name": name, "controller": true}]));
        json!({"metadata": {"namespace": "a", "name": name, "ownerReferences": owners}})
    }

    #[test]
    fn pods_are_told_of_under_what_makes_them() {
        let mut owners = Owners::default();
        assert_eq!(owners.place("Deployment", &object("web", None)).unwrap(), "deployment a/web");
        assert_eq!(owners.place("Deployment", &object("by-operator", Some(("Prometheus", "p")))).unwrap(), "deployment a/by-operator");
        assert_eq!(owners.place("ReplicaSet", &object("web-1", Some(("Deployment", "web")))), None);
        assert_eq!(owners.place("Job", &object("n-1", Some(("CronJob", "n")))), None);
        for n in ["web-1-x", "web-1-y"] {
            assert_eq!(owners.place("Pod", &object(n, Some(("ReplicaSet", "web-1")))).unwrap(), "deployment a/web");
        }
        assert_eq!(owners.place("Pod", &object("n-1-x", Some(("Job", "n-1")))).unwrap(), "cronjob a/n");
        assert_eq!(owners.place("Pod", &object("etcd", Some(("Node", "n1")))).unwrap(), "pod a/etcd");
        assert_eq!(owners.pods_of("deployment a/web"), Some(2));
        let mut over = object("done", None);
        over["status"]["phase"] = json!("Succeeded");
        assert_eq!(owners.place("Pod", &over), None);
        assert_eq!(owners.place("ClusterRole", &json!({"metadata": {"name": "r"}})).unwrap(), "clusterrole r");
    }
}
