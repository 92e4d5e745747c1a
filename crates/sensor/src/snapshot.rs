//! Evidence of a container before something is done to it.

use serde::Serialize;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Most of each list.
const MOST: usize = 10_000;
/// Most open files told of a process, and mapped files.
const MOST_FILES: usize = 1024;

/// What ran, was open, connected, mapped and changed.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Snapshot {
    pub processes: Vec<ProcessState>,
    pub connections: Vec<String>,
    /// Files of the upper layer: path, bytes, change in seconds since 1970.
    pub changed: Vec<(String, u64, i64)>,
    /// Where something was more than is told.
    pub cut: Vec<String>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct ProcessState {
    pub pid: u32,
    pub parent: u32,
    pub name: String,
    pub program: String,
    pub command: Vec<String>,
    pub cwd: String,
    pub status: Vec<String>,
    /// Descriptor and what it is open on.
    pub files: Vec<(String, String)>,
    /// Mapped files with their rights.
    pub maps: Vec<String>,
}

/// Of these processes.
pub fn take(pids: &HashSet<u32>, root: &Path) -> Snapshot {
    let mut snapshot = Snapshot::default();
    let mut sorted: Vec<u32> = pids.iter().copied().collect();
    sorted.sort_unstable();
    for pid in sorted.iter().copied().take(MOST) {
        snapshot.processes.extend(process(pid, &mut snapshot.cut));
    }
    if let Some(pid) = sorted.first().copied() {
        for table in ["tcp", "tcp6", "udp", "udp6", "raw", "unix"] {
            let text = std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
            snapshot.connections.extend(text.lines().skip(1).take(MOST).map(|l| format!("{table} {}", l.trim())));
        }
        if let Some(upper) = upper(pid) {
            walk(&root.join(upper.strip_prefix("/").unwrap_or(&upper)), Path::new("/"), &mut snapshot, 0);
        }
    }
    snapshot
}

fn process(pid: u32, cut: &mut Vec<String>) -> Option<ProcessState> {
    let folder = format!("/proc/{pid}");
    let status = std::fs::read_to_string(format!("{folder}/status")).ok()?;
    let link = |what: &str| std::fs::read_link(format!("{folder}/{what}")).map(|p| p.to_string_lossy().into_owned()).unwrap_or_default();
    let line = |key: &str| status.lines().find_map(|l| l.strip_prefix(key)).map(str::trim).unwrap_or_default().to_owned();
    let arguments = std::fs::read(format!("{folder}/cmdline")).unwrap_or_default();
    let mut files: Vec<(String, String)> = std::fs::read_dir(format!("{folder}/fd"))
        .into_iter()
        .flatten()
        .flatten()
        .take(MOST_FILES + 1)
        .map(|e| (e.file_name().to_string_lossy().into_owned(), std::fs::read_link(e.path()).map(|p| p.to_string_lossy().into_owned()).unwrap_or_default()))
        .collect();
    let maps = std::fs::read_to_string(format!("{folder}/maps")).unwrap_or_default();
    let mut mapped: Vec<String> = maps
        .lines()
        .filter_map(|l| {
            let mut members = l.split_whitespace();
            let rights = members.nth(1)?;
            members.nth(3).map(|path| format!("{rights} {path}"))
        })
        .collect();
    mapped.dedup();
    if files.len() > MOST_FILES || mapped.len() > MOST_FILES {
        cut.push(format!("process {pid} has more open or mapped files than {MOST_FILES}"));
    }
    files.truncate(MOST_FILES);
    mapped.truncate(MOST_FILES);
    Some(ProcessState {
        pid,
        parent: line("PPid:").parse().unwrap_or_default(),
        name: line("Name:"),
        program: link("exe"),
        command: crate::process::words(&arguments).collect(),
        cwd: link("cwd"),
        status: ["State:", "Uid:", "Gid:", "CapEff:", "NoNewPrivs:", "Seccomp:", "NSpid:"].iter().map(|k| format!("{k} {}", line(k))).collect(),
        files,
        maps: mapped,
    })
}

/// Upper layer of the process's root, on the node.
pub fn upper(pid: u32) -> Option<PathBuf> {
    let mounts = std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).ok()?;
    let root = mounts.lines().rfind(|l| l.split(' ').nth(4) == Some("/"))?;
    let options = root.split_once(" - overlay ")?.1.split(' ').nth(1)?;
    options.split(',').find_map(|o| o.strip_prefix("upperdir=")).map(PathBuf::from)
}

fn walk(folder: &Path, below: &Path, snapshot: &mut Snapshot, depth: usize) {
    use std::os::unix::fs::MetadataExt as _;
    if depth > 64 {
        return;
    }
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if snapshot.changed.len() >= MOST {
            snapshot.cut.push(format!("more than {MOST} files were changed"));
            return;
        }
        let Ok(metadata) = entry.metadata() else { continue };
        let path = below.join(entry.file_name());
        if metadata.is_dir() {
            walk(&entry.path(), &path, snapshot, depth + 1);
        } else {
            snapshot.changed.push((path.to_string_lossy().into_owned(), metadata.len(), metadata.ctime()));
        }
    }
}
