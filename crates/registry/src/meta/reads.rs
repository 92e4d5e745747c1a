//! Questions to the metadata.

use super::{HOT, Meta, MetaError};
use bytes::Bytes;
use jinwu_model::{Digest, Reference, RepositoryName};
use rusqlite::{OptionalExtension, params};
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A manifest as it was pushed.
#[derive(Clone, Debug)]
pub struct StoredManifest {
    pub digest: Digest,
    pub media_type: String,
    pub body: Bytes,
}

/// A descriptor in a referrers answer.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<serde_json::Value>,
}

impl Meta {
    /// A manifest by tag or digest; hot ones come from memory.
    pub fn manifest(&self, repository: &RepositoryName, reference: &Reference) -> Result<Option<Arc<StoredManifest>>, MetaError> {
        let key = (repository.to_string(), reference.to_string());
        if let Some(found) = self.hot.read().get(&key) {
            return Ok(Some(found.clone()));
        }
        let epoch = self.epoch.load(Ordering::SeqCst);
        let found = self.read(|c| {
            let sql = match reference {
                Reference::Digest(_) => "SELECT digest, media_type, body FROM manifest WHERE repository = ?1 AND digest = ?2",
                Reference::Tag(_) => {
                    "SELECT m.digest, m.media_type, m.body FROM tag t JOIN manifest m ON m.repository = t.repository AND m.digest = t.digest
                     WHERE t.repository = ?1 AND t.name = ?2"
                }
            };
            c.prepare_cached(sql)?
                .query_row(params![key.0, key.1], |r| Ok((r.get::<_, String>(0)?, r.get::<_, String>(1)?, r.get::<_, Vec<u8>>(2)?)))
                .optional()
        })?;
        let Some((digest, media_type, body)) = found else { return Ok(None) };
        let Ok(digest) = digest.parse() else { return Ok(None) };
        let manifest = Arc::new(StoredManifest { digest, media_type, body: body.into() });
        let mut hot = self.hot.write();
        if hot.len() >= HOT {
            hot.clear();
        }
        if self.epoch.load(Ordering::SeqCst) == epoch {
            hot.insert(key, manifest.clone());
        }
        Ok(Some(manifest))
    }

    /// Size of a blob that is here, whole and not being collected.
    pub fn blob(&self, digest: &Digest) -> Result<Option<u64>, MetaError> {
        self.read(|c| {
            c.prepare_cached("SELECT size FROM blob WHERE digest = ?1 AND state = 0")?
                .query_row([digest.to_string()], |r| r.get::<_, i64>(0))
                .optional()
        })
        .map(|size| size.map(|s| s as u64))
    }

    /// Whether `subject` may read the blob in this repository: a published manifest there names it,
    /// or they uploaded it there themselves.
    pub fn readable(&self, repository: &RepositoryName, digest: &Digest, subject: &str) -> Result<bool, MetaError> {
        self.read(|c| {
            c.prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM link WHERE repository = ?1 AND digest = ?2 AND uploader = ?3)
                     OR EXISTS (SELECT 1 FROM reference WHERE repository = ?1 AND target = ?2)",
            )?
            .query_row(params![repository.as_str(), digest.to_string(), subject], |r| r.get(0))
        })
    }

    /// Repositories in which a published manifest names this blob, for anonymous mounts.
    pub fn holders(&self, digest: &Digest) -> Result<Vec<String>, MetaError> {
        self.read(|c| {
            c.prepare_cached("SELECT DISTINCT repository FROM reference WHERE target = ?1 UNION SELECT repository FROM link WHERE digest = ?1 LIMIT 1000")?
                .query_map([digest.to_string()], |r| r.get(0))?
                .collect()
        })
    }

    /// Tags after `last` in byte order, at most `n`, and whether there are more.
    pub fn tags(&self, repository: &RepositoryName, last: &str, n: usize) -> Result<(Vec<String>, bool), MetaError> {
        let mut tags: Vec<String> = self.read(|c| {
            c.prepare_cached("SELECT name FROM tag WHERE repository = ?1 AND name > ?2 ORDER BY name LIMIT ?3")?
                .query_map(params![repository.as_str(), last, n as i64 + 1], |r| r.get(0))?
                .collect()
        })?;
        let more = tags.len() > n;
        tags.truncate(n);
        Ok((tags, more))
    }

    /// Whether anything was ever published or uploaded under this name.
    pub fn knows(&self, repository: &RepositoryName) -> Result<bool, MetaError> {
        self.read(|c| {
            c.prepare_cached("SELECT EXISTS (SELECT 1 FROM manifest WHERE repository = ?1) OR EXISTS (SELECT 1 FROM link WHERE repository = ?1)")?
                .query_row([repository.as_str()], |r| r.get(0))
        })
    }

    /// Repositories with a published manifest, after `last`, in byte order; all of them up to 10 000.
    pub fn repositories(&self, last: &str) -> Result<Vec<String>, MetaError> {
        self.read(|c| {
            c.prepare_cached("SELECT DISTINCT repository FROM manifest WHERE repository > ?1 ORDER BY repository LIMIT 10000")?
                .query_map([last], |r| r.get(0))?
                .collect()
        })
    }

    /// Manifests whose subject is `digest`, in digest order.
    pub fn referrers(&self, repository: &RepositoryName, digest: &Digest) -> Result<Vec<Descriptor>, MetaError> {
        type Row = (String, String, i64, Option<String>, Option<String>);
        let rows: Vec<Row> = self.read(|c| {
            c.prepare_cached(
                "SELECT media_type, digest, length(body), artifact_type, annotations FROM manifest WHERE repository = ?1 AND subject = ?2 ORDER BY digest",
            )?
            .query_map(params![repository.as_str(), digest.to_string()], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?)))?
            .collect()
        })?;
        Ok(rows
            .into_iter()
            .filter_map(|(media_type, digest, size, artifact_type, annotations)| {
                Some(Descriptor {
                    media_type,
                    digest: digest.parse().ok()?,
                    size: size as u64,
                    artifact_type,
                    annotations: annotations.and_then(|a| serde_json::from_str(&a).ok()),
                })
            })
            .collect())
    }

    /// A repository of the project that holds a manifest, if any does.
    pub fn first_repository(&self, project: &jinwu_model::ProjectName) -> Result<Option<String>, MetaError> {
        let (whole, from, upto) = (project.to_string(), format!("{project}/"), format!("{project}0"));
        self.read(|c| {
            // '0' follows '/' in ASCII.
            c.prepare_cached("SELECT repository FROM manifest WHERE repository = ?1 OR (repository >= ?2 AND repository < ?3) LIMIT 1")?
                .query_row(params![whole, from, upto], |r| r.get(0))
                .optional()
        })
    }

    /// Digests of all blobs of which the rows say they are here.
    pub fn blobs(&self) -> Result<Vec<(String, u64)>, MetaError> {
        self.read(|c| {
            c.prepare("SELECT digest, size FROM blob WHERE state = 0")?
                .query_map([], |r| Ok((r.get(0)?, r.get::<_, i64>(1)? as u64)))?
                .collect()
        })
    }
}
