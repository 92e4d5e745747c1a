//! Who is who: processes by pid and start, with their ancestors.

use jinwu_event::record::flag;
use jinwu_event::{Process, Record, event};
use std::collections::HashMap;
use std::sync::Arc;

/// Most processes remembered; the kernel has at most some four million, a node some thousands.
const MOST: usize = 131_072;
/// Most ancestors told.
const ANCESTORS: usize = 10;
/// How long a process that ended is remembered for what is still in the rings, nanoseconds.
const LINGER: u64 = 2_000_000_000;

/// A process and its ancestors.
pub type Lineage = (Arc<Process>, Arc<[Arc<Process>]>);

/// A process as long as it lives: pid and start, nanoseconds since boot.
pub type Identity = (u32, u64);

struct Entry {
    process: Arc<Process>,
    ancestors: Arc<[Arc<Process>]>,
    cgroup: u64,
    parent: Identity,
}

/// The processes of a node.
#[derive(Default)]
pub struct Processes {
    known: HashMap<Identity, Entry>,
    /// Start of the process that has a pid now.
    current: HashMap<u32, u64>,
    ended: std::collections::VecDeque<(u64, Identity)>,
    /// Processes forgotten for want of room.
    pub evicted: u64,
}

// === impl Processes ===

impl Processes {
    pub fn len(&self) -> usize {
        self.known.len()
    }

    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    pub fn get(&self, identity: Identity) -> Option<Lineage> {
        self.known.get(&identity).map(|e| (e.process.clone(), e.ancestors.clone()))
    }

    /// Start of the process that has this pid now.
    pub fn started(&self, pid: u32) -> Option<u64> {
        self.current.get(&pid).copied()
    }

    /// The process that has this pid now.
    pub fn by_pid(&self, pid: u32) -> Option<Arc<Process>> {
        self.known.get(&(pid, *self.current.get(&pid)?)).map(|e| e.process.clone())
    }

    /// Processes of a cgroup, as they are now.
    pub fn of_cgroup(&self, cgroup: u64) -> impl Iterator<Item = &Arc<Process>> {
        self.known.iter().filter(move |(identity, e)| e.cgroup == cgroup && self.current.get(&identity.0) == Some(&identity.1)).map(|(_, e)| &e.process)
    }

    /// Every process that lives, with its cgroup.
    pub fn living(&self) -> impl Iterator<Item = (&Arc<Process>, u64)> {
        self.known.iter().filter(|(identity, _)| self.current.get(&identity.0) == Some(&identity.1)).map(|(_, e)| (&e.process, e.cgroup))
    }

    pub fn insert(&mut self, identity: Identity, parent: Identity, cgroup: u64, process: Process) {
        if self.known.len() >= MOST {
            self.evict();
        }
        let ancestors = self.ancestors(parent);
        self.current.insert(identity.0, identity.1);
        self.known.insert(identity, Entry { process: Arc::new(process), ancestors, cgroup, parent });
    }

    fn ancestors(&self, parent: Identity) -> Arc<[Arc<Process>]> {
        match self.known.get(&parent) {
            Some(entry) => std::iter::once(entry.process.clone()).chain(entry.ancestors.iter().take(ANCESTORS - 1).cloned()).collect(),
            None => Arc::from([]),
        }
    }

    /// The oldest ended ones go first, else those that no pid belongs to any more.
    fn evict(&mut self) {
        let before = self.known.len();
        self.sweep(u64::MAX);
        if self.known.len() >= MOST {
            let current = &self.current;
            self.known.retain(|identity, _| current.get(&identity.0) == Some(&identity.1));
        }
        if self.known.len() >= MOST {
            self.known.clear();
            self.current.clear();
        }
        self.evicted += (before - self.known.len()) as u64;
    }

    /// A child begins as a copy of its parent.
    pub fn forked(&mut self, record: &Record<'_>, wall: i64) {
        let head = &record.head;
        let parent = (head.args[0] as u32, head.args[1]);
        let mut process = self.known.get(&parent).map(|e| (*e.process).clone()).unwrap_or_default();
        process.pid = head.pid;
        process.parent = parent.0;
        process.own_pid = head.own_pid;
        process.started = wall;
        process.uid = head.uid;
        process.gid = head.gid;
        process.name = comm(record);
        self.insert((head.pid, head.started), parent, head.cgroup, process);
    }

    /// A program starts: all of it is told by the record.
    pub fn executed(&mut self, record: &Record<'_>, to_wall: impl Fn(u64) -> i64) -> Identity {
        let head = &record.head;
        let identity = (head.pid, head.started);
        let parent = self.known.get(&identity).map(|e| e.parent).filter(|p| p.0 == head.parent).unwrap_or_else(|| (head.parent, self.current.get(&head.parent).copied().unwrap_or_default()));
        self.insert(identity, parent, head.cgroup, program(record, to_wall(head.started)));
        identity
    }

    /// User, name, cgroup and parent as a record tells them, if they are no longer what is remembered.
    pub fn refresh(&mut self, record: &Record<'_>) {
        let head = &record.head;
        let identity = (head.pid, head.started);
        let Some(entry) = self.known.get_mut(&identity) else { return };
        entry.cgroup = head.cgroup;
        if entry.process.uid != head.uid || entry.process.gid != head.gid {
            let process = Arc::make_mut(&mut entry.process);
            (process.uid, process.gid) = (head.uid, head.gid);
            process.user = None;
            process.group_name = None;
        }
        // Threads have names of their own; the process has its first thread's.
        if head.tid == head.pid && !same_name(&entry.process.name, &head.comm) {
            Arc::make_mut(&mut entry.process).name = comm(record);
        }
        if entry.parent.0 != head.parent {
            let parent = (head.parent, self.current.get(&head.parent).copied().unwrap_or_default());
            let ancestors = self.ancestors(parent);
            if let Some(entry) = self.known.get_mut(&identity) {
                entry.parent = parent;
                entry.ancestors = ancestors;
                Arc::make_mut(&mut entry.process).parent = head.parent;
            }
        }
    }

    /// Names of users, found once by the caller.
    pub fn name(&mut self, identity: Identity, name: impl FnOnce(&mut Process)) {
        if let Some(entry) = self.known.get_mut(&identity) {
            name(Arc::make_mut(&mut entry.process));
        }
    }

    pub fn exited(&mut self, record: &Record<'_>) {
        self.ended.push_back((record.head.time, (record.head.pid, record.head.started)));
        if self.current.get(&record.head.pid) == Some(&record.head.started) {
            self.current.remove(&record.head.pid);
        }
    }

    /// Forgets what ended some time before `now` (nanoseconds since boot).
    pub fn sweep(&mut self, now: u64) {
        while let Some((time, identity)) = self.ended.front().copied() {
            if now.saturating_sub(time) < LINGER {
                return;
            }
            self.ended.pop_front();
            self.known.remove(&identity);
        }
    }
}

fn comm(record: &Record<'_>) -> String {
    let bytes: &[u8] = &record.head.comm;
    String::from_utf8_lossy(bytes.split(|b| *b == 0).next().unwrap_or_default()).into_owned()
}

fn same_name(name: &str, comm: &[u8; 16]) -> bool {
    comm.split(|b| *b == 0).next() == Some(name.as_bytes())
}

/// Texts ended by zero bytes.
pub(crate) fn words(bytes: &[u8]) -> impl Iterator<Item = String> + '_ {
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    bytes.split(|b| *b == 0).map(|w| String::from_utf8_lossy(w).into_owned())
}

/// A process that a record tells whole. `started` is nanoseconds since 1970.
fn program(record: &Record<'_>, started: i64) -> Process {
    let head = &record.head;
    let mut arguments = record.text(1).into_iter().flat_map(words);
    let mut process = Process {
        pid: head.pid,
        parent: head.parent,
        own_pid: head.own_pid,
        started,
        name: comm(record),
        exe: arguments.next().unwrap_or_default(),
        args: arguments.collect(),
        env: record.text(3).into_iter().flat_map(words).filter(|w| w.contains('=')).collect(),
        cwd: record.text(2).map(|t| String::from_utf8_lossy(t).into_owned()).unwrap_or_default(),
        program: event::file(record, 4),
        program_writable: record.has(flag::WRITABLE),
        uid: head.uid,
        gid: head.gid,
        stdin_socket: record.has(flag::STDIN_SOCKET),
        stdout_socket: record.has(flag::STDOUT_SOCKET),
        ..Process::default()
    };
    if let Some(program) = &record.program {
        process.program_changed = program.changed as i64;
        process.program_modified = program.modified as i64;
        process.effective = program.effective;
        process.permitted = program.permitted;
        process.inheritable = program.inheritable;
        process.login = (program.login != u32::MAX).then_some(program.login);
        process.terminal = program.terminal;
        process.session = program.session;
        process.group = program.group;
        process.own_group = program.own_group;
        process.own_session = program.own_session;
        process.pid_namespace = program.pid_namespace;
        process.mount_namespace = program.mount_namespace;
        process.user_namespace = program.user_namespace;
        process.network_namespace = program.network_namespace;
    }
    process
}
