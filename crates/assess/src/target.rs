//! A live installation, spoken to from outside as any client would: HTTPS with the installation's own
//! CA and nothing else trusted, no proxy, no redirect.
//!
//! The three administrators act through their sessions; everybody else through [`registry::Registry`].
//! Every exchange is written to the check's [`Log`].

pub mod probe;
pub mod registry;

use crate::evidence::Log;
use crate::mask::Mask;
use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{HeaderMap, Method};
use jinwu_identity::AdminRole;
use serde_json::Value;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Where an installation is and who acts in it.
pub struct Connection {
    /// `host:port` of registry and API.
    pub registry: String,
    /// The CA certificate, PEM.
    pub ca: Vec<u8>,
    /// Session tokens of the system, security and audit administrators.
    pub system: String,
    pub security: String,
    pub audit: String,
}

/// The installation.
pub struct Target {
    pub(crate) registry: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) ca: Vec<u8>,
    pub(crate) mask: Arc<Mask>,
    /// The address the installation sees this program at.
    pub source: IpAddr,
    /// How long a record may take until the audit administrator finds it.
    pub patience: Duration,
    http: reqwest::Client,
    sessions: [(AdminRole, String); 3],
}

/// Whose session.
#[derive(Clone, Copy, Debug)]
pub enum As<'a> {
    Nobody,
    Admin(AdminRole),
    /// A bearer value.
    Token(&'a str),
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

const TIMEOUT: Duration = Duration::from_secs(60);
/// Largest answer read.
const MAX_BODY: usize = 32 << 20;
/// Of an answer's text this much goes into the raw output.
const MAX_SHOWN: usize = 16 << 10;

// === impl Target ===

impl Target {
    /// Checks that the installation answers under its CA; finds out which address it sees.
    pub async fn connect(connection: Connection) -> anyhow::Result<Self> {
        let (host, port) = split(&connection.registry)?;
        let certificates = reqwest::Certificate::from_pem_bundle(&connection.ca).context("CA certificate")?;
        if certificates.is_empty() {
            bail!("CA 证书文件中没有证书 / the CA file holds no certificate");
        }
        let http = reqwest::Client::builder()
            .tls_certs_only(certificates)
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .user_agent(concat!("jinwu-assess/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let mask = Arc::new(Mask::default());
        for token in [&connection.system, &connection.security, &connection.audit] {
            mask.learn(token);
        }
        let sessions = [
            (AdminRole::SystemAdministrator, connection.system),
            (AdminRole::SecurityAdministrator, connection.security),
            (AdminRole::AuditAdministrator, connection.audit),
        ];
        let mut target = Target { registry: connection.registry, host, port, ca: connection.ca, mask, source: IpAddr::from([127, 0, 0, 1]), patience: Duration::from_secs(3), http, sessions };
        let mut log = target.log("GET /api/v1/health");
        let health = target.api(&mut log, As::Nobody, Method::GET, "/health", None).await?;
        if health.json()["ready"] != true {
            bail!("安装尚未就绪 / the installation at {} is not ready: {}", target.registry, health.text());
        }
        // What the installation sees may be another address than ours: there may be a relay between.
        let me = target.act(&mut log, As::Admin(AdminRole::AuditAdministrator), Method::GET, "/me", None).await?;
        target.source = me["source"].as_str().and_then(|s| s.parse().ok()).context("/me does not say the source address")?;
        Ok(target)
    }

    /// A cluster that is registered here, connected to by its kubeconfig. Without a name: the only one.
    pub async fn cluster(&mut self, name: Option<&str>, kubeconfig: &std::path::Path) -> anyhow::Result<crate::cluster::Cluster> {
        let mut log = self.log("GET /api/v1/clusters");
        let list = self.act(&mut log, As::Admin(AdminRole::SystemAdministrator), Method::GET, "/clusters", None).await?;
        let names: Vec<&str> = list["clusters"].as_array().into_iter().flatten().filter_map(|c| c["name"].as_str()).collect();
        let name = match (name, names.as_slice()) {
            (Some(name), names) if names.contains(&name) => name,
            (None, [only]) => only,
            _ => bail!("须以 --cluster 指明已登记的集群 / name a registered cluster with --cluster: {}", names.join(", ")),
        };
        // Records come from the cluster's gates, by their spool.
        self.patience = Duration::from_secs(15);
        crate::cluster::Cluster::connect(name, Some(kubeconfig), &self.mask).await
    }

    /// A log for one check.
    pub fn log(&self, command: impl Into<String>) -> Log {
        Log::new(self.mask.clone(), self.registry.clone(), command)
    }

    /// `host:port`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Its port, for probes.
    pub(crate) fn port(&self) -> probe::Port<'_> {
        probe::Port { host: &self.host, port: self.port, authority: &self.ca }
    }

    fn bearer(&self, who: As<'_>) -> Option<String> {
        match who {
            As::Nobody => None,
            As::Token(token) => Some(token.to_owned()),
            As::Admin(role) => self.sessions.iter().find(|(r, _)| *r == role).map(|(_, t)| t.clone()),
        }
    }

    /// A request to the API; `path` below `/api/v1`. Any status is an answer, only a broken
    /// connection is an error.
    pub async fn api(&self, log: &mut Log, who: As<'_>, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Reply> {
        let bearer = self.bearer(who);
        if let Some(token) = &bearer {
            self.mask.learn(token);
        }
        let mut headers = HeaderMap::new();
        if let Some(token) = &bearer {
            headers.insert(http::header::AUTHORIZATION, format!("Bearer {token}").parse()?);
        }
        if body.is_some() {
            headers.insert(http::header::CONTENT_TYPE, "application/json".parse()?);
        }
        let bytes = body.map(|b| Bytes::from(b.to_string()));
        let shown = body.map(Value::to_string);
        let reply = self.send(log, method, &format!("/api/v1{path}"), headers, bytes, shown).await?;
        // What an answer hands out once must not show up later under another name.
        for member in ["token", "secret", "password", "totp"] {
            if let Some(value) = reply.json()[member].as_str() {
                self.mask.learn(value);
            }
        }
        Ok(reply)
    }

    /// As [`Target::api`], and anything but success is an error that says what was asked.
    pub async fn act(&self, log: &mut Log, who: As<'_>, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let reply = self.api(log, who, method.clone(), path, body).await?;
        if !(200..300).contains(&reply.status) {
            bail!("{method} /api/v1{path}: {} {}", reply.status, self.mask.apply(&reply.text()));
        }
        Ok(reply.json())
    }

    pub(crate) async fn send(
        &self,
        log: &mut Log,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Option<Bytes>,
        shown: Option<String>,
    ) -> anyhow::Result<Reply> {
        let url = format!("https://{}{path}", self.registry);
        let mut text = format!("> {method} {url}");
        for (name, value) in &headers {
            text.push_str(&format!("\n> {name}: {}", value.to_str().unwrap_or("?")));
        }
        match (&shown, &body) {
            (Some(shown), _) => text.push_str(&format!("\n> {shown}")),
            (None, Some(bytes)) => {
                text.push_str(&format!("\n> ({} bytes, sha256 {})", bytes.len(), hex::encode(jinwu_trust::sha256(bytes))));
            }
            (None, None) => {}
        }
        log.note(&text);
        let mut request = self.http.request(method, &url).headers(headers);
        if let Some(bytes) = body {
            request = request.body(bytes);
        }
        let result = request.send().await;
        let mut response = match result {
            Ok(response) => response,
            Err(error) => {
                log.note(&format!("! {error:?}"));
                return Err(anyhow::Error::from(error).context(format!("{url} 无法访问 / cannot be reached")));
            }
        };
        let (status, headers, version) = (response.status().as_u16(), response.headers().clone(), response.version());
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if bytes.len() + chunk.len() > MAX_BODY {
                bail!("{url}: 响应超过 32 MiB / the answer is larger than 32 MiB");
            }
            bytes.extend_from_slice(&chunk);
        }
        let reply = Reply { status, headers, body: bytes.into() };
        // A token is learned before its answer is written.
        for member in ["token", "access_token", "refresh_token", "secret", "password", "totp"] {
            if let Some(value) = reply.json()[member].as_str() {
                self.mask.learn(value);
            }
        }
        log.note(&reply.transcript(version));
        Ok(reply)
    }
}

/// `host:port`, host possibly in brackets.
fn split(registry: &str) -> anyhow::Result<(String, u16)> {
    let bad = || format!("{registry:?} 不是 主机:端口 / is not host:port");
    let (host, port) = registry.rsplit_once(':').with_context(bad)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() {
        bail!(bad());
    }
    Ok((host.to_owned(), port.parse().with_context(bad)?))
}

// === impl Reply ===

impl Reply {
    /// The body as JSON; `null` where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).chars().take(4000).collect()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The first error of the distribution specification's form: code and message.
    pub fn failure(&self) -> Option<(String, String)> {
        let body = self.json();
        let first = body.pointer("/errors/0")?;
        let member = |name: &str| first[name].as_str().unwrap_or_default().to_owned();
        Some((member("code"), member("message")))
    }

    /// The decision of a refusal and the policies that refused.
    pub fn decision(&self) -> Option<(String, Vec<String>)> {
        let body = self.json();
        let detail = body.pointer("/errors/0/detail")?;
        let mut policies: Vec<String> =
            detail["violations"].as_array()?.iter().filter_map(|v| v["policy"].as_str()).map(str::to_owned).collect();
        policies.sort();
        policies.dedup();
        Some((detail["decision"].as_str()?.to_owned(), policies))
    }

    fn transcript(&self, version: http::Version) -> String {
        const SHOWN: [&str; 9] = [
            "www-authenticate", "content-type", "content-length", "location", "docker-content-digest", "warning", "retry-after", "date",
            "docker-distribution-api-version",
        ];
        let mut text = format!("< {version:?} {}", self.status);
        for name in SHOWN {
            for value in self.headers.get_all(name) {
                text.push_str(&format!("\n< {name}: {}", value.to_str().unwrap_or("?")));
            }
        }
        text.push_str(&self.peek());
        text
    }

    /// The body as raw output shows it: its beginning, or its hash where it is no text.
    pub(crate) fn peek(&self) -> String {
        match std::str::from_utf8(&self.body) {
            Ok("") => String::new(),
            Ok(body) if body.len() <= MAX_SHOWN => format!("\n{body}"),
            Ok(body) => {
                let cut = (0..=MAX_SHOWN).rev().find(|at| body.is_char_boundary(*at)).unwrap_or(0);
                format!("\n{}\n< ({} bytes in all)", body.get(..cut).unwrap_or_default(), body.len())
            }
            Err(_) => format!("\n< ({} bytes, sha256 {})", self.body.len(), hex::encode(jinwu_trust::sha256(&self.body))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(split("localhost:5443").unwrap(), ("localhost".into(), 5443));
        assert_eq!(split("[::1]:443").unwrap(), ("::1".into(), 443));
        for bad in ["", "localhost", ":5", "a:b", "a:70000"] {
            assert!(split(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_refusal_is_read() {
        let body = r#"{"errors":[{"code":"DENIED","message":"m","detail":{"decision":"d-1","violations":[{"policy":"b"},{"policy":"a"},{"policy":"b"}]}}]}"#;
        let reply = Reply { status: 403, headers: HeaderMap::new(), body: body.into() };
        assert_eq!(reply.decision(), Some(("d-1".into(), vec!["a".into(), "b".into()])));
        assert_eq!(reply.failure(), Some(("DENIED".into(), "m".into())));
        let other = Reply { status: 403, headers: HeaderMap::new(), body: "nonsense".into() };
        assert_eq!((other.decision(), other.failure()), (None, None));
    }
}
