//! Processes that were there before the sensor, or that it missed: read from /proc.

use crate::process::{Identity, Processes, words};
use jinwu_event::{File, Process, Record};
use std::collections::HashMap;

/// Clock ticks of /proc's times are hundredths of a second.
const TICK: u64 = 10_000_000;

/// Every process there is.
pub(crate) fn scan(processes: &mut Processes, offset: i64) {
    let mut found: Vec<(u64, Process)> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse().ok())
        .filter_map(|pid| read(pid, offset))
        .collect();
    // Parents before children, so that these find their ancestors.
    found.sort_by_key(|(started, p)| (*started, p.pid));
    let starts: HashMap<u32, u64> = found.iter().map(|(started, p)| (p.pid, *started)).collect();
    for (started, process) in found {
        let parent = (process.parent, starts.get(&process.parent).copied().unwrap_or_default());
        processes.insert((process.pid, started), parent, 0, process);
    }
}

/// The process of a record nobody told of before. What /proc no longer has, the record tells as far as it goes.
pub(crate) fn learn(processes: &mut Processes, record: &Record<'_>, offset: i64) {
    let head = &record.head;
    let identity: Identity = (head.pid, head.started);
    let mut process = read(head.pid, offset).filter(|(started, _)| started.abs_diff(head.started) <= TICK).map(|(_, p)| p).unwrap_or_default();
    process.pid = head.pid;
    process.parent = head.parent;
    process.own_pid = head.own_pid;
    process.uid = head.uid;
    process.gid = head.gid;
    process.started = head.started as i64 + offset;
    let parent = processes.by_pid(head.parent).map_or(0, |p| (p.started - offset) as u64);
    processes.insert(identity, (head.parent, parent), head.cgroup, process);
}

/// A process with its start in nanoseconds since boot (to the hundredth of a second).
fn read(pid: u32, offset: i64) -> Option<(u64, Process)> {
    let folder = format!("/proc/{pid}");
    let stat = std::fs::read_to_string(format!("{folder}/stat")).ok()?;
    let (before, after) = stat.rsplit_once(')')?;
    let name = before.split_once('(')?.1.to_owned();
    let members: Vec<&str> = after.split_whitespace().collect();
    let number = |at: usize| members.get(at).and_then(|m| m.parse::<i64>().ok()).unwrap_or_default();
    let started = number(19) as u64 * TICK;
    let status = std::fs::read_to_string(format!("{folder}/status")).unwrap_or_default();
    let line = |key: &str| status.lines().find_map(|l| l.strip_prefix(key)).map(str::trim).unwrap_or_default();
    let last = |key: &str| line(key).split_whitespace().last().and_then(|v| v.parse().ok()).unwrap_or_default();
    let bits = |key: &str| u64::from_str_radix(line(key), 16).unwrap_or_default();
    let arguments = std::fs::read(format!("{folder}/cmdline")).unwrap_or_default();
    let mut arguments = words(&arguments).filter(|w| !w.is_empty());
    let link = |what: &str| std::fs::read_link(format!("{folder}/{what}")).ok().map(|p| p.to_string_lossy().into_owned());
    let namespace = |what: &str| namespace(pid, what);
    let login = std::fs::read_to_string(format!("{folder}/loginuid")).ok().and_then(|t| t.trim().parse::<u32>().ok());
    let process = Process {
        pid,
        parent: number(1) as u32,
        group: number(2) as u32,
        session: number(3) as u32,
        terminal: number(4) as u32,
        own_pid: last("NSpid:"),
        own_group: last("NSpgid:"),
        own_session: last("NSsid:"),
        started: started as i64 + offset,
        name,
        exe: arguments.next().unwrap_or_default(),
        args: arguments.collect(),
        cwd: link("cwd").unwrap_or_default(),
        program: File { path: link("exe").map(|p| p.trim_end_matches(" (deleted)").to_owned()), ..File::default() },
        uid: line("Uid:").split_whitespace().nth(1).and_then(|v| v.parse().ok()).unwrap_or_default(),
        gid: line("Gid:").split_whitespace().nth(1).and_then(|v| v.parse().ok()).unwrap_or_default(),
        login: login.filter(|l| *l != u32::MAX),
        effective: bits("CapEff:"),
        permitted: bits("CapPrm:"),
        inheritable: bits("CapInh:"),
        pid_namespace: namespace("pid"),
        mount_namespace: namespace("mnt"),
        user_namespace: namespace("user"),
        network_namespace: namespace("net"),
        ..Process::default()
    };
    Some((started, process))
}

/// Inode of a namespace; 0 where it cannot be read.
pub(crate) fn namespace(pid: u32, what: &str) -> u32 {
    let link = std::fs::read_link(format!("/proc/{pid}/ns/{what}")).unwrap_or_default();
    link.to_string_lossy().trim_end_matches(']').rsplit('[').next().and_then(|n| n.parse().ok()).unwrap_or_default()
}
