//! Prevention in the kernel: policies of containers, put into the maps by which the security hooks decide.
//!
//! [`prepare`] chooses the hooks this kernel has and names the pins of their maps, before the programs are loaded;
//! [`Enforcer::attach`] attaches and pins them afterwards. What is pinned goes on refusing when the process is gone; the
//! next one finds the same maps and puts its programs in the place of the old ones without a gap.

mod alone;
pub mod glass;
mod observe;
mod pins;
mod policy;
mod values;

pub use alone::Alone;
pub use observe::{observe, seen};
pub use pins::{FOLDER, prepare, withdraw};
pub use policy::{AddressRule, ContainerPolicy, Content, FileRule, InvalidPolicy, Mode, Operation, Policy, Target};

use crate::programs::SensorSkel;
use anyhow::{Context as _, Result};
use libbpf_rs::{MapCore as _, MapFlags, MapHandle};
use std::path::Path;
use values::{Guard, bytes};

/// What is put into the kernel, and what the kernel answered.
#[derive(Debug)]
pub struct Enforcer {
    containers: MapHandle,
    policies: MapHandle,
    path_rules: MapHandle,
    file_rules: MapHandle,
    address_rules: MapHandle,
    volumes: MapHandle,
    contents: MapHandle,
    written: MapHandle,
    guards: MapHandle,
    guarded: MapHandle,
    denials: MapHandle,
    own: MapHandle,
}

/// A file, by what the kernel knows it by. For overlays, [`FileId::of`] is right where all layers lie in one file
/// system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    /// As the kernel encodes it: major << 20 | minor.
    pub device: u32,
    pub inode: u64,
}

// === impl FileId ===

impl FileId {
    /// # Errors
    /// When there is no such file.
    pub fn of(path: &Path) -> Result<Self> {
        let stat = rustix::fs::stat(path).with_context(|| path.display().to_string())?;
        Ok(FileId { device: rustix::fs::major(stat.st_dev) << 20 | rustix::fs::minor(stat.st_dev), inode: stat.st_ino })
    }
}

// === impl Enforcer ===

impl Enforcer {
    /// Attaches the security hooks that were loaded, pins them below `folder` and takes the agent's place.
    ///
    /// # Errors
    /// When another agent is in place, or the kernel refuses a hook or a pin; says which.
    pub fn attach(skel: &SensorSkel<'_>, folder: &Path) -> Result<Self> {
        let maps = &skel.maps;
        let enforcer = Enforcer {
            containers: MapHandle::try_from(&maps.containers)?,
            policies: MapHandle::try_from(&maps.policies)?,
            path_rules: MapHandle::try_from(&maps.path_rules)?,
            file_rules: MapHandle::try_from(&maps.file_rules)?,
            address_rules: MapHandle::try_from(&maps.address_rules)?,
            volumes: MapHandle::try_from(&maps.volumes)?,
            contents: MapHandle::try_from(&maps.contents)?,
            written: MapHandle::try_from(&maps.written)?,
            guards: MapHandle::try_from(&maps.guards)?,
            guarded: MapHandle::try_from(&maps.guarded)?,
            denials: MapHandle::try_from(&maps.denials)?,
            own: MapHandle::try_from(&maps.own)?,
        };
        enforcer.change_guard(|guard| {
            guard.agent = std::process::id();
            guard.starter = std::os::unix::process::parent_id();
            guard.mount_namespace = pins::mount_namespace()?;
            guard.cgroup = pins::own_cgroup();
            let place = FileId::of(folder)?;
            (guard.device, guard.directory) = (place.device, place.inode);
            Ok(())
        })?;
        pins::attach(skel, folder, &enforcer.own)?;
        Ok(enforcer)
    }

    /// What holds in a container from now on, known by the id of its cgroup.
    ///
    /// # Errors
    /// When the table of containers is full: it then has no policy, and nothing else has changed.
    pub fn put_container(&self, cgroup: u64, policy: &ContainerPolicy) -> Result<()> {
        let known = self.containers.lookup(&cgroup.to_ne_bytes(), MapFlags::ANY)?;
        // What the kernel found out stays.
        let word = |at: usize| known.as_ref().and_then(|v| v.get(at..at + 4)).and_then(|b| b.try_into().ok()).map_or(0, u32::from_ne_bytes);
        let root = policy.root_device.unwrap_or_else(|| word(8));
        for device in &policy.volumes {
            self.volumes.update(&bytes(&[&cgroup, device, &0u32]), &[1], MapFlags::ANY).context("table of volumes")?;
        }
        let value = bytes(&[&policy.policy, &policy.modes(), &root, &word(12)]);
        self.containers.update(&cgroup.to_ne_bytes(), &value, MapFlags::ANY).context("table of containers")
    }

    /// A container that is gone.
    ///
    /// # Errors
    /// When the kernel's tables cannot be read.
    pub fn remove_container(&self, cgroup: u64) -> Result<()> {
        let root = |cgroup: &[u8]| -> Option<[u8; 4]> { self.containers.lookup(cgroup, MapFlags::ANY).ok()??.get(8..12)?.try_into().ok() };
        let device = root(&cgroup.to_ne_bytes()).filter(|d| *d != [0; 4]);
        values::forget(&self.containers, |key| key == cgroup.to_ne_bytes())?;
        // What was remembered of its files, unless its root is another one's too.
        if let Some(device) = device.filter(|d| !self.containers.keys().any(|other| root(&other) == Some(*d))) {
            for map in [&self.written, &self.contents] {
                values::forget(map, |key| key.get(8..12) == Some(&device))?;
            }
        }
        values::forget(&self.volumes, |key| key.starts_with(&cgroup.to_ne_bytes()))
    }

    /// Puts a policy, or another one in its place. New rules hold before old ones go.
    ///
    /// # Errors
    /// [`InvalidPolicy`] says which rule cannot be held; or a table of the kernel is full.
    pub fn put_policy(&self, id: u32, policy: &Policy) -> Result<()> {
        let rules = policy.rules(id)?;
        for (map, entries) in [(&self.path_rules, &rules.paths), (&self.file_rules, &rules.files), (&self.address_rules, &rules.addresses)] {
            for (key, value) in entries {
                map.update(key, value, MapFlags::ANY).context("table of rules")?;
            }
        }
        self.policies.update(&id.to_ne_bytes(), &rules.policy, MapFlags::ANY).context("table of policies")?;
        self.forget_rules(id, &rules)
    }

    /// # Errors
    /// When the kernel's tables cannot be read.
    pub fn remove_policy(&self, id: u32) -> Result<()> {
        values::forget(&self.policies, |key| key == id.to_ne_bytes())?;
        self.forget_rules(id, &policy::Rules::default())
    }

    fn forget_rules(&self, id: u32, but: &policy::Rules) -> Result<()> {
        let id = id.to_ne_bytes();
        let stale = |key: &[u8], at: usize, kept: &[(Vec<u8>, Vec<u8>)]| key.get(at..at + 4) == Some(&id) && !kept.iter().any(|(k, _)| k == key);
        values::forget(&self.path_rules, |key| stale(key, 4, &but.paths))?;
        values::forget(&self.file_rules, |key| stale(key, 12, &but.files))?;
        values::forget(&self.address_rules, |key| stale(key, 4, &but.addresses))
    }

    /// What is known of a file's content. The kernel forgets it when the file is written.
    ///
    /// # Errors
    /// When the table is full.
    pub fn put_content(&self, file: FileId, content: Option<Content>) -> Result<()> {
        let key = bytes(&[&file.inode, &file.device, &0u32]);
        match content {
            Some(content) => self.contents.update(&key, &[content as u8], MapFlags::ANY).context("table of contents"),
            None => values::forget(&self.contents, |k| k == key),
        }
    }

    /// A file only the agent may change.
    ///
    /// # Errors
    /// When the table (64) is full.
    pub fn guard_file(&self, file: FileId) -> Result<()> {
        self.guarded.update(&bytes(&[&file.inode, &file.device, &0u32]), &[1], MapFlags::ANY).context("table of guarded files")
    }

    /// Opens the glass, or closes it: until `until` (nanoseconds since boot) nothing is refused, all is told.
    ///
    /// # Errors
    /// When the kernel's table cannot be written.
    pub fn break_glass(&self, until: u64) -> Result<()> {
        self.change_guard(|guard| {
            guard.open_until = until;
            Ok(())
        })
    }

    /// All records up to `time` (nanoseconds since boot) have been read.
    ///
    /// # Errors
    /// When the kernel's table cannot be written.
    pub fn told(&self, time: u64) -> Result<()> {
        self.change_guard(|guard| {
            guard.told = time;
            Ok(())
        })
    }

    /// Records of denials that nobody has read, the oldest first; of more than 256 the last ones.
    ///
    /// # Errors
    /// When the kernel's table cannot be read.
    pub fn untold(&self) -> Result<Vec<Vec<u8>>> {
        let told = self.guard()?.told;
        let mut denials: Vec<_> = self.denials.keys().filter_map(|key| self.denials.lookup(&key, MapFlags::ANY).ok().flatten()).filter_map(|v| values::denial(&v)).collect();
        denials.retain(|(_, time, _)| *time > told);
        denials.sort_by_key(|(number, ..)| *number);
        Ok(denials.into_iter().map(|(.., record)| record).collect())
    }

    fn guard(&self) -> Result<Guard> {
        let value = self.guards.lookup(&0u32.to_ne_bytes(), MapFlags::ANY)?.context("the agent's guard is gone")?;
        Guard::read(&value).context("the agent's guard has another shape")
    }

    fn change_guard(&self, change: impl FnOnce(&mut Guard) -> Result<()>) -> Result<()> {
        let mut guard = self.guard()?;
        change(&mut guard)?;
        Ok(self.guards.update(&0u32.to_ne_bytes(), &guard.bytes(), MapFlags::ANY)?)
    }
}
