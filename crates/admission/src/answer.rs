//! A judgement in words, records and JSON patches.

use crate::judge::Judgement;
use crate::review::{Request, Response};
use base64::Engine as _;
use jinwu_model::{Kind, Outcome, PolicyId, Record, Subject, SubjectKind, Violation};
use std::collections::BTreeMap;

/// Longest warning, characters: the API server's advice; longer ones may be cut by clients.
const MAX_WARNING: usize = 240;
/// Warnings and lines shown; more are counted.
const MAX_SHOWN: usize = 12;

/// What a denied person reads: every reason with what to change, in both languages.
pub fn refusal(judgement: &Judgement) -> String {
    let d = &judgement.decision;
    let mut text = format!(
        "金吾拒绝了 {0}(保护等级 {1}) / jinwu refused {0} (protection level {1}):\n",
        judgement.object, judgement.scope.level
    );
    let blocking: Vec<&Violation> = d.blocking().collect();
    for (i, v) in blocking.iter().take(MAX_SHOWN).enumerate() {
        text.push_str(&format!(
            "{n}. [jinwu/{policy}] {zh} → {zh_advice}\n   {en} → {en_advice}\n",
            n = i + 1,
            policy = v.policy,
            zh = v.finding.zh,
            zh_advice = v.advice.zh,
            en = v.finding.en,
            en_advice = v.advice.en
        ));
    }
    if blocking.len() > MAX_SHOWN {
        text.push_str(&format!("另有 {0} 项 / {0} more\n", blocking.len() - MAX_SHOWN));
    }
    text.push_str(&format!("裁决 / decision {}", d.id));
    text
}

/// What somebody whose request passed should know.
pub fn warnings(judgement: &Judgement) -> Vec<String> {
    let alarming: Vec<&Violation> = judgement.decision.alarming().filter(|v| !is_silent(v)).collect();
    let mut out: Vec<String> = alarming
        .iter()
        .take(MAX_SHOWN)
        .map(|v| cut(&format!("jinwu/{}: {} / {}", v.policy, v.finding.zh, v.finding.en), MAX_WARNING))
        .collect();
    if alarming.len() > MAX_SHOWN {
        out.push(format!("jinwu: 另有 {0} 项 / {0} more", alarming.len() - MAX_SHOWN));
    }
    out
}

/// Whether a violation is for the audit log alone.
pub(crate) fn is_silent(violation: &Violation) -> bool {
    violation.evidence["action"] == "Audit"
}

fn cut(text: &str, most: usize) -> String {
    // A header's value: no line ends.
    let text = text.replace(['\n', '\r'], " ");
    if text.chars().count() <= most { text } else { text.chars().take(most - 1).chain(['…']).collect() }
}

/// The answer of the validating webhook.
pub fn validating(request: &Request<'_>, judgement: &Judgement) -> Response {
    let mut response = if judgement.decision.permit {
        Response { warnings: warnings(judgement), ..Response::allow(&request.uid) }
    } else {
        Response::deny(&request.uid, 403, refusal(judgement))
    };
    // By these the audit event of the request finds its records.
    if judgement.decision.alarming().next().is_some() {
        response.audit_annotations.insert("decision".into(), judgement.decision.id.0.clone());
        response.audit_annotations.insert("policies".into(), names(judgement.decision.alarming()));
    }
    if let Some(grant) = &judgement.grant {
        response.audit_annotations.insert("decision".into(), judgement.decision.id.0.clone());
        response.audit_annotations.insert("grant".into(), grant.clone());
    }
    response
}

/// The answer of the mutating webhook: it binds images to digests and refuses nothing.
pub fn pinning(request: &Request<'_>, pins: &[(String, String)]) -> Response {
    let mut response = Response::allow(&request.uid);
    if !pins.is_empty() {
        let operations: Vec<_> = pins.iter().map(|(path, value)| serde_json::json!({"op": "replace", "path": path, "value": value})).collect();
        let patch = serde_json::Value::from(operations).to_string();
        response.patch = Some(base64::engine::general_purpose::STANDARD.encode(patch));
        response.patch_type = Some("JSONPatch");
    }
    response
}

fn names<'v>(violations: impl Iterator<Item = &'v Violation>) -> String {
    let names: std::collections::BTreeSet<&str> = violations.map(|v| v.policy.0.as_str()).collect();
    names.into_iter().collect::<Vec<_>>().join(",")
}

/// What records say of a request beside what was judged.
pub struct Asked<'a> {
    pub user: &'a str,
    /// `create`, `update`, `delete` or `connect`.
    pub operation: String,
    pub sub_resource: &'a str,
}

/// An alarm for every policy that alerts or blocks, an interception for a refusal, an entry for a
/// container entered. All carry the decision's id. `cluster` names where.
pub fn records(request: &Request<'_>, judgement: &Judgement, cluster: &str, now: i64) -> Vec<Record> {
    let operation = format!("{:?}", request.operation).to_ascii_lowercase();
    records_of(&Asked { user: &request.user_info.username, operation, sub_resource: request.sub_resource() }, judgement, cluster, now)
}

/// The same where there is no review of the request.
pub fn records_of(asked: &Asked<'_>, judgement: &Judgement, cluster: &str, now: i64) -> Vec<Record> {
    let d = &judgement.decision;
    let entry = |kind: Kind, action: &str| {
        Record::new(now, kind, subject(asked.user), action, judgement.object.clone())
            .decision(Some(d.id.clone()))
            .with("gate", "admission")
            .with("cluster", cluster)
            .with("operation", asked.operation.clone())
            .with("level", judgement.scope.level.get())
    };
    let mut by_policy: BTreeMap<&PolicyId, Vec<&Violation>> = BTreeMap::new();
    for v in d.alarming() {
        by_policy.entry(&v.policy).or_default().push(v);
    }
    let mut out = Vec::new();
    for (policy, group) in &by_policy {
        let Some(first) = group.first() else { continue };
        let findings: Vec<String> = group.iter().take(MAX_SHOWN).map(|v| v.finding.to_string()).collect();
        out.push(
            entry(Kind::Alarm, "policy-violated")
                .outcome(if d.permit { Outcome::Success } else { Outcome::Denied })
                .with("policy", policy.0.clone())
                .with("clauses", first.clauses.iter().map(ToString::to_string).collect::<Vec<_>>())
                .with("mode", first.mode.as_str())
                .with("findings", findings)
                .with("count", group.len()),
        );
    }
    if !d.permit {
        out.push(
            entry(Kind::Interception, "admission-refused")
                .outcome(Outcome::Denied)
                .with("policies", names(d.blocking()))
                .with("reason", d.blocking().next().map(|v| v.finding.to_string()).unwrap_or_default()),
        );
    }
    if let Some(grant) = &judgement.grant
        && d.permit
    {
        out.push(entry(Kind::Entry, "container-entered").with("grant", grant.clone()).with("way", asked.sub_resource));
    }
    out
}

/// A Kubernetes user as records show it.
pub fn subject(user: &str) -> Subject {
    let kind = match user {
        "system:anonymous" | "" => SubjectKind::Anonymous,
        _ if user.starts_with("system:serviceaccount:") || user.starts_with("system:node:") => SubjectKind::Robot,
        _ if user.starts_with("system:") => SubjectKind::System,
        _ => SubjectKind::User,
    };
    Subject { kind, name: user.to_owned() }
}
