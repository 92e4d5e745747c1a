//! Files and devices of the host.

use super::{Right, Survey, first};
use crate::evaluate::MAX_SHOWN;
use crate::pod::{HostPath, PodSpec};
use crate::shown::quoted;
use jinwu_model::Text;
use std::collections::HashMap;

impl Survey<'_, '_> {
    /// One finding for each hostPath volume: who mounts it and whether it can be written.
    pub(super) fn host_paths(&mut self) {
        let spec = self.spec;
        let mounts = mounts(spec);
        for (n, volume) in spec.volumes.iter().enumerate() {
            let Some(host_path) = &volume.host_path else { continue };
            let (writers, readers) = match mounts.get(volume.name.as_str()) {
                Some(mounted) => (&mounted.writers[..], &mounted.readers[..]),
                None => (&[][..], &[][..]),
            };
            let right = match (is_device(host_path), writers.is_empty()) {
                (true, _) => Right::Device,
                (false, false) => Right::HostPathWritable,
                (false, true) => Right::HostPathReadable,
            };
            let (name, path) = (quoted(&volume.name), quoted(&host_path.path));
            let (zh, en) = if !writers.is_empty() {
                (format!("容器 {} 可写", list(writers)), format!("container {} can write it", list(writers)))
            } else if !readers.is_empty() {
                (format!("容器 {} 只读", list(readers)), format!("container {} can read it", list(readers)))
            } else {
                ("没有容器挂载".to_owned(), "no container mounts it".to_owned())
            };
            let member = format!("{}.volumes[{n}].hostPath", self.paths.spec);
            let mut found = Text::new(format!("卷 {name} 是宿主机的 {path}:{zh}"), format!("volume {name} is {path} of the host: {en}"));
            if let Some((zh, en)) = whole_host(host_path) {
                found.zh.push_str(&format!(";{zh}"));
                found.en.push_str(&format!("; {en}"));
            }
            self.give(
                right,
                None,
                found,
                Text::new(
                    format!("删除 {member},改用 configMap、secret、emptyDir 或 persistentVolumeClaim"),
                    format!("remove {member} and use configMap, secret, emptyDir or persistentVolumeClaim"),
                ),
            );
        }
    }
}

/// Containers that mount one volume; a few more than a text shows, no more.
#[derive(Default)]
struct Mounted<'s> {
    writers: Vec<&'s str>,
    readers: Vec<&'s str>,
}

fn mounts<'s>(spec: &'s PodSpec<'_>) -> HashMap<&'s str, Mounted<'s>> {
    let mut volumes: HashMap<&str, Mounted<'_>> = HashMap::new();
    if !spec.volumes.iter().any(|v| v.host_path.is_some()) {
        return volumes;
    }
    for at in spec.all_containers() {
        for mount in at.container.volume_mounts.iter() {
            let mounted = volumes.entry(mount.name.as_str()).or_default();
            let names = if mount.read_only { &mut mounted.readers } else { &mut mounted.writers };
            let name = at.container.name.as_str();
            if names.len() <= MAX_SHOWN && names.last() != Some(&name) {
                names.push(name);
            }
        }
    }
    volumes
}

fn list(containers: &[&str]) -> String {
    first(containers, |name| quoted(name))
}

fn is_device(host_path: &HostPath<'_>) -> bool {
    let path = steps(&host_path.path);
    matches!(host_path.kind.as_str(), "CharDevice" | "BlockDevice") || path.first() == Some(&"dev")
}

/// Places from which the whole host can be had, even read-only.
fn whole_host(host_path: &HostPath<'_>) -> Option<(&'static str, &'static str)> {
    let path = steps(&host_path.path);
    let socket = host_path.kind.as_str() == "Socket" || path.last().is_some_and(|last| last.ends_with(".sock"));
    if path.is_empty() {
        Some(("即整个宿主机文件系统", "that is the host's whole file system"))
    } else if socket {
        Some(("套接字只读挂载仍可连接", "a socket mounted read-only can still be connected to"))
    } else {
        None
    }
}

/// The steps of a path without `.` and empty ones; `..` goes back, as the kernel does.
fn steps(path: &str) -> Vec<&str> {
    let mut steps = Vec::new();
    for step in path.split('/') {
        match step {
            "" | "." => {}
            ".." => {
                steps.pop();
            }
            _ => steps.push(step),
        }
    }
    steps
}
