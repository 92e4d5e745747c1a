//! What one layer is, by itself.
//!
//! A [`LayerAnalysis`] is a pure function of the layer's bytes and the engines: it knows nothing of
//! the image, of other layers or of advisories, so it is kept by layer digest and engines and shared
//! by every image that has the layer. [`compose`](crate::compose) puts layers together; for that an
//! analysis also says which names the layer writes ([`NameSet`]), which it removes, and which files
//! belong to which package.

use jinwu_model::{Digest, Text};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

/// One layer, analysed. Paths have no leading '/', no `.` and no `..`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerAnalysis {
    /// Digest of the whole uncompressed stream.
    pub diff_id: Digest,
    /// Digest of the bytes as stored, when it was asked for.
    pub compressed: Option<Digest>,
    /// Bytes as stored, and inflated.
    pub stored_bytes: u64,
    pub inflated_bytes: u64,
    pub entries: u64,
    /// Names this layer writes: what they were in lower layers is gone.
    pub names: NameSet,
    /// Paths removed from lower layers (`.wh.NAME`).
    pub whiteouts: Vec<String>,
    /// Directories emptied of what lower layers have (`.wh..wh..opq`).
    pub opaque: Vec<String>,
    /// Links on the way to files that matter, and hard links to anything; see [`Link`].
    pub links: Vec<Link>,
    /// What analyzers found, by file.
    pub findings: Vec<Finding>,
    /// setuid and setgid files.
    pub setuid: Vec<SetuidFile>,
    /// Files owned by packages, for [`OwnerIndex::find`].
    pub owners: Vec<OwnerIndex>,
    /// Bounds reached: what was not looked at, in words.
    pub truncated: Vec<String>,
    /// What makes part of the layer unexaminable although the rest was read, in words.
    pub unexamined: Vec<String>,
}

/// Something an analyzer read from one file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    pub path: String,
    pub fact: Fact,
}

/// The kinds of facts. A new ecosystem says [`Fact::Packages`] and needs no new kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Fact {
    /// The file is a package database (or one entry of one) with these packages installed.
    Packages { ecosystem: String, packages: Vec<RawPackage> },
    /// The file is an os-release.
    OsRelease { id: String, version: String, name: String },
    /// Package repositories the image installs from.
    Repositories(Vec<String>),
    /// Names and ids of `etc/passwd` or `etc/group`.
    Accounts(Vec<(String, u32)>),
    Secret(SecretHit),
    Malware(MalwareHit),
}

/// A package as its database says, before any matching.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RawPackage {
    pub name: String,
    pub version: String,
    pub source_name: String,
    pub source_version: String,
    pub architecture: String,
}

/// A secret in a file or a variable; the value is masked already.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecretHit {
    pub rule: String,
    pub category: String,
    pub title: Text,
    pub line: Option<u32>,
    pub variable: Option<String>,
    pub masked: String,
}

/// A malware rule's hit. `sha256` is of the file that matched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MalwareHit {
    pub rule: String,
    pub category: String,
    pub origin: String,
    pub inner: Option<String>,
    pub sha256: [u8; 32],
}

/// A symbolic or hard link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    pub path: String,
    /// As written for a symbolic link, a normalised path for a hard link.
    pub target: String,
    pub hard: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetuidFile {
    pub path: String,
    /// Permission bits, setuid 0o4000, setgid 0o2000.
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
}

/// The names a layer writes as sorted 128-bit hashes: sixteen bytes a name whatever its length, and
/// exact against an adversary (a name that shadows another one's hash is a preimage of truncated
/// SHA-256).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NameSet {
    /// Everything that is not a directory.
    files: Hashes,
    directories: Hashes,
}

/// Which package owns which files, in the database file (`var/lib/dpkg/info/NAME.list`) that says so.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OwnerIndex {
    /// The file the list was read from.
    pub path: String,
    packages: Vec<String>,
    /// Sorted by hash; the number is the package's place in `packages`.
    files: Vec<(NameHash, u32)>,
}

/// First sixteen bytes of the SHA-256 of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NameHash([u8; 16]);

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Hashes(Vec<NameHash>);

// === impl NameHash ===

impl NameHash {
    pub fn of(path: &str) -> Self {
        let digest = sha2::Sha256::digest(path.as_bytes());
        let mut hash = [0; 16];
        hash.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        NameHash(hash)
    }
}

// === impl Hashes ===

impl Hashes {
    fn contains(&self, hash: NameHash) -> bool {
        self.0.binary_search(&hash).is_ok()
    }

    fn seal(&mut self) {
        self.0.sort_unstable();
        self.0.dedup();
    }
}

// === impl NameSet ===

impl NameSet {
    pub(crate) fn push(&mut self, path: &str, directory: bool) {
        let to = if directory { &mut self.directories } else { &mut self.files };
        to.0.push(NameHash::of(path));
    }

    /// Sorts what was pushed; lookups need it.
    pub(crate) fn seal(&mut self) {
        self.files.seal();
        self.directories.seal();
    }

    /// Whether the layer writes this very name, as whatever.
    pub fn writes(&self, path: &str) -> bool {
        let hash = NameHash::of(path);
        self.files.contains(hash) || self.directories.contains(hash)
    }

    /// Whether the layer writes this name as something that is no directory (so nothing can be below).
    pub fn writes_file(&self, path: &str) -> bool {
        self.files.contains(NameHash::of(path))
    }
}

// === impl OwnerIndex ===

impl OwnerIndex {
    /// From (package, path) pairs; paths may begin with '/'.
    pub fn new<'a>(path: &str, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut index = OwnerIndex { path: path.to_owned(), ..OwnerIndex::default() };
        for (package, file) in pairs {
            if index.packages.last().is_none_or(|last| last != package) {
                index.packages.push(package.to_owned());
            }
            let number = index.packages.len().saturating_sub(1) as u32;
            index.files.push((NameHash::of(file.trim_start_matches('/')), number));
        }
        index.files.sort_unstable();
        index
    }

    /// The package that owns a path.
    pub fn find(&self, path: &str) -> Option<&str> {
        self.find_hash(NameHash::of(path))
    }

    /// The same for a path hashed once and looked up in many lists.
    pub fn find_hash(&self, hash: NameHash) -> Option<&str> {
        let at = self.files.partition_point(|(h, _)| *h < hash);
        let (found, number) = self.files.get(at)?;
        if *found != hash {
            return None;
        }
        self.packages.get(*number as usize).map(String::as_str)
    }

    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Number of files.
    pub fn len(&self) -> usize {
        self.files.len()
    }
}

// === impl LayerAnalysis ===

impl LayerAnalysis {
    pub fn empty(diff_id: Digest) -> Self {
        LayerAnalysis {
            diff_id,
            compressed: None,
            stored_bytes: 0,
            inflated_bytes: 0,
            entries: 0,
            names: NameSet::default(),
            whiteouts: Vec::new(),
            opaque: Vec::new(),
            links: Vec::new(),
            findings: Vec::new(),
            setuid: Vec::new(),
            owners: Vec::new(),
            truncated: Vec::new(),
            unexamined: Vec::new(),
        }
    }

    /// The form that is kept.
    pub fn to_bytes(&self) -> Result<Vec<u8>, String> {
        postcard::to_stdvec(self).map_err(|e| format!("layer analysis cannot be written: {e}"))
    }

    /// Reads what [`LayerAnalysis::to_bytes`] wrote; an analysis of another version is an error.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        postcard::from_bytes(bytes).map_err(|e| format!("layer analysis cannot be read, analyse the layer again: {e}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_owners() {
        let mut names = NameSet::default();
        names.push("etc", true);
        names.push("etc/passwd", false);
        names.seal();
        assert!(names.writes("etc") && names.writes("etc/passwd") && !names.writes("etc/shadow"));
        assert!(names.writes_file("etc/passwd") && !names.writes_file("etc"));
        let owners = OwnerIndex::new("x.list", [("a", "/bin/a"), ("b", "bin/b"), ("b", "/bin/c")]);
        assert_eq!(owners.find("bin/a"), Some("a"));
        assert_eq!(owners.find("bin/c"), Some("b"));
        assert_eq!(owners.find("bin/d"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_an_analysis_or_an_error(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            let _ = LayerAnalysis::from_bytes(&bytes);
        }
    }
}
