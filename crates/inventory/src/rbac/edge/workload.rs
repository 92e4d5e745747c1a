//! Pods as a way to service accounts and to nodes.

use super::{Holder, account};
use crate::rbac::path::Vertex;

/// What makes pods: group, resource, kind.
const MAKERS: [(&str, &str, &str); 8] = [
    ("", "pods", "Pod"),
    ("apps", "deployments", "Deployment"),
    ("apps", "daemonsets", "DaemonSet"),
    ("apps", "statefulsets", "StatefulSet"),
    ("apps", "replicasets", "ReplicaSet"),
    ("batch", "jobs", "Job"),
    ("batch", "cronjobs", "CronJob"),
    ("", "replicationcontrollers", "ReplicationController"),
];

// === impl Holder ===

impl Holder<'_, '_> {
    pub(super) fn workloads(&mut self) {
        let inventory = self.grants.inventory;
        for namespace in &inventory.namespaces {
            let ns = &*namespace.metadata.name;
            self.makes_pods(ns, namespace.pod_security());
            self.enters_pods(ns);
        }
        self.kubelets();
    }

    fn makes_pods(&mut self, ns: &str, level: Option<&str>) {
        let inventory = self.grants.inventory;
        let made = MAKERS.iter().find_map(|(group, resource, kind)| {
            if let Some(by) = self.can("create", group, resource, ns, "") {
                return Some(("create", *resource, by));
            }
            // Changing needs something to change; a pod's account and volumes cannot be changed.
            let mut there = inventory.workloads.iter().filter(|w| w.kind == *kind && &*w.metadata.namespace == ns && !matches!(*kind, "Job"));
            there.find_map(|w| self.any(&["update", "patch"], group, resource, ns, &w.metadata.name)).map(|(verb, by)| (verb, *resource, by))
        });
        let Some((verb, resource, by)) = made else { return };
        for sa in inventory.service_accounts.iter().filter(|sa| &*sa.metadata.namespace == ns) {
            let name = &sa.metadata.name;
            self.step("pod-create", account(ns, name), by.clone(), format!("可在 {ns} {verb} {resource}:让容器组以服务账号 {name} 运行"), format!("may {verb} {resource} in {ns}: runs a pod as service account {name}"));
        }
        let (why_zh, why_en, technique, by) = match level {
            None => ("该命名空间未由 Pod Security 限制".to_owned(), "no Pod Security level holds there".to_owned(), "pod-create", by),
            Some(level) => {
                let volume = self.can("create", "", "persistentvolumes", "", "").filter(|_| self.can("create", "", "persistentvolumeclaims", ns, "").is_some());
                if let Some(volume) = volume {
                    ("hostPath 的 PersistentVolume 不受 Pod Security 约束".into(), "a PersistentVolume of a hostPath is outside Pod Security".into(), "persistent-volume", volume)
                } else if let Some((_, relabel)) = self.any(&["update", "patch"], "", "namespaces", ns, ns).or_else(|| self.any(&["update", "patch"], "", "namespaces", "", ns)) {
                    (format!("可改写命名空间的标签,去掉 {level}"), format!("may change the namespace's labels and take {level} away"), "relabel", relabel)
                } else {
                    return;
                }
            }
        };
        for node in &inventory.nodes {
            let name = &node.metadata.name;
            self.step(technique, Vertex::Node(name.to_string()), by.clone(), format!("可在 {ns} {verb} {resource}:在节点 {name} 上运行特权容器组({why_zh})"), format!("may {verb} {resource} in {ns}: runs a privileged pod on node {name} ({why_en})"));
        }
    }

    fn enters_pods(&mut self, ns: &str) {
        let pods = self.grants.inventory.pods.iter().filter(|p| &*p.metadata.namespace == ns && &*p.phase == "Running");
        for pod in pods {
            let name = &*pod.metadata.name;
            let way = self
                .any(&["create", "get"], "", "pods/exec", ns, name)
                .map(|(verb, by)| (format!("{verb} pods/exec"), by))
                .or_else(|| self.any(&["update", "patch"], "", "pods/ephemeralcontainers", ns, name).map(|(verb, by)| (format!("{verb} pods/ephemeralcontainers"), by)))
                .or_else(|| self.any(&["update", "patch"], "", "pods", ns, name).map(|(verb, by)| (format!("{verb} pods"), by)));
            let Some((right, by)) = way else { continue };
            self.inside(pod, &right, by);
        }
    }

    /// `nodes/proxy` is the kubelet's own interface: it runs commands in any pod of the node.
    fn kubelets(&mut self) {
        for node in &self.grants.inventory.nodes {
            let name = &node.metadata.name;
            let Some((verb, by)) = self.any(&["create", "get"], "", "nodes/proxy", "", name) else { continue };
            for pod in self.grants.inventory.pods.iter().filter(|p| p.node == *name && &*p.phase == "Running") {
                self.inside(pod, &format!("{verb} nodes/proxy"), by.clone());
            }
        }
    }

    /// What one has inside a pod.
    fn inside(&mut self, pod: &crate::object::Pod, right: &str, by: String) {
        let (ns, name) = (&*pod.metadata.namespace, &*pod.metadata.name);
        if pod.mounts_token() {
            let sa = &pod.spec.service_account_name;
            self.step("pod-enter", account(ns, sa), by.clone(), format!("可 {right}:进入容器组 {ns}/{name},取得服务账号 {sa} 的令牌"), format!("may {right}: enters pod {ns}/{name} and has the token of service account {sa}"));
        }
        if let Some(reason) = pod.spec.owns_node().filter(|_| !pod.node.is_empty()) {
            let node = &pod.node;
            self.step("pod-enter", Vertex::Node(node.to_string()), by, format!("可 {right}:进入容器组 {ns}/{name}({reason}),即节点 {node}"), format!("may {right}: enters pod {ns}/{name} ({reason}), which is node {node}"));
        }
    }
}
