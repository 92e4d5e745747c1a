//! Controls over what a container may do in the kernel: privileged mode, capabilities, escalation, /proc.

use super::{Review, set};
use crate::pod::{ContainerAt, Word};
use crate::shown::{plain, quoted};
use jinwu_model::Text;

/// The capabilities a container has by default, without NET_RAW.
pub(crate) const DEFAULT_CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

impl Review<'_, '_> {
    pub(super) fn privileged(&mut self) {
        let spec = self.spec;
        for at in spec.all_containers().filter(|at| at.container.security(|s| s.privileged) == Some(true)) {
            let path = at.path(self.paths, "securityContext.privileged");
            self.container(&at, Text::new("以特权模式运行", "runs in privileged mode"), set(&path, "false"));
        }
    }

    pub(super) fn capabilities_baseline(&mut self) {
        let spec = self.spec;
        for at in spec.all_containers() {
            self.added_capabilities(&at, &DEFAULT_CAPABILITIES);
        }
    }

    pub(super) fn capabilities_restricted(&mut self) {
        if self.spares_windows() {
            return;
        }
        let spec = self.spec;
        for at in spec.all_containers() {
            let dropped = at.container.security(|s| s.capabilities.as_ref()).is_some_and(|c| c.drop.iter().any(|c| c.as_str() == "ALL"));
            if !dropped {
                let path = at.path(self.paths, "securityContext.capabilities.drop");
                self.container(&at, Text::new("没有丢弃全部能力", "does not drop all capabilities"), set(&path, "[\"ALL\"]"));
            }
            self.added_capabilities(&at, &["NET_BIND_SERVICE"]);
        }
    }

    fn added_capabilities(&mut self, at: &ContainerAt<'_, '_>, allowed: &[&str]) {
        let Some(capabilities) = at.container.security(|s| s.capabilities.as_ref()) else { return };
        let others: Vec<&Word<'_>> = capabilities.add.iter().filter(|c| !allowed.contains(&c.as_str())).collect();
        if others.is_empty() {
            return;
        }
        let mut names = others.iter().take(super::MAX_SHOWN).map(|c| plain(c)).collect::<Vec<_>>().join(", ");
        if others.len() > super::MAX_SHOWN {
            names.push('…');
        }
        let path = at.path(self.paths, "securityContext.capabilities.add");
        self.container(
            at,
            Text::new(format!("增加能力 {names}"), format!("adds {names}")),
            Text::new(format!("从 {path} 删除 {names}"), format!("remove {names} from {path}")),
        );
    }

    pub(super) fn allow_privilege_escalation(&mut self) {
        if self.spares_windows() {
            return;
        }
        let spec = self.spec;
        for at in spec.all_containers() {
            let found = match at.container.security(|s| s.allow_privilege_escalation) {
                Some(false) => continue,
                Some(true) => Text::new("允许提升权限", "allows privilege escalation"),
                None => Text::new("没有禁止提升权限", "does not forbid privilege escalation"),
            };
            let path = at.path(self.paths, "securityContext.allowPrivilegeEscalation");
            self.container(&at, found, set(&path, "false"));
        }
    }

    /// `lifted`: a user namespace of its own makes an unmasked /proc harmless.
    pub(super) fn proc_mount(&mut self, lifted: bool) {
        if lifted {
            return;
        }
        let spec = self.spec;
        for at in spec.all_containers() {
            let Some(mount) = at.container.security(|s| s.proc_mount.as_ref()).filter(|m| m.as_str() != "Default") else { continue };
            let path = at.path(self.paths, "securityContext.procMount");
            let mount = quoted(mount);
            self.container(&at, Text::new(format!("/proc 挂载方式为 {mount}"), format!("mounts /proc as {mount}")), set(&path, "Default"));
        }
    }
}
