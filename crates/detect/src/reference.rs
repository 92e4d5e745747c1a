//! A page about the rules, made from the rules.

use crate::guidance::Guidance;
use crate::ruleset::RuleSet;
use std::fmt::Write as _;

/// One row of the page.
struct Row<'r> {
    name: &'r str,
    desc: &'r str,
    priority: &'static str,
    enabled: bool,
    guidance: Option<&'r Guidance>,
    file: &'r str,
    output: &'r str,
}

/// The languages of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    Chinese,
    English,
}

/// The reference of all rules and sequences of a set, as Markdown.
pub fn reference(rules: &RuleSet, language: Language) -> String {
    let chinese = language == Language::Chinese;
    let mut out = String::new();
    let mut put = |line: &str| {
        out.push_str(line);
        out.push('\n');
    };
    put(if chinese { "# Kubernetes 检测规则" } else { "# Rules for Kubernetes" });
    put("");
    put(if chinese {
        "本页由规则生成。「等级」按 GB/T 30279 的用语;「默认」为规则的默认模式;带 ⏱ 的是序列规则,按窗口计数或按顺序匹配。"
    } else {
        "Made from the rules. Grade in the words of GB/T 30279; default is the rule's mode unless a policy says otherwise; ⏱ marks sequences, which count or order events within a window."
    });
    let rows = rules
        .rules()
        .iter()
        .map(|r| Row {
            name: &r.name,
            desc: &r.desc,
            priority: r.priority.as_str(),
            enabled: r.enabled,
            guidance: r.guidance.as_ref(),
            file: &r.place.file,
            output: r.output.template(),
        })
        .chain(rules.sequences().iter().map(|s| Row {
            name: &s.name,
            desc: &s.desc,
            priority: s.priority.as_str(),
            enabled: s.enabled,
            guidance: s.guidance.as_ref(),
            file: &s.place.file,
            output: s.output.template(),
        }));
    let sequences: std::collections::HashSet<&str> = rules.sequences().iter().map(|s| s.name.as_str()).collect();
    let mut rows: Vec<Row<'_>> = rows.collect();
    rows.sort_by_key(|r| (r.guidance.is_none(), r.file));
    let mut file = None;
    for row in &rows {
        if file != Some(row.file) {
            file = Some(row.file);
            let _ = write!(out, "\n## `{}`\n\n", row.file);
            out.push_str(match (chinese, row.guidance.is_some()) {
                (true, true) => "| 规则 | 说明 | 处置建议 | 等级 | ATT&CK | 条款 | 默认 |\n|---|---|---|---|---|---|---|\n",
                (false, true) => "| rule | what it sees | what to do | grade | ATT&CK | clauses | default |\n|---|---|---|---|---|---|---|\n",
                (true, false) => "| 规则 | 说明 | 优先级 | 启用 |\n|---|---|---|---|\n",
                (false, false) => "| rule | what it sees | priority | on |\n|---|---|---|---|\n",
            });
        }
        let mark = if sequences.contains(row.name) { " ⏱" } else { "" };
        let _ = match row.guidance {
            Some(g) => {
                let pick = |t: &jinwu_model::Text| cell(if chinese { &t.zh } else { &t.en });
                let clauses: Vec<&str> = g.clauses.iter().map(|c| c.as_str()).collect();
                let (grade, mode) = if chinese { (g.grade.zh(), g.mode.zh()) } else { (g.grade.as_str(), g.mode.as_str()) };
                writeln!(
                    out,
                    "| **{}**{mark}<br>`{}` | {} | {} | {grade} | {} | {} | {mode} |",
                    pick(&g.title),
                    cell(row.name),
                    pick(&g.description),
                    pick(&g.advice),
                    g.techniques.join(", "),
                    clauses.join(", ")
                )
            }
            None => {
                let enabled = match (chinese, row.enabled) {
                    (true, true) => "是",
                    (true, false) => "否",
                    (false, true) => "yes",
                    (false, false) => "no",
                };
                writeln!(out, "| {}{mark} | {} | {} | {enabled} |", cell(row.name), cell(if row.desc.is_empty() { row.output } else { row.desc }), row.priority)
            }
        };
    }
    out
}

/// Text that stays within its cell.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
