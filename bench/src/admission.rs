//! Admission through a real API server, open loop, beside what others put there.

mod allow;
mod checks;
mod engine;

use crate::kubernetes::{Cluster, NAMESPACE, TOKEN, URL};
use crate::machine;
use crate::open_loop::{self, Outcome, Target};
use crate::table::{Series, Table, number};
use anyhow::Context as _;
use bytes::Bytes;
use engine::{ENGINES, Engine, Jinwu, Running};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

pub(crate) use allow::always_allow;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// 轮数 / rounds
    #[arg(long, default_value_t = 2)]
    rounds: usize,
    /// 每个速率的秒数 / seconds of each rate
    #[arg(long, default_value_t = 8.0)]
    seconds: f64,
    /// 每秒请求数,依次增加,直到支持不住 / requests a second, one after the other until it gives way
    #[arg(long, value_delimiter = ',', default_values = ["100", "200", "400", "600", "800", "1000", "1200"])]
    rates: Vec<f64>,
    /// 直接询问 webhook 的速率 / rates at which webhooks are asked directly
    #[arg(long, value_delimiter = ',', default_values = ["100", "200", "1000"])]
    direct: Vec<f64>,
    /// 只测名称含此词的配置 / only configurations whose name has this in it
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// 容器组所用镜像(OCI 归档)/ image of the pods, an OCI archive
    #[arg(long, env = "JINWU_BENCH_IMAGE")]
    image: PathBuf,
    /// 另存为 markdown / also write the tables here
    #[arg(long)]
    output: Option<PathBuf>,
}

/// What was seen of one engine in all rounds.
#[derive(Default)]
struct Seen {
    /// By rate: p50, p99.
    latency: BTreeMap<u64, [Series; 2]>,
    /// CPU milliseconds for each create at the lowest rate: engine, API server.
    cpu: [Series; 2],
    memory: Series,
    /// Highest rate it held and the one it gave way at, of each round.
    held: Series,
    gave_way: Vec<u64>,
    /// Directly, by rate: p50, p99, CPU milliseconds, part that was answered well.
    direct: BTreeMap<u64, [Series; 4]>,
    /// Highest rate ever asked directly: what came back, and whether it lived.
    flood: Option<String>,
}

/// Asked directly in a flood.
const FLOOD: f64 = 6000.0;

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let jinwu = Jinwu::start(&folder.path().join("jinwu"), &arguments.image)?;
    let wanted = |e: &Engine| arguments.only.is_empty() || arguments.only.iter().any(|o| e.name().to_lowercase().contains(&o.to_lowercase()));
    let engines: Vec<Engine> = ENGINES.into_iter().filter(wanted).collect();
    let mut seen: Vec<Seen> = engines.iter().map(|_| Seen::default()).collect();
    for round in 1..=arguments.rounds {
        for (engine, seen) in engines.iter().zip(&mut seen) {
            let cluster = Cluster::start(&folder.path().join(format!("{round}-{engine:?}")))?;
            let running = engine.start(&cluster, &jinwu)?;
            eprintln!("round {round} {}", engine.name());
            through(arguments, &runtime, &cluster, &running, &jinwu, seen)?;
            directly(arguments, &runtime, *engine, running, &jinwu, seen)?;
            let kept = cluster.folder.clone();
            drop(cluster);
            std::fs::remove_dir_all(kept)?;
        }
    }
    let out = tables(arguments, &engines, &seen);
    println!("{out}");
    if let Some(path) = &arguments.output {
        std::fs::write(path, out).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// Dry-run creates through the API server, faster and faster.
fn through(
    arguments: &Arguments,
    runtime: &tokio::runtime::Runtime,
    cluster: &Cluster,
    running: &Running,
    jinwu: &Jinwu,
    seen: &mut Seen,
) -> anyhow::Result<()> {
    let body = Bytes::from(checks::good_pod(&jinwu.image).to_string());
    let url = format!("{URL}/api/v1/namespaces/{NAMESPACE}/pods?dryRun=All");
    let target = Arc::new(Target::new(&url, &cluster.authority()?, None, Some(TOKEN), move |_| body.clone(), created)?);
    open_loop::drive(runtime, &target, 50.0, 3.0);
    let mut held = 0.0;
    for (n, rate) in arguments.rates.iter().enumerate() {
        let before = (running.cpu(), cluster.apiserver.cpu());
        let outcome = open_loop::drive(runtime, &target, *rate, arguments.seconds);
        eprintln!(
            "  {rate}/s: p50 {:.1} ms, p99 {:.1} ms, {} of {} good {:?}",
            outcome.quantile(0.5),
            outcome.quantile(0.99),
            outcome.latencies.len(),
            outcome.sent,
            outcome.failures
        );
        seen.note(*rate, &outcome);
        if n == 0 {
            for (series, (before, now)) in seen.cpu.iter_mut().zip([(before.0, running.cpu()), (before.1, cluster.apiserver.cpu())]) {
                series.push((now - before).as_secs_f64() * 1e3 / outcome.sent as f64);
            }
        }
        if outcome.gave_way() {
            seen.gave_way.push(*rate as u64);
            break;
        }
        held = *rate;
    }
    seen.held.push(held);
    Ok(())
}

/// Reviews as the API server would send them.
fn directly(
    arguments: &Arguments,
    runtime: &tokio::runtime::Runtime,
    engine: Engine,
    mut running: Running,
    jinwu: &Jinwu,
    seen: &mut Seen,
) -> anyhow::Result<()> {
    let Some((host, address, path, authority)) = running.webhook.clone() else {
        return Ok(());
    };
    let review = review(&checks::good_pod(&jinwu.image));
    let body = move |n: u64| Bytes::from(review.replace("00000000-0000-0000-0000-000000000000", &format!("00000000-0000-0000-0000-{n:012}")));
    let address = format!("{address}:443").parse()?;
    let url = format!("https://{host}{path}");
    let target = Arc::new(Target::new(&url, &authority, Some((&host, address)), None, body, allowed)?);
    target.once(runtime).map_err(|e| anyhow::anyhow!("{} asked directly: {e}", engine.name()))?;
    open_loop::drive(runtime, &target, 50.0, 2.0);
    for rate in &arguments.direct {
        let before = running.cpu();
        let outcome = open_loop::drive(runtime, &target, *rate, arguments.seconds);
        let cpu = (running.cpu() - before).as_secs_f64() * 1e3 / outcome.sent as f64;
        let good = outcome.latencies.len() as f64 / outcome.sent as f64;
        eprintln!("  directly {rate}/s: p50 {:.2} ms, p99 {:.2} ms, {cpu:.2} ms CPU, {:?}", outcome.quantile(0.5), outcome.quantile(0.99), outcome.failures);
        let row = seen.direct.entry(*rate as u64).or_default();
        row.iter_mut().zip([outcome.quantile(0.5), outcome.quantile(0.99), cpu, good * 100.0]).for_each(|(s, v)| s.push(v));
        if outcome.gave_way() {
            break;
        }
    }
    seen.memory.push(running.process.as_ref().map_or(f64::NAN, crate::process::Process::peak));
    if engine == Engine::Jinwu {
        let outcome = open_loop::drive(runtime, &target, FLOOD, 5.0);
        let alive = running.process.as_mut().is_some_and(crate::process::Process::is_alive) && target.once(runtime).is_ok();
        let text = format!(
            "{} of {} permitted, {:?}; {}",
            outcome.latencies.len(),
            outcome.sent,
            outcome.failures,
            if alive { "answers at once afterwards" } else { "IS DEAD" }
        );
        eprintln!("  flood: {text}");
        seen.flood = Some(format!("{text}; peak memory {} MiB", number(running.process.as_ref().map_or(f64::NAN, crate::process::Process::peak))));
    }
    Ok(())
}

fn created(status: u16, body: &[u8]) -> Result<(), String> {
    match status {
        201 => Ok(()),
        _ => Err(format!("{status} {}", String::from_utf8_lossy(body).chars().filter(|c| !c.is_ascii_digit()).take(120).collect::<String>())),
    }
}

fn allowed(status: u16, body: &[u8]) -> Result<(), String> {
    let answer: Value = serde_json::from_slice(body).map_err(|_| format!("{status}, not JSON"))?;
    match answer["response"]["allowed"].as_bool() {
        Some(true) => Ok(()),
        Some(false) => Err(format!("refused {}", answer["response"]["status"]["code"])),
        None => Err(format!("{status} without an answer")),
    }
}

/// An AdmissionReview of a pod's creation.
fn review(pod: &Value) -> String {
    let (kind, resource) = (json!({"group": "", "version": "v1", "kind": "Pod"}), json!({"group": "", "version": "v1", "resource": "pods"}));
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "00000000-0000-0000-0000-000000000000", "kind": kind, "resource": resource, "requestKind": kind, "requestResource": resource,
        "namespace": NAMESPACE, "operation": "CREATE", "dryRun": false, "object": pod, "oldObject": null,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller", "groups": ["system:serviceaccounts", "system:authenticated"]},
    }})
    .to_string()
}

impl Running {
    fn cpu(&self) -> std::time::Duration {
        self.process.as_ref().map(crate::process::Process::cpu).unwrap_or_default()
    }
}

impl Seen {
    fn note(&mut self, rate: f64, outcome: &Outcome) {
        let row = self.latency.entry(rate as u64).or_default();
        row[0].push(outcome.quantile(0.5));
        row[1].push(outcome.quantile(0.99));
    }
}

fn tables(arguments: &Arguments, engines: &[Engine], seen: &[Seen]) -> String {
    let first = arguments.rates.first().copied().unwrap_or(100.0);
    let floor = engines.iter().zip(seen).find(|(e, _)| **e == Engine::Allow).map(|(_, s)| s);
    let mut through = Table::new(&[
        &format!("dry-run creates of a pod, open loop, {first}/s"),
        "p50 ms",
        "p99 ms",
        "p50 over always-allow, ms",
        "CPU ms a create: engine",
        "API server",
        "holds, /s",
        "gives way at, /s",
        "peak MiB",
    ]);
    let mut direct = Table::new(&["asked directly", "/s", "p50 ms", "p99 ms", "CPU ms a review", "answered well, %"]);
    for (engine, s) in engines.iter().zip(seen) {
        let at = |s: &Seen, n: usize| s.latency.get(&(first as u64)).map(|r| r[n].clone()).unwrap_or_default();
        let over = floor.map_or(f64::NAN, |f| at(s, 0).median() - at(f, 0).median());
        let gave = s.gave_way.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        let engine_cpu = if s.direct.is_empty() { "–".into() } else { s.cpu[0].text() };
        through.row(vec![
            engine.name().into(),
            at(s, 0).text(),
            at(s, 1).text(),
            format!("{over:+.2}"),
            engine_cpu,
            s.cpu[1].text(),
            s.held.text(),
            if gave.is_empty() { "–".into() } else { gave },
            s.memory.text(),
        ]);
        for (rate, row) in &s.direct {
            let mut cells = vec![engine.name().to_owned(), rate.to_string()];
            cells.extend(row.iter().map(Series::text));
            direct.row(cells);
        }
    }
    let flood: String = seen.iter().filter_map(|s| s.flood.as_ref()).map(|f| format!("Jinwu's gate asked directly {FLOOD}/s for 5 s: {f}\n")).collect();
    format!(
        "{}\n\n{}\n{}\n{flood}\nmedian (range) of {} rounds, {} s at each rate; a rate gives way when more than 1 % are refused, unanswered or later than 1 s\n",
        machine::describe(),
        through.markdown(),
        direct.markdown(),
        arguments.rounds,
        arguments.seconds
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_judged() {
        assert!(created(201, b"").is_ok());
        assert_eq!(created(429, b"x1y2").unwrap_err(), "429 xy");
        assert!(allowed(200, br#"{"response":{"allowed":true}}"#).is_ok());
        assert_eq!(allowed(200, br#"{"response":{"allowed":false,"status":{"code":429}}}"#).unwrap_err(), "refused 429");
        assert!(allowed(503, b"busy").is_err());
        assert!(jinwu_admission::review::Review::parse(review(&checks::good_pod("a@sha256:b")).as_bytes()).is_ok());
    }
}
