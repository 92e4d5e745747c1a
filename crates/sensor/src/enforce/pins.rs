//! What stays in the kernel: maps and links below a directory of bpffs.

use super::FileId;
use super::values::{self, bytes};
use crate::programs::{OpenSensorSkel, SensorSkel};
use anyhow::{Context as _, Result, bail};
use libbpf_rs::btf::{Btf, types};
use libbpf_rs::skel::{OpenSkel as _, Skel as _};
use libbpf_rs::{MapCore as _, MapFlags, MapHandle};
use std::collections::HashSet;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

/// Where the agent's pins are.
pub const FOLDER: &str = "/sys/fs/bpf/jinwu";

/// Maps that outlive a process. Task storage among them: tasks stay of their containers.
const KEPT: [&str; 14] = [
    "containers", "policies", "path_rules", "file_rules", "address_rules", "volumes", "contents", "written", "members", "guards", "guarded", "own", "denials", "denial_counts",
];

fn links(folder: &Path) -> PathBuf {
    folder.join("links")
}

/// The hook a section's program belongs to, as the kernel's type information names it; `None` if it is no hook of ours.
fn hook(section: &str) -> Option<String> {
    let section = section.trim_start_matches('?');
    if let Some(hook) = section.strip_prefix("lsm/") {
        return Some(format!("bpf_lsm_{hook}"));
    }
    (section == "tp_btf/io_uring_create").then(|| "btf_trace_io_uring_create".to_owned())
}

fn known(btf: &Btf<'_>, name: &str) -> bool {
    btf.type_by_name::<types::Func<'_>>(name).is_some() || btf.type_by_name::<types::Typedef<'_>>(name).is_some()
}

/// Before the programs are loaded: switches on the security hooks this kernel has, and names the pins of their maps
/// below `folder`. Answers the names of hooks it has not.
///
/// # Errors
/// When the folder lies in no bpffs or cannot be made, or another agent's pins are there.
pub fn prepare(open: &mut OpenSensorSkel<'_>, folder: &Path) -> Result<Vec<String>> {
    ensure_folder(folder)?;
    let btf = Btf::from_vmlinux().context("the kernel's type information")?;
    let mut missing = Vec::new();
    for mut program in open.open_object_mut().progs_mut() {
        let Some(hook) = hook(&program.section().to_string_lossy()) else { continue };
        let here = known(&btf, &hook);
        program.set_autoload(here);
        // Attached and pinned by hand.
        program.set_autoattach(false);
        if !here {
            missing.push(hook);
        }
    }
    // Another layout is another folder: an agent of another version makes its own maps.
    let maps = folder.join(format!("maps-{:08x}", layout(open)));
    std::fs::create_dir_all(&maps).with_context(|| maps.display().to_string())?;
    let guards = maps.join("guards");
    if guards.exists() {
        MapHandle::from_pinned_path(&guards).context("another agent is in place on this node: stop it first")?;
    }
    for mut map in open.open_object_mut().maps_mut() {
        let name = map.name().to_string_lossy().into_owned();
        if KEPT.contains(&name.as_str()) {
            map.set_pin_path(maps.join(&name)).with_context(|| format!("the pin of {name}"))?;
        }
    }
    Ok(missing)
}

/// What distinguishes the maps of two versions.
fn layout(open: &OpenSensorSkel<'_>) -> u32 {
    let mut hash = 0x811c_9dc5_u32;
    for map in open.open_object().maps().filter(|m| KEPT.contains(&&*m.name().to_string_lossy())) {
        for byte in bytes(&[&map.key_size(), &map.value_size(), &map.max_entries()]) {
            hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        }
    }
    hash
}

fn ensure_folder(folder: &Path) -> Result<()> {
    const BPF_FS_MAGIC: u64 = 0xcafe_4a11;
    let above = folder.parent().context("a folder in a bpffs")?;
    let magic = rustix::fs::statfs(above).with_context(|| above.display().to_string())?.f_type as u64 & 0xffff_ffff;
    if magic != BPF_FS_MAGIC {
        bail!("{} is no bpffs: mount one there (mount -t bpf bpf {0}), or what is refused is refused only while the agent runs", above.display());
    }
    std::fs::create_dir_all(links(folder)).with_context(|| format!("{}: is another agent in place?", folder.display()))
}

/// Attaches what is loaded, and puts it in the place of what is pinned; both hold for a moment, never none.
pub(super) fn attach(skel: &SensorSkel<'_>, folder: &Path, own: &impl libbpf_rs::MapCore) -> Result<()> {
    let mut ours: HashSet<(u32, u32)> = HashSet::new();
    let mut names = HashSet::new();
    for map in skel.object().maps().filter(|m| KEPT.contains(&&*m.name().to_string_lossy())) {
        ours.insert((1, map.info()?.info.id));
    }
    for program in skel.object().progs_mut() {
        let name = program.name().to_string_lossy().into_owned();
        let section = program.section().to_string_lossy().into_owned();
        if hook(&section).is_none() || !program.autoload() {
            continue;
        }
        ours.insert((2, libbpf_rs::Program::id_from_fd(program.as_fd())?));
        let mut link = program.attach().with_context(|| format!("{section} cannot be attached"))?;
        ours.insert((3, link.info()?.id));
        let (fresh, place) = (links(folder).join(format!("{name}+")), links(folder).join(&name));
        let _ = std::fs::remove_file(&fresh);
        link.pin(&fresh).with_context(|| format!("{section} cannot be pinned"))?;
        std::fs::rename(&fresh, &place).with_context(|| place.display().to_string())?;
        names.insert(name);
    }
    for (what, id) in &ours {
        own.update(&bytes(&[what, id]), &[1], MapFlags::ANY)?;
    }
    clear(folder, &names)?;
    let word = |key: &[u8], at: usize| key.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_ne_bytes);
    values::forget(own, |key| !ours.contains(&(word(key, 0), word(key, 4))))
}

/// What an earlier version pinned and this one does not.
fn clear(folder: &Path, names: &HashSet<String>) -> Result<()> {
    for entry in std::fs::read_dir(links(folder))?.flatten() {
        if !names.contains(&*entry.file_name().to_string_lossy()) {
            std::fs::remove_file(entry.path()).with_context(|| entry.path().display().to_string())?;
        }
    }
    Ok(())
}

/// Takes everything out of the kernel. Only the agent in place can.
///
/// # Errors
/// When a pin cannot be removed; says which.
pub fn withdraw(folder: &Path) -> Result<()> {
    let remove = |dir: &Path| -> Result<()> {
        for entry in std::fs::read_dir(dir)?.flatten() {
            std::fs::remove_file(entry.path()).with_context(|| entry.path().display().to_string())?;
        }
        std::fs::remove_dir(dir).with_context(|| dir.display().to_string())
    };
    if !folder.exists() {
        return Ok(());
    }
    remove(&links(folder))?;
    for entry in std::fs::read_dir(folder)?.flatten() {
        remove(&entry.path())?;
    }
    std::fs::remove_dir(folder).with_context(|| folder.display().to_string())
}

/// The namespace the node's own programs run in: that of its first process.
pub(super) fn mount_namespace() -> Result<u32> {
    let inode = FileId::of(Path::new("/proc/1/ns/mnt"))?.inode;
    u32::try_from(inode).context("the mount namespace's number")
}

/// Id of the cgroup this process is in; 0 where there is no unified hierarchy.
pub(super) fn own_cgroup() -> u64 {
    let find = || {
        let text = std::fs::read_to_string("/proc/self/cgroup").ok()?;
        let path = text.lines().find_map(|l| l.strip_prefix("0::/"))?.to_owned();
        let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
        let mount = mounts.lines().find_map(|l| {
            let mut fields = l.split(' ').skip(1);
            let place = fields.next()?;
            (fields.next()? == "cgroup2").then_some(place)
        })?;
        Some(FileId::of(&Path::new(mount).join(path)).ok()?.inode)
    };
    find().unwrap_or(0)
}
