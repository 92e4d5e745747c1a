//! Audit events from the API server's side to the ledger, with everything killed on the way.

use crate::jinwu::Server;
use crate::machine;
use crate::process::Process;
use crate::table::{Series, Table};
use anyhow::Context as _;
use bytes::Bytes;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// 轮数 / rounds
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// 每轮的事件数 / events of each round
    #[arg(long, default_value_t = 120_000)]
    events: u64,
    /// 另存为 markdown / also write the tables here
    #[arg(long)]
    output: Option<PathBuf>,
}

/// As the API server's webhook back end sends them (`--audit-webhook-batch-max-size`).
const BATCH: u64 = 400;
/// Batches under way at once; the API server throttles its own to ten a second, several of them add up.
const SENDERS: u64 = 4;
const CLUSTER: &str = "bench";
const GATE: &str = "127.0.0.1:8443";
/// The name in its certificate.
const NAME: &str = "jinwu-gate.jinwu.svc";

/// One gate with its way to the server, and the API server's side of it.
struct Gate {
    folder: PathBuf,
    process: Process,
    url: String,
    client: reqwest::Client,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut table =
        Table::new(&["audit events into the ledger", "taken by the gate, events/s", "in the ledger, events/s", "events", "records", "lost", "twice"]);
    for killed in [false, true] {
        let (mut taken, mut kept) = (Series::default(), Series::default());
        let mut sums = [0; 4];
        for round in 1..=arguments.rounds {
            let mut server = Server::start(&folder.path().join(format!("{killed}-{round}")))?;
            let mut gate = Gate::start(&server)?;
            let mark = format!("bench-{killed}-{round}");
            let start = Instant::now();
            let kills = if killed { 2 } else { 0 };
            send(&runtime, &mut server, &mut gate, &mark, arguments.events, kills)?;
            taken.push(arguments.events as f64 / start.elapsed().as_secs_f64());
            let ids = until_kept(&server, &mark, arguments.events)?;
            kept.push(arguments.events as f64 / start.elapsed().as_secs_f64());
            let mut different = ids.clone();
            different.dedup();
            let counts = [arguments.events, ids.len() as u64, arguments.events - different.len() as u64, (ids.len() - different.len()) as u64];
            sums.iter_mut().zip(counts).for_each(|(s, n)| *s += n);
            eprintln!("round {round} killed: {killed}, events, records, lost, twice: {counts:?}");
        }
        let name = if killed { "server and gate killed (-9) twice each on the way" } else { "undisturbed" };
        let mut row = vec![name.to_owned(), taken.text(), kept.text()];
        row.extend(sums.iter().map(u64::to_string));
        table.row(row);
    }
    let out = format!(
        "{}\n\n{}\nmedian (range) of {} rounds of {} events in batches of {BATCH}, {SENDERS} at once\n",
        machine::describe(),
        table.markdown(),
        arguments.rounds,
        arguments.events
    );
    println!("{out}");
    if let Some(path) = &arguments.output {
        std::fs::write(path, out).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// Sends everything, each batch again until it was taken, as the API server does; meanwhile kills the
/// server and the gate so many times.
fn send(runtime: &tokio::runtime::Runtime, server: &mut Server, gate: &mut Gate, mark: &str, events: u64, kills: u64) -> anyhow::Result<()> {
    let (next, done) = (std::sync::Arc::new(AtomicU64::new(0)), std::sync::Arc::new(AtomicU64::new(0)));
    let batches = events.div_ceil(BATCH);
    let senders: Vec<_> = (0..SENDERS)
        .map(|_| {
            let (client, url, next, done, mark) = (gate.client.clone(), gate.url.clone(), next.clone(), done.clone(), mark.to_owned());
            runtime.spawn(async move {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= batches {
                        return;
                    }
                    let body = batch(&mark, n * BATCH, (events - n * BATCH).min(BATCH));
                    while !client.post(&url).header("content-type", "application/json").body(body.clone()).send().await.is_ok_and(|a| a.status().is_success()) {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for n in 1..=kills {
        // At a third and at two thirds of the way.
        while done.load(Ordering::Relaxed) < batches * n / (kills + 1) {
            std::thread::sleep(Duration::from_millis(5));
        }
        gate.process.kill();
        server.kill_and_restart()?;
        gate.restart()?;
    }
    let until = Instant::now() + Duration::from_secs(300);
    while senders.iter().any(|s| !s.is_finished()) {
        anyhow::ensure!(Instant::now() < until, "{} of {batches} batches were taken in 300 s", done.load(Ordering::Relaxed));
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Names of the objects the ledger knows of, ascending, once there are enough of them or no more come.
fn until_kept(server: &Server, mark: &str, events: u64) -> anyhow::Result<Vec<String>> {
    let until = Instant::now() + Duration::from_secs(120);
    loop {
        let waiting: Value = serde_json::from_str(&server.jinwu(&["--json", "cluster", "show", CLUSTER])?)?;
        let gates = waiting["gates"].as_array().cloned().unwrap_or_default();
        let left: u64 = gates.iter().map(|g| g["waiting"].as_u64().unwrap_or(1)).sum();
        if left == 0 || Instant::now() > until {
            let ids = server.ledger_objects(mark)?;
            if ids.len() as u64 >= events || Instant::now() > until {
                return Ok(ids);
            }
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// An EventList with creations of config maps, as the shipped audit policy has them.
fn batch(mark: &str, first: u64, count: u64) -> Bytes {
    let items: Vec<Value> = (first..first + count).map(|n| event(mark, n)).collect();
    Bytes::from(json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": items}).to_string())
}

fn event(mark: &str, n: u64) -> Value {
    let name = format!("{mark}-{n:08}");
    let at = "2026-01-01T00:00:00.000000Z";
    json!({
        "level": "Metadata", "auditID": format!("{}-{n:012x}", uuid_part(mark)), "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/web/configmaps?fieldManager=kubectl-create", "verb": "create",
        "user": {"username": "kubernetes-admin", "groups": ["kubeadm:cluster-admins", "system:authenticated"],
            "extra": {"authentication.kubernetes.io/credential-id": ["X509SHA256=3f1c5cf13bbf9d3c1a"]}},
        "sourceIPs": ["192.0.2.7"], "userAgent": "kubectl/v1.34.4 (linux/amd64) kubernetes/bench",
        "objectRef": {"resource": "configmaps", "namespace": "web", "name": name, "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 201}, "requestReceivedTimestamp": at, "stageTimestamp": at,
        "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": "RBAC: allowed by ClusterRoleBinding \"kubeadm:cluster-admins\" of ClusterRole \"cluster-admin\" to Group \"kubeadm:cluster-admins\""},
    })
}

/// The first four groups of a UUID, different for each mark.
fn uuid_part(mark: &str) -> String {
    use sha2::Digest as _;
    let h = hex::encode(sha2::Sha256::digest(mark));
    format!("{}-{}-{}-{}", &h[..8], &h[8..12], &h[12..16], &h[16..20])
}

impl Gate {
    fn start(server: &Server) -> anyhow::Result<Gate> {
        let folder = server.folder().join("gate");
        let (way, side) = (folder.join("way"), folder.join("side"));
        let image = format!("localhost:5443/open/gate@sha256:{}", "0".repeat(64));
        crate::jinwu::write_way(&server.install(CLUSTER, &image, &[])?, &way)?;
        server.jinwu(&["cluster", "apiserver", CLUSTER, "--out", &side.display().to_string()])?;
        let identity = [std::fs::read(side.join("client.crt"))?, std::fs::read(side.join("client.key"))?].concat();
        let client = reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(&std::fs::read(side.join("authority.crt"))?)?])
            .identity(reqwest::Identity::from_pem(&identity)?)
            .resolve(NAME, GATE.parse()?)
            .timeout(Duration::from_secs(30))
            .build()?;
        let process = serve(&folder)?;
        let mut gate = Gate { folder, process, url: format!("https://{NAME}:8443/audit"), client };
        gate.ready()?;
        Ok(gate)
    }

    fn restart(&mut self) -> anyhow::Result<()> {
        self.process = serve(&self.folder)?;
        self.ready()
    }

    fn ready(&mut self) -> anyhow::Result<()> {
        self.process.wait_for(60, || std::net::TcpStream::connect(GATE).is_ok())
    }
}

fn serve(folder: &Path) -> anyhow::Result<Process> {
    let mut command = Command::new(machine::program("jinwu-gate")?);
    command.args(["serve", "--detached", "--listen", GATE]).arg("--data").arg(folder.join("data")).arg("--server").arg(folder.join("way"));
    Process::start("jinwu-gate", &mut command, &folder.join("log"))
}
