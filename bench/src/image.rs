//! Images to scan and push: Debian 12 by mmdebstrap, kept below `$JINWU_CACHE/debian`.

use crate::load;
use anyhow::{Context as _, bail};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Packages of the layers above the base of the application image. Each is made as the difference
/// between two installations.
const APPLICATION: [(&str, &str); 4] = [
    ("python", "python3,python3-numpy,python3-django,python3-cryptography,python3-requests,python3-yaml,python3-sqlalchemy"),
    ("node", "nodejs,npm"),
    ("perl", "perl,libwww-perl,libdbi-perl,libmoose-perl,libcatalyst-perl"),
    ("java", "default-jre-headless,libspring-core-java,libjackson2-databind-java,liblog4j2-java"),
];

/// The two images as OCI layouts: minbase, and the application of several layers.
pub(crate) fn images() -> anyhow::Result<Vec<(String, PathBuf)>> {
    let dir = folder()?;
    let (minbase, application) = (dir.join("minbase"), dir.join("application"));
    if !minbase.join("index.json").exists() {
        let tar = installation(&dir, "")?;
        layout(&minbase, &[gzip(&std::fs::read(&tar)?)?])?;
    }
    if !application.join("index.json").exists() {
        let mut layers = vec![gzip(&std::fs::read(installation(&dir, "")?)?)?];
        let mut packages = String::new();
        let mut before = entries(&installation(&dir, "")?)?;
        for (name, more) in APPLICATION {
            if !packages.is_empty() {
                packages.push(',');
            }
            packages.push_str(more);
            let tar = installation(&dir, &packages).with_context(|| format!("layer {name}"))?;
            let after = entries(&tar)?;
            layers.push(gzip(&difference(&tar, &before)?)?);
            before = after;
        }
        layout(&application, &layers)?;
    }
    Ok(vec![("Debian 12 minbase".to_owned(), minbase), (format!("application, {} layers", APPLICATION.len() + 1), application)])
}

/// The layers of both images, each once.
pub(crate) fn layers() -> anyhow::Result<Vec<(String, PathBuf)>> {
    let mut out: Vec<(String, PathBuf)> = Vec::new();
    for (name, dir) in images()? {
        for (i, (digest, _)) in described(&dir)?.into_iter().enumerate() {
            let path = dir.join("blobs").join("sha256").join(digest.trim_start_matches("sha256:"));
            if !out.iter().any(|(_, p)| p.file_name() == path.file_name()) {
                out.push((format!("{name}, layer {}", i + 1), path));
            }
        }
    }
    Ok(out)
}

/// Sizes of an image's layers together.
pub(crate) fn size(dir: &Path) -> anyhow::Result<u64> {
    Ok(described(dir)?.iter().map(|(_, size)| size).sum())
}

fn folder() -> anyhow::Result<PathBuf> {
    let cache = std::env::var_os("JINWU_CACHE").context("JINWU_CACHE is not set: ./x bench sets it to the folder where images are kept")?;
    let dir = PathBuf::from(cache).join("debian").join("bench");
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}

/// Digest and size of the layers of a layout's only image.
fn described(dir: &Path) -> anyhow::Result<Vec<(String, u64)>> {
    let read = |path: PathBuf| -> anyhow::Result<serde_json::Value> {
        Ok(serde_json::from_slice(&std::fs::read(&path).with_context(|| path.display().to_string())?)?)
    };
    let index = read(dir.join("index.json"))?;
    let digest = index["manifests"][0]["digest"].as_str().unwrap_or_default().trim_start_matches("sha256:").to_owned();
    let manifest = read(dir.join("blobs").join("sha256").join(digest))?;
    let layers = manifest["layers"].as_array().cloned().unwrap_or_default();
    Ok(layers.iter().map(|l| (l["digest"].as_str().unwrap_or_default().to_owned(), l["size"].as_u64().unwrap_or(0))).collect())
}

/// A tar archive of Debian 12 with these packages beside minbase.
fn installation(dir: &Path, packages: &str) -> anyhow::Result<PathBuf> {
    let key = load::digest(packages.as_bytes());
    let path = dir.join(format!("bookworm-{}.tar", &key[7..19]));
    if path.exists() {
        return Ok(path);
    }
    eprintln!("mmdebstrap bookworm {packages}");
    let beside = path.with_extension("new.tar");
    let mut command = Command::new("mmdebstrap");
    command.args(["--quiet", "--variant=minbase", "--mode=root"]);
    if !packages.is_empty() {
        command.arg(format!("--include={packages}"));
    }
    command.arg("bookworm").arg(&beside);
    // The mirror apt uses here, where it says one.
    if let Some(mirror) = mirror() {
        command.arg(mirror);
    }
    let output = command.output().context("mmdebstrap")?;
    if !output.status.success() {
        bail!("mmdebstrap: {}", String::from_utf8_lossy(&output.stderr));
    }
    std::fs::rename(&beside, &path)?;
    Ok(path)
}

/// The `deb` line of bookworm's main archive from apt's own lists.
fn mirror() -> Option<String> {
    let output = Command::new("apt-get").args(["indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Codename: bookworm"]).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().find(|l| !l.contains("security")).map(|uri| format!("deb {uri} bookworm main"))
}

/// What identifies a member of an archive: path, size, time, kind.
type Entries = std::collections::HashSet<(Vec<u8>, u64, u64, u8)>;

fn entries(path: &Path) -> anyhow::Result<Entries> {
    let mut archive = tar::Archive::new(std::io::BufReader::with_capacity(1 << 20, std::fs::File::open(path)?));
    let mut out = Entries::new();
    for entry in archive.entries()? {
        let entry = entry?;
        out.insert(key(&entry)?);
    }
    Ok(out)
}

fn key(entry: &tar::Entry<'_, impl std::io::Read>) -> anyhow::Result<(Vec<u8>, u64, u64, u8)> {
    let header = entry.header();
    Ok((entry.path_bytes().into_owned(), header.size()?, header.mtime()?, header.entry_type().as_byte()))
}

/// Members that are new or changed. Hard links and device files are left out: their targets stand in
/// another layer.
fn difference(path: &Path, before: &Entries) -> anyhow::Result<Vec<u8>> {
    let mut archive = tar::Archive::new(std::io::BufReader::with_capacity(1 << 20, std::fs::File::open(path)?));
    let mut builder = tar::Builder::new(Vec::new());
    for entry in archive.entries()? {
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        if before.contains(&key(&entry)?) || !(kind.is_file() || kind.is_dir() || kind.is_symlink()) {
            continue;
        }
        let mut header = entry.header().clone();
        let member = entry.path()?.into_owned();
        if let Some(target) = entry.link_name()? {
            builder.append_link(&mut header, &member, &target)?;
        } else {
            let mut content = Vec::with_capacity(entry.size() as usize);
            entry.read_to_end(&mut content)?;
            builder.append_data(&mut header, &member, content.as_slice())?;
        }
    }
    Ok(builder.into_inner()?)
}

/// An OCI layout of one image, which Syft and our scanner read alike.
fn layout(dir: &Path, layers: &[Vec<u8>]) -> anyhow::Result<()> {
    let blobs = dir.join("blobs").join("sha256");
    std::fs::create_dir_all(&blobs)?;
    let keep = |bytes: &[u8]| -> anyhow::Result<(String, usize)> {
        let digest = load::digest(bytes);
        std::fs::write(blobs.join(&digest[7..]), bytes)?;
        Ok((digest, bytes.len()))
    };
    let mut descriptors = Vec::new();
    let mut diff_ids = Vec::new();
    for layer in layers {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(layer.as_slice()).read_to_end(&mut plain)?;
        diff_ids.push(load::digest(&plain));
        let (digest, size) = keep(layer)?;
        descriptors.push((digest, size as u64));
    }
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {"User": "nobody"},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = config.to_string().into_bytes();
    keep(&config)?;
    let kind = "application/vnd.oci.image.layer.v1.tar+gzip";
    let layers: Vec<_> = descriptors.iter().map(|(d, s)| (kind, d.as_str(), *s)).collect();
    let (digest, size) = keep(&load::manifest(&config, &layers))?;
    std::fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [{"mediaType": load::MANIFEST, "digest": digest, "size": size}]});
    std::fs::write(dir.join("index.json"), index.to_string())?;
    Ok(())
}

/// An archive with one file.
pub(crate) fn tar_of_one(path: &str, content: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::with_capacity(content.len() + 4096));
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    builder.append_data(&mut header, path, content)?;
    Ok(builder.into_inner()?)
}

/// As `docker build` compresses: gzip, the default level.
pub(crate) fn gzip(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 2), Compression::default());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_holds_what_is_new_only() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("base.tar");
        std::fs::write(&base, tar_of_one("a", b"1").unwrap()).unwrap();
        let mut builder = tar::Builder::new(std::fs::File::create(dir.path().join("more.tar")).unwrap());
        for (path, content) in [("a", b"1".as_slice()), ("b", b"22")] {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            builder.append_data(&mut header, path, content).unwrap();
        }
        builder.into_inner().unwrap();
        let layer = difference(&dir.path().join("more.tar"), &entries(&base).unwrap()).unwrap();
        let mut archive = tar::Archive::new(layer.as_slice());
        let paths: Vec<_> = archive.entries().unwrap().map(|e| e.unwrap().path().unwrap().display().to_string()).collect();
        assert_eq!(paths, ["b"]);
        let out = dir.path().join("image");
        layout(&out, &[gzip(&layer).unwrap()]).unwrap();
        assert_eq!(described(&out).unwrap().len(), 1);
        assert!(size(&out).unwrap() > 0);
    }
}
