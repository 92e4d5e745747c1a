//! What sensors of nodes ask of a running server, over real TLS, and what people ask of it about nodes.

mod enrol;
mod incidents;
mod meters;
mod orders;
mod records;

use anyhow::Context as _;
use jinwu_lab::{Server, Session, now};
use jinwu_node::protocol::{Enrolled, Instructions};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

/// A node with its certificate.
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) enrolled: Enrolled,
    /// PEM.
    key: String,
    http: reqwest::Client,
}

/// A key, and a signing request by it that names somebody else: what is in it must not matter.
pub(crate) fn request() -> anyhow::Result<(String, String)> {
    let key = rcgen::KeyPair::generate()?;
    let mut parameters = rcgen::CertificateParams::new(vec!["another-node".to_owned()])?;
    parameters.distinguished_name.push(rcgen::DnType::CommonName, "jinwu://node/another-node");
    Ok((key.serialize_pem(), parameters.serialize_request(&key)?.pem()?))
}

/// A client that shows this certificate.
pub(crate) fn client(server: &Server, key: &str, certificate: &str) -> anyhow::Result<reqwest::Client> {
    let authority = reqwest::Certificate::from_pem(&std::fs::read(server.ca())?)?;
    let identity = reqwest::Identity::from_pem(format!("{key}\n{certificate}").as_bytes())?;
    Ok(reqwest::Client::builder().tls_certs_only([authority]).identity(identity).build()?)
}

pub(crate) async fn code(security: &Session<'_>, node: &str) -> anyhow::Result<String> {
    let made = security.ok("POST", "/node-codes", Some(&json!({ "node": node }))).await?;
    Ok(made["code"].as_str().context("no code")?.to_owned())
}

/// Asks to be let in, without any certificate.
pub(crate) async fn ask(server: &Server, node: &str, credential: &str, request: &str) -> anyhow::Result<(StatusCode, Value)> {
    let body = json!({"node": node, "credential": credential, "request": request});
    let answer = server.http.post(server.url("/agent/v1/enrol")).json(&body).send().await?;
    Ok((answer.status(), answer.json().await?))
}

impl Node {
    pub(crate) async fn enrol(server: &Server, security: &Session<'_>, name: &str) -> anyhow::Result<Node> {
        let (key, request) = request()?;
        let (status, answer) = ask(server, name, &code(security, name).await?, &request).await?;
        anyhow::ensure!(status == StatusCode::OK, "{status} {answer}");
        let enrolled: Enrolled = serde_json::from_value(answer)?;
        let http = client(server, &key, &enrolled.certificate)?;
        Ok(Node { name: name.to_owned(), enrolled, key, http })
    }

    pub(crate) async fn ask(&self, server: &Server, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Response> {
        let mut request = self.http.request(method, server.url(&format!("/agent/v1{path}")));
        if let Some(body) = body {
            request = request.json(body);
        }
        Ok(request.send().await?)
    }

    /// Sends records with a status; how many were new and repeated.
    pub(crate) async fn send(&self, server: &Server, records: &[Value], status: Value) -> anyhow::Result<(u64, u64)> {
        let answer = self.ask(server, Method::POST, "/records", Some(&json!({"records": records, "status": status}))).await?;
        anyhow::ensure!(answer.status() == 200, "{} {}", answer.status(), answer.text().await?);
        let taken: Value = answer.json().await?;
        Ok((taken["new"].as_u64().unwrap_or(0), taken["repeated"].as_u64().unwrap_or(0)))
    }

    /// What it is to do, as soon as it is something else than `have`; nothing if it is the same for `wait` seconds.
    pub(crate) async fn instructions(&self, server: &Server, have: &str, wait: u64) -> anyhow::Result<Option<Instructions>> {
        let answer = self.ask(server, Method::GET, &format!("/instructions?have={have}&wait={wait}"), None).await?;
        if answer.status() == StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        anyhow::ensure!(answer.status() == 200, "{} {}", answer.status(), answer.text().await?);
        Ok(Some(answer.json().await?))
    }
}

pub(crate) fn container(node: &str, id: &str, pod: &str) -> Value {
    json!({"id": id, "node": node, "name": "web", "image": "r/web:1", "namespace": "shop", "pod": pod})
}

/// A record of a node as a sensor writes it.
pub(crate) fn entry(node: &str, id: &str, kind: &str, action: &str, detail: Value) -> Value {
    let mut all = json!({"node": node, "container": container(node, &"c0".repeat(32), "web-7d4b9c6f8d-x2x5z")});
    if let (Some(all), Value::Object(more)) = (all.as_object_mut(), detail) {
        all.extend(more);
    }
    json!({"id": id, "record": {
        "time": now(), "kind": kind, "subject": {"kind": "process", "name": "0@shop/web/web"},
        "action": action, "object": format!("/bin/{id}"), "outcome": "success", "detail": all,
    }})
}

pub(crate) fn status() -> Value {
    json!({"version": "0.1.0", "generation": "", "capabilities": {"rung": "lsm"}, "events": 1, "lost": 0, "waiting": 0, "dropped": 0})
}
