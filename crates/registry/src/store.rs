//! Content-addressed files: `blobs/<algorithm>/<aa>/<hex>`, uploads beside them.

use crate::RegistryError;
use jinwu_model::{Algorithm, Digest};
use sha2::Digest as _;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Handle to the files. Clones are cheap.
#[derive(Clone)]
pub struct Store {
    root: Arc<PathBuf>,
}

/// A running hash of either algorithm.
#[derive(Clone)]
pub enum Hasher {
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
}

impl Hasher {
    pub fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Hasher::Sha256(sha2::Sha256::new()),
            Algorithm::Sha512 => Hasher::Sha512(sha2::Sha512::new()),
        }
    }

    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(h) => h.update(bytes),
            Hasher::Sha512(h) => h.update(bytes),
        }
    }

    pub fn finish(self) -> Option<Digest> {
        match self {
            Hasher::Sha256(h) => Digest::from_bytes(Algorithm::Sha256, &h.finalize()),
            Hasher::Sha512(h) => Digest::from_bytes(Algorithm::Sha512, &h.finalize()),
        }
        .ok()
    }

    pub fn algorithm(&self) -> Algorithm {
        match self {
            Hasher::Sha256(_) => Algorithm::Sha256,
            Hasher::Sha512(_) => Algorithm::Sha512,
        }
    }
}

impl Store {
    pub fn open(root: &Path) -> Result<Self, RegistryError> {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            for aa in 0..=255u8 {
                let dir = root.join("blobs").join(algorithm.as_str()).join(format!("{aa:02x}"));
                std::fs::create_dir_all(&dir).map_err(|source| RegistryError::Io { path: dir.display().to_string(), source })?;
            }
        }
        for name in ["uploads", "quarantine"] {
            let dir = root.join(name);
            std::fs::create_dir_all(&dir).map_err(|source| RegistryError::Io { path: dir.display().to_string(), source })?;
        }
        Ok(Store { root: Arc::new(root.to_owned()) })
    }

    /// Where a blob's bytes are, if they are.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs").join(digest.algorithm().as_str()).join(&digest.hex()[..2]).join(digest.hex())
    }

    pub fn uploads(&self) -> PathBuf {
        self.root.join("uploads")
    }

    /// Moves damaged content out of the way: kept as evidence, never served.
    pub fn quarantine(&self, digest: &Digest) -> std::io::Result<()> {
        let to = self.root.join("quarantine").join(format!("{}-{}-{}", digest.algorithm(), digest.hex(), crate::now()));
        std::fs::rename(self.path(digest), to)
    }

    /// Every content file with its digest; strangers are skipped.
    pub fn walk(&self) -> std::io::Result<Vec<(Digest, u64)>> {
        let mut out = Vec::new();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            for aa in std::fs::read_dir(self.root.join("blobs").join(algorithm.as_str()))? {
                for entry in std::fs::read_dir(aa?.path())? {
                    let entry = entry?;
                    if let Ok(digest) = Digest::new(algorithm, &entry.file_name().to_string_lossy()) {
                        out.push((digest, entry.metadata()?.len()));
                    }
                }
            }
        }
        Ok(out)
    }
}

/// Hashes a whole file.
pub fn hash_file(path: &Path, algorithm: Algorithm) -> std::io::Result<(Hasher, u64)> {
    let mut file = std::fs::File::open(path)?;
    let mut hasher = Hasher::new(algorithm);
    let mut buffer = vec![0; 1 << 20];
    let mut size = 0;
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok((hasher, size));
        }
        hasher.update(&buffer[..n]);
        size += n as u64;
    }
}
