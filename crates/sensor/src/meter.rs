//! What containers use (CC-4): read from their cgroups and from the kernel's tables, nothing is put in their way.

use jinwu_event::Use;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Where cgroup hierarchies are mounted: the unified one and those of controllers (cgroup v1).
#[derive(Clone, Debug, Default)]
pub struct Mounts {
    unified: Option<PathBuf>,
    controllers: HashMap<String, PathBuf>,
}

fn number(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// A member of a file of `name value` lines.
fn member(path: &Path, name: &str) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

/// A limit; `max`, -1 and what no machine has are none.
fn limit(path: &Path) -> Option<u64> {
    number(path).filter(|l| *l < 1 << 60)
}

// === impl Mounts ===

impl Mounts {
    pub fn find() -> Self {
        let mut mounts = Mounts::default();
        let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        for line in text.lines() {
            let Some((before, after)) = line.split_once(" - ") else { continue };
            let Some(point) = before.split(' ').nth(4).map(PathBuf::from) else { continue };
            let mut after = after.split(' ');
            match after.next() {
                Some("cgroup2") => mounts.unified = mounts.unified.or(Some(point)),
                Some("cgroup") => {
                    for controller in after.nth(1).unwrap_or_default().split(',') {
                        mounts.controllers.entry(controller.to_owned()).or_insert_with(|| point.clone());
                    }
                }
                _ => {}
            }
        }
        mounts
    }

    /// What the container of the process `pid` uses.
    pub fn measure(&self, pid: u32, host_network: bool) -> Use {
        let paths = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let folder = |controller: &str| {
            let of = |wanted: &str| {
                paths.lines().find_map(|l| {
                    let mut members = l.splitn(3, ':');
                    let (_, names, path) = (members.next()?, members.next()?, members.next()?);
                    names.split(',').any(|n| n == wanted).then(|| path.trim_start_matches('/').to_owned())
                })
            };
            match (self.controllers.get(controller), of(controller)) {
                (Some(mount), Some(path)) => Some((mount.join(path), true)),
                _ => self.unified.as_ref().zip(of("")).map(|(mount, path)| (mount.join(path), false)),
            }
        };
        let mut used = Use { host_network, ..Use::default() };
        if let Some((folder, old)) = folder("cpuacct") {
            used.cpu = if old { number(&folder.join("cpuacct.usage")) } else { member(&folder.join("cpu.stat"), "usage_usec").map(|u| u * 1000) };
        }
        if let Some((folder, old)) = folder("cpu") {
            processor(&mut used, &folder, old);
        }
        if let Some((folder, old)) = folder("memory") {
            if old {
                used.memory = number(&folder.join("memory.usage_in_bytes"));
                used.memory_limit = limit(&folder.join("memory.limit_in_bytes"));
                used.oom_kills = member(&folder.join("memory.oom_control"), "oom_kill");
            } else {
                used.memory = number(&folder.join("memory.current"));
                used.memory_limit = limit(&folder.join("memory.max"));
                used.oom_kills = member(&folder.join("memory.events"), "oom_kill");
            }
        }
        if let Some((folder, _)) = folder("pids") {
            used.pids = number(&folder.join("pids.current"));
            used.pids_limit = limit(&folder.join("pids.max"));
        }
        if let Some((folder, old)) = folder("blkio") {
            disk(&mut used, &folder, old);
        }
        network(&mut used, pid);
        used
    }
}

fn processor(used: &mut Use, folder: &Path, old: bool) {
    if old {
        let quota = std::fs::read_to_string(folder.join("cpu.cfs_quota_us")).ok().and_then(|t| t.trim().parse::<f64>().ok()).filter(|q| *q > 0.0);
        used.cpu_limit = quota.zip(number(&folder.join("cpu.cfs_period_us"))).map(|(q, p)| q / p.max(1) as f64);
        used.throttled = member(&folder.join("cpu.stat"), "nr_throttled");
        used.throttled_time = member(&folder.join("cpu.stat"), "throttled_time");
    } else {
        let text = std::fs::read_to_string(folder.join("cpu.max")).unwrap_or_default();
        let mut members = text.split_whitespace().map(|m| m.parse::<f64>().ok());
        used.cpu_limit = members.next().flatten().zip(members.next().flatten()).map(|(q, p)| q / p.max(1.0));
        used.throttled = member(&folder.join("cpu.stat"), "nr_throttled");
        used.throttled_time = member(&folder.join("cpu.stat"), "throttled_usec").map(|u| u * 1000);
    }
}

fn disk(used: &mut Use, folder: &Path, old: bool) {
    if old {
        let sum = |file: &str, what: &str| {
            let text = std::fs::read_to_string(folder.join(file)).ok()?;
            Some(text.lines().filter_map(|l| l.split_once(what)?.1.trim().parse::<u64>().ok()).sum())
        };
        used.read_bytes = sum("blkio.throttle.io_service_bytes_recursive", " Read ").or_else(|| sum("blkio.throttle.io_service_bytes", " Read "));
        used.write_bytes = sum("blkio.throttle.io_service_bytes_recursive", " Write ").or_else(|| sum("blkio.throttle.io_service_bytes", " Write "));
        used.read_operations = sum("blkio.throttle.io_serviced_recursive", " Read ").or_else(|| sum("blkio.throttle.io_serviced", " Read "));
        used.write_operations = sum("blkio.throttle.io_serviced_recursive", " Write ").or_else(|| sum("blkio.throttle.io_serviced", " Write "));
    } else if let Ok(text) = std::fs::read_to_string(folder.join("io.stat")) {
        let sum = |name: &str| Some(text.split_whitespace().filter_map(|m| m.strip_prefix(name)?.parse::<u64>().ok()).sum());
        (used.read_bytes, used.write_bytes) = (sum("rbytes="), sum("wbytes="));
        (used.read_operations, used.write_operations) = (sum("rios="), sum("wios="));
    }
}

/// All interfaces of the container's network but the loopback.
fn network(used: &mut Use, pid: u32) {
    let Ok(text) = std::fs::read_to_string(format!("/proc/{pid}/net/dev")) else { return };
    let mut sums = [0u64; 4];
    for line in text.lines().skip(2) {
        let Some((name, rest)) = line.split_once(':') else { continue };
        if name.trim() == "lo" {
            continue;
        }
        let members: Vec<u64> = rest.split_whitespace().filter_map(|m| m.parse().ok()).collect();
        for (sum, at) in sums.iter_mut().zip([0, 1, 8, 9]) {
            *sum += members.get(at).copied().unwrap_or_default();
        }
    }
    let [received_bytes, received_packets, sent_bytes, sent_packets] = sums.map(Some);
    (used.received_bytes, used.received_packets, used.sent_bytes, used.sent_packets) = (received_bytes, received_packets, sent_bytes, sent_packets);
}
