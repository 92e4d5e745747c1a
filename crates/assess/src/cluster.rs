//! A Kubernetes cluster under assessment, spoken to as its operator, its users and its attackers would.
//!
//! Every exchange is written to the check's [`Log`]. Drills happen in a namespace of their own
//! ([`field::Field`]); nothing else in the cluster is changed.

pub mod field;
pub mod manifest;

use crate::evidence::Log;
use crate::mask::Mask;
use crate::target::Reply;
use crate::target::probe::Port;
use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::BodyExt as _;
use kube::client::Body;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The cluster.
pub struct Cluster {
    /// As it is registered.
    pub name: String,
    /// The operator's name as the API server knows it.
    pub operator: String,
    /// Kubernetes' version.
    pub version: String,
    host: String,
    port: u16,
    /// The authority's certificates, PEM.
    authority: Vec<u8>,
    /// Addresses of nodes by name, for probes of their kubelets.
    pub nodes: Vec<(String, String)>,
    client: kube::Client,
    config: kube::Config,
    /// This is a machine of its control plane: programs that run here are looked at.
    pub this_machine: bool,
    /// Without any credentials.
    plain: reqwest::Client,
    mask: Arc<Mask>,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub enum Who<'a> {
    /// Whom the kubeconfig belongs to.
    Operator,
    Nobody,
    /// A bearer token.
    Token(&'a str),
    /// The operator acting as somebody (impersonation): what the API server then sees is that person.
    As(&'a str),
}

const TIMEOUT: Duration = Duration::from_secs(40);
/// Largest answer read.
const MAX_BODY: usize = 64 << 20;

impl Cluster {
    /// Connects by a kubeconfig and finds out who its owner is and which nodes there are.
    pub async fn connect(name: &str, kubeconfig: Option<&Path>, mask: &Arc<Mask>) -> anyhow::Result<Self> {
        let config = jinwu_cluster::way(kubeconfig).await?;
        let url = config.cluster_url.clone();
        if url.scheme_str() != Some("https") {
            bail!("API server 地址不是 https / the API server's address is not https: {url}");
        }
        let host = url.host().context("no host in the API server's address")?.trim_matches(['[', ']']).to_owned();
        let mut authority = Vec::new();
        let mut certificates = Vec::new();
        for der in config.root_cert.iter().flatten() {
            certificates.push(reqwest::Certificate::from_der(der).context("the cluster's authority")?);
            authority.extend(pem(der).into_bytes());
        }
        let plain = reqwest::Client::builder()
            .tls_certs_only(certificates)
            .https_only(true)
            .no_proxy()
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .user_agent(AGENT)
            .build()?;
        let mut cluster = Cluster {
            name: name.to_owned(),
            operator: String::new(),
            version: String::new(),
            port: url.port_u16().unwrap_or(443),
            host,
            authority,
            nodes: vec![],
            client: kube::Client::try_from(config.clone())?,
            config,
            this_machine: false,
            plain,
            mask: mask.clone(),
        };
        let mut log = cluster.log("connect");
        let version = cluster.act(&mut log, Who::Operator, Method::GET, "/version", None).await?;
        cluster.version = version["gitVersion"].as_str().unwrap_or_default().to_owned();
        let review = serde_json::json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
        let me = cluster.act(&mut log, Who::Operator, Method::POST, "/apis/authentication.k8s.io/v1/selfsubjectreviews", Some(&review)).await?;
        cluster.operator = me["status"]["userInfo"]["username"].as_str().unwrap_or_default().to_owned();
        let nodes = cluster.act(&mut log, Who::Operator, Method::GET, "/api/v1/nodes", None).await?;
        cluster.nodes = items(&nodes).filter_map(|n| Some((name_of(n).to_owned(), internal_address(n)?.to_owned()))).collect();
        Ok(cluster)
    }

    pub(crate) fn client(&self) -> &kube::Client {
        &self.client
    }

    pub(crate) fn config(&self) -> &kube::Config {
        &self.config
    }

    /// `host:port` of the API server.
    pub fn address(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// The API server's port, for probes.
    pub(crate) fn port(&self) -> Port<'_> {
        Port { host: &self.host, port: self.port, authority: &self.authority }
    }

    /// A log for one check.
    pub fn log(&self, command: impl Into<String>) -> Log {
        Log::new(self.mask.clone(), format!("Kubernetes {}", self.address()), command)
    }

    /// One request. Any status is an answer, only a broken connection is an error.
    pub async fn ask(&self, log: &mut Log, who: Who<'_>, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Reply> {
        let kind = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let mut headers = HeaderMap::new();
        headers.insert(http::header::ACCEPT, HeaderValue::from_static("application/json"));
        if body.is_some() {
            headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        self.send(log, who, method, path, headers, body).await
    }

    /// As [`Cluster::ask`], and anything but success is an error that says what was asked.
    pub async fn act(&self, log: &mut Log, who: Who<'_>, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let reply = self.ask(log, who, method.clone(), path, body).await?;
        if !(200..300).contains(&reply.status) {
            bail!("{method} {path}: {} {}", reply.status, self.mask.apply(&message(&reply)));
        }
        Ok(reply.json())
    }

    /// Asks to enter a container (exec, attach, port-forward) as kubectl does: 101 is an open door. The
    /// connection is dropped at once.
    pub async fn enter(&self, log: &mut Log, who: Who<'_>, path: &str) -> anyhow::Result<Reply> {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-protocol", "v5.channel.k8s.io,v4.channel.k8s.io"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let key = jinwu_trust::random::bytes::<16>();
        headers.insert("sec-websocket-key", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, key).parse()?);
        self.send(log, who, Method::GET, path, headers, None).await
    }

    async fn send(&self, log: &mut Log, who: Who<'_>, method: Method, path: &str, mut headers: HeaderMap, body: Option<&Value>) -> anyhow::Result<Reply> {
        let as_whom = match who {
            Who::Operator => String::from("operator"),
            Who::Nobody => "nobody".into(),
            Who::Token(_) => "token".into(),
            Who::As(user) => user.to_owned(),
        };
        log.note(&format!("> {method} https://{}{path} ({as_whom})", self.address()));
        if let Some(body) = body {
            log.note(&format!("> {body}"));
        }
        let bytes = body.map(|b| Bytes::from(b.to_string())).unwrap_or_default();
        let reply = match who {
            Who::Operator | Who::As(_) => {
                if let Who::As(user) = who {
                    headers.insert("impersonate-user", user.parse().context("user name")?);
                }
                let mut request = Request::builder().method(method).uri(path).body(Body::from(bytes.to_vec()))?;
                *request.headers_mut() = headers;
                let answer = tokio::time::timeout(TIMEOUT, self.client.send(request)).await.context("API server: no answer in time")??;
                let (parts, body) = answer.into_parts();
                let body = if parts.status == 101 { Bytes::new() } else { http_body_util::Limited::new(body, MAX_BODY).collect().await.map_err(|e| anyhow::anyhow!("{e}"))?.to_bytes() };
                Reply { status: parts.status.as_u16(), headers: parts.headers, body }
            }
            Who::Nobody | Who::Token(_) => {
                if let Who::Token(token) = who {
                    self.mask.learn(token);
                    headers.insert(http::header::AUTHORIZATION, format!("Bearer {token}").parse()?);
                }
                let url = format!("https://{}{path}", self.address());
                let answer = self.plain.request(method, &url).headers(headers).body(bytes).send().await;
                let answer = answer.inspect_err(|e| log.note(&format!("! {e:?}"))).with_context(|| format!("{url} 无法访问 / cannot be reached"))?;
                let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
                let body = if status == 101 { Bytes::new() } else { answer.bytes().await? };
                Reply { status, headers, body }
            }
        };
        for member in ["/status/token", "/data"] {
            if let Some(secret) = reply.json().pointer(member).and_then(Value::as_str) {
                self.mask.learn(secret);
            }
        }
        log.note(&format!("< {}{}", reply.status, reply.peek()));
        Ok(reply)
    }

    /// Asks until `enough`, at most this long; the last answer.
    pub async fn until(&self, log: &mut Log, path: &str, patience: Duration, enough: impl Fn(&Value) -> bool) -> anyhow::Result<Option<Value>> {
        let begun = tokio::time::Instant::now();
        loop {
            // Only the last look is evidence.
            let mut quiet = self.log("");
            let reply = self.ask(&mut quiet, Who::Operator, Method::GET, path, None).await?;
            let value = reply.json();
            let found = reply.status == 200 && enough(&value);
            if found || begun.elapsed() >= patience {
                log.note(&format!("> GET {path} ({:.1} s)\n< {}{}", begun.elapsed().as_secs_f64(), reply.status, reply.peek()));
                return Ok(found.then_some(value));
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
}

const AGENT: &str = concat!("jinwu-assess/", env!("CARGO_PKG_VERSION"));

/// Members of a list.
pub fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list["items"].as_array().into_iter().flatten()
}

pub fn name_of(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

fn internal_address(node: &Value) -> Option<&str> {
    let addresses = node["status"]["addresses"].as_array()?;
    addresses.iter().find(|a| a["type"] == "InternalIP")?["address"].as_str()
}

/// What a refusal says.
pub fn message(reply: &Reply) -> String {
    reply.json()["message"].as_str().map_or_else(|| reply.text(), str::to_owned)
}

fn pem(der: &[u8]) -> String {
    let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der);
    let lines: Vec<&str> = (0..text.len()).step_by(64).filter_map(|at| text.get(at..text.len().min(at + 64))).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}
