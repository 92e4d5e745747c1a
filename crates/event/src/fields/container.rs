//! `container.*` and `k8s.*`.

use super::{filled, flag, key, number, owned};
use crate::container::{Container, Mount, Runtime};
use crate::event::NodeEvent;
use jinwu_detect::FieldValue;
use jinwu_detect::field::{Argument, SyscallField};
use std::fmt::Write as _;

impl NodeEvent {
    pub(super) fn container_field(&self, field: SyscallField, argument: &Argument) -> Option<FieldValue<'_>> {
        use SyscallField as F;
        let container = &*self.container;
        let pod = container.pod.as_ref();
        Some(match field {
            F::ContainerId => FieldValue::text(Some(container.short_id())),
            F::ContainerFullId => filled(&container.id),
            F::ContainerName if container.is_node() => FieldValue::text(Some("host")),
            F::ContainerName => filled(&container.name),
            F::ContainerType => FieldValue::text(Some(runtime(container))),
            F::ContainerImage => filled(&container.image),
            F::ContainerImageId => filled(&container.image_id),
            F::ContainerImageDigest => FieldValue::text(container.image_digest.as_deref()),
            F::ContainerImageRepository => FieldValue::text(container.repository_and_tag().map(|(r, _)| r)),
            F::ContainerImageTag => FieldValue::text(container.repository_and_tag().map(|(_, t)| t)),
            F::ContainerInfo => owned(format!("container_id={} container_name={}", container.short_id(), container.name)),
            F::ContainerPrivileged => flag(container.privileged),
            F::ContainerHostNetwork => flag(container.host_network),
            F::ContainerHostPid => flag(container.host_pid),
            F::ContainerHostIpc | F::ContainerIp => FieldValue::Absent,
            F::ContainerStartTs => container.started.map_or(FieldValue::Absent, number),
            F::ContainerDuration => container.started.map_or(FieldValue::Absent, |s| number(self.time.saturating_sub(s))),
            F::ContainerLabel => FieldValue::text(container.labels.get(key(argument)).map(String::as_str)),
            F::ContainerMounts => mounts(container),
            F::ContainerMount => mount(container, argument, |m| owned(described(m))),
            F::ContainerMountSource => mount(container, argument, |m| FieldValue::text(Some(m.source.as_str()))),
            F::ContainerMountDest => mount(container, argument, |m| FieldValue::text(Some(m.destination.as_str()))),
            F::ContainerMountMode => mount(container, argument, |m| FieldValue::text(Some(mode(m)))),
            F::JinwuContainerHandler => FieldValue::text(container.handler.as_deref()),
            F::JinwuContainerResolved => FieldValue::Flag(container.resolved),
            F::K8sPodName => FieldValue::text(pod.map(|p| p.name.as_str())),
            F::K8sNsName => FieldValue::text(pod.map(|p| p.namespace.as_str())),
            F::K8sPodUid | F::K8sPodId => FieldValue::text(pod.map(|p| p.uid.as_str())),
            F::K8sPodSandboxId => FieldValue::text(pod.map(|p| p.sandbox.as_str())),
            F::K8sPodLabel => FieldValue::text(pod.and_then(|p| p.labels.get(key(argument))).map(String::as_str)),
            F::K8sPodLabels => pod.map_or(FieldValue::Absent, |p| owned(p.labels.iter().map(|(k, v)| format!("{k}:{v}")).collect::<Vec<_>>().join(", "))),
            F::K8sPodIp | F::K8sNsLabel | F::K8sDeploymentName | F::K8sRsName => FieldValue::Absent,
            _ => return None,
        })
    }
}

fn runtime(container: &Container) -> &'static str {
    match container.runtime {
        _ if container.is_node() => "host",
        Runtime::Containerd => "containerd",
        Runtime::CriO => "cri-o",
        Runtime::Docker => "docker",
        Runtime::Podman => "podman",
        Runtime::Unknown => "unknown",
    }
}

fn mode(mount: &Mount) -> &'static str {
    if mount.writable { "rw" } else { "ro" }
}

fn described(mount: &Mount) -> String {
    format!("{}:{}:{}:{}", mount.source, mount.destination, mode(mount), mount.writable)
}

fn mounts(container: &Container) -> FieldValue<'_> {
    if container.mounts.is_empty() {
        return FieldValue::Absent;
    }
    let mut text = String::new();
    for mount in &container.mounts {
        // Writing to a String does not fail.
        let _ = write!(text, "{}{}", if text.is_empty() { "" } else { "," }, described(mount));
    }
    owned(text)
}

/// The mount at a position or of a source on the node (a pattern). The text `N/A` where there is none: Falco's rules
/// compare with it.
fn mount<'a>(container: &'a Container, argument: &Argument, value: impl Fn(&'a Mount) -> FieldValue<'a>) -> FieldValue<'a> {
    let wanted = key(argument);
    let found = match wanted.parse::<usize>() {
        Ok(position) => container.mounts.get(position),
        Err(_) if wanted.contains(['*', '?', '[']) => container.mounts.iter().find(|m| jinwu_detect::glob_matches(wanted, &m.source)),
        Err(_) => container.mounts.iter().find(|m| m.source == wanted),
    };
    found.map_or(FieldValue::text(Some("N/A")), value)
}
