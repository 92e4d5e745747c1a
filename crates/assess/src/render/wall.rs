//! The wall: one cell per clause, one row per family (two for the long one), then what is missing.

use super::Language;
use crate::assessment::{Assessment, Clause};
use jinwu_model::Verdict;
use jinwu_standard::verdict::{Answer, Tally};

/// Cells beside each other.
const ACROSS: usize = 5;
/// Terminal columns of a cell's text.
const CELL: usize = 16;

/// The wall and below it what is missing. `color` adds ANSI colours.
pub fn wall(assessment: &Assessment, language: Language, color: bool) -> String {
    let mut out = head(assessment, language);
    out.push('\n');
    let heading = |c: &Clause| language.of(&c.family).to_owned();
    let widest = assessment.clauses.iter().map(|c| width(&heading(c))).max().unwrap_or(0);
    let mut rest = assessment.clauses.as_slice();
    while let Some(first) = rest.first() {
        let family = rest.iter().take_while(|c| c.id.family() == first.id.family()).count();
        let (row, after) = rest.split_at(family);
        for (n, cells) in row.chunks(ACROSS).enumerate() {
            out.push_str(&pad(if n == 0 { heading(first) } else { String::new() }, widest));
            for clause in cells {
                out.push_str(" │ ");
                out.push_str(&cell(clause, language, color));
            }
            out.push('\n');
        }
        rest = after;
    }
    out.push('\n');
    out.push_str(&summary(assessment, language));
    out.push_str(&missing(assessment, language));
    out
}

fn head(a: &Assessment, language: Language) -> String {
    let level = match language {
        Language::Chinese => format!("第{}级", ["零", "一", "二", "三", "四"].get(usize::from(a.level.get())).unwrap_or(&"?")),
        Language::English => format!("level {}", a.level),
    };
    let title = language.pick("容器安全自评估", "container security self-assessment");
    format!("{title}  {}  {level}  {}  {}\n", a.standard, a.installation.registry, a.started)
}

fn cell(clause: &Clause, language: Language, color: bool) -> String {
    let (mark, ansi) = match clause.verdict {
        Verdict::Conforms => ('●', "32"),
        Verdict::Partial => ('◐', "33"),
        Verdict::Fails => ('✕', "31"),
        Verdict::NotApplicable => ('–', "90"),
        Verdict::Unconfirmed => ('?', "36"),
    };
    let text = pad(format!("{} {mark} {}", clause.id, language.verdict(clause.verdict)), CELL);
    if color { format!("\x1b[{ansi}m{text}\x1b[0m") } else { text }
}

fn summary(a: &Assessment, language: Language) -> String {
    let tally = Tally::of(a.clauses.iter().map(|c| c.verdict));
    let counts = [
        (Verdict::Conforms, tally.conforms),
        (Verdict::Partial, tally.partial),
        (Verdict::Fails, tally.fails),
        (Verdict::NotApplicable, tally.not_applicable),
        (Verdict::Unconfirmed, tally.unconfirmed),
    ];
    let words: Vec<String> = counts.iter().map(|(v, n)| format!("{} {n}", language.verdict(*v))).collect();
    let mut out = format!("{}\n", words.join("  "));
    if let Some((low, high)) = tally.rates() {
        let text = match language {
            Language::Chinese => format!("符合率 {low:.1}%(部分符合计 0)至 {high:.1}%(计 0.5);待确认计 0。结论由有资质的测评机构作出\n"),
            Language::English => format!("rate {low:.1}% (partial counts 0) to {high:.1}% (counts 0.5); open counts 0. Only a licensed body concludes\n"),
        };
        out.push_str(&text);
    }
    if !a.drills {
        out.push_str(language.pick("本次只做检查,未做模拟\n", "inspections only: no drill was run\n"));
    }
    if !a.guards_off.is_empty() {
        out.push_str(&format!("{}: {}\n", language.pick("演练项目中故意关闭的策略(仅用于验证演练有效)", "policies deliberately off in the drill project, to prove the drills"), a.guards_off.join(", ")));
    }
    out
}

fn missing(a: &Assessment, language: Language) -> String {
    let mut out = String::new();
    for clause in a.clauses.iter().filter(|c| !c.steps.is_empty() && c.verdict != Verdict::Conforms) {
        out.push_str(&format!("\n{} {}  {}\n", clause.id, language.verdict(clause.verdict), language.of(&clause.title)));
        for step in clause.steps.iter().filter(|s| s.verdict != Verdict::Conforms) {
            out.push_str(&format!("  {} {}\n", step.id, language.verdict(step.verdict)));
            if step.evidence.is_empty() {
                out.push_str(&format!("    {}\n", language.of(&step.basis)));
            }
            for e in step.evidence.iter().filter(|e| matches!(e.answer, Answer::Negative | Answer::Unknown)) {
                out.push_str(&format!("    {} {}: {}\n", e.id, language.pick("预期", "expected"), language.of(&e.expected)));
                out.push_str(&format!("           {}: {}\n", language.pick("实际", "actual  "), language.of(&e.actual)));
            }
        }
    }
    let open: Vec<&Clause> = a.clauses.iter().filter(|c| c.steps.is_empty() && c.verdict == Verdict::Unconfirmed).collect();
    if let Some(first) = open.first() {
        let ids: Vec<&str> = open.iter().map(|c| c.id.as_str()).collect();
        out.push_str(&format!("\n{} ({}): {}\n  {}\n", language.verdict(Verdict::Unconfirmed), open.len(), ids.join(" "), language.of(&first.reason)));
    }
    if !a.left_behind.is_empty() {
        out.push_str(&format!("\n{}:\n", language.pick("演练遗留,须手工清理", "left behind by the drills, to be removed by hand")));
        for line in &a.left_behind {
            out.push_str(&format!("  {line}\n"));
        }
    }
    out
}

fn pad(mut text: String, columns: usize) -> String {
    let missing = columns.saturating_sub(width(&text));
    text.extend(std::iter::repeat_n(' ', missing));
    text
}

/// Terminal columns: CJK characters take two.
fn width(text: &str) -> usize {
    text.chars().map(|c| if matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}') { 2 } else { 1 }).sum()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::assessment::{Installation, Step, StepKind};
    use crate::evidence::{Log, Role};
    use jinwu_model::{ProtectionLevel, Text};
    use jinwu_standard::catalogue;

    /// All 33 clauses, one of them with a step that failed.
    pub(in crate::render) fn assessment() -> Assessment {
        let mut clauses: Vec<Clause> = catalogue::clauses()
            .iter()
            .map(|c| Clause { id: c.id.clone(), family: c.family.clone(), title: c.heading(), verdict: Verdict::Unconfirmed, reason: Text::new("没有步骤", "no steps"), steps: vec![] })
            .collect();
        let clause = clauses.iter_mut().find(|c| c.id.as_str() == "MC-1").unwrap();
        let mut log = Log::new(std::sync::Arc::default(), "h:1", "push | it");
        log.note("< 201");
        let evidence = vec![log.prove(Role::Attack, Text::new("被拒绝", "refused"), Text::new("推送成功", "pushed"), Answer::Negative)];
        clause.steps.push(Step::judged("MC-1.S1", StepKind::Drill, Text::new("模拟攻击者", "as an attacker"), Text::new("仓库", "registry"), evidence));
        clause.judge();
        let mut made = Assessment {
            standard: "T/ISEAA 004-2023",
            tool: "jinwu 0".into(),
            level: ProtectionLevel::FOUR,
            started: "2026-01-01T00:00:00Z".into(),
            finished: "2026-01-01T00:00:01Z".into(),
            installation: Installation { registry: "h:1".into(), ..Installation::default() },
            drills: true,
            guards_off: vec![],
            clauses,
            left_behind: vec![],
        };
        made.number();
        made
    }

    #[test]
    fn every_clause_has_a_cell_and_cells_line_up() {
        for language in [Language::Chinese, Language::English] {
            let text = wall(&assessment(), language, false);
            let rows: Vec<&str> = text.lines().filter(|l| l.contains('│')).collect();
            assert_eq!(rows.len(), 9, "eight families, intrusion prevention in two rows");
            assert_eq!(rows.iter().map(|r| r.matches('│').count()).sum::<usize>(), 33);
            let starts: Vec<usize> = rows.iter().map(|r| width(r.split('│').next().unwrap())).collect();
            assert!(starts.iter().all(|w| w == &starts[0]), "{starts:?}");
            for clause in catalogue::clauses() {
                assert!(text.contains(&format!("{} ", clause.id)), "{}", clause.id);
            }
        }
    }

    #[test]
    fn what_failed_is_said_with_expected_and_actual() {
        let text = wall(&assessment(), Language::Chinese, false);
        assert!(text.contains("MC-1 ✕ 不符合"), "{text}");
        assert!(text.contains("E-0001 预期: 被拒绝") && text.contains("实际: 推送成功"), "{text}");
        assert!(text.contains("待确认 (32)"), "{text}");
        assert!(text.contains("符合率 0.0%"), "{text}");
        assert!(!text.contains('\x1b') && wall(&assessment(), Language::Chinese, true).contains("\x1b[31m"));
    }

    #[test]
    fn json_has_33_clauses_with_the_chinese_word() {
        let value = serde_json::to_value(assessment()).unwrap();
        let clauses = value["clauses"].as_array().unwrap();
        assert_eq!(clauses.len(), 33);
        let of = |id: &str| clauses.iter().find(|c| c["id"] == id).unwrap();
        assert_eq!(of("MC-1")["verdict"], "不符合");
        assert_eq!(of("IA-1")["verdict"], "待确认");
        let step = &of("MC-1")["steps"][0];
        assert_eq!((step["id"].as_str(), step["kind"].as_str()), (Some("MC-1.S1"), Some("模拟")));
        assert_eq!(step["evidence"][0]["answer"], "negative");
        assert_eq!(step["evidence"][0]["sha256"].as_str().unwrap().len(), 64);
        assert_eq!(step["evidence"][0]["sm3"].as_str().unwrap().len(), 64);
    }
}
