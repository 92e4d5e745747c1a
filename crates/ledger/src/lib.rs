//! The ledger: an append-only, hash-chained, sealed and signed list of audit records.
//!
//! * [`block`] is the byte format: everything in a segment file is a block, every block carries the
//!   hashes (SHA-256 and SM3) of the one before it and of itself, so every byte is covered.
//! * [`Ledger`] appends with group commit: [`Ledger::append`] returns when the record is on disk.
//! * [`verify`](mod@verify) needs the folder alone (segments and public key), no server.
//! * [`heads`] are the chain's latest hashes, kept in a second place: they reveal a truncation or a
//!   rewrite of the whole, which no chain can reveal by itself.
//! * [`index`] answers searches; it is derived from the segments and can be deleted at any time.
//!
//! The format is described for re-implementers in `docs/zh/ledger-format.md` (English beside it).
#![forbid(unsafe_code)]

pub mod block;
pub mod heads;
pub mod index;
mod segments;
pub mod verify;
mod writer;

pub use heads::Head;
pub use index::{Found, Query};
pub use verify::{Fault, Verification, verify};
pub use writer::{Config, Ledger};

/// Why the ledger cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("ledger file {path}: {source}")]
    Io {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("ledger {path} is damaged at byte {offset}: {detail}; run `jinwu ledger verify`, keep the file as evidence, restore from the second place")]
    Damaged { path: String, offset: u64, detail: String },
    #[error("ledger cannot be written ({0}); nothing that must be recorded goes through until it can")]
    Unwritable(String),
    #[error("ledger index: {0}")]
    Index(#[from] rusqlite::Error),
    #[error("ledger index: {0}")]
    Query(String),
    #[error(transparent)]
    Trust(#[from] jinwu_trust::TrustError),
}

impl LedgerError {
    pub(crate) fn io(path: &std::path::Path, source: std::io::Error) -> Self {
        LedgerError::Io { path: path.display().to_string(), source }
    }
}
