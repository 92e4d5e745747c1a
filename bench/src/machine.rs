//! What the numbers were taken on, and what a process has used.

use anyhow::Context as _;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a finished program has used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Used {
    pub(crate) wall: Duration,
    /// User and system time of it and its children, looked at with the memory: exact to a few
    /// hundredths of a second.
    pub(crate) cpu: Duration,
    /// Largest sum of memory of it and its children, looked at every 10 to 25 ms: what several of them
    /// share, mapped rules and advisories, counts once (proportional set size).
    pub(crate) memory: u64,
}

/// One line: processor, cores, memory, kernel, load now.
pub(crate) fn describe() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|l| l.strip_prefix("model name").and_then(|r| r.split_once(':'))).map_or("?", |(_, v)| v.trim());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = read("/proc/meminfo").lines().next().and_then(|l| l.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or(0) >> 20;
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{model}, {cores} cores, {memory} GiB, Linux {}, load {}", kernel.trim(), load())
}

/// The load average of the last minute.
pub(crate) fn load() -> String {
    std::fs::read_to_string("/proc/loadavg").unwrap_or_default().split(' ').next().unwrap_or("?").to_owned()
}

/// Peak resident memory of a running process in MiB.
pub(crate) fn peak(pid: u32) -> f64 {
    field(pid, "status", "VmHWM:") as f64 / 1024.0
}

/// Writes back what others left dirty, so that nobody pays for the one before.
pub(crate) fn settle() {
    let _ = Command::new("sync").status();
    std::thread::sleep(Duration::from_millis(300));
}

/// Runs a program to its end; its output goes to `out`. Exit codes 0 and 1 are both results.
pub(crate) fn run(command: &mut Command, out: &Path) -> anyhow::Result<Used> {
    let start = Instant::now();
    let log = std::fs::File::create(out.with_extension("log"))?;
    let mut child = command.stdin(Stdio::null()).stdout(std::fs::File::create(out)?).stderr(log).spawn().with_context(|| format!("{command:?}"))?;
    let mut memory = 0;
    // Programs that do not wait for their workers leave nothing in the sum of waited children, so
    // every process is looked at while it lives.
    let mut ticks: HashMap<u32, u64> = HashMap::new();
    let status = loop {
        let pids = tree(child.id());
        memory = memory.max(pids.iter().map(|pid| field(*pid, "smaps_rollup", "Pss:") << 10).sum());
        for pid in pids {
            let now = cpu_ticks(pid);
            ticks.entry(pid).and_modify(|t| *t = now.max(*t)).or_insert(now);
        }
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(if start.elapsed().as_secs() < 5 { 10 } else { 25 }));
    };
    let wall = start.elapsed();
    anyhow::ensure!(matches!(status.code(), Some(0 | 1)), "{command:?}: {status}: {}", std::fs::read_to_string(out.with_extension("log"))?);
    Ok(Used { wall, cpu: Duration::from_millis(ticks.values().sum::<u64>() * 10), memory })
}

fn tree(pid: u32) -> Vec<u32> {
    let mut out = vec![pid];
    let mut at = 0;
    while let Some(next) = out.get(at).copied() {
        at += 1;
        for task in std::fs::read_dir(format!("/proc/{next}/task")).into_iter().flatten().flatten() {
            let text = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            out.extend(text.split_whitespace().filter_map(|p| p.parse::<u32>().ok()));
        }
        if out.len() > 1000 {
            break;
        }
    }
    out
}

/// A number of kibibytes in one of the files about a process.
fn field(pid: u32, file: &str, key: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    text.lines().find_map(|l| l.strip_prefix(key)?.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// User and system time of a running process, to a hundredth of a second.
pub(crate) fn cpu(pid: u32) -> Duration {
    Duration::from_millis(cpu_ticks(pid) * 10)
}

/// User and system time of a running process, in hundredths of a second (`proc_pid_stat(5)`).
fn cpu_ticks(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    rest.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<u64>().ok()).sum()
}

/// A program of this workspace beside this one, or one that `bench/run.sh` installed.
pub(crate) fn program(name: &str) -> anyhow::Result<PathBuf> {
    let beside = std::env::current_exe()?.with_file_name(name);
    let cached = std::env::var_os("JINWU_CACHE").map(|c| PathBuf::from(c).join("bin").join(name));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&path).map(|dir| dir.join(name));
    std::iter::once(beside)
        .chain(cached)
        .chain(installed)
        .find(|p| p.exists())
        .with_context(|| format!("{name} is neither built nor installed; ./x bench does both"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_measured() {
        let dir = tempfile::tempdir().unwrap();
        let used = run(Command::new("sh").args(["-c", "i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done; echo x"]), &dir.path().join("out")).unwrap();
        assert!(used.cpu > Duration::ZERO && used.memory > 0);
        assert_eq!(std::fs::read_to_string(dir.path().join("out")).unwrap(), "x\n");
        assert!(run(Command::new("sh").args(["-c", "exit 7"]), &dir.path().join("out")).is_err());
    }
}
