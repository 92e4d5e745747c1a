//! What happened.

use crate::call::{Call, Input};
use crate::container::Container;
use crate::process::{File, Layer, Process};
use crate::record::{Origin, Record, Verdict, flag};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// Longest name of a thread, bytes.
const MAX_NAME: usize = 15;

pub const AF_UNIX: u8 = 1;
pub const AF_INET: u8 = 2;
pub const AF_INET6: u8 = 10;

/// A socket as the kernel knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Socket {
    /// `AF_*`
    pub family: u8,
    /// `SOCK_*`
    pub kind: u8,
    /// `IPPROTO_*`
    pub protocol: u8,
    pub local: Option<SocketAddr>,
    pub remote: Option<SocketAddr>,
    /// Of a Unix socket.
    pub path: Option<String>,
}

/// A call of a process, with everything known about it.
#[derive(Clone, Debug)]
pub struct NodeEvent {
    /// Number since the sensor's start.
    pub number: u64,
    /// Nanoseconds since 1970.
    pub time: i64,
    pub host: Arc<str>,
    pub call: Call,
    /// What the call answered; a negative errno where it failed or was denied.
    pub result: i64,
    /// Arguments as they are.
    pub args: [u64; 6],
    /// The call's paths or texts, as given, in the order of its parameters.
    pub texts: [Option<String>; 2],
    /// The same, absolute, without `.` and `..`; symbolic links are not followed.
    pub paths: [Option<String>; 2],
    /// A third text of the call (a mount's type).
    pub extra: Option<String>,
    /// The file the call is about, of the kernel's own knowledge.
    pub file: Option<File>,
    pub socket: Option<Socket>,
    /// What was sent or received, its beginning; the question for [`Call::Dns`].
    pub data: Vec<u8>,
    /// Who acts. Of a started program, also of one that was kept from it, what it runs as.
    pub process: Arc<Process>,
    /// Parent first.
    pub ancestors: Arc<[Arc<Process>]>,
    /// The process a call of [`Class::Trace`](crate::Class) is about, where the sensor knows it.
    pub target: Option<Arc<Process>>,
    pub tid: u32,
    pub container: Arc<Container>,
    pub origin: Origin,
    pub verdict: Verdict,
    /// The call made the file.
    pub created: bool,
    pub io_uring: bool,
    /// By a 32-bit call.
    pub compat: bool,
    /// How many equal ones this stands for.
    pub count: u32,
}

/// Who and where, as the sensor's tables know it.
#[derive(Clone, Debug)]
pub struct Who {
    pub process: Arc<Process>,
    pub ancestors: Arc<[Arc<Process>]>,
    pub container: Arc<Container>,
}

// === impl NodeEvent ===

impl NodeEvent {
    /// A call of which nothing else is known. `time` is nanoseconds since 1970.
    pub fn bare(call: Call, who: Who, time: i64, host: Arc<str>) -> Self {
        NodeEvent {
            number: 1,
            time,
            host,
            call,
            result: 0,
            args: [0; 6],
            texts: [None, None],
            paths: [None, None],
            extra: None,
            file: None,
            socket: None,
            data: Vec::new(),
            tid: who.process.pid,
            process: who.process,
            ancestors: who.ancestors,
            target: None,
            container: who.container,
            origin: Origin::Syscall,
            verdict: Verdict::Passed,
            created: false,
            io_uring: false,
            compat: false,
            count: 1,
        }
    }

    /// From a record. `time` is nanoseconds since 1970.
    pub fn new(record: &Record<'_>, call: Call, who: Who, time: i64, number: u64, host: Arc<str>) -> Self {
        let head = &record.head;
        let who = Who { process: attempted(record, call, who.process), ..who };
        let capture = call.capture();
        let mut texts = [None, None];
        let mut paths = [None, None];
        for (index, (text, path)) in texts.iter_mut().zip(paths.iter_mut()).enumerate() {
            let Some(bytes) = record.text(index) else { continue };
            let given = String::from_utf8_lossy(bytes).into_owned();
            let place = capture.texts.get(index).copied();
            if call.parameters().iter().any(|p| Some(p.place) == place && matches!(p.input, Input::Path | Input::PathAt(_))) {
                // The directory the kernel's program found stands after the call's own texts.
                let base = record.text(2 + index).map(String::from_utf8_lossy);
                *path = Some(absolute(base.as_deref().unwrap_or(&who.process.cwd), &given));
            }
            *text = Some(given);
        }
        let data = if capture.buffer != crate::call::NONE || capture.message != crate::call::NONE || call == Call::Dns {
            record.text(3).unwrap_or_default().to_vec()
        } else {
            Vec::new()
        };
        NodeEvent {
            number,
            time,
            host,
            call,
            result: head.result,
            args: head.args,
            texts,
            paths,
            extra: if capture.extra == crate::call::NONE { None } else { record.text(2).map(|t| String::from_utf8_lossy(t).into_owned()) },
            file: record.has(flag::FILE).then(|| file(record, 4)),
            socket: record.has(flag::SOCKET).then(|| socket(record)),
            data,
            process: who.process,
            ancestors: who.ancestors,
            target: None,
            tid: head.tid,
            container: who.container,
            origin: Origin::of(head.origin).unwrap_or(Origin::Syscall),
            verdict: Verdict::of(head.verdict).unwrap_or(Verdict::Passed),
            created: record.has(flag::CREATED),
            io_uring: record.has(flag::IO_URING),
            compat: record.has(flag::COMPAT),
            count: head.repeat.saturating_add(1),
        }
    }

    pub fn failed(&self) -> bool {
        self.result < 0
    }

    /// The raw argument of this name.
    pub fn argument(&self, name: &str) -> Option<u64> {
        self.call.parameter(name).and_then(|p| self.args.get(usize::from(p.place)).copied())
    }

    /// The open file or socket the call is about or made; none if it failed to make one.
    pub fn fd(&self) -> Option<i64> {
        let capture = self.call.capture();
        match capture.fd {
            crate::call::NONE if capture.returns_fd => Some(self.result),
            crate::call::NONE => None,
            place => self.args.get(usize::from(place)).map(|a| i64::from(*a as i32)),
        }
    }

    /// The path the call is about, resolved by the kernel where it could be.
    pub fn path(&self) -> Option<&str> {
        self.file.as_ref().and_then(|f| f.path.as_deref()).or(self.paths[0].as_deref())
    }
}

/// The process of a record. Of a program that was, or would be, kept from starting the sensor knows who asked for it:
/// rules see what would have run.
fn attempted(record: &Record<'_>, call: Call, process: Arc<Process>) -> Arc<Process> {
    let held_up = matches!(Verdict::of(record.head.verdict), Some(Verdict::Denied | Verdict::Alarmed));
    if !held_up || !matches!(call, Call::Execve | Call::Execveat) || record.program.is_some() || !record.has(flag::FILE) {
        return process;
    }
    let program = file(record, 4);
    let exe = record.text(0).map_or_else(String::new, |t| String::from_utf8_lossy(t).into_owned());
    let path = program.path.as_deref().unwrap_or(&exe);
    let mut name = path.rsplit('/').next().unwrap_or_default().to_owned();
    while name.len() > MAX_NAME {
        name.pop();
    }
    Arc::new(Process { name, exe, args: Vec::new(), program_writable: record.has(flag::WRITABLE), program, ..(*process).clone() })
}

/// The file of a record whose path is the text at `text`.
pub fn file(record: &Record<'_>, text: usize) -> File {
    let layer = match () {
        () if record.has(flag::MEMFD) => Layer::Memfd,
        () if record.has(flag::UPPER) => Layer::Upper,
        () if record.has(flag::LOWER) => Layer::Lower,
        () if record.has(flag::OUTSIDE) => Layer::Outside,
        () => Layer::Unknown,
    };
    File {
        path: record.text(text).map(|t| String::from_utf8_lossy(t).into_owned()),
        inode: record.head.inode,
        device: record.head.device,
        mode: record.head.mode,
        layer,
        written: record.has(flag::WRITTEN),
    }
}

fn socket(record: &Record<'_>) -> Socket {
    let head = &record.head;
    let address = |bytes: &[u8; 16], port: u16| {
        let ip = match head.family {
            AF_INET => IpAddr::V4(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3])),
            AF_INET6 => Ipv6Addr::from(*bytes).to_canonical(),
            _ => return None,
        };
        (port != 0 || !ip.is_unspecified()).then(|| SocketAddr::new(ip, port))
    };
    Socket {
        family: head.family,
        kind: head.socket,
        protocol: head.protocol,
        local: address(&head.local, head.local_port),
        remote: address(&head.remote, head.remote_port),
        path: (head.family == AF_UNIX).then(|| record.text(4).map(|t| String::from_utf8_lossy(t).into_owned())).flatten(),
    }
}

/// `path` from `base`, without `.`, `..` and doubled slashes; never above `/`.
pub fn absolute(base: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let base = if path.starts_with('/') { "" } else { base };
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    let mut text = String::with_capacity(base.len() + path.len() + 1);
    for part in parts {
        text.push('/');
        text.push_str(part);
    }
    if text.is_empty() {
        text.push('/');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Head;

    #[test]
    fn paths_become_absolute() {
        assert_eq!(absolute("/a/b", "../c/./d"), "/a/c/d");
        assert_eq!(absolute("/a", "/etc/../etc/../etc/shadow"), "/etc/shadow");
        assert_eq!(absolute("/", "../.."), "/");
    }

    /// A record as the kernel's program writes it on this machine.
    fn written(fill: impl Fn(&str, &mut [u8]), texts: [&str; crate::record::TEXTS]) -> Vec<u8> {
        let mut bytes = vec![0; Head::SIZE];
        for field in &Head::layout().fields {
            let size = field.align * field.elements.unwrap_or(1);
            let place = &mut bytes[field.offset..field.offset + size];
            match field.name {
                "texts_at" => place.copy_from_slice(&(Head::SIZE as u16).to_ne_bytes()),
                "lengths" => place.copy_from_slice(&texts.map(|t| (t.len() as u16).to_ne_bytes()).concat()),
                name => fill(name, place),
            }
        }
        bytes.extend(texts.concat().into_bytes());
        bytes
    }

    #[test]
    fn a_program_kept_from_starting_is_seen_as_it_would_run() {
        let bytes = |verdict: Verdict| {
            let fill = |name: &str, place: &mut [u8]| match name {
                "verdict" => place[0] = verdict as u8,
                "flags" => place.copy_from_slice(&(flag::FILE | flag::UPPER | flag::WRITTEN).to_ne_bytes()),
                _ => {}
            };
            written(fill, ["./a-name-that-is-long", "", "", "", "/tmp/a-name-that-is-long"])
        };
        let who = Who { process: Arc::new(Process { name: "bash".into(), ..Process::default() }), ancestors: Arc::from([]), container: Arc::default() };
        let seen = |verdict| {
            let bytes = bytes(verdict);
            let record = Record::read(&bytes).expect("a record");
            let process = NodeEvent::new(&record, Call::Execve, who.clone(), 0, 0, "n".into()).process;
            (process.name.clone(), process.program.path.clone(), process.program.written)
        };
        assert_eq!(seen(Verdict::Denied), ("a-name-that-is-".into(), Some("/tmp/a-name-that-is-long".into()), true));
        assert_eq!(seen(Verdict::Passed), ("bash".into(), None, false));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..600)) {
            if let Some(record) = Record::read(&bytes) {
                let who = Who { process: Arc::default(), ancestors: Arc::from([]), container: Arc::default() };
                for call in Call::ALL {
                    let event = NodeEvent::new(&record, *call, who.clone(), 0, 0, "n".into());
                    let _ = (event.fd(), event.path());
                }
            }
        }

        #[test]
        fn heads_are_read_whatever_they_hold(mut bytes in proptest::collection::vec(proptest::num::u8::ANY, Head::SIZE + 64)) {
            // Offsets of `texts_at` and `lengths`, so that most of what is made is a record.
            let layout = Head::layout();
            let at = |name: &str| layout.fields.iter().find(|f| f.name == name).map_or(0, |f| f.offset);
            bytes[at("texts_at")..][..2].copy_from_slice(&(Head::SIZE as u16).to_ne_bytes());
            for i in 0..crate::record::TEXTS {
                bytes[at("lengths") + 2 * i..][..2].copy_from_slice(&(i as u16 * 5).to_ne_bytes());
            }
            let record = Record::read(&bytes).expect("a record");
            let who = Who { process: Arc::default(), ancestors: Arc::from([]), container: Arc::default() };
            for call in Call::ALL {
                let event = NodeEvent::new(&record, *call, who.clone(), 0, 0, "n".into());
                let _ = (event.fd(), event.path());
            }
        }
    }
}
