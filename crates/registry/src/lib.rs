//! OCI distribution 1.1 as a server: content-addressed files, transactional metadata, uploads in one
//! pass, referrers, collection.
//!
//! It knows nothing of accounts or policies: [`seam`] holds the four questions it asks (who is
//! this, is this image allowed, look at these bytes, remember this). It parses nothing of an image
//! but its manifest.
//!
//! Crash-only: every answer 201 stands on three syncs (data, directory, metadata), in that order;
//! [`failpoint`] names each step, and opening repairs what a crash left.
#![forbid(unsafe_code)]
#![allow(clippy::result_large_err, reason = "a failure ends its request: it is made once and never carried far")]

pub mod collect;
mod content;
pub mod failpoint;
pub mod http;
pub mod manifest;
pub mod meta;
mod read;
pub mod seam;
pub mod store;
pub mod upload;
pub mod wire;

use seam::Seams;
use std::path::PathBuf;
use std::sync::Arc;

/// How a registry is opened.
#[derive(Clone, Debug)]
pub struct Config {
    /// Content, uploads and metadata live below.
    pub root: PathBuf,
    /// Milliseconds a blob nobody references yet is kept after its last touch.
    pub lease: i64,
    /// Milliseconds an idle upload session is kept.
    pub session_idle: i64,
    /// Open upload sessions of one subject at most.
    pub sessions_per_subject: usize,
}

/// A running registry. Clones share everything.
#[derive(Clone)]
pub struct Registry {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) store: store::Store,
    pub(crate) meta: meta::Meta,
    pub(crate) uploads: upload::Uploads,
    pub(crate) seams: Seams,
    pub(crate) buffers: read::Buffers,
}

/// Why a registry cannot be opened or asked.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("{path}: {source}")]
    Io { path: String, source: std::io::Error },
    #[error("registry metadata: {0}")]
    Meta(#[from] meta::MetaError),
}

impl Config {
    pub fn under(root: PathBuf) -> Self {
        Config { root, lease: 24 * 3600 * 1000, session_idle: 24 * 3600 * 1000, sessions_per_subject: 64 }
    }
}

impl Registry {
    /// Opens the store and repairs what a crash left: half-written files go, content without a row
    /// is verified and leased, rows without content are marked lost so that clients push again.
    pub fn open(config: Config, seams: Seams) -> Result<Self, RegistryError> {
        let store = store::Store::open(&config.root)?;
        let meta = meta::Meta::open(&config.root.join("registry.db"), store.clone())?;
        let uploads = upload::Uploads::open(&config)?;
        collect::repair(&config, &store, &meta)?;
        Ok(Registry { inner: Arc::new(Inner { config, store, meta, uploads, seams, buffers: read::Buffers::default() }) })
    }

    pub fn router(&self) -> axum::Router {
        http::router(self.clone())
    }

    pub fn store(&self) -> &store::Store {
        &self.inner.store
    }

    pub fn meta(&self) -> &meta::Meta {
        &self.inner.meta
    }
}

/// Unix milliseconds.
pub(crate) fn now() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}
