//! Privileged mode (特权模式) of clause IP-6: extra rights "to the host's devices, network or file
//! system" (额外的权限,如访问宿主机的设备、网络或文件系统). One finding for each right given.
//!
//! Not seen from here: host files behind a PersistentVolume, devices handed out by device plugins
//! (`resources.limits`), and what a RuntimeClass adds.

mod capability;
mod volume;

pub use capability::{is_root_equal, why_root_equal};

use crate::evaluate::MAX_SHOWN;
use crate::pod::{ContainerAt, Paths, PodSpec, WindowsOptions};
use crate::shown::quoted;
use jinwu_model::Text;
use serde::Serialize;

/// A kind of extra right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Right {
    /// `privileged: true`: every device, every capability.
    Privileged,
    HostNetwork,
    HostPid,
    HostIpc,
    /// A Windows process of the host.
    HostProcess,
    /// A part of the host's file system that the container can write.
    HostPathWritable,
    /// A part of the host's file system that it can read, or that is declared and not mounted.
    HostPathReadable,
    /// A device of the host: below `/dev`, or a block device as such.
    Device,
    /// A capability that equals root.
    Capability,
    HostPort,
    /// An unmasked `/proc`.
    ProcMount,
    /// `allowPrivilegeEscalation: true`, written down.
    PrivilegeEscalation,
    /// The same because nothing was written down. Most pods are like this: a caller may treat it more mildly.
    PrivilegeEscalationByDefault,
}

/// One right, given to one container or to the pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RightFinding {
    pub right: Right,
    /// Name of the container; `None` for the whole pod.
    pub container: Option<String>,
    pub found: Text,
    /// Which member to set to which value.
    pub advice: Text,
}

/// Every extra right of a pod: those of the pod first, then container by container. Ports of one
/// container are one finding, its block devices another.
pub fn privileged_mode(spec: &PodSpec<'_>, paths: &Paths) -> Vec<RightFinding> {
    let mut survey = Survey { spec, paths, rights: Vec::new() };
    survey.pod_rights();
    survey.host_paths();
    for at in spec.all_containers() {
        survey.container_rights(&at);
    }
    survey.rights
}

struct Survey<'s, 'a> {
    spec: &'s PodSpec<'a>,
    paths: &'s Paths,
    rights: Vec<RightFinding>,
}

// === impl Right ===

impl Right {
    pub fn title(self) -> Text {
        let (zh, en) = match self {
            Right::Privileged => ("特权模式", "privileged mode"),
            Right::HostNetwork => ("宿主机网络", "host network"),
            Right::HostPid => ("宿主机进程", "host processes"),
            Right::HostIpc => ("宿主机 IPC", "host IPC"),
            Right::HostProcess => ("Windows 宿主机进程", "Windows host process"),
            Right::HostPathWritable => ("可写的宿主机目录", "writable host path"),
            Right::HostPathReadable => ("宿主机目录", "host path"),
            Right::Device => ("宿主机设备", "host device"),
            Right::Capability => ("等同 root 的能力", "capability that equals root"),
            Right::HostPort => ("宿主机端口", "host port"),
            Right::ProcMount => ("未屏蔽的 /proc", "unmasked /proc"),
            Right::PrivilegeEscalation => ("允许权限提升", "privilege escalation allowed"),
            Right::PrivilegeEscalationByDefault => ("未禁止权限提升", "privilege escalation not forbidden"),
        };
        Text::new(zh, en)
    }
}

// === impl Survey ===

impl Survey<'_, '_> {
    fn pod_rights(&mut self) {
        let shared = [
            (self.spec.host_network, Right::HostNetwork, "hostNetwork", "Pod 使用宿主机网络", "the pod uses the host's network"),
            (self.spec.host_pid, Right::HostPid, "hostPID", "Pod 可见宿主机的全部进程", "the pod sees every process of the host"),
            (self.spec.host_ipc, Right::HostIpc, "hostIPC", "Pod 使用宿主机的 IPC 与共享内存", "the pod uses the host's IPC and shared memory"),
        ];
        for (_, right, member, zh, en) in shared.into_iter().filter(|(on, ..)| *on) {
            let path = format!("{}.{member}", self.paths.spec);
            self.give(right, None, Text::new(zh, en), set(&path, "false"));
        }
        if self.spec.security_context.as_ref().is_some_and(|s| is_host_process(s.windows_options.as_ref())) {
            let path = format!("{}.securityContext.windowsOptions.hostProcess", self.paths.spec);
            let found = Text::new("Pod 作为 Windows 宿主机进程运行", "the pod runs as Windows processes of the host");
            self.give(Right::HostProcess, None, found, set(&path, "false"));
        }
    }

    fn container_rights(&mut self, at: &ContainerAt<'_, '_>) {
        let name = quoted(&at.container.name);
        let security = at.container.security_context.as_ref();
        let path = |member: &str| at.path(self.paths, &format!("securityContext.{member}"));
        let mut rights = Vec::new();
        if security.is_some_and(|s| s.privileged == Some(true)) {
            let found = Text::new(
                format!("容器 {name} 以特权模式运行:全部设备与能力"),
                format!("container {name} runs in privileged mode: all devices, all capabilities"),
            );
            rights.push((Right::Privileged, found, set(&path("privileged"), "false")));
        }
        if security.is_some_and(|s| is_host_process(s.windows_options.as_ref())) {
            let found = Text::new(
                format!("容器 {name} 作为 Windows 宿主机进程运行"),
                format!("container {name} runs as a Windows process of the host"),
            );
            rights.push((Right::HostProcess, found, set(&path("windowsOptions.hostProcess"), "false")));
        }
        let mut told = Vec::new();
        for capability in security.and_then(|s| s.capabilities.as_ref()).map_or(&[][..], |c| &c.add) {
            let Some(why) = why_root_equal(capability).filter(|why| !told.contains(why)) else { continue };
            told.push(why.clone());
            let (capability, member) = (quoted(capability), path("capabilities.add"));
            rights.push((
                Right::Capability,
                Text::new(
                    format!("容器 {name} 增加能力 {capability}:{}", why.zh),
                    format!("container {name} adds the capability {capability}: {}", why.en),
                ),
                Text::new(format!("从 {member} 删除 {capability}"), format!("remove {capability} from {member}")),
            ));
        }
        if let Some(mount) = security.and_then(|s| s.proc_mount.as_ref()).filter(|m| m.as_str() != "Default") {
            let mount = quoted(mount);
            let found = Text::new(format!("容器 {name} 的 /proc 挂载方式为 {mount}"), format!("container {name} mounts /proc as {mount}"));
            rights.push((Right::ProcMount, found, set(&path("procMount"), "Default")));
        }
        let escalation = match security.and_then(|s| s.allow_privilege_escalation) {
            Some(false) => None,
            _ if self.spec.is_windows() => None,
            Some(true) => Some((Right::PrivilegeEscalation, format!("容器 {name} 允许提升权限"), format!("container {name} allows privilege escalation"))),
            None => Some((
                Right::PrivilegeEscalationByDefault,
                format!("容器 {name} 没有禁止提升权限"),
                format!("container {name} does not forbid privilege escalation"),
            )),
        };
        if let Some((right, zh, en)) = escalation {
            rights.push((right, Text::new(zh, en), set(&path("allowPrivilegeEscalation"), "false")));
        }
        let ports: Vec<i32> = at.container.ports.iter().map(|p| p.host_port).filter(|p| *p != 0).collect();
        if !ports.is_empty() {
            let (member, listed) = (at.path(self.paths, "ports[*].hostPort"), first(&ports, i32::to_string));
            rights.push((
                Right::HostPort,
                Text::new(format!("容器 {name} 占用宿主机端口 {listed}"), format!("container {name} takes host ports {listed}")),
                Text::new(format!("删除 {member},经 Service 提供服务"), format!("remove {member} and serve through a Service")),
            ));
        }
        if !at.container.volume_devices.is_empty() {
            let member = at.path(self.paths, "volumeDevices");
            let listed = first(&at.container.volume_devices, |d| quoted(&d.device_path));
            rights.push((
                Right::Device,
                Text::new(format!("容器 {name} 直接使用块设备 {listed}"), format!("container {name} uses block devices as such: {listed}")),
                Text::new(
                    format!("删除 {member},改用 volumeMode 为 Filesystem 的卷"),
                    format!("remove {member} and use a volume of volumeMode Filesystem"),
                ),
            ));
        }
        for (right, found, advice) in rights {
            self.give(right, Some(at.container.name.to_string()), found, advice);
        }
    }

    fn give(&mut self, right: Right, container: Option<String>, found: Text, advice: Text) {
        self.rights.push(RightFinding { right, container, found, advice });
    }
}

fn is_host_process(options: Option<&WindowsOptions<'_>>) -> bool {
    options.is_some_and(|o| o.host_process == Some(true))
}

fn set(path: &str, value: &str) -> Text {
    Text::new(format!("将 {path} 设为 {value}"), format!("set {path} to {value}"))
}

/// The first few of many, and a sign that there are more.
fn first<T>(all: &[T], show: impl Fn(&T) -> String) -> String {
    let mut text = all.iter().take(MAX_SHOWN).map(show).collect::<Vec<_>>().join(", ");
    if all.len() > MAX_SHOWN {
        text.push('…');
    }
    text
}
