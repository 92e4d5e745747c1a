//! What the registry asks others: who is this, may this image come in, look at these bytes,
//! remember this.

use async_trait::async_trait;
use axum::http::HeaderMap;
use bytes::Bytes;
use jinwu_model::{Digest, Record, RepositoryName, Subject, Tag};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

/// The four together.
#[derive(Clone)]
pub struct Seams {
    pub access: Arc<dyn Access>,
    pub journal: Arc<dyn Journal>,
    pub gate: Arc<dyn Gate>,
    pub inspector: Arc<dyn Inspector>,
}

/// What can be done to a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    Pull,
    Push,
    Delete,
}

/// Who asks, and from where.
#[derive(Clone, Debug)]
pub struct Caller {
    pub subject: Subject,
    /// True source address.
    pub source: IpAddr,
    /// What a bearer token is limited to; `None` when the caller is not limited by one.
    pub scopes: Option<Vec<(String, Vec<Action>)>>,
    pub user_agent: String,
}

/// Why somebody is not let in.
#[derive(Clone, Debug)]
pub enum Refusal {
    /// 401 with this WWW-Authenticate challenge.
    Challenge { header: String, message: String },
    /// 403.
    Denied { message: String },
    /// 503: nothing can be decided or recorded now.
    Unavailable { message: String },
}

#[async_trait]
pub trait Access: Send + Sync + 'static {
    /// Who is this? `needed` only shapes the challenge.
    async fn authenticate(&self, headers: &HeaderMap, peer: SocketAddr, needed: &[(RepositoryName, Action)]) -> Result<Caller, Refusal>;

    /// May the caller do this here, now? `Err` says how to refuse; `headers` only shape a challenge.
    async fn permit(&self, caller: &Caller, headers: &HeaderMap, repository: &RepositoryName, action: Action) -> Result<(), Refusal>;

    /// The same without recording a refusal: used where a refusal must look like absence.
    fn may(&self, caller: &Caller, repository: &RepositoryName, action: Action) -> bool;
}

/// Remembers. Returns when durable; on an error the registry does not go on.
#[async_trait]
pub trait Journal: Send + Sync + 'static {
    async fn record(&self, records: Vec<Record>) -> Result<(), String>;
}

/// A manifest about to be published; everything it references is present.
pub struct ManifestPush {
    pub repository: RepositoryName,
    pub tags: Vec<Tag>,
    pub digest: Digest,
    pub media_type: String,
    pub bytes: Bytes,
    /// Bytes of the configuration blob, when the manifest has one of at most 4 MiB.
    pub config: Option<Bytes>,
    pub layers: Vec<Layer>,
    pub caller: Caller,
}

/// A layer descriptor as the manifest has it.
#[derive(Clone, Debug)]
pub struct Layer {
    pub digest: Digest,
    pub size: u64,
    pub media_type: String,
    /// Where its bytes are; `None` for a foreign layer that is not here.
    pub path: Option<PathBuf>,
}

/// The gate's answer.
pub enum Ruling {
    /// Go on; warnings are shown to the client (RFC 9111 `Warning: 299`).
    Permit { decision: Option<String>, warnings: Vec<String> },
    /// 403 DENIED with this text; the refusal is recorded already.
    Refuse { message: String, detail: serde_json::Value },
    /// 503.
    Unavailable { message: String },
}

#[async_trait]
pub trait Gate: Send + Sync + 'static {
    async fn judge(&self, push: ManifestPush) -> Ruling;
}

/// Looks at bytes as they arrive.
pub trait Inspector: Send + Sync + 'static {
    /// An upload writes to `path`; what it has so far is `have` bytes. The file keeps its content
    /// when the upload is finished and moved, so an open descriptor stays good.
    fn started(&self, path: PathBuf, have: u64) -> Box<dyn Feed>;
}

/// Progress of one upload. Never blocks, never fails the upload; dropping it means aborted.
pub trait Feed: Send + Sync {
    /// Bytes up to here can be read.
    fn available(&self, upto: u64);
    /// Complete: these bytes are the blob `digest`, `size` bytes long.
    fn finished(&self, digest: &Digest, size: u64);
}
