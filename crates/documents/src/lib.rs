//! Small state that is read on every request (accounts, policies' modes): it lives in its owner's
//! memory and is written through to one SQLite table of documents by kind and id.
#![forbid(unsafe_code)]

use rusqlite::{Connection, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What went wrong with the file, in words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DocumentError(String);

impl From<rusqlite::Error> for DocumentError {
    fn from(e: rusqlite::Error) -> Self {
        DocumentError(e.to_string())
    }
}

/// One database of documents.
pub struct Store {
    connection: Mutex<Connection>,
}

/// A document to write, or to remove when `body` is `None`.
pub struct Write {
    kind: &'static str,
    id: String,
    body: Option<String>,
}

impl Write {
    /// Writes or replaces a document.
    pub fn put(kind: &'static str, id: &str, value: &impl Serialize) -> Result<Self, DocumentError> {
        let body = serde_json::to_string(value).map_err(|e| DocumentError(e.to_string()))?;
        Ok(Write { kind, id: id.to_owned(), body: Some(body) })
    }

    /// Removes a document; removing none is no error.
    pub fn remove(kind: &'static str, id: &str) -> Self {
        Write { kind, id: id.to_owned(), body: None }
    }
}

impl Store {
    /// Opens or makes the database at `path`, mode 0600.
    pub fn open(path: &Path) -> Result<Self, DocumentError> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|e| DocumentError(format!("{}: {e}", parent.display())))?;
        }
        let connection = Connection::open(path)?;
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
            .map_err(|e| DocumentError(format!("{}: {e}", path.display())))?;
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
                return Err(DocumentError(format!(
                    "{} is of format {newer}, made by a newer version; run that version",
                    path.display()
                )));
            }
        }
        Ok(Store { connection: Mutex::new(connection) })
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All documents of a kind by id.
    pub fn load<T: DeserializeOwned>(&self, kind: &str) -> Result<BTreeMap<String, T>, DocumentError> {
        let connection = self.connection();
        let mut statement = connection.prepare("SELECT id, body FROM document WHERE kind = ?1")?;
        let rows = statement.query_map([kind], |r| Ok((r.get::<_, String>(0)?, r.get::<_, String>(1)?)))?;
        let mut out = BTreeMap::new();
        for row in rows {
            let (id, body) = row?;
            let value = serde_json::from_str(&body).map_err(|e| DocumentError(format!("{kind} {id}: {e}")))?;
            out.insert(id, value);
        }
        Ok(out)
    }

    /// All writes in one durable transaction.
    pub fn apply(&self, writes: &[Write]) -> Result<(), DocumentError> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_survive_and_a_newer_format_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("d.db");
        let store = Store::open(&path).unwrap();
        store.apply(&[Write::put("k", "a", &1).unwrap(), Write::put("k", "b", &2).unwrap()]).unwrap();
        store.apply(&[Write::remove("k", "a"), Write::put("k", "b", &3).unwrap()]).unwrap();
        drop(store);
        let store = Store::open(&path).unwrap();
        assert_eq!(store.load::<i32>("k").unwrap(), BTreeMap::from([("b".to_owned(), 3)]));
        store.connection().execute_batch("PRAGMA user_version = 9").unwrap();
        drop(store);
        assert!(Store::open(&path).err().unwrap().to_string().contains("newer version"));
    }
}
