//! A decision in words: what was found, where, what to change; Chinese, then English.

use jinwu_model::{Decision, PolicyId, Violation};
use jinwu_registry::seam::ManifestPush;
use std::collections::BTreeMap;

/// Findings of one policy written out; the rest is counted.
pub(crate) const MAX_FINDINGS: usize = 5;
/// Violations in the machine-readable detail at most.
const MAX_DETAIL: usize = 100;

/// `repository:tag`, or `repository@digest`.
pub(super) fn object(push: &ManifestPush) -> String {
    push.tags.first().map_or_else(|| format!("{}@{}", push.repository, push.digest), |tag| format!("{}:{tag}", push.repository))
}

pub(crate) fn by_policy<'a>(violations: impl Iterator<Item = &'a Violation>) -> BTreeMap<&'a PolicyId, Vec<&'a Violation>> {
    let mut out: BTreeMap<&PolicyId, Vec<&Violation>> = BTreeMap::new();
    for violation in violations {
        out.entry(&violation.policy).or_default().push(violation);
    }
    out
}

/// One line, because clients print it as one.
pub(super) fn refusal(object: &str, decision: &Decision) -> String {
    let groups = by_policy(decision.blocking());
    let (mut zh, mut en) = (Vec::new(), Vec::new());
    for (policy, group) in &groups {
        let Some(first) = group.first() else { continue };
        let clauses: Vec<&str> = first.clauses.iter().map(jinwu_model::ClauseId::as_str).collect();
        let clauses = clauses.join(",");
        let some: Vec<&&Violation> = group.iter().take(MAX_FINDINGS).collect();
        let more = group.len().saturating_sub(MAX_FINDINGS);
        let list = |text: fn(&Violation) -> &str, rest: String| {
            let mut all: Vec<String> = some.iter().map(|v| text(v).to_owned()).collect();
            if more > 0 {
                all.push(rest);
            }
            all.join("; ")
        };
        zh.push(format!(
            "[{policy}] ({clauses}) {} → 处置:{}",
            list(|v| &v.finding.zh, format!("另有 {more} 项")),
            first.advice.zh
        ));
        en.push(format!("[{policy}] ({clauses}) {} -> fix: {}", list(|v| &v.finding.en, format!("{more} more")), first.advice.en));
    }
    format!(
        "金吾拦截:{object} 违反 {} 项策略,裁决 {}。{} || Jinwu refused {object}: {} policies violated, decision {}. {}",
        groups.len(),
        decision.id,
        zh.join(" | "),
        groups.len(),
        decision.id,
        en.join(" | ")
    )
}

/// For programs: every violation that counts, with its evidence.
pub(super) fn detail(decision: &Decision) -> serde_json::Value {
    let all: Vec<_> = decision
        .blocking()
        .take(MAX_DETAIL)
        .map(|v| serde_json::json!({"policy": v.policy, "clauses": v.clauses, "mode": v.mode, "finding": v.finding, "advice": v.advice, "evidence": v.evidence}))
        .collect();
    serde_json::json!({"decision": decision.id, "violations": all, "count": decision.blocking().count()})
}

/// For a permitted push with alarms: headers, so English.
pub(super) fn warnings(decision: &Decision) -> Vec<String> {
    by_policy(decision.alarming())
        .iter()
        .filter_map(|(policy, group)| {
            let first = group.first()?;
            let more = group.len() - 1;
            let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
            Some(format!("jinwu {policy}: {}{rest}", first.finding.en))
        })
        .collect()
}
