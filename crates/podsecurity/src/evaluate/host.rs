//! Controls over the host: namespaces, ports, probes, sysctls, host processes.

use super::{Review, remove, set};
use crate::level::Version;
use crate::shown::{plain, quoted};
use jinwu_model::Text;

/// Safe sysctls and the version since which they are: namespaced, without effect on other pods.
const SYSCTLS: [(u16, &[&str]); 5] = [
    (
        0,
        &[
            "kernel.shm_rmid_forced",
            "net.ipv4.ip_local_port_range",
            "net.ipv4.tcp_syncookies",
            "net.ipv4.ping_group_range",
            "net.ipv4.ip_unprivileged_port_start",
        ],
    ),
    (27, &["net.ipv4.ip_local_reserved_ports"]),
    (
        29,
        &["net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes"],
    ),
    (32, &["net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"]),
    (37, &["net.ipv4.tcp_slow_start_after_idle", "net.ipv4.tcp_notsent_lowat"]),
];

/// The sysctls a pod may set in a version.
pub(crate) fn safe_sysctls(version: Version) -> impl Iterator<Item = &'static str> {
    SYSCTLS.into_iter().filter(move |(since, _)| Version::minor(*since) <= version).flat_map(|(_, names)| names.iter().copied())
}

impl Review<'_, '_> {
    pub(super) fn host_namespaces(&mut self) {
        let shared = [
            (self.spec.host_network, "hostNetwork", "网络", "network"),
            (self.spec.host_pid, "hostPID", "进程", "process"),
            (self.spec.host_ipc, "hostIPC", "IPC", "IPC"),
        ];
        for (_, member, zh, en) in shared.into_iter().filter(|(on, ..)| *on) {
            let path = self.spec_path(member);
            self.pod(
                Text::new(format!("Pod 使用宿主机的{zh}命名空间"), format!("the pod uses the host's {en} namespace")),
                set(&path, "false"),
            );
        }
    }

    pub(super) fn host_ports(&mut self) {
        let spec = self.spec;
        for at in spec.all_containers() {
            for (n, port) in at.container.ports.iter().enumerate().filter(|(_, p)| p.host_port != 0) {
                if self.faults.full() {
                    // Ports may be many thousand.
                    self.faults.name(&at.container.name);
                    self.faults.more += 1;
                    continue;
                }
                let path = at.path(self.paths, &format!("ports[{n}].hostPort"));
                self.container(
                    &at,
                    Text::new(format!("占用宿主机端口 {}", port.host_port), format!("takes port {} of the host", port.host_port)),
                    Text::new(format!("删除 {path},经 Service 提供服务"), format!("remove {path} and serve through a Service")),
                );
            }
        }
    }

    pub(super) fn handler_hosts(&mut self) {
        let spec = self.spec;
        for at in spec.all_containers() {
            for (name, handler) in at.container.handlers() {
                for (kind, target) in [("httpGet", &handler.http_get), ("tcpSocket", &handler.tcp_socket)] {
                    let Some(target) = target.as_ref().filter(|t| !t.host.is_empty()) else { continue };
                    let path = at.path(self.paths, &format!("{name}.{kind}.host"));
                    let host = quoted(&target.host);
                    self.container(
                        &at,
                        Text::new(format!("{name} 让 kubelet 访问主机 {host}"), format!("{name} has the kubelet ask host {host}")),
                        remove(&path),
                    );
                }
            }
        }
    }

    pub(super) fn sysctls(&mut self) {
        let sysctls = self.spec.security_context.as_ref().map_or(&[][..], |s| &s.sysctls);
        for (n, sysctl) in sysctls.iter().enumerate() {
            if safe_sysctls(self.version).any(|safe| safe == sysctl.name.as_str()) {
                continue;
            }
            let path = self.spec_path(&format!("securityContext.sysctls[{n}]"));
            let name = plain(&sysctl.name);
            self.pod(Text::new(format!("设置内核参数 {name}"), format!("sets the kernel parameter {name}")), remove(&path));
        }
    }

    pub(super) fn windows_host_process(&mut self) {
        const MEMBER: &str = "securityContext.windowsOptions.hostProcess";
        let spec = self.spec;
        let on = |options: Option<&crate::pod::WindowsOptions<'_>>| options.is_some_and(|o| o.host_process == Some(true));
        if on(spec.security_context.as_ref().and_then(|s| s.windows_options.as_ref())) {
            let path = self.spec_path(MEMBER);
            self.pod(Text::new("Pod 作为宿主机进程运行", "the pod runs as processes of the host"), set(&path, "false"));
        }
        for at in spec.all_containers().filter(|at| on(at.container.security(|s| s.windows_options.as_ref()))) {
            let path = at.path(self.paths, MEMBER);
            self.container(&at, Text::new("作为宿主机进程运行", "runs as a process of the host"), set(&path, "false"));
        }
    }
}
