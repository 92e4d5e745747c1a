//! What is done to a container.

use anyhow::{Context as _, Result, bail};
use libbpf_rs::{Link, MapFlags, ProgramMut};
use rustix::process::{Pid, PidfdFlags, Signal};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a container's processes may take to stand still or to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// Containers that are isolated, by whole id.
#[derive(Default)]
pub struct Isolation {
    links: BTreeMap<String, Vec<Link>>,
}

/// Ends a process and everything it started, as long as it is the one that was seen: `started` is nanoseconds since
/// boot, 0 for whoever has the pid. Answers how many were ended.
///
/// # Errors
/// When the process is not there any more, or is another one by now.
pub fn kill(pid: u32, started: u64) -> Result<usize> {
    let root = start_of(pid).with_context(|| format!("process {pid} has ended already"))?;
    if started != 0 && root.abs_diff(started) > 20_000_000 {
        bail!("process {pid} has ended; its number belongs to another one");
    }
    let mut tree = vec![pid];
    let children = children();
    let mut at = 0;
    while let Some(parent) = tree.get(at).copied() {
        tree.extend(children.get(&parent).into_iter().flatten());
        at += 1;
    }
    let mut ended = 0;
    for pid in tree {
        let Some(number) = Pid::from_raw(pid as i32) else { continue };
        // A descriptor names one process for good.
        let Ok(process) = rustix::process::pidfd_open(number, PidfdFlags::empty()) else { continue };
        if rustix::process::pidfd_send_signal(&process, Signal::KILL).is_ok() {
            ended += 1;
        }
    }
    Ok(ended)
}

fn children() -> HashMap<u32, Vec<u32>> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for pid in numbers() {
        if let Some(parent) = stat(pid).and_then(|s| s.get(1)?.parse().ok()) {
            children.entry(parent).or_default().push(pid);
        }
    }
    children
}

fn numbers() -> impl Iterator<Item = u32> {
    std::fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok())
}

/// Members of /proc/PID/stat from the state on.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

/// Nanoseconds since boot, to the hundredth of a second.
fn start_of(pid: u32) -> Option<u64> {
    stat(pid)?.get(19)?.parse::<u64>().ok().map(|t| t * 10_000_000)
}

/// Stands every process of a container still, or lets them go on.
///
/// # Errors
/// When its cgroup cannot be frozen.
pub fn freeze(folder: &Path, frozen: bool) -> Result<()> {
    let file = folder.join("cgroup.freeze");
    std::fs::write(&file, if frozen { "1" } else { "0" }).with_context(|| format!("{} cannot be written: the container has ended, or the kernel has no freezer for cgroup v2 (5.2)", file.display()))?;
    let began = Instant::now();
    let wanted = if frozen { "frozen 1" } else { "frozen 0" };
    while !std::fs::read_to_string(folder.join("cgroup.events")).unwrap_or_default().contains(wanted) {
        if began.elapsed() > PATIENCE {
            bail!("the container does not {} after {} seconds", if frozen { "stand still" } else { "go on" }, PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Ends every process of a container. Answers how many there were.
///
/// # Errors
/// When some are left.
pub fn stop(folder: &Path) -> Result<usize> {
    let before = processes(folder).len();
    if std::fs::write(folder.join("cgroup.kill"), "1").is_err() {
        // Before 5.14: one by one, until none is left that could start another.
        let began = Instant::now();
        loop {
            let left = processes(folder);
            if left.is_empty() || began.elapsed() > PATIENCE {
                break;
            }
            for pid in left {
                if let Some(pid) = Pid::from_raw(pid as i32) {
                    let _ = rustix::process::kill_process(pid, Signal::KILL);
                }
            }
        }
    }
    let began = Instant::now();
    while !processes(folder).is_empty() {
        if began.elapsed() > PATIENCE {
            bail!("{} processes are left after {} seconds", processes(folder).len(), PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(before)
}

/// Processes in a cgroup and below it.
pub fn processes(folder: &Path) -> HashSet<u32> {
    let mut found: HashSet<u32> = std::fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default().lines().filter_map(|l| l.parse().ok()).collect();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            found.extend(processes(&entry.path()));
        }
    }
    found
}

/// The key of an address or network (`a.b.c.d/n`) in the map of what may be reached.
///
/// # Errors
/// What is wrong with it.
pub fn prefix(text: &str) -> Result<[u8; 20]> {
    let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
    let ip: IpAddr = address.parse().with_context(|| format!("{text} is no address or network such as 10.0.0.0/8"))?;
    let (bytes, most) = match ip {
        IpAddr::V4(v4) => (v4.to_ipv6_mapped().octets(), 32),
        IpAddr::V6(v6) => (v6.octets(), 128),
    };
    let length: u32 = length.map_or(Ok(most), str::parse).ok().filter(|l| *l <= most).with_context(|| format!("the length in {text} is between 0 and {most}"))?;
    let mut key = [0; 20];
    key[..4].copy_from_slice(&(length + 128 - most).to_ne_bytes());
    key[4..].copy_from_slice(&bytes);
    Ok(key)
}

// === impl Isolation ===

impl Isolation {
    /// Cuts a container off, but for what `reachable` lists. It holds for everything below its cgroup and cannot be
    /// undone from inside.
    ///
    /// # Errors
    /// When the hooks cannot be attached.
    pub fn isolate(&mut self, container: &str, folder: &Path, out: &ProgramMut<'_>, into: &ProgramMut<'_>) -> Result<()> {
        if self.links.contains_key(container) {
            return Ok(());
        }
        let cgroup = std::fs::File::open(folder).with_context(|| format!("{} cannot be opened: the container has ended", folder.display()))?;
        let links = [out, into].into_iter().map(|p| Ok(p.attach_cgroup(cgroup.as_raw_fd())?)).collect::<Result<Vec<_>>>()?;
        self.links.insert(container.to_owned(), links);
        Ok(())
    }

    /// Answers whether it was isolated.
    pub fn release(&mut self, container: &str) -> bool {
        self.links.remove(container).is_some()
    }

    pub fn isolated(&self) -> impl Iterator<Item = &str> {
        self.links.keys().map(String::as_str)
    }
}

/// Sets what isolated containers may reach.
///
/// # Errors
/// An entry is no network, or the map is full.
pub fn set_reachable(map: &impl libbpf_rs::MapCore, networks: &[String]) -> Result<()> {
    let wanted: HashSet<[u8; 20]> = networks.iter().map(|n| prefix(n)).collect::<Result<_>>()?;
    let had: Vec<Vec<u8>> = map.keys().collect();
    for key in had.iter().filter(|k| !wanted.iter().any(|w| w[..] == k[..])) {
        map.delete(key)?;
    }
    for key in wanted {
        map.update(&key, &1u32.to_ne_bytes(), MapFlags::ANY)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_become_prefixes_of_ipv6() {
        let key = prefix("10.1.2.0/24").unwrap();
        assert_eq!(u32::from_ne_bytes(key[..4].try_into().unwrap()), 120);
        assert_eq!(key[4..], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 1, 2, 0]);
        assert_eq!(u32::from_ne_bytes(prefix("::1").unwrap()[..4].try_into().unwrap()), 128);
        assert!(prefix("10.0.0.0/33").is_err());
        assert!(prefix("example").is_err());
    }

    #[test]
    fn a_process_and_what_it_started_end_together() {
        let mut child = std::process::Command::new("sh").args(["-c", "sleep 60 & sleep 60"]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(300));
        assert!(kill(child.id(), 1).is_err(), "another start: another process");
        assert!(kill(child.id(), 0).unwrap() >= 2);
        assert!(!child.wait().unwrap().success());
    }
}
