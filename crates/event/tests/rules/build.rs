//! Events from a few words of JSON.
//!
//! ```json
//! {"call": "openat", "path": "/etc/shadow", "args": {"flags": "O_RDONLY"}, "proc": {"name": "cat"}, "parents": ["bash"]}
//! ```
//!
//! What is not said is an ordinary program of an ordinary container. `container: null` is the node.

use jinwu_event::call::Input;
use jinwu_event::{Call, Container, File, Layer, Mount, NodeEvent, Pod, Process, Runtime, Socket, Verdict, Who};
use serde_json::{Map, Value};
use std::net::SocketAddr;
use std::sync::Arc;

/// When events happen that do not say: nanoseconds since 1970.
pub(crate) const NOW: i64 = 1_790_000_000_000_000_000;
const SPACE: u32 = 4_026_532_000;
const NODE_SPACE: u32 = 4_026_531_836;

const WORDS: &[(&str, u64)] = &[
    ("O_RDONLY", 0),
    ("O_WRONLY", 1),
    ("O_RDWR", 2),
    ("O_CREAT", 0o100),
    ("O_TRUNC", 0o1000),
    ("O_APPEND", 0o2000),
    ("O_DIRECTORY", if cfg!(target_arch = "aarch64") { 0o40_000 } else { 0o200_000 }),
    ("AF_INET", 2),
    ("AF_PACKET", 17),
    ("SOCK_RAW", 3),
    ("SOCK_STREAM", 1),
    ("CLONE_NEWNS", 0x2_0000),
    ("CLONE_NEWUSER", 0x1000_0000),
    ("CLONE_NEWPID", 0x2000_0000),
    ("CLONE_NEWNET", 0x4000_0000),
    ("PTRACE_TRACEME", 0),
    ("PTRACE_PEEKDATA", 2),
    ("PTRACE_ATTACH", 16),
    ("PTRACE_CONT", 7),
    ("BPF_MAP_CREATE", 0),
    ("BPF_PROG_LOAD", 5),
    ("SIGKILL", 9),
    ("SIGTERM", 15),
    ("SIGSTOP", 19),
    ("SIGCHLD", 17),
    ("S_IFIFO", 0o010_000),
];

const CAPABILITIES: &[(&str, u32)] = &[
    ("CAP_DAC_OVERRIDE", 1),
    ("CAP_DAC_READ_SEARCH", 2),
    ("CAP_SETUID", 7),
    ("CAP_NET_RAW", 13),
    ("CAP_SYS_MODULE", 16),
    ("CAP_SYS_PTRACE", 19),
    ("CAP_SYS_ADMIN", 21),
];

pub(crate) fn event(value: &Value) -> NodeEvent {
    let name = text(value, "call").unwrap_or("execve");
    let call = Call::named(name).unwrap_or_else(|| panic!("no call {name}"));
    let container = container(value.get("container"));
    let process = process(value.get("proc").unwrap_or(&Value::Null), &container);
    let ancestors: Vec<Arc<Process>> = match value.get("parents").and_then(Value::as_array) {
        Some(all) => all.iter().map(|p| Arc::new(ancestor(p, &container))).collect(),
        None => ["app", "containerd-shim"].iter().map(|n| Arc::new(ancestor(&Value::from(*n), &container))).collect(),
    };
    let who = Who { process: Arc::new(process), ancestors: ancestors.into(), container: Arc::new(container) };
    let mut event = NodeEvent::bare(call, who, value.get("time").and_then(Value::as_i64).map_or(NOW, |t| NOW + t * 1_000_000_000), "node-1".into());
    event.result = value.get("result").and_then(Value::as_i64).unwrap_or(if call.capture().returns_fd { 3 } else { 0 });
    event.verdict = Verdict::ALL.iter().copied().find(|v| Some(v.name()) == text(value, "verdict")).unwrap_or(Verdict::Passed);
    event.created = flag(value, "created");
    event.io_uring = flag(value, "io_uring");
    arguments(&mut event, value);
    texts(&mut event, value);
    event.file = value.get("file").filter(|f| !f.is_null()).map(file);
    if event.file.is_none() && call.class() == jinwu_event::Class::File {
        event.file = Some(File { path: event.paths[0].clone(), mode: 0o100_644, layer: Layer::Lower, ..File::default() });
    }
    event.socket = value.get("socket").filter(|s| !s.is_null()).map(socket);
    event.target = text(value, "target").map(|t| Arc::new(Process { name: t.into(), exe: t.into(), ..Process::default() }));
    if let Some(question) = text(value, "dns") {
        event.data = message(question);
    }
    if let Some(data) = text(value, "data") {
        event.data = data.bytes().collect::<Vec<_>>().chunks(2).map(|c| u8::from_str_radix(std::str::from_utf8(c).unwrap(), 16).unwrap()).collect();
    }
    event
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

fn flag(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool).unwrap_or(false)
}

fn number(value: &Value, key: &str, otherwise: u32) -> u32 {
    value.get(key).and_then(Value::as_u64).map_or(otherwise, |n| n as u32)
}

fn strings(value: &Value, key: &str) -> Vec<String> {
    match value.get(key) {
        Some(Value::Array(all)) => all.iter().map(|v| v.as_str().unwrap().to_owned()).collect(),
        Some(Value::String(line)) => line.split_whitespace().map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

fn arguments(event: &mut NodeEvent, value: &Value) {
    let none = Map::new();
    for (name, given) in value.get("args").and_then(Value::as_object).unwrap_or(&none) {
        let number = match given {
            Value::String(words) => words.split('|').map(bits).fold(0, |a, b| a | b),
            other => other.as_i64().unwrap() as u64,
        };
        // Of openat2, the structure's mode follows its flags.
        let place = event.call.parameter(name).map_or(if name == "mode" { 3 } else { 4 }, |p| p.place);
        event.args[usize::from(place)] = number;
    }
}

fn bits(word: &str) -> u64 {
    match word.strip_prefix("0o") {
        Some(octal) => u64::from_str_radix(octal, 8).unwrap(),
        None => WORDS.iter().find(|(w, _)| *w == word).unwrap_or_else(|| panic!("no word {word}")).1,
    }
}

fn texts(event: &mut NodeEvent, value: &Value) {
    let given = match (text(value, "path"), value.get("texts")) {
        (Some(path), _) => vec![path.to_owned()],
        (None, Some(_)) => strings(value, "texts"),
        _ => Vec::new(),
    };
    let capture = event.call.capture();
    event.extra = given.get(2).cloned();
    for (index, text) in given.into_iter().enumerate().take(2) {
        let path = event.call.parameters().iter().any(|p| p.place == capture.texts[index] && matches!(p.input, Input::Path | Input::PathAt(_)));
        event.paths[index] = path.then(|| jinwu_event::event::absolute(&event.process.cwd, &text));
        event.texts[index] = Some(text);
    }
}

fn layer(value: &Value, otherwise: Layer) -> Layer {
    match text(value, "layer") {
        Some("lower") => Layer::Lower,
        Some("upper") => Layer::Upper,
        Some("outside") => Layer::Outside,
        Some("memfd") => Layer::Memfd,
        Some("unknown") => Layer::Unknown,
        Some(other) => panic!("no layer {other}"),
        None => otherwise,
    }
}

fn file(value: &Value) -> File {
    let mode = match text(value, "type") {
        Some("block") => 0o060_660,
        Some("character") => 0o020_660,
        Some("directory") => 0o040_755,
        Some("fifo") => 0o010_644,
        _ => 0o100_644,
    };
    File { path: text(value, "path").map(str::to_owned), inode: 1, device: 0, mode, layer: layer(value, Layer::Lower), written: flag(value, "written") }
}

fn socket(value: &Value) -> Socket {
    if let Some(path) = text(value, "unix") {
        return Socket { family: 1, kind: 1, path: Some(path.into()), ..Socket::default() };
    }
    let end = |key: &str| text(value, key).map(|t| t.parse::<SocketAddr>().unwrap_or_else(|e| panic!("{t}: {e}")));
    let (local, remote) = (end("from"), end("to"));
    let family = if local.or(remote).is_some_and(|a| a.is_ipv6()) { 10 } else { 2 };
    let (kind, protocol) = if text(value, "kind") == Some("udp") { (2, 17) } else { (1, 6) };
    Socket { family, kind, protocol, local, remote, path: None }
}

fn process(value: &Value, container: &Container) -> Process {
    let name = text(value, "name").unwrap_or("app").to_owned();
    let uid = number(value, "uid", 0);
    let path = text(value, "path").map_or_else(|| format!("/usr/bin/{name}"), str::to_owned);
    let space = if container.is_node() { NODE_SPACE } else { SPACE };
    let pid = number(value, "pid", 4000 + name.bytes().map(u32::from).sum::<u32>());
    let effective = value.get("caps").map_or(0, |_| strings(value, "caps").iter().map(|c| 1u64 << CAPABILITIES.iter().find(|(n, _)| n == c).unwrap().1).sum());
    let own_pid = number(value, "vpid", if container.is_node() { pid } else { 42 });
    let mut process = Process {
        pid,
        parent: 3000,
        session: number(value, "session", pid),
        group: pid,
        own_pid,
        own_group: number(value, "vpgid", own_pid),
        own_session: own_pid,
        started: NOW - value.get("age").and_then(Value::as_i64).unwrap_or(60) * 1_000_000_000,
        exe: text(value, "exe").unwrap_or(&name).to_owned(),
        args: strings(value, "args"),
        env: strings(value, "env"),
        cwd: text(value, "cwd").unwrap_or("/").to_owned(),
        uid,
        gid: uid,
        login: value.get("login").and_then(Value::as_u64).map(|l| l as u32),
        user: Some(text(value, "user").unwrap_or(if uid == 0 { "root" } else { "app" }).into()),
        terminal: number(value, "tty", 0),
        effective,
        permitted: effective,
        stdin_socket: flag(value, "stdin_socket"),
        stdout_socket: flag(value, "stdout_socket"),
        pid_namespace: number(value, "space", space),
        mount_namespace: space,
        user_namespace: 4_026_531_837,
        ..Process::default()
    };
    process.program = File { path: Some(path), mode: if flag(value, "setuid") { 0o104_755 } else { 0o100_755 }, layer: layer(value, if container.is_node() { Layer::Unknown } else { Layer::Lower }), written: flag(value, "written"), ..File::default() };
    process.name = name.chars().take(15).collect();
    process
}

/// A name, or an object as for `proc`. Runtimes live outside of the container.
fn ancestor(value: &Value, container: &Container) -> Process {
    let named = value.as_str().map(|n| serde_json::json!({ "name": n }));
    let value = named.as_ref().unwrap_or(value);
    let mut process = process(value, container);
    process.pid = number(value, "pid", 3000);
    if matches!(process.name.as_str(), "containerd-shim" | "runc" | "conmon" | "systemd" | "sshd-host" | "nsenter-host") {
        process.pid_namespace = NODE_SPACE;
        process.program.layer = Layer::Unknown;
    } else {
        process.own_pid = number(value, "vpid", 1);
    }
    process
}

fn container(value: Option<&Value>) -> Container {
    let none = Value::Object(Map::new());
    let value = match value {
        Some(Value::Null) => return Container::node(),
        Some(value) => value,
        None => &none,
    };
    let mounts = value.get("mounts").and_then(Value::as_array).map_or_else(Vec::new, |all| {
        all.iter().map(|m| Mount { source: m.as_str().unwrap().into(), destination: format!("/mnt{}", m.as_str().unwrap()), writable: true }).collect()
    });
    Container {
        id: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef".into(),
        runtime: Runtime::Containerd,
        name: "web".into(),
        image: text(value, "image").unwrap_or("registry.example/shop/web:1").into(),
        privileged: Some(flag(value, "privileged")),
        host_network: Some(false),
        host_pid: Some(flag(value, "host_pid")),
        mounts,
        started: Some(NOW - i64::from(number(value, "age", 600)) * 1_000_000_000),
        pod: Some(Pod { name: "web-0".into(), namespace: text(value, "namespace").unwrap_or("shop").into(), uid: "u".into(), sandbox: "s".into(), ..Pod::default() }),
        handler: Some("runc".into()),
        resolved: true,
        ..Container::default()
    }
}

/// A question as it travels: `name` or `name TYPE`.
fn message(question: &str) -> Vec<u8> {
    let (name, kind) = question.split_once(' ').unwrap_or((question, "A"));
    let mut bytes = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.extend_from_slice(&[0, 0, if kind == "TXT" { 16 } else { 1 }, 0, 1]);
    bytes
}

/// Puts `changes` over `value`: objects are merged, `null` takes away, all else replaces.
pub(crate) fn merge(value: &mut Value, changes: &Value) {
    match (value, changes) {
        (Value::Object(value), Value::Object(changes)) => {
            for (key, change) in changes {
                merge(value.entry(key.clone()).or_insert(Value::Null), change);
            }
        }
        (value, changes) => *value = changes.clone(),
    }
}
