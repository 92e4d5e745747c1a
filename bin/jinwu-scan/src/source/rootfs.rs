//! A root file system: a directory or a bare tar. It becomes an image of one layer without
//! configuration.

use super::{Content, Image, digest_of, local_repository};
use jinwu_model::Algorithm;
use jinwu_scan::client::{LayerDescriptor, Pool};
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Deepest directory that is followed.
const MAX_DEPTH: usize = 1000;

/// Writes the directory as a tar to an unlinked file. Links are kept as links, sockets and devices are
/// left out, other file systems mounted below (such as `/proc`) too.
pub(super) fn open(name: &str, path: &Path, pool: &Pool) -> Result<Image, String> {
    let fail = |path: &Path, e: &std::io::Error| format!("{}: {e}; scan as a user who may read all of it", path.display());
    let temporary = tempfile::tempfile().map_err(|e| format!("temporary file: {e}"))?;
    let mut builder = tar::Builder::new(BufWriter::with_capacity(1 << 20, temporary));
    builder.follow_symlinks(false);
    builder.sparse(false);
    let device = std::fs::metadata(path).map_err(|e| fail(path, &e))?.dev();
    let mut directories = vec![(path.to_owned(), PathBuf::new(), 0)];
    while let Some((directory, inside, depth)) = directories.pop() {
        let entries = std::fs::read_dir(&directory).and_then(|list| list.collect::<Result<Vec<_>, _>>());
        let mut entries = entries.map_err(|e| fail(&directory, &e))?;
        // The same directory gives the same tar.
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let (place, member) = (entry.path(), inside.join(entry.file_name()));
            let meta = std::fs::symlink_metadata(&place).map_err(|e| fail(&place, &e))?;
            let kind = meta.file_type();
            if meta.dev() != device || !(kind.is_dir() || kind.is_file() || kind.is_symlink()) {
                continue;
            }
            builder.append_path_with_name(&place, &member).map_err(|e| fail(&place, &e))?;
            if kind.is_dir() {
                if depth >= MAX_DEPTH {
                    return Err(format!("{}: nested deeper than {MAX_DEPTH} directories", place.display()));
                }
                directories.push((place, member, depth + 1));
            }
        }
    }
    let written = builder.into_inner().and_then(|mut w| w.flush().map(|()| w)).map_err(|e| format!("temporary file: {e}"))?;
    let file = written.into_inner().map_err(|e| format!("temporary file: {e}"))?;
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
