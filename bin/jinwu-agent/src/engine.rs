//! Events in, records and responses out. Everything the sensor's thread does.

mod act;
mod watch;

use crate::local::Control;
use crate::recorder::Recorder;
use crate::spool::Lane;
use anyhow::{Context as _, Result};
use jinwu_event::{Call, Container, NodeEvent, Verdict};
use jinwu_node::judge::{Finding, Judge};
use jinwu_node::record::{State, Writer, always};
use jinwu_node::response::Command;
use jinwu_node::settings::Modes;
use jinwu_node::{Folder, Settings};
use jinwu_sensor::files;
use jinwu_sensor::{Notice, Options, Sensor, meter, respond};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often containers are measured.
const MEASURE: Duration = Duration::from_secs(10);
/// How often losses are asked for.
const LOSSES: Duration = Duration::from_secs(1);
/// How long equal alarms are counted as one.
const ALARMS: Duration = Duration::from_secs(60);
/// Alarms remembered for who asks on this node.
const REMEMBERED: usize = 1000;

/// What others may ask of the engine.
pub(crate) enum Ask {
    Status(std::sync::mpsc::Sender<Value>),
    Containers(std::sync::mpsc::Sender<Value>),
    Alarms(std::sync::mpsc::Sender<Value>),
    Command(Box<Command>, std::sync::mpsc::Sender<Result<String, String>>),
    Settings(Box<Settings>, String, std::sync::mpsc::Sender<Result<(), String>>),
}

/// Numbers others read without asking.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) events: AtomicU64,
    pub(crate) records: AtomicU64,
    pub(crate) alarms: AtomicU64,
    pub(crate) lost: AtomicU64,
}

/// Where the engine works.
pub(crate) struct Config {
    pub(crate) node: String,
    pub(crate) scope: String,
    pub(crate) except: Option<String>,
    pub(crate) root: PathBuf,
    pub(crate) data: PathBuf,
    pub(crate) ring: u32,
    pub(crate) no_lsm: bool,
}

/// What watches files.
pub(crate) struct Files {
    pub(crate) marks: files::Marks,
    pub(crate) seen: std::sync::mpsc::Receiver<files::Seen>,
}

/// Since when, how many more came, and the last of them.
type Repeated = (Instant, u32, Option<Box<(NodeEvent, Finding)>>);

struct Engine {
    config: Config,
    judge: Judge,
    writer: Writer,
    folder: Folder,
    recorder: Recorder,
    counters: Arc<Counters>,
    alarms: VecDeque<Value>,
    isolation: respond::Isolation,
    paused: BTreeSet<String>,
    /// Containers whose start was looked at (IP-6).
    started: BTreeSet<String>,
    /// What rules asked for, done after the event was told.
    todo: Vec<(NodeEvent, Finding)>,
    /// Equal alarms of the last minute: when the first was told, how many came since, and the last of them.
    repeated: HashMap<u64, Repeated>,
    out: Vec<jinwu_node::protocol::Entry>,
    kept: Vec<jinwu_node::protocol::Entry>,
    files: Option<Files>,
    /// Containers whose file systems are watched.
    held: BTreeSet<String>,
    /// Containers whose policy has to be put into the kernel.
    fresh: Vec<Arc<Container>>,
    /// Processes that took or made connections, with the other end: what they write came from there.
    connected: HashMap<u32, (bool, String)>,
    /// Where malicious content was seen, by hash.
    spread: HashMap<String, BTreeSet<String>>,
    measured: BTreeMap<String, Value>,
    mounts: meter::Mounts,
    number: u64,
    generation: String,
}

pub(crate) fn now() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}

/// Runs until `stop`. `control` hears once everything is attached.
///
/// # Errors
/// The sensor cannot be started, or its rings cannot be read any more.
pub(crate) fn run(config: Config, settings: Settings, recorder: Recorder, counters: Arc<Counters>, files: Result<Files, String>, control: &Control, stop: &AtomicBool) -> Result<()> {
    let secrets = jinwu_secrets::Scanner::new().context("the rules for secrets do not load")?;
    let (judge, warnings) = Judge::new(&jinwu_detect::content::node(), settings)?;
    for warning in warnings {
        tracing::warn!(%warning, "rules");
    }
    let mut sensor = start(&config, &judge)?;
    let files = match files {
        Ok(files) => {
            sensor.capabilities.fanotify = true;
            let why = "what is written in a container is judged, and held where that is asked (fanotify); while the sensor does not run, nothing is held";
            sensor.capabilities.note("files", true, why);
            Some(files)
        }
        Err(why) => {
            sensor.capabilities.note("files", false, why);
            None
        }
    };
    let mut engine = Engine {
        config,
        judge,
        writer: Writer::new(secrets),
        folder: Folder::default(),
        recorder,
        counters,
        alarms: VecDeque::new(),
        isolation: respond::Isolation::default(),
        paused: BTreeSet::new(),
        started: BTreeSet::new(),
        todo: Vec::new(),
        repeated: HashMap::new(),
        out: Vec::new(),
        kept: Vec::new(),
        files,
        held: BTreeSet::new(),
        fresh: Vec::new(),
        connected: HashMap::new(),
        spread: HashMap::new(),
        measured: BTreeMap::new(),
        mounts: meter::Mounts::find(),
        number: 0,
        generation: String::new(),
    };
    let capabilities = serde_json::to_value(&sensor.capabilities)?;
    engine.own("sensor-started", json!({"version": env!("CARGO_PKG_VERSION"), "capabilities": capabilities}));
    tracing::info!(rung = ?sensor.capabilities.rung, kernel = sensor.capabilities.kernel, "the sensor sees");
    sensor.untold(&mut |notice| engine.take(notice))?;
    control.ready();
    let (mut measured, mut looked) = (Instant::now() - MEASURE, Instant::now());
    while !stop.load(Ordering::Relaxed) {
        sensor.round(Duration::from_millis(20), &mut |notice| engine.take(notice))?;
        engine.enforce(&sensor);
        engine.files(&mut sensor);
        engine.respond(&mut sensor);
        if looked.elapsed() >= LOSSES {
            looked = Instant::now();
            engine.losses(&mut sensor);
            engine.repeat(false);
        }
        if measured.elapsed() >= MEASURE {
            measured = Instant::now();
            engine.measure(&sensor);
        }
        engine.sweep();
        while let Some(ask) = control.next() {
            engine.answer(&mut sensor, ask);
        }
        engine.flush();
    }
    engine.repeat(true);
    engine.folder.sweep(i64::MAX, |event| engine.out.push(engine.writer.event(&event, State::Normal)));
    engine.own("sensor-stopped", json!({}));
    engine.flush();
    Ok(())
}

fn start(config: &Config, judge: &Judge) -> Result<Sensor> {
    Sensor::start(Options {
        host: config.node.clone(),
        root: config.root.clone(),
        scope: config.scope.clone(),
        except: config.except.clone(),
        calls: judge.calls(),
        node_calls: BTreeSet::from([Call::Execve, Call::Procexit, Call::Ptrace, Call::InitModule, Call::FinitModule, Call::Bpf]),
        ring: config.ring,
        no_lsm: config.no_lsm,
    })
}

// === impl Engine ===

impl Engine {
    fn take(&mut self, notice: Notice) {
        let event = match notice {
            Notice::Event(event) => *event,
            Notice::Root(container, pid) => {
                self.fresh.push(container.clone());
                self.hold(&container, pid);
                return;
            }
            Notice::Gone(container) => {
                if let Some(files) = &self.files {
                    files.marks.forget(&container.id);
                }
                self.held.remove(&container.id);
                self.started.remove(&container.id);
                self.measured.remove(&container.id);
                self.paused.remove(&container.id);
                self.isolation.release(&container.id);
                return;
            }
        };
        self.counters.events.fetch_add(1, Ordering::Relaxed);
        self.notice(&event);
        let mut findings = self.judge.judge(&event);
        findings.extend(self.at_start(&event));
        findings.extend(self.drifted(&event));
        let state = match event.verdict {
            Verdict::Denied | Verdict::Killed => State::Stopped,
            _ if !findings.is_empty() => State::Suspicious,
            _ => State::Normal,
        };
        for finding in findings {
            self.todo.push((event.clone(), finding));
        }
        // The node's own are recorded where a rule found something.
        if !always(&event) || event.container.is_node() {
            return;
        }
        if state == State::Normal {
            if let Some(event) = self.folder.take(event) {
                self.out.push(self.writer.event(&event, state));
            }
        } else {
            self.out.push(self.writer.event(&event, state));
        }
    }

    /// What holds for a container.
    fn modes(&self, container: &Container) -> Modes {
        self.judge.settings().of(container.pod.as_ref().map_or("", |p| p.namespace.as_str()), &container.image)
    }

    fn losses(&mut self, sensor: &mut Sensor) {
        for loss in sensor.losses() {
            self.counters.lost.fetch_add(loss.count, Ordering::Relaxed);
            let call = loss.call.map_or("", Call::name);
            tracing::warn!(container = loss.container, call, reason = loss.reason, count = loss.count, "events were lost");
            self.own("events-lost", json!({"container": loss.container, "call": call, "reason": loss.reason, "count": loss.count}));
        }
    }

    fn measure(&mut self, sensor: &Sensor) {
        let mut measured = BTreeMap::new();
        for (id, container) in sensor.containers.known() {
            let Some(folder) = sensor.containers.folder(id) else { continue };
            let mut pids: Vec<u32> = respond::processes(&folder).into_iter().collect();
            pids.sort_unstable();
            let Some(pid) = pids.first().copied() else { continue };
            let used = self.mounts.measure(pid, container.host_network == Some(true));
            let processes: Vec<Value> = pids
                .iter()
                .take(100)
                .filter_map(|pid| sensor.processes.by_pid(*pid))
                .map(|p| json!({"pid": p.pid, "name": p.name, "command": self.writer.mask(&p.command_line()), "uid": p.uid}))
                .collect();
            let pod = container.pod.as_ref();
            measured.insert(
                id.to_owned(),
                json!({
                    "id": id, "name": container.name, "image": container.image, "digest": container.image_digest, "runtime": container.runtime,
                    "namespace": pod.map(|p| &p.namespace), "pod": pod.map(|p| &p.name), "started": container.started, "handler": container.handler,
                    "use": used, "processes": processes, "pids": pids.len(),
                }),
            );
        }
        self.measured = measured;
    }

    fn sweep(&mut self) {
        let (writer, out) = (&mut self.writer, &mut self.out);
        self.folder.sweep(now() * 1_000_000, |event| out.push(writer.event(&event, State::Normal)));
    }

    fn own(&mut self, action: &str, detail: Value) {
        self.number += 1;
        let entry = self.writer.own(&self.config.node, action, detail, now(), self.number);
        self.kept.push(entry);
    }

    fn flush(&mut self) {
        self.counters.records.fetch_add((self.out.len() + self.kept.len()) as u64, Ordering::Relaxed);
        if !self.kept.is_empty() {
            self.recorder.take(Lane::Kept, std::mem::take(&mut self.kept));
        }
        if !self.out.is_empty() {
            self.recorder.take(Lane::Telemetry, std::mem::take(&mut self.out));
        }
    }

    fn answer(&mut self, sensor: &mut Sensor, ask: Ask) {
        match ask {
            Ask::Status(to) => {
                let status = self.status(sensor);
                let _ = to.send(status);
            }
            Ask::Containers(to) => {
                let _ = to.send(Value::Array(self.measured.values().cloned().collect()));
            }
            Ask::Alarms(to) => {
                let _ = to.send(Value::Array(self.alarms.iter().cloned().collect()));
            }
            Ask::Command(command, to) => {
                let result = self.command(sensor, &command);
                let _ = to.send(result);
            }
            Ask::Settings(settings, generation, to) => {
                let result = Judge::new(&jinwu_detect::content::node(), *settings).map(|(judge, _)| judge).map_err(|e| e.to_string());
                let result = result.and_then(|judge| {
                    sensor.want(judge.calls()).map_err(|e| format!("{e:#}"))?;
                    self.judge = judge;
                    self.generation = generation;
                    self.held.clear();
                    for container in sensor.containers.known().into_values() {
                        if let Some(pid) = sensor.containers.folder(&container.id).and_then(|f| respond::processes(&f).into_iter().min()) {
                            self.hold(container, pid);
                        }
                        self.fresh.push(container.clone());
                    }
                    Ok(())
                });
                let _ = to.send(result);
            }
        }
    }

    fn status(&self, sensor: &Sensor) -> Value {
        json!({
            "node": self.config.node,
            "version": env!("CARGO_PKG_VERSION"),
            "generation": self.generation,
            "capabilities": sensor.capabilities,
            "events": self.counters.events.load(Ordering::Relaxed),
            "records": self.counters.records.load(Ordering::Relaxed),
            "alarms": self.counters.alarms.load(Ordering::Relaxed),
            "lost": self.counters.lost.load(Ordering::Relaxed),
            "unreadable": sensor.unreadable,
            "processes": sensor.processes.len(),
            "containers": self.measured.len(),
            "rules": self.judge.rules().rules().iter().filter(|r| r.enabled).count(),
            "sequences": self.judge.rules().sequences().iter().filter(|s| s.enabled).count(),
            "isolated": self.isolation.isolated().collect::<Vec<_>>(),
            "paused": self.paused,
            "waiting": self.recorder.waiting(),
            "dropped": self.recorder.dropped(),
        })
    }
}

