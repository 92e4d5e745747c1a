//! Names of users and groups, of the container or of the node.

use jinwu_event::Process;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use std::collections::HashMap;
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::sync::Arc;

/// Most bytes read of a list of users.
const LARGEST: u64 = 256 << 10;
/// Most lists remembered.
const MOST: usize = 1024;

#[derive(Default)]
struct Names {
    users: HashMap<u32, Arc<str>>,
    groups: HashMap<u32, Arc<str>>,
}

/// Lists of users by container; the node's is that of the empty id.
#[derive(Default)]
pub struct Users {
    of: HashMap<String, Names>,
}

// === impl Users ===

impl Users {
    /// Sets the names of a process of this container.
    pub fn name(&mut self, container: &str, process: &mut Process) {
        if !self.of.contains_key(container) {
            if self.of.len() >= MOST {
                self.of.clear();
            }
            let names = Names { users: read(process.pid, "etc/passwd"), groups: read(process.pid, "etc/group") };
            if names.users.is_empty() {
                return;
            }
            self.of.insert(container.to_owned(), names);
        }
        let Some(names) = self.of.get(container) else { return };
        process.user = names.users.get(&process.uid).cloned();
        process.group_name = names.groups.get(&process.gid).cloned();
        process.login_name = process.login.and_then(|l| names.users.get(&l).cloned());
    }

    pub fn forget(&mut self, container: &str) {
        self.of.remove(container);
    }
}

/// Third and first member of each line, of a file below the process's root. Links in a container lead nowhere else.
fn read(pid: u32, path: &str) -> HashMap<u32, Arc<str>> {
    let text = (|| {
        let root = rustix::fs::openat(CWD, format!("/proc/{pid}/root"), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = rustix::fs::openat2(root.as_fd(), path, flags, Mode::empty(), ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS).ok()?;
        let mut text = String::new();
        std::fs::File::from(file).take(LARGEST).read_to_string(&mut text).ok()?;
        Some(text)
    })();
    let lines = text.as_deref().unwrap_or_default().lines();
    lines
        .filter_map(|line| {
            let mut members = line.split(':');
            let name = members.next()?;
            Some((members.nth(1)?.parse().ok()?, Arc::from(name)))
        })
        .collect()
}
