//! An OCI image layout in a directory (image-spec 1.1 "Image Layout").

use super::{Access, Blobs, Image, from_blobs, read_document};
use jinwu_model::Digest;
use jinwu_scan::client::Pool;
use std::fs::File;
use std::path::{Path, PathBuf};

struct Directory(PathBuf);

impl Blobs for Directory {
    fn open(&self, digest: &Digest) -> Result<File, String> {
        let path = self.0.join("blobs").join(digest.algorithm().as_str()).join(digest.hex());
        let file = File::open(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        match file.metadata() {
            Ok(meta) if meta.is_file() => Ok(file),
            Ok(_) => Err(format!("{}: not a file", path.display())),
            Err(e) => Err(format!("{}: {e}", path.display())),
        }
    }
}

pub(super) fn open(name: &str, path: &Path, access: &Access, pool: &Pool) -> Result<Image, String> {
    let place = path.join("index.json");
    let index = File::open(&place).map_err(|e| e.to_string()).and_then(read_document);
    let index = index.map_err(|e| format!("{}: {e}; an OCI layout needs it", place.display()))?;
    from_blobs(name, &index, &Directory(path.to_owned()), access, pool)
}
