//! Events, findings and responses as records of the ledger.

use crate::judge::Finding;
use crate::protocol::Entry;
use crate::response::{Command, Response};
use jinwu_event::{Call, Class, Container, Layer, NodeEvent, Process, Verdict};
use jinwu_model::{Kind, Mode, Outcome, Record, Subject, SubjectKind};
use jinwu_secrets::Scanner;
use serde_json::{Value, json};
use std::collections::HashMap;

/// Command lines remembered with their masked form.
const REMEMBERED: usize = 4096;
/// Longest command line in a record, bytes.
const LONGEST: usize = 4096;

/// What an event means for the security of its container (AU-3: 安全状态).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Normal,
    Suspicious,
    Stopped,
}

/// Writes records; masks secrets in what they say.
pub struct Writer {
    secrets: Scanner,
    masked: HashMap<String, String>,
}

// === impl State ===

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::Normal => "正常 / normal",
            State::Suspicious => "可疑 / suspicious",
            State::Stopped => "已阻断 / stopped",
        }
    }
}

/// Which records a call is among.
pub fn kind(call: Call) -> Kind {
    match call.class() {
        Class::Process => Kind::Process,
        Class::File | Class::FileChange => Kind::File,
        Class::Network => Kind::Network,
        Class::Credential | Class::Namespace | Class::Kernel | Class::Trace => Kind::Privilege,
    }
}

/// What was done, in a word.
pub fn action(event: &NodeEvent) -> &'static str {
    use Call as C;
    match event.call {
        C::Execve | C::Execveat => "exec",
        C::Procexit => "exit",
        C::Clone => "fork",
        C::Open | C::Openat | C::Openat2 | C::Creat | C::OpenByHandleAt if event.created => "create",
        C::Open | C::Openat | C::Openat2 | C::Creat | C::OpenByHandleAt if writes(event) => "write",
        C::Open | C::Openat | C::Openat2 | C::OpenByHandleAt => "read",
        C::Written => "write",
        C::Rename | C::Renameat | C::Renameat2 => "rename",
        C::Unlink | C::Unlinkat | C::Rmdir => "delete",
        C::Mkdir | C::Mkdirat => "mkdir",
        C::Symlink | C::Symlinkat | C::Link | C::Linkat => "link",
        C::Chmod | C::Fchmod | C::Fchmodat | C::Fchmodat2 => "chmod",
        C::Chown | C::Lchown | C::Fchown | C::Fchownat => "chown",
        C::Accept4 => "accept",
        C::Sendto | C::Sendmsg | C::Sendmmsg => "send",
        other => other.name(),
    }
}

/// Opened to be written.
pub fn writes(event: &NodeEvent) -> bool {
    const WRITE: u64 = 0o1 | 0o2 | 0o1000;
    match event.call {
        Call::Creat | Call::Written | Call::Truncate | Call::Ftruncate => true,
        Call::Open | Call::Openat | Call::Openat2 | Call::OpenByHandleAt => event.argument("flags").is_some_and(|_| flags(event) & WRITE != 0),
        _ => false,
    }
}

fn flags(event: &NodeEvent) -> u64 {
    event.argument("flags").unwrap_or_default()
}

/// Whether an event is recorded whatever rules say (AU-3): programs start and end; files come, change, go; connections.
pub fn always(event: &NodeEvent) -> bool {
    match event.call.class() {
        Class::Process => event.call != Call::Clone,
        Class::FileChange => true,
        Class::File => !event.failed() && (event.created || writes(event)) && regular(event),
        Class::Network => matches!(event.call, Call::Connect | Call::Accept | Call::Accept4 | Call::Listen | Call::Dns) && network(event),
        Class::Namespace => !event.container.is_node(),
        Class::Credential | Class::Kernel | Class::Trace => false,
    }
}

/// Devices and pipes are no files that change.
fn regular(event: &NodeEvent) -> bool {
    event.file.as_ref().is_none_or(|f| f.mode & 0o170_000 == 0o100_000)
}

fn network(event: &NodeEvent) -> bool {
    event.socket.as_ref().is_some_and(|s| s.family != jinwu_event::event::AF_UNIX) && (event.result >= 0 || event.result == -115 || event.call != Call::Accept4 && event.result != -11)
}

/// What it was done to.
fn object(event: &NodeEvent) -> String {
    if let Some(socket) = event.socket.as_ref().filter(|_| event.call.class() == Class::Network) {
        let end = if matches!(event.call, Call::Listen | Call::Bind | Call::Accept | Call::Accept4) { socket.local } else { socket.remote };
        return end.map(|e| e.to_string()).or_else(|| socket.path.clone()).unwrap_or_default();
    }
    match event.call {
        Call::Execve | Call::Execveat | Call::Procexit => event.process.program.path.clone().unwrap_or_else(|| event.process.exe.clone()),
        _ => {
            let paths: Vec<&str> = event.paths.iter().flatten().map(String::as_str).collect();
            match paths.as_slice() {
                [from, to] => format!("{from} → {to}"),
                _ => event.path().unwrap_or_default().to_owned(),
            }
        }
    }
}

/// Who: the user in the container.
fn subject(process: &Process, container: &Container, host: &str) -> Subject {
    let user = process.user.as_deref().map_or_else(|| process.uid.to_string(), str::to_owned);
    let place = match &container.pod {
        Some(pod) if !pod.name.is_empty() => format!("{}/{}/{}", pod.namespace, pod.name, container.name),
        _ if container.is_node() => host.to_owned(),
        _ if container.name.is_empty() => container.short_id().to_owned(),
        _ => container.name.clone(),
    };
    Subject { kind: SubjectKind::Process, name: format!("{user}@{place}") }
}

fn layer(layer: Layer) -> Value {
    serde_json::to_value(layer).unwrap_or_default()
}

/// The container of a record, for who looks for one.
fn describe(container: &Container, host: &str) -> Value {
    let mut text = json!({"id": container.id, "node": host});
    if let Some(members) = text.as_object_mut() {
        let mut set = |name: &str, value: &str| {
            if !value.is_empty() {
                members.insert(name.to_owned(), value.into());
            }
        };
        set("name", &container.name);
        set("image", &container.image);
        set("digest", container.image_digest.as_deref().unwrap_or_default());
        if let Some(pod) = &container.pod {
            set("pod", &pod.name);
            set("namespace", &pod.namespace);
            set("pod_uid", &pod.uid);
        }
        if !container.resolved {
            members.insert("unresolved".into(), true.into());
        }
    }
    text
}

// === impl Writer ===

impl Writer {
    pub fn new(secrets: Scanner) -> Self {
        Writer { secrets, masked: HashMap::new() }
    }

    /// A command line or another text without secrets.
    pub fn mask(&mut self, text: &str) -> String {
        if let Some(known) = self.masked.get(text) {
            return known.clone();
        }
        let mut end = text.len().min(LONGEST);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let masked = self.secrets.mask(text.get(..end).unwrap_or_default());
        if self.masked.len() >= REMEMBERED {
            self.masked.clear();
        }
        self.masked.insert(text.to_owned(), masked.clone());
        masked
    }

    /// A long text without secrets; it is not remembered.
    pub fn mask_all(&self, text: &str) -> String {
        self.secrets.mask(text)
    }

    fn process(&mut self, process: &Process) -> Value {
        json!({
            "pid": process.pid, "own_pid": process.own_pid, "name": process.name, "program": process.program.path, "layer": layer(process.program.layer),
            "command": self.mask(&process.command_line()), "uid": process.uid, "cwd": process.cwd, "terminal": process.terminal != 0,
        })
    }

    /// An event on its own.
    pub fn event(&mut self, event: &NodeEvent, state: State) -> Entry {
        let record = self.base(event, kind(event.call)).with("state", state.name());
        Entry { id: id(event), record }
    }

    fn base(&mut self, event: &NodeEvent, kind: Kind) -> Record {
        let outcome = match event.verdict {
            Verdict::Denied | Verdict::Killed => Outcome::Denied,
            Verdict::Passed | Verdict::Alarmed if event.failed() && event.result != -115 => Outcome::Failure,
            Verdict::Passed | Verdict::Alarmed => Outcome::Success,
        };
        let ancestors: Vec<Value> = event.ancestors.iter().take(6).map(|a| json!([a.pid, a.name, a.program.path])).collect();
        let object = self.mask(&object(event));
        let mut record = Record::new(event.time / 1_000_000, kind, subject(&event.process, &event.container, &event.host), action(event), object)
            .outcome(outcome)
            .with("node", &*event.host)
            .with("container", describe(&event.container, &event.host))
            .with("process", self.process(&event.process))
            .with("ancestors", ancestors)
            .with("call", event.call.name())
            .with("seen_by", event.origin.name());
        if event.result != 0 {
            record = record.with("result", event.result);
        }
        if event.count > 1 {
            record = record.with("count", event.count);
        }
        if let Some(file) = &event.file {
            record = record.with("file", json!({"inode": file.inode, "layer": layer(file.layer), "mode": format!("{:o}", file.mode & 0o7777)}));
        }
        if let Some(socket) = event.socket.as_ref().filter(|s| s.local.is_some() || s.remote.is_some()) {
            let protocol = match socket.protocol {
                6 => "tcp",
                17 => "udp",
                _ => "other",
            };
            record = record.with("socket", json!({"local": socket.local, "remote": socket.remote, "protocol": protocol}));
            if matches!(event.call, Call::Accept | Call::Accept4) {
                record = record.from(socket.remote.map(|r| r.ip()));
            }
        }
        if event.call == Call::Dns
            && let Some(question) = jinwu_event::dns::question(event)
        {
            record = record.with("question", question.name.as_str());
        }
        if event.io_uring {
            record = record.with("io_uring", true);
        }
        match event.verdict {
            Verdict::Denied => record.with("stopped", "内核拒绝,没有产生作用 / refused by the kernel: no effect"),
            Verdict::Killed => record.with("stopped", "进程被终止,之前的动作已经生效 / the process was killed: what it did before stays"),
            Verdict::Passed | Verdict::Alarmed => record,
        }
    }

    /// A finding: its alarm, and the interception where something was stopped. `done` says what was done, or why not.
    pub fn finding(&mut self, event: &NodeEvent, finding: &Finding, done: &[(Response, Result<(), String>)]) -> Vec<Entry> {
        let mut alarm = self
            .base(event, Kind::Alarm)
            .decision(Some(finding.decision.clone()))
            .with("policy", finding.rule.as_str())
            .with("mode", finding.mode.as_str())
            .with("priority", finding.priority)
            .with("output", self.mask(&finding.output))
            .with("tags", finding.tags.clone());
        alarm.action = "rule-hit".into();
        if let Some(g) = &finding.guidance {
            alarm = g.tell(alarm);
        }
        let stopped = matches!(event.verdict, Verdict::Denied | Verdict::Killed) || done.iter().any(|(r, result)| *r != Response::Snapshot && result.is_ok());
        if !done.is_empty() {
            let said: Vec<Value> = done.iter().map(|(r, result)| json!({"response": r.name(), "failed": result.as_ref().err()})).collect();
            alarm = alarm.with("responses", said);
        }
        let id = format!("{}/{}", finding.decision.0, "alarm");
        let mut entries = vec![Entry { id, record: alarm.clone() }];
        if stopped && finding.mode == Mode::Block {
            let mut record = alarm.outcome(Outcome::Denied);
            record.kind = Kind::Interception;
            entries.push(Entry { id: format!("{}/interception", finding.decision.0), record });
        }
        entries
    }

    /// A command carried out, or why not.
    pub fn response(&mut self, command: &Command, container: Option<&Container>, result: &Result<String, String>, host: &str, now: i64) -> Entry {
        let outcome = if result.is_ok() { Outcome::Success } else { Outcome::Failure };
        let subject = Subject { kind: SubjectKind::User, name: command.by.clone() };
        let object = container.map_or_else(|| command.container.clone(), |c| if c.name.is_empty() { c.id.clone() } else { format!("{}@{}", c.name, c.short_id()) });
        let record = Record::new(now, Kind::Response, subject, command.response.name(), object)
            .outcome(outcome)
            .decision(Some(jinwu_model::DecisionId(command.decision.clone())))
            .with("node", host)
            .with("reason", command.reason.as_str())
            .with("container", container.map_or_else(|| json!({"id": command.container}), |c| describe(c, host)))
            .with("said", match result { Ok(text) | Err(text) => self.mask(text) });
        Entry { id: format!("{}/response", command.id), record }
    }

    /// What a sensor says of itself: its start, losses, a lower rung.
    pub fn own(&mut self, host: &str, action: &str, detail: Value, now: i64, number: u64) -> Entry {
        let record = Record::new(now, Kind::Node, Subject::system("agent"), action, host).with("detail", detail);
        Entry { id: format!("{host}-{now:x}-{number:x}-{action}"), record }
    }
}

fn id(event: &NodeEvent) -> String {
    format!("{}-{:x}-{:x}", event.host, event.time, event.number)
}
