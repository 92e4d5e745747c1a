//! A registry in this process, with everything allowed, and a client that speaks the protocol.

use async_trait::async_trait;
use axum::http::HeaderMap;
use jinwu_model::{Record, RepositoryName, Subject};
use jinwu_registry::seam::{Access, Action, Caller, Feed, Gate, Inspector, Journal, ManifestPush, Refusal, Ruling, Seams};
use jinwu_registry::{Config, Registry};
use sha2::Digest as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Lets everybody in under the name of the `x-subject` header; refuses what tests tell it to.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) refuse: AtomicBool,
    pub(crate) unwritable: AtomicBool,
    pub(crate) records: parking_lot::Mutex<Vec<Record>>,
}

pub(crate) struct Doorman;

#[async_trait]
impl Access for Doorman {
    async fn authenticate(&self, headers: &HeaderMap, peer: SocketAddr, _: &[(RepositoryName, Action)]) -> Result<Caller, Refusal> {
        let name = headers.get("x-subject").and_then(|v| v.to_str().ok()).unwrap_or("tester");
        Ok(Caller { subject: Subject::user(name), source: peer.ip(), scopes: None, user_agent: String::new() })
    }
    async fn permit(&self, caller: &Caller, _: &HeaderMap, repository: &RepositoryName, action: Action) -> Result<(), Refusal> {
        if self.may(caller, repository, action) { Ok(()) } else { Err(Refusal::Denied { message: "not yours".into() }) }
    }
    fn may(&self, caller: &Caller, repository: &RepositoryName, _: Action) -> bool {
        !repository.as_str().starts_with("private/") || caller.subject.name == "owner"
    }
}

#[async_trait]
impl Journal for World {
    async fn record(&self, records: Vec<Record>) -> Result<(), String> {
        if self.unwritable.load(Ordering::SeqCst) {
            return Err("disk full".into());
        }
        self.records.lock().extend(records);
        Ok(())
    }
}

#[async_trait]
impl Gate for World {
    async fn judge(&self, _: ManifestPush) -> Ruling {
        if self.refuse.load(Ordering::SeqCst) {
            return Ruling::Refuse { message: "违反策略 / policy violated".into(), detail: serde_json::json!({"policy": "test"}) };
        }
        Ruling::Permit { decision: None, warnings: vec!["root-user: runs as root".into()] }
    }
}

pub(crate) struct Blind;
struct Nothing;

impl Inspector for Blind {
    fn started(&self, _: PathBuf, _: u64) -> Box<dyn Feed> {
        Box::new(Nothing)
    }
}

impl Feed for Nothing {
    fn available(&self, _: u64) {}
    fn finished(&self, _: &jinwu_model::Digest, _: u64) {}
}

/// A registry on a loopback port and a client for it.
pub(crate) struct Lab {
    pub(crate) registry: Registry,
    pub(crate) world: Arc<World>,
    pub(crate) base: String,
    pub(crate) http: reqwest::Client,
    pub(crate) root: Arc<tempfile::TempDir>,
    serving: tokio::task::JoinHandle<()>,
}

impl Lab {
    pub(crate) async fn new() -> Lab {
        Lab::on(Arc::new(tempfile::tempdir().unwrap()), |_| {}).await
    }

    pub(crate) async fn on(root: Arc<tempfile::TempDir>, adjust: impl FnOnce(&mut Config)) -> Lab {
        let world = Arc::new(World::default());
        let seams = Seams {
            access: Arc::new(Doorman),
            journal: world.clone(),
            gate: world.clone(),
            inspector: Arc::new(Blind),
        };
        let mut config = Config::under(root.path().to_owned());
        adjust(&mut config);
        let registry = tokio::task::spawn_blocking(move || Registry::open(config, seams).unwrap()).await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let app = registry.router().into_make_service_with_connect_info::<SocketAddr>();
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Lab { registry, world, base, http: reqwest::Client::new(), root, serving }
    }

    /// Ends this server and opens its folder again.
    pub(crate) async fn restart(self) -> Lab {
        self.serving.abort();
        let root = self.root.clone();
        drop(self);
        Lab::on(root, |_| {}).await
    }

    pub(crate) fn url(&self, location: &str) -> String {
        if location.starts_with("http") { location.to_owned() } else { format!("{}{location}", self.base) }
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        self.http.get(self.url(path)).send().await.unwrap()
    }

    pub(crate) async fn head(&self, path: &str) -> reqwest::Response {
        self.http.head(self.url(path)).send().await.unwrap()
    }

    pub(crate) async fn delete(&self, path: &str) -> reqwest::Response {
        self.http.delete(self.url(path)).send().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str) -> reqwest::Response {
        self.http.post(self.url(path)).header("content-length", 0).send().await.unwrap()
    }

    /// POST then PUT with the whole body.
    pub(crate) async fn push_blob(&self, repository: &str, bytes: &[u8], algorithm: &str) -> String {
        let digest = digest_of(bytes, algorithm);
        let started = self.post(&format!("/v2/{repository}/blobs/uploads/")).await;
        assert_eq!(started.status(), 202);
        let location = with_query(&self.url(header(&started, "location")), &format!("digest={digest}"));
        let done = self.http.put(location).body(bytes.to_vec()).send().await.unwrap();
        assert_eq!(done.status(), 201, "{}", done.text().await.unwrap());
        digest
    }

    pub(crate) async fn push_manifest(&self, repository: &str, reference: &str, media_type: &str, body: &str) -> reqwest::Response {
        self.http
            .put(self.url(&format!("/v2/{repository}/manifests/{reference}")))
            .header("content-type", media_type)
            .body(body.to_owned())
            .send()
            .await
            .unwrap()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

pub(crate) fn header<'a>(response: &'a reqwest::Response, name: &str) -> &'a str {
    response.headers().get(name).unwrap_or_else(|| panic!("header {name} of {response:?}")).to_str().unwrap()
}

pub(crate) fn digest_of(bytes: &[u8], algorithm: &str) -> String {
    match algorithm {
        "sha512" => format!("sha512:{}", hex::encode(sha2::Sha512::digest(bytes))),
        _ => format!("sha256:{}", hex::encode(sha2::Sha256::digest(bytes))),
    }
}

pub(crate) fn with_query(location: &str, pair: &str) -> String {
    format!("{location}{}{pair}", if location.contains('?') { '&' } else { '?' })
}

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// `n` bytes that do not repeat.
pub(crate) fn noise(seed: u64, n: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..n)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}

pub(crate) fn descriptor(media_type: &str, bytes: &[u8], algorithm: &str) -> serde_json::Value {
    serde_json::json!({"mediaType": media_type, "digest": digest_of(bytes, algorithm), "size": bytes.len()})
}
