//! Nodes, namespaces, and what else a cluster is set up with.

use super::{Labels, Meta, Selector};
use crate::read::{Canonical, objects};

objects! {
    Node { metadata: Meta, spec: NodeSpec, status: NodeStatus }
    NodeSpec { taints: Vec<Taint>, unschedulable: bool }
    Taint { key: Box<str>, effect: Box<str> }
    NodeStatus { addresses: Vec<Address>, node_info: NodeInfo, daemon_endpoints: Endpoints }
    Address { #[serde(rename = "type")] kind: Box<str>, address: Box<str> }
    NodeInfo { kernel_version: Box<str>, container_runtime_version: Box<str>, kubelet_version: Box<str>, os_image: Box<str> }
    Endpoints { kubelet_endpoint: Endpoint }
    #[allow(non_snake_case)]
    Endpoint { #[serde(rename = "Port")] port: i32 }
    Namespace { metadata: Meta }
    Service { metadata: Meta, spec: ServiceSpec }
    ServiceSpec { #[serde(rename = "type")] kind: Box<str>, selector: Labels, ports: Vec<ServicePort>, external_name: Box<str> }
    ServicePort { port: i32, node_port: i32 }
    RuntimeClass { metadata: Meta, handler: Box<str> }
    NetworkPolicy { metadata: Meta, spec: NetworkPolicySpec }
    NetworkPolicySpec { pod_selector: Selector, policy_types: Vec<Box<str>>, ingress: Canonical, egress: Canonical }
    /// A secret without its content.
    Secret { metadata: Meta, kind: Box<str> }
    /// Mutating or validating webhooks.
    WebhookConfiguration { metadata: Meta, webhooks: Vec<Webhook> }
    Webhook { name: Box<str>, failure_policy: Box<str> }
    /// ValidatingAdmissionPolicy.
    AdmissionPolicy { metadata: Meta, spec: AdmissionPolicySpec }
    AdmissionPolicySpec { failure_policy: Box<str> }
    SigningRequest { metadata: Meta, spec: SigningSpec, status: SigningStatus }
    SigningSpec { signer_name: Box<str>, username: Box<str> }
    SigningStatus { conditions: Vec<Condition> }
    Condition { #[serde(rename = "type")] kind: Box<str> }
}

// === impl Node ===

impl Node {
    pub fn control_plane(&self) -> bool {
        ["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"].iter().any(|l| self.metadata.labels.contains_key(*l))
    }

    /// The address by which components reach it.
    pub fn address(&self) -> Option<&str> {
        let of = |kind: &str| self.status.addresses.iter().find(|a| &*a.kind == kind).map(|a| &*a.address);
        of("InternalIP").or_else(|| of("ExternalIP"))
    }
}

// === impl Namespace ===

impl Namespace {
    /// `pod-security.kubernetes.io/enforce` asks for baseline or restricted.
    pub fn pod_security(&self) -> Option<&str> {
        self.metadata.labels.get("pod-security.kubernetes.io/enforce").map(|l| &**l).filter(|l| matches!(*l, "baseline" | "restricted"))
    }
}
