//! Capabilities with which a container does what root of the host does. Source: capabilities(7).

use jinwu_model::Text;

const ROOT_EQUAL: [(&str, &str, &str); 18] = [
    ("ALL", "全部能力", "all of them"),
    ("SYS_ADMIN", "可挂载文件系统、进入命名空间", "mounts file systems, enters namespaces"),
    ("SYS_MODULE", "可装载内核模块", "loads kernel modules"),
    ("SYS_PTRACE", "可读写其他进程的内存", "reads and writes the memory of other processes"),
    ("SYS_RAWIO", "可直接访问设备与内存", "accesses devices and memory directly"),
    ("SYS_BOOT", "可重启宿主机、装载新内核", "restarts the host, loads another kernel"),
    ("SYS_TIME", "可改宿主机时钟", "sets the host's clock"),
    ("SYSLOG", "可读内核日志与内核地址", "reads the kernel's log and addresses"),
    ("DAC_READ_SEARCH", "可按句柄打开宿主机上的任何文件", "opens any file of the host by its handle"),
    ("NET_ADMIN", "可改网卡、路由与防火墙", "changes interfaces, routes and firewalls"),
    ("NET_RAW", "可伪造与窃听网络报文", "forges packets and listens to them"),
    ("BPF", "可向内核装载程序", "loads programs into the kernel"),
    ("PERFMON", "可观测整个内核", "observes the whole kernel"),
    ("MAC_ADMIN", "可改强制访问控制策略", "changes mandatory access control"),
    ("MAC_OVERRIDE", "可绕过强制访问控制", "bypasses mandatory access control"),
    ("AUDIT_CONTROL", "可关闭内核审计", "turns the kernel's audit off"),
    ("CHECKPOINT_RESTORE", "可读写其他进程的状态", "reads and writes the state of other processes"),
    ("SYS_RESOURCE", "可越过资源限制", "exceeds resource limits"),
];

/// Why a capability gives rights of the host's root; `None` if it does not. Runtimes take the name in
/// any case and with or without `CAP_`, so this does too.
pub fn why_root_equal(capability: &str) -> Option<Text> {
    let upper = capability.trim().to_ascii_uppercase();
    let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
    ROOT_EQUAL.iter().find(|(known, ..)| *known == name).map(|(_, zh, en)| Text::new(*zh, *en))
}

/// [`why_root_equal`] has an answer.
pub fn is_root_equal(capability: &str) -> bool {
    why_root_equal(capability).is_some()
}
