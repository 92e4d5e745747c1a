//! The document store beneath identity: one SQLite table, documents by kind and id.

use crate::IdentityError;
use rusqlite::{Connection, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::Path;

pub struct Store {
    connection: Connection,
}

/// A document to write, or to remove when `body` is `None`.
pub(crate) struct Write {
    kind: &'static str,
    id: String,
    body: Option<String>,
}

impl Write {
    pub(crate) fn put(kind: &'static str, id: &str, value: &impl Serialize) -> Result<Self, IdentityError> {
        let body = serde_json::to_string(value).map_err(|e| IdentityError::Storage(e.to_string()))?;
        Ok(Write { kind, id: id.to_owned(), body: Some(body) })
    }

    pub(crate) fn remove(kind: &'static str, id: &str) -> Self {
        Write { kind, id: id.to_owned(), body: None }
    }
}

impl Store {
    /// Opens or makes the database at `path`, mode 0600.
    pub fn open(path: &Path) -> Result<Self, IdentityError> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|e| IdentityError::Storage(format!("{}: {e}", parent.display())))?;
        }
        let connection = Connection::open(path)?;
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
            .map_err(|e| IdentityError::Storage(format!("{}: {e}", path.display())))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        let version: i64 = connection.query_row("PRAGMA user_version", [], |r| r.get(0))?;
        match version {
            0 => connection.execute_batch(
                "CREATE TABLE document (kind TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, id)) STRICT;
                 PRAGMA user_version = 1;",
            )?,
            1 => {}
            newer => {
                return Err(IdentityError::Storage(format!(
                    "{} is of format {newer}, made by a newer version; run that version",
                    path.display()
                )));
            }
        }
        Ok(Store { connection })
    }

    pub(crate) fn load<T: DeserializeOwned>(&self, kind: &str) -> Result<BTreeMap<String, T>, IdentityError> {
        let mut statement = self.connection.prepare("SELECT id, body FROM document WHERE kind = ?1")?;
        let rows = statement.query_map([kind], |r| Ok((r.get::<_, String>(0)?, r.get::<_, String>(1)?)))?;
        let mut out = BTreeMap::new();
        for row in rows {
            let (id, body) = row?;
            let value = serde_json::from_str(&body).map_err(|e| IdentityError::Storage(format!("{kind} {id}: {e}")))?;
            out.insert(id, value);
        }
        Ok(out)
    }

    /// All writes in one transaction.
    pub(crate) fn apply(&mut self, writes: &[Write]) -> Result<(), IdentityError> {
        let transaction = self.connection.transaction()?;
        for write in writes {
            match &write.body {
                Some(body) => transaction.execute(
                    "INSERT INTO document VALUES (?1, ?2, ?3) ON CONFLICT (kind, id) DO UPDATE SET body = ?3",
                    params![write.kind, write.id, body],
                )?,
                None => transaction.execute("DELETE FROM document WHERE kind = ?1 AND id = ?2", params![write.kind, write.id])?,
            };
        }
        transaction.commit()?;
        Ok(())
    }
}
