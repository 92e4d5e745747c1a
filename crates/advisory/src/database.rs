//! Reading a database in place. The layout is in `jinwu_advisory_compiler::format`.
//!
//! Opening checks the magic, every section's place, the SHA-256 of the content and, for a file, the
//! signature. Reading checks every offset again: a database whose content lies gives
//! [`DatabaseError::Damaged`], never a panic.

use crate::map::Bytes;
use jinwu_advisory_compiler::format::{self, FIELDS, HASH_AT, HEADER, NONE, SECTIONS, TRAILER, TRAILER_MAGIC, section};
use jinwu_trust::VerifyingKey;
use std::cmp::Ordering;
use std::ops::Range;
use std::path::Path;

/// An open database. Cloning shares the bytes.
#[derive(Clone)]
pub struct Database {
    bytes: Bytes,
    places: [Range<usize>; SECTIONS],
    day: u32,
}

/// A release the database has data for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// As os-release names them: `debian` `12`, `alpine` `3.20`.
    pub distribution: String,
    pub release: String,
    /// Day of the youngest feed; absent when the feed is a collection of several days.
    pub as_of: Option<String>,
    /// How many sources or origins it names.
    pub packages: u32,
    /// True when silence about a package says nothing; see [`crate::feed::Extent`].
    pub excerpt: bool,
}

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error("advisory database {path}: {source}")]
    Io {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("advisory database {path}: {reason}; put back the file as it was distributed, or update it")]
    File { path: String, reason: Box<DatabaseError> },
    #[error("the file is cut short ({have} of {need} bytes)")]
    Cut { have: usize, need: usize },
    #[error("it does not begin with {magic:?}: not an advisory database, or one of another format", magic = String::from_utf8_lossy(format::MAGIC))]
    Magic,
    #[error("the content does not match its SHA-256: the file was changed or damaged")]
    Hash,
    #[error("the file is not signed")]
    Unsigned,
    #[error("the signature was made with another key ({found}, trusted is {trusted})")]
    Key { found: String, trusted: String },
    #[error("the signature does not match")]
    Signature,
    #[error("the content is damaged at {0}")]
    Damaged(&'static str),
}

/// A stream (release) found in the database.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    names: (u32, u32),
    pub(crate) as_of: u32,
    /// True when silence about a package says nothing; see `feed::Extent`.
    pub(crate) excerpt: bool,
}

/// One advisory entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'d> {
    pub(crate) id: &'d str,
    pub(crate) fixed: Option<&'d str>,
    /// Comparable key of the fix; `None` when never affected.
    pub(crate) key: Option<&'d [u8]>,
    pub(crate) flags: u32,
}

/// What is known about one CVE.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cve<'d> {
    pub(crate) vector: Option<&'d str>,
    pub(crate) vector_source: Option<&'d str>,
    /// yyyymmdd
    pub(crate) exploited: Option<u32>,
}

// === impl Database ===

impl Database {
    /// Maps the signed file at `path` and verifies it with `key`.
    pub fn open(path: &Path, key: &VerifyingKey) -> Result<Self, DatabaseError> {
        let io = |source| DatabaseError::Io { path: path.display().to_string(), source };
        let file = std::fs::File::open(path).map_err(io)?;
        let bytes = Bytes::map(&file).map_err(io)?;
        let wrong = |reason| DatabaseError::File { path: path.display().to_string(), reason: Box::new(reason) };
        let database = Self::checked(bytes).map_err(wrong)?;
        database.verify(key).map_err(wrong)?;
        Ok(database)
    }

    /// The database that is part of the program.
    pub fn embedded() -> Result<Self, DatabaseError> {
        Self::checked(Bytes::Static(crate::embedded()))
    }

    /// A database just compiled. No signature is asked; use [`Database::open`] for anything that came
    /// from elsewhere.
    pub fn from_bytes(bytes: impl Into<std::sync::Arc<[u8]>>) -> Result<Self, DatabaseError> {
        Self::checked(Bytes::Owned(bytes.into()))
    }

    fn checked(bytes: Bytes) -> Result<Self, DatabaseError> {
        let database = Self::placed(bytes)?;
        let length = database.length();
        let content = database.bytes.get(..length).ok_or(DatabaseError::Damaged("header"))?;
        if Some(&format::hash(content)[..]) != content.get(HASH_AT..HASH_AT + 32) {
            return Err(DatabaseError::Hash);
        }
        Ok(database)
    }

    /// Reads the header and places the sections, without a look at their content.
    fn placed(bytes: Bytes) -> Result<Self, DatabaseError> {
        let have = bytes.len();
        if !bytes.starts_with(format::MAGIC) {
            return Err(if have < 8 { DatabaseError::Cut { have, need: HEADER } } else { DatabaseError::Magic });
        }
        if have < HEADER {
            return Err(DatabaseError::Cut { have, need: HEADER });
        }
        let word = |at: usize| u32_at(&bytes, at).ok_or(DatabaseError::Damaged("header"));
        let long = |at: usize| {
            let wide = u64::from(word(at)?) | u64::from(word(at + 4)?) << 32;
            usize::try_from(wide).map_err(|_| DatabaseError::Damaged("header"))
        };
        let length = long(16)?;
        if length > have {
            return Err(DatabaseError::Cut { have, need: length });
        }
        if word(8)? as usize != SECTIONS || length < HEADER {
            return Err(DatabaseError::Damaged("header"));
        }
        let mut places: [Range<usize>; SECTIONS] = std::array::from_fn(|_| 0..0);
        for (i, place) in places.iter_mut().enumerate() {
            let (start, size) = (long(56 + i * 16)?, long(64 + i * 16)?);
            let end = start.checked_add(size).filter(|end| *end <= length && start >= HEADER);
            let record = FIELDS.get(i).copied().unwrap_or(0) * 4;
            if record > 0 && size % record != 0 {
                return Err(DatabaseError::Damaged("section table"));
            }
            *place = start..end.ok_or(DatabaseError::Damaged("section table"))?;
        }
        let day = word(12)?;
        Ok(Database { bytes, places, day })
    }

    fn length(&self) -> usize {
        self.bytes.get(16..24).and_then(|b| b.try_into().ok()).map_or(0, |b| usize::try_from(u64::from_le_bytes(b)).unwrap_or(0))
    }

    fn verify(&self, key: &VerifyingKey) -> Result<(), DatabaseError> {
        let trailer = self.bytes.get(self.length()..).unwrap_or_default();
        if trailer.is_empty() {
            return Err(DatabaseError::Unsigned);
        }
        let cut = DatabaseError::Cut { have: self.bytes.len(), need: self.length().saturating_add(TRAILER) };
        if trailer.len() < TRAILER {
            return Err(cut);
        }
        let (Some(magic), Some(public), Some(signature), Some(rest)) =
            (trailer.get(..8), trailer.get(8..40), trailer.get(40..104), trailer.get(104..))
        else {
            return Err(cut);
        };
        if magic != TRAILER_MAGIC || rest != [0; 8] {
            return Err(DatabaseError::Signature);
        }
        if public != key.to_bytes() {
            let found = public.try_into().ok().and_then(VerifyingKey::from_bytes).map_or_else(|| "unreadable".into(), |k| k.id());
            return Err(DatabaseError::Key { found, trusted: key.id() });
        }
        let hash = self.bytes.get(HASH_AT..HASH_AT + 32).unwrap_or_default();
        if key.verify(hash, signature) { Ok(()) } else { Err(DatabaseError::Signature) }
    }

    /// Names the content: day of the youngest feed and 16 digits of the hash, `2026-11-23-0123456789abcdef`.
    /// Answers may be kept exactly while this is equal.
    pub fn generation(&self) -> String {
        let hash = self.bytes.get(HASH_AT..HASH_AT + 8).unwrap_or_default();
        let digits: String = hash.iter().map(|b| format!("{b:02x}")).collect();
        format!("{}-{digits}", day_text(self.day))
    }

    /// Releases with data.
    pub fn releases(&self) -> Result<Vec<Release>, DatabaseError> {
        (0..self.count(section::STREAMS))
            .map(|i| {
                let [distribution, release, _, packages, as_of, extent] = self.record::<6>(section::STREAMS, i)?;
                Ok(Release {
                    distribution: self.text(distribution)?.to_owned(),
                    release: self.text(release)?.to_owned(),
                    as_of: (as_of != 0).then(|| day_text(as_of)),
                    packages,
                    excerpt: extent != 0,
                })
            })
            .collect()
    }

    /// What the feeds had and could not be used, in words.
    pub fn skipped(&self) -> Result<Vec<String>, DatabaseError> {
        (0..self.count(section::SKIPPED))
            .map(|i| self.record::<1>(section::SKIPPED, i).and_then(|[t]| self.text(t)).map(str::to_owned))
            .collect()
    }

    /// How many advisories it holds.
    pub fn advisories(&self) -> u32 {
        self.count(section::ENTRIES)
    }

    pub(crate) fn stream(&self, distribution: &str, release: &str) -> Result<Option<Stream>, DatabaseError> {
        for i in 0..self.count(section::STREAMS) {
            let [d, r, first, names, as_of, extent] = self.record::<6>(section::STREAMS, i)?;
            if self.text(d)? == distribution && self.text(r)? == release {
                return Ok(Some(Stream { names: (first, names), as_of, excerpt: extent != 0 }));
            }
        }
        Ok(None)
    }

    /// The releases of a distribution that have data, for messages.
    pub(crate) fn releases_of(&self, distribution: &str) -> Result<Vec<String>, DatabaseError> {
        Ok(self.releases()?.into_iter().filter(|r| r.distribution == distribution).map(|r| r.release).collect())
    }

    /// Entries of a package in a stream; `None` when the data does not name it.
    pub(crate) fn entries(
        &self,
        stream: Stream,
        name: &str,
    ) -> Result<Option<impl Iterator<Item = Result<Entry<'_>, DatabaseError>>>, DatabaseError> {
        let (first, count) = stream.names;
        let found = self.search(section::NAMES, first, count, |[text, ..]: [u32; 3]| Ok(self.text(text)?.as_bytes().cmp(name.as_bytes())))?;
        let Some([_, first, entries]) = found else { return Ok(None) };
        let end = first.checked_add(entries).filter(|end| *end <= self.count(section::ENTRIES));
        let end = end.ok_or(DatabaseError::Damaged("names"))?;
        Ok(Some((first..end).map(|i| self.entry(i))))
    }

    fn entry(&self, i: u32) -> Result<Entry<'_>, DatabaseError> {
        let [id, fixed, key, flags] = self.record::<4>(section::ENTRIES, i)?;
        Ok(Entry { id: self.text(id)?, fixed: self.optional(fixed)?, key: if key == NONE { None } else { Some(self.blob(key)?) }, flags })
    }

    pub(crate) fn cve(&self, id: &str) -> Result<Cve<'_>, DatabaseError> {
        let count = self.count(section::CVES);
        let found = self.search(section::CVES, 0, count, |[text, ..]: [u32; 4]| Ok(self.text(text)?.as_bytes().cmp(id.as_bytes())))?;
        let Some([_, vector, source, exploited]) = found else { return Ok(Cve::default()) };
        Ok(Cve {
            vector: self.optional(vector)?,
            vector_source: self.optional(source)?,
            exploited: (exploited != 0).then_some(exploited),
        })
    }

    /// Binary search in sorted records `first .. first + count`.
    fn search<const N: usize>(
        &self,
        section: usize,
        first: u32,
        count: u32,
        order: impl Fn([u32; N]) -> Result<Ordering, DatabaseError>,
    ) -> Result<Option<[u32; N]>, DatabaseError> {
        let mut low = first;
        let mut high = first.checked_add(count).ok_or(DatabaseError::Damaged("record range"))?;
        while low < high {
            let middle = low + (high - low) / 2;
            let record = self.record::<N>(section, middle)?;
            match order(record)? {
                Ordering::Equal => return Ok(Some(record)),
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }

    fn section(&self, section: usize) -> &[u8] {
        self.places.get(section).and_then(|place| self.bytes.get(place.clone())).unwrap_or_default()
    }

    fn count(&self, section: usize) -> u32 {
        let record = FIELDS.get(section).copied().unwrap_or(0) * 4;
        u32::try_from(self.section(section).len().checked_div(record).unwrap_or(0)).unwrap_or(u32::MAX)
    }

    fn record<const N: usize>(&self, section: usize, i: u32) -> Result<[u32; N], DatabaseError> {
        let start = (i as usize).checked_mul(N * 4);
        let bytes = start.and_then(|s| self.section(section).get(s..s.checked_add(N * 4)?));
        let bytes = bytes.ok_or(DatabaseError::Damaged("records"))?;
        let mut fields = [0; N];
        for (field, chunk) in fields.iter_mut().zip(bytes.chunks_exact(4)) {
            *field = u32_at(chunk, 0).unwrap_or(NONE);
        }
        Ok(fields)
    }

    fn blob(&self, text: u32) -> Result<&[u8], DatabaseError> {
        let strings = self.section(section::STRINGS);
        let at = text as usize;
        let length = strings.get(at..).and_then(|s| Some(usize::from(u16::from_le_bytes([*s.first()?, *s.get(1)?]))));
        length.and_then(|n| strings.get(at + 2..at + 2 + n)).ok_or(DatabaseError::Damaged("strings"))
    }

    fn text(&self, text: u32) -> Result<&str, DatabaseError> {
        std::str::from_utf8(self.blob(text)?).map_err(|_| DatabaseError::Damaged("strings"))
    }

    fn optional(&self, text: u32) -> Result<Option<&str>, DatabaseError> {
        if text == NONE { Ok(None) } else { self.text(text).map(Some) }
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Database({}, {} advisories)", self.generation(), self.advisories())
    }
}

/// 20261123 to `2026-11-23`.
pub(crate) fn day_text(day: u32) -> String {
    format!("{:04}-{:02}-{:02}", day / 10_000, day / 100 % 100, day % 100)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::tests::{alpine, package};
    use proptest::prelude::*;

    fn ask(database: &Database) {
        let packages = [package("apk", "busybox", "1.36.1-r29"), package("apk", "musl", "1.2.5-r0"), package("deb", "openssl", "1.0")];
        let _ = database.match_packages(Some(&alpine("3.20.3")), &[], &packages);
        let _ = database.match_packages(Some(&alpine("3.11.5")), &[], &packages);
        let debian = jinwu_model::report::Os { id: "debian".into(), version: "12".into(), name: String::new() };
        let _ = database.match_packages(Some(&debian), &[], &packages);
        let _ = (database.releases(), database.skipped(), database.generation());
    }

    /// A small database, so that a random byte is often one that is read.
    fn small() -> Vec<u8> {
        use crate::feed::{Advisories, Cve, Entry, Extent, Fix, Origin, Stream, StreamId, Urgency};
        let mut all = Advisories::default();
        for (distribution, release) in [("alpine", "3.20"), ("alpine", "3.11"), ("debian", "12")] {
            let mut stream = Stream { extent: Extent::Excerpt, as_of: 20260102, packages: Default::default() };
            for name in ["busybox", "musl", "openssl"] {
                for n in 1..4 {
                    let fix = if n == 1 { Fix::NeverAffected } else { Fix::Version(format!("{n}.0-r1")) };
                    let entry = Entry { fix, origin: Origin::AlpineSecdb, doubtful: n == 2, urgency: Urgency::High };
                    stream.packages.entry(name.into()).or_default().insert(format!("CVE-2024-{n}"), entry);
                }
            }
            all.streams.insert(StreamId { distribution: distribution.into(), release: release.into() }, stream);
        }
        let vector = Some(("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H".into(), "cna".into()));
        all.cves.insert("CVE-2024-2".into(), Cve { vector, exploited: Some(20250101) });
        all.skipped.push("something".into());
        jinwu_advisory_compiler::format::write(&all).unwrap()
    }

    #[test]
    fn every_flipped_bit_is_refused_at_the_door() {
        let good = small();
        assert_eq!(Database::from_bytes(good.clone()).unwrap().releases().unwrap().len(), 3);
        for i in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[i / 8] ^= 1 << (i % 8);
            assert!(Database::from_bytes(bad).is_err(), "bit {i} flipped unnoticed");
        }
        for cut in 0..good.len() {
            assert!(Database::from_bytes(&good[..cut]).is_err(), "cut to {cut} bytes unnoticed");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]
        /// Behind the door too: content that lies is an error or an answer, never a panic.
        #[test]
        fn lying_content_never_panics(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12)) {
            let mut bytes = small();
            for (at, value) in changes {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            if let Ok(database) = Database::placed(Bytes::Owned(bytes.into())) {
                ask(&database);
            }
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut with_magic = format::MAGIC.to_vec();
            with_magic.extend_from_slice(&bytes);
            for b in [bytes, with_magic] {
                if let Ok(database) = Database::placed(Bytes::Owned(b.into())) {
                    ask(&database);
                }
            }
        }
    }
}
