//! Collection and repair.
//!
//! A blob may go when no published manifest names it and its lease is over. Both are checked, and
//! the file is removed, inside the writer's turn: a push of the same blob comes before it (and then
//! holds a lease) or after it (and then brings its bytes).

use crate::meta::{Meta, MetaError};
use crate::store::{self, Store};
use crate::{Config, Registry, RegistryError, now};
use jinwu_model::Digest;
use rusqlite::params;

/// What a collection took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Collected {
    pub blobs: u64,
    pub bytes: u64,
}

/// What a scrub found.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Scrubbed {
    pub blobs: u64,
    pub damaged: Vec<String>,
}

const BATCH: usize = 64;

impl Registry {
    /// One full collection, in small turns so that pushes go on beside it.
    pub async fn collect(&self) -> Result<Collected, MetaError> {
        let mut total = Collected::default();
        loop {
            let store = self.inner.store.clone();
            let (blobs, bytes) = self
                .inner
                .meta
                .write(None, move |c| {
                    let rows: Vec<(String, i64)> = c
                        .prepare_cached(
                            "SELECT digest, size FROM blob b WHERE lease < ?1 AND NOT EXISTS (SELECT 1 FROM reference r WHERE r.target = b.digest) LIMIT ?2",
                        )?
                        .query_map(params![now(), BATCH as i64], |r| Ok((r.get(0)?, r.get(1)?)))?
                        .collect::<Result<_, _>>()?;
                    let mut bytes = 0;
                    for (text, size) in &rows {
                        if let Ok(digest) = text.parse::<Digest>() {
                            match std::fs::remove_file(store.path(&digest)) {
                                Ok(()) => bytes += *size as u64,
                                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                                Err(source) => return Err(MetaError::Io { path: text.clone(), source }),
                            }
                        }
                        c.execute("DELETE FROM link WHERE digest = ?1", [text])?;
                        c.execute("DELETE FROM blob WHERE digest = ?1", [text])?;
                    }
                    Ok((rows.len() as u64, bytes))
                })
                .await?;
            total.blobs += blobs;
            total.bytes += bytes;
            if blobs < BATCH as u64 {
                return Ok(total);
            }
        }
    }

    /// Reads every blob again; damaged ones go to quarantine and count as lost from then on.
    pub async fn scrub(&self) -> Result<Scrubbed, MetaError> {
        let mut out = Scrubbed::default();
        for (text, size) in self.inner.meta.blobs()? {
            let Ok(digest) = text.parse::<Digest>() else { continue };
            out.blobs += 1;
            let store = self.inner.store.clone();
            let checked = digest.clone();
            let good = tokio::task::spawn_blocking(move || intact(&store, &checked, size)).await.unwrap_or(false);
            if !good {
                out.damaged.push(text);
                let _ = self.inner.store.quarantine(&digest);
                self.inner.meta.lost(&digest).await?;
            }
        }
        Ok(out)
    }
}

/// What a crash can leave: content without a row (leased once verified), rows without content
/// (lost). Quick: sizes are compared, only strangers are hashed.
pub(crate) fn repair(config: &Config, store: &Store, meta: &Meta) -> Result<(), RegistryError> {
    let files: std::collections::HashMap<String, u64> = store
        .walk()
        .map_err(|source| RegistryError::Io { path: config.root.display().to_string(), source })?
        .into_iter()
        .map(|(d, n)| (d.to_string(), n))
        .collect();
    let rows: std::collections::HashMap<String, u64> = meta.blobs()?.into_iter().collect();
    let lost: Vec<String> = rows.iter().filter(|(d, size)| files.get(*d) != Some(size)).map(|(d, _)| d.clone()).collect();
    let mut found = Vec::new();
    for (text, size) in files.iter().filter(|(d, _)| !rows.contains_key(*d)) {
        let Ok(digest) = text.parse::<Digest>() else { continue };
        if intact(store, &digest, *size) {
            found.push((text.clone(), *size));
        } else {
            tracing::warn!(digest = %digest, "content that does not match its name goes to quarantine");
            let _ = store.quarantine(&digest);
        }
    }
    if !lost.is_empty() {
        tracing::error!(count = lost.len(), "blobs are gone or have the wrong size; they answer 404 until pushed again");
    }
    let lease = now() + config.lease;
    meta.write_blocking(move |c| {
        for digest in &lost {
            c.execute("UPDATE blob SET state = 2 WHERE digest = ?1", [digest])?;
        }
        for (digest, size) in &found {
            c.execute(
                "INSERT INTO blob VALUES (?1, ?2, 0, ?3) ON CONFLICT (digest) DO UPDATE SET size = ?2, state = 0, lease = ?3",
                params![digest, *size as i64, lease],
            )?;
        }
        Ok(())
    })?;
    Ok(())
}

fn intact(store: &Store, digest: &Digest, size: u64) -> bool {
    match store::hash_file(&store.path(digest), digest.algorithm()) {
        Ok((hasher, n)) => n == size && hasher.finish().as_ref() == Some(digest),
        Err(_) => false,
    }
}
