//! A root file system: a directory or a bare tar. It becomes an image of one layer without
//! configuration.

use super::{Content, Image, digest_of, local_repository};
use jinwu_model::Algorithm;
use jinwu_scan::client::{LayerDescriptor, Pool};
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Writes the directory as a tar to an unlinked file; links are kept as links.
pub(super) fn open(name: &str, path: &Path, pool: &Pool) -> Result<Image, String> {
    let fail = |e: std::io::Error| format!("{}: {e}; read it as a user who may read all of it", path.display());
    let mut builder = tar::Builder::new(BufWriter::with_capacity(1 << 20, tempfile::tempfile().map_err(fail)?));
    builder.follow_symlinks(false);
    builder.sparse(false);
    builder.append_dir_all("", path).map_err(fail)?;
    let mut writer = builder.into_inner().map_err(fail)?;
    writer.flush().map_err(fail)?;
    let file = writer.into_inner().map_err(|e| fail(e.into_error()))?;
    bare(name, file, pool)
}

/// An image around one layer file.
pub(super) fn bare(name: &str, mut file: File, pool: &Pool) -> Result<Image, String> {
    let fail = |e: std::io::Error| format!("{name}: {e}");
    file.seek(SeekFrom::Start(0)).map_err(fail)?;
    let mut hash = <sha2::Sha256 as sha2::Digest>::new();
    let mut buffer = vec![0; 1 << 20];
    let mut size = 0_u64;
    loop {
        let n = file.read(&mut buffer).map_err(fail)?;
        if n == 0 {
            break;
        }
        size += n as u64;
        sha2::Digest::update(&mut hash, buffer.get(..n).unwrap_or_default());
    }
    let digest = jinwu_model::Digest::from_bytes(Algorithm::Sha256, &sha2::Digest::finalize(hash)).map_err(|e| e.to_string())?;
    let pending = pool.analyze_stored(file, size, None);
    let media_type = jinwu_image::media::OCI_LAYER.to_owned();
    let manifest = serde_json::json!({ "schemaVersion": 2, "layers": [{ "mediaType": media_type, "digest": digest, "size": size }] });
    let manifest = manifest.to_string().into_bytes();
    Ok(Image {
        name: name.to_owned(),
        repository: local_repository(name),
        tag: None,
        digest: digest_of(Algorithm::Sha256, &manifest)?,
        media_type: jinwu_image::media::OCI_MANIFEST.to_owned(),
        manifest: manifest.into(),
        // The diff_id is filled in when the layer is known; see `Image::bare`.
        config: bytes::Bytes::from_static(b"{}"),
        config_media_type: jinwu_image::media::OCI_CONFIG.to_owned(),
        layers: vec![(LayerDescriptor { digest, size, media_type }, Content::Running(pending))],
        bare: true,
    })
}
