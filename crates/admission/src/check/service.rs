//! Services that are reachable from outside the cluster.

use super::{Found, Read, typed};
use crate::review::Request;
use jinwu_model::Text;
use serde::Deserialize;

pub const NODE_PORT: &str = "node-port";
/// External addresses: whoever sets them receives other people's traffic (CVE-2020-8554).
pub const EXTERNAL_ADDRESSES: &str = "external-addresses";

/// What a Service exposes, and what it did not expose before.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Service {
    node_ports: Option<String>,
    addresses: Vec<String>,
}

#[derive(Default, Deserialize)]
struct Object {
    #[serde(default)]
    spec: Option<Spec>,
}

#[derive(Default, Deserialize)]
struct Spec {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default, rename = "externalIPs")]
    external_addresses: Option<Vec<String>>,
    #[serde(default, rename = "allocateLoadBalancerNodePorts")]
    allocate: Option<bool>,
}

pub(super) fn read<'a>(request: &Request<'_>) -> Read<'a> {
    let Some(object) = request.object() else { return Read::Nothing };
    let old = request.old_object().map_or(Ok(Object::default()), typed::<Object>);
    match (typed::<Object>(object), old) {
        (Ok(new), Ok(old)) => {
            let (new, old) = (new.spec.unwrap_or_default(), old.spec.unwrap_or_default());
            let known = old.external_addresses.unwrap_or_default();
            Read::Service(Service {
                node_ports: new.kind.filter(|k| (k == "NodePort" || (k == "LoadBalancer" && new.allocate != Some(false))) && old.kind.as_ref() != Some(k)),
                addresses: new.external_addresses.unwrap_or_default().into_iter().filter(|a| !known.contains(a)).take(20).collect(),
            })
        }
        (Err(detail), _) | (_, Err(detail)) => Read::Unreadable(detail),
    }
}

pub(crate) fn judge(service: &Service, found: &mut Vec<Found>) {
    if let Some(kind) = &service.node_ports {
        found.push(Found::new(
            NODE_PORT,
            Text::new(format!("spec.type 为 {kind},在每个节点上开放端口"), format!("spec.type is {kind}: it opens a port on every node")),
            Text::new("将 spec.type 设为 ClusterIP,经 Ingress 对外", "set spec.type to ClusterIP and go out through an Ingress"),
        ));
    }
    if !service.addresses.is_empty() {
        let list = service.addresses.join(", ");
        found.push(Found::new(
            EXTERNAL_ADDRESSES,
            Text::new(format!("spec.externalIPs 含 {list}:可截获发往这些地址的流量(CVE-2020-8554)"), format!("spec.externalIPs has {list}: traffic to these addresses can be taken over (CVE-2020-8554)")),
            Text::new("删除 spec.externalIPs", "remove spec.externalIPs"),
        ));
    }
}
