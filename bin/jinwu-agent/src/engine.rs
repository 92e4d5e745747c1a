//! Events in, records and responses out. Everything the sensor's thread does.

use crate::local::{Control, Said};
use crate::recorder::Recorder;
use crate::spool::Lane;
use anyhow::{Context as _, Result};
use jinwu_event::{Call, Class, Container, Layer, NodeEvent, Process, Verdict};
use jinwu_model::Mode;
use jinwu_node::judge::{Finding, Judge};
use jinwu_node::record::{State, Writer, always};
use jinwu_node::response::{Command, Response};
use jinwu_node::{Folder, Settings};
use jinwu_sensor::process::Processes;
use jinwu_sensor::files::{self, Hold, What};
use jinwu_sensor::{Notice, Options, Sensor, meter, respond, snapshot};
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
    repeated: HashMap<u64, (Instant, u32, Option<Box<(NodeEvent, Finding)>>)>,
    out: Vec<jinwu_node::protocol::Entry>,
    kept: Vec<jinwu_node::protocol::Entry>,
    files: Option<Files>,
    /// Containers whose file systems are watched.
    held: BTreeSet<String>,
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

/// Runs until `stop`. `ready` hears once everything is attached, or why not.
///
/// # Errors
/// The sensor cannot be started, or its rings cannot be read any more.
#[allow(clippy::too_many_arguments)]
pub(crate) fn run(config: Config, settings: Settings, generation: String, recorder: Recorder, counters: Arc<Counters>, files: Result<Files, String>, control: &Control, stop: &AtomicBool) -> Result<()> {
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
        connected: HashMap::new(),
        spread: HashMap::new(),
        measured: BTreeMap::new(),
        mounts: meter::Mounts::find(),
        number: 0,
        generation,
    };
    let capabilities = serde_json::to_value(&sensor.capabilities)?;
    engine.own("sensor-started", json!({"version": env!("CARGO_PKG_VERSION"), "capabilities": capabilities}));
    tracing::info!(rung = ?sensor.capabilities.rung, kernel = sensor.capabilities.kernel, "the sensor sees");
    control.ready();
    let (mut measured, mut looked) = (Instant::now() - MEASURE, Instant::now());
    while !stop.load(Ordering::Relaxed) {
        sensor.round(Duration::from_millis(20), &mut |processes, notice| engine.take(processes, notice))?;
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
    fn take(&mut self, _: &mut Processes, notice: Notice) {
        let event = match notice {
            Notice::Event(event) => *event,
            Notice::Root(container, pid) => {
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

    /// A container's first program, privileged or as uid 0 though admission should have refused it (IP-6).
    fn at_start(&mut self, event: &NodeEvent) -> Option<Finding> {
        let container = &event.container;
        if event.call != Call::Execve || event.failed() || container.is_node() || container.name == "POD" || !self.started.insert(container.id.clone()) {
            return None;
        }
        let namespace = container.pod.as_ref().map_or("", |p| p.namespace.as_str());
        let mode = self.judge.settings().of(namespace, &container.image).privileged;
        let privileged = container.privileged == Some(true);
        if mode == Mode::Allow || !(privileged || event.process.uid == 0) {
            return None;
        }
        let what = if privileged { "特权模式 / privileged mode" } else { "以 root(uid 0)运行 / runs as root (uid 0)" };
        Some(Finding {
            rule: "privileged-container".into(),
            priority: "Critical",
            mode,
            output: format!("{what}: {} ({})", container.name, container.image),
            guidance: None,
            tags: vec!["IP-6".into()],
            responses: if mode == Mode::Block { BTreeSet::from([Response::Snapshot, Response::Stop]) } else { BTreeSet::new() },
            decision: jinwu_model::DecisionId(format!("{}-{:x}-{:x}-start", event.host, event.time, event.number)),
        })
    }

    /// What later events are judged by: connections, and roots that were in place before the sensor.
    fn notice(&mut self, event: &NodeEvent) {
        if event.container.is_node() {
            return;
        }
        if event.call == Call::Execve && !self.held.contains(&event.container.id) {
            self.hold(&event.container.clone(), event.process.pid);
        }
        let taken = matches!(event.call, Call::Accept | Call::Accept4);
        if (taken || event.call == Call::Connect)
            && let Some(remote) = event.socket.as_ref().and_then(|s| s.remote).filter(|r| !r.ip().is_loopback())
        {
            if self.connected.len() > 65_536 {
                self.connected.clear();
            }
            self.connected.insert(event.process.pid, (taken, remote.to_string()));
        }
    }

    /// Watches the file systems of a container.
    fn hold(&mut self, container: &Container, pid: u32) {
        let Some(files) = &self.files else { return };
        let modes = self.judge.settings().of(container.pod.as_ref().map_or("", |p| p.namespace.as_str()), &container.image);
        if modes.drift == Mode::Allow && modes.malware == Mode::Allow {
            return;
        }
        match files.marks.hold(&container.id, pid, Hold { drift: modes.drift, malware: modes.malware }) {
            Ok(missed) => {
                self.held.insert(container.id.clone());
                if !missed.is_empty() {
                    self.own("files-partly-watched", json!({"container": container.id, "missed": missed}));
                }
            }
            Err(error) => tracing::warn!(container = container.id, error = format!("{error:#}"), "files of a container are not watched"),
        }
    }

    /// A program that did not come with the image was started: made in the container, from a volume or from memory.
    fn drifted(&mut self, event: &NodeEvent) -> Option<Finding> {
        let container = &event.container;
        if !matches!(event.call, Call::Execve) || event.failed() || container.is_node() || event.verdict == Verdict::Denied {
            return None;
        }
        let program = &event.process.program;
        let drifted = match program.layer {
            Layer::Upper => program.written,
            Layer::Outside | Layer::Memfd => true,
            Layer::Lower | Layer::Unknown => false,
        };
        let modes = self.judge.settings().of(container.pod.as_ref().map_or("", |p| p.namespace.as_str()), &container.image);
        if !drifted || modes.drift == Mode::Allow {
            return None;
        }
        let path = program.path.as_deref().unwrap_or_default();
        Some(Finding {
            rule: "drift".into(),
            priority: "Critical",
            mode: modes.drift,
            output: format!("镜像之外的程序被执行 / a program that did not come with the image was started: {path} ({:?})", program.layer),
            guidance: None,
            tags: vec!["drift".into()],
            responses: if modes.drift == Mode::Block { BTreeSet::from([Response::Kill]) } else { BTreeSet::new() },
            decision: jinwu_model::DecisionId(format!("{}-{:x}-{:x}-drift", event.host, event.time, event.number)),
        })
    }

    /// What happened to written files.
    fn files(&mut self, sensor: &mut Sensor) {
        let Some(files) = &self.files else { return };
        let seen: Vec<files::Seen> = files.seen.try_iter().take(4096).collect();
        for seen in seen {
            let Some(container) = sensor.containers.find(&seen.container) else { continue };
            let Some(event) = sensor.event_of(&seen, &container) else { continue };
            let modes = self.judge.settings().of(container.pod.as_ref().map_or("", |p| p.namespace.as_str()), &container.image);
            let name = event.number;
            let finding = |rule: &str, mode: Mode, output: String, responses: BTreeSet<Response>| Finding {
                rule: rule.into(),
                priority: "Critical",
                mode,
                output,
                guidance: None,
                tags: vec!["MC-2".into()],
                responses,
                decision: jinwu_model::DecisionId(format!("{}-{:x}-{name:x}-{rule}", event.host, event.time)),
            };
            match &seen.what {
                What::Written => {
                    self.counters.events.fetch_add(1, Ordering::Relaxed);
                    for found in self.judge.judge(&event) {
                        self.todo.push((event.clone(), found));
                    }
                    if let Some(event) = self.folder.take(event) {
                        self.out.push(self.writer.event(&event, State::Normal));
                    }
                }
                What::Malicious(rules) => {
                    let (way, from) = self.way(&seen, &container);
                    let output = format!("{way}: {} ({}), sha256 {}, {from}", seen.path, rules.join(", "), seen.sha256.as_deref().unwrap_or_default());
                    let responses = self.judge.settings().responses.get("malware").cloned().unwrap_or_default();
                    let found = finding("malware", modes.malware, output, if modes.malware == Mode::Block { responses } else { BTreeSet::new() });
                    self.todo.push((event, found));
                }
                What::DriftRefused => {
                    let found = finding("drift", Mode::Block, format!("镜像之外的程序没有被执行 / a program that did not come with the image was not started: {}", seen.path), BTreeSet::new());
                    self.todo.push((event, found));
                }
                What::Refused(why) => {
                    let found = finding("malware", Mode::Block, format!("没有被执行或解释 / not started, not interpreted: {}: {why}", seen.path), BTreeSet::new());
                    self.todo.push((event, found));
                }
            }
        }
    }

    /// How malicious content came: uploaded to a server in the container, downloaded by it, spread from another container,
    /// or written by something of its own.
    fn way(&mut self, seen: &files::Seen, container: &Container) -> (&'static str, String) {
        let hash = seen.sha256.clone().unwrap_or_default();
        if self.spread.len() > 16_384 {
            self.spread.clear();
        }
        let places = self.spread.entry(hash).or_default();
        let other = places.iter().find(|c| **c != container.id).cloned();
        places.insert(container.id.clone());
        if let Some(other) = other {
            return ("恶意代码横向扩散 / malicious code spread from another container", format!("from {}", other.get(..12).unwrap_or(&other)));
        }
        match self.connected.get(&seen.writer) {
            Some((true, remote)) => ("恶意代码上传 / malicious code was uploaded", format!("from {remote}")),
            Some((false, remote)) => ("恶意代码下载 / malicious code was downloaded", format!("from {remote}")),
            None => ("恶意代码写入 / malicious code was written", String::new()),
        }
    }

    /// Carries out what findings ask for, then records them with what was done.
    fn respond(&mut self, sensor: &mut Sensor) {
        for (event, finding) in std::mem::take(&mut self.todo) {
            let Some((event, finding)) = self.first(event, finding) else { continue };
            let mut done = Vec::new();
            for response in finding.responses.iter().copied() {
                if event.container.is_node() && response != Response::Kill {
                    done.push((response, Err("这是节点本身,不是容器 / this is the node itself, no container".to_owned())));
                    continue;
                }
                let result = self.carry_out(sensor, response, &event.container, Some(&event.process), &finding.decision.0);
                done.push((response, result.map(|_| ()).map_err(|e| format!("{e:#}"))));
            }
            self.counters.alarms.fetch_add(1, Ordering::Relaxed);
            let entries = self.writer.finding(&event, &finding, &done);
            if self.alarms.len() >= REMEMBERED {
                self.alarms.pop_front();
            }
            if let Some(first) = entries.first() {
                self.alarms.push_back(serde_json::to_value(first).unwrap_or_default());
            }
            self.kept.extend(entries);
        }
    }

    /// The alarm, if none like it was told within a minute. Those that are followed by something are told each time.
    fn first(&mut self, event: NodeEvent, finding: Finding) -> Option<(NodeEvent, Finding)> {
        use std::hash::{DefaultHasher, Hash as _, Hasher as _};
        if !finding.responses.is_empty() || event.verdict != Verdict::Passed {
            return Some((event, finding));
        }
        let mut hasher = DefaultHasher::new();
        (&finding.rule, &event.container.id, &event.process.program.path, &event.process.name, event.path(), event.process.uid).hash(&mut hasher);
        event.socket.as_ref().and_then(|s| s.remote).map(|r| r.ip()).hash(&mut hasher);
        if event.call.class() == Class::Process {
            // Another command is another act, and so is the same by somebody else.
            (&event.process.args, event.ancestors.first().map(|a| &a.name)).hash(&mut hasher);
        }
        match self.repeated.entry(hasher.finish()) {
            std::collections::hash_map::Entry::Occupied(mut entry) => {
                let (_, count, last) = entry.get_mut();
                *count += 1;
                *last = Some(Box::new((event, finding)));
                None
            }
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert((Instant::now(), 0, None));
                Some((event, finding))
            }
        }
    }

    /// Alarms that repeated ones stand for, once their minute is over; all of them at the `end`.
    fn repeat(&mut self, end: bool) {
        let full = end || self.repeated.len() > 8192;
        let mut over = Vec::new();
        self.repeated.retain(|_, (since, count, last)| {
            let keep = !full && since.elapsed() < ALARMS;
            if !keep && let Some(last) = last.take() {
                over.push((*count, last));
            }
            keep
        });
        for (count, last) in over {
            let (mut event, finding) = *last;
            event.count = count;
            let entries = self.writer.finding(&event, &finding, &[]);
            self.kept.extend(entries);
        }
    }

    fn carry_out(&mut self, sensor: &mut Sensor, response: Response, container: &Arc<Container>, process: Option<&Process>, decision: &str) -> Result<String> {
        let id = container.id.as_str();
        let folder = || sensor.containers.folder(id).context("容器已经结束 / the container has ended");
        match response {
            Response::Snapshot => {
                let pids = respond::processes(&folder()?);
                let evidence = snapshot::take(&pids, &self.config.root);
                let text = self.writer.mask_all(&serde_json::to_string_pretty(&evidence)?);
                let place = self.config.data.join("evidence");
                std::fs::create_dir_all(&place)?;
                let name = format!("{}-{}.json", container.short_id(), decision.replace('/', "_"));
                jinwu_trust::files::write(&place.join(&name), text.as_bytes(), 0o600)?;
                let digest: String = jinwu_trust::sha256(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect();
                let said = json!({"file": name, "sha256": digest, "processes": evidence.processes.len(), "connections": evidence.connections.len(), "changed": evidence.changed.len(), "cut": evidence.cut});
                self.number += 1;
                let entry = self.writer.own(&self.config.node, "evidence", json!({"container": id, "decision": decision, "evidence": said}), now(), self.number);
                self.kept.push(entry);
                Ok(name)
            }
            Response::Kill => {
                let process = process.context("哪个进程? / which process?")?;
                let since_boot = sensor.since_boot(process.started);
                Ok(format!("{} processes ended", respond::kill(process.pid, since_boot)?))
            }
            Response::Pause | Response::Resume => {
                respond::freeze(&folder()?, response == Response::Pause)?;
                if response == Response::Pause { self.paused.insert(id.to_owned()) } else { self.paused.remove(id) };
                Ok(String::new())
            }
            Response::Stop => Ok(format!("{} processes ended", respond::stop(&folder()?)?)),
            Response::Isolate => {
                let reachable = self.judge.settings().isolated_may_reach.clone();
                let (skel, folder) = (sensor.skel(), folder()?);
                respond::set_reachable(&skel.maps.reachable, &reachable)?;
                self.isolation.isolate(id, &folder, &skel.progs.isolated_out, &skel.progs.isolated_in)?;
                Ok(String::new())
            }
            Response::Release => {
                anyhow::ensure!(self.isolation.release(id), "容器没有被隔离 / the container is not isolated");
                Ok(String::new())
            }
        }
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
        let mut first: HashMap<&str, (&Arc<Container>, Vec<u32>)> = HashMap::new();
        let all: Vec<(u64, Arc<Container>)> = sensor.containers.all().map(|(id, c)| (id, c.clone())).collect();
        for (_, container) in all.iter().filter(|(_, c)| !c.is_node()) {
            first.entry(&container.id).or_insert((container, Vec::new()));
        }
        let mut measured = BTreeMap::new();
        for (id, (container, _)) in first {
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
                    Ok(())
                });
                let _ = to.send(result);
            }
        }
    }

    fn command(&mut self, sensor: &mut Sensor, command: &Command) -> Said {
        let found = sensor.containers.find(&command.container);
        let result = match &found {
            None => Err(format!("本节点没有容器 {0},或有多个以此开头 / there is no container {0} on this node, or several begin so", command.container)),
            Some(container) => {
                let process = match command.pid {
                    Some(pid) => {
                        let inside = sensor.containers.folder(&container.id).is_some_and(|f| respond::processes(&f).contains(&pid));
                        if inside { Ok(sensor.processes.by_pid(pid)) } else { Err(format!("进程 {pid} 不在该容器中 / process {pid} is not in that container")) }
                    }
                    None => Ok(None),
                };
                process.and_then(|process| {
                    // Evidence first: what is ended cannot be looked at any more.
                    if matches!(command.response, Response::Kill | Response::Stop | Response::Isolate | Response::Pause) {
                        let evidence = self.carry_out(sensor, Response::Snapshot, container, None, &command.decision);
                        if let Err(error) = evidence {
                            tracing::warn!(error = format!("{error:#}"), "no evidence was taken");
                        }
                    }
                    self.carry_out(sensor, command.response, container, process.as_deref(), &command.decision).map_err(|e| format!("{e:#}"))
                })
            }
        };
        let entry = self.writer.response(command, found.as_deref(), &result, &self.config.node, now());
        self.kept.push(entry);
        result
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

