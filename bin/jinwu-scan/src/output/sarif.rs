//! SARIF 2.1.0 (OASIS): one result per finding, rules by identifier.

use super::{Language, place};
use jinwu_model::report::{ImageReport, Location};
use jinwu_model::{Decision, Grade, Mode};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) fn render(language: Language, report: &ImageReport, decision: Option<&Decision>) -> Value {
    let mut rules: BTreeMap<String, Value> = BTreeMap::new();
    let mut results = Vec::new();
    let mut add = |rule: &str, name: &str, level: &str, message: String, location: Option<&Location>| {
        rules.entry(rule.to_owned()).or_insert_with(|| json!({ "id": rule, "shortDescription": { "text": name } }));
        let mut result = json!({ "ruleId": rule, "level": level, "message": { "text": message } });
        if let Some(location) = location {
            let mut physical = json!({ "artifactLocation": { "uri": uri(&location.path) } });
            if let Some(line) = location.line {
                physical["region"] = json!({ "startLine": line.max(1) });
            }
            result["locations"] = json!([{ "physicalLocation": physical, "message": { "text": place(location) } }]);
        }
        results.push(result);
    };
    for v in &report.vulnerabilities {
        let fix = v.fixed_version.as_deref().unwrap_or("-");
        let level = match v.grade {
            Grade::Critical | Grade::High | Grade::Ungraded => "error",
            Grade::Medium => "warning",
            Grade::Low => "note",
        };
        let message = format!("{} {} {}: {} {} ({})", v.package.name, v.package.version, language.of("存在", "has"), v.id, language.of(v.grade.zh(), v.grade.as_str()), fix);
        add(&v.id, &v.id, level, message, Some(&v.package.location));
    }
    for s in &report.secrets {
        add(&s.rule, language.text(&s.title), "error", format!("{} {}", language.text(&s.title), s.masked), Some(&s.location));
    }
    for m in &report.malware {
        add(&m.rule, &m.category, "error", format!("{} ({})", m.rule, m.origin), Some(&m.location));
    }
    for f in &report.faults {
        let rule = format!("{:?}", f.kind);
        add(&rule, &rule, "error", f.detail.clone(), Some(&f.location));
    }
    for u in &report.unscannable {
        add("unscannable", language.of("无法扫描", "unscannable"), "error", u.detail.clone(), None);
    }
    for t in &report.truncated {
        add("incomplete-scan", language.of("扫描不完整", "incomplete scan"), "warning", t.clone(), None);
    }
    let c = &report.configuration;
    if c.runs_as_root {
        add("runs-as-root", language.of("以最高权限用户运行", "runs as root"), "warning", c.user_basis.clone(), None);
    }
    for s in &c.ssh {
        add("exposed-ssh", language.of("暴露 SSH", "SSH exposed"), "warning", place(s), Some(s));
    }
    for s in &c.setuid {
        add("setuid-addition", language.of("新增 setuid 文件", "added setuid file"), "warning", place(s), Some(s));
    }
    for v in decision.iter().flat_map(|d| &d.violations).filter(|v| v.mode == Mode::Block) {
        let message = format!("{} — {}", language.text(&v.finding), language.text(&v.advice));
        add(&format!("policy/{}", v.policy), &v.policy.0, "error", message, None);
    }
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "jinwu-scan",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.into_values().collect::<Vec<_>>(),
            }},
            "properties": { "image": report.image, "engines": report.engines },
            "results": results,
        }],
    })
}

/// A path as a relative URI reference (RFC 3986).
fn uri(path: &str) -> String {
    let mut out = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}
