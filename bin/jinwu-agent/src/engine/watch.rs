//! Containers from their start: how they begin, what they write, and programs that did not come with their image.

use super::Engine;
use jinwu_event::{Call, Container, Layer, NodeEvent, Verdict};
use jinwu_model::{DecisionId, Mode};
use jinwu_node::judge::Finding;
use jinwu_node::record::State;
use jinwu_node::response::Response;
use jinwu_sensor::files::{self, Hold, What};
use jinwu_sensor::Sensor;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

impl Engine {
    /// A container's first program, privileged or as uid 0 though admission should have refused it (IP-6).
    pub(super) fn at_start(&mut self, event: &NodeEvent) -> Option<Finding> {
        let container = &event.container;
        if event.call != Call::Execve || event.failed() || container.is_node() || container.name == "POD" || !self.started.insert(container.id.clone()) {
            return None;
        }
        let mode = self.modes(container).privileged;
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
            decision: DecisionId(format!("{}-{:x}-{:x}-start", event.host, event.time, event.number)),
        })
    }

    /// What later events are judged by: connections, and roots that were in place before the sensor.
    pub(super) fn notice(&mut self, event: &NodeEvent) {
        if event.container.is_node() {
            return;
        }
        if event.call == Call::Execve && !self.started.contains(&event.container.id) {
            self.fresh.push(event.container.clone());
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

    /// Puts the policies of containers into the kernel, where it decides itself.
    pub(super) fn enforce(&mut self, sensor: &Sensor) {
        let fresh = std::mem::take(&mut self.fresh);
        let Some(enforcer) = &sensor.enforcer else { return };
        for container in fresh {
            let modes = self.modes(&container);
            let of = |mode: Mode| match mode {
                Mode::Allow => jinwu_sensor::enforce::Mode::Allow,
                Mode::Alert => jinwu_sensor::enforce::Mode::Alarm,
                Mode::Block => jinwu_sensor::enforce::Mode::Block,
            };
            let policy = jinwu_sensor::enforce::ContainerPolicy { drift: of(modes.drift), root: of(modes.privileged), privileged: of(modes.privileged), ..Default::default() };
            for cgroup in sensor.containers.cgroups(&container.id) {
                if let Err(error) = enforcer.put_container(cgroup, &policy) {
                    tracing::error!(container = container.id, error = format!("{error:#}"), "a container's policy is not held by the kernel");
                }
            }
        }
    }

    /// Watches the file systems of a container.
    pub(super) fn hold(&mut self, container: &Container, pid: u32) {
        let Some(files) = &self.files else { return };
        let modes = self.modes(container);
        let hold = Hold { drift: modes.drift, malware: modes.malware };
        if modes.drift == Mode::Allow && modes.malware == Mode::Allow {
            // What is marked already stays so, and lets everything pass.
            files.marks.change(&container.id, hold);
            return;
        }
        match files.marks.hold(&container.id, pid, hold) {
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
    pub(super) fn drifted(&mut self, event: &NodeEvent) -> Option<Finding> {
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
        let modes = self.modes(container);
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
            decision: DecisionId(format!("{}-{:x}-{:x}-drift", event.host, event.time, event.number)),
        })
    }

    /// What happened to written files.
    pub(super) fn files(&mut self, sensor: &mut Sensor) {
        let Some(files) = &self.files else { return };
        let seen: Vec<files::Seen> = files.seen.try_iter().take(4096).collect();
        for seen in seen {
            let Some(container) = sensor.containers.find(&seen.container) else { continue };
            let event = sensor.event_of(&seen, &container);
            let modes = self.modes(&container);
            let name = event.number;
            let finding = |rule: &str, mode: Mode, output: String, responses: BTreeSet<Response>| Finding {
                rule: rule.into(),
                priority: "Critical",
                mode,
                output,
                guidance: None,
                tags: vec!["MC-2".into()],
                responses,
                decision: DecisionId(format!("{}-{:x}-{name:x}-{rule}", event.host, event.time)),
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
    pub(super) fn way(&mut self, seen: &files::Seen, container: &Container) -> (&'static str, String) {
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
}
