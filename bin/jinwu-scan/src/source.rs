//! Where an image comes from: a registry, an OCI layout, an archive, a directory.
//!
//! Every source ends as the same thing: manifest and configuration as bytes, and layers as open files
//! (perhaps still growing) that only a sandboxed worker reads. Archives are split here with the walk of
//! `jinwu-image`; their members go to unlinked temporary files, never to named ones.

mod archive;
mod auth;
mod layout;
mod registry;
mod rootfs;

use bytes::Bytes;
use jinwu_image::{Descriptor, Index, Manifest, json};
use jinwu_model::{Algorithm, Digest};
use jinwu_scan::client::{LayerDescriptor, LayerOutcome, Pending, Pool};
use sha2::Digest as _;
use std::fs::File;
use std::path::Path;

pub(crate) use auth::Credentials;

/// An image whose layers are being analysed.
pub(crate) struct Image {
    /// As the user named it.
    pub(crate) name: String,
    /// Repository part of a reference; made up for local images.
    pub(crate) repository: String,
    pub(crate) tag: Option<String>,
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) manifest: Bytes,
    pub(crate) config: Bytes,
    pub(crate) config_media_type: String,
    pub(crate) layers: Vec<(LayerDescriptor, Content)>,
    /// A bare root file system: there is no configuration to judge, and the diff_id is the layer's own.
    pub(crate) bare: bool,
}

/// A layer's analysis, running or settled.
pub(crate) enum Content {
    Running(Pending),
    Settled(LayerOutcome),
}

/// How to get at an image.
pub(crate) struct Access {
    pub(crate) credentials: Credentials,
    pub(crate) ca: Vec<std::path::PathBuf>,
    pub(crate) insecure: bool,
    pub(crate) plain_http: bool,
    /// `os/architecture`.
    pub(crate) platform: (String, String),
}

/// Opens what the user named and starts the analysis of its layers. An error is for the user: what,
/// where, what to do.
pub(crate) async fn open(name: &str, access: &Access, pool: &Pool) -> Result<Image, String> {
    let path = Path::new(name);
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() && (path.join("index.json").exists() || path.join("oci-layout").exists()) => layout::open(name, path, access, pool),
        Ok(meta) if meta.is_dir() => rootfs::open(name, path, pool),
        Ok(_) => archive::open(name, path, access, pool),
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(format!("{name}: {e}")),
        Err(_) if name.starts_with(['/', '.']) => Err(format!("{name}: no such file or directory")),
        Err(_) => registry::pull(name, access, pool).await,
    }
}

/// Blobs by digest: what a layout in a directory and one in an archive have in common.
trait Blobs {
    fn open(&self, digest: &Digest) -> Result<File, String>;
}

/// Follows an index to the manifest of the platform and starts the layers.
fn from_blobs(name: &str, index: &[u8], blobs: &impl Blobs, access: &Access, pool: &Pool) -> Result<Image, String> {
    let mut descriptor = choose(index, access).map_err(|e| format!("{name}: index.json: {e}"))?;
    let mut manifest = read_blob(blobs, &descriptor).map_err(|e| format!("{name}: {e}"))?;
    // An index may point to an index, as multi-platform layouts do.
    for _ in 0..4 {
        if !is_index(&descriptor.media_type, &manifest) {
            break;
        }
        descriptor = choose(&manifest, access).map_err(|e| format!("{name}: {}: {e}", descriptor.digest))?;
        manifest = read_blob(blobs, &descriptor).map_err(|e| format!("{name}: {e}"))?;
    }
    let parsed = Manifest::parse(&manifest).map_err(|e| format!("{name}: {}: {e}", descriptor.digest))?;
    let config = read_blob(blobs, &parsed.config).map_err(|e| format!("{name}: configuration: {e}"))?;
    let tag = descriptor.annotations.get("org.opencontainers.image.ref.name").cloned();
    let layers = parsed.layers.iter().map(|l| (descriptor_of(l), stored(blobs.open(&l.digest), l, pool))).collect();
    Ok(Image {
        name: name.to_owned(),
        repository: local_repository(name),
        tag: tag.filter(|t| t.parse::<jinwu_model::Tag>().is_ok()),
        digest: descriptor.digest.clone(),
        media_type: if parsed.media_type.is_empty() { descriptor.media_type.clone() } else { parsed.media_type.clone() },
        manifest: manifest.into(),
        config: config.into(),
        config_media_type: parsed.config.media_type.clone(),
        layers,
        bare: false,
    })
}

fn descriptor_of(l: &Descriptor) -> LayerDescriptor {
    LayerDescriptor { digest: l.digest.clone(), size: l.size, media_type: l.media_type.clone() }
}

/// Starts the analysis of a complete layer file; a missing one is a layer that cannot be scanned.
fn stored(file: Result<File, String>, layer: &Descriptor, pool: &Pool) -> Content {
    let opened = file.and_then(|f| f.metadata().map(|m| (f, m.len())).map_err(|e| e.to_string()));
    match opened {
        Ok((file, size)) => Content::Running(pool.analyze_stored(file, size, Some(layer.digest.clone()))),
        Err(detail) => Content::Settled(LayerOutcome::Unscannable {
            reason: jinwu_model::report::UnscannableReason::Unreadable,
            detail: format!("layer {}: {detail}", layer.digest),
        }),
    }
}

/// The manifest of an index for the platform; the only one whatever it is for.
fn choose(index: &[u8], access: &Access) -> Result<Descriptor, String> {
    let index = Index::parse(index).map_err(|e| e.to_string())?;
    // Attestations stand beside images with platform unknown/unknown.
    let images: Vec<_> = index.manifests.iter().filter(|d| d.platform.as_ref().is_none_or(|p| p.os != "unknown")).collect();
    let (os, architecture) = &access.platform;
    let fits = |d: &&&Descriptor| d.platform.as_ref().is_some_and(|p| p.os == *os && p.architecture == *architecture);
    match (images.as_slice(), images.iter().find(fits)) {
        (_, Some(found)) => Ok((**found).clone()),
        ([only], None) => Ok((*only).clone()),
        ([], None) => Err("it lists no image".into()),
        (several, None) => {
            let known: Vec<_> = several.iter().filter_map(|d| d.platform.as_ref()).map(|p| format!("{}/{}", p.os, p.architecture)).collect();
            Err(format!("no image for {os}/{architecture}; choose one of [{}] with --platform", known.join(", ")))
        }
    }
}

fn is_index(media_type: &str, bytes: &[u8]) -> bool {
    use jinwu_image::media::{DOCKER_LIST, OCI_INDEX};
    media_type == OCI_INDEX || media_type == DOCKER_LIST || (Manifest::parse(bytes).is_err() && Index::parse(bytes).is_ok())
}

/// Reads a small document and checks that it is what its digest says.
fn read_blob(blobs: &impl Blobs, descriptor: &Descriptor) -> Result<Vec<u8>, String> {
    let file = blobs.open(&descriptor.digest)?;
    let bytes = read_document(file).map_err(|e| format!("{}: {e}", descriptor.digest))?;
    verify(&bytes, &descriptor.digest)?;
    Ok(bytes)
}

fn read_document(file: impl std::io::Read) -> Result<Vec<u8>, String> {
    use std::io::Read;
    let mut bytes = Vec::new();
    file.take(json::MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() > json::MAX_BYTES {
        return Err(format!("document larger than {} bytes", json::MAX_BYTES));
    }
    Ok(bytes)
}

fn verify(bytes: &[u8], digest: &Digest) -> Result<(), String> {
    let found = digest_of(digest.algorithm(), bytes)?;
    if found == *digest { Ok(()) } else { Err(format!("content hashes to {found}, not to {digest}: it was changed or cut")) }
}

fn digest_of(algorithm: Algorithm, bytes: &[u8]) -> Result<Digest, String> {
    match algorithm {
        Algorithm::Sha256 => Digest::from_bytes(algorithm, &sha2::Sha256::digest(bytes)),
        Algorithm::Sha512 => Digest::from_bytes(algorithm, &sha2::Sha512::digest(bytes)),
    }
    .map_err(|e| e.to_string())
}

/// A repository name a local image is judged under.
fn local_repository(name: &str) -> String {
    let base = Path::new(name).file_name().and_then(|n| n.to_str()).unwrap_or("image").to_ascii_lowercase();
    let clean: String = base.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let clean = clean.split('-').filter(|p| !p.is_empty()).collect::<Vec<_>>().join("-");
    format!("local/{}", if clean.is_empty() { "image" } else { &clean })
}
