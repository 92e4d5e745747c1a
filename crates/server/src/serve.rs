//! Start-up of everything on one machine.

use crate::access::Door;
use crate::analysis::Analyses;
use crate::clusters::{self, Clusters};
use crate::app::{App, Inner};
use crate::config::{Config, ConfigError};
use crate::fold::Fold;
use crate::gate::PushGate;
use crate::journal::{self, Journal};
use crate::nodes::{self, Nodes};
use crate::policies::Policies;
use crate::{SERVICE, api, initial, listen, token};
use anyhow::Context as _;
use async_trait::async_trait;
use jinwu_identity::token::Tokens;
use jinwu_identity::{Identity, Settings};
use jinwu_ledger::Ledger;
use jinwu_model::{Kind, Mode, Record, Subject};
use jinwu_registry::Registry;
use jinwu_registry::seam::Seams;
use jinwu_scan::client::{Pool, PoolConfig};
use jinwu_trust::{Authority, SigningKey};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// A started server.
pub struct Server {
    pub app: App,
    pub address: std::net::SocketAddr,
    stop: watch::Sender<bool>,
    /// Held for the life of the server: two on one data folder would tear it.
    _lock: std::fs::File,
}

struct RegistryJournal(Journal);

#[async_trait]
impl jinwu_registry::seam::Journal for RegistryJournal {
    async fn record(&self, records: Vec<Record>) -> Result<(), String> {
        self.0.record(records).await.map(drop).map_err(|e| e.to_string())
    }
}

/// Opens (or makes) everything below `config.data`, repairs what a crash left, and listens.
pub async fn start(config: Config) -> anyhow::Result<Server> {
    let data = config.data.clone();
    std::fs::create_dir_all(&data).with_context(|| format!("data folder {}", data.display()))?;
    let lock = lock(&data)?;
    let trusted = config.trusted_proxies.iter().map(|p| p.parse()).collect::<Result<Vec<_>, ConfigError>>()?;
    let certificates = jinwu_trust::tls::ensure_certificates(&data.join("tls"), &config.names)?;
    let keys = data.join("keys");
    std::fs::create_dir_all(&keys).with_context(|| keys.display().to_string())?;
    let of_nodes = Authority::load_or_create(&keys, "nodes", "Jinwu nodes")?;
    let tls = jinwu_trust::tls::server_config_with_clients_of(&certificates, of_nodes.certificate())?;
    let token_key = SigningKey::load_or_create(&keys.join("token.pem"))?;

    let mut ledger_config = jinwu_ledger::Config::under(&data, SigningKey::load_or_create(&keys.join("ledger.pem"))?);
    ledger_config.heads = config.heads_file();
    let secrets = jinwu_secrets::Scanner::new().context("secret rules")?;
    let ledger = tokio::task::spawn_blocking(move || Ledger::open(ledger_config)).await??;
    let journal = Journal::new(ledger, Arc::new(move |text| secrets.mask(text)));

    let settings = Settings::for_level(config.level);
    let store = data.join("identity.db");
    let identity = tokio::task::spawn_blocking(move || Identity::open(&store, settings, Arc::new(journal::now))).await??;
    let policies = Policies::open(&data.join("policies.db"))?;

    let clusters = Clusters::open(&data.join("clusters.db"), SigningKey::load_or_create(&keys.join("gate.pem"))?)?;

    let nodes = Nodes::open(&data.join("nodes.db"), SigningKey::load_or_create(&keys.join("node.pem"))?, of_nodes)?;

    let program = scanner(&config)?;
    let mut pool = PoolConfig::new(program);
    pool.workers = config.workers.max(1);
    pool.environment = std::env::vars_os().filter(|(k, _)| k.to_string_lossy().starts_with("JINWU_SCAN_")).collect();
    let pool = Pool::start(pool).await?;
    for warning in pool.warnings() {
        tracing::warn!(warning, "scanner sandbox");
    }
    let analyses = Analyses::new(pool, data.join("scan"), Duration::from_secs(config.verdict_timeout));

    let app = App::new(Inner {
        tokens: Tokens::new(&token_key, SERVICE)?,
        config,
        identity,
        journal,
        policies,
        clusters,
        nodes,
        analyses: analyses.clone(),
        trusted,
        token_key,
        anonymous: Fold::default(),
        registry: OnceLock::new(),
        port: OnceLock::new(),
    });
    set_up(&app).await?;

    let seams = Seams {
        access: Arc::new(Door(app.clone())),
        journal: Arc::new(RegistryJournal(app.journal.clone())),
        gate: Arc::new(PushGate(app.clone())),
        inspector: Arc::new(analyses),
    };
    let root = data.join("registry");
    let registry = tokio::task::spawn_blocking(move || Registry::open(jinwu_registry::Config::under(root), seams)).await??;
    let _ = app.registry.set(registry);

    let listener = TcpListener::bind(app.config.listen)
        .await
        .with_context(|| format!("listen on {}: choose another address in the configuration (listen = \"host:port\")", app.config.listen))?;
    let address = listener.local_addr()?;
    let _ = app.port.set(address.port());
    let (stop, stopped) = watch::channel(false);
    listen::local(&app.config.socket(), api::router(&app), stopped.clone())
        .await
        .with_context(|| app.config.socket().display().to_string())?;
    let start = Record::new(app.now(), Kind::System, Subject::system("server"), "start", "server")
        .with("version", env!("CARGO_PKG_VERSION"))
        .with("engines", serde_json::to_value(app.analyses.engines())?);
    app.journal.record(vec![start]).await?;
    listen::ingress(&app.config.ingress(), tls.clone(), router(&app), stopped.clone())
        .await
        .with_context(|| app.config.ingress().display().to_string())?;
    announce(&app, address)?;
    tokio::spawn(listen::https(listener, tls, router(&app), stopped));
    tokio::spawn(collect_regularly(app.clone()));
    tokio::spawn(record_folded(app.clone()));
    tokio::spawn(clusters::recheck::run(app.clone()));
    tokio::spawn(clusters::silence::run(app.clone()));
    tokio::spawn(nodes::watch::run(app.clone()));
    tracing::info!(%address, data = %data.display(), "ready");
    Ok(Server { app, address, stop, _lock: lock })
}

impl Server {
    /// Stops listening, lets running requests finish, records the end.
    pub async fn stop(self) {
        let record = Record::new(self.app.now(), Kind::System, Subject::system("server"), "stop", "server");
        if let Err(error) = self.app.journal.record(vec![record]).await {
            tracing::error!(%error, "the end could not be recorded");
        }
        let _ = self.stop.send(true);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// Leaves where the server is for the command line: `<data>/run/server.json`.
fn announce(app: &App, address: std::net::SocketAddr) -> anyhow::Result<()> {
    let host = app.config.names.first().cloned().unwrap_or_else(|| address.ip().to_string());
    let at = format!("{host}:{}", address.port());
    let body = serde_json::json!({"registry": at, "api": format!("https://{at}/api/v1"), "pid": std::process::id()});
    Ok(jinwu_trust::files::write(&app.config.data.join("run").join("server.json"), body.to_string().as_bytes(), 0o644)?)
}

/// Registry, token service, what gates and sensors ask, and API.
pub fn router(app: &App) -> axum::Router {
    let tokens = axum::Router::new().route("/token", axum::routing::get(token::get).post(token::post)).with_state(app.clone());
    let router = tokens.merge(clusters::http::router(app)).merge(nodes::http::router(app)).merge(api::router(app));
    match app.registry() {
        Some(registry) => router.merge(registry.router()),
        None => router,
    }
}

/// First start: administrators, projects, robot; project `open` lets everything pass.
async fn set_up(app: &App) -> anyhow::Result<()> {
    if !app.identity.is_empty() {
        return Ok(());
    }
    let of = app.clone();
    let made = tokio::task::spawn_blocking(move || -> anyhow::Result<()> {
        let made = of.identity.set_up()?;
        initial::keep(&of.config, &made)?;
        let open = "open".parse()?;
        let ids: Vec<_> = of.policies.set().documents().map(|(id, _, _)| id.clone()).collect();
        for id in ids {
            of.policies.switch(&open, &id, Some(Mode::Allow), false)?;
        }
        Ok(())
    });
    made.await??;
    let record = Record::new(app.now(), Kind::Account, Subject::system("set-up"), "set-up", "installation")
        .with("accounts", jinwu_identity::setup::ADMINISTRATORS.map(|(name, _)| name).to_vec());
    app.journal.record(vec![record]).await?;
    Ok(())
}

/// Denials that were only counted are recorded as numbers.
async fn record_folded(app: App) {
    loop {
        tokio::time::sleep(Duration::from_secs(20)).await;
        let folded = app.anonymous.take(app.now());
        let records: Vec<Record> = folded
            .into_iter()
            .map(|f| {
                Record::new(app.now(), Kind::Denial, Subject::anonymous(), "folded", "registry")
                    .from(f.source)
                    .outcome(jinwu_model::Outcome::Denied)
                    .with("count", f.count)
                    .with("reason", "no credentials")
            })
            .collect();
        if !records.is_empty()
            && let Err(error) = app.journal.record(records).await
        {
            tracing::error!(%error, "counted denials could not be recorded");
        }
    }
}

async fn collect_regularly(app: App) {
    loop {
        tokio::time::sleep(Duration::from_secs(600)).await;
        let Some(registry) = app.registry() else { continue };
        match registry.collect().await {
            Ok(collected) if collected.blobs > 0 => {
                let record = Record::new(app.now(), Kind::System, Subject::system("collector"), "collect", "registry")
                    .with("blobs", collected.blobs)
                    .with("bytes", collected.bytes);
                let _ = app.journal.record(vec![record]).await;
            }
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "collection"),
        }
    }
}

fn lock(data: &std::path::Path) -> anyhow::Result<std::fs::File> {
    let path = data.join("lock");
    let file = std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path).with_context(|| path.display().to_string())?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| anyhow::anyhow!("{} is in use by another server; stop it first", data.display()))?;
    Ok(file)
}

/// The `jinwu-scan` of the configuration, or the one beside this program.
fn scanner(config: &Config) -> anyhow::Result<std::path::PathBuf> {
    let path = match &config.scanner {
        Some(path) => path.clone(),
        None => std::env::current_exe()?.with_file_name("jinwu-scan"),
    };
    anyhow::ensure!(path.exists(), "scanner {} is missing; install jinwu-scan there or name it in the configuration (scanner = \"…\")", path.display());
    Ok(path)
}
