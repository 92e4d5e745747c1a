//! For every control, the CEL that lists who is at fault.

use super::VERSION;
use crate::control::Control;
use crate::evaluate::{DEFAULT_CAPABILITIES, safe_sysctls, se_linux_types};
use crate::pod::{ALLOWED_SOURCES, APP_ARMOR_ANNOTATION};

/// An expression whose value is a list of strings, empty for a pod that meets the control: names of
/// containers or volumes, `pod` for the pod's own members, names of sysctls and annotations. It uses the shared
/// variables of [`super::native_policy`]. `None` for a control that [`VERSION`] does not have.
pub fn faults(control: Control) -> Option<String> {
    control.revision(VERSION)?;
    Some(match control {
        Control::AppArmorProfile => format!(
            "{} + variables.annotations.filter(k, k.startsWith('{APP_ARMOR_ANNOTATION}') && \
!(variables.annotations[k] in ['', 'runtime/default'] || variables.annotations[k].startsWith('localhost/')))",
            pod_and_secured(|s| unconfined(&format!("{s}.appArmorProfile")))
        ),
        Control::CapabilitiesBaseline => secured(&adds_others("c.securityContext", &DEFAULT_CAPABILITIES)),
        Control::HostNamespaces => ["hostNetwork", "hostPID", "hostIPC"]
            .map(|member| format!("(has(variables.spec.{member}) && variables.spec.{member} ? ['{member}'] : [])"))
            .join(" + "),
        Control::HostPathVolumes => "variables.volumes.filter(v, has(v.hostPath)).map(v, v.name)".to_owned(),
        Control::HostPorts => containers("has(c.ports) && c.ports.exists(p, has(p.hostPort) && p.hostPort != 0)"),
        Control::HostProbesAndHostLifecycle => handler_hosts(),
        Control::Privileged => secured(&is("c.securityContext", "privileged", "c.securityContext.privileged")),
        Control::ProcMount => secured(&is("c.securityContext", "procMount", "c.securityContext.procMount != 'Default'")),
        Control::SeLinuxOptions => pod_and_secured(se_linux),
        Control::SeccompProfileBaseline => pod_and_secured(|s| unconfined(&format!("{s}.seccompProfile"))),
        Control::Sysctls => format!(
            "has(variables.podSecurity.sysctls) ? variables.podSecurity.sysctls.filter(s, !(s.name in {})).map(s, s.name) : []",
            list(safe_sysctls(VERSION))
        ),
        Control::WindowsHostProcess => pod_and_secured(|s| {
            format!("has({s}.windowsOptions) && has({s}.windowsOptions.hostProcess) && {s}.windowsOptions.hostProcess")
        }),
        Control::AllowPrivilegeEscalation => unless_windows(&containers(
            "!(has(c.securityContext) && has(c.securityContext.allowPrivilegeEscalation) && !c.securityContext.allowPrivilegeEscalation)",
        )),
        Control::CapabilitiesRestricted => unless_windows(&containers(&format!(
            "!(has(c.securityContext) && has(c.securityContext.capabilities)) || \
!(has(c.securityContext.capabilities.drop) && 'ALL' in c.securityContext.capabilities.drop) || {}",
            adds_others("c.securityContext", &["NET_BIND_SERVICE"])
        ))),
        Control::RestrictedVolumes => format!(
            "variables.volumes.filter(v, !({})).map(v, v.name)",
            ALLOWED_SOURCES.map(|source| format!("has(v.{source})")).join(" || ")
        ),
        Control::RunAsNonRoot => format!(
            "({pod} && !{p}.runAsNonRoot ? ['pod'] : []) + {}",
            containers(&format!(
                "has(c.securityContext) && has(c.securityContext.runAsNonRoot) ? !c.securityContext.runAsNonRoot : !({pod} && {p}.runAsNonRoot)",
                pod = "has(variables.podSecurity.runAsNonRoot)",
                p = "variables.podSecurity"
            )),
            pod = "has(variables.podSecurity.runAsNonRoot)",
            p = "variables.podSecurity"
        ),
        Control::RunAsUser => pod_and_secured(|s| is(s, "runAsUser", &format!("{s}.runAsUser == 0"))),
        Control::SeccompProfileRestricted => unless_windows(&seccomp_restricted()),
        Control::ProcMountRestricted => return None,
    })
}

/// A CEL string.
pub(super) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n"))
}

fn list<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    format!("[{}]", words.into_iter().map(quote).collect::<Vec<_>>().join(", "))
}

/// Names of the containers for which a condition over `c` holds.
fn containers(condition: &str) -> String {
    format!("variables.containers.filter(c, {condition}).map(c, c.name)")
}

/// The same of those that have a security context.
fn secured(condition: &str) -> String {
    format!("variables.secured.filter(c, {condition}).map(c, c.name)")
}

/// `pod` and containers whose security context, given by its path, meets a condition.
fn pod_and_secured(condition: impl Fn(&str) -> String) -> String {
    format!("({} ? ['pod'] : []) + {}", condition("variables.podSecurity"), secured(&condition("c.securityContext")))
}

fn unless_windows(list: &str) -> String {
    format!("variables.windows ? [] : {list}")
}

/// A member is there and a condition on it holds.
fn is(object: &str, member: &str, condition: &str) -> String {
    format!("has({object}.{member}) && {condition}")
}

/// A profile is there and does not confine.
fn unconfined(profile: &str) -> String {
    format!("has({profile}) && !{}", confines(profile))
}

fn confines(profile: &str) -> String {
    format!("(has({profile}.type) && {profile}.type in ['RuntimeDefault', 'Localhost'])")
}

fn adds_others(security: &str, allowed: &[&str]) -> String {
    let capabilities = format!("{security}.capabilities");
    format!(
        "(has({capabilities}) && has({capabilities}.add) && {capabilities}.add.exists(n, !(n in {})))",
        list(allowed.iter().copied())
    )
}

fn se_linux(security: &str) -> String {
    let options = format!("{security}.seLinuxOptions");
    format!(
        "has({options}) && ((has({options}.type) && !({options}.type in {})) || \
(has({options}.user) && {options}.user != '') || (has({options}.role) && {options}.role != ''))",
        list(se_linux_types(VERSION))
    )
}

fn handler_hosts() -> String {
    let probe = |name: &str| format!("(has(c.{name}) ? [c.{name}] : [])");
    let hook = |name: &str| format!("(has(c.lifecycle) && has(c.lifecycle.{name}) ? [c.lifecycle.{name}] : [])");
    let handlers =
        [probe("livenessProbe"), probe("readinessProbe"), probe("startupProbe"), hook("postStart"), hook("preStop")].join(" + ");
    let host = |kind: &str| format!("(has(h.{kind}) && has(h.{kind}.host) && h.{kind}.host != '')");
    containers(&format!("({handlers}).exists(h, {} || {})", host("httpGet"), host("tcpSocket")))
}

fn seccomp_restricted() -> String {
    let (pod, own) = ("variables.podSecurity.seccompProfile", "c.securityContext.seccompProfile");
    let faulty = format!(
        "has(c.securityContext) && has({own}) ? !{} : !(has({pod}) && {})",
        confines(own),
        confines(pod)
    );
    format!("({} ? ['pod'] : []) + {}", unconfined(pod), containers(&faulty))
}
