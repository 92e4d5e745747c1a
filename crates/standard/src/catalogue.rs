//! The clauses of T/ISEAA 004-2023 as the alliance's interpretation prints them
//! (`content/standard/clauses.json`: 33 clauses, 72 检查, 21 模拟, 87 注意事项).
//!
//! Two headings (IP-8, CC-3) are missing there and were reconstructed from their explanations;
//! [`Clause::reconstructed`] marks them, and [`Clause::heading`] says so to the reader. The English is
//! ours. Ids (`IA-1`, `IA-1.C1`, `IA-1.S1`, `IA-1.N1`) are ours too: the standard numbers by letters
//! that start again in every family.

use jinwu_model::{ClauseId, Text};
use std::sync::LazyLock;

/// One clause (条款).
#[derive(Clone, Debug)]
pub struct Clause {
    pub id: ClauseId,
    /// 身份鉴别 / Identity authentication, …
    pub family: Text,
    /// The letter it carries inside its family: `a`, `b`, …
    pub letter: String,
    /// 要求, with its letter. Verbatim in Chinese unless `reconstructed`.
    pub requirement: Text,
    /// True when the Chinese wording of the requirement is ours and not the standard's.
    pub reconstructed: bool,
    /// 含义, verbatim.
    pub meaning_zh: String,
    /// 使用场景, verbatim.
    pub scene_zh: String,
    /// 测评对象: 管理平台, 容器镜像仓库, …
    pub objects: Vec<String>,
    /// 检查.
    pub checks: Vec<Item>,
    /// 模拟; empty for twelve clauses.
    pub simulations: Vec<Item>,
    /// 注意事项.
    pub notes: Vec<Item>,
    /// Where our guess of the level comes from; see [`crate::levels`].
    pub level_basis: String,
    /// L, M, H or between: how sure that guess is.
    pub level_confidence: String,
    /// Related items of GB/T 22239-2019 (level-3 numbering) and units of GB/T 28448-2019.
    pub analogue: String,
    /// Cases of the high-risk guide (2025, trial) and triggers of major hazards (A-01 … A-32).
    pub high_risk: String,
    /// What a tool should hold as evidence.
    pub evidence: String,
    pub remark: String,
}

/// One numbered item of a clause.
#[derive(Clone, Debug)]
pub struct Item {
    /// `IA-1.C1` (检查), `.S1` (模拟), `.N1` (注意事项).
    pub id: String,
    pub text: Text,
}

/// All 33 clauses in the order of the standard.
pub fn clauses() -> &'static [Clause] {
    &CLAUSES
}

/// One clause by its id.
pub fn clause(id: &ClauseId) -> Option<&'static Clause> {
    CLAUSES.iter().find(|c| &c.id == id)
}

static CLAUSES: LazyLock<Vec<Clause>> = LazyLock::new(|| {
    // Part of the program, read by the tests below: cannot fail in a build that passed them.
    let raw: Vec<raw::Clause> =
        serde_json::from_str(include_str!("../../../content/standard/clauses.json")).expect("clauses.json is well-formed");
    raw.into_iter().map(Clause::from).collect()
});

/// The form of the data file.
mod raw {
    #[derive(serde::Deserialize)]
    pub(super) struct Clause {
        pub id: jinwu_model::ClauseId,
        pub family: String,
        pub family_en: String,
        pub letter: String,
        pub requirement_zh: String,
        pub reconstructed: bool,
        pub requirement_en: String,
        pub meaning_zh: String,
        pub scene_zh: String,
        pub objects: String,
        pub check: Vec<Item>,
        pub simulate: Vec<Item>,
        pub note: Vec<Item>,
        pub level_confidence: String,
        pub level_basis: String,
        pub analogue: String,
        pub high_risk: String,
        pub evidence: String,
        pub remark: String,
    }

    #[derive(serde::Deserialize)]
    pub(super) struct Item {
        pub id: String,
        pub zh: String,
        pub en: String,
    }
}

// === impl Clause ===

impl Clause {
    /// The requirement as it may be printed: a reconstructed one says that it is.
    pub fn heading(&self) -> Text {
        if self.reconstructed {
            let zh = format!("{}(此条标题在公开解读中缺失,据释义重构,非标准原文)", self.requirement.zh);
            let en = self.requirement.en.trim_start_matches("[reconstructed] ");
            Text::new(zh, format!("[reconstructed, not the standard's wording] {en}"))
        } else {
            self.requirement.clone()
        }
    }
}

impl From<raw::Clause> for Clause {
    fn from(c: raw::Clause) -> Self {
        Clause {
            objects: objects(&c.objects),
            id: c.id,
            family: Text::new(c.family, c.family_en),
            letter: c.letter,
            requirement: Text::new(c.requirement_zh, c.requirement_en),
            reconstructed: c.reconstructed,
            meaning_zh: c.meaning_zh,
            scene_zh: c.scene_zh,
            checks: c.check.into_iter().map(Item::from).collect(),
            simulations: c.simulate.into_iter().map(Item::from).collect(),
            notes: c.note.into_iter().map(Item::from).collect(),
            level_basis: c.level_basis,
            level_confidence: c.level_confidence,
            analogue: c.analogue,
            high_risk: c.high_risk,
            evidence: c.evidence,
            remark: c.remark,
        }
    }
}

/// Splits 管理平台、容器实例 at the marks that stand outside brackets.
fn objects(text: &str) -> Vec<String> {
    let (mut found, mut part, mut depth) = (Vec::new(), String::new(), 0u32);
    for c in text.chars() {
        match c {
            '(' | '\u{ff08}' => depth += 1,
            ')' | '\u{ff09}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if c == '、' && depth == 0 {
            found.push(std::mem::take(&mut part));
        } else {
            part.push(c);
        }
    }
    found.push(part);
    found.retain(|p| !p.trim().is_empty());
    found
}

// === impl Item ===

impl From<raw::Item> for Item {
    fn from(i: raw::Item) -> Self {
        Item { id: i.id, text: Text::new(i.zh, i.en) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_is_whole() {
        let all = clauses();
        assert_eq!(all.len(), 33);
        assert_eq!(all.iter().map(|c| c.checks.len()).sum::<usize>(), 72);
        assert_eq!(all.iter().map(|c| c.simulations.len()).sum::<usize>(), 21);
        assert_eq!(all.iter().map(|c| c.notes.len()).sum::<usize>(), 87);
        assert_eq!(all.iter().filter(|c| c.simulations.is_empty()).count(), 12);
        let reconstructed: Vec<_> = all.iter().filter(|c| c.reconstructed).map(|c| c.id.as_str()).collect();
        assert_eq!(reconstructed, ["IP-8", "CC-3"]);
    }

    #[test]
    fn families_run_without_a_gap() {
        let mut sizes = std::collections::BTreeMap::new();
        for c in clauses() {
            let n = sizes.entry(c.id.family().to_owned()).or_insert(0u8);
            *n += 1;
            assert_eq!(c.id.as_str(), format!("{}-{n}", c.id.family()));
            assert_eq!(c.letter, char::from(b'a' + *n - 1).to_string());
        }
        let sizes: Vec<_> = sizes.into_iter().collect();
        let expect = [("AC", 5), ("AU", 4), ("CC", 4), ("IA", 3), ("IM", 3), ("IP", 9), ("MC", 2), ("SC", 3)];
        assert_eq!(sizes, expect.map(|(f, n)| (f.to_owned(), n)));
    }

    #[test]
    fn every_text_is_there_and_ids_are_unique() {
        let mut seen = std::collections::HashSet::new();
        for c in clauses() {
            for text in [&c.family, &c.requirement] {
                assert!(!text.zh.is_empty() && !text.en.is_empty(), "{}", c.id);
            }
            assert!(!c.meaning_zh.is_empty() && !c.evidence.is_empty() && !c.objects.is_empty(), "{}", c.id);
            for (kind, items) in [("C", &c.checks), ("S", &c.simulations), ("N", &c.notes)] {
                for (n, item) in items.iter().enumerate() {
                    assert_eq!(item.id, format!("{}.{kind}{}", c.id, n + 1));
                    assert!(!item.text.zh.is_empty() && !item.text.en.is_empty());
                    assert!(seen.insert(item.id.clone()));
                }
            }
        }
    }

    #[test]
    fn a_reconstructed_heading_says_so() {
        let c = clause(&"CC-3".parse().unwrap()).unwrap();
        assert!(c.heading().zh.contains("非标准原文") && c.heading().en.contains("not the standard's wording"));
        let c = clause(&"IA-1".parse().unwrap()).unwrap();
        assert_eq!(c.heading(), c.requirement);
    }

    #[test]
    fn objects_split_outside_brackets_only() {
        assert_eq!(objects("审计数据(管理平台、容器镜像仓库)、容器实例"), ["审计数据(管理平台、容器镜像仓库)", "容器实例"]);
    }
}
