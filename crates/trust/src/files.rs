//! Key files: private to their owner, written whole or not at all.

use crate::TrustError;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes `bytes` to `path` with `mode`, through a temporary neighbour that is synced and renamed,
/// so that a crash leaves the old file or the new one.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), TrustError> {
    let failed = |source| TrustError::File { path: path.display().to_string(), source };
    let temporary = path.with_extension("new");
    let _ = std::fs::remove_file(&temporary);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&temporary)
        .map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&temporary, path).map_err(failed)?;
    if let Some(parent) = path.parent() {
        std::fs::File::open(parent).and_then(|dir| dir.sync_all()).map_err(failed)?;
    }
    Ok(())
}

/// Reads a file of at most 1 MiB.
pub fn read(path: &Path) -> Result<Vec<u8>, TrustError> {
    let failed = |source| TrustError::File { path: path.display().to_string(), source };
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > 1 << 20 {
        return Err(TrustError::Malformed {
            path: path.display().to_string(),
            what: "key or certificate",
            detail: format!("{size} bytes is too large"),
        });
    }
    std::fs::read(path).map_err(failed)
}
