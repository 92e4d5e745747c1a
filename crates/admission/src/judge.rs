//! The decision.

use crate::check::{self, Found, Read, Subject};
use crate::protocol::ImageAnswer;
use crate::review::Request;
use crate::rules::{Rules, Scope};
use jinwu_model::{Decision, DecisionId, Gate, Mode, PolicyId, Text, Violation};
use std::collections::HashMap;

/// A decision keeps at most this many violations; the last then says how many more.
pub const MAX_VIOLATIONS: usize = 100;

/// The policy under which an object that cannot be read is refused. It cannot be switched; enforcement
/// of the namespace still holds.
pub const UNREADABLE: &str = "unreadable-object";

/// The policy under which everything a blocked subject asks for is refused, whatever the enforcement:
/// blocking was somebody's decision already.
pub const BLOCKED: &str = "subject-blocked";

/// Everything a decision depends on.
pub struct Question<'q, 'a> {
    pub request: &'q Request<'a>,
    /// The request's object, read by [`check::Read::of`].
    pub read: &'q Read<'a>,
    pub rules: &'q Rules,
    pub scope: Scope,
    /// What is known of the images, by [`crate::reference::ImageReference::full`].
    pub images: &'q HashMap<String, ImageAnswer>,
    /// Unix milliseconds.
    pub now: i64,
    pub id: DecisionId,
}

/// A decision and what belongs to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    pub decision: Decision,
    pub scope: Scope,
    /// What it is about, as records name it: `pod:demo/web`, `clusterrole:admin`.
    pub object: String,
    /// The leave by which a container was entered.
    pub grant: Option<String>,
}

/// Judges a request. Same question, same answer.
pub fn judge(q: &Question<'_, '_>) -> Judgement {
    let mut found = Vec::new();
    let mut grant = None;
    match q.read {
        Read::Unreadable(detail) => found.push(Found::new(
            UNREADABLE,
            Text::new(format!("对象无法读取:{detail}"), format!("the object cannot be read: {detail}")),
            Text::new("更正该成员的类型后重试", "correct the member's type and try again"),
        )),
        Read::Pods { pods, before, .. } => {
            check::pod::judge(q, pods, before, &mut found);
            if q.request.sub_resource() == "ephemeralcontainers" {
                grant = check::entry::judge(q, "debug", q.request.namespace(), q.request.name(), &mut found);
            }
        }
        Read::Entry { way, namespace, target } => grant = check::entry::judge(q, way, namespace, target, &mut found),
        Read::Service(service) => check::service::judge(service, &mut found),
        Read::Permission(permission) => check::permission::judge(permission, &mut found),
        Read::Namespace(change) => check::namespace::judge(q, change, &mut found),
        Read::Nothing => {}
    }
    if let Some(block) = q.rules.blocked(&q.request.user_info.username, q.request.credentials(), q.now) {
        let (id, reason) = (&block.id, &block.reason);
        found.push(Found::new(
            BLOCKED,
            Text::new(format!("该主体已被阻断({id}):{reason}"), format!("this subject is blocked ({id}): {reason}")),
            Text::new("由安全管理员核查后解除(jinwu cluster unblock)", "the security administrator looks into it and unblocks (jinwu cluster unblock)"),
        ));
    }
    let workload = q.read.subject(q.request);
    let decision = decide(q, found, &workload);
    Judgement { decision, scope: q.scope.clone(), object: object(q.request), grant }
}

fn decide(q: &Question<'_, '_>, found: Vec<Found>, workload: &Subject) -> Decision {
    let mut violations: Vec<Violation> = found.into_iter().flat_map(|f| violations(q, f, workload)).collect();
    // What denies stands first, then what alarms.
    violations.sort_by_key(|v| (v.exception.is_some(), std::cmp::Reverse(v.mode)));
    if violations.len() > MAX_VIOLATIONS {
        let more = violations.len() - MAX_VIOLATIONS + 1;
        violations.truncate(MAX_VIOLATIONS);
        if let Some(last) = violations.last_mut() {
            last.finding = Text::new(format!("另有 {more} 项"), format!("{more} more"));
        }
    }
    let permit = !violations.iter().any(|v| v.mode == Mode::Block && v.exception.is_none());
    Decision { id: q.id.clone(), gate: Gate::Admission, permit, violations }
}

/// A finding under every policy that switches its check.
fn violations(q: &Question<'_, '_>, f: Found, workload: &Subject) -> Vec<Violation> {
    let rules = q.rules;
    let violation = |policy: PolicyId, clauses, mode| {
        let lifted = f.exception.clone().or_else(|| {
            rules.exception(&policy, &q.scope, workload.as_str(), f.digest.as_ref(), q.now).map(|e| e.id.clone())
        });
        Violation {
            policy,
            clauses,
            mode,
            finding: f.found.clone(),
            advice: f.advice.clone(),
            exception: lifted,
            evidence: serde_json::Value::Null,
        }
    };
    if let Some((policy, clauses, defaults)) = &f.image_policy {
        return vec![violation(policy.clone(), clauses.clone(), rules.mode_by(policy, *defaults, &q.scope))];
    }
    if f.check == BLOCKED {
        // No exception lifts it; unblocking does.
        return vec![Violation { exception: None, ..violation(PolicyId(BLOCKED.into()), Vec::new(), Mode::Block) }];
    }
    if f.check == UNREADABLE {
        return vec![violation(PolicyId(UNREADABLE.into()), Vec::new(), rules.enforcement(&q.scope.namespace))];
    }
    let policies = rules.policies_of(&f.check).iter();
    policies.map(|p| violation(p.clone(), rules.clauses(p), rules.mode(p, &q.scope))).filter(|v| v.mode != Mode::Allow).collect()
}

/// `kind:namespace/name`, the kind in small letters; subresources after another slash.
pub fn object(request: &Request<'_>) -> String {
    let name = match request.name() {
        "" => "?",
        name => name,
    };
    let mut text = match request.sub_resource() {
        // The kind of these is that of their options.
        "exec" | "attach" | "portforward" | "proxy" | "ephemeralcontainers" => request.resource.resource.trim_end_matches('s').to_owned(),
        _ => request.kind.kind.to_ascii_lowercase(),
    };
    text.push(':');
    if !request.namespace().is_empty() && request.resource.resource != "namespaces" {
        text.push_str(request.namespace());
        text.push('/');
    }
    text.push_str(name);
    if !request.sub_resource().is_empty() {
        text.push('/');
        text.push_str(request.sub_resource());
    }
    text
}
