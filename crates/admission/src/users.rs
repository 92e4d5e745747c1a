//! Users' ValidatingAdmissionPolicies in the gate.
//!
//! The policies say what the API server would deny, warn of or record ([`evaluate`]); the mode of a
//! policy in a namespace, enforcement and exceptions say what comes of it ([`judge`]), as for every
//! other policy. Their ids are `admission:NAME`, so that they meet no policy of Jinwu's own.

use crate::answer;
use crate::judge::{Judgement, MAX_VIOLATIONS, object};
use crate::review::{Request, Response, ReviewError};
use crate::rules::{Rules, Scope};
use jinwu_cel::Authorizer;
use jinwu_model::{Decision, DecisionId, Gate, Mode, PolicyId, Text, Violation};
use jinwu_policy::admission_policy::{Action, AdmissionInput, AdmissionPolicies, Finding, ParamQuery, Review};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// What stands before the name of a user's policy in its id.
pub const PREFIX: &str = "admission:";

/// Longest audit annotation made, bytes.
const MAX_ANNOTATION: usize = 16 << 10;

/// The Kubernetes whose functions policies may use: the newest known.
const MINOR: u8 = jinwu_cel::NEWEST;

/// A request as policies read it.
#[derive(Debug)]
pub struct Asked {
    request: Json,
    object: Json,
    old_object: Json,
}

/// What a request is judged beside itself.
pub struct Surroundings<'s> {
    /// `None`: not known.
    pub labels: Option<&'s BTreeMap<String, String>>,
    /// `null` where there is none.
    pub namespace: &'s Json,
    pub params: &'s dyn Fn(&ParamQuery<'_>) -> Result<Vec<&'s Json>, String>,
    pub params_namespaced: &'s dyn Fn(&str, &str) -> Option<bool>,
    pub authorizer: Option<&'s dyn Authorizer>,
    /// Once true, what is left counts as failed.
    pub stopped: &'s dyn Fn() -> bool,
}

/// What comes of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Users {
    pub judgement: Judgement,
    /// For the audit event, as the API server has them for its own policies.
    annotations: BTreeMap<String, String>,
    /// HTTP status of a refusal.
    code: u16,
}

/// Which policies are asked: a webhook that is closed on failure serves those that are, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    All,
    Closed,
    Open,
}

/// Rules of webhooks, by what a policy does where it cannot be evaluated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Registered {
    pub closed: Vec<Json>,
    pub open: Vec<Json>,
}

/// Reads the policies of a bundle, each text by itself and then together. The error names the text.
pub fn load(texts: &BTreeMap<String, String>) -> Result<AdmissionPolicies, String> {
    for (name, text) in texts {
        AdmissionPolicies::load(text, MINOR).map_err(|e| format!("{name}: {e}"))?;
    }
    AdmissionPolicies::load_all(texts.values().map(String::as_str), MINOR).map_err(|e| e.to_string())
}

/// The id of a user's policy, by which it is switched and lifted.
pub fn id(policy: &str) -> PolicyId {
    PolicyId(format!("{PREFIX}{policy}"))
}

/// What webhooks must ask about; a policy without binding asks nothing.
pub fn registered(policies: &AdmissionPolicies) -> Registered {
    let mut all = Registered::default();
    for policy in policies.described().filter(|p| !p.bindings.is_empty()) {
        let list = if policy.fails_closed { &mut all.closed } else { &mut all.open };
        for rule in policy.rules.into_iter().filter_map(crate::images::of_kubernetes) {
            if !list.contains(&rule) {
                list.push(rule);
            }
        }
    }
    all
}

// === impl Asked ===

impl Asked {
    /// Reads the request of an AdmissionReview.
    pub fn parse(body: &[u8]) -> Result<Asked, ReviewError> {
        #[derive(Deserialize)]
        struct Envelope {
            request: Json,
        }
        let envelope: Envelope = serde_json::from_slice(body).map_err(|e| ReviewError::Unreadable(e.to_string()))?;
        Ok(Asked::new(envelope.request))
    }

    /// An AdmissionRequest with its objects.
    pub fn new(mut request: Json) -> Asked {
        let mut part = |name: &str| request.as_object_mut().and_then(|r| r.remove(name)).unwrap_or_default();
        let (object, old_object) = (part("object"), part("oldObject"));
        Asked { request, object, old_object }
    }

    fn text(&self, pointer: &str) -> &str {
        self.request.pointer(pointer).and_then(Json::as_str).unwrap_or_default()
    }
}

/// What the policies say about a request.
pub fn evaluate<'a>(policies: &AdmissionPolicies, which: Which, asked: &'a Asked, around: &Surroundings<'a>) -> Review {
    let wanted = |_: &str, closed: bool| match which {
        Which::All => true,
        Which::Closed => closed,
        Which::Open => !closed,
    };
    evaluate_those(policies, &wanted, asked, around)
}

/// The same by those alone that are wanted by name and whether they fail closed.
pub fn evaluate_those<'a>(policies: &AdmissionPolicies, wanted: &dyn Fn(&str, bool) -> bool, asked: &'a Asked, around: &Surroundings<'a>) -> Review {
    let input = AdmissionInput {
        operation: asked.text("/operation"),
        group: asked.text("/resource/group"),
        version: asked.text("/resource/version"),
        resource: asked.text("/resource/resource"),
        subresource: asked.text("/subResource"),
        name: asked.text("/name"),
        namespace: asked.text("/namespace"),
        namespace_labels: around.labels,
        object: &asked.object,
        old_object: &asked.old_object,
        request: &asked.request,
        namespace_object: around.namespace,
        params: around.params,
        params_namespaced: around.params_namespaced,
        authorizer: around.authorizer,
    };
    policies.evaluate_those(&input, wanted, around.stopped)
}

/// What comes of a review of `request` in a scope. `workload` names what exceptions may lift it for.
pub fn judge(rules: &Rules, request: &Request<'_>, workload: &str, scope: Scope, review: &Review, now: i64, id: DecisionId) -> Users {
    let mut violations: Vec<Violation> = Vec::new();
    let mut code = None;
    for finding in &review.findings {
        let policy = self::id(&finding.policy);
        let mode = match (rules.mode_by(&policy, [Mode::Block; 4], &scope), finding.action) {
            (Mode::Allow, _) => continue,
            (mode, Action::Deny) => mode,
            (_, Action::Warn | Action::Audit) => Mode::Alert,
        };
        let exception = rules.exception(&policy, &scope, workload, None, now).map(|e| e.id.clone());
        if mode == Mode::Block && exception.is_none() {
            code.get_or_insert(status(&finding.reason));
        }
        let violation = violation(policy, mode, exception, finding);
        // What is denied or warned of need not be recorded a second time.
        match violations.iter_mut().find(|v| v.policy == violation.policy && v.finding == violation.finding) {
            Some(known) if rank(&violation) > rank(known) => *known = violation,
            Some(_) => {}
            None => violations.push(violation),
        }
    }
    violations.sort_by_key(|v| (v.exception.is_some(), std::cmp::Reverse(v.mode)));
    if violations.len() > MAX_VIOLATIONS {
        violations.truncate(MAX_VIOLATIONS);
    }
    let permit = !violations.iter().any(|v| v.mode == Mode::Block && v.exception.is_none());
    let annotations = annotations(rules, &scope, review);
    let decision = Decision { id, gate: Gate::Admission, permit, violations };
    Users { judgement: Judgement { decision, scope, object: object(request), grant: None }, annotations, code: code.unwrap_or(403) }
}

pub(crate) fn violation(policy: PolicyId, mode: Mode, exception: Option<String>, finding: &Finding) -> Violation {
    let (name, binding, message) = (&finding.policy, &finding.binding, &finding.message);
    let (zh, en) = if binding.is_empty() { (String::new(), String::new()) } else { (format!("(绑定 {binding})"), format!(" with binding '{binding}'")) };
    Violation {
        policy,
        clauses: Vec::new(),
        mode,
        finding: Text::new(format!("准入策略 {name}{zh}:{message}"), format!("ValidatingAdmissionPolicy '{name}'{en}: {message}")),
        advice: Text::new(
            "按消息更正对象;确需例外时由安全管理员处置",
            "correct the object as the message says; where it must be so, the security administrator makes an exception",
        ),
        exception,
        evidence: json!({"policy": name, "binding": binding, "action": finding.action.as_str()}),
    }
}

/// A denial goes before a warning, that before an entry in the audit log.
pub(crate) fn rank(violation: &Violation) -> (Mode, bool) {
    (violation.mode, !answer::is_silent(violation))
}

/// As the API server has it for a reason of a policy.
fn status(reason: &str) -> u16 {
    match reason {
        "Forbidden" => 403,
        "RequestEntityTooLarge" => 413,
        _ => 422,
    }
}

fn annotations(rules: &Rules, scope: &Scope, review: &Review) -> BTreeMap<String, String> {
    let on = |policy: &str| rules.mode_by(&id(policy), [Mode::Block; 4], scope) != Mode::Allow;
    let failures: Vec<Json> = review
        .findings
        .iter()
        .filter(|f| f.action == Action::Audit && on(&f.policy))
        .map(|f| json!({"message": f.message, "policy": f.policy, "binding": f.binding}))
        .collect();
    let mut values: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for annotation in review.annotations.iter().filter(|a| a.key.split('/').next().is_some_and(on)) {
        values.entry(&annotation.key).or_default().push(&annotation.value);
    }
    let values: BTreeMap<&str, String> = values.into_iter().map(|(key, values)| (key, values.join(", "))).collect();
    let mut out = BTreeMap::new();
    if !failures.is_empty() {
        out.insert("validation_failure".to_owned(), bounded(&failures));
    }
    if !values.is_empty() {
        out.insert("audit_annotations".to_owned(), bounded(&values));
    }
    out
}

fn bounded(value: &impl serde::Serialize) -> String {
    let mut text = serde_json::to_string(value).unwrap_or_default();
    text.truncate(text.floor_char_boundary(MAX_ANNOTATION));
    text
}

// === impl Users ===

impl Users {
    /// The answer of the webhook.
    pub fn response(&self, request: &Request<'_>) -> Response {
        let mut response = answer::validating(request, &self.judgement);
        if let Some(status) = response.status.take() {
            response.status = Response::deny("", self.code, status.message).status;
        }
        response.audit_annotations.extend(self.annotations.clone());
        response
    }
}
