//! What this kernel lets a sensor do, tried and not guessed from its version.

use serde::{Deserialize, Serialize};
use std::path::Path;

/// How calls are seen and stopped, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    /// Security hooks: every call is seen where it happens, a refusal has no side effect.
    Lsm,
    /// Tracepoints at the end of system calls, fanotify for programs and files, cgroup hooks for connections; what
    /// these cannot refuse is killed.
    Tracepoint,
}

/// What was found, for people: one line for each thing that can or cannot be done here, and why.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Capabilities {
    pub kernel: String,
    pub rung: Rung,
    pub btf: bool,
    pub ring_buffer: bool,
    pub lsm: bool,
    pub fanotify: bool,
    pub cgroup_hooks: bool,
    /// Links outlive the sensor.
    pub pinned: bool,
    pub notes: Vec<Note>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    pub what: String,
    pub can: bool,
    pub why: String,
}

// === impl Capabilities ===

impl Capabilities {
    /// Without loading anything; `lsm` says whether security programs loaded when it was tried.
    pub fn new(lsm: Result<(), String>) -> Self {
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
        let btf = Path::new("/sys/kernel/btf/vmlinux").exists();
        let mut notes = Vec::new();
        let mut note = |what: &str, can: bool, why: String| notes.push(Note { what: what.into(), can, why });
        let lsm_loaded = lsm.is_ok();
        match &lsm {
            Ok(()) => note("prevent", true, "security hooks (BPF LSM) refuse calls in the kernel, without side effects".into()),
            Err(why) => note("prevent", false, format!("security hooks (BPF LSM): {why}; programs and files are held by fanotify, connections by cgroup hooks, other calls are answered by killing: what they did before stays")),
        }
        if !lsm_loaded {
            note("io_uring", false, "what io_uring does is seen only by its setup: its requests are no system calls".into());
            note("32-bit", false, "calls of 32-bit programs are not seen at the end of system calls".into());
            note("overhead", false, "a tracepoint at the end of system calls costs each call of the node some 100 ns".into());
        }
        Capabilities {
            kernel,
            rung: if lsm_loaded { Rung::Lsm } else { Rung::Tracepoint },
            btf,
            ring_buffer: true,
            lsm: lsm_loaded,
            fanotify: false,
            cgroup_hooks: false,
            pinned: false,
            notes,
        }
    }

    pub fn note(&mut self, what: &str, can: bool, why: impl Into<String>) {
        self.notes.push(Note { what: what.into(), can, why: why.into() });
    }
}

/// Whether the kernel's list of security modules has `bpf`; says what to do where it has not.
pub fn lsm_listed() -> Result<(), String> {
    let list = std::fs::read_to_string("/sys/kernel/security/lsm").map_err(|e| format!("/sys/kernel/security/lsm cannot be read ({e})"))?;
    if list.trim().split(',').any(|m| m == "bpf") { Ok(()) } else { Err(format!("the kernel was not started with it (lsm={}): add lsm=…,bpf to its command line", list.trim())) }
}
