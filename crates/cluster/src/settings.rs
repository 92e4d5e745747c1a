//! Settings of the control plane and of kubelets, looked at from outside and, on request, on this machine;
//! and ports asked without credentials. Nothing is installed and nothing changed.

mod machine;
mod ports;

use crate::collect::get;
use jinwu_inventory::component::{Component, Seen, Settings, kubelet_defaults};
use jinwu_inventory::object::Node;
use jinwu_inventory::Inventory;
use jinwu_model::Text;
use kube::config::AuthInfo;
use kube::{Client, Config};
use serde_json::Value;
use std::time::Duration;

/// Longest wait for one kubelet or port.
const PATIENCE: Duration = Duration::from_secs(5);
/// Asked at once.
const AT_ONCE: usize = 32;

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// `/configz` of every kubelet.
    pub kubelets: bool,
    /// Ports of every node and of the API server's host.
    pub ports: bool,
    /// Programs that run in this network namespace, and the files they name.
    pub this_machine: bool,
}

/// Looks. What cannot be seen is in [`Seen::unseen`], or is a silent port.
pub async fn settings(config: &Config, inventory: &Inventory, look: Look) -> Seen {
    use futures::StreamExt as _;
    let mut seen = Seen::default();
    let nodes = if look.kubelets { inventory.nodes.as_slice() } else { &[] };
    let kubelets = futures::stream::iter(nodes).map(|node| async move { (node, configz(config, node).await) }).buffered(AT_ONCE).collect::<Vec<_>>().await;
    for (node, read) in kubelets {
        let place = format!("Node/{}", node.metadata.name);
        match read {
            Ok(value) => seen.components.push(Component { program: "kubelet".into(), place, settings: Settings::Kubelet(value) }),
            Err(why) => seen.unseen.push((place, why)),
        }
    }
    if look.ports {
        seen.ports = ports::ask(config, inventory).await;
    }
    if look.this_machine {
        machine::look(&mut seen);
    }
    seen
}

/// The address of a node inside the cluster.
fn address(node: &Node) -> Option<&str> {
    node.status.addresses.iter().find(|a| &*a.kind == "InternalIP").map(|a| &*a.address)
}

fn bracketed(address: &str) -> String {
    if address.contains(':') { format!("[{address}]") } else { address.to_owned() }
}

/// The configuration in force of a node's kubelet: asked of itself, else by way of the API server.
async fn configz(config: &Config, node: &Node) -> Result<Value, Text> {
    let mut why = Vec::new();
    match direct(config, node) {
        Some(Ok(client)) => match ask(&client, "/configz").await {
            Ok(value) => return Ok(value),
            Err(error) => why.push(format!("kubelet: {error}")),
        },
        Some(Err(error)) => why.push(error.to_string()),
        None => {}
    }
    let client = Client::try_from(config.clone()).map_err(|e| Text::new(e.to_string(), e.to_string()))?;
    match ask(&client, &format!("/api/v1/nodes/{}/proxy/configz", node.metadata.name)).await {
        Ok(value) => Ok(value),
        Err(error) => {
            why.push(format!("proxy: {error}"));
            let why = why.join("; ");
            Err(Text::new(format!("/configz 读不到({why})"), format!("/configz cannot be read ({why})")))
        }
    }
}

/// The way to the kubelet itself, for whoever shows a certificate: a token would be in the hands of whatever
/// runs on that node. None where that is not so.
fn direct(config: &Config, node: &Node) -> Option<Result<Client, kube::Error>> {
    if config.accept_invalid_certs || !by_certificate(&config.auth_info) {
        return None;
    }
    let port = match node.status.daemon_endpoints.kubelet_endpoint.port {
        0 => 10250,
        port => port,
    };
    let mut own = config.clone();
    own.cluster_url = format!("https://{}:{port}", bracketed(address(node)?)).parse().ok()?;
    own.tls_server_name = None;
    own.proxy_url = None;
    (own.connect_timeout, own.read_timeout) = (Some(PATIENCE), Some(PATIENCE));
    Some(Client::try_from(own))
}

fn by_certificate(who: &AuthInfo) -> bool {
    let other = who.token.is_some() || who.token_file.is_some() || who.username.is_some() || who.exec.is_some() || who.auth_provider.is_some();
    !other && (who.client_certificate.is_some() || who.client_certificate_data.is_some())
}

async fn ask(client: &Client, path: &str) -> Result<Value, String> {
    let text = tokio::time::timeout(PATIENCE, get(client, path, "application/json")).await.map_err(|_| "no answer in time".to_owned())?.map_err(|e| e.to_string())?;
    let read: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    let found = read.get("kubeletconfig").filter(|v| v.is_object()).ok_or("no kubeletconfig in the answer")?;
    // What is zero is left out of the answer.
    let mut all = kubelet_defaults(true);
    if let (Some(all), Some(found)) = (all.as_object_mut(), found.as_object()) {
        all.extend(found.clone());
    }
    Ok(all)
}
