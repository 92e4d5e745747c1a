//! Containers: init, ordinary and ephemeral ones have the same members here.

use super::read::{List, Word, object};
use crate::pod::Paths;
use serde::{Deserialize, Serialize};

/// Which list of the pod a container stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContainerKind {
    Init,
    Ordinary,
    Ephemeral,
}

/// A container and its place in the pod.
#[derive(Clone, Copy, Debug)]
pub struct ContainerAt<'c, 'a> {
    pub kind: ContainerKind,
    /// Position in its list, from 0.
    pub index: usize,
    pub container: &'c Container<'a>,
}

/// `spec.containers[*]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container<'a> {
    pub name: Word<'a>,
    pub image: Word<'a>,
    pub ports: List<Port>,
    pub security_context: Option<SecurityContext<'a>>,
    pub liveness_probe: Option<Handler<'a>>,
    pub readiness_probe: Option<Handler<'a>>,
    pub startup_probe: Option<Handler<'a>>,
    pub lifecycle: Option<Lifecycle<'a>>,
    pub volume_mounts: List<VolumeMount<'a>>,
    pub volume_devices: List<VolumeDevice<'a>>,
}

object!(Container<'a> {
    "name" => name,
    "image" => image,
    "ports" => ports,
    "securityContext" => security_context,
    "livenessProbe" => liveness_probe,
    "readinessProbe" => readiness_probe,
    "startupProbe" => startup_probe,
    "lifecycle" => lifecycle,
    "volumeMounts" => volume_mounts,
    "volumeDevices" => volume_devices,
});

/// `ports[*]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Port {
    /// 0: no port of the host.
    pub host_port: i32,
}

object!(Port { "hostPort" => host_port });

/// `securityContext` of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecurityContext<'a> {
    pub privileged: Option<bool>,
    pub allow_privilege_escalation: Option<bool>,
    pub run_as_user: Option<i64>,
    pub run_as_group: Option<i64>,
    pub run_as_non_root: Option<bool>,
    pub capabilities: Option<Capabilities<'a>>,
    pub proc_mount: Option<Word<'a>>,
    pub se_linux_options: Option<SeLinuxOptions<'a>>,
    pub seccomp_profile: Option<Profile<'a>>,
    pub app_armor_profile: Option<Profile<'a>>,
    pub windows_options: Option<WindowsOptions<'a>>,
}

object!(SecurityContext<'a> {
    "privileged" => privileged,
    "allowPrivilegeEscalation" => allow_privilege_escalation,
    "runAsUser" => run_as_user,
    "runAsGroup" => run_as_group,
    "runAsNonRoot" => run_as_non_root,
    "capabilities" => capabilities,
    "procMount" => proc_mount,
    "seLinuxOptions" => se_linux_options,
    "seccompProfile" => seccomp_profile,
    "appArmorProfile" => app_armor_profile,
    "windowsOptions" => windows_options,
});

/// `capabilities`; names without `CAP_`, as Kubernetes has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities<'a> {
    pub add: List<Word<'a>>,
    pub drop: List<Word<'a>>,
}

object!(Capabilities<'a> { "add" => add, "drop" => drop });

/// `seLinuxOptions`, without `level`, which no control limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeLinuxOptions<'a> {
    pub kind: Word<'a>,
    pub user: Word<'a>,
    pub role: Word<'a>,
}

object!(SeLinuxOptions<'a> { "type" => kind, "user" => user, "role" => role });

/// `seccompProfile` and `appArmorProfile`: `RuntimeDefault`, `Localhost`, `Unconfined`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile<'a> {
    pub kind: Word<'a>,
}

object!(Profile<'a> { "type" => kind });

/// `windowsOptions`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WindowsOptions<'a> {
    pub host_process: Option<bool>,
    pub run_as_user_name: Option<Word<'a>>,
}

object!(WindowsOptions<'a> { "hostProcess" => host_process, "runAsUserName" => run_as_user_name });

/// `lifecycle`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lifecycle<'a> {
    pub post_start: Option<Handler<'a>>,
    pub pre_stop: Option<Handler<'a>>,
}

object!(Lifecycle<'a> { "postStart" => post_start, "preStop" => pre_stop });

/// What a probe or a lifecycle hook asks over the network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handler<'a> {
    pub http_get: Option<HandlerHost<'a>>,
    pub tcp_socket: Option<HandlerHost<'a>>,
}

object!(Handler<'a> { "httpGet" => http_get, "tcpSocket" => tcp_socket });

/// `httpGet` and `tcpSocket`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HandlerHost<'a> {
    /// Empty: the pod's own address.
    pub host: Word<'a>,
}

object!(HandlerHost<'a> { "host" => host });

/// `volumeMounts[*]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumeMount<'a> {
    pub name: Word<'a>,
    pub mount_path: Word<'a>,
    pub read_only: bool,
}

object!(VolumeMount<'a> { "name" => name, "mountPath" => mount_path, "readOnly" => read_only });

/// `volumeDevices[*]`: a block device given to the container as such.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumeDevice<'a> {
    pub name: Word<'a>,
    pub device_path: Word<'a>,
}

object!(VolumeDevice<'a> { "name" => name, "devicePath" => device_path });

// === impl ContainerKind ===

impl ContainerKind {
    /// The list's name in a pod's spec.
    pub fn member(self) -> &'static str {
        match self {
            ContainerKind::Init => "initContainers",
            ContainerKind::Ordinary => "containers",
            ContainerKind::Ephemeral => "ephemeralContainers",
        }
    }
}

// === impl ContainerAt ===

impl ContainerAt<'_, '_> {
    /// `spec.containers[0].securityContext.privileged`, for the last word given.
    pub fn path(&self, paths: &Paths, member: &str) -> String {
        format!("{}.{}[{}].{member}", paths.spec, self.kind.member(), self.index)
    }
}

// === impl Container ===

impl<'a> Container<'a> {
    /// Every probe and hook, with its name in the container.
    pub fn handlers(&self) -> impl Iterator<Item = (&'static str, &Handler<'a>)> {
        let hooks = self.lifecycle.as_ref();
        [
            ("livenessProbe", self.liveness_probe.as_ref()),
            ("readinessProbe", self.readiness_probe.as_ref()),
            ("startupProbe", self.startup_probe.as_ref()),
            ("lifecycle.postStart", hooks.and_then(|l| l.post_start.as_ref())),
            ("lifecycle.preStop", hooks.and_then(|l| l.pre_stop.as_ref())),
        ]
        .into_iter()
        .filter_map(|(name, handler)| Some((name, handler?)))
    }

    /// A member of the security context, if there is one.
    pub(crate) fn security<'s, T>(&'s self, member: impl FnOnce(&'s SecurityContext<'a>) -> Option<T>) -> Option<T> {
        self.security_context.as_ref().and_then(member)
    }
}
