//! Jinwu as it is delivered: the server as a process of its own on loopback, reached by its public
//! interfaces only. Tests start one each, on a folder that goes with them.
#![forbid(unsafe_code)]

pub mod image;
pub mod program;

use anyhow::{Context as _, bail};
use jinwu_identity::setup::{Initial, code_at};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A running server.
pub struct Server {
    pub data: PathBuf,
    /// `localhost:port`.
    pub registry: String,
    pub http: reqwest::Client,
    pub initial: Initial,
    process: Child,
    config: PathBuf,
    environment: Vec<(String, String)>,
    folder: Arc<tempfile::TempDir>,
}

/// How a server is started.
#[derive(Clone, Default)]
pub struct Options {
    /// Lines of its configuration file beside data folder and address.
    pub config: String,
    pub environment: Vec<(String, String)>,
    /// Use this folder instead of a new one.
    pub folder: Option<Arc<tempfile::TempDir>>,
    /// Data folder inside it; `data` when empty.
    pub data: Option<PathBuf>,
}

/// Somebody logged in to the API.
pub struct Session<'a> {
    server: &'a Server,
    pub token: String,
}

/// An API answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Value,
}

impl Server {
    pub fn start() -> anyhow::Result<Server> {
        Self::start_with(Options::default())
    }

    pub fn start_with(options: Options) -> anyhow::Result<Server> {
        let folder = match options.folder {
            Some(folder) => folder,
            None => Arc::new(folder()?),
        };
        let data = options.data.unwrap_or_else(|| folder.path().join("data"));
        let config = folder.path().join("jinwu.toml");
        std::fs::write(&config, format!("data = {:?}\nlisten = \"127.0.0.1:0\"\n{}\n", data.display().to_string(), options.config))?;
        let process = spawn(&config, &data, &options.environment, folder.path())?;
        let mut server = Server {
            data,
            registry: String::new(),
            http: reqwest::Client::new(),
            initial: serde_json::from_value(json!({"accounts": [], "robot": {"name": "", "secret": ""}}))?,
            process,
            config,
            environment: options.environment,
            folder,
        };
        server.wait_ready()?;
        Ok(server)
    }

    fn wait_ready(&mut self) -> anyhow::Result<()> {
        let until = Instant::now() + Duration::from_secs(90);
        let at = self.data.join("run").join("server.json");
        loop {
            if let Some(value) = std::fs::read(&at).ok().and_then(|b| serde_json::from_slice::<Value>(&b).ok())
                && value["pid"] == self.process.id()
            {
                self.registry = value["registry"].as_str().unwrap_or_default().to_owned();
                break;
            }
            if let Some(status) = self.process.try_wait()? {
                bail!("the server ended with {status}: {}", self.log());
            }
            if Instant::now() > until {
                bail!("the server was not ready in 90 s: {}", self.log());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let ca = reqwest::Certificate::from_pem(&std::fs::read(self.ca())?)?;
        self.http = reqwest::Client::builder().tls_certs_only([ca]).pool_max_idle_per_host(16).build()?;
        if let Ok(text) = std::fs::read(self.data.join("initial-credentials.json")) {
            self.initial = serde_json::from_slice(&text)?;
        }
        Ok(())
    }

    /// Starts again on the same data, as after a crash or a stop.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.kill();
        let _ = std::fs::remove_file(self.data.join("run").join("server.json"));
        self.process = spawn(&self.config, &self.data, &self.environment, self.folder.path())?;
        self.wait_ready()
    }

    /// The same with another environment (a failpoint, none).
    pub fn restart_with(&mut self, environment: &[(&str, &str)]) -> anyhow::Result<()> {
        self.environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        self.restart()
    }

    /// kill -9.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Whether the process has ended by itself, for instance at a failpoint.
    pub fn ended(&mut self) -> bool {
        self.process.try_wait().ok().flatten().is_some()
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn ca(&self) -> PathBuf {
        self.data.join("tls").join("ca.crt")
    }

    pub fn log(&self) -> String {
        let text = std::fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default();
        text.lines().rev().take(20).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.registry)
    }

    /// Name and secret of the first robot.
    pub fn robot(&self) -> (&str, &str) {
        (&self.initial.robot.name, &self.initial.robot.secret)
    }

    /// Logs an administrator in; waits for the next code where this one was used.
    pub async fn log_in(&self, name: &str) -> anyhow::Result<Session<'_>> {
        let account = self.initial.accounts.iter().find(|a| a.name == name).with_context(|| format!("no initial account {name}"))?;
        self.log_in_as(name, &account.password, &account.totp).await
    }

    pub async fn log_in_as(&self, name: &str, password: &str, seed: &str) -> anyhow::Result<Session<'_>> {
        for _ in 0..3 {
            let body = json!({"name": name, "password": password, "code": code_at(seed, now())});
            let answer = self.call("POST", "/login", None, Some(&body)).await?;
            if answer.status == StatusCode::OK {
                return Ok(Session { server: self, token: answer.body["token"].as_str().unwrap_or_default().to_owned() });
            }
            if answer.body["error"]["code"] != "code-used" {
                bail!("{name}: {} {}", answer.status, answer.body);
            }
            tokio::time::sleep(Duration::from_millis(30_200 - now().rem_euclid(30_000).unsigned_abs())).await;
        }
        bail!("{name} could not log in")
    }

    pub async fn call(&self, method: &str, path: &str, token: Option<&str>, body: Option<&Value>) -> anyhow::Result<Answer> {
        let mut request = self.http.request(method.parse()?, self.url(&format!("/api/v1{path}")));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let status = response.status();
        Ok(Answer { status, body: response.json().await.unwrap_or(Value::Null) })
    }

    /// The robot speaks to the registry with Basic credentials.
    pub fn as_robot(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let (name, secret) = self.robot();
        let url = if path.starts_with("https://") { path.to_owned() } else { self.url(path) };
        self.http.request(method, url).basic_auth(name, Some(secret))
    }

    /// Pushes a blob: POST and PUT.
    pub async fn push_blob(&self, repository: &str, bytes: &[u8]) -> anyhow::Result<String> {
        let digest = image::digest(bytes);
        let started = self.as_robot(reqwest::Method::POST, &format!("/v2/{repository}/blobs/uploads/")).header("content-length", 0).send().await?;
        anyhow::ensure!(started.status() == 202, "start: {}", started.text().await?);
        let location = started.headers()["location"].to_str()?.to_owned();
        let done = self.as_robot(reqwest::Method::PUT, &format!("{location}?digest={digest}")).body(bytes.to_vec()).send().await?;
        anyhow::ensure!(done.status() == 201, "put: {} {}", done.status(), done.text().await?);
        Ok(digest)
    }

    /// Pushes a whole image; gives the answer to its manifest.
    pub async fn push(&self, repository: &str, tag: &str, image: &image::Image) -> anyhow::Result<reqwest::Response> {
        for blob in image.blobs() {
            self.push_blob(repository, blob).await?;
        }
        self.put_manifest(repository, tag, &image.media_type, &image.manifest).await
    }

    pub async fn put_manifest(&self, repository: &str, reference: &str, media_type: &str, manifest: &[u8]) -> anyhow::Result<reqwest::Response> {
        Ok(self
            .as_robot(reqwest::Method::PUT, &format!("/v2/{repository}/manifests/{reference}"))
            .header("content-type", media_type)
            .body(manifest.to_vec())
            .send()
            .await?)
    }

    /// The command line against this server.
    pub fn jinwu(&self, arguments: &[&str]) -> anyhow::Result<std::process::Output> {
        Ok(Command::new(program::built("jinwu")?).arg("--data").arg(&self.data).args(arguments).output()?)
    }

    /// The scan workers' process ids.
    pub fn workers(&self) -> Vec<u32> {
        children(self.pid())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Session<'_> {
    pub async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<Answer> {
        self.server.call(method, path, Some(&self.token), body).await
    }

    /// A call that must succeed.
    pub async fn ok(&self, method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let answer = self.call(method, path, body).await?;
        anyhow::ensure!(answer.status.is_success(), "{method} {path}: {} {}", answer.status, answer.body);
        Ok(answer.body)
    }

    /// Records that match a query such as `kind=push&object=demo/x`, newest first.
    pub async fn records(&self, query: &str) -> anyhow::Result<Vec<Value>> {
        let body = self.ok("GET", &format!("/ledger?limit=10000&{query}"), None).await?;
        Ok(body["records"].as_array().cloned().unwrap_or_default())
    }
}

fn spawn(config: &Path, data: &Path, environment: &[(String, String)], folder: &Path) -> anyhow::Result<Child> {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("server.log"))?;
    Command::new(program::built("jinwu")?)
        .arg("--data")
        .arg(data)
        .args(["serve", "--config"])
        .arg(config)
        .envs(environment.iter().map(|(k, v)| (k, v)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .context("jinwu")
}

fn children(pid: u32) -> Vec<u32> {
    let mut out = Vec::new();
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let text = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        out.extend(text.split_whitespace().filter_map(|p| p.parse::<u32>().ok()));
    }
    out
}

/// A folder that goes with its value. Lower case, because clients make image names of paths.
fn folder() -> std::io::Result<tempfile::TempDir> {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let n = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    tempfile::Builder::new().prefix(&format!("jinwu-lab-{}-{}-{n}", std::process::id(), now() % 1_000_000)).rand_bytes(0).tempdir()
}

/// Unix milliseconds.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}

/// The folder of test corpora.
pub fn corpora() -> anyhow::Result<PathBuf> {
    let dir = std::env::var_os("JINWU_DATA")
        .context("JINWU_DATA is not set: it names the folder of test corpora (images/, advisories/, …); this test needs it and fails without")?;
    Ok(PathBuf::from(dir))
}
