//! The controls as CEL, in the form of a ValidatingAdmissionPolicy of Kubernetes itself: what still
//! holds when no webhook answers.
//!
//! All controls stand in **one** object, because each object costs the API server a conversion of
//! everything it looks at: sixteen of them cost twelve times the CPU of one with sixteen validations.
//! Every control is a variable that lists who is at fault (container names, volume names, `pod`); a
//! variable is computed when it is asked for, and once.
//!
//! Modes come from a ConfigMap: `data` maps a control's id to `block`, `alert` or `allow`. A control that
//! is missing there, or whose word is another, blocks. An alert is an audit annotation, `alerts`.
//!
//! The form is that of [`VERSION`]. Nothing of it needs more than core CEL, but for `join` in messages.

mod faults;

pub use faults::faults;

use crate::control::Control;
use crate::level::{Level, Version};
use jinwu_model::Mode;
use serde_json::{Map, Value, json};

/// The version of the standards that the expressions follow.
pub const VERSION: Version = Version::minor(34);

/// Name of the policy object.
pub const POLICY_NAME: &str = "jinwu-pod-security";

/// Key of the audit annotation that lists the controls in mode alert which the pod does not meet; the API server
/// puts the policy's name and a slash before it.
pub const ALERTS: &str = "alerts";

/// Key of the audit annotation that lists the controls for which the pod was refused: the API server itself names the
/// first one only.
pub const DENIALS: &str = "denials";

/// Updates that change nothing of the pod do not match: labels, status and finalizers never deny. Of a running
/// pod only images and ephemeral containers can change. The API server leaves an empty subresource out.
const CHANGED: &str = "request.operation != 'UPDATE' || (has(request.subResource) && request.subResource == 'ephemeralcontainers') || \
(request.kind.kind == 'Pod' ? \
(object.spec.containers.map(c, has(c.image) ? c.image : '') != oldObject.spec.containers.map(c, has(c.image) ? c.image : '') || \
(has(object.spec.initContainers) ? object.spec.initContainers : []).map(c, has(c.image) ? c.image : '') != \
(has(oldObject.spec.initContainers) ? oldObject.spec.initContainers : []).map(c, has(c.image) ? c.image : '')) : \
request.kind.kind == 'PodTemplate' ? object.template != oldObject.template : \
request.kind.kind == 'CronJob' ? object.spec.jobTemplate != oldObject.spec.jobTemplate : \
has(object.spec.template) != has(oldObject.spec.template) || (has(object.spec.template) && object.spec.template != oldObject.spec.template))";

/// What the expressions of the controls share, in the order in which one uses another.
const SHARED: [(&str, &str); 12] = [
    (
        "pod",
        "request.kind.kind == 'Pod' ? object : \
request.kind.kind == 'PodTemplate' ? (has(object.template) ? object.template : {}) : \
request.kind.kind == 'CronJob' ? object.spec.jobTemplate.spec.template : \
(has(object.spec.template) ? object.spec.template : {})",
    ),
    ("spec", "has(variables.pod.spec) ? variables.pod.spec : {}"),
    ("annotations", "has(variables.pod.metadata) && has(variables.pod.metadata.annotations) ? variables.pod.metadata.annotations : {}"),
    ("podSecurity", "has(variables.spec.securityContext) ? variables.spec.securityContext : {}"),
    ("windows", "has(variables.spec.os) && has(variables.spec.os.name) && variables.spec.os.name == 'windows'"),
    ("volumes", "has(variables.spec.volumes) ? variables.spec.volumes : []"),
    (
        "containers",
        "(has(variables.spec.initContainers) ? variables.spec.initContainers : []) + \
(has(variables.spec.containers) ? variables.spec.containers : []) + \
(has(variables.spec.ephemeralContainers) ? variables.spec.ephemeralContainers : [])",
    ),
    ("secured", "variables.containers.filter(c, has(c.securityContext))"),
    ("modes", "params != null && has(params.data) ? params.data : {}"),
    ("alerted", "variables.modes.filter(control, variables.modes[control] == 'alert')"),
    ("allowed", "variables.modes.filter(control, variables.modes[control] == 'allow')"),
    ("spared", "variables.alerted + variables.allowed"),
];

/// The ValidatingAdmissionPolicy for some controls, in the order of [`Control`]. Controls that [`VERSION`] does
/// not have are left out. It needs a binding that names the ConfigMap, with `parameterNotFoundAction: Deny`
/// and `validationActions: [Deny]`.
pub fn native_policy(controls: &[Control]) -> Value {
    let controls: Vec<(Control, String)> =
        Control::ALL.into_iter().filter(|c| controls.contains(c)).filter_map(|c| Some((c, faults(c)?))).collect();
    let shared = SHARED.iter().map(|(name, expression)| json!({ "name": name, "expression": expression }));
    let own = controls.iter().map(|(control, faults)| json!({ "name": control.id(), "expression": faults }));
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": { "name": POLICY_NAME },
        "spec": {
            "failurePolicy": "Fail",
            "paramKind": { "apiVersion": "v1", "kind": "ConfigMap" },
            "matchConstraints": { "matchPolicy": "Equivalent", "resourceRules": [
                rule("", "v1", &["pods", "pods/ephemeralcontainers", "podtemplates", "replicationcontrollers"]),
                rule("apps", "v1", &["replicasets", "deployments", "statefulsets", "daemonsets"]),
                rule("batch", "v1", &["jobs", "cronjobs"]),
            ] },
            "matchConditions": [{ "name": "changed", "expression": CHANGED }],
            "variables": shared.chain(own).collect::<Vec<_>>(),
            "validations": controls.iter().map(|(control, _)| validation(*control)).collect::<Vec<_>>(),
            "auditAnnotations": [
                { "key": ALERTS, "valueExpression": failed(&controls, "c in variables.alerted") },
                { "key": DENIALS, "valueExpression": failed(&controls, "!(c in variables.spared)") },
            ],
        }
    })
}

/// The ConfigMap's `data` for a level: its controls in one mode, all others allowed.
pub fn parameters(level: Level, mode: Mode) -> Value {
    let in_force: Vec<Control> = Control::in_force(level, VERSION).collect();
    let word = |control: &Control| match mode {
        Mode::Block if in_force.contains(control) => "block",
        Mode::Alert if in_force.contains(control) => "alert",
        _ => "allow",
    };
    Value::Object(Control::ALL.iter().map(|control| (control.id().to_owned(), json!(word(control)))).collect::<Map<_, _>>())
}

fn rule(group: &str, version: &str, resources: &[&str]) -> Value {
    json!({ "apiGroups": [group], "apiVersions": [version], "operations": ["CREATE", "UPDATE"], "resources": resources })
}

/// Who is at fault stands in the message, if it can be made; else the rule alone.
fn validation(control: Control) -> Value {
    let (id, title) = (control.id(), control.title());
    let (zh, en) = control.revision(VERSION).map_or(("", ""), |form| (form.zh, form.en));
    let (title, rule) = (format!("{} / {}", title.zh, title.en), format!("{zh} / {en}"));
    json!({
        "expression": format!("'{id}' in variables.spared || size(variables.{id}) == 0"),
        "message": format!("{title}: {rule}"),
        "messageExpression": format!("{} + variables.{id}.join(', ') + {}", faults::quote(&format!("{title}: ")), faults::quote(&format!(": {rule}"))),
        "reason": "Forbidden",
    })
}

/// The controls that the pod does not meet and for which `condition` on `c` holds, with commas between. No annotation is
/// made of an empty string.
fn failed(controls: &[(Control, String)], condition: &str) -> String {
    let list: Vec<String> = controls.iter().map(|(control, _)| faults::quote(control.id())).collect();
    let failed: Vec<String> =
        controls.iter().map(|(control, _)| format!("(c == '{0}' && size(variables.{0}) > 0)", control.id())).collect();
    if list.is_empty() {
        return "''".to_owned();
    }
    format!("[{}].filter(c, {condition} && ({})).join(', ')", list.join(", "), failed.join(" || "))
}
