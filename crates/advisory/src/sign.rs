//! Signing a compiled database and putting it in place.

use crate::database::DatabaseError;
use jinwu_advisory_compiler::format;
use jinwu_trust::SigningKey;
use std::io::Write as _;
use std::path::Path;

/// The database with its signature: Ed25519 over the SHA-256 that stands in its header.
///
/// Errors when `database` is not an unsigned, undamaged database.
pub fn sign(database: &[u8], key: &SigningKey) -> Result<Vec<u8>, DatabaseError> {
    crate::Database::from_bytes(database.to_vec())?;
    let public = key.verifying_key().to_bytes();
    format::with_trailer(database, &public, |hash| key.sign(hash)).ok_or(DatabaseError::Cut { have: database.len(), need: format::HEADER })
}

/// Writes `bytes` to `path` so that a reader finds the old file or the new one, never a part: a
/// temporary file beside it, flushed to the disk, moved into place.
pub fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = (|| {
        let mut file = std::fs::File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        match path.parent().filter(|p| !p.as_os_str().is_empty()) {
            Some(folder) => std::fs::File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}
