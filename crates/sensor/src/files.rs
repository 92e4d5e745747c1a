//! What is written in a container is held until it is judged: fanotify on the container's file systems (MC-2), and
//! programs that did not come with the image are refused where that is asked (drift), on kernels without security
//! hooks.
//!
//! A file written and closed is unknown until its content was judged. Under 拦截 whoever starts it, maps it as a
//! library or lets an interpreter read it waits for the verdict, at most [`PATIENCE`]; then it is refused. Where the
//! sensor ends, the kernel lets everything go on: what is said about it in status.

use anyhow::{Context as _, Result};
use jinwu_model::Mode;
use nix::sys::fanotify::{EventFFlags, Fanotify, FanotifyEvent, FanotifyResponse, InitFlags, MarkFlags, MaskFlags, Response};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long somebody waits for a verdict.
pub const PATIENCE: Duration = Duration::from_secs(3);
/// Largest file judged, bytes; a larger one is judged by its beginning.
pub const LARGEST: u64 = 32 << 20;
/// Written files remembered.
const MOST: usize = 65_536;

/// Interpreters, by the beginning of their program's name.
const INTERPRETERS: [&str; 24] = [
    "sh", "bash", "dash", "ash", "busybox", "zsh", "ksh", "python", "perl", "php", "ruby", "node", "nodejs", "lua", "java", "tclsh", "awk", "gawk", "mawk", "apache2", "httpd", "uwsgi",
    "gunicorn", "deno",
];
/// Folders a web server may run scripts from.
const WEB_ROOTS: [&str; 8] = ["/var/www/", "/srv/www/", "/usr/share/nginx/", "/usr/local/apache2/htdocs/", "/htdocs/", "/webapps/", "/wwwroot/", "/public_html/"];
/// Endings of scripts.
const SCRIPTS: [&str; 16] = [".php", ".phtml", ".php5", ".phar", ".jsp", ".jspx", ".asp", ".aspx", ".ashx", ".sh", ".py", ".pl", ".rb", ".js", ".war", ".jar"];

/// A file of a file system.
pub type Key = (u64, u64);

/// What a file's content is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Written, and not judged yet.
    Unknown,
    /// Nothing was found, or nothing of it could run.
    Clean,
    /// Rules that fit, with their names.
    Malicious(Vec<String>),
    /// It could not be judged: why. Under 拦截 it does not run.
    Unjudged(String),
}

/// A file to be judged, open.
pub struct Question {
    pub key: Key,
    pub file: File,
    pub path: String,
    pub size: u64,
}

/// A judged file.
#[derive(Clone, Debug)]
pub struct Answer {
    pub key: Key,
    pub sha256: String,
    pub content: Content,
}

/// Something happened to a written file.
#[derive(Clone, Debug)]
pub struct Seen {
    pub what: What,
    pub container: String,
    /// Path in the container's file system.
    pub path: String,
    /// Who did it, on the node.
    pub pid: u32,
    /// Who wrote it, and when (nanoseconds since 1970).
    pub writer: u32,
    pub written: i64,
    pub sha256: Option<String>,
    pub inode: u64,
    pub size: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Written and closed.
    Written,
    /// Judged to be malicious: names of rules.
    Malicious(Vec<String>),
    /// A program that did not come with the image was not started.
    DriftRefused,
    /// Not started or read by an interpreter: malicious, or not judged in time.
    Refused(String),
}

/// How a container's files are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    pub drift: Mode,
    pub malware: Mode,
}

struct Written {
    container: String,
    path: String,
    writer: u32,
    time: i64,
    content: Content,
    sha256: Option<String>,
    size: u64,
}

struct Waiting {
    event: FanotifyEvent,
    since: Instant,
    pid: u32,
}

/// Set up by the sensor's thread, used by the thread of [`Gate::run`].
pub struct Marks {
    group: Arc<Fanotify>,
    owners: Arc<Mutex<Owners>>,
}

/// Whose files are whose.
#[derive(Default)]
struct Owners {
    /// By the device of a file system that is a container's alone.
    own: HashMap<u64, String>,
    /// How each container's files are held. In a volume the container is that of the process.
    holds: HashMap<String, Hold>,
}

/// Answers the kernel.
pub struct Gate {
    group: Arc<Fanotify>,
    owners: Arc<Mutex<Owners>>,
    written: HashMap<Key, Written>,
    order: VecDeque<Key>,
    waiting: BTreeMap<Key, Vec<Waiting>>,
    ask: Sender<Question>,
    answers: Receiver<Answer>,
    wake: OwnedFd,
    tell: Sender<Seen>,
    own: i32,
}

/// A judge's end: questions in, answers out.
pub struct Judge {
    questions: Receiver<Question>,
    answers: Answers,
}

/// Takes answers.
pub struct Answers {
    send: Sender<Answer>,
    wake: OwnedFd,
}

/// All parts.
pub struct Parts {
    pub marks: Marks,
    pub gate: Gate,
    pub judge: Judge,
    pub seen: Receiver<Seen>,
}

/// Makes a group.
///
/// # Errors
/// This kernel, or the sensor's rights, have no fanotify permission events.
pub fn open() -> Result<Parts> {
    let flags = InitFlags::FAN_CLASS_CONTENT | InitFlags::FAN_CLOEXEC | InitFlags::FAN_NONBLOCK | InitFlags::FAN_UNLIMITED_QUEUE | InitFlags::FAN_UNLIMITED_MARKS;
    let group = Fanotify::init(flags, EventFFlags::O_RDONLY | EventFFlags::O_LARGEFILE | EventFFlags::O_CLOEXEC).context("fanotify with permission events (CONFIG_FANOTIFY_ACCESS_PERMISSIONS, CAP_SYS_ADMIN)")?;
    let group = Arc::new(group);
    let owners = Arc::new(Mutex::new(Owners::default()));
    let (ask, questions) = channel();
    let (answer, answers) = channel();
    let (tell, seen) = channel();
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK)?;
    let gate = Gate {
        group: group.clone(),
        owners: owners.clone(),
        written: HashMap::new(),
        order: VecDeque::new(),
        waiting: BTreeMap::new(),
        ask,
        answers,
        wake: reader,
        tell,
        own: std::process::id() as i32,
    };
    Ok(Parts { marks: Marks { group, owners }, gate, judge: Judge { questions, answers: Answers { send: answer, wake: writer } }, seen })
}

// === impl Judge ===

impl Judge {
    pub fn split(self) -> (Answers, Receiver<Question>) {
        (self.answers, self.questions)
    }
}

// === impl Answers ===

impl Answers {
    /// Tells a verdict; whoever waits for it goes on.
    pub fn answer(&self, answer: Answer) {
        let _ = self.send.send(answer);
        let _ = rustix::io::write(&self.wake, &[1]);
    }
}

// === impl Marks ===

impl Marks {
    /// Holds what is written and started in the container of process `pid`: its root and every other file system that
    /// is its own; of volumes, the mounts it sees.
    ///
    /// # Errors
    /// The root cannot be marked. Mounts that cannot be are named in what is answered.
    pub fn hold(&self, container: &str, pid: u32, hold: Hold) -> Result<Vec<String>> {
        let mut mask = MaskFlags::FAN_CLOSE_WRITE;
        if hold.drift == Mode::Block || hold.malware == Mode::Block {
            mask |= MaskFlags::FAN_OPEN_EXEC_PERM;
        }
        if hold.malware == Mode::Block {
            mask |= MaskFlags::FAN_OPEN_PERM;
        }
        let mounts = std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).with_context(|| format!("process {pid} has ended"))?;
        let mut missed = Vec::new();
        for line in mounts.lines() {
            let Some((before, after)) = line.split_once(" - ") else { continue };
            let (Some(point), Some(kind)) = (before.split(' ').nth(4), after.split(' ').next()) else { continue };
            let path = format!("/proc/{pid}/root{}", point.replace("\\040", " "));
            // Nothing can be written to be started there.
            if matches!(kind, "proc" | "sysfs" | "cgroup" | "cgroup2" | "devpts" | "mqueue" | "securityfs" | "tracefs" | "bpf") || before.split(' ').nth(5).is_some_and(|o| o.split(',').any(|o| o == "ro")) && point != "/" {
                continue;
            }
            let own = kind == "overlay" || kind == "tmpfs";
            let scope = if own { MarkFlags::FAN_MARK_FILESYSTEM } else { MarkFlags::FAN_MARK_MOUNT };
            let Ok(metadata) = std::fs::metadata(&path) else { continue };
            if metadata.is_file() {
                // A single file of the node (hosts, resolv.conf).
                continue;
            }
            // Before the mark: nothing that is told must be nobody's.
            if let Ok(mut owners) = self.owners.lock() {
                if own {
                    owners.own.insert(metadata.dev(), container.to_owned());
                }
                owners.holds.insert(container.to_owned(), hold);
            }
            if let Err(error) = self.group.mark(MarkFlags::FAN_MARK_ADD | scope, mask, nix::fcntl::AT_FDCWD, Some(Path::new(&path))) {
                if point == "/" {
                    return Err(error).with_context(|| format!("the root of container {container} cannot be watched"));
                }
                missed.push(format!("{point}: {error}"));
            }
        }
        Ok(missed)
    }

    /// The container is gone; its marks went with its file systems.
    pub fn forget(&self, container: &str) {
        if let Ok(mut owners) = self.owners.lock() {
            owners.own.retain(|_, id| id != container);
            owners.holds.remove(container);
        }
    }

    /// Other modes hold from now on. What is marked stays marked.
    pub fn change(&self, container: &str, hold: Hold) {
        if let Ok(mut owners) = self.owners.lock() {
            if let Some(held) = owners.holds.get_mut(container) {
                *held = hold;
            }
        }
    }
}

// === impl Owners ===

impl Owners {
    fn of(&self, device: u64, pid: i32) -> Option<(String, Hold)> {
        let container = self.own.get(&device).cloned().or_else(|| {
            let paths = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
            paths.lines().find_map(|l| crate::cgroup::place(l.splitn(3, ':').nth(2)?).container)
        })?;
        self.holds.get(&container).map(|hold| (container.clone(), *hold))
    }
}

// === impl Gate ===

impl Gate {
    /// Answers until `stop`. Whoever waits then goes on.
    ///
    /// # Errors
    /// The group cannot be read any more.
    pub fn run(mut self, stop: &std::sync::atomic::AtomicBool) -> Result<()> {
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            let fd = self.group.as_fd();
            let mut polled = [rustix::event::PollFd::new(&fd, rustix::event::PollFlags::IN), rustix::event::PollFd::new(&self.wake, rustix::event::PollFlags::IN)];
            let timeout = rustix::time::Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
            match rustix::event::poll(&mut polled, Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error).context("poll"),
            }
            let mut bytes = [0; 256];
            while rustix::io::read(&self.wake, &mut bytes).is_ok_and(|n| n > 0) {}
            loop {
                let events = match self.group.read_events() {
                    Ok(events) => events,
                    Err(nix::errno::Errno::EAGAIN) => break,
                    Err(nix::errno::Errno::EINTR) => continue,
                    Err(error) => return Err(error).context("fanotify events cannot be read"),
                };
                if events.is_empty() {
                    break;
                }
                for event in events {
                    self.take(event);
                }
            }
            while let Ok(answer) = self.answers.try_recv() {
                self.judged(answer);
            }
            self.expire();
        }
        Ok(())
    }

    fn reply(&self, event: &FanotifyEvent, response: Response) {
        if let Some(fd) = event.fd()
            && let Err(error) = self.group.write_response(FanotifyResponse::new(fd, response))
        {
            tracing::error!(%error, "the kernel did not take an answer");
        }
    }

    fn take(&mut self, event: FanotifyEvent) {
        let asks = event.mask().intersects(MaskFlags::FAN_OPEN_EXEC_PERM | MaskFlags::FAN_OPEN_PERM);
        let Some(fd) = event.fd() else { return };
        let allow = |gate: &Self, event: &FanotifyEvent| {
            if asks {
                gate.reply(event, Response::FAN_ALLOW);
            }
        };
        if event.pid() == self.own {
            return allow(self, &event);
        }
        let Ok(status) = rustix::fs::fstat(fd) else { return allow(self, &event) };
        let owner = self.owners.lock().ok().and_then(|o| o.of(status.st_dev, event.pid()));
        let Some((container, hold)) = owner.filter(|_| status.st_mode & 0o170_000 == 0o100_000) else { return allow(self, &event) };
        let key = (status.st_dev, status.st_ino);
        if !asks {
            self.wrote(&event, key, &container, &status);
            return;
        }
        let exec = event.mask().contains(MaskFlags::FAN_OPEN_EXEC_PERM);
        let Some(written) = self.written.get(&key) else { return allow(self, &event) };
        if exec && hold.drift == Mode::Block {
            let what = if let Content::Malicious(rules) = &written.content { What::Refused(rules.join(", ")) } else { What::DriftRefused };
            self.reply(&event, Response::FAN_DENY);
            self.say(what, key, event.pid() as u32);
            return;
        }
        if hold.malware != Mode::Block || !exec && !reads_to_run(event.pid(), fd) {
            return allow(self, &event);
        }
        match &written.content {
            Content::Clean => self.reply(&event, Response::FAN_ALLOW),
            Content::Unknown => {
                let pid = event.pid() as u32;
                self.waiting.entry(key).or_default().push(Waiting { event, since: Instant::now(), pid });
            }
            Content::Malicious(_) | Content::Unjudged(_) => {
                let why = why(&written.content);
                self.reply(&event, Response::FAN_DENY);
                self.say(What::Refused(why), key, event.pid() as u32);
            }
        }
    }

    /// Closed after it was written: unknown from now on.
    fn wrote(&mut self, event: &FanotifyEvent, key: Key, container: &str, status: &rustix::fs::Stat) {
        let Some(fd) = event.fd() else { return };
        let link = std::fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fd))).unwrap_or_default();
        let path = link.to_string_lossy().into_owned();
        let size = status.st_size.max(0) as u64;
        let worth = fd.try_clone_to_owned().ok().map(File::from).filter(|f| could_run(f, &path, status.st_mode));
        let content = if worth.is_some() { Content::Unknown } else { Content::Clean };
        if self.written.insert(key, Written { container: container.to_owned(), path: path.clone(), writer: event.pid() as u32, time: now(), content, sha256: None, size }).is_none() {
            self.order.push_back(key);
            if self.order.len() > MOST
                && let Some(oldest) = self.order.pop_front()
            {
                self.written.remove(&oldest);
            }
        }
        if let Some(file) = worth {
            self.say(What::Written, key, event.pid() as u32);
            if self.ask.send(Question { key, file, path, size }).is_err()
                && let Some(written) = self.written.get_mut(&key)
            {
                written.content = Content::Unjudged("the scanner has ended".into());
            }
        }
    }

    fn judged(&mut self, answer: Answer) {
        let Some(written) = self.written.get_mut(&answer.key) else { return };
        written.content = answer.content.clone();
        written.sha256 = Some(answer.sha256);
        let waiting = self.waiting.remove(&answer.key).unwrap_or_default();
        if let Content::Malicious(rules) = &answer.content {
            let writer = written.writer;
            self.say(What::Malicious(rules.clone()), answer.key, writer);
        }
        for waiting in waiting {
            if answer.content == Content::Clean {
                self.reply(&waiting.event, Response::FAN_ALLOW);
            } else {
                self.reply(&waiting.event, Response::FAN_DENY);
                self.say(What::Refused(why(&answer.content)), answer.key, waiting.pid);
            }
        }
    }

    fn expire(&mut self) {
        let over: Vec<Key> = self.waiting.iter().filter(|(_, w)| w.iter().any(|w| w.since.elapsed() > PATIENCE)).map(|(k, _)| *k).collect();
        for key in over {
            for waiting in self.waiting.remove(&key).unwrap_or_default() {
                self.reply(&waiting.event, Response::FAN_DENY);
                self.say(What::Refused(format!("{} 秒内没有裁决 / no verdict within {0} s", PATIENCE.as_secs())), key, waiting.pid);
            }
        }
    }

    fn say(&self, what: What, key: Key, pid: u32) {
        let Some(written) = self.written.get(&key) else { return };
        let _ = self.tell.send(Seen {
            what,
            container: written.container.clone(),
            path: written.path.clone(),
            pid,
            writer: written.writer,
            written: written.time,
            sha256: written.sha256.clone(),
            inode: key.1,
            size: written.size,
        });
    }
}

fn why(content: &Content) -> String {
    match content {
        Content::Malicious(rules) => rules.join(", "),
        Content::Unjudged(why) => why.clone(),
        Content::Unknown | Content::Clean => String::new(),
    }
}

fn now() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i64)
}

/// An interpreter opens it, or somebody maps it as a library.
fn reads_to_run(pid: i32, fd: std::os::fd::BorrowedFd<'_>) -> bool {
    let program = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    let name = program.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    if INTERPRETERS.iter().any(|i| name.strip_prefix(i).is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | '-' | 'm') || rest.starts_with("-fpm") || rest.starts_with("-cgi")))) {
        return true;
    }
    let mut magic = [0; 18];
    let read = fd.try_clone_to_owned().is_ok_and(|f| File::from(f).read_exact_at(&mut magic, 0).is_ok());
    // A shared object, or a program given to the loader.
    read && magic.starts_with(b"\x7fELF")
}

/// Whether anything could run this file: by its content, its place or its rights.
fn could_run(file: &File, path: &str, mode: u32) -> bool {
    let mut beginning = [0; 512];
    let read = file.read_at(&mut beginning, 0).unwrap_or(0);
    let beginning = beginning.get(..read).unwrap_or_default();
    let lower = path.to_ascii_lowercase();
    beginning.starts_with(b"\x7fELF")
        || beginning.starts_with(b"#!")
        || beginning.starts_with(b"MZ")
        || beginning.starts_with(b"PK\x03\x04")
        || beginning.windows(5).any(|w| w.eq_ignore_ascii_case(b"<?php"))
        || beginning.windows(2).any(|w| w == b"<%" || w == b"<?")
        || mode & 0o111 != 0
        || WEB_ROOTS.iter().any(|r| lower.contains(r))
        || SCRIPTS.iter().any(|s| lower.ends_with(s))
}
