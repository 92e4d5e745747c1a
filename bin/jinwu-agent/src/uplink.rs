//! The way to the server: enrolment, records, instructions.
//!
//! `server/` in the data folder holds `url`, `ca.crt` and, once, `code`; after enrolment `node.key`, `node.crt` and
//! `verify.pem`, with which settings and orders are checked.

use crate::engine::{Ask, now};
use crate::local::Asker;
use crate::recorder::Recorder;
use crate::spool::Spool;
use anyhow::{Context as _, Result, bail};
use jinwu_node::protocol::{Batch, Enrol, Enrolled, Instructions, MAX_BATCH, Status, Taken};
use jinwu_node::response::Orders;
use jinwu_trust::VerifyingKey;
use jinwu_trust::files;
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Longest the server may hold a question for newer instructions, seconds.
const WAIT: u64 = 25;
/// How often the server hears from a node that has nothing to say.
const QUIET: Duration = Duration::from_secs(10);
/// Records that are sent at once; fewer wait a moment for more.
const FEW: usize = 200;

/// A way to the server.
pub(crate) struct Server {
    url: String,
    node: String,
    client: reqwest::Client,
    key: VerifyingKey,
}

fn text(folder: &Path, name: &str) -> Result<String> {
    let path = folder.join(name);
    std::fs::read_to_string(&path).map(|t| t.trim().to_owned()).with_context(|| format!("{} cannot be read", path.display()))
}

fn client(folder: &Path, identity: Option<reqwest::Identity>) -> Result<reqwest::Client> {
    let authority = reqwest::Certificate::from_pem(text(folder, "ca.crt")?.as_bytes()).context("ca.crt is no certificate")?;
    let mut builder = reqwest::Client::builder().tls_certs_only([authority]).timeout(Duration::from_secs(20)).connect_timeout(Duration::from_secs(5));
    if let Some(identity) = identity {
        builder = builder.identity(identity);
    }
    Ok(builder.build()?)
}

async fn check(answer: reqwest::Response) -> Result<reqwest::Response> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let said = answer.text().await.unwrap_or_default();
    bail!("the server answers {status}: {}", said.chars().take(500).collect::<String>());
}

// === impl Server ===

impl Server {
    /// Uses the certificate the node has, or has one made for its code.
    ///
    /// # Errors
    /// Nothing is there to enrol with, or the server refuses.
    pub(crate) async fn open(folder: &Path, node: &str) -> Result<Self> {
        let url = text(folder, "url")?.trim_end_matches('/').to_owned();
        if !folder.join("node.crt").exists() {
            enrol(folder, &url, node).await?;
        }
        let pem = format!("{}\n{}\n", text(folder, "node.key")?, text(folder, "node.crt")?);
        let identity = reqwest::Identity::from_pem(pem.as_bytes()).context("node.key and node.crt are no certificate with its key; remove them to enrol anew")?;
        let key = VerifyingKey::from_pem(&text(folder, "verify.pem")?).context("verify.pem is no Ed25519 key; remove node.crt to enrol anew")?;
        Ok(Server { url, node: node.to_owned(), client: client(folder, Some(identity))?, key })
    }

    async fn records(&self, batch: &Batch) -> Result<Taken> {
        let answer = self.client.post(format!("{}/agent/v1/records", self.url)).json(batch).send().await?;
        Ok(check(answer).await?.json().await?)
    }

    async fn instructions(&self, have: &str) -> Result<Option<Instructions>> {
        let query = [("have", have), ("wait", &WAIT.to_string())];
        let answer = self.client.get(format!("{}/agent/v1/instructions", self.url)).query(&query).timeout(Duration::from_secs(WAIT + 10)).send().await?;
        if answer.status() == reqwest::StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        Ok(Some(check(answer).await?.json().await?))
    }
}

/// A key of the node's own, and a certificate for it.
async fn enrol(folder: &Path, url: &str, node: &str) -> Result<()> {
    let code = folder.join("code");
    let token = Path::new("/var/run/secrets/jinwu/token");
    let (credential, cluster) = if code.exists() {
        (text(folder, "code")?, String::new())
    } else if token.exists() {
        (std::fs::read_to_string(token)?.trim().to_owned(), text(folder, "cluster").unwrap_or_default())
    } else {
        bail!("这个节点还没有登记:用 jinwu node code {node} 取得一次性登记码,写入 {0} / this node is not enrolled: get a one-time code by jinwu node code {node} and write it to {0}", code.display());
    };
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let mut parameters = rcgen::CertificateParams::new(Vec::new())?;
    parameters.distinguished_name.push(rcgen::DnType::CommonName, node);
    let request = parameters.serialize_request(&key)?.pem()?;
    let ask = Enrol { node: node.to_owned(), credential, cluster, request };
    let answer = client(folder, None)?.post(format!("{url}/agent/v1/enrol")).json(&ask).send().await?;
    let enrolled: Enrolled = check(answer).await?.json().await?;
    files::write(&folder.join("verify.pem"), enrolled.key.as_bytes(), 0o600)?;
    files::write(&folder.join("node.key"), key.serialize_pem().as_bytes(), 0o600)?;
    files::write(&folder.join("node.crt"), enrolled.certificate.as_bytes(), 0o600)?;
    // It is used up.
    let _ = std::fs::remove_file(&code);
    tracing::info!(node, url, "enrolled");
    Ok(())
}

/// Everything between this node and its server, for ever.
pub(crate) async fn run(folder: PathBuf, node: String, spool: Arc<Mutex<Spool>>, asker: Asker, recorder: Recorder) {
    let mut pause = Duration::from_secs(1);
    let server = loop {
        match Server::open(&folder, &node).await {
            Ok(server) => break Arc::new(server),
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "no way to the server; records wait");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(30));
            }
        }
    };
    let _ = recorder;
    tokio::join!(records(server.clone(), spool, asker.clone()), instructions(server, folder, asker));
}

async fn records(server: Arc<Server>, spool: Arc<Mutex<Spool>>, asker: Asker) {
    let mut pause = Duration::from_millis(250);
    let mut told = std::time::Instant::now() - QUIET;
    loop {
        let next = spool.lock().next(MAX_BATCH);
        let (entries, mark) = match next {
            Ok(next) => next,
            Err(error) => {
                tracing::error!(%error, "the spool cannot be read");
                tokio::time::sleep(Duration::from_secs(5)).await;
                continue;
            }
        };
        let count = entries.len();
        if count == 0 && told.elapsed() < QUIET {
            tokio::time::sleep(Duration::from_millis(200)).await;
            continue;
        }
        let batch = Batch { records: entries, status: status(&asker).await };
        match server.records(&batch).await {
            Ok(_) => {
                told = std::time::Instant::now();
                pause = Duration::from_millis(250);
                if count > 0
                    && let Err(error) = spool.lock().advance(mark)
                {
                    tracing::error!(%error, "the spool's cursor cannot be kept; records may be sent twice");
                }
                if count < FEW {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), waiting = spool.lock().waiting(), "records wait for the server");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(10));
            }
        }
    }
}

async fn status(asker: &Asker) -> Status {
    let asker = asker.clone();
    let asked = tokio::task::spawn_blocking(move || (asker.ask(Ask::Status), asker.ask(Ask::Containers))).await;
    let Ok((Ok(status), Ok(containers))) = asked else { return Status::default() };
    let number = |name: &str| status.get(name).and_then(serde_json::Value::as_u64).unwrap_or_default();
    let texts = |name: &str| serde_json::from_value(status.get(name).cloned().unwrap_or_default()).unwrap_or_default();
    Status {
        version: env!("CARGO_PKG_VERSION").into(),
        generation: status.get("generation").and_then(|g| g.as_str()).unwrap_or_default().to_owned(),
        capabilities: status.get("capabilities").cloned().unwrap_or_default(),
        events: number("events"),
        lost: number("lost"),
        waiting: number("waiting"),
        dropped: number("dropped"),
        containers: containers.as_array().cloned().unwrap_or_default(),
        isolated: texts("isolated"),
        paused: texts("paused"),
    }
}

async fn instructions(server: Arc<Server>, folder: PathBuf, asker: Asker) {
    let kept = folder.join("settings.json");
    let mut have = String::new();
    let mut orders = Orders::default();
    let mut pause = Duration::from_millis(500);
    loop {
        match server.instructions(&have).await {
            Ok(None) => pause = Duration::from_millis(500),
            Ok(Some(newer)) => {
                pause = Duration::from_millis(500);
                for order in &newer.orders {
                    match orders.take(order, &server.key, &server.node, now()) {
                        Ok(command) => {
                            let asker = asker.clone();
                            let (id, response) = (command.id.clone(), command.response);
                            let said = tokio::task::spawn_blocking(move || asker.ask(|to| Ask::Command(Box::new(command), to))).await;
                            tracing::info!(id, response = response.name(), ?said, "an order was carried out");
                        }
                        Err(jinwu_node::response::OrderError::Repeated(_)) => {}
                        Err(error) => tracing::error!(%error, "an order was refused"),
                    }
                }
                let (settings, generation) = (newer.settings.clone(), newer.generation.clone());
                let asker = asker.clone();
                let taken = tokio::task::spawn_blocking(move || asker.ask(|to| Ask::Settings(Box::new(settings), generation, to))).await;
                match taken {
                    Ok(Ok(Ok(()))) => {
                        let text = serde_json::to_vec(&newer.settings).unwrap_or_default();
                        if let Err(error) = files::write(&kept, &text, 0o600) {
                            tracing::warn!(%error, "the settings could not be kept");
                        }
                    }
                    other => tracing::error!(?other, "the settings cannot be used; those before hold"),
                }
                have = newer.generation;
            }
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "no instructions from the server; those at hand hold");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(10));
            }
        }
    }
}
