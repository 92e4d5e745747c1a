//! A pod against a level of a version.

mod host;
mod profile;
mod right;
mod user;
mod volume;

pub(crate) use host::safe_sysctls;
pub(crate) use profile::se_linux_types;
pub(crate) use right::DEFAULT_CAPABILITIES;

use crate::control::Control;
use crate::level::{Level, Version};
use crate::pod::{ContainerAt, Paths, PodMetadata, PodSpec};
use jinwu_model::Text;
use serde::Serialize;

/// Places that the texts of one finding spell out; more are counted.
pub const MAX_SHOWN: usize = 10;

/// One control that a pod does not meet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub control: Control,
    /// Members of the pod itself are at fault.
    pub pod: bool,
    /// Names of the containers at fault, in the pod's order: init, ordinary, ephemeral.
    pub containers: Vec<String>,
    /// What was found, place by place.
    pub found: Text,
    /// Which member to set to which value.
    pub advice: Text,
}

/// Judges a pod. Findings come in the order of [`Control`]; none means that it meets the level.
/// A version newer than [`Version::NEWEST`] is judged like it.
pub fn evaluate(level: Level, version: Version, metadata: &PodMetadata<'_>, spec: &PodSpec<'_>) -> Vec<Finding> {
    evaluate_at(level, version, metadata, spec, &Paths::pod())
}

/// [`evaluate`] for a pod inside another object: advice names members below `paths`.
pub fn evaluate_at(level: Level, version: Version, metadata: &PodMetadata<'_>, spec: &PodSpec<'_>, paths: &Paths) -> Vec<Finding> {
    Control::in_force(level, version).filter_map(|control| evaluate_control(control, version, metadata, spec, paths)).collect()
}

/// One control by itself, in the form it has in a version, whatever replaces it. `None`: the pod meets it,
/// or the version does not have it.
pub fn evaluate_control(control: Control, version: Version, metadata: &PodMetadata<'_>, spec: &PodSpec<'_>, paths: &Paths) -> Option<Finding> {
    control.revision(version)?;
    let mut review = Review { version, metadata, spec, paths, faults: Faults::default() };
    review.judge(control);
    review.faults.finding(control)
}

/// A control under review.
struct Review<'r, 'a> {
    version: Version,
    metadata: &'r PodMetadata<'a>,
    spec: &'r PodSpec<'a>,
    paths: &'r Paths,
    faults: Faults,
}

/// Members at fault: texts of the first [`MAX_SHOWN`], and the number of the others.
#[derive(Default)]
struct Faults {
    pod: bool,
    containers: Vec<String>,
    found: Vec<Text>,
    advice: Vec<Text>,
    more: usize,
}

// === impl Review ===

impl<'r, 'a> Review<'r, 'a> {
    fn judge(&mut self, control: Control) {
        match control {
            Control::AppArmorProfile => self.app_armor_profile(),
            Control::CapabilitiesBaseline => self.capabilities_baseline(),
            Control::HostNamespaces => self.host_namespaces(),
            Control::HostPathVolumes => self.host_path_volumes(),
            Control::HostPorts => self.host_ports(),
            Control::HostProbesAndHostLifecycle => self.handler_hosts(),
            Control::Privileged => self.privileged(),
            Control::ProcMount => self.proc_mount(self.own_users_since(35)),
            Control::ProcMountRestricted => self.proc_mount(false),
            Control::SeLinuxOptions => self.se_linux_options(),
            Control::SeccompProfileBaseline => self.seccomp_profile_baseline(),
            Control::Sysctls => self.sysctls(),
            Control::WindowsHostProcess => self.windows_host_process(),
            Control::AllowPrivilegeEscalation => self.allow_privilege_escalation(),
            Control::CapabilitiesRestricted => self.capabilities_restricted(),
            Control::RestrictedVolumes => self.restricted_volumes(),
            Control::RunAsNonRoot => self.run_as_non_root(),
            Control::RunAsUser => self.run_as_user(),
            Control::SeccompProfileRestricted => self.seccomp_profile_restricted(),
        }
    }

    /// Since this version, a user namespace of one's own lifts the control.
    fn own_users_since(&self, minor: u16) -> bool {
        self.version >= Version::minor(minor) && self.spec.has_own_users()
    }

    /// Since 1.25, controls over what Windows does not have spare Windows pods.
    fn spares_windows(&self) -> bool {
        self.version >= Version::minor(25) && self.spec.is_windows()
    }

    /// A fault of the pod itself.
    fn pod(&mut self, found: Text, advice: Text) {
        self.faults.pod = true;
        self.faults.add(found, advice);
    }

    /// A fault of a container: what was found is prefixed with its name.
    fn container(&mut self, at: &ContainerAt<'_, '_>, found: Text, advice: Text) {
        self.faults.name(&at.container.name);
        let name = crate::shown::quoted(&at.container.name);
        let found = Text::new(format!("容器 {name}:{}", found.zh), format!("container {name}: {}", found.en));
        self.faults.add(found, advice);
    }

    /// A member of the pod's spec.
    fn spec_path(&self, member: &str) -> String {
        format!("{}.{member}", self.paths.spec)
    }
}

/// "Set `path` to `value`."
fn set(path: &str, value: &str) -> Text {
    Text::new(format!("将 {path} 设为 {value}"), format!("set {path} to {value}"))
}

/// "Remove `path`."
fn remove(path: &str) -> Text {
    Text::new(format!("删除 {path}"), format!("remove {path}"))
}

// === impl Faults ===

impl Faults {
    /// More texts would not be shown.
    fn full(&self) -> bool {
        self.found.len() == MAX_SHOWN
    }

    fn name(&mut self, container: &str) {
        // Faults of one container follow each other.
        if self.containers.last().is_none_or(|last| last != container) {
            self.containers.push(container.to_owned());
        }
    }

    fn add(&mut self, found: Text, advice: Text) {
        if self.full() {
            self.more += 1;
        } else {
            self.found.push(found);
            self.advice.push(advice);
        }
    }

    fn finding(self, control: Control) -> Option<Finding> {
        if self.found.is_empty() {
            return None;
        }
        let title = control.title();
        let found = join(&self.found, self.more);
        Some(Finding {
            control,
            pod: self.pod,
            containers: self.containers,
            found: Text::new(format!("{}:{}", title.zh, found.zh), format!("{}: {}", title.en, found.en)),
            advice: join(&self.advice, self.more),
        })
    }
}

/// One text of all, and how many there are beyond.
fn join(texts: &[Text], more: usize) -> Text {
    let mut joined = Text::default();
    for text in texts {
        if !joined.zh.is_empty() {
            joined.zh.push(';');
            joined.en.push_str("; ");
        }
        joined.zh.push_str(&text.zh);
        joined.en.push_str(&text.en);
    }
    if more > 0 {
        joined.zh.push_str(&format!(";另有 {more} 处"));
        joined.en.push_str(&format!("; {more} more"));
    }
    joined
}
