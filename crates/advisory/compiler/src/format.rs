//! The database file, version 1. Everything is little-endian; the file is mapped and read in place.
//!
//! ```text
//! offset size
//!      0    8  magic "JWADVDB1"
//!      8    4  sections, always 6
//!     12    4  day of the youngest feed, yyyymmdd
//!     16    8  length of the database (header and sections)
//!     24   32  SHA-256 over bytes 0..24 and 56..length; with the day it names the generation
//!     56 6*16  section table: offset (u64), length (u64), in the order below
//!    152    …  sections, each starting at a multiple of 8, zeros between
//! length  112  trailer, only in a signed file: "JWADVSIG", 32 bytes public key, 64 bytes Ed25519
//!              signature over the 32 bytes at 24, 8 bytes zero
//!
//! 0 strings   the blob every text and key points into: length (u16), bytes
//! 1 streams   sorted by distribution, release:
//!               distribution, release (text), first name, names (u32), as of (u32 yyyymmdd), extent (u32)
//! 2 names     of one stream after the other, sorted by name:
//!               name (text), first entry, entries (u32)
//! 3 entries   of one name after the other, sorted by id:
//!               id, fixed version (text, NONE when never affected), key (text), flags (u32)
//! 4 cves      sorted by id: id (text), vector, vector's source (text, or NONE), exploited since (u32, or 0)
//! 5 skipped   what the feeds had and could not be used: text (u32) each
//! ```
//! A *text* is a u32 offset into the strings. Keys are [`crate::version`] keys of what is compared, so a match is
//! one comparison of bytes. Flags: bits 0–7 [`crate::feed::Origin`], 8–15 urgency, 16 doubtful, 17 rebuild.
//!
//! Compilation is deterministic: equal feeds give equal bytes.

use crate::feed::{Advisories, Extent, FeedError, Fix, Origin, Sources, Urgency};
use crate::version::Scheme;
use sha2::Digest as _;
use std::collections::HashMap;

pub const MAGIC: &[u8; 8] = b"JWADVDB1";
pub const SECTIONS: usize = 6;
/// Bytes before the sections.
pub const HEADER: usize = 56 + SECTIONS * 16;
pub const HASH_AT: usize = 24;
pub const TRAILER_MAGIC: &[u8; 8] = b"JWADVSIG";
pub const TRAILER: usize = 112;
/// "No text".
pub const NONE: u32 = u32::MAX;

/// Section numbers.
pub mod section {
    pub const STRINGS: usize = 0;
    pub const STREAMS: usize = 1;
    pub const NAMES: usize = 2;
    pub const ENTRIES: usize = 3;
    pub const CVES: usize = 4;
    pub const SKIPPED: usize = 5;
}

/// u32 fields of one record of each section; the strings have none.
pub const FIELDS: [usize; SECTIONS] = [0, 6, 3, 4, 4, 1];

pub const DOUBTFUL: u32 = 1 << 16;
pub const REBUILD: u32 = 1 << 17;

/// Why a database cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    #[error(transparent)]
    Feed(#[from] FeedError),
    #[error("the database would not fit the format: {0}")]
    TooLarge(&'static str),
}

/// Collects texts, each once.
#[derive(Default)]
struct Strings {
    blob: Vec<u8>,
    known: HashMap<Vec<u8>, u32>,
}

/// Compiles feeds to a database, unsigned.
pub fn compile(sources: &Sources) -> Result<Vec<u8>, CompileError> {
    write(&sources.parse()?)
}

/// Writes normalised advisories.
pub fn write(all: &Advisories) -> Result<Vec<u8>, CompileError> {
    let mut strings = Strings::default();
    let mut tables: [Vec<u8>; SECTIONS] = Default::default();
    let mut names = 0u32;
    let mut entries = 0u32;
    for (id, stream) in &all.streams {
        let scheme = if id.distribution == "alpine" { Scheme::Apk } else { Scheme::Dpkg };
        let first_name = names;
        for (name, advisories) in &stream.packages {
            let first_entry = entries;
            for (id, entry) in advisories {
                let compared = entry.fix.compared();
                let key = compared.as_deref().map(|v| scheme.key(v));
                let fixed = match &entry.fix {
                    Fix::NeverAffected => NONE,
                    Fix::Version(v) | Fix::RebuildOf(v) => strings.add(v.as_bytes())?,
                };
                let flags = origin_code(entry.origin)
                    | urgency_code(entry.urgency) << 8
                    | if entry.doubtful { DOUBTFUL } else { 0 }
                    | if matches!(entry.fix, Fix::RebuildOf(_)) { REBUILD } else { 0 };
                let key = key.map_or(Ok(NONE), |k| strings.add(&k))?;
                put(&mut tables[section::ENTRIES], &[strings.add(id.as_bytes())?, fixed, key, flags]);
                entries += 1;
            }
            put(&mut tables[section::NAMES], &[strings.add(name.as_bytes())?, first_entry, entries - first_entry]);
            names += 1;
        }
        let extent = u32::from(stream.extent == Extent::Excerpt);
        let texts = [strings.add(id.distribution.as_bytes())?, strings.add(id.release.as_bytes())?];
        put(&mut tables[section::STREAMS], &[texts[0], texts[1], first_name, names - first_name, stream.as_of, extent]);
    }
    for (id, cve) in &all.cves {
        let (vector, source) = match &cve.vector {
            Some((v, s)) => (strings.add(v.as_bytes())?, strings.add(s.as_bytes())?),
            None => (NONE, NONE),
        };
        put(&mut tables[section::CVES], &[strings.add(id.as_bytes())?, vector, source, cve.exploited.unwrap_or(0)]);
    }
    for text in &all.skipped {
        let cut: String = text.chars().take(200).collect();
        put(&mut tables[section::SKIPPED], &[strings.add(cut.as_bytes())?]);
    }
    tables[section::STRINGS] = strings.blob;
    let day = all.streams.values().map(|s| s.as_of).max().unwrap_or(0);
    Ok(assemble(day, &tables))
}

/// Signed bytes: the database with its trailer. `sign` gets the 32 bytes to be signed.
pub fn with_trailer(database: &[u8], public_key: &[u8; 32], sign: impl FnOnce(&[u8]) -> [u8; 64]) -> Option<Vec<u8>> {
    let hash = database.get(HASH_AT..HASH_AT + 32)?;
    let mut out = database.to_vec();
    out.extend_from_slice(TRAILER_MAGIC);
    out.extend_from_slice(public_key);
    out.extend_from_slice(&sign(hash));
    out.extend_from_slice(&[0; 8]);
    Some(out)
}

/// The hash that stands in the header: over everything else in the database.
pub fn hash(database: &[u8]) -> [u8; 32] {
    let mut hash = sha2::Sha256::new();
    hash.update(database.get(..HASH_AT).unwrap_or_default());
    hash.update(database.get(HASH_AT + 32..).unwrap_or_default());
    hash.finalize().into()
}

fn assemble(day: u32, tables: &[Vec<u8>; SECTIONS]) -> Vec<u8> {
    let mut out = vec![0u8; HEADER];
    let mut places = Vec::with_capacity(SECTIONS * 16);
    for table in tables {
        out.resize(out.len().next_multiple_of(8), 0);
        places.extend_from_slice(&(out.len() as u64).to_le_bytes());
        places.extend_from_slice(&(table.len() as u64).to_le_bytes());
        out.extend_from_slice(table);
    }
    out[..8].copy_from_slice(MAGIC);
    out[8..12].copy_from_slice(&(SECTIONS as u32).to_le_bytes());
    out[12..16].copy_from_slice(&day.to_le_bytes());
    let length = out.len() as u64;
    out[16..24].copy_from_slice(&length.to_le_bytes());
    out[56..HEADER].copy_from_slice(&places);
    let hash = hash(&out);
    out[HASH_AT..HASH_AT + 32].copy_from_slice(&hash);
    out
}

fn put(table: &mut Vec<u8>, fields: &[u32]) {
    for field in fields {
        table.extend_from_slice(&field.to_le_bytes());
    }
}

fn origin_code(origin: Origin) -> u32 {
    match origin {
        Origin::DebianChangelog => 0,
        Origin::DebianDsa => 1,
        Origin::AlpineSecdb => 2,
    }
}

/// The feed behind an entry's flags; `None` for a code of a newer format.
pub fn origin(flags: u32) -> Option<Origin> {
    match flags & 0xff {
        0 => Some(Origin::DebianChangelog),
        1 => Some(Origin::DebianDsa),
        2 => Some(Origin::AlpineSecdb),
        _ => None,
    }
}

fn urgency_code(urgency: Urgency) -> u32 {
    match urgency {
        Urgency::None => 0,
        Urgency::Low => 1,
        Urgency::Medium => 2,
        Urgency::High => 3,
        Urgency::Emergency => 4,
        Urgency::Critical => 5,
    }
}

/// Debian's word behind an entry's flags.
pub fn urgency(flags: u32) -> Option<&'static str> {
    match flags >> 8 & 0xff {
        1 => Some("low"),
        2 => Some("medium"),
        3 => Some("high"),
        4 => Some("emergency"),
        5 => Some("critical"),
        _ => None,
    }
}

// === impl Strings ===

impl Strings {
    fn add(&mut self, text: &[u8]) -> Result<u32, CompileError> {
        if let Some(at) = self.known.get(text) {
            return Ok(*at);
        }
        let length = u16::try_from(text.len()).map_err(|_| CompileError::TooLarge("a text beyond 65,535 bytes"))?;
        let at = u32::try_from(self.blob.len()).ok().filter(|at| *at < NONE).ok_or(CompileError::TooLarge("texts beyond 4 GiB"))?;
        self.blob.extend_from_slice(&length.to_le_bytes());
        self.blob.extend_from_slice(text);
        self.known.insert(text.to_vec(), at);
        Ok(at)
    }
}
