//! Heads: the chain's state after each commit, kept in a second place.
//!
//! A chain proves that nothing inside it changed; it cannot prove that its end was not cut off or
//! that somebody with the sealing key did not write all of it anew. A head kept elsewhere can: at
//! that block, the chain must have that hash.

use crate::LedgerError;
use jinwu_trust::{SigningKey, Twin, VerifyingKey};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};

/// State of the ledger after one block. One JSON line each in the second place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    pub ledger: String,
    pub segment: u64,
    pub block: u32,
    /// Records in the ledger up to and with this block.
    pub records: u64,
    pub sha256: String,
    pub sm3: String,
    /// Base64 Ed25519 signature over the six values, each on a line after `jinwu-ledger-head-v1`.
    pub signature: String,
}

/// Appends heads to a file; keeps only the last of sealed segments when it starts a new one.
pub(crate) struct HeadLog {
    path: PathBuf,
    file: std::fs::File,
}

// === impl Head ===

impl Head {
    pub(crate) fn sign(key: &SigningKey, ledger: &str, segment: u64, block: u32, records: u64, own: Twin) -> Self {
        use base64::Engine as _;
        let mut head = Head {
            ledger: ledger.to_owned(),
            segment,
            block,
            records,
            sha256: hex::encode(own.sha256),
            sm3: hex::encode(own.sm3),
            signature: String::new(),
        };
        head.signature = base64::engine::general_purpose::STANDARD.encode(key.sign(head.message().as_bytes()));
        head
    }

    fn message(&self) -> String {
        format!(
            "jinwu-ledger-head-v1\n{}\n{}\n{}\n{}\n{}\n{}\n",
            self.ledger, self.segment, self.block, self.records, self.sha256, self.sm3
        )
    }

    /// Whether the ledger's key signed this head.
    pub fn signed_by(&self, key: &VerifyingKey) -> bool {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD
            .decode(&self.signature)
            .is_ok_and(|s| key.verify(self.message().as_bytes(), &s))
    }

    /// Reads a file of heads. A torn last line (crash while writing) is left out.
    pub fn read_all(path: &Path) -> Result<Vec<Head>, LedgerError> {
        let file = std::fs::File::open(path).map_err(|e| LedgerError::io(path, e))?;
        let lines: Vec<String> =
            std::io::BufReader::new(file).lines().collect::<Result<_, _>>().map_err(|e| LedgerError::io(path, e))?;
        let mut heads = Vec::with_capacity(lines.len());
        for (i, line) in lines.iter().enumerate() {
            match serde_json::from_str(line) {
                Ok(head) => heads.push(head),
                Err(_) if i + 1 == lines.len() => {}
                Err(e) => {
                    return Err(LedgerError::Damaged {
                        path: path.display().to_string(),
                        offset: i as u64 + 1,
                        detail: format!("line {} is not a head: {e}", i + 1),
                    });
                }
            }
        }
        Ok(heads)
    }
}

// === impl HeadLog ===

impl HeadLog {
    pub(crate) fn open(path: &Path) -> Result<Self, LedgerError> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|e| LedgerError::io(parent, e))?;
        }
        // A torn last line would swallow the next one.
        if let Ok(text) = std::fs::read(path)
            && text.last().is_some_and(|b| *b != b'\n')
        {
            let end = text.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
            std::fs::write(path, &text[..end]).map_err(|e| LedgerError::io(path, e))?;
        }
        Ok(HeadLog { path: path.to_owned(), file: Self::appender(path)? })
    }

    pub(crate) fn append(&mut self, head: &Head) -> Result<(), LedgerError> {
        let mut line = serde_json::to_vec(head).unwrap_or_default();
        line.push(b'\n');
        self.file.write_all(&line).map_err(|e| LedgerError::io(&self.path, e))
    }

    /// After a seal: one head for each sealed segment is enough.
    pub(crate) fn compact(&mut self) -> Result<(), LedgerError> {
        let mut last: std::collections::BTreeMap<u64, Head> = std::collections::BTreeMap::new();
        for head in Head::read_all(&self.path)? {
            last.insert(head.segment, head);
        }
        let mut text = String::new();
        for head in last.values() {
            text.push_str(&serde_json::to_string(head).unwrap_or_default());
            text.push('\n');
        }
        let temporary = self.path.with_extension("new");
        std::fs::write(&temporary, text).map_err(|e| LedgerError::io(&temporary, e))?;
        std::fs::rename(&temporary, &self.path).map_err(|e| LedgerError::io(&self.path, e))?;
        self.file = Self::appender(&self.path)?;
        Ok(())
    }

    pub(crate) fn sync(&self) {
        if let Err(error) = self.file.sync_data() {
            tracing::warn!(path = %self.path.display(), %error, "heads in the second place could not be synced");
        }
    }

    fn appender(path: &Path) -> Result<std::fs::File, LedgerError> {
        std::fs::OpenOptions::new().create(true).append(true).open(path).map_err(|e| LedgerError::io(path, e))
    }
}
