//! A real gate before a real server, without a cluster.

use anyhow::Context as _;
use jinwu_lab::{Server, program};
use serde_json::Value;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The name in a gate's certificate.
const NAME: &str = "jinwu-gate.jinwu.svc";

/// A gate as a process without a cluster, its way to the server, and the API server's side of it.
pub(crate) struct Process {
    pub(crate) folder: PathBuf,
    arguments: Vec<String>,
    port: u16,
    child: Child,
}

impl Process {
    /// `serve` with the webhooks, or `tail` of a file.
    pub(crate) fn start(server: &Server, name: &str, file: Option<&Path>) -> anyhow::Result<Process> {
        let mut arguments = vec!["serve".to_owned()];
        if let Some(file) = file {
            arguments = vec!["tail".to_owned(), "--file".to_owned(), file.display().to_string()];
        }
        Process::start_with(server, name, arguments)
    }

    /// With these arguments, the command first.
    pub(crate) fn start_with(server: &Server, name: &str, arguments: Vec<String>) -> anyhow::Result<Process> {
        let folder = server.folder().join(name);
        std::fs::create_dir_all(folder.join("way"))?;
        let image = format!("localhost/open/gate@sha256:{}", "0".repeat(64));
        let manifest = said(server, &["cluster", "install", "prod", "--image", &image])?;
        for object in serde_json::Deserializer::from_str(&manifest.replace("---\n", "")).into_iter::<Value>() {
            let object = object?;
            for (name, value) in object["stringData"].as_object().into_iter().flatten().filter(|_| object["metadata"]["name"] == "jinwu-server") {
                std::fs::write(folder.join("way").join(name), value.as_str().unwrap_or_default())?;
            }
        }
        let side = folder.join("side").display().to_string();
        said(server, &["cluster", "apiserver", "prod", "--out", &side])?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let child = spawn(&folder, &arguments, port)?;
        Ok(Process { folder, arguments, port, child })
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Again on its folder, with the way to where the server is now.
    pub(crate) fn restart(&mut self, server: &Server) -> anyhow::Result<()> {
        self.kill();
        std::fs::write(self.folder.join("way").join("url"), server.url(""))?;
        self.child = spawn(&self.folder, &self.arguments, self.port)?;
        Ok(())
    }

    /// The API server as a client of the gate; `known` with its certificate.
    pub(crate) fn client(&self, known: bool) -> anyhow::Result<reqwest::Client> {
        let read = |name: &str| std::fs::read(self.folder.join("side").join(name)).with_context(|| name.to_owned());
        let mut builder = reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(&read("authority.crt")?)?])
            .resolve(NAME, ([127, 0, 0, 1], self.port).into())
            .timeout(Duration::from_secs(20));
        if known {
            builder = builder.identity(reqwest::Identity::from_pem(&[read("client.crt")?, read("client.key")?].concat())?);
        }
        Ok(builder.build()?)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://{NAME}:{}{path}", self.port)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Until it has what it needs to answer.
    pub(crate) async fn ready(&mut self) -> anyhow::Result<()> {
        let client = self.client(false)?;
        let until = Instant::now() + Duration::from_secs(60);
        while !client.get(self.url("/readyz")).send().await.is_ok_and(|a| a.status() == 200) {
            anyhow::ensure!(self.is_alive() && Instant::now() < until, "the gate does not get ready: {}", std::fs::read_to_string(self.folder.join("log"))?);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Resident memory at its highest, MiB.
    pub(crate) fn peak(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).context("VmHWM")?;
        Ok(line.split_whitespace().next().context("VmHWM")?.parse::<u64>()? >> 10)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(folder: &Path, arguments: &[String], port: u16) -> anyhow::Result<Child> {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("log"))?;
    let mut command = Command::new(program::built("jinwu-gate")?);
    command.args(arguments).args(["--detached", "--listen", &format!("127.0.0.1:{port}")]);
    command.arg("--data").arg(folder.join("data")).arg("--server").arg(folder.join("way"));
    Ok(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?)
}

pub(crate) fn said(server: &Server, arguments: &[&str]) -> anyhow::Result<String> {
    let out = server.jinwu(arguments)?;
    anyhow::ensure!(out.status.success(), "jinwu {arguments:?}: {}", program::said(&out));
    Ok(String::from_utf8(out.stdout)?)
}
