//! The table of controls. Versions and forms: `policy/check_*.go` of `k8s.io/pod-security-admission` v0.37.2.

use super::{Control, Revision};
use crate::level::Version;

pub(super) struct Entry {
    pub(super) id: &'static str,
    pub(super) zh: &'static str,
    pub(super) en: &'static str,
    pub(super) clauses: &'static [&'static str],
    pub(super) revisions: &'static [Revision],
}

const fn form(minor: u16, overrides: &'static [Control], zh: &'static str, en: &'static str) -> Revision {
    Revision { since: Version::minor(minor), overrides, zh, en }
}

pub(super) fn entry(control: Control) -> &'static Entry {
    match control {
        Control::AppArmorProfile => &APP_ARMOR_PROFILE,
        Control::CapabilitiesBaseline => &CAPABILITIES_BASELINE,
        Control::HostNamespaces => &HOST_NAMESPACES,
        Control::HostPathVolumes => &HOST_PATH_VOLUMES,
        Control::HostPorts => &HOST_PORTS,
        Control::HostProbesAndHostLifecycle => &HOST_PROBES_AND_HOST_LIFECYCLE,
        Control::Privileged => &PRIVILEGED,
        Control::ProcMount => &PROC_MOUNT,
        Control::SeLinuxOptions => &SE_LINUX_OPTIONS,
        Control::SeccompProfileBaseline => &SECCOMP_PROFILE_BASELINE,
        Control::Sysctls => &SYSCTLS,
        Control::WindowsHostProcess => &WINDOWS_HOST_PROCESS,
        Control::AllowPrivilegeEscalation => &ALLOW_PRIVILEGE_ESCALATION,
        Control::CapabilitiesRestricted => &CAPABILITIES_RESTRICTED,
        Control::ProcMountRestricted => &PROC_MOUNT_RESTRICTED,
        Control::RestrictedVolumes => &RESTRICTED_VOLUMES,
        Control::RunAsNonRoot => &RUN_AS_NON_ROOT,
        Control::RunAsUser => &RUN_AS_USER,
        Control::SeccompProfileRestricted => &SECCOMP_PROFILE_RESTRICTED,
    }
}

static APP_ARMOR_PROFILE: Entry = Entry {
    id: "appArmorProfile",
    zh: "AppArmor 配置",
    en: "AppArmor profile",
    clauses: &["AC-5", "IP-7"],
    revisions: &[form(0, &[], "只能为运行时默认或节点上的配置", "the runtime's default or a profile of the node only")],
};

static CAPABILITIES_BASELINE: Entry = Entry {
    id: "capabilities_baseline",
    zh: "增加的能力",
    en: "added capabilities",
    clauses: &["IP-6"],
    revisions: &[form(0, &[], "只能增加默认集合中的能力,不含 NET_RAW", "only capabilities of the default set may be added, NET_RAW not")],
};

static HOST_NAMESPACES: Entry = Entry {
    id: "hostNamespaces",
    zh: "宿主机命名空间",
    en: "host namespaces",
    clauses: &["IP-6", "AC-5"],
    revisions: &[form(0, &[], "不得共享宿主机的网络、进程与 IPC 命名空间", "network, process and IPC namespaces of the host may not be shared")],
};

static HOST_PATH_VOLUMES: Entry = Entry {
    id: "hostPathVolumes",
    zh: "宿主机目录卷",
    en: "hostPath volumes",
    clauses: &["IP-6", "AC-5"],
    revisions: &[form(0, &[], "不得挂载宿主机的文件系统", "the host's file system may not be mounted")],
};

static HOST_PORTS: Entry = Entry {
    id: "hostPorts",
    zh: "宿主机端口",
    en: "host ports",
    clauses: &["IP-6"],
    revisions: &[form(0, &[], "不得占用宿主机端口", "ports of the host may not be taken")],
};

static HOST_PROBES_AND_HOST_LIFECYCLE: Entry = Entry {
    id: "hostProbesAndHostLifecycle",
    zh: "探针与钩子的目标主机",
    en: "host of probes and hooks",
    clauses: &["IP-6", "IP-7"],
    revisions: &[form(34, &[], "探针与生命周期钩子不得指定主机,否则 kubelet 代容器访问宿主机网络", "probes and lifecycle hooks may not name a host: kubelet would ask it from the host's network")],
};

static PRIVILEGED: Entry = Entry {
    id: "privileged",
    zh: "特权容器",
    en: "privileged containers",
    clauses: &["IP-6", "AC-5"],
    revisions: &[form(0, &[], "不得以特权模式运行", "no privileged mode")],
};

static PROC_MOUNT: Entry = Entry {
    id: "procMount",
    zh: "/proc 挂载方式",
    en: "/proc mount",
    clauses: &["IP-6", "AC-5"],
    revisions: &[
        form(0, &[], "只能为 Default", "Default only"),
        form(35, &[], "只能为 Default,拥有独立用户命名空间的 Pod 除外", "Default only, unless the pod has a user namespace of its own"),
    ],
};

static SE_LINUX_OPTIONS: Entry = Entry {
    id: "seLinuxOptions",
    zh: "SELinux 选项",
    en: "SELinux options",
    clauses: &["AC-5", "IP-7"],
    revisions: &[
        form(0, &[], "类型只能为容器类型,不得设置用户与角色", "container types only; user and role may not be set"),
        form(31, &[], "类型增加 container_engine_t", "container_engine_t is one more type"),
    ],
};

static SECCOMP_PROFILE_BASELINE: Entry = Entry {
    id: "seccompProfile_baseline",
    zh: "seccomp 配置",
    en: "seccomp profile",
    clauses: &["AC-5", "IP-7"],
    revisions: &[
        form(0, &[], "注解不得关闭 seccomp", "annotations may not turn seccomp off"),
        form(19, &[], "字段不得关闭 seccomp", "fields may not turn seccomp off"),
    ],
};

static SYSCTLS: Entry = Entry {
    id: "sysctls",
    zh: "内核参数",
    en: "sysctls",
    clauses: &["IP-6", "AC-5"],
    revisions: &[
        form(0, &[], "只能设置 5 个安全的参数", "five safe ones only"),
        form(27, &[], "增加 net.ipv4.ip_local_reserved_ports", "net.ipv4.ip_local_reserved_ports is one more"),
        form(29, &[], "增加 tcp_keepalive_* 与 tcp_fin_timeout", "tcp_keepalive_* and tcp_fin_timeout are more"),
        form(32, &[], "增加 tcp_rmem 与 tcp_wmem", "tcp_rmem and tcp_wmem are more"),
        form(37, &[], "增加 tcp_slow_start_after_idle 与 tcp_notsent_lowat", "tcp_slow_start_after_idle and tcp_notsent_lowat are more"),
    ],
};

static WINDOWS_HOST_PROCESS: Entry = Entry {
    id: "windowsHostProcess",
    zh: "Windows 宿主机进程",
    en: "Windows host process",
    clauses: &["IP-6", "AC-5"],
    revisions: &[form(0, &[], "不得作为宿主机进程运行", "no process of the host")],
};

static ALLOW_PRIVILEGE_ESCALATION: Entry = Entry {
    id: "allowPrivilegeEscalation",
    zh: "权限提升",
    en: "privilege escalation",
    clauses: &["IP-6"],
    revisions: &[
        form(8, &[], "必须为 false", "must be false"),
        form(25, &[], "必须为 false,Windows Pod 除外", "must be false, except in Windows pods"),
    ],
};

static CAPABILITIES_RESTRICTED: Entry = Entry {
    id: "capabilities_restricted",
    zh: "能力限制",
    en: "restricted capabilities",
    clauses: &["IP-6"],
    revisions: &[
        form(22, &[Control::CapabilitiesBaseline], "必须丢弃 ALL,只能增加 NET_BIND_SERVICE", "ALL must be dropped, only NET_BIND_SERVICE may be added"),
        form(25, &[Control::CapabilitiesBaseline], "同上,Windows Pod 除外", "the same, except in Windows pods"),
    ],
};

static PROC_MOUNT_RESTRICTED: Entry = Entry {
    id: "procMount_restricted",
    zh: "/proc 挂载方式(限制级)",
    en: "/proc mount (restricted)",
    clauses: &["IP-6", "AC-5"],
    revisions: &[form(35, &[Control::ProcMount], "只能为 Default,即使有独立用户命名空间", "Default only, even with a user namespace of its own")],
};

static RESTRICTED_VOLUMES: Entry = Entry {
    id: "restrictedVolumes",
    zh: "卷类型",
    en: "volume types",
    clauses: &["IP-6", "AC-5"],
    revisions: &[form(0, &[Control::HostPathVolumes], "只能使用集群提供的卷类型", "volume types that the cluster provides only")],
};

static RUN_AS_NON_ROOT: Entry = Entry {
    id: "runAsNonRoot",
    zh: "非 root 运行",
    en: "running as non-root",
    clauses: &["IP-6"],
    revisions: &[
        form(0, &[], "Pod 或每个容器必须为 true", "true at the pod or at every container"),
        form(35, &[], "同上,拥有独立用户命名空间的 Pod 除外", "the same, unless the pod has a user namespace of its own"),
    ],
};

static RUN_AS_USER: Entry = Entry {
    id: "runAsUser",
    zh: "运行用户",
    en: "running user",
    clauses: &["IP-6"],
    revisions: &[
        form(23, &[], "不得为 0", "not 0"),
        form(35, &[], "不得为 0,拥有独立用户命名空间的 Pod 除外", "not 0, unless the pod has a user namespace of its own"),
    ],
};

static SECCOMP_PROFILE_RESTRICTED: Entry = Entry {
    id: "seccompProfile_restricted",
    zh: "seccomp 配置(限制级)",
    en: "seccomp profile (restricted)",
    clauses: &["AC-5", "IP-7"],
    revisions: &[
        form(19, &[Control::SeccompProfileBaseline], "Pod 或每个容器必须设置", "set at the pod or at every container"),
        form(25, &[Control::SeccompProfileBaseline], "同上,Windows Pod 除外", "the same, except in Windows pods"),
    ],
};
