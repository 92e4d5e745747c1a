//! The byte format of a segment file: blocks, one after the other, nothing between them.
//!
//! ```text
//! offset size
//!      0    4  magic "JWB1"
//!      4    4  kind: 0 records, 1 records compressed with zstd, 2 opening, 3 seal   (u32 LE)
//!      8    8  number of the first record in this block, from 1                     (u64 LE)
//!     16    4  how many records                                                    (u32 LE)
//!     20    4  length of the payload as stored                                     (u32 LE)
//!     24    4  length of the payload uncompressed                                  (u32 LE)
//!     28    4  number of this block in its segment, from 0                         (u32 LE)
//!     32   32  SHA-256 of the block before
//!     64   32  SM3 of the block before
//!     96   32  SHA-256 over bytes 0..96 and the payload
//!    128   32  SM3 over the same
//!    160    …  payload
//! ```
//! "The block before" of a segment's opening is the seal of the segment before it; the very first
//! has zeros. Records are JSON, one a line.

use jinwu_trust::Twin;

/// Bytes before the payload.
pub const HEADER: usize = 160;
/// Payloads beyond this are refused: one group commit never makes more.
pub const MAX_PAYLOAD: u32 = 64 << 20;
const MAGIC: &[u8; 4] = b"JWB1";

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Records,
    Compressed,
    Opening,
    Seal,
}

/// A block's header, parsed and bounded, its hashes not yet compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub kind: Kind,
    pub first_record: u64,
    pub records: u32,
    pub stored: u32,
    pub plain: u32,
    pub number: u32,
    pub previous: Twin,
    pub own: Twin,
}

/// What is wrong with a block.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BlockError {
    #[error("the file ends inside a block ({have} of {need} bytes)")]
    Cut { have: u64, need: u64 },
    #[error("no block begins here (magic is {0:02x?})")]
    Magic([u8; 4]),
    #[error("unknown kind of block {0}")]
    Kind(u32),
    #[error("a payload of {0} bytes is beyond the format's bound")]
    Length(u32),
    #[error("content does not match the block's own hash ({0})")]
    Hash(&'static str),
    #[error("payload does not decompress to {expected} bytes: {detail}")]
    Compression { expected: u32, detail: String },
}

// === impl Kind ===

impl Kind {
    fn code(self) -> u32 {
        match self {
            Kind::Records => 0,
            Kind::Compressed => 1,
            Kind::Opening => 2,
            Kind::Seal => 3,
        }
    }

    fn from_code(code: u32) -> Result<Self, BlockError> {
        match code {
            0 => Ok(Kind::Records),
            1 => Ok(Kind::Compressed),
            2 => Ok(Kind::Opening),
            3 => Ok(Kind::Seal),
            other => Err(BlockError::Kind(other)),
        }
    }
}

// === impl Header ===

impl Header {
    /// Parses the first [`HEADER`] bytes of a block.
    pub fn parse(bytes: &[u8; HEADER]) -> Result<Self, BlockError> {
        if &bytes[..4] != MAGIC {
            return Err(BlockError::Magic([bytes[0], bytes[1], bytes[2], bytes[3]]));
        }
        let header = Header {
            kind: Kind::from_code(u32_at(bytes, 4))?,
            first_record: u64::from(u32_at(bytes, 8)) | u64::from(u32_at(bytes, 12)) << 32,
            records: u32_at(bytes, 16),
            stored: u32_at(bytes, 20),
            plain: u32_at(bytes, 24),
            number: u32_at(bytes, 28),
            previous: Twin { sha256: hash_at(bytes, 32), sm3: hash_at(bytes, 64) },
            own: Twin { sha256: hash_at(bytes, 96), sm3: hash_at(bytes, 128) },
        };
        for length in [header.stored, header.plain] {
            if length > MAX_PAYLOAD {
                return Err(BlockError::Length(length));
            }
        }
        Ok(header)
    }

    /// Bytes of the whole block.
    pub fn length(&self) -> u64 {
        HEADER as u64 + u64::from(self.stored)
    }

    /// Compares both hashes with header and payload, and gives the payload uncompressed.
    pub fn open(&self, header: &[u8; HEADER], payload: &[u8]) -> Result<Vec<u8>, BlockError> {
        let actual = Twin::of_parts(&[&header[..96], payload]);
        if actual.sha256 != self.own.sha256 {
            return Err(BlockError::Hash("SHA-256"));
        }
        if actual.sm3 != self.own.sm3 {
            return Err(BlockError::Hash("SM3"));
        }
        let wrong = |detail: String| BlockError::Compression { expected: self.plain, detail };
        if self.kind != Kind::Compressed {
            if payload.len() as u64 != u64::from(self.plain) {
                return Err(wrong(format!("{} bytes stored plain", payload.len())));
            }
            return Ok(payload.to_vec());
        }
        let plain = zstd::bulk::decompress(payload, self.plain as usize).map_err(|e| wrong(e.to_string()))?;
        if plain.len() as u64 != u64::from(self.plain) {
            return Err(wrong(format!("{} bytes came out", plain.len())));
        }
        Ok(plain)
    }
}

/// A block ready to be written, and its hashes for the next one.
pub struct Encoded {
    pub bytes: Vec<u8>,
    pub own: Twin,
}

/// Position of a block in the chain.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub first_record: u64,
    pub number: u32,
    pub previous: Twin,
}

/// Builds a block. Record payloads from 2 KiB on are compressed when that makes them smaller.
pub fn encode(kind: Kind, place: Place, records: u32, plain: &[u8]) -> Encoded {
    let compressed = (kind == Kind::Records && plain.len() >= 2048)
        .then(|| zstd::bulk::compress(plain, 1).ok())
        .flatten()
        .filter(|c| c.len() < plain.len());
    let kind = if compressed.is_some() { Kind::Compressed } else { kind };
    let payload: &[u8] = compressed.as_deref().unwrap_or(plain);
    let mut bytes = Vec::with_capacity(HEADER + payload.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&kind.code().to_le_bytes());
    bytes.extend_from_slice(&place.first_record.to_le_bytes());
    bytes.extend_from_slice(&records.to_le_bytes());
    bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&(plain.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&place.number.to_le_bytes());
    bytes.extend_from_slice(&place.previous.sha256);
    bytes.extend_from_slice(&place.previous.sm3);
    let own = Twin::of_parts(&[&bytes, payload]);
    bytes.extend_from_slice(&own.sha256);
    bytes.extend_from_slice(&own.sm3);
    bytes.extend_from_slice(payload);
    Encoded { bytes, own }
}

fn u32_at(bytes: &[u8; HEADER], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn hash_at(bytes: &[u8; HEADER], at: usize) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(&bytes[at..at + 32]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(encoded: &Encoded) -> ([u8; HEADER], &[u8]) {
        let mut header = [0; HEADER];
        header.copy_from_slice(&encoded.bytes[..HEADER]);
        (header, &encoded.bytes[HEADER..])
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let place = Place { first_record: 7, number: 3, previous: Twin::of(b"before") };
        for plain in [b"{\"a\":1}\n".to_vec(), b"{\"text\":\"again and again\"}\n".repeat(200)] {
            let block = encode(Kind::Records, place, 1, &plain);
            let (header, payload) = split(&block);
            assert_eq!(Header::parse(&header).unwrap().open(&header, payload).unwrap(), plain);
            for i in 0..block.bytes.len() * 8 {
                let mut damaged = Encoded { bytes: block.bytes.clone(), own: block.own };
                damaged.bytes[i / 8] ^= 1 << (i % 8);
                let (header, payload) = split(&damaged);
                let seen = Header::parse(&header).and_then(|h| {
                    // A reader takes as many payload bytes as the header says.
                    let stored = payload.get(..h.stored as usize).ok_or(BlockError::Cut { have: 0, need: 0 })?;
                    h.open(&header, stored)
                });
                assert!(seen.is_err(), "bit {i} flipped unnoticed");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), HEADER..600)) {
            let mut header = [0; HEADER];
            header.copy_from_slice(&bytes[..HEADER]);
            if let Ok(parsed) = Header::parse(&header) { let _ = parsed.open(&header, &bytes[HEADER..]); }
            header[..4].copy_from_slice(b"JWB1");
            header[4..8].copy_from_slice(&1u32.to_le_bytes());
            if let Ok(parsed) = Header::parse(&header) { let _ = parsed.open(&header, &bytes[HEADER..]); }
        }
    }
}
