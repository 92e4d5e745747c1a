//! What one can come to be in one step, by the rights one has.

mod workload;

use super::grants::Grant;
use super::path::{Step, Vertex};
use super::{Grants, Identity, Request, Subject};
use crate::object::Rule;
use jinwu_model::Text;

const RBAC: &str = "rbac.authorization.k8s.io";
const ADMISSION: &str = "admissionregistration.k8s.io";
const CERTIFICATES: &str = "certificates.k8s.io";

/// Somebody's rights: an identity's, or those that come with a place on the path.
pub(super) struct Holder<'g, 'i> {
    pub(super) grants: &'g Grants<'i>,
    rights: Vec<(String, &'i Rule, String)>,
    all_of: Option<String>,
    /// Roles it is bound to itself: namespace of the binding, of the role, name of the role.
    own: Vec<(String, String, String)>,
    pub(super) steps: Vec<Step>,
}

pub(super) fn edges(grants: &Grants<'_>, from: &Vertex) -> Vec<Step> {
    let mut holder = Holder { grants, rights: Vec::new(), all_of: None, own: Vec::new(), steps: Vec::new() };
    match from {
        Vertex::ClusterAdmin => return Vec::new(),
        Vertex::Node(name) => return from_node(grants, name),
        Vertex::Namespace(name) => holder.all_of = Some(name.clone()),
        Vertex::Role { role, within } => {
            let found = grants.inventory.roles.iter().find(|r| *r.metadata.namespace == role.0 && *r.metadata.name == role.1);
            holder.rights = found.into_iter().flat_map(|r| &r.rules).map(|rule| (within.clone(), rule, format!("role {}", role.1))).collect();
        }
        Vertex::Subject(subject) => {
            if let Subject::Group(name) = subject && name == "system:masters" {
                let how = Text::new("system:masters 组可做一切,不受 RBAC 约束", "the group system:masters may do everything, whatever RBAC says");
                return vec![Step { technique: "masters", to: Vertex::ClusterAdmin, how, by: "system:masters".into() }];
            }
            let identity: Identity = subject.identity();
            holder.own = grants
                .of(&identity)
                .map(|g| (g.binding.metadata.namespace.to_string(), g.role.metadata.namespace.to_string(), g.role.metadata.name.to_string()))
                .collect();
            holder.rights = grants
                .of(&identity)
                .flat_map(|grant: Grant<'_>| {
                    let by = format!("{} → {}", grant.binding_name(), grant.role_name());
                    grant.role.rules.iter().map(move |rule| (grant.binding.metadata.namespace.to_string(), rule, by.clone()))
                })
                .collect();
        }
    }
    holder.roles();
    holder.identities();
    holder.admission();
    holder.workloads();
    holder.draw_pods();
    holder.steps
}

/// Root on a node has the tokens of the pods there; on a node of the control plane the keys of the cluster.
fn from_node(grants: &Grants<'_>, name: &str) -> Vec<Step> {
    let inventory = grants.inventory;
    let mut steps = Vec::new();
    if inventory.nodes.iter().any(|n| &*n.metadata.name == name && n.control_plane()) {
        let how = Text::new(format!("节点 {name} 属于控制平面:其上有签发证书的密钥与 etcd"), format!("node {name} is of the control plane: the keys that sign certificates and etcd are there"));
        steps.push(Step { technique: "control-plane-node", to: Vertex::ClusterAdmin, how, by: format!("Node/{name}") });
    }
    for pod in inventory.pods.iter().filter(|p| &*p.node == name && p.running() && p.mounts_token()) {
        let to = account(&pod.metadata.namespace, &pod.spec.service_account_name);
        if steps.iter().any(|s| s.to == to) {
            continue;
        }
        let place = pod.metadata.place();
        let how = Text::new(format!("节点上的 root 读取容器组 {place} 的令牌"), format!("root on the node reads the token of pod {place}"));
        steps.push(Step { technique: "node-token", to, how, by: format!("Node/{name}") });
    }
    steps
}

pub(super) fn account(namespace: &str, name: &str) -> Vertex {
    Vertex::Subject(Subject::ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() })
}

// === impl Holder ===

impl Holder<'_, '_> {
    /// The grant that permits a request.
    pub(super) fn can(&self, verb: &str, group: &str, resource: &str, namespace: &str, name: &str) -> Option<String> {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let request = Request::Resource { verb, group, resource, subresource, namespace, name };
        if let Some(all) = &self.all_of && all == namespace {
            return Some(format!("namespace {all}: *"));
        }
        self.rights.iter().find(|(home, rule, _)| (home.is_empty() || home == namespace) && rule.permits(&request)).map(|(.., by)| by.clone())
    }

    pub(super) fn any(&self, verbs: &[&'static str], group: &str, resource: &str, namespace: &str, name: &str) -> Option<(&'static str, String)> {
        verbs.iter().find_map(|verb| Some((*verb, self.can(verb, group, resource, namespace, name)?)))
    }

    pub(super) fn step(&mut self, technique: &'static str, to: Vertex, by: String, zh: String, en: String) {
        if !self.steps.iter().any(|s| s.to == to) {
            self.steps.push(Step { technique, to, how: Text::new(zh, en), by });
        }
    }

    /// Everything already; bind, escalate.
    fn roles(&mut self) {
        if let Some((.., by)) = self.rights.iter().find(|(home, rule, _)| home.is_empty() && rule.is_all()) {
            let by = by.clone();
            self.step("all", Vertex::ClusterAdmin, by, "已有全部资源的全部权限".into(), "already may do everything with every resource".into());
            return;
        }
        let inventory = self.grants.inventory;
        let bind_cluster = self.any(&["create", "update", "patch"], RBAC, "clusterrolebindings", "", "");
        for role in inventory.roles.iter().filter(|r| r.metadata.namespace.is_empty()) {
            let name = &*role.metadata.name;
            if let (Some((verb, _)), Some(by)) = (&bind_cluster, self.can("bind", RBAC, "clusterroles", "", name)) {
                let to = if role.rules.iter().any(Rule::is_all) { Vertex::ClusterAdmin } else { Vertex::Role { role: (String::new(), name.into()), within: String::new() } };
                self.step("bind", to, by, format!("bind 角色 {name} 且可 {verb} clusterrolebindings:把它授予自己"), format!("bind on role {name} and {verb} clusterrolebindings: gives it to itself"));
            }
        }
        self.escalates();
        for namespace in &inventory.namespaces {
            let ns = &*namespace.metadata.name;
            let Some((verb, _)) = self.any(&["create", "update", "patch"], RBAC, "rolebindings", ns, "") else { continue };
            for role in &inventory.roles {
                let home = &*role.metadata.namespace;
                let resource = if home.is_empty() { "clusterroles" } else { "roles" };
                if !home.is_empty() && home != ns {
                    continue;
                }
                let name = &*role.metadata.name;
                if let Some(by) = self.can("bind", RBAC, resource, ns, name) {
                    let to = if role.rules.iter().any(Rule::is_all) { Vertex::Namespace(ns.into()) } else { Vertex::Role { role: (home.into(), name.into()), within: ns.into() } };
                    self.step("bind", to, by, format!("bind 角色 {name} 且可在 {ns} {verb} rolebindings:把它授予自己"), format!("bind on role {name} and {verb} rolebindings in {ns}: gives it to itself"));
                }
            }
        }
    }

    /// Escalate on a role that one is bound to oneself: adds any right to it.
    fn escalates(&mut self) {
        for (within, home, name) in std::mem::take(&mut self.own) {
            let resource = if home.is_empty() { "clusterroles" } else { "roles" };
            let Some(by) = self.can("escalate", RBAC, resource, &home, &name) else { continue };
            let Some((verb, _)) = self.any(&["update", "patch"], RBAC, resource, &home, &name) else { continue };
            let to = if within.is_empty() { Vertex::ClusterAdmin } else { Vertex::Namespace(within) };
            self.step("escalate", to, by, format!("escalate 且可 {verb} 自己所持的角色 {name}:加上任何权限"), format!("escalate and {verb} on role {name}, which it holds: adds any right"));
        }
    }

    /// Impersonation, tokens, certificates.
    fn identities(&mut self) {
        let inventory = self.grants.inventory;
        let someone = self.can("impersonate", "", "users", "", "").or_else(|| {
            inventory.service_accounts.iter().find_map(|sa| self.can("impersonate", "", "serviceaccounts", &sa.metadata.namespace, &sa.metadata.name))
        });
        if let (Some(by), Some(_)) = (self.can("impersonate", "", "groups", "", "system:masters"), &someone) {
            self.step("impersonate", Vertex::ClusterAdmin, by, "可扮演组 system:masters".into(), "may impersonate the group system:masters".into());
        }
        let subjects: Vec<_> = self.grants.subjects().cloned().collect();
        for subject in subjects {
            let by = match &subject {
                Subject::User(name) => self.can("impersonate", "", "users", "", name),
                Subject::Group(name) => someone.as_ref().and_then(|_| self.can("impersonate", "", "groups", "", name)),
                Subject::ServiceAccount { .. } => None,
            };
            if let Some(by) = by {
                self.step("impersonate", Vertex::Subject(subject.clone()), by, format!("可扮演 {subject}"), format!("may impersonate {subject}"));
            }
            let certificate = matches!(&subject, Subject::User(_) | Subject::Group(_)) && !subject.everybody();
            if certificate && let Some(by) = self.certificates() {
                self.step("certificate", Vertex::Subject(subject.clone()), by, format!("申请并批准名为 {subject} 的客户端证书"), format!("asks for and approves a client certificate named {subject}"));
            }
        }
        for sa in &inventory.service_accounts {
            let (ns, name) = (&*sa.metadata.namespace, &*sa.metadata.name);
            if let Some(by) = self.can("impersonate", "", "serviceaccounts", ns, name) {
                self.step("impersonate", account(ns, name), by, format!("可扮演服务账号 {ns}/{name}"), format!("may impersonate service account {ns}/{name}"));
            }
            if let Some(by) = self.can("create", "", "serviceaccounts/token", ns, name) {
                self.step("token-create", account(ns, name), by, format!("可为服务账号 {ns}/{name} 签发令牌"), format!("may make a token of service account {ns}/{name}"));
            }
            let read = self.any(&["get", "list"], "", "secrets", ns, "");
            if let (Some(by), Some(_)) = (self.can("create", "", "secrets", ns, ""), read) {
                self.step("secret-token", account(ns, name), by, format!("在 {ns} 建立 {name} 的令牌 Secret 并读取它"), format!("makes a token Secret of {name} in {ns} and reads it"));
            }
        }
        for secret in inventory.secrets.iter().filter(|s| &*s.kind == "kubernetes.io/service-account-token") {
            let ns = &*secret.metadata.namespace;
            let Some(sa) = secret.metadata.annotations.get("kubernetes.io/service-account.name") else { continue };
            let by = self.can("get", "", "secrets", ns, &secret.metadata.name).or_else(|| self.can("list", "", "secrets", ns, "")).or_else(|| self.can("watch", "", "secrets", ns, ""));
            if let Some(by) = by {
                self.step("secret-read", account(ns, sa), by, format!("读取 Secret {ns}/{} 中 {sa} 的长期令牌", secret.metadata.name), format!("reads the lasting token of {sa} in Secret {ns}/{}", secret.metadata.name));
            }
        }
    }

    fn certificates(&self) -> Option<String> {
        self.can("create", CERTIFICATES, "certificatesigningrequests", "", "")?;
        self.any(&["update", "patch"], CERTIFICATES, "certificatesigningrequests/approval", "", "")?;
        self.can("approve", CERTIFICATES, "signers", "", "kubernetes.io/kube-apiserver-client").or_else(|| self.can("approve", CERTIFICATES, "signers", "", "kubernetes.io/*"))
    }

    /// Whoever may change every write that reaches the API server decides what is in the cluster.
    fn admission(&mut self) {
        for resource in ["mutatingwebhookconfigurations", "mutatingadmissionpolicies"] {
            if let Some((verb, by)) = self.any(&["create", "update", "patch"], ADMISSION, resource, "", "") {
                self.step("admission", Vertex::ClusterAdmin, by, format!("可 {verb} {resource}:改写任何人的请求,向任何容器组注入特权容器"), format!("may {verb} {resource}: rewrites anybody's requests and puts privileged containers into any pod"));
            }
        }
    }

    /// With a node in hand, taints and labels of the others bring every pod there.
    fn draw_pods(&mut self) {
        let Some((verb, by)) = self.any(&["update", "patch"], "", "nodes", "", "") else { return };
        if !self.steps.iter().any(|s| matches!(s.to, Vertex::Node(_))) {
            return;
        }
        for pod in self.grants.inventory.pods.iter().filter(|p| p.running() && p.mounts_token()) {
            let (ns, sa) = (&pod.metadata.namespace, &pod.spec.service_account_name);
            self.step("draw-pods", account(ns, sa), by.clone(), format!("可 {verb} nodes:把 {ns} 的容器组赶到已控制的节点上,读取其令牌"), format!("may {verb} nodes: drives pods of {ns} onto a node in hand and reads their tokens"));
        }
    }
}
