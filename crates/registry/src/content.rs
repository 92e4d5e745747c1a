//! What a manifest names, as it is stored.

use crate::Registry;
use crate::manifest::Parsed;
use crate::seam::Layer;
use bytes::Bytes;

/// A configuration larger than this is not handed to the gate.
const MAX_CONFIG: u64 = 4 << 20;

impl Registry {
    /// The bytes stored of a blob of at most `most`, as they are; none where it is missing or larger.
    pub fn small_blob(&self, digest: &jinwu_model::Digest, most: u64) -> Option<Vec<u8>> {
        let path = self.inner.store.path(digest);
        std::fs::metadata(&path).ok().filter(|m| m.len() <= most).and_then(|_| std::fs::read(&path).ok())
    }

    /// The configuration's bytes, where it has one of at most 4 MiB, and the layers in order.
    pub async fn content(&self, manifest: &Parsed) -> (Option<Bytes>, Vec<Layer>) {
        let store = &self.inner.store;
        let config = match &manifest.config {
            Some(entry) if entry.size <= MAX_CONFIG => tokio::fs::read(store.path(&entry.digest)).await.ok().map(Bytes::from),
            _ => None,
        };
        // A foreign layer that was pushed all the same is examined like any other.
        let layers = manifest
            .layers
            .iter()
            .map(|l| Layer {
                digest: l.digest.clone(),
                size: l.size,
                media_type: l.media_type.clone(),
                path: Some(store.path(&l.digest)).filter(|p| !l.is_foreign() || p.exists()),
            })
            .collect();
        (config, layers)
    }
}
