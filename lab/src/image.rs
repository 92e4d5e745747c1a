//! Images made in memory for tests.

use sha2::Digest as _;
use std::io::Write as _;
use std::path::Path;

/// A file of a layer.
pub struct File<'a> {
    pub path: &'a str,
    pub mode: u32,
    pub content: &'a [u8],
}

/// An image: manifest, configuration, layers, as bytes.
#[derive(Clone)]
pub struct Image {
    pub media_type: String,
    pub manifest: Vec<u8>,
    pub config: Vec<u8>,
    pub layers: Vec<Vec<u8>>,
}

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

impl Image {
    /// From uncompressed layers and the `config` member of its configuration.
    pub fn new(tars: &[Vec<u8>], config: &serde_json::Value) -> Image {
        let layers: Vec<Vec<u8>> = tars.iter().map(|t| gzip(t)).collect();
        let config = serde_json::json!({
            "architecture": "amd64", "os": "linux", "config": config,
            "rootfs": {"type": "layers", "diff_ids": tars.iter().map(|t| digest(t)).collect::<Vec<_>>()},
        });
        Self::of(&layers, LAYER, config.to_string().into_bytes())
    }

    /// From parts that need not fit together.
    pub fn of(layers: &[Vec<u8>], layer_type: &str, config: Vec<u8>) -> Image {
        let descriptor = |media_type: &str, bytes: &[u8]| serde_json::json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()});
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(CONFIG, &config),
            "layers": layers.iter().map(|l| descriptor(layer_type, l)).collect::<Vec<_>>(),
        });
        Image { media_type: MANIFEST.into(), manifest: manifest.to_string().into_bytes(), config, layers: layers.to_vec() }
    }

    /// A small image that violates nothing: Alpine's own system with a user.
    pub fn good(seed: u64) -> Image {
        let os = b"ID=alpine\nVERSION_ID=3.20.3\nPRETTY_NAME=\"Alpine Linux v3.20\"\n";
        let installed = format!("P:jinwu-test-{seed}\nV:1.0-r0\nA:x86_64\no:jinwu-test\n\n");
        let tar = tar(&[
            File { path: "etc/os-release", mode: 0o644, content: os },
            File { path: "etc/passwd", mode: 0o644, content: b"root:x:0:0::/:/bin/sh\napp:x:65532:65532::/:/bin/sh\n" },
            File { path: "lib/apk/db/installed", mode: 0o644, content: installed.as_bytes() },
            File { path: "etc/apk/repositories", mode: 0o644, content: b"https://example.com/alpine/v3.20/main\n" },
            File { path: "app/data", mode: 0o644, content: &noise(seed, 4000) },
        ]);
        Image::new(&[tar], &serde_json::json!({"User": "65532", "Cmd": ["/app/run"]}))
    }

    pub fn blobs(&self) -> impl Iterator<Item = &[u8]> {
        self.layers.iter().map(Vec::as_slice).chain(std::iter::once(self.config.as_slice()))
    }

    pub fn digest(&self) -> String {
        digest(&self.manifest)
    }

    /// As an OCI layout with one tag, for skopeo and its kin.
    pub fn write_layout(&self, dir: &Path, tag: &str) -> std::io::Result<()> {
        let blobs = dir.join("blobs").join("sha256");
        std::fs::create_dir_all(&blobs)?;
        for blob in self.blobs().chain(std::iter::once(self.manifest.as_slice())) {
            std::fs::write(blobs.join(&digest(blob)[7..]), blob)?;
        }
        std::fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
        let index = serde_json::json!({"schemaVersion": 2, "manifests": [{
            "mediaType": self.media_type, "digest": self.digest(), "size": self.manifest.len(),
            "annotations": {"org.opencontainers.image.ref.name": tag},
        }]});
        std::fs::write(dir.join("index.json"), index.to_string())
    }
}

/// A tar archive of files, in order.
pub fn tar(files: &[File<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(file.content.len() as u64);
        header.set_mode(file.mode);
        header.set_cksum();
        let _ = builder.append_data(&mut header, file.path, file.content);
    }
    builder.into_inner().unwrap_or_default()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

/// `sha256:…`.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(sha2::Sha256::digest(bytes)))
}

/// `n` bytes that do not repeat and do not compress.
pub fn noise(seed: u64, n: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..n)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as u8
        })
        .collect()
}
