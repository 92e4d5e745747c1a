//! Segment files of a ledger folder, and what stands in opening and seal blocks.

use crate::LedgerError;
use crate::block::{BlockError, HEADER, Header};
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Payload of a segment's first block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Opening {
    pub(crate) format: String,
    /// Random name of the ledger, the same in all its segments.
    pub(crate) ledger: String,
    pub(crate) segment: u64,
    /// Unix milliseconds.
    pub(crate) created: i64,
    /// Id of the key that will seal.
    pub(crate) key: String,
}

/// Payload of a segment's last block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Seal {
    pub(crate) ledger: String,
    pub(crate) segment: u64,
    /// Records in the ledger up to and with this segment.
    pub(crate) records: u64,
    /// Hashes of the block before the seal.
    pub(crate) sha256: String,
    pub(crate) sm3: String,
    pub(crate) sealed: i64,
    pub(crate) key: String,
    /// Base64 Ed25519 signature over [`Seal::message`].
    pub(crate) signature: String,
}

impl Seal {
    /// The signed text.
    pub(crate) fn message(&self) -> String {
        format!(
            "jinwu-ledger-seal-v1\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n",
            self.ledger, self.segment, self.records, self.sha256, self.sm3, self.sealed, self.key
        )
    }
}

pub(crate) const FORMAT: &str = "jinwu-ledger-v1";
pub(crate) const PUBLIC_KEY: &str = "public-key.pem";

pub(crate) fn path(dir: &Path, segment: u64) -> PathBuf {
    dir.join(format!("segment-{segment:08}.jwl"))
}

/// Segment numbers present in `dir`, ascending. Unknown files are reported, not ignored.
pub(crate) fn list(dir: &Path) -> Result<(Vec<u64>, Vec<String>), LedgerError> {
    let mut numbers = Vec::new();
    let mut strangers = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|e| LedgerError::io(dir, e))? {
        let name = entry.map_err(|e| LedgerError::io(dir, e))?.file_name().to_string_lossy().into_owned();
        let number = name.strip_prefix("segment-").and_then(|n| n.strip_suffix(".jwl")).and_then(|n| n.parse().ok());
        match number {
            Some(n) if path(dir, n).file_name().is_some_and(|f| f.to_string_lossy() == name) => numbers.push(n),
            _ if name == PUBLIC_KEY => {}
            _ => strangers.push(name),
        }
    }
    numbers.sort_unstable();
    Ok((numbers, strangers))
}

/// A block read from a file.
pub(crate) struct ReadBlock {
    pub(crate) offset: u64,
    pub(crate) header: Header,
    pub(crate) plain: Vec<u8>,
}

/// Reads blocks in order; stops with an error at the first that does not hold.
pub(crate) struct Reader<R> {
    input: R,
    pub(crate) offset: u64,
}

impl<R: Read> Reader<R> {
    pub(crate) fn new(input: R) -> Self {
        Reader { input, offset: 0 }
    }

    /// `Ok(None)` at the end of the file.
    pub(crate) fn next(&mut self) -> Result<Option<ReadBlock>, ReadError> {
        let mut header = [0u8; HEADER];
        let got = fill(&mut self.input, &mut header)?;
        if got == 0 {
            return Ok(None);
        }
        if got < HEADER {
            return Err(BlockError::Cut { have: got as u64, need: HEADER as u64 }.into());
        }
        let parsed = Header::parse(&header)?;
        let mut payload = vec![0; parsed.stored as usize];
        let got = fill(&mut self.input, &mut payload)?;
        if got < payload.len() {
            return Err(BlockError::Cut { have: (HEADER + got) as u64, need: parsed.length() }.into());
        }
        let plain = parsed.open(&header, &payload)?;
        let offset = self.offset;
        self.offset += parsed.length();
        Ok(Some(ReadBlock { offset, header: parsed, plain }))
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error(transparent)]
    Block(#[from] BlockError),
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
}

fn fill(input: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match input.read(&mut buffer[got..]) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(got)
}
