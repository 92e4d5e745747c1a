//! `jinwu serve` and its command line, as an administrator has them.

use crate::machine;
use crate::process::Process;
use anyhow::Context as _;
use base64::Engine as _;
use jinwu_ledger::block::{HEADER, Header};
use jinwu_model::Record;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) struct Server {
    folder: PathBuf,
    data: PathBuf,
    process: Process,
}

impl Server {
    /// A new installation in this folder.
    pub(crate) fn start(folder: &Path) -> anyhow::Result<Server> {
        std::fs::create_dir_all(folder)?;
        // Copies: a build meanwhile must not change what runs.
        for program in ["jinwu", "jinwu-scan"] {
            std::fs::copy(machine::program(program)?, folder.join(program))?;
        }
        let data = folder.join("data");
        std::fs::write(folder.join("jinwu.toml"), format!("data = {:?}\nlisten = \"127.0.0.1:5443\"\n", data.display().to_string()))?;
        let process = serve(folder, &data)?;
        let mut server = Server { folder: folder.to_owned(), data, process };
        server.ready()?;
        Ok(server)
    }

    fn ready(&mut self) -> anyhow::Result<()> {
        let data = self.data.clone();
        self.process.wait_for(90, || data.join("run").join("server.json").exists() && std::net::TcpStream::connect("127.0.0.1:5443").is_ok())
    }

    /// SIGKILL, and up again on the same folder.
    pub(crate) fn kill_and_restart(&mut self) -> anyhow::Result<()> {
        self.process.kill();
        let _ = std::fs::remove_file(self.data.join("run").join("server.json"));
        self.process = serve(&self.folder, &self.data)?;
        self.ready()
    }

    /// What the command line prints.
    pub(crate) fn jinwu(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let out = Command::new(self.folder.join("jinwu")).arg("--data").arg(&self.data).args(arguments).output()?;
        anyhow::ensure!(out.status.success(), "jinwu {arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
        Ok(String::from_utf8(out.stdout)?)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Objects of all records in the ledger's own files whose name holds `mark`, ascending.
    pub(crate) fn ledger_objects(&self, mark: &str) -> anyhow::Result<Vec<String>> {
        let mut out = Vec::new();
        for entry in std::fs::read_dir(self.data.join("ledger"))? {
            let bytes = std::fs::read(entry?.path())?;
            let mut rest = bytes.as_slice();
            // The last block may be under way.
            while let Some((head, after)) = rest.split_first_chunk::<HEADER>()
                && let Ok(header) = Header::parse(head)
                && let Some((payload, after)) = after.split_at_checked(header.stored as usize)
            {
                let plain = header.open(head, payload)?;
                for record in serde_json::Deserializer::from_slice(&plain).into_iter::<Record>().take(header.records as usize) {
                    out.extend(Some(record?.object).filter(|o| o.contains(mark)));
                }
                rest = after;
            }
        }
        out.sort_unstable();
        Ok(out)
    }

    /// The objects `jinwu cluster install` prints, with these further arguments.
    pub(crate) fn install(&self, cluster: &str, image: &str, more: &[&str]) -> anyhow::Result<Vec<Value>> {
        let manifest = self.jinwu(&[&["cluster", "install", cluster, "--image", image], more].concat())?;
        Ok(serde_json::Deserializer::from_str(&manifest.replace("---\n", "")).into_iter().collect::<Result<_, _>>()?)
    }

    /// Pushes an archive with skopeo; its reference by digest.
    pub(crate) fn push(&self, archive: &Path, reference: &str) -> anyhow::Result<String> {
        let initial: Value = serde_json::from_slice(&std::fs::read(self.data.join("initial-credentials.json"))?)?;
        let part = |key: &str| initial["robot"][key].as_str().unwrap_or_default().to_owned();
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("{}:{}", part("name"), part("secret")));
        let (trusted, credentials, digest) = (self.folder.join("trusted"), self.folder.join("auth.json"), self.folder.join("digest"));
        std::fs::create_dir_all(&trusted)?;
        std::fs::copy(self.data.join("tls").join("ca.crt"), trusted.join("ca.crt"))?;
        jinwu_trust::files::write(&credentials, format!("{{\"auths\":{{\"localhost:5443\":{{\"auth\":\"{basic}\"}}}}}}").as_bytes(), 0o600)?;
        let out = Command::new("skopeo")
            .args(["--insecure-policy", "copy", "--quiet", "--preserve-digests", "--dest-cert-dir"])
            .arg(&trusted)
            .arg("--dest-authfile")
            .arg(&credentials)
            .arg("--digestfile")
            .arg(&digest)
            .arg(format!("oci-archive:{}", archive.display()))
            .arg(format!("docker://localhost:5443/{reference}"))
            .output()
            .context("skopeo")?;
        anyhow::ensure!(out.status.success(), "skopeo copy: {}", String::from_utf8_lossy(&out.stderr));
        let repository = reference.split(':').next().unwrap_or(reference);
        Ok(format!("localhost:5443/{repository}@{}", std::fs::read_to_string(&digest)?.trim()))
    }
}

/// A gate's way to the server, out of an installation's objects into a folder of files.
pub(crate) fn write_way(objects: &[Value], folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    let secret = objects.iter().find(|o| o["metadata"]["name"] == "jinwu-server").context("no secret with the way to the server")?;
    for (name, value) in secret["stringData"].as_object().into_iter().flatten() {
        std::fs::write(folder.join(name), value.as_str().unwrap_or_default())?;
    }
    Ok(())
}

fn serve(folder: &Path, data: &Path) -> anyhow::Result<Process> {
    let mut command = Command::new(folder.join("jinwu"));
    command.arg("--data").arg(data).args(["serve", "--config"]).arg(folder.join("jinwu.toml"));
    Process::start("jinwu", &mut command, &folder.join("server.log"))
}
