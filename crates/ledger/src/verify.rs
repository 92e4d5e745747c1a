//! Verification without a server: the folder, its public key, and, for what a chain cannot show
//! by itself, heads from a second place.

use crate::LedgerError;
use crate::block::Kind;
use crate::heads::Head;
use crate::segments::{self, FORMAT, Opening, PUBLIC_KEY, Reader, Seal};
use jinwu_trust::{Twin, VerifyingKey};
use serde::Serialize;
use std::collections::HashMap;
use std::path::Path;

/// What verification found.
#[derive(Clone, Debug, Serialize)]
pub struct Verification {
    /// True when every check that could be made held.
    pub intact: bool,
    pub ledger: String,
    pub segments: u64,
    pub sealed: u64,
    pub records: u64,
    pub bytes: u64,
    /// Records after the last seal: chained, not yet signed.
    pub unsealed_records: u64,
    pub heads_checked: u64,
    pub faults: Vec<Fault>,
    /// What this run could not exclude, in words.
    pub cannot_exclude: Vec<String>,
}

/// One thing that does not hold, named by file and byte.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fault {
    pub file: String,
    pub offset: u64,
    /// Number of the first record affected.
    pub record: u64,
    pub detail: String,
}

struct Walk<'a> {
    dir: &'a Path,
    key: VerifyingKey,
    heads: HashMap<(u64, u32), Vec<&'a Head>>,
    out: Verification,
    last: Twin,
    next_record: u64,
}

/// Verifies the ledger in `dir`. `heads`: heads kept elsewhere, or none.
///
/// An `Err` means nothing could be checked (no folder, no key); damage is in the result.
pub fn verify(dir: &Path, heads: Option<&[Head]>) -> Result<Verification, LedgerError> {
    let key = VerifyingKey::load(&dir.join(PUBLIC_KEY))?;
    let (numbers, strangers) = segments::list(dir)?;
    let mut by_block: HashMap<(u64, u32), Vec<&Head>> = HashMap::new();
    for head in heads.unwrap_or_default() {
        by_block.entry((head.segment, head.block)).or_default().push(head);
    }
    let mut walk = Walk {
        dir,
        key,
        heads: by_block,
        out: Verification {
            intact: true,
            ledger: String::new(),
            segments: numbers.len() as u64,
            sealed: 0,
            records: 0,
            bytes: 0,
            unsealed_records: 0,
            heads_checked: 0,
            faults: Vec::new(),
            cannot_exclude: Vec::new(),
        },
        last: Twin::ZERO,
        next_record: 1,
    };
    for name in strangers {
        walk.fault(name, 0, "does not belong in a ledger folder".into());
    }
    if numbers.is_empty() {
        walk.fault(segments::path(dir, 1).file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default(), 0, "segment is missing: the folder holds none".into());
    }
    let mut expected = 1;
    for (i, number) in numbers.iter().enumerate() {
        for missing in expected..*number {
            walk.fault(file_name(missing), 0, format!("segment {missing} is missing"));
        }
        expected = number + 1;
        if !walk.segment(*number, i + 1 == numbers.len())? {
            break;
        }
    }
    Ok(walk.finish(heads))
}

// === impl Walk ===

impl Walk<'_> {
    /// Checks one segment; false when the chain is broken so that what follows cannot be tied to it.
    fn segment(&mut self, number: u64, is_last: bool) -> Result<bool, LedgerError> {
        let path = segments::path(self.dir, number);
        let name = file_name(number);
        let file = std::fs::File::open(&path).map_err(|e| LedgerError::io(&path, e))?;
        self.out.bytes += file.metadata().map_err(|e| LedgerError::io(&path, e))?.len();
        let mut reader = Reader::new(std::io::BufReader::with_capacity(1 << 20, file));
        let mut block = 0u32;
        let mut sealed = false;
        let start = self.next_record;
        loop {
            let found = match reader.next() {
                Ok(Some(found)) => found,
                Ok(None) => break,
                Err(error) => {
                    self.fault(name, reader.offset, format!("block {block}: {error}"));
                    return Ok(false);
                }
            };
            let h = &found.header;
            if sealed {
                self.fault(name.clone(), found.offset, "a block follows the seal".into());
            }
            if h.previous != self.last {
                self.fault(name, found.offset, format!("block {block} does not follow the block before it: something is missing, swapped or rewritten"));
                return Ok(false);
            }
            if h.number != block || h.first_record != self.next_record {
                self.fault(name, found.offset, format!("block says it is number {} with record {}, expected {block} with {}", h.number, h.first_record, self.next_record));
                return Ok(false);
            }
            match (h.kind, block) {
                (Kind::Opening, 0) => self.opening(&name, number, &found.plain),
                (Kind::Opening, _) | (_, 0) => self.fault(name.clone(), found.offset, "an opening must stand first, and only there".into()),
                (Kind::Seal, _) => {
                    sealed = true;
                    self.seal(&name, number, found.offset, &found.plain);
                }
                (Kind::Records | Kind::Compressed, _) => self.records(&name, found.offset, h.records, &found.plain),
            }
            self.next_record += u64::from(h.records);
            self.last = h.own;
            self.head(&name, found.offset, number, block, h.own);
            block += 1;
        }
        if block == 0 && !is_last {
            self.fault(name.clone(), 0, "the segment is empty".into());
        }
        if sealed {
            self.out.sealed += 1;
            self.out.unsealed_records = 0;
        } else {
            self.out.unsealed_records = self.next_record - start;
            if !is_last {
                self.fault(name, reader.offset, "the segment has no seal, yet another follows".into());
            }
        }
        Ok(true)
    }

    fn opening(&mut self, name: &str, number: u64, plain: &[u8]) {
        match serde_json::from_slice::<Opening>(plain) {
            Ok(o) => {
                if self.out.ledger.is_empty() {
                    self.out.ledger.clone_from(&o.ledger);
                }
                if o.format != FORMAT || o.segment != number || o.ledger != self.out.ledger || o.key != self.key.id() {
                    self.fault(name.to_owned(), 0, format!("opening names ledger {}, segment {}, key {}: not this place", o.ledger, o.segment, o.key));
                }
            }
            Err(e) => self.fault(name.to_owned(), 0, format!("opening cannot be read: {e}")),
        }
    }

    fn seal(&mut self, name: &str, number: u64, offset: u64, plain: &[u8]) {
        use base64::Engine as _;
        let Ok(seal) = serde_json::from_slice::<Seal>(plain) else {
            return self.fault(name.to_owned(), offset, "seal cannot be read".into());
        };
        let signature = base64::engine::general_purpose::STANDARD.decode(&seal.signature).unwrap_or_default();
        if !self.key.verify(seal.message().as_bytes(), &signature) {
            return self.fault(name.to_owned(), offset, format!("seal is not signed by key {}", self.key.id()));
        }
        let here = seal.segment == number
            && seal.records == self.next_record - 1
            && seal.ledger == self.out.ledger
            && seal.sha256 == hex::encode(self.last.sha256)
            && seal.sm3 == hex::encode(self.last.sm3);
        if !here {
            self.fault(name.to_owned(), offset, "seal is of another segment or another content".into());
        }
    }

    fn records(&mut self, name: &str, offset: u64, count: u32, plain: &[u8]) {
        let mut seen = 0u32;
        for line in plain.split_inclusive(|b| *b == b'\n') {
            let expected = format!("{{\"seq\":{},", self.next_record + u64::from(seen));
            if !line.starts_with(expected.as_bytes()) || line.last() != Some(&b'\n') {
                return self.fault(name.to_owned(), offset, format!("record {} is not where it must be", self.next_record + u64::from(seen)));
            }
            seen += 1;
        }
        if seen != count {
            self.fault(name.to_owned(), offset, format!("block says {count} records and holds {seen}"));
        }
    }

    fn head(&mut self, name: &str, offset: u64, segment: u64, block: u32, own: Twin) {
        for head in self.heads.remove(&(segment, block)).unwrap_or_default() {
            self.out.heads_checked += 1;
            let same = head.sha256 == hex::encode(own.sha256)
                && head.sm3 == hex::encode(own.sm3)
                && head.records == self.next_record - 1
                && head.ledger == self.out.ledger;
            if !same {
                self.fault(name.to_owned(), offset, format!("block {block} is not the one a head kept elsewhere names: the ledger was rewritten"));
            }
        }
    }

    fn fault(&mut self, file: String, offset: u64, detail: String) {
        self.out.intact = false;
        self.out.faults.push(Fault { file, offset, record: self.next_record, detail });
    }

    fn finish(mut self, heads: Option<&[Head]>) -> Verification {
        self.out.records = self.next_record - 1;
        let broken = !self.out.faults.is_empty();
        match heads {
            None => self.out.cannot_exclude.push(
                "without heads from a second place (--head): that records were cut off at the end, or that the holder of the sealing key rewrote the whole".into(),
            ),
            Some(given) => {
                for head in given.iter().filter(|h| !h.signed_by(&self.key)) {
                    self.out.cannot_exclude.push(format!("the head of segment {} block {} is not signed by this ledger's key; compared all the same", head.segment, head.block));
                }
                if !broken {
                    let mut left: Vec<_> = self.heads.keys().copied().collect();
                    left.sort_unstable();
                    for (segment, block) in left {
                        self.fault(file_name(segment), 0, format!("block {block}, named by a head kept elsewhere, is not there: the ledger was cut off"));
                    }
                }
                match given.iter().map(|h| h.records).max() {
                    None => self.out.cannot_exclude.push("the file of heads is empty".into()),
                    Some(n) if n < self.out.records => self.out.cannot_exclude.push(format!("records after number {n}: no head names them yet")),
                    Some(_) => {}
                }
            }
        }
        if self.out.unsealed_records > 0 {
            self.out.cannot_exclude.push(format!("the last {} records are chained and not yet signed by a seal", self.out.unsealed_records));
        }
        self.out
    }
}

fn file_name(segment: u64) -> String {
    format!("segment-{segment:08}.jwl")
}
