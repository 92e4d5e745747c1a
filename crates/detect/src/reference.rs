//! A page about the rules, made from the rules.

use crate::field::Source;
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

/// What is particular to rules over node events.
const NODE: (&str, &str) = (
    "事件来自节点上的进程、文件与网络调用。被拦截的调用按已成功参与匹配(`fd.num`、`evt.rawres`、`evt.res`),实情见 `jinwu.verdict` 与 `jinwu.result`。路径经符号链接到达别处时,`fd.name`、`fd.directory`、`fd.filename` 有原样与实际两个值,一个相符即相符。`fd.sip.name` 等地址的名字除 API server(取自容器环境变量)外均不存在。`jinwu.*` 字段只能在金吾中加载。",
    "Events are calls of processes on a node: programs, files, network. A call that was held up counts as if it had succeeded (`fd.num`, `evt.rawres`, `evt.res`); `jinwu.verdict` and `jinwu.result` say what was. Where a path leads elsewhere by symbolic links, `fd.name`, `fd.directory` and `fd.filename` have two values, as given and as found, and one that fits is enough. Names of addresses (`fd.sip.name` and its like) are absent, except the API server's, which is taken from the container's environment. Fields of `jinwu.*` load in Jinwu only.",
);

/// The reference of all rules and sequences of a set, as Markdown.
pub fn reference(rules: &RuleSet, language: Language) -> String {
    let chinese = language == Language::Chinese;
    let mut out = String::new();
    let mut put = |line: &str| {
        out.push_str(line);
        out.push('\n');
    };
    let node = rules.rules().iter().any(|r| r.source == Source::Syscall);
    put(match (chinese, node) {
        (true, false) => "# Kubernetes 检测规则",
        (false, false) => "# Rules for Kubernetes",
        (true, true) => "# 节点检测规则",
        (false, true) => "# Rules for nodes",
    });
    put("");
    put(if chinese {
        "本页由规则生成。「等级」按 GB/T 30279 的用语;「默认」为规则的默认模式;带 ⏱ 的是序列规则,按窗口计数或按顺序匹配。"
    } else {
        "Made from the rules. Grade in the words of GB/T 30279; default is the rule's mode unless a policy says otherwise; ⏱ marks sequences, which count or order events within a window."
    });
    if node {
        put("");
        put(if chinese { NODE.0 } else { NODE.1 });
    }
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
