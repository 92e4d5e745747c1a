//! One server and what clients need to speak to it.

use jinwu_lab::image::Image;
use jinwu_lab::{Server, corpora, program};
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) struct World {
    pub(crate) server: Server,
}

impl World {
    pub(crate) fn new() -> anyhow::Result<World> {
        let server = Server::start()?;
        let world = World { server };
        let certs = world.certs();
        std::fs::create_dir_all(&certs)?;
        std::fs::copy(world.server.ca(), certs.join("ca.crt"))?;
        let (name, secret) = world.server.robot();
        let basic = base64(format!("{name}:{secret}").as_bytes());
        std::fs::write(world.auth(), serde_json::json!({"auths": {world.server.registry.clone(): {"auth": basic}}}).to_string())?;
        Ok(world)
    }

    pub(crate) fn certs(&self) -> PathBuf {
        self.server.folder().join("certs")
    }

    pub(crate) fn auth(&self) -> PathBuf {
        self.server.folder().join("auth.json")
    }

    pub(crate) fn dir(&self, name: &str) -> anyhow::Result<PathBuf> {
        let dir = self.server.folder().join(name);
        std::fs::create_dir_all(&dir)?;
        Ok(dir)
    }

    pub(crate) fn reference(&self, image: &str) -> String {
        format!("{}/{image}", self.server.registry)
    }

    pub(crate) fn skopeo(&self, arguments: &[&str]) -> anyhow::Result<Command> {
        let mut command = Command::new(program::installed("skopeo")?);
        command.args(["--insecure-policy", "copy"]).arg("--authfile").arg(self.auth());
        command.arg("--dest-cert-dir").arg(self.certs()).arg("--src-cert-dir").arg(self.certs()).args(arguments);
        Ok(command)
    }

    /// podman or buildah with storage of this test's own.
    pub(crate) fn storage(&self, name: &str) -> anyhow::Result<Command> {
        let mut command = Command::new(program::installed(name)?);
        command.arg("--root").arg(self.dir("storage")?).arg("--runroot").arg(self.dir("runroot")?).args(["--storage-driver", "vfs"]);
        if name == "podman" {
            command.args(["--cgroup-manager", "cgroupfs"]);
        }
        command.env("TMPDIR", self.dir("tmp")?).env("REGISTRY_AUTH_FILE", self.auth()).env("SSL_CERT_FILE", self.server.ca());
        Ok(command)
    }

    /// crane, cosign: Go programs that trust SSL_CERT_FILE and read docker's configuration.
    pub(crate) fn go_client(&self, name: &str) -> anyhow::Result<Command> {
        let docker = self.dir("docker")?;
        std::fs::copy(self.auth(), docker.join("config.json"))?;
        let mut command = Command::new(program::installed(name)?);
        command.env("SSL_CERT_FILE", self.server.ca()).env("DOCKER_CONFIG", &docker).env("HOME", self.dir("home")?);
        Ok(command)
    }

    /// Alpine's own root file system as an image.
    pub(crate) fn alpine(&self, version: &str) -> anyhow::Result<Image> {
        let layer = std::fs::read(corpora()?.join("images").join(format!("alpine-minirootfs-{version}-x86_64.tar.gz")))?;
        let mut tar = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(layer.as_slice()), &mut tar)?;
        Ok(Image::new(&[tar], &serde_json::json!({"User": "65532", "Cmd": ["/bin/sh"]})))
    }
}

/// Files of a corpus of OCI layouts and docker archives as `transport:path` names, unpacked where needed.
pub(crate) fn archives(into: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let images = corpora()?.join("images");
    let mut out = Vec::new();
    for libc in ["glibc", "musl", "uclibc"] {
        let dir = into.join(format!("busybox-{libc}"));
        std::fs::create_dir_all(&dir)?;
        program::run(Command::new("tar").arg("-xf").arg(images.join(format!("busybox-{libc}-oci.tar"))).arg("-C").arg(&dir))?;
        let top = if dir.join("index.json").exists() { dir.clone() } else { first_folder(&dir)? };
        out.push((format!("busybox-{libc}"), format!("oci:{}", top.display())));
    }
    for name in ["alpine-310", "alpine-311"] {
        // The archive inside is what `docker save` wrote.
        let plain = into.join(format!("{name}.tar"));
        let mut bytes = Vec::new();
        let packed = std::fs::read(images.join(format!("docker-save-{name}.tar.gz")))?;
        std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(packed.as_slice()), &mut bytes)?;
        std::fs::write(&plain, bytes)?;
        out.push((name.to_owned(), format!("docker-archive:{}", plain.display())));
    }
    let dive = into.join("dive.tar");
    program::run(Command::new("zstd").args(["-q", "-d", "-f"]).arg(images.join("docker-save-dive-whiteouts.tar.zst")).arg("-o").arg(&dive))?;
    out.push(("dive".to_owned(), format!("docker-archive:{}", dive.display())));
    Ok(out)
}

fn first_folder(dir: &Path) -> anyhow::Result<PathBuf> {
    std::fs::read_dir(dir)?.flatten().map(|e| e.path()).find(|p| p.is_dir()).ok_or_else(|| anyhow::anyhow!("{} is empty", dir.display()))
}

/// A layer of `n` bytes that do not compress.
pub(crate) fn big(n: usize) -> Vec<u8> {
    let noise = jinwu_lab::image::noise(77, n);
    jinwu_lab::image::tar(&[jinwu_lab::image::File { path: "app/data.bin", mode: 0o644, content: &noise }])
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let n = chunk.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            out.push(if i <= chunk.len() { char::from(LETTERS[(n >> (18 - 6 * i)) as usize & 63]) } else { '=' });
        }
    }
    out
}

