//! Which cgroup hierarchy names containers on this node.

use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};

/// A hierarchy: the unified one where there is one, else that of a controller every runtime uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    pub mount: PathBuf,
    /// 0 for the unified one, else 1 + the controller's number in the kernel.
    pub controller: u32,
    /// As `/proc/cgroups` has it; 0 for the unified one.
    pub id: i32,
}

// === impl Hierarchy ===

impl Hierarchy {
    /// # Errors
    /// When no cgroup file system is mounted: says what to mount.
    pub fn find() -> Result<Self> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").context("/proc/self/mountinfo cannot be read")?;
        Self::of(&mounts, &std::fs::read_to_string("/proc/cgroups").unwrap_or_default())
            .context("no cgroup file system is mounted: mount -t cgroup2 none /sys/fs/cgroup, or give the sensor's container the node's /sys/fs/cgroup")
    }

    fn of(mounts: &str, controllers: &str) -> Option<Self> {
        let mounted = |kind: &str, option: &str| {
            mounts.lines().find_map(|line| {
                let (before, after) = line.split_once(" - ")?;
                let mut after = after.split(' ');
                let right = after.next()? == kind && (option.is_empty() || after.nth(1)?.split(',').any(|o| o == option));
                right.then(|| before.split(' ').nth(4).map(|p| Path::new(p).to_owned())).flatten()
            })
        };
        if let Some(mount) = mounted("cgroup2", "") {
            return Some(Hierarchy { mount, controller: 0, id: 0 });
        }
        let names: Vec<&str> = controllers.lines().filter(|l| !l.starts_with('#')).collect();
        for name in ["pids", "memory"] {
            let Some(mount) = mounted("cgroup", name) else { continue };
            let index = names.iter().position(|l| l.split_whitespace().next() == Some(name))?;
            let id = names.get(index)?.split_whitespace().nth(1)?.parse().ok()?;
            return Some(Hierarchy { mount, controller: index as u32 + 1, id });
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unified_one_before_a_controller() {
        let hybrid = "30 1 0:26 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n31 1 0:27 / /sys/fs/cgroup/unified rw - cgroup2 none rw\n";
        assert_eq!(Hierarchy::of(hybrid, "").unwrap().mount, Path::new("/sys/fs/cgroup/unified"));
        let old = "30 1 0:26 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n";
        let found = Hierarchy::of(old, "#subsys_name hierarchy\ncpu\t1\t3\t1\npids\t8\t3\t1\n").unwrap();
        assert_eq!((found.controller, found.id), (2, 8));
        assert_eq!(Hierarchy::of("", ""), None);
    }
}
