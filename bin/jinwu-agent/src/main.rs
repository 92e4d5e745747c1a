//! The sensor of a node: sees what containers do, judges it by rules, responds, records.
#![forbid(unsafe_code)]

mod engine;
mod local;
mod metrics;
mod recorder;
mod scanner;
mod spool;
mod uplink;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use jinwu_node::Settings;
use jinwu_node::response::Response;
use local::Question;
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// 节点传感器 / the sensor of a node
#[derive(Parser)]
#[command(name = "jinwu-agent", version)]
struct Arguments {
    /// 数据目录 / data folder
    #[arg(long, env = "JINWU_AGENT_DATA", default_value = "/var/lib/jinwu-agent")]
    data: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// 运行,直到被终止 / run until it is ended
    Run(Run),
    /// 状态:能做什么、不能做什么 / state: what it can do here, and what not
    Status,
    /// 本节点的容器及其资源使用 / containers of this node and what they use
    Containers,
    /// 最近的告警 / the latest alarms
    Alarms,
    /// 对一个容器采取措施 / do something to a container
    Respond {
        /// 容器标识的开头,或名称 / beginning of the container's id, or its name
        container: String,
        /// snapshot, kill, pause, resume, stop, isolate, release
        response: Response,
        /// 原因,写入审计记录 / why, for the audit record
        #[arg(long)]
        reason: String,
        /// kill 的进程号(节点上的) / process to kill, its number on the node
        #[arg(long)]
        pid: Option<u32>,
    },
}

#[derive(clap::Args)]
struct Run {
    /// 节点名 / name of the node
    #[arg(long, env = "JINWU_NODE")]
    node: Option<String>,
    /// 节点文件系统所在之处(容器内运行时) / where the node's file system is, when this runs in a container
    #[arg(long, env = "JINWU_NODE_ROOT", default_value = "/")]
    root: PathBuf,
    /// 只看这个 cgroup 之下的容器;`own` 为本进程所在 Pod 的节点(一台机器上有多个节点时) / only containers below this cgroup;
    /// `own`: of the node this process's pod is on, where a machine holds several
    #[arg(long, default_value = "/")]
    scope: String,
    /// 不看路径以此开头的 cgroup 中的容器(属于另一传感器) / no containers whose cgroup's path begins so: they are another sensor's
    #[arg(long)]
    except: Option<String>,
    /// 设置文件(JSON);没有服务端时使用 / settings (JSON), where there is no server
    #[arg(long)]
    settings: Option<PathBuf>,
    /// 通往服务端之路的目录;缺省为数据目录下的 server / folder of the way to the server; server/ in the data folder by default
    #[arg(long)]
    server: Option<PathBuf>,
    /// 不连服务端,记入本机账本 / without a server: into a ledger of this node
    #[arg(long)]
    ledger: bool,
    /// 指标(Prometheus)的监听地址 / address for metrics (Prometheus)
    #[arg(long)]
    metrics: Option<std::net::SocketAddr>,
    /// 遥测环形缓冲区,MiB,2 的幂 / telemetry ring, MiB, a power of two
    #[arg(long, default_value_t = 16)]
    ring: u32,
    /// 离线时遥测最多占用的磁盘,MiB / disk for telemetry while the server is away, MiB
    #[arg(long, default_value_t = 512)]
    spool: u64,
    /// jinwu-scan 的位置;缺省在同一目录 / where jinwu-scan is; beside this program by default
    #[arg(long)]
    scanner: Option<PathBuf>,
    /// 不使用安全钩子,即使内核有 / without security hooks even where the kernel has them
    #[arg(long, hide = true)]
    no_lsm: bool,
}

fn main() -> ExitCode {
    match command() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": "));
            ExitCode::FAILURE
        }
    }
}

fn command() -> Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_env("JINWU_LOG").unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let arguments = Arguments::parse();
    let socket = arguments.data.join("agent.sock");
    let question = match arguments.command {
        Command::Run(options) => return run(&arguments.data, &socket, options),
        Command::Status => Question::Status,
        Command::Containers => Question::Containers,
        Command::Alarms => Question::Alarms,
        Command::Respond { container, response, reason, pid } => Question::Respond { container, response, pid, reason },
    };
    println!("{}", serde_json::to_string_pretty(&local::ask(&socket, &question)?)?);
    Ok(())
}

fn settings(path: Option<&Path>, kept: &Path) -> Result<Settings> {
    let path = match path {
        Some(path) => path,
        // What the server said last holds while it is away.
        None if kept.exists() => kept,
        None => return Ok(Settings::default()),
    };
    let text = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is no settings", path.display()))
}

fn run(data: &Path, socket: &Path, options: Run) -> Result<()> {
    anyhow::ensure!(rustix::process::geteuid().is_root(), "传感器要 root 才能加载内核程序 / the sensor loads programs into the kernel: it must run as root");
    anyhow::ensure!(options.ring.is_power_of_two() && options.ring <= 1024, "--ring 是不大于 1024 的 2 的幂 / --ring is a power of two, at most 1024");
    std::fs::create_dir_all(data).with_context(|| format!("{} cannot be made", data.display()))?;
    let node = match options.node {
        Some(node) => node,
        None => std::fs::read_to_string("/proc/sys/kernel/hostname")?.trim().to_owned(),
    };
    let server = data.join("server");
    let settings = settings(options.settings.as_deref(), &server.join("settings.json"))?;
    let spool = if options.ledger { None } else { Some(Arc::new(Mutex::new(spool::Spool::open(&data.join("spool"), options.spool << 20)?))) };
    let store = match &spool {
        Some(spool) => recorder::Store::Spool(spool.clone()),
        None => {
            std::fs::create_dir_all(data.join("keys"))?;
            let key = jinwu_trust::SigningKey::load_or_create(&data.join("keys/ledger.pem"))?;
            recorder::Store::Ledger(jinwu_ledger::Ledger::open(jinwu_ledger::Config::under(data, key))?)
        }
    };
    let (recorder, recording) = recorder::Recorder::start(store)?;
    let counters = Arc::new(engine::Counters::default());
    let (control, asker) = local::pair();
    local::serve(socket, asker.clone())?;
    if let Some(address) = options.metrics {
        metrics::serve(address, asker.clone())?;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let way = options.server.unwrap_or_else(|| server.clone());
    let uplink = spool.filter(|_| way.join("url").exists()).map(|spool| (way, server, node.clone(), spool, asker));
    let stopper = stop.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let files = watch_files(options.scanner.clone(), runtime.handle().clone(), stop.clone());
    std::thread::Builder::new().name("uplink".into()).spawn(move || {
        runtime.block_on(async move {
            if let Some((way, server, node, spool, asker)) = uplink {
                tokio::spawn(uplink::run(way, server, node, spool, asker));
            }
            ended().await;
            stopper.store(true, Ordering::Relaxed);
        });
    })?;
    let scope = if options.scope == "own" { own_scope() } else { options.scope };
    let config = engine::Config { node, scope, except: options.except, root: options.root, data: data.to_owned(), ring: options.ring << 20, no_lsm: options.no_lsm };
    engine::run(config, settings, recorder, counters, files, &control, &stop)?;
    let _ = std::fs::remove_file(socket);
    let _ = recording.join();
    Ok(())
}

/// The cgroup that holds all pods of this one's node: what stands before `kubepods`.
fn own_scope() -> String {
    let paths = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let before = paths.lines().filter_map(|l| l.splitn(3, ':').nth(2)).find_map(|p| p.find("/kubepods").and_then(|at| p.get(..at)));
    before.filter(|b| !b.is_empty()).unwrap_or("/").to_owned()
}

/// Starts what watches written files, or says why it cannot be.
fn watch_files(scanner: Option<PathBuf>, runtime: tokio::runtime::Handle, stop: Arc<AtomicBool>) -> Result<engine::Files, String> {
    let program = scanner
        .or_else(scanner::program)
        .ok_or("没有找到 jinwu-scan(与 jinwu-agent 同一目录,或 --scanner):写入的文件不检查 / jinwu-scan was not found (beside jinwu-agent, or --scanner): written files are not judged")?;
    let parts = jinwu_sensor::files::open().map_err(|e| format!("{e:#}"))?;
    scanner::start(parts.judge, program, runtime).map_err(|e| e.to_string())?;
    let gate = parts.gate;
    let run = move || {
        if let Err(error) = gate.run(&stop) {
            tracing::error!(error = format!("{error:#}"), "files are not watched any more");
        }
    };
    std::thread::Builder::new().name("files".into()).spawn(run).map_err(|e| e.to_string())?;
    Ok(engine::Files { marks: parts.marks, seen: parts.seen })
}

/// Until somebody ends the process.
async fn ended() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else { return };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}
