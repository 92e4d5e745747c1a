//! An image in one file: an OCI layout as a tar, what `docker save` writes, or the bare tar of a root
//! file system; any of them compressed with gzip or zstd.

use super::{Access, Blobs, Content, Image, digest_of, from_blobs, local_repository, read_document, rootfs, stored};
use jinwu_image::tar::{Entry, Kind};
use jinwu_image::walk::{Limits, Part, Visitor, walk};
use jinwu_image::{Descriptor, path};
use jinwu_model::{Algorithm, Digest};
use jinwu_scan::client::{LayerDescriptor, LayerOutcome, Pool};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Members kept open; an image has at most a few hundred.
const MAX_MEMBERS: usize = 3000;

/// Members of the archive that may be part of an image, each in an unlinked file.
#[derive(Default)]
struct Members {
    files: BTreeMap<String, File>,
    links: BTreeMap<String, String>,
    error: Option<String>,
}

impl Visitor for Members {
    fn entry(&mut self, entry: &Entry, _: &[u8]) -> bool {
        if let (Kind::Symlink | Kind::HardLink, Some(target)) = (entry.kind, &entry.link) {
            let target = if entry.kind == Kind::Symlink { path::resolve(&entry.path, target) } else { target.clone() };
            self.links.insert(entry.path.clone(), target);
            return false;
        }
        let (directory, base) = path::split(&entry.path);
        let wanted = entry.kind == Kind::File
            && self.error.is_none()
            && self.files.len() < MAX_MEMBERS
            && (directory.starts_with("blobs/")
                || directory.is_empty() && (base.ends_with(".json") || base.contains(".tar"))
                || base == "layer.tar" && !directory.contains('/'));
        if !wanted {
            return false;
        }
        match tempfile::tempfile() {
            Ok(file) => {
                self.files.insert(entry.path.clone(), file);
            }
            Err(e) => self.error = Some(format!("temporary file: {e}")),
        }
        true
    }

    fn content(&mut self, entry: &Entry, part: Part<'_>) {
        let Some(file) = self.files.get(&entry.path) else { return };
        if let Err(e) = file.write_all_at(part.bytes, part.offset) {
            self.error = Some(format!("temporary file: {e}; free space in the temporary directory or set TMPDIR"));
        }
    }
}

impl Members {
    fn open(&self, name: &str) -> Result<File, String> {
        let mut name = name;
        for _ in 0..8 {
            match self.links.get(name) {
                Some(target) => name = target,
                None => break,
            }
        }
        let file = self.files.get(name).ok_or_else(|| format!("{name} is not in the archive"))?;
        // A duplicate shares the offset, which documents are read by.
        let file = file.try_clone().map_err(|e| e.to_string())?;
        std::io::Seek::rewind(&mut &file).map_err(|e| e.to_string())?;
        Ok(file)
    }
}

impl Blobs for Members {
    fn open(&self, digest: &Digest) -> Result<File, String> {
        Members::open(self, &format!("blobs/{}/{}", digest.algorithm(), digest.hex()))
    }
}

/// An entry of docker's `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

pub(super) fn open(name: &str, path: &Path, access: &Access, pool: &Pool) -> Result<Image, String> {
    let fail = |e: std::io::Error| format!("{name}: {e}");
    let file = File::open(path).map_err(fail)?;
    let limits = Limits { window: 4 << 20, overlap: 0, ..Limits::default() };
    let mut members = Members::default();
    let reader = file.try_clone().map_err(fail)?;
    let walked = walk(reader, false, &limits, &mut members);
    if let Some(error) = members.error {
        return Err(format!("{name}: {error}"));
    }
    if members.files.contains_key("index.json") || members.files.contains_key("manifest.json") {
        walked.map_err(|e| format!("{name}: {e}"))?;
    } else {
        return match walked {
            // No image documents: the tar of a root file system. The worker says what is wrong with a
            // damaged one.
            Ok(_) => rootfs::bare(name, file, pool),
            Err(e) => Err(format!("{name}: {e}; an OCI layout, a docker-save archive or the tar of a root file system is expected")),
        };
    }
    if let Ok(index) = members.open("index.json") {
        let index = read_document(index).map_err(|e| format!("{name}: index.json: {e}"))?;
        return from_blobs(name, &index, &members, access, pool);
    }
    saved(name, &members, pool)
}

/// What `docker save` writes: `manifest.json` names a configuration and uncompressed layers by path.
fn saved(name: &str, members: &Members, pool: &Pool) -> Result<Image, String> {
    let document = members.open("manifest.json").and_then(read_document).map_err(|e| format!("{name}: manifest.json: {e}"))?;
    let list: Option<Vec<Saved>> = serde_json::from_slice(&document).map_err(|e| format!("{name}: manifest.json: {e}"))?;
    let saved = list.unwrap_or_default().into_iter().next().ok_or(format!("{name}: manifest.json lists no image"))?;
    let config = members.open(&saved.config).and_then(read_document).map_err(|e| format!("{name}: configuration: {e}"))?;
    let mut layers = Vec::new();
    let mut descriptors = Vec::new();
    for layer in saved.layers.unwrap_or_default() {
        let file = members.open(&path::normalise(layer.as_bytes()));
        let hashed = file.as_ref().map_err(Clone::clone).and_then(hash);
        match hashed {
            Ok((digest, size)) => {
                let d = LayerDescriptor { digest, size, media_type: jinwu_image::media::OCI_LAYER.to_owned() };
                let json = serde_json::json!({ "mediaType": d.media_type, "digest": d.digest, "size": d.size });
                let descriptor: Descriptor = serde_json::from_value(json.clone()).map_err(|e| e.to_string())?;
                layers.push((d, stored(file, &descriptor, pool)));
                descriptors.push(json);
            }
            Err(detail) => {
                // There is no content to name it by: its name in the archive stands for it.
                let digest = digest_of(Algorithm::Sha256, layer.as_bytes())?;
                let d = LayerDescriptor { digest, size: 0, media_type: jinwu_image::media::OCI_LAYER.to_owned() };
                let reason = jinwu_model::report::UnscannableReason::Unreadable;
                layers.push((d, Content::Settled(LayerOutcome::Unscannable { reason, detail: format!("layer {layer}: {detail}") })));
            }
        }
    }
    let config_digest = digest_of(Algorithm::Sha256, &config)?;
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": jinwu_image::media::OCI_MANIFEST,
        "config": { "mediaType": jinwu_image::media::DOCKER_CONFIG, "digest": config_digest, "size": config.len() },
        "layers": descriptors,
    });
    let manifest = manifest.to_string().into_bytes();
    let tag = saved.repo_tags.unwrap_or_default().into_iter().next();
    Ok(Image {
        name: tag.clone().map_or_else(|| name.to_owned(), |t| format!("{name} ({t})")),
        repository: local_repository(name),
        tag: tag.and_then(|t| t.rsplit_once(':').map(|(_, t)| t.to_owned())),
        digest: digest_of(Algorithm::Sha256, &manifest)?,
        media_type: jinwu_image::media::OCI_MANIFEST.to_owned(),
        manifest: manifest.into(),
        config: config.into(),
        config_media_type: jinwu_image::media::DOCKER_CONFIG.to_owned(),
        layers,
        bare: false,
    })
}

fn hash(mut file: &File) -> Result<(Digest, u64), String> {
    let mut hash = <sha2::Sha256 as sha2::Digest>::new();
    let mut buffer = vec![0; 1 << 20];
    let mut size = 0_u64;
    loop {
        let n = file.read(&mut buffer).map_err(|e| e.to_string())?;
        if n == 0 {
            break;
        }
        size += n as u64;
        sha2::Digest::update(&mut hash, buffer.get(..n).unwrap_or_default());
    }
    let digest = Digest::from_bytes(Algorithm::Sha256, &sha2::Digest::finalize(hash)).map_err(|e| e.to_string())?;
    Ok((digest, size))
}
