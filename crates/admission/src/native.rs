//! What holds while no gate answers: the controls of pods as a ValidatingAdmissionPolicy, which the API
//! server evaluates itself.
//!
//! As long as a gate is ready, by the EndpointSlices of its service, the policy leaves everything to it, whose
//! answers say more. It is bound where a webhook that nobody answers lets requests pass: in the platform's
//! namespaces always, in the others only while their webhook is open on failure ([`Reach`]). Where the webhook is
//! closed the API server refuses by itself, and a policy bound there would cost it the conversion of every object
//! for CEL (docs/benchmarks.md).
//!
//! Modes by namespace and level, exceptions and base platform of the bundle stand in the policy as constants: a new
//! bundle gives a new policy. They are no parameters because a policy has one kind of these, and a request is evaluated
//! for each object of it apart, never for two together. The one kind must be that of EndpointSlices: whether a gate is
//! ready can only be told by what others keep true when all gates are dead, and no gate can write that into an object of
//! its own. Replacing the policy is as fast as writing a parameter: the API server has it 0.02 to 0.3 s after the command
//! that changed a mode, and compiles it at its next look, once a second.
//!
//! Stricter than the gate in one case: of a pod whose containers are partly base platform, no control is spared.
//!
//! In audit events: [`FAILURES`] has the message of a refusal, `jinwu-pod-security/denials` all controls that led to
//! it, `…/alerts` the controls in mode alert that a pod did not meet, `…/level` the level it was judged at; [`read_audit`] reads them, and
//! [`judgement`] makes of them what the gate would have recorded.

use crate::check::CONTROLLERS;
use crate::judge::Judgement;
use crate::protocol::WorkloadException;
use crate::rules::{LEVEL_LABEL, OTHERS, Rules, Scope, level};
use jinwu_model::{Decision, DecisionId, Gate, Mode, PolicyId, ProtectionLevel, Text, Violation};
use jinwu_podsecurity::expressions::{ALERTS, DENIALS, POLICY_NAME, VERSION, faults};
use jinwu_podsecurity::{Control, native_policy};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Names of the policy, of its binding, and of the binding for namespaces of the platform.
pub const NAMES: [&str; 2] = [POLICY_NAME, "jinwu-pod-security-platform"];

/// Key of the audit annotation by which the API server lists failed validations.
pub const FAILURES: &str = "validation.policy.admission.k8s.io/validation_failure";

/// Key of the audit annotation with the level a pod was judged at, after the policy's name and a slash.
const LEVEL: &str = "level";

/// What the native policy said about a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Of its namespace; none where policies before it wrote the event.
    pub level: Option<ProtectionLevel>,
    pub findings: Vec<NativeFinding>,
}

/// One control that was not met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NativeFinding {
    /// Policy of Jinwu that switches the control; none where the message does not name one.
    pub policy: Option<PolicyId>,
    /// Control of the Pod Security Standards.
    pub control: Option<String>,
    pub denied: bool,
    pub message: String,
}

/// Where the policy is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// In the platform's namespaces.
    Platform,
    /// In all but the gate's own.
    Everywhere,
}

/// The policy and its two bindings. `namespace` and `service` name the gate's service, `platform` the namespaces
/// where nothing may be locked out when the service itself is gone. The gate's own namespace is left out: what holds
/// while no gate answers must not keep it from coming back (Pod Security admission guards that namespace by its label).
pub fn objects(rules: &Rules, namespace: &str, service: &str, platform: &[&str], reach: Reach) -> [Value; 3] {
    let theirs: Vec<&str> = platform.iter().copied().filter(|n| *n != namespace).collect();
    let by_name = |operator: &str, namespaces: &[&str]| json!({"key": NAME_LABEL, "operator": operator, "values": namespaces});
    let binding = |name: &str, namespaces: Value, not_found: &str| {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
            "spec": {
                "policyName": POLICY_NAME, "validationActions": ["Deny", "Audit"],
                "paramRef": {"namespace": namespace, "selector": {"matchLabels": {"kubernetes.io/service-name": service}}, "parameterNotFoundAction": not_found},
                "matchResources": {"matchPolicy": "Equivalent", "objectSelector": {}, "namespaceSelector": {"matchExpressions": [namespaces]}},
            }
        })
    };
    let others = match reach {
        Reach::Everywhere => by_name("NotIn", platform),
        // No namespace: the API server itself sets the label on every one.
        Reach::Platform => json!({"key": NAME_LABEL, "operator": "DoesNotExist"}),
    };
    [policy(rules), binding(NAMES[0], others, "Deny"), binding(NAMES[1], by_name("In", &theirs), "Allow")]
}

/// The label with a namespace's name, which nobody can change.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

fn policy(rules: &Rules) -> Value {
    let mut policy = native_policy(&Control::ALL);
    let spec = &mut policy["spec"];
    spec["paramKind"] = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice"});
    if let Some(annotations) = spec["auditAnnotations"].as_array_mut() {
        annotations.push(json!({"key": LEVEL, "valueExpression": "variables.level"}));
    }
    if let Some(conditions) = spec["matchConditions"].as_array_mut() {
        conditions.insert(0, json!({"name": "no-gate", "expression": NO_GATE}));
    }
    if let Some(variables) = spec["variables"].as_array_mut() {
        let own = own_variables(rules);
        variables.retain(|v| !["modes", "alerted", "allowed", "spared"].iter().any(|name| v["name"] == *name));
        // Before the controls, after what they share.
        let shared = variables.iter().position(|v| v["name"] == "secured").map_or(0, |i| i + 1);
        variables.splice(shared..shared, own.into_iter().map(|(name, expression)| json!({"name": name, "expression": expression})));
    }
    let controls = Control::ALL.into_iter().filter(|c| faults(*c).is_some());
    for (control, validation) in controls.zip(spec["validations"].as_array_mut().into_iter().flatten()) {
        let by = rules.policies_of(&check(control)).first().map_or_else(|| control.id().to_owned(), |p| p.0.clone());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        validation["message"] = json!(format!("[jinwu/{by}] {}", text(&validation["message"])));
        validation["messageExpression"] = json!(format!("{} + {}", quote(&format!("[jinwu/{by}] ")), text(&validation["messageExpression"])));
    }
    policy
}

/// Without endpoints the member is there and `null`.
const NO_GATE: &str = "params == null || !has(params.endpoints) || params.endpoints == null || \
!params.endpoints.exists(e, has(e.conditions) && has(e.conditions.ready) && e.conditions.ready)";

fn own_variables(rules: &Rules) -> Vec<(&'static str, String)> {
    let default = rules.bundle.default_level.get();
    let level = format!(
        "has(namespaceObject.metadata.labels) && '{LEVEL_LABEL}' in namespaceObject.metadata.labels && \
namespaceObject.metadata.labels['{LEVEL_LABEL}'] in ['1', '2', '3', '4'] ? namespaceObject.metadata.labels['{LEVEL_LABEL}'] : '{default}'"
    );
    let controllers = list(CONTROLLERS.iter().map(|c| format!("system:serviceaccount:kube-system:{c}")));
    let digests = list(rules.bundle.base_platform.iter().filter(|c| c.signer.is_none()).map(|c| format!("{}@{}", c.namespace, c.digest)));
    let table = |mode: Mode| format!("{}[variables.key]", tables(rules, mode));
    vec![
        ("level", level),
        // `namespace/level` where the namespace has modes of its own, else `/level`.
        ("key", format!("(request.namespace in {} ? request.namespace : '') + '/' + variables.level", list(special(rules).into_iter().map(str::to_owned)))),
        (
            "owner",
            format!(
                "request.userInfo.username in {controllers} && has(object.metadata.ownerReferences) ? \
object.metadata.ownerReferences.filter(o, has(o.controller) && o.controller) : []"
            ),
        ),
        (
            "hash",
            "has(object.metadata.labels) && 'pod-template-hash' in object.metadata.labels ? '-' + object.metadata.labels['pod-template-hash'] : '-'".into(),
        ),
        (
            "workload",
            "size(variables.owner) == 0 ? request.kind.kind.lowerAscii() + '/' + (has(request.name) ? request.name : '') : \
variables.owner[0].kind == 'ReplicaSet' && size(variables.hash) > 1 && variables.owner[0].name.endsWith(variables.hash) ? \
'deployment/' + variables.owner[0].name.substring(0, size(variables.owner[0].name) - size(variables.hash)) : \
variables.owner[0].kind.lowerAscii() + '/' + variables.owner[0].name"
                .into(),
        ),
        (
            "lifted",
            format!("{}.filter(e, e[1] in ['', request.namespace] && e[2] in ['', variables.workload]).map(e, e[0])", exceptions(rules)),
        ),
        (
            "base",
            format!(
                "size(variables.containers) > 0 && variables.containers.all(c, has(c.image) && c.image.contains('@') && \
(request.namespace + c.image.substring(c.image.lastIndexOf('@'))) in {digests})"
            ),
        ),
        ("alerted", table(Mode::Alert)),
        ("allowed", table(Mode::Allow)),
        (
            "spared",
            format!(
                "variables.base ? {} : variables.alerted + variables.allowed + variables.lifted",
                list(Control::ALL.iter().map(|c| c.id().to_owned()))
            ),
        ),
    ]
}

/// Namespaces with modes or enforcement of their own.
fn special(rules: &Rules) -> BTreeSet<&str> {
    let of = &rules.bundle;
    of.enforcement.keys().chain(of.modes.keys()).map(String::as_str).filter(|n| *n != OTHERS).collect()
}

/// `{'/4': [controls in this mode], 'web/4': …}`.
fn tables(rules: &Rules, mode: Mode) -> String {
    let mut rows = Vec::new();
    for namespace in std::iter::once("").chain(special(rules)) {
        for level in ProtectionLevel::ALL {
            let scope = Scope { namespace: namespace.to_owned(), level };
            let controls = Control::ALL.iter().filter(|c| strongest(rules, **c, &scope) == mode).map(|c| c.id().to_owned());
            rows.push(format!("{}: {}", quote(&format!("{namespace}/{level}")), list(controls)));
        }
    }
    format!("{{{}}}", rows.join(", "))
}

/// A control does what the strongest policy that switches it does.
fn strongest(rules: &Rules, control: Control, scope: &Scope) -> Mode {
    rules.policies_of(&check(control)).iter().map(|p| rules.mode(p, scope)).max().unwrap_or(Mode::Allow)
}

/// `[[control, namespace, workload], …]`; an empty text is any. A control is lifted where all policies that switch
/// it are. Exceptions of a digest are none of pods' controls, here as in the gate.
fn exceptions(rules: &Rules) -> String {
    let all: Vec<&WorkloadException> = rules.bundle.exceptions.iter().filter(|e| e.digest.is_none() && (e.namespace.is_some() || e.workload.is_some())).collect();
    let mut rows = BTreeSet::new();
    for control in Control::ALL {
        let check = check(control);
        let policies = rules.policies_of(&check);
        for e in all.iter().filter(|e| policies.contains(&e.policy)) {
            let same = |p: &PolicyId| all.iter().any(|o| o.policy == *p && o.namespace == e.namespace && o.workload == e.workload);
            if policies.iter().all(same) {
                let text = |t: &Option<String>| t.clone().unwrap_or_default();
                rows.insert(list([control.id().to_owned(), text(&e.namespace), text(&e.workload)]));
            }
        }
    }
    format!("[{}]", rows.into_iter().collect::<Vec<_>>().join(", "))
}

/// What of an event's audit annotations the native policy wrote. Others' policies are passed over.
pub fn read_audit<'e>(annotation: impl Fn(&str) -> Option<&'e str>) -> Said {
    let own = |key: &str| annotation(&format!("{POLICY_NAME}/{key}"));
    let mut findings = Vec::new();
    let failures: Vec<Value> = annotation(FAILURES).and_then(|t| serde_json::from_str(t).ok()).unwrap_or_default();
    for failure in failures.iter().filter(|f| f["policy"] == POLICY_NAME) {
        let message = failure["message"].as_str().unwrap_or_default().to_owned();
        let policy = message.strip_prefix("[jinwu/").and_then(|m| m.split_once(']')).map(|(id, _)| PolicyId(id.to_owned()));
        let index = failure["expressionIndex"].as_u64().or_else(|| failure["expressionIndex"].as_str()?.parse().ok());
        let control = index.and_then(|i| Control::ALL.into_iter().filter(|c| faults(*c).is_some()).nth(usize::try_from(i).ok()?));
        let denied = failure["validationActions"].as_array().is_some_and(|a| a.iter().any(|a| a == "Deny"));
        let finding = NativeFinding { policy, control: control.map(|c| c.id().to_owned()), denied, message };
        // Both bindings, several slices: said once.
        if !findings.contains(&finding) {
            findings.push(finding);
        }
    }
    // Of several failures, of whichever policies, the API server tells one: ours may be missing.
    let denied = findings.is_empty() || findings.iter().any(|f| f.denied);
    for (key, denied) in [(DENIALS, denied), (ALERTS, false)] {
        // Of several slices, each has its say.
        for control in own(key).into_iter().flat_map(|t| t.split(", ")).filter(|c| !c.is_empty()) {
            if !findings.iter().any(|f| f.control.as_deref() == Some(control)) {
                findings.push(NativeFinding { policy: None, control: Some(control.to_owned()), denied, message: String::new() });
            }
        }
    }
    Said { level: own(LEVEL).and_then(level), findings }
}

/// What the gate would have decided: a violation under every policy that switches a control. What was done stands,
/// whatever the bundle of now says.
pub fn judgement(said: &Said, rules: &Rules, namespace: &str, object: String, id: DecisionId) -> Judgement {
    let scope = Scope { namespace: namespace.to_owned(), level: said.level.unwrap_or(rules.bundle.default_level) };
    let mut violations: Vec<Violation> = said.findings.iter().flat_map(|f| violations(f, rules, &scope)).collect();
    violations.sort_by_key(|v| std::cmp::Reverse(v.mode));
    let permit = !said.findings.iter().any(|f| f.denied);
    Judgement { decision: Decision { id, gate: Gate::Admission, permit, violations }, scope, object, grant: None }
}

fn violations(f: &NativeFinding, rules: &Rules, scope: &Scope) -> Vec<Violation> {
    let control = Control::ALL.into_iter().find(|c| Some(c.id()) == f.control.as_deref());
    let switching = control.map(|c| rules.policies_of(&check(c)).to_vec()).unwrap_or_default();
    let done = if f.denied { Mode::Block } else { Mode::Alert };
    let named = f.policy.clone().or_else(|| switching.iter().find(|p| rules.mode(p, scope) == done).or(switching.first()).cloned());
    let named = named.unwrap_or_else(|| PolicyId(f.control.clone().unwrap_or_else(|| POLICY_NAME.to_owned())));
    let others = switching.iter().filter(|p| **p != named).map(|p| (p.clone(), rules.mode(p, scope).min(done)));
    let (finding, advice) = words(f, control);
    let violation = |(policy, mode): (PolicyId, Mode)| Violation {
        clauses: rules.clauses(&policy),
        policy,
        mode,
        finding: finding.clone(),
        advice: advice.clone(),
        exception: None,
        evidence: Value::Null,
    };
    std::iter::once((named.clone(), done)).chain(others.filter(|(_, mode)| *mode != Mode::Allow)).map(violation).collect()
}

/// What was found and who is at fault, and the rule, a language at a time: the API server's message has both in one.
fn words(f: &NativeFinding, control: Option<Control>) -> (Text, Text) {
    let said = f.message.split_once("] ").map_or(f.message.as_str(), |(_, text)| text);
    let Some(control) = control else { return (Text::new(said, said), Text::default()) };
    let title = control.title();
    let rule = control.revision(VERSION).map_or_else(Text::default, |form| Text::new(form.zh, form.en));
    let who = said.strip_prefix(&format!("{title}: ")).and_then(|rest| rest.strip_suffix(&rule.to_string()));
    let finding = match who.map(|w| w.trim_end_matches(": ")) {
        Some(who) if !who.is_empty() => Text::new(format!("{}:{who}", title.zh), format!("{}: {who}", title.en)),
        _ => title,
    };
    (finding, rule)
}

fn check(control: Control) -> String {
    format!("pod-security/{}", control.id())
}

/// A CEL string.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n"))
}

fn list(words: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", words.into_iter().map(|w| quote(&w)).collect::<Vec<_>>().join(", "))
}
