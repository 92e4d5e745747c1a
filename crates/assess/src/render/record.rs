//! 测评记录 as Markdown: per clause and object every step with command, expected and actual result, the
//! hash of its evidence and the verdict. What was not run is written as not run.

use super::Language;
use crate::assessment::{Assessment, Clause, Step};
use crate::evidence::word;

/// The whole record.
pub fn markdown(a: &Assessment, language: Language) -> String {
    let mut out = format!("# {}\n\n", language.pick("测评记录(自评估)", "Assessment record (self-assessment)"));
    let rows = [
        (language.pick("标准", "standard"), a.standard.to_owned()),
        (language.pick("等级", "level"), a.level.to_string()),
        (language.pick("对象", "installation"), format!("{} ({})", a.installation.registry, a.installation.version)),
        (language.pick("评估端地址", "assessed from"), a.installation.source.clone()),
        (language.pick("工具", "tool"), a.tool.clone()),
        (language.pick("时间", "time"), format!("{} – {}", a.started, a.finished)),
        (language.pick("模拟", "drills"), if a.drills { language.pick("已执行", "run") } else { language.pick("未执行", "not run") }.to_owned()),
        (language.pick("策略集", "policy set"), a.installation.policies.clone()),
    ];
    out.push_str("| | |\n|---|---|\n");
    for (name, value) in rows {
        out.push_str(&format!("| {name} | {} |\n", cell(&value)));
    }
    if !a.guards_off.is_empty() {
        out.push_str(&format!("\n**{}: {}**\n", language.pick("演练项目中故意关闭的策略", "policies deliberately off in the drill project"), a.guards_off.join(", ")));
    }
    for clause in &a.clauses {
        out.push_str(&section(clause, language));
    }
    if !a.left_behind.is_empty() {
        out.push_str(&format!("\n## {}\n\n", language.pick("演练遗留", "Left behind")));
        for line in &a.left_behind {
            out.push_str(&format!("- {}\n", cell(line)));
        }
    }
    out
}

fn section(clause: &Clause, language: Language) -> String {
    let mut out = format!("\n## {} {}\n\n{}\n\n", clause.id, language.of(&clause.family), language.of(&clause.title));
    out.push_str(&format!("**{}: {}**", language.pick("判定", "verdict"), language.verdict(clause.verdict)));
    if !language.of(&clause.reason).is_empty() {
        out.push_str(&format!(" — {}", language.of(&clause.reason)));
    }
    out.push('\n');
    for step in &clause.steps {
        out.push_str(&one(step, language));
    }
    out
}

fn one(step: &Step, language: Language) -> String {
    let mut out = format!("\n### {} {}\n\n{}\n\n", step.id, language.of(&step.kind.text()), language.of(&step.text));
    out.push_str(&format!("- {}: {}\n", language.pick("测评对象", "object"), language.of(&step.object)));
    out.push_str(&format!("- {}: **{}**\n", language.pick("单项判定", "verdict"), language.verdict(step.verdict)));
    out.push_str(&format!("- {}: {}\n", language.pick("依据", "basis"), language.of(&step.basis)));
    if step.evidence.is_empty() {
        return out;
    }
    let header = match language {
        Language::Chinese => "| 序号 | 类别 | 操作 | 预期 | 实际 | 结果 | 证据 |",
        Language::English => "| no | kind | command | expected | actual | answer | evidence |",
    };
    out.push_str(&format!("\n{header}\n|---|---|---|---|---|---|---|\n"));
    for (n, e) in step.evidence.iter().enumerate() {
        out.push_str(&format!(
            "| {} | {} | `{}` | {} | {} | {} | {} {}<br>SHA-256 `{}`<br>SM3 `{}` |\n",
            n + 1,
            language.of(&e.role.text()),
            cell(&e.command).replace('`', "'"),
            cell(language.of(&e.expected)),
            cell(language.of(&e.actual)),
            language.of(&word(e.answer)),
            e.id,
            e.time,
            e.sha256,
            e.sm3,
        ));
    }
    out
}

/// Text that cannot leave its table cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::wall::tests::assessment;

    #[test]
    fn the_record_carries_command_expected_actual_hash_and_verdict() {
        let a = assessment();
        let text = markdown(&a, Language::Chinese);
        let e = a.evidence().next().unwrap();
        for part in ["### MC-1.S1 模拟", "`push \\| it`", "被拒绝", "推送成功", e.sha256.as_str(), e.sm3.as_str(), "**判定: 不符合**"] {
            assert!(text.contains(part), "{part}");
        }
        assert_eq!(text.matches("\n## ").count(), 33);
        assert!(markdown(&a, Language::English).contains("**verdict: FAILS**"));
    }

    #[test]
    fn cells_hold() {
        assert_eq!(cell("a|b\nc<d"), "a\\|b c&lt;d");
    }
}
