//! The checks, and how they run.

mod availability;
mod isolation;
mod rbac;
mod settings;

use crate::component::Seen;
use crate::finding::{Finding, Severity};
use crate::inventory::{Inventory, Kind, NotRead};
use crate::rbac::Grants;
use jinwu_model::{ClauseId, Text, Verdict};

/// What is judged.
pub struct Facts<'f> {
    pub inventory: &'f Inventory,
    pub not_read: &'f [NotRead],
    /// What was seen beside the API's objects; nothing by default.
    pub seen: &'f Seen,
}

/// One check: what it needs to have been read, and how it judges.
struct Check {
    id: &'static str,
    clause: &'static str,
    needs: &'static [Kind],
    expected: (&'static str, &'static str),
    run: fn(&mut Report<'_, '_>),
}

/// A check under way.
struct Report<'r, 'f> {
    facts: &'r Facts<'f>,
    grants: &'r Grants<'f>,
    check: &'static Check,
    findings: Vec<Finding>,
}

const TABLES: &[&[Check]] = &[rbac::CHECKS, isolation::CHECKS, availability::CHECKS, settings::CHECKS];

/// Judges a cluster, or one clause of it. Every check says something: each asset at fault, or that all is
/// well, or, where something could not be read, 待确认 beside what was found all the same.
pub fn inspect(facts: &Facts<'_>, clause: Option<&ClauseId>) -> Vec<Finding> {
    let grants = Grants::new(facts.inventory);
    let mut all = Vec::new();
    for check in TABLES.iter().copied().flatten().filter(|c| clause.is_none_or(|id| id.as_str() == c.clause)) {
        let mut report = Report { facts, grants: &grants, check, findings: Vec::new() };
        (check.run)(&mut report);
        let mut findings = report.findings;
        let missing: Vec<_> = facts.not_read.iter().filter(|n| check.needs.contains(&n.kind)).collect();
        let said = |verdict, severity, actual: Text, evidence: String, advice: Text| finding(check, "cluster".into(), severity, verdict, actual, evidence, advice);
        if !missing.is_empty() {
            let names: Vec<_> = missing.iter().map(|n| n.object.clone().unwrap_or_else(|| n.kind.resource().to_owned())).collect();
            let names = names.join(", ");
            findings.extend(said(
                Verdict::Unconfirmed,
                Severity::Note,
                Text::new(format!("未能读取 {names}"), format!("{names} could not be read")),
                missing.iter().map(|n| format!("{}: {}", n.kind.resource(), n.reason.en)).collect::<Vec<_>>().join("\n"),
                Text::new("给予 get、list 权限后重新检查", "grant get and list and inspect again"),
            ));
        } else if findings.is_empty() {
            let looked: Vec<_> = check.needs.iter().map(|k| k.resource()).collect();
            findings.extend(said(
                Verdict::Conforms,
                Severity::Note,
                Text::new("未发现不符", "nothing at fault"),
                format!("read: {}", looked.join(", ")),
                Text::default(),
            ));
        }
        all.extend(findings);
    }
    all
}

fn finding(check: &Check, asset: String, severity: Severity, verdict: Verdict, actual: Text, evidence: String, advice: Text) -> Option<Finding> {
    let clause = check.clause.parse().ok()?;
    let (zh, en) = check.expected;
    Some(Finding { check: check.id, clause, asset, severity, verdict, expected: Text::new(zh, en), actual, evidence, advice })
}

// === impl Report ===

impl Report<'_, '_> {
    fn say(&mut self, verdict: Verdict, severity: Severity, asset: impl Into<String>, actual: (String, String), evidence: impl Into<String>, advice: (&str, &str)) {
        let advice = Text::new(advice.0, advice.1);
        self.findings.extend(finding(self.check, asset.into(), severity, verdict, Text::new(actual.0, actual.1), evidence.into(), advice));
    }

    fn fails(&mut self, severity: Severity, asset: impl Into<String>, actual: (String, String), evidence: impl Into<String>, advice: (&str, &str)) {
        self.say(Verdict::Fails, severity, asset, actual, evidence, advice);
    }
}
