//! Permission passports of pods as they come (AC-4): pods of one controller and one template that may do
//! other things than their siblings, though nobody ordered it. A pod that moves to another node is made
//! anew from its template; what slips something in on the way, such as a webhook of somebody else, shows
//! here.

use jinwu_admission::review::{Operation, Request};
use jinwu_inventory::passport::{Difference, Passport, passport, unordered_change};
use jinwu_inventory::{Grants, Inventory, Kind};
use jinwu_model::{Kind as RecordKind, Outcome, Record, Subject};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};

/// Templates remembered, some kibibytes each; the oldest are forgotten.
const TEMPLATES: usize = 4_000;
/// Differences told of one pod.
const SHOWN: usize = 20;
/// Labels by which controllers tell the revisions of their template apart.
const REVISIONS: [&str; 2] = ["pod-template-hash", "controller-revision-hash"];

/// What the first pod of each template may do.
#[derive(Default)]
pub(crate) struct Siblings {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    first: HashMap<String, (Passport, String)>,
    order: VecDeque<String>,
}

/// A pod that differs from an earlier one of its template.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Odd {
    /// `namespace/name`
    pub(crate) pod: String,
    pub(crate) like: String,
    pub(crate) differences: Vec<Difference>,
}

impl Siblings {
    /// Looks at a pod that is being made.
    pub(crate) fn look(&self, request: &Request<'_>) -> Option<Odd> {
        if request.operation != Operation::Create || request.resource.resource != "pods" || !request.resource.group.is_empty() || !request.sub_resource().is_empty() {
            return None;
        }
        let mut inventory = Inventory::default();
        inventory.add(Kind::Pod, request.object()?).ok()?;
        let pod = inventory.pods.first()?;
        let owner = pod.metadata.controller()?;
        let revision = REVISIONS.iter().find_map(|name| pod.metadata.labels.get(*name));
        // Without a revision only a Job's template is certain to be the same for all its pods.
        if revision.is_none() && &*owner.kind != "Job" {
            return None;
        }
        let content = passport(&Grants::new(&inventory), pod);
        let template = format!("{} {}", content.workload, revision.map_or("", |r| r));
        let name = pod.metadata.place();
        let mut known = self.known.lock();
        if let Some((first, like)) = known.first.get(&template) {
            let differences = unordered_change(first, &content)?;
            return Some(Odd { pod: name, like: like.clone(), differences });
        }
        if known.order.len() >= TEMPLATES
            && let Some(oldest) = known.order.pop_front()
        {
            known.first.remove(&oldest);
        }
        known.order.push_back(template.clone());
        known.first.insert(template, (content, name));
        None
    }
}

impl Odd {
    /// The alarm.
    pub(crate) fn record(&self, cluster: &str, now: i64) -> Record {
        let differences: Vec<String> = self.differences.iter().take(SHOWN).map(|d| format!("{}: {}", d.member, d.text)).collect();
        Record::new(now, RecordKind::Alarm, Subject::system("jinwu-gate"), "permissions-changed", format!("pod:{}", self.pod))
            .outcome(Outcome::Success)
            .with("cluster", cluster.to_owned())
            .with("like", self.like.clone())
            .with("differences", differences)
            .with("finding", "同一控制器、同一模板的容器组,权限却不同 / a pod of the same controller and template may do other things than its siblings".to_owned())
            .with("advice", "查明何者改动了它(其他变更 webhook、直接创建),再重建该容器组 / find what changed it (another mutating webhook, a pod made by hand), then make the pod anew".to_owned())
            .with("clauses", vec!["AC-4"])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jinwu_admission::review::Review;
    use serde_json::{Value, json};

    fn pod(name: &str, hash: &str) -> Value {
        json!({"metadata": {"name": name, "namespace": "shop", "labels": {"app": "web", "pod-template-hash": hash},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("web-{hash}"), "uid": "u", "controller": true}]},
            "spec": {"serviceAccountName": "web", "nodeName": name, "containers": [{"name": "c", "image": "r/a@sha256:1", "securityContext": {"runAsNonRoot": true}}],
                "volumes": [{"name": format!("kube-api-access-{name}"), "projected": {"sources": []}}]}})
    }

    fn look(siblings: &Siblings, pod: &Value, operation: &str, resource: &str) -> Option<Odd> {
        let body = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "u", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "resource": {"group": "", "version": "v1", "resource": resource},
            "namespace": "shop", "operation": operation, "userInfo": {"username": "x"}, "object": pod}})
        .to_string();
        siblings.look(&Review::parse(body.as_bytes()).unwrap().request)
    }

    #[test]
    fn what_was_slipped_into_one_of_many_alike_is_told() {
        let siblings = Siblings::default();
        for (name, hash) in [("a", "1"), ("b", "1"), ("c", "2")] {
            assert_eq!(look(&siblings, &pod(name, hash), "CREATE", "pods"), None, "{name}");
        }
        for (pointer, value, member) in [
            ("/spec/serviceAccountName", json!("admin"), "serviceAccount.name"),
            ("/spec/containers/0/securityContext", json!({"privileged": true}), "security.containers.c.context"),
            ("/spec/hostPID", json!(true), "security.hostPID"),
            ("/spec/volumes", json!([{"name": "s", "secret": {"secretName": "key"}}]), "data"),
        ] {
            let mut changed = pod("d", "1");
            let (parent, last) = pointer.rsplit_once('/').unwrap();
            changed.pointer_mut(parent).unwrap()[last] = value;
            let odd = look(&siblings, &changed, "CREATE", "pods").unwrap();
            assert_eq!((odd.pod.as_str(), odd.like.as_str()), ("shop/d", "shop/a"));
            assert!(odd.differences.iter().any(|d| d.member.starts_with(member)), "{odd:?}");
            assert_eq!(odd.record("prod", 1).object, "pod:shop/d");
            assert_eq!(look(&siblings, &changed, "UPDATE", "pods"), None);
        }
        // Another template, nobody's pod, and one whose template may have been changed.
        assert_eq!(look(&siblings, &pod("e", "3"), "CREATE", "pods"), None);
        let mut lone = pod("f", "1");
        lone["metadata"]["ownerReferences"] = json!([]);
        lone["spec"]["hostPID"] = json!(true);
        assert_eq!(look(&siblings, &lone, "CREATE", "pods"), None);
        let mut bare = pod("g", "1");
        bare["metadata"]["labels"] = json!({});
        assert_eq!(look(&siblings, &bare, "CREATE", "pods"), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let siblings = Siblings::default();
        for n in 0..TEMPLATES + 10 {
            look(&siblings, &pod("p", &n.to_string()), "CREATE", "pods");
        }
        let known = siblings.known.lock();
        assert_eq!((known.first.len(), known.order.len()), (TEMPLATES, TEMPLATES));
        assert!(!known.first.contains_key("shop/ReplicaSet web-0 0"));
    }
}
