//! The bytes of a database: part of the program, owned, or a mapped file. The only unsafe call of this
//! crate stands here.

use std::fs::File;
use std::ops::Deref;
use std::sync::Arc;

#[derive(Clone)]
pub(crate) enum Bytes {
    Static(&'static [u8]),
    Owned(Arc<[u8]>),
    Mapped(Arc<memmap2::Mmap>),
}

// === impl Bytes ===

impl Bytes {
    /// Maps a file for reading.
    pub(crate) fn map(file: &File) -> std::io::Result<Self> {
        #[allow(unsafe_code)]
        // SAFETY: the mapping is private and read-only. Its one hazard is another process changing the file
        // under it: database files are written once under a temporary name and moved into place (see
        // `sign::write`), never changed, and the folder belongs to the service account. Every read from the mapping
        // goes through bounds-checked slices, so changed bytes would give a wrong or refused answer, not
        // undefined control flow; a file cut short while mapped raises SIGBUS, which ends the worker.
        let mapped = unsafe { memmap2::Mmap::map(file)? };
        Ok(Bytes::Mapped(Arc::new(mapped)))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Static(b) => b,
            Bytes::Owned(b) => b,
            Bytes::Mapped(m) => m,
        }
    }
}
