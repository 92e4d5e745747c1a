//! Changes to the metadata.

use super::{Meta, MetaError};
use jinwu_model::{Digest, RepositoryName, Tag};
use rusqlite::{Connection, params};
use std::path::PathBuf;

/// What a published manifest leaves in the tables.
pub struct ManifestRow {
    pub repository: RepositoryName,
    pub digest: Digest,
    pub media_type: String,
    pub body: Vec<u8>,
    pub subject: Option<Digest>,
    pub artifact_type: Option<String>,
    pub annotations: Option<String>,
    /// Blobs and manifests it names; they must be here when it is published.
    pub references: Vec<Digest>,
    /// Those of them that must exist as blobs.
    pub blobs: Vec<Digest>,
    pub tags: Vec<Tag>,
}

/// Outcome of publishing a manifest.
#[derive(Debug, PartialEq, Eq)]
pub enum Published {
    Done,
    /// This blob went between the check and now; the client pushes it again.
    Missing(Digest),
}

const UPSERT_BLOB: &str = "INSERT INTO blob (digest, size, state, lease) VALUES (?1, ?2, 0, ?3)
     ON CONFLICT (digest) DO UPDATE SET size = ?2, state = 0, lease = max(lease, ?3)";
const UPSERT_LINK: &str = "INSERT INTO link VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";

impl Meta {
    /// Moves a finished upload into place and makes it the repository's: one turn of the writer.
    pub async fn publish_blob(
        &self,
        from: PathBuf,
        repository: &RepositoryName,
        digest: &Digest,
        size: u64,
        uploader: &str,
        lease: i64,
    ) -> Result<(), MetaError> {
        let to = self.store.path(digest);
        let (repository, digest, uploader) = (repository.to_string(), digest.to_string(), uploader.to_owned());
        self.write(Some((from, to)), move |c| {
            c.prepare_cached(UPSERT_BLOB)?.execute(params![digest, size as i64, lease])?;
            c.prepare_cached(UPSERT_LINK)?.execute(params![repository, digest, uploader])?;
            Ok(())
        })
        .await
    }

    /// Links a blob that is here into a repository and renews its lease. False when it is not here.
    pub async fn link(&self, repository: &RepositoryName, digest: &Digest, uploader: &str, lease: i64) -> Result<bool, MetaError> {
        let (repository, digest, uploader) = (repository.to_string(), digest.to_string(), uploader.to_owned());
        self.write(None, move |c| {
            let here = c.execute("UPDATE blob SET lease = max(lease, ?2) WHERE digest = ?1 AND state = 0", params![digest, lease])?;
            if here == 0 {
                return Ok(false);
            }
            c.prepare_cached(UPSERT_LINK)?.execute(params![repository, digest, uploader])?;
            Ok(true)
        })
        .await
    }

    /// Publishes a manifest and its tags in one transaction, if every blob is still here.
    pub async fn publish_manifest(&self, row: ManifestRow) -> Result<Published, MetaError> {
        let repository = row.repository.to_string();
        let outcome = self.write(None, move |c| publish(c, &row)).await;
        self.forget(&repository);
        outcome
    }

    /// Takes a tag away. False when there is none.
    pub async fn delete_tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<bool, MetaError> {
        let (r, tag) = (repository.to_string(), tag.to_string());
        let outcome =
            self.write(None, move |c| Ok(c.execute("DELETE FROM tag WHERE repository = ?1 AND name = ?2", params![r, tag])? > 0)).await;
        self.forget(repository.as_str());
        outcome
    }

    /// Takes a manifest and every tag that points to it away. Its blobs keep a lease of their own.
    pub async fn delete_manifest(&self, repository: &RepositoryName, digest: &Digest, lease: i64) -> Result<bool, MetaError> {
        let (r, d) = (repository.to_string(), digest.to_string());
        let outcome = self
            .write(None, move |c| {
                c.execute(
                    "UPDATE blob SET lease = max(lease, ?3) WHERE digest IN (SELECT target FROM reference WHERE repository = ?1 AND manifest = ?2)",
                    params![r, d, lease],
                )?;
                c.execute("DELETE FROM tag WHERE repository = ?1 AND digest = ?2", params![r, d])?;
                c.execute("DELETE FROM reference WHERE repository = ?1 AND manifest = ?2", params![r, d])?;
                Ok(c.execute("DELETE FROM manifest WHERE repository = ?1 AND digest = ?2", params![r, d])? > 0)
            })
            .await;
        self.forget(repository.as_str());
        outcome
    }

    /// Takes a blob out of a repository (not its bytes). `None` when it is not there, `Some(false)`
    /// when a published manifest still names it.
    pub async fn unlink(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<bool>, MetaError> {
        let (r, d) = (repository.to_string(), digest.to_string());
        self.write(None, move |c| {
            let named: bool =
                c.query_row("SELECT EXISTS (SELECT 1 FROM reference WHERE repository = ?1 AND target = ?2)", params![r, d], |x| x.get(0))?;
            if named {
                return Ok(Some(false));
            }
            Ok((c.execute("DELETE FROM link WHERE repository = ?1 AND digest = ?2", params![r, d])? > 0).then_some(true))
        })
        .await
    }

    /// A refused push: its blobs lose their lease, so the next collection takes what nothing names.
    pub async fn release(&self, digests: Vec<Digest>) -> Result<(), MetaError> {
        self.write(None, move |c| {
            for digest in digests {
                c.prepare_cached("UPDATE blob SET lease = 0 WHERE digest = ?1")?.execute([digest.to_string()])?;
            }
            Ok(())
        })
        .await
    }

    /// The bytes turned out damaged or gone.
    pub async fn lost(&self, digest: &Digest) -> Result<(), MetaError> {
        let d = digest.to_string();
        self.write(None, move |c| Ok(c.execute("UPDATE blob SET state = 2 WHERE digest = ?1", [d]).map(drop)?)).await
    }
}

fn publish(c: &Connection, row: &ManifestRow) -> Result<Published, MetaError> {
    for blob in &row.blobs {
        let here: bool = c
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM blob WHERE digest = ?1 AND state = 0)")?
            .query_row([blob.to_string()], |r| r.get(0))?;
        if !here {
            return Ok(Published::Missing(blob.clone()));
        }
    }
    let (r, d) = (row.repository.as_str(), row.digest.to_string());
    c.prepare_cached(
        "INSERT INTO manifest VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (repository, digest) DO UPDATE SET media_type = ?3, pushed = ?8",
    )?
    .execute(params![
        r,
        d,
        row.media_type,
        row.body,
        row.subject.as_ref().map(ToString::to_string),
        row.artifact_type,
        row.annotations,
        crate::now()
    ])?;
    for target in &row.references {
        c.prepare_cached("INSERT INTO reference VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?.execute(params![r, d, target.to_string()])?;
    }
    for tag in &row.tags {
        c.prepare_cached("INSERT INTO tag VALUES (?1, ?2, ?3, ?4) ON CONFLICT (repository, name) DO UPDATE SET digest = ?3, updated = ?4")?
            .execute(params![r, tag.as_str(), d, crate::now()])?;
    }
    Ok(Published::Done)
}
