//! Layers, configuration and manifest (OCI image-spec 1.1), put together in memory.

use flate2::Compression;
use flate2::write::GzEncoder;
use jinwu_model::{Algorithm, Digest};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write as _;

pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Bytes with their descriptor.
#[derive(Clone, Debug)]
pub struct Blob {
    pub media_type: String,
    /// SHA-256 of `bytes`.
    pub digest: Digest,
    pub bytes: Vec<u8>,
    /// SHA-256 of what the bytes inflate to, as the configuration states it.
    pub diff_id: Digest,
}

/// A whole image.
#[derive(Clone, Debug)]
pub struct Image {
    /// Lowest first.
    pub layers: Vec<Blob>,
    pub config: Blob,
    pub manifest: Vec<u8>,
    /// SHA-256 of the manifest.
    pub digest: Digest,
}

/// Collects what goes into an image.
#[derive(Clone, Default)]
pub struct Builder {
    files: BTreeMap<String, (u32, Vec<u8>)>,
    more: Vec<Blob>,
    user: String,
    env: Vec<String>,
    ports: Vec<String>,
    entrypoint: Vec<String>,
    wrong_diff_id: bool,
}

// === impl Blob ===

impl Blob {
    /// Bytes that inflate to themselves.
    pub fn new(media_type: &str, bytes: Vec<u8>) -> Self {
        let digest = sha256(&bytes);
        Blob { media_type: media_type.to_owned(), diff_id: digest.clone(), digest, bytes }
    }

    fn descriptor(&self) -> serde_json::Value {
        json!({"mediaType": self.media_type, "digest": self.digest, "size": self.bytes.len()})
    }
}

// === impl Image ===

impl Image {
    /// Everything the manifest names, layers first.
    pub fn blobs(&self) -> impl Iterator<Item = &Blob> {
        self.layers.iter().chain(std::iter::once(&self.config))
    }
}

// === impl Builder ===

impl Builder {
    pub fn new() -> Self {
        Builder::default()
    }

    /// A file of the first layer; a second one of the same path takes its place.
    #[must_use]
    pub fn file(mut self, path: &str, mode: u32, bytes: &[u8]) -> Self {
        self.files.insert(path.to_owned(), (mode, bytes.to_vec()));
        self
    }

    #[must_use]
    pub fn without(mut self, path: &str) -> Self {
        self.files.remove(path);
        self
    }

    /// A layer above the first.
    #[must_use]
    pub fn layer(mut self, blob: Blob) -> Self {
        self.more.push(blob);
        self
    }

    #[must_use]
    pub fn user(mut self, user: &str) -> Self {
        user.clone_into(&mut self.user);
        self
    }

    #[must_use]
    pub fn env(mut self, variable: &str) -> Self {
        self.env.push(variable.to_owned());
        self
    }

    #[must_use]
    pub fn port(mut self, port: &str) -> Self {
        self.ports.push(port.to_owned());
        self
    }

    #[must_use]
    pub fn entrypoint(mut self, program: &str) -> Self {
        self.entrypoint = vec![program.to_owned()];
        self
    }

    /// The configuration names another content than the first layer has.
    #[must_use]
    pub fn wrong_diff_id(mut self) -> Self {
        self.wrong_diff_id = true;
        self
    }

    /// A gzip layer of files with their modes.
    pub fn gzip(files: &[(&str, u32, &[u8])]) -> Blob {
        let owned: BTreeMap<String, (u32, Vec<u8>)> = files.iter().map(|(p, m, b)| ((*p).to_owned(), (*m, b.to_vec()))).collect();
        pack(&owned)
    }

    pub fn build(self) -> Image {
        let mut layers = vec![pack(&self.files)];
        if self.wrong_diff_id
            && let Some(first) = layers.first_mut()
        {
            first.diff_id = sha256(b"another layer");
        }
        layers.extend(self.more);
        let ports: BTreeMap<&String, serde_json::Value> = self.ports.iter().map(|p| (p, json!({}))).collect();
        let env: Vec<&str> = ["PATH=/"].into_iter().chain(self.env.iter().map(String::as_str)).collect();
        let mut run = json!({"Env": env, "Entrypoint": self.entrypoint});
        if !self.user.is_empty() {
            run["User"] = json!(self.user);
        }
        if !ports.is_empty() {
            run["ExposedPorts"] = json!(ports);
        }
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": run,
            "rootfs": {"type": "layers", "diff_ids": layers.iter().map(|l| &l.diff_id).collect::<Vec<_>>()},
        });
        let config = Blob::new(CONFIG, config.to_string().into_bytes());
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": config.descriptor(),
            "layers": layers.iter().map(Blob::descriptor).collect::<Vec<_>>(),
        });
        let manifest = manifest.to_string().into_bytes();
        Image { digest: sha256(&manifest), layers, config, manifest }
    }
}

/// Writing to memory has no error to pass on; a path tar cannot hold is left out.
fn pack(files: &BTreeMap<String, (u32, Vec<u8>)>) -> Blob {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, (mode, bytes)) in files {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(*mode);
        header.set_size(bytes.len() as u64);
        header.set_mtime(0);
        let _ = tar.append_data(&mut header, path, bytes.as_slice());
    }
    let tar = tar.into_inner().unwrap_or_default();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::new(6));
    let _ = gzip.write_all(&tar);
    let mut blob = Blob::new(LAYER_GZIP, gzip.finish().unwrap_or_default());
    blob.diff_id = sha256(&tar);
    blob
}

pub(super) fn sha256(bytes: &[u8]) -> Digest {
    let hash = jinwu_trust::sha256(bytes);
    // 32 bytes are always a sha256 digest.
    Digest::from_bytes(Algorithm::Sha256, &hash).unwrap_or_else(|_| unreachable!("a SHA-256 hash has 32 bytes"))
}
