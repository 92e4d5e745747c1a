//! The servers that are measured, each a process of its own on a folder of its own.

use crate::machine;
use crate::wire::{self, Client, Endpoint};
use anyhow::{Context as _, bail};
use async_trait::async_trait;
use axum::http::HeaderMap;
use base64::Engine as _;
use jinwu_model::{Record, RepositoryName, Subject};
use jinwu_registry::seam::{Access, Action, Caller, Feed, Gate, Inspector, Journal, ManifestPush, Refusal, Ruling, Seams};
use jinwu_server::listen;
use jinwu_trust::tls::Certificates;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A running server; it ends with this value.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) endpoint: Endpoint,
    process: Child,
    /// Name and secret of the robot that asks for tokens.
    robot: Option<(String, String)>,
}

/// The repository everything is pushed to.
pub(crate) const REPOSITORY: &str = "open/bench";

impl Server {
    /// distribution (or Debian's docker-registry) on the file-system driver: redirect and access log
    /// off, descriptors cached in memory.
    pub(crate) fn distribution(name: &'static str, program: &str, dir: &Path, certificates: &Certificates) -> anyhow::Result<Server> {
        std::fs::create_dir_all(dir)?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let config = dir.join("config.yml");
        std::fs::write(
            &config,
            format!(
                "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage:\n  filesystem: {{rootdirectory: {root:?}}}\n  \
                 cache: {{blobdescriptor: inmemory}}\n  redirect: {{disable: true}}\n  maintenance: {{uploadpurging: {{enabled: false}}}}\n\
                 http:\n  addr: 127.0.0.1:{port}\n  secret: bench\n  tls: {{certificate: {chain:?}, key: {key:?}}}\n",
                root = dir.join("root").display().to_string(),
                chain = certificates.chain.display().to_string(),
                key = certificates.key.display().to_string(),
            ),
        )?;
        let log = std::fs::File::create(dir.join("log"))?;
        let process = Command::new(machine::program(program)?)
            .arg("serve")
            .arg(&config)
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| program.to_owned())?;
        let endpoint = Endpoint {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            tls: Some(wire::trusting(&certificates.ca)?),
            authorization: None,
        };
        Server { name, endpoint, process, robot: None }.ready()
    }

    /// Our registry crate with open seams: nobody is asked for a name, nothing is recorded or scanned.
    pub(crate) fn open(name: &'static str, dir: &Path, tls: Option<&Certificates>) -> anyhow::Result<Server> {
        std::fs::create_dir_all(dir)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("open-registry").arg(dir).stdin(Stdio::piped()).stdout(Stdio::piped());
        if let Some(certificates) = tls {
            command.arg("--tls").arg(certificates.ca.parent().context("certificates have no folder")?);
        }
        let mut process = command.spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("no output")?).read_line(&mut line)?;
        let endpoint = Endpoint {
            address: line.trim().parse().with_context(|| format!("the registry said {line:?}"))?,
            tls: tls.map(|c| wire::trusting(&c.ca)).transpose()?,
            authorization: None,
        };
        Server { name, endpoint, process, robot: None }.ready()
    }

    /// `jinwu serve` as it is shipped: accounts, tokens, ledger, inline scan.
    pub(crate) fn shipped(name: &'static str, dir: &Path) -> anyhow::Result<Server> {
        std::fs::create_dir_all(dir)?;
        // Copies: a build meanwhile must not change what runs.
        for program in ["jinwu", "jinwu-scan"] {
            std::fs::copy(machine::program(program)?, dir.join(program))?;
        }
        let (data, config) = (dir.join("data"), dir.join("jinwu.toml"));
        std::fs::write(&config, format!("data = {:?}\nlisten = \"127.0.0.1:0\"\n", data.display().to_string()))?;
        let log = std::fs::File::create(dir.join("log"))?;
        let process = Command::new(dir.join("jinwu"))
            .arg("--data")
            .arg(&data)
            .args(["serve", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let mut server = Server {
            name,
            endpoint: Endpoint { address: SocketAddr::from(([127, 0, 0, 1], 0)), tls: None, authorization: None },
            process,
            robot: None,
        };
        let at = server.announced(&data.join("run").join("server.json"))?;
        let port: u16 = at.rsplit_once(':').and_then(|(_, p)| p.parse().ok()).with_context(|| format!("the server announced {at:?}"))?;
        server.endpoint.address.set_port(port);
        server.endpoint.tls = Some(wire::trusting(&data.join("tls").join("ca.crt"))?);
        let initial: serde_json::Value = serde_json::from_slice(&std::fs::read(data.join("initial-credentials.json"))?)?;
        let part = |key: &str| initial["robot"][key].as_str().unwrap_or_default().to_owned();
        server.robot = Some((part("name"), part("secret")));
        server.log_in()?;
        server.ready()
    }

    fn announced(&mut self, path: &Path) -> anyhow::Result<String> {
        let until = Instant::now() + Duration::from_secs(90);
        while Instant::now() < until {
            let found = std::fs::read(path).ok().and_then(|b| serde_json::from_slice::<serde_json::Value>(&b).ok());
            if let Some(at) = found.as_ref().and_then(|v| v["registry"].as_str()) {
                return Ok(at.to_owned());
            }
            if let Some(status) = self.process.try_wait()? {
                bail!("{} ended with {status}", self.name);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("{} was not ready in 90 s", self.name)
    }

    /// Fetches a fresh bearer token, as clients do before each piece of work.
    pub(crate) fn log_in(&mut self) -> anyhow::Result<()> {
        let Some((name, secret)) = &self.robot else { return Ok(()) };
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{secret}"));
        let endpoint = Endpoint { authorization: Some(format!("Basic {basic}")), ..self.endpoint.clone() };
        let mut client = Client::connect(&endpoint)?;
        let head = client.send("GET", &format!("/token?service=jinwu&scope=repository:{REPOSITORY}:pull,push"), "", &[])?;
        let body = client.body(head.length.min(1 << 20))?;
        anyhow::ensure!(head.status == 200, "token: {} {}", head.status, String::from_utf8_lossy(&body));
        let answer: serde_json::Value = serde_json::from_slice(&body)?;
        let token = answer["token"].as_str().context("no token in the answer")?;
        self.endpoint.authorization = Some(format!("Bearer {token}"));
        Ok(())
    }

    fn ready(mut self) -> anyhow::Result<Server> {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let asked = Client::connect(&self.endpoint).and_then(|mut c| c.send("GET", "/v2/", "", &[]));
            match asked {
                Ok(head) if head.status == 200 => return Ok(self),
                Ok(head) => bail!("{}: /v2/ answers {}", self.name, head.status),
                Err(error) if Instant::now() > until => return Err(error.context(self.name)),
                Err(_) => {}
            }
            if let Some(status) = self.process.try_wait()? {
                bail!("{} ended with {status}", self.name);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Peak resident memory in MiB.
    pub(crate) fn peak(&self) -> f64 {
        machine::peak(self.process.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Certificates for `localhost`, shared by all that is measured.
pub(crate) fn certificates(dir: &Path) -> anyhow::Result<Certificates> {
    Ok(jinwu_trust::tls::ensure_certificates(dir, &names())?)
}

fn names() -> Vec<String> {
    vec!["localhost".to_owned(), "127.0.0.1".to_owned()]
}

struct Open;
struct Unseen;

#[async_trait]
impl Access for Open {
    async fn authenticate(&self, _: &HeaderMap, peer: SocketAddr, _: &[(RepositoryName, Action)]) -> Result<Caller, Refusal> {
        Ok(Caller { subject: Subject::user("bench"), source: peer.ip(), scopes: None, user_agent: String::new() })
    }
    async fn permit(&self, _: &Caller, _: &HeaderMap, _: &RepositoryName, _: Action) -> Result<(), Refusal> {
        Ok(())
    }
    fn may(&self, _: &Caller, _: &RepositoryName, _: Action) -> bool {
        true
    }
}

#[async_trait]
impl Journal for Open {
    async fn record(&self, _: Vec<Record>) -> Result<(), String> {
        Ok(())
    }
}

#[async_trait]
impl Gate for Open {
    async fn judge(&self, _: ManifestPush) -> Ruling {
        Ruling::Permit { decision: None, warnings: vec![] }
    }
}

impl Inspector for Open {
    fn started(&self, _: PathBuf, _: u64) -> Box<dyn Feed> {
        Box::new(Unseen)
    }
}

impl Feed for Unseen {
    fn available(&self, _: u64) {}
    fn finished(&self, _: &jinwu_model::Digest, _: u64) {}
}

/// Serves until standard input is closed; says its address first.
pub(crate) fn open_registry(root: &Path, tls: Option<&Path>) -> anyhow::Result<()> {
    let seams = Seams { access: Arc::new(Open), journal: Arc::new(Open), gate: Arc::new(Open), inspector: Arc::new(Open) };
    let mut config = jinwu_registry::Config::under(root.to_owned());
    config.sessions_per_subject = 4096;
    let registry = jinwu_registry::Registry::open(config, seams)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        let (stop, stopped) = tokio::sync::watch::channel(false);
        match tls {
            Some(dir) => {
                let tls = jinwu_trust::tls::server_config(&certificates(dir)?)?;
                tokio::spawn(listen::https(listener, tls, registry.router(), stopped));
            }
            None => {
                tokio::spawn(listen::plain(listener, registry.router(), stopped));
            }
        }
        tokio::task::spawn_blocking(|| {
            let mut rest = Vec::new();
            let _ = std::io::stdin().take(1 << 20).read_to_end(&mut rest);
        })
        .await?;
        let _ = stop.send(true);
        Ok(())
    })
}
