//! Ports that once talked to whoever asked, asked without credentials.

use super::{AT_ONCE, PATIENCE, address, bracketed};
use futures::StreamExt as _;
use jinwu_inventory::Inventory;
use jinwu_inventory::component::{Answer, Port};
use kube::Config;

/// Number, what is there by default, whether it speaks TLS, a path that says something.
struct Known {
    port: u16,
    what: &'static str,
    tls: bool,
    path: &'static str,
    /// Served means this is in the answer: anything else may live on the port.
    mark: &'static str,
}

const fn known(port: u16, what: &'static str, tls: bool, path: &'static str, mark: &'static str) -> Known {
    Known { port, what, tls, path, mark }
}

const OF_NODES: [Known; 8] = [
    known(8080, "kube-apiserver --insecure-port", false, "/api", "APIVersions"),
    known(10250, "kubelet", true, "/pods", "PodList"),
    known(10255, "kubelet --read-only-port", false, "/pods", "PodList"),
    known(10251, "kube-scheduler --port", false, "/metrics", "scheduler"),
    known(10252, "kube-controller-manager --port", false, "/metrics", "workqueue"),
    known(10257, "kube-controller-manager", true, "/metrics", "workqueue"),
    known(10259, "kube-scheduler", true, "/metrics", "scheduler"),
    known(2379, "etcd", true, "/version", "etcdserver"),
];
const PLAIN_ETCD: Known = known(2379, "etcd, plain", false, "/version", "etcdserver");

/// Asks every port of every node, and of where the API server is.
pub(super) async fn ask(config: &Config, inventory: &Inventory) -> Vec<Port> {
    let mut hosts: Vec<(String, String)> = inventory.nodes.iter().filter_map(|n| Some((format!("Node/{}", n.metadata.name), address(n)?.to_owned()))).collect();
    if let Some(host) = config.cluster_url.host().map(|h| h.trim_matches(['[', ']']).to_owned()).filter(|h| hosts.iter().all(|(_, a)| a != h)) {
        hosts.push(("API server".into(), host));
    }
    // Who it is, is not asked here: only whether it talks to nobody.
    let Ok(http) = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).no_proxy().redirect(reqwest::redirect::Policy::none()).timeout(PATIENCE).build() else {
        return Vec::new();
    };
    let all = hosts.iter().flat_map(|host| OF_NODES.iter().chain([&PLAIN_ETCD]).map(move |known| (host, known)));
    futures::stream::iter(all).map(|((place, host), known)| one(&http, place, host, known)).buffered(AT_ONCE).collect().await
}

async fn one(http: &reqwest::Client, place: &str, host: &str, known: &Known) -> Port {
    let scheme = if known.tls { "https" } else { "http" };
    let url = format!("{scheme}://{}:{}{}", bracketed(host), known.port, known.path);
    let answer = match http.get(&url).send().await {
        Ok(reply) => {
            let status = reply.status();
            let body = beginning(reply).await;
            let said = format!("GET {url}: {status}");
            match status.is_success() && body.contains(known.mark) {
                true => Answer::Served(format!("{said} {}", body.chars().take(200).collect::<String>())),
                false => Answer::Refused(said),
            }
        }
        Err(error) if error.is_timeout() => Answer::Silent(format!("GET {url}: no answer in {} s", PATIENCE.as_secs())),
        Err(error) => Answer::Refused(format!("GET {url}: {}", cause(&error))),
    };
    Port { place: format!("{place} {}:{}", bracketed(host), known.port), what: known.what, answer }
}

/// Its first KiB, as much as comes in time.
async fn beginning(mut reply: reqwest::Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < 64 << 10 {
        match reply.chunk().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) | Err(_) => break,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The innermost reason: refused, a certificate asked for.
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// A server that says one thing to whoever asks.
    async fn server(says: &'static str) -> u16 {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{says}", says.len()).as_bytes()).await;
            }
        });
        port
    }

    #[tokio::test]
    async fn only_what_the_port_is_known_for_counts_as_talking() {
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let ask = async |port| one(&http, "Node/a", "127.0.0.1", &known(port, "kubelet --read-only-port", false, "/pods", "PodList")).await.answer;
        assert!(matches!(ask(server("{\"kind\":\"PodList\"}").await).await, Answer::Served(_)));
        assert!(matches!(ask(server("welcome").await).await, Answer::Refused(_)));
        let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        assert!(matches!(ask(closed).await, Answer::Refused(_)));
    }
}
