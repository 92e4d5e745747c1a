//! The sensor: loads the kernel's programs, reads their rings, tells events.

use crate::capability::{Capabilities, lsm_listed};
use crate::containers::{Containers, Known, Whose};
use crate::hierarchy::Hierarchy;
use crate::process::{Lineage, Processes};
use crate::programs::{OpenSensorSkel, SensorSkel, SensorSkelBuilder};
use crate::users::Users;
use anyhow::{Context as _, Result};
use jinwu_event::{Call, Class, NodeEvent, Origin, Record, Who};
use libbpf_rs::skel::{OpenSkel as _, Skel as _, SkelBuilder as _};
use libbpf_rs::{MapCore as _, MapFlags, MapHandle, OpenObject, RingBuffer, RingBufferBuilder};
use std::collections::{BTreeSet, HashMap};
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Most records read in one round.
const ROUND: usize = 32_768;
/// Most records kept for a container nobody knows yet.
const HELD: usize = 8192;

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the node.
    pub host: String,
    /// Where the node's file system is seen.
    pub root: PathBuf,
    /// The cgroup below which containers are this sensor's; `/` for every one.
    pub scope: String,
    /// Beginning of the paths of cgroups that are another sensor's.
    pub except: Option<String>,
    /// Calls that rules ask for in containers, beside those that are always recorded.
    pub calls: BTreeSet<Call>,
    /// Calls that are told of the node's own processes.
    pub node_calls: BTreeSet<Call>,
    /// Bytes of the telemetry ring, a power of two.
    pub ring: u32,
    /// Do not try security hooks.
    pub no_lsm: bool,
}

/// Records lost, by container, call and reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    pub container: String,
    pub call: Option<Call>,
    pub reason: &'static str,
    pub count: u64,
}

/// A change a reader of events wants to know of beside them.
#[derive(Clone, Debug)]
pub enum Notice {
    Event(Box<NodeEvent>),
    /// A runtime has put a container's root in place; its own program has not begun. The process is in it.
    Root(Arc<jinwu_event::Container>, u32),
    /// A container's last cgroup is gone.
    Gone(Arc<jinwu_event::Container>),
}

/// A record that waits for its container, with its process as it was then.
struct Held {
    record: Vec<u8>,
    who: Lineage,
}

#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    /// Time and place of each record.
    records: Vec<(u64, usize, usize)>,
}

/// A running sensor. It belongs to one thread.
pub struct Sensor {
    options: Options,
    pub capabilities: Capabilities,
    skel: SensorSkel<'static>,
    /// What decides in the kernel, where it has security hooks.
    pub enforcer: Option<crate::enforce::Enforcer>,
    urgent: RingBuffer<'static>,
    telemetry: RingBuffer<'static>,
    batch: Arc<Mutex<Batch>>,
    pub processes: Processes,
    pub containers: Containers,
    users: Users,
    held: HashMap<u64, Vec<Held>>,
    host: Arc<str>,
    /// Nanoseconds between boot and 1970.
    offset: i64,
    checked: Instant,
    number: u64,
    /// Records that are none: a defect of ours.
    pub unreadable: u64,
}

fn open() -> Result<OpenSensorSkel<'static>> {
    // One sensor for the life of a process.
    let object: &'static mut MaybeUninit<OpenObject> = Box::leak(Box::new(MaybeUninit::uninit()));
    SensorSkelBuilder::default().open(object).context("the kernel's programs cannot be opened")
}

/// Loads the programs: with security hooks where the kernel lists them and takes them, else without.
fn load(options: &Options, hierarchy: &Hierarchy) -> Result<(SensorSkel<'static>, Capabilities)> {
    let listed = if options.no_lsm { Err("switched off".to_owned()) } else { lsm_listed() };
    let hooks = listed.and_then(|()| {
        let mut open = settled(options, hierarchy).map_err(|e| format!("{e:#}"))?;
        let missing = crate::enforce::prepare(&mut open, Path::new(crate::enforce::FOLDER)).map_err(|e| format!("{e:#}"))?;
        // What hooks see needs no tracepoint that slows every call of the node.
        open.progs.call_exit.set_autoload(false);
        open.load().map(|skel| (skel, missing)).map_err(|e| format!("the kernel refuses them ({e})"))
    });
    let (skel, missing, lsm) = match hooks {
        Ok((skel, missing)) => (skel, missing, Ok(())),
        Err(why) => (settled(options, hierarchy)?.load().context("the kernel refuses the sensor's programs")?, Vec::new(), Err(why)),
    };
    let mut capabilities = Capabilities::new(lsm);
    if !missing.is_empty() {
        capabilities.note("hooks", false, format!("this kernel has no {}", missing.join(", ")));
    }
    if capabilities.lsm {
        capabilities.note("setns, dup, memfd_create", false, "calls without a security hook are not seen: their consequences are, when the next program starts");
    }
    Ok((skel, capabilities))
}

/// The programs, opened, with their settings.
fn settled(options: &Options, hierarchy: &Hierarchy) -> Result<OpenSensorSkel<'static>> {
    let mut open = open()?;
    let data = open.maps.rodata_data.as_mut().context("the programs have no settings")?;
    data.agent = std::process::id();
    data.hierarchy = hierarchy.controller;
    data.hierarchy_id = hierarchy.id;
    data.wake_at = u64::from(options.ring) / 8;
    open.maps.telemetry.set_max_entries(options.ring)?;
    Ok(open)
}

pub(crate) fn bytes_of(call: Call, fold: bool, node: bool, urgent: bool) -> [u8; 16] {
    let capture = call.capture();
    let number = (call as u16).to_ne_bytes();
    let (text, directory) = (capture.texts, capture.directories);
    [
        number[0],
        number[1],
        text[0],
        text[1],
        directory[0],
        directory[1],
        capture.fd,
        u8::from(capture.returns_fd),
        capture.address,
        capture.buffer,
        capture.message,
        capture.open_how,
        u8::from(node),
        u8::from(fold),
        u8::from(urgent),
        0,
    ]
}

/// Nanoseconds from boot to 1970's count.
fn clock_offset() -> i64 {
    let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let wall = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    (wall.tv_sec - boot.tv_sec) * 1_000_000_000 + (wall.tv_nsec - boot.tv_nsec)
}

/// Nanoseconds since 1970.
fn clock_now() -> i64 {
    let wall = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    wall.tv_sec * 1_000_000_000 + wall.tv_nsec
}

// === impl Options ===

impl Options {
    fn wants(&self, call: Call) -> bool {
        call.always() || self.calls.contains(&call) || call.class() == Class::Namespace || call.class() == Class::Kernel && call != Call::MemfdCreate
    }
}

// === impl Sensor ===

impl Sensor {
    /// Loads what the kernel takes and attaches it.
    ///
    /// # Errors
    /// When even the lowest rung cannot be had: says what is missing.
    pub fn start(options: Options) -> Result<Self> {
        anyhow::ensure!(
            Path::new("/sys/kernel/btf/vmlinux").exists(),
            "this kernel has no type information (/sys/kernel/btf/vmlinux): the sensor needs Linux 5.8 or later built with CONFIG_DEBUG_INFO_BTF"
        );
        let hierarchy = Hierarchy::find()?;
        let (mut skel, mut capabilities) = load(&options, &hierarchy)?;
        let batch = Arc::new(Mutex::new(Batch::default()));
        let reader = |batch: &Arc<Mutex<Batch>>| {
            let batch = batch.clone();
            move |data: &[u8]| {
                if let Ok(mut batch) = batch.lock() {
                    let from = batch.bytes.len();
                    let time = data.get(..8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_ne_bytes);
                    batch.bytes.extend_from_slice(data);
                    batch.records.push((time, from, data.len()));
                }
                0
            }
        };
        let ring = |map: &libbpf_rs::MapMut<'static>| -> Result<RingBuffer<'static>> {
            // The ring keeps the map's memory, not its descriptor.
            let handle: &'static MapHandle = Box::leak(Box::new(MapHandle::try_from(map)?));
            let mut builder = RingBufferBuilder::new();
            builder.add(handle, reader(&batch))?;
            Ok(builder.build()?)
        };
        let (urgent, telemetry) = (ring(&skel.maps.urgent)?, ring(&skel.maps.telemetry)?);
        let containers = Containers::new(options.root.clone(), hierarchy.mount.clone(), &options.scope, options.except.clone());
        skel.attach().context("the sensor's programs cannot be attached")?;
        let mut enforcer = None;
        if capabilities.lsm {
            let attached = crate::enforce::Enforcer::attach(&skel, Path::new(crate::enforce::FOLDER));
            match attached {
                Ok(attached) => {
                    capabilities.pinned = true;
                    capabilities.note("survives", true, "what is refused stays refused while the sensor does not run");
                    enforcer = Some(attached);
                }
                Err(error) => return Err(error.context("the security hooks were loaded and cannot be attached; start with --no-lsm to go on without them")),
            }
        }
        ask(&skel, &options, enforcer.is_some())?;
        match attach_dns(&skel, &hierarchy) {
            Ok(link) => {
                capabilities.cgroup_hooks = true;
                // For as long as the process lives.
                std::mem::forget(link);
            }
            Err(error) => capabilities.note("dns", false, format!("questions to name servers are not seen, containers cannot be isolated: {error:#}")),
        }
        let host = options.host.as_str().into();
        let mut sensor = Sensor {
            options,
            capabilities,
            skel,
            enforcer,
            urgent,
            telemetry,
            batch,
            processes: Processes::default(),
            containers,
            users: Users::default(),
            held: HashMap::new(),
            host,
            offset: clock_offset(),
            checked: Instant::now(),
            number: 0,
            unreadable: 0,
        };
        let mut found = Vec::new();
        sensor.containers.look(|id, whose| found.push((id, whose)));
        for (id, whose) in found {
            sensor.classify(id, whose);
        }
        crate::proc::scan(&mut sensor.processes, sensor.offset);
        Ok(sensor)
    }

    /// Programs and maps, for who decides.
    pub fn skel(&self) -> &SensorSkel<'static> {
        &self.skel
    }

    /// Nanoseconds since boot of a time in nanoseconds since 1970.
    pub fn since_boot(&self, time: i64) -> u64 {
        (time - self.offset).max(0) as u64
    }

    /// Other calls are wanted from now on.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn want(&mut self, calls: BTreeSet<Call>) -> Result<()> {
        self.options.calls = calls;
        ask(&self.skel, &self.options, self.enforcer.is_some())
    }

    fn classify(&self, cgroup: u64, whose: Whose) {
        let what: u32 = match whose {
            Whose::Node => 1,
            Whose::Container => 2,
            Whose::Foreign => 3,
        };
        // Where there is no room the kernel takes it for a container nobody knows yet.
        let _ = self.skel.maps.cgroups.update(&cgroup.to_ne_bytes(), &what.to_ne_bytes(), MapFlags::ANY);
    }

    /// Waits at most `wait` and tells what came. Urgent records wake it.
    ///
    /// # Errors
    /// When the rings cannot be read any more.
    pub fn round(&mut self, wait: Duration, tell: &mut dyn FnMut(Notice)) -> Result<usize> {
        self.urgent.poll(wait).or_else(|e| if e.kind() == libbpf_rs::ErrorKind::Interrupted { Ok(()) } else { Err(e) })?;
        // Telemetry first: what it tells of a process that began is in the urgent ring by then.
        let read = self.telemetry.consume_raw_n(ROUND);
        anyhow::ensure!(read >= 0, "the telemetry ring cannot be read: error {read}");
        let read = self.urgent.consume_raw();
        anyhow::ensure!(read >= 0, "the urgent ring cannot be read: error {read}");
        if self.checked.elapsed() >= Duration::from_secs(1) {
            self.checked = Instant::now();
            self.offset = clock_offset();
            let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
            self.processes.sweep((boot.tv_sec as u64) * 1_000_000_000);
            self.told()?;
        }
        let mut batch = std::mem::take(&mut *self.batch.lock().map_err(|_| anyhow::anyhow!("a reader of a ring panicked"))?);
        batch.records.sort_by_key(|(time, ..)| *time);
        let count = batch.records.len();
        for (_, from, length) in &batch.records {
            if let Some(bytes) = batch.bytes.get(*from..from + length) {
                self.take(bytes, None, tell);
            }
        }
        self.release(tell);
        batch.records.clear();
        batch.bytes.clear();
        if let Ok(mut shared) = self.batch.lock() {
            *shared = batch;
        }
        Ok(count)
    }

    /// What was refused while no sensor ran.
    ///
    /// # Errors
    /// The kernel's list cannot be read.
    pub fn untold(&mut self, tell: &mut dyn FnMut(Notice)) -> Result<()> {
        let Some(enforcer) = &self.enforcer else { return Ok(()) };
        for record in enforcer.untold()? {
            self.take(&record, None, tell);
        }
        self.told()
    }

    /// Everything told by the kernel until now has been taken.
    fn told(&self) -> Result<()> {
        let Some(enforcer) = &self.enforcer else { return Ok(()) };
        let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        enforcer.told(boot.tv_sec as u64 * 1_000_000_000 + boot.tv_nsec as u64)
    }

    /// What waited for containers that are known now, or have been waited for long enough.
    fn release(&mut self, tell: &mut dyn FnMut(Notice)) {
        let waiting: Vec<u64> = self.held.keys().copied().collect();
        for cgroup in waiting {
            let Some(records) = self.held.get(&cgroup) else { continue };
            let Some((first, who)) = records.first().and_then(|h| Some((Record::read(&h.record)?, &h.who))) else { continue };
            if matches!(self.containers.of(cgroup, first.head.pid, &who.1), Known::Settled(_)) || records.len() > HELD {
                for held in self.held.remove(&cgroup).unwrap_or_default() {
                    self.take(&held.record, Some(held.who), tell);
                }
            }
        }
    }

    fn take(&mut self, bytes: &[u8], held: Option<Lineage>, tell: &mut dyn FnMut(Notice)) {
        let Some((record, call)) = Record::read(bytes).and_then(|r| Call::of(r.head.call).map(|c| (r, c))) else {
            self.unreadable += 1;
            return;
        };
        let head = &record.head;
        let identity = (head.pid, head.started);
        let offset = self.offset;
        let wall = |boot: u64| boot as i64 + offset;
        if held.is_none() {
            match call {
                Call::CgroupMkdir => {
                    let path = record.text(0).map(String::from_utf8_lossy).unwrap_or_default();
                    let whose = self.containers.made(head.cgroup, &path);
                    self.classify(head.cgroup, whose);
                }
                Call::Clone => self.processes.forked(&record, wall(head.started)),
                Call::Execve if record.program.is_some() => {
                    self.processes.executed(&record, wall);
                }
                _ => {
                    if self.processes.get(identity).is_none() {
                        crate::proc::learn(&mut self.processes, &record, offset);
                    }
                    self.processes.refresh(&record);
                }
            }
        }
        if call == Call::CgroupRmdir {
            if let Some(enforcer) = &self.enforcer
                && let Err(error) = enforcer.remove_container(head.cgroup)
            {
                tracing::warn!(%error, "a container's policy is still in the kernel");
            }
            if let Some(gone) = self.containers.removed(head.cgroup) {
                self.users.forget(&gone.id);
                tell(Notice::Gone(gone));
            }
            return;
        }
        if call == Call::CgroupMkdir {
            return;
        }
        let waited = held.is_some();
        let Some((process, ancestors)) = held.or_else(|| self.processes.get(identity)) else { return };
        let container = match self.containers.of(head.cgroup, head.pid, &ancestors) {
            Known::Foreign => {
                if call == Call::Procexit {
                    self.processes.exited(&record);
                }
                return;
            }
            Known::Settled(container) => container,
            Known::Waiting(container) if waited => container,
            Known::Waiting(_) => {
                self.held.entry(head.cgroup).or_default().push(Held { record: bytes.to_vec(), who: (process, ancestors) });
                if call == Call::Procexit {
                    self.processes.exited(&record);
                }
                return;
            }
        };
        let users = &mut self.users;
        let mut process = process;
        if process.user.is_none() {
            users.name(&container.id, Arc::make_mut(&mut process));
            self.processes.name(identity, |process| users.name(&container.id, process));
        }
        if call == Call::Execve && record.program.is_some() && !process.program.written && written_since(&process, &ancestors, &container) {
            Arc::make_mut(&mut process).program.written = true;
            self.processes.name(identity, |process| process.program.written = true);
        }
        // What a runtime does before the container's own program starts is the node's doing.
        let container = if sets_up(&process, &ancestors) {
            if call == Call::PivotRoot && head.result == 0 && !container.is_node() {
                tell(Notice::Root(container, head.pid));
            }
            self.containers.node()
        } else {
            container
        };
        if container.is_node() && !self.options.node_calls.contains(&call) && jinwu_event::Verdict::of(head.verdict) == Some(jinwu_event::Verdict::Passed) {
            if call == Call::Procexit && !waited {
                self.processes.exited(&record);
            }
            return;
        }
        self.number += 1;
        let mut event = NodeEvent::new(&record, call, Who { process, ancestors, container }, wall(head.time), self.number, self.host.clone());
        event.target = target(call, &event.args).and_then(|pid| self.processes.by_pid(pid));
        if call == Call::Procexit && !waited {
            self.processes.exited(&record);
        }
        tell(Notice::Event(Box::new(event)));
    }

    /// An event of what fanotify saw: a file that was written, or a refused start or read of one.
    pub fn event_of(&mut self, seen: &crate::files::Seen, container: &Arc<jinwu_event::Container>) -> NodeEvent {
        let wrote = matches!(seen.what, crate::files::What::Written | crate::files::What::Malicious(_));
        let started = self.processes.started(seen.pid).unwrap_or_default();
        let (process, ancestors) = self.processes.get((seen.pid, started)).unwrap_or_else(|| {
            let process = jinwu_event::Process { pid: seen.pid, ..jinwu_event::Process::default() };
            (Arc::new(process), Arc::from([]))
        });
        self.number += 1;
        let (call, time) = if wrote { (Call::Written, seen.written) } else { (Call::Execve, clock_now()) };
        let mut event = NodeEvent::bare(call, Who { process, ancestors, container: container.clone() }, time, self.host.clone());
        event.number = self.number;
        event.paths[0] = Some(seen.path.clone());
        event.file =
            Some(jinwu_event::File { path: Some(seen.path.clone()), inode: seen.inode, written: true, layer: jinwu_event::Layer::Upper, mode: 0o100_644, ..jinwu_event::File::default() });
        event.origin = Origin::Fanotify;
        if !wrote {
            (event.result, event.verdict) = (-1, jinwu_event::Verdict::Denied);
        }
        event
    }

    /// Losses since they were asked for last.
    pub fn losses(&mut self) -> Vec<Loss> {
        let map = &self.skel.maps.losses;
        let keys: Vec<Vec<u8>> = map.keys().collect();
        let mut losses = Vec::new();
        for key in keys {
            let Ok(Some(value)) = map.lookup_and_delete(&key) else { continue };
            let number = |at: usize, size: usize| key.get(at..at + size).map_or(0, |b| b.iter().rev().fold(0u64, |n, b| n << 8 | u64::from(*b)));
            losses.push(Loss {
                container: self.containers.all().find(|(id, _)| *id == number(0, 8)).map_or_else(String::new, |(_, c)| c.id.clone()),
                call: Call::of(number(8, 2) as u16),
                reason: if number(10, 2) == 1 { "ring-full" } else { "unknown" },
                count: value.try_into().map_or(0, u64::from_ne_bytes),
            });
        }
        losses
    }
}

/// The process a call is about, by its number on the node.
fn target(call: Call, args: &[u64; 6]) -> Option<u32> {
    let at = match call {
        Call::Ptrace => 1,
        Call::Kill | Call::Tgkill | Call::ProcessVmReadv | Call::ProcessVmWritev => 0,
        _ => return None,
    };
    args.get(at).map(|a| *a as i32).filter(|p| *p > 0).map(|p| p as u32)
}

/// Whether a program of the upper layer was written in the container, where the kernel does not tell: copied up for its
/// rights or name alone, a file keeps its time, and the container started after it.
fn written_since(process: &jinwu_event::Process, ancestors: &[Arc<jinwu_event::Process>], container: &jinwu_event::Container) -> bool {
    let started = || container.started.or_else(|| ancestors.iter().find(|p| p.own_pid == 1).map(|p| p.started));
    process.program.layer == jinwu_event::Layer::Upper && !container.is_node() && started().is_none_or(|s| process.program_modified >= s)
}

/// A process of the runtime in the container's cgroup: its program was started in the file system of the shim that
/// started it, and none of its ancestors was started in another one. Who enters the node's file system from inside a
/// container has an ancestor there.
fn sets_up(process: &jinwu_event::Process, ancestors: &[Arc<jinwu_event::Process>]) -> bool {
    let mounts = process.mount_namespace;
    mounts != 0 && !ancestors.is_empty() && ancestors.iter().all(|a| a.mount_namespace == mounts || a.mount_namespace == 0)
}

/// Cgroup hooks exist in the unified hierarchy alone.
fn attach_dns(skel: &SensorSkel<'static>, hierarchy: &Hierarchy) -> Result<libbpf_rs::Link> {
    use std::os::fd::AsRawFd as _;
    anyhow::ensure!(hierarchy.controller == 0, "this node has no unified cgroup hierarchy");
    let folder = std::fs::File::open(&hierarchy.mount)?;
    Ok(skel.progs.dns_asked.attach_cgroup(folder.as_raw_fd())?)
}

/// Equal ones within a second are told as one.
fn folds(call: Call) -> bool {
    matches!(call.class(), Class::File) || matches!(call, Call::Connect | Call::Sendto)
}

/// Has the kernel tell what is wanted: by system calls, whose numbers also say which call a hook saw, and by hooks.
fn ask(skel: &SensorSkel<'static>, options: &Options, hooks: bool) -> Result<()> {
    for call in Call::ALL.iter().copied() {
        let number = if cfg!(target_arch = "aarch64") { call.aarch64() } else { call.x86_64() };
        let Some(number) = number else { continue };
        let urgent = matches!(call.class(), Class::Credential | Class::Namespace | Class::Kernel | Class::Trace);
        let value = if options.wants(call) { bytes_of(call, folds(call), options.node_calls.contains(&call), urgent) } else { [0; 16] };
        skel.maps.captures.update(&u32::from(number).to_ne_bytes(), &value, MapFlags::ANY)?;
    }
    if hooks {
        let wanted = Call::ALL.iter().copied().filter(|c| options.wants(*c)).collect();
        crate::enforce::observe(&skel.maps.wants, &wanted, &options.node_calls, folds)?;
    }
    Ok(())
}
