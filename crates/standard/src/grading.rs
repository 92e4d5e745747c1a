//! Grading by GB/T 30279-2020 《网络安全漏洞分类分级指南》.
//!
//! **Technical grade** (技术分级): 被利用性 1–9 from 访问路径, 触发要求, 权限需求, 交互条件 (annex A);
//! 影响程度 1–9 from 保密性, 完整性, 可用性 (annex B); both give 超危/高危/中危/低危 (annex D). The seven
//! factors are CVSS v3's AV, AC, PR, UI, C, I, A value for value; Scope has no counterpart and is
//! dropped. So the grade is computed **from the vector, never from the CVSS word or score**: over all
//! vectors the word is wrong for 8 % (Scope unchanged) and 35 % (changed).
//!
//! **Overall grade** (综合分级): the technical grade and 环境因素 1–9 (annex C) by annex E. It orders
//! repair; admission uses the technical grade, because the clauses name grades without environment.
//!
//! No vector: 未定级. It counts as 高危 against every threshold ([`Grade::rank`]), and what word the
//! vendor uses is shown as the fallback, not turned into a grade.
//!
//! The tables are checked cell by cell against `content/standard/gbt30279.json`.

use crate::cvss::{AttackComplexity, AttackVector, BaseVector, Impact, PrivilegesRequired, UserInteraction};
use jinwu_model::{Grade, Text};

/// A grade with what it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graded {
    pub grade: Grade,
    /// 分级依据: factors and table values, or why there is no grade and the fallback.
    pub basis: Text,
}

/// Table values behind a technical grade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Technical {
    /// 被利用性, 1 to 9.
    pub exploitability: u8,
    /// 影响程度, 1 to 9.
    pub impact: u8,
    pub grade: Grade,
}

/// What a feed says about one vulnerability, as far as grading wants to know.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// CVSS vector as the feed has it.
    pub vector: Option<&'a str>,
    /// Who gave the vector: `cna`, `adp:CISA-ADP`.
    pub vector_source: Option<&'a str>,
    /// The vendor's own word, shown as fallback: `Debian changelog urgency high`.
    pub vendor_word: Option<&'a str>,
    /// Day it entered CISA's catalogue of known exploited vulnerabilities.
    pub exploited_since: Option<&'a str>,
}

/// The three values of an environment factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Degree {
    Low,
    Medium,
    High,
}

/// 环境因素 of one environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Environment {
    /// 影响范围: share of assets hit: over 50 % 高, 10 to 50 % 中, under 10 % 低.
    pub reach: Degree,
    /// 被利用成本: 低 when a tool is public or the component is exposed to the public network.
    pub cost: Degree,
    /// 修复难度: 低 when a complete fix exists, 高 when there is no workable one.
    pub difficulty: Degree,
}

/// Annex D: row 影响程度 9 down to 1, column 被利用性 1 to 9.
const ANNEX_D: [&[u8; 9]; 9] = [
    b"MHHHHHHHC", b"MMMMHHHHC", b"MMMMMHHHC", b"MMMMMMMHH", b"MMMMMMMHH", b"LMMMMMMMH", b"LLMMMMMMH", b"LLMMMMMMM", b"LLLLLLLLM",
];

/// Annex E: row 超危, 高危, 中危, 低危; column 环境因素 1 to 9.
const ANNEX_E: [&[u8; 9]; 4] = [b"MMMHHHCCC", b"LLLLMMHCC", b"LLLLLMMHC", b"LLLLLLMMH"];

/// Grades one vulnerability and says why. Total: anything unusable becomes 未定级 with the reason.
pub fn grade(known: Known<'_>) -> Graded {
    let mut graded = match known.vector.map(|v| (v, v.parse::<BaseVector>())) {
        Some((text, Ok(vector))) => from_vector(text, &vector, known.vector_source),
        Some((_, Err(error))) => ungraded(
            format!("CVSS 向量不可用({error})"),
            format!("unusable CVSS vector ({error})"),
            known.vendor_word,
        ),
        None => ungraded("无 CVSS 向量".into(), "no CVSS vector".into(), known.vendor_word),
    };
    if let Some(day) = known.exploited_since {
        graded.basis.zh.push_str(&format!(";已知被利用(CISA KEV,{day})"));
        graded.basis.en.push_str(&format!("; known exploited (CISA KEV, {day})"));
    }
    graded
}

/// Technical grade of a vector; `None` when 保密性, 完整性 and 可用性 are all 无: annex B has no such row,
/// it is no vulnerability in the sense of the standard.
pub fn technical(vector: &BaseVector) -> Option<Technical> {
    let exploitability = exploitability(vector);
    let impact = impact(vector)?;
    let row = ANNEX_D.get(usize::from(9u8.checked_sub(impact)?))?;
    let cell = row.get(usize::from(exploitability.checked_sub(1)?))?;
    Some(Technical { exploitability, impact, grade: letter(*cell) })
}

/// Annex C: 环境因素 1 to 9.
pub fn environment(e: Environment) -> u8 {
    use Degree::{High as H, Low as L, Medium as M};
    match (e.reach, e.cost, e.difficulty) {
        (H, L, H) => 9,
        (H, L, M) | (H, M, H) | (M, L, H) => 8,
        (H, L, L) | (H, M, M) | (H, H, H) | (M, L, M) | (M, M, H) => 7,
        (H, M, L) | (H, H, M) | (M, L, L) | (M, M, M) | (M, H, H) => 6,
        (H, H, L) | (M, M, L) | (M, H, M) | (L, L, H) => 5,
        (M, H, L) | (L, L, M) | (L, M, H) => 4,
        (L, L, L) | (L, M, M) | (L, H, H) => 3,
        (L, M, L) | (L, H, M) => 2,
        (L, H, L) => 1,
    }
}

/// Annex E: the overall grade in one environment. 未定级 stays 未定级.
pub fn overall(technical: Grade, e: Environment) -> Grade {
    let row = match technical {
        Grade::Critical => ANNEX_E[0],
        Grade::High => ANNEX_E[1],
        Grade::Medium => ANNEX_E[2],
        Grade::Low => ANNEX_E[3],
        Grade::Ungraded => return Grade::Ungraded,
    };
    row.get(usize::from(environment(e).saturating_sub(1))).map_or(Grade::Ungraded, |cell| letter(*cell))
}

/// Annex A: 被利用性 1 to 9.
fn exploitability(v: &BaseVector) -> u8 {
    use AttackComplexity::{High as Hard, Low as Easy};
    use AttackVector::{Adjacent, Local, Network, Physical};
    use PrivilegesRequired as Pr;
    use UserInteraction::{None as Alone, Required as User};
    match (v.attack_vector, v.attack_complexity, v.privileges_required, v.user_interaction) {
        (Network, Easy, Pr::None, Alone) => 9,
        (Network, Easy, Pr::Low, Alone) | (Network, Easy, Pr::None, User) => 8,
        (Adjacent | Local, Easy, Pr::None, Alone) | (Network, Hard, Pr::None, Alone) => 8,
        (Network, Easy, Pr::Low, User) | (Adjacent, Easy, Pr::Low, Alone) | (Network, Easy, Pr::High, Alone) => 7,
        (Adjacent | Local, Easy, Pr::None, User) | (Local, Easy, Pr::Low, Alone) => 6,
        (Network, Hard, Pr::Low, Alone) | (Network, Hard, Pr::None, User) => 5,
        (Adjacent, Hard, Pr::None, Alone) | (Adjacent, Easy, Pr::Low, User) => 5,
        (Adjacent, Hard, Pr::None, User) | (Adjacent, Hard, Pr::Low, Alone) => 4,
        (Local, Hard, Pr::None, Alone) | (Local, Easy, Pr::Low, User) | (Network, Hard, Pr::Low, User) => 4,
        (Local, Hard, Pr::Low, Alone) | (Network, Hard, Pr::High, Alone) => 3,
        (Network | Adjacent, Easy, Pr::High, User) | (Adjacent, Easy, Pr::High, Alone) => 3,
        (Local, Easy | Hard, Pr::High, Alone) | (Local, Hard, Pr::None, User) | (Local, Easy, Pr::High, User) => 2,
        (Network, Hard, Pr::High, User) | (Adjacent, Hard, Pr::High, Alone) | (Adjacent, Hard, Pr::Low, User) => 2,
        (Physical, Easy, Pr::None, Alone | User) | (Physical, Easy, Pr::Low, Alone) => 2,
        (Local, Hard, Pr::Low | Pr::High, User) | (Adjacent, Hard, Pr::High, User) => 1,
        (Physical, Easy, Pr::Low, User) | (Physical, Easy, Pr::High, _) | (Physical, Hard, _, _) => 1,
    }
}

/// Annex B: 影响程度 1 to 9 from how many of the three are 严重 and 一般.
fn impact(v: &BaseVector) -> Option<u8> {
    let all = [v.confidentiality, v.integrity, v.availability];
    let count = |i: Impact| all.iter().filter(|x| **x == i).count();
    match (count(Impact::High), count(Impact::Low)) {
        (3, _) => Some(9),
        (2, 1) => Some(8),
        (2, _) => Some(7),
        (1, 2) => Some(6),
        (1, 1) => Some(5),
        (1, _) => Some(4),
        (_, 3) => Some(3),
        (_, 2) => Some(2),
        (_, 1) => Some(1),
        _ => None,
    }
}

fn letter(cell: u8) -> Grade {
    match cell {
        b'C' => Grade::Critical,
        b'H' => Grade::High,
        b'M' => Grade::Medium,
        _ => Grade::Low,
    }
}

fn from_vector(text: &str, vector: &BaseVector, source: Option<&str>) -> Graded {
    let Some(t) = technical(vector) else {
        let mut graded = ungraded(
            format!("向量 {text} 的保密性、完整性、可用性影响均为无,附录 B 无对应值"),
            format!("vector {text} has no impact at all, annex B has no value for it"),
            None,
        );
        from_whom(&mut graded.basis, source);
        return graded;
    };
    let av = match vector.attack_vector {
        AttackVector::Network => ("网络", "network"),
        AttackVector::Adjacent => ("邻接", "adjacent"),
        AttackVector::Local => ("本地", "local"),
        AttackVector::Physical => ("物理", "physical"),
    };
    let ac = if vector.attack_complexity == AttackComplexity::Low { ("低", "low") } else { ("高", "high") };
    let pr = match vector.privileges_required {
        PrivilegesRequired::None => ("无", "none"),
        PrivilegesRequired::Low => ("低", "low"),
        PrivilegesRequired::High => ("高", "high"),
    };
    let ui = if vector.user_interaction == UserInteraction::None { ("不需要", "none") } else { ("需要", "required") };
    let cia = |i: Impact| match i {
        Impact::High => ("严重", "high"),
        Impact::Low => ("一般", "low"),
        Impact::None => ("无", "none"),
    };
    let (c, i, a) = (cia(vector.confidentiality), cia(vector.integrity), cia(vector.availability));
    let grade = t.grade;
    let mut basis = Text::new(
        format!(
            "GB/T 30279-2020 技术分级:访问路径{}、触发要求{}、权限需求{}、交互条件{} → 被利用性 {}(附录 A);保密性{}、完整性{}、可用性{} → 影响程度 {}(附录 B);附录 D → {}。向量 {text}",
            av.0, ac.0, pr.0, ui.0, t.exploitability, c.0, i.0, a.0, t.impact, grade.zh()
        ),
        format!(
            "GB/T 30279-2020 technical grade: access path {}, trigger requirement {}, privileges {}, interaction {} → exploitability {} (annex A); confidentiality {}, integrity {}, availability {} → impact {} (annex B); annex D → {}. Vector {text}",
            av.1, ac.1, pr.1, ui.1, t.exploitability, c.1, i.1, a.1, t.impact, grade.as_str()
        ),
    );
    from_whom(&mut basis, source);
    Graded { grade, basis }
}

fn from_whom(basis: &mut Text, source: Option<&str>) {
    if let Some(source) = source {
        basis.zh.push_str(&format!("(来源 {source})"));
        basis.en.push_str(&format!(" (from {source})"));
    }
}

fn ungraded(zh: String, en: String, word: Option<&str>) -> Graded {
    let shown = word.map_or((String::new(), String::new()), |w| {
        (format!(";厂商表述:{w}(仅供参考,不作为分级)"), format!("; vendor's word: {w} (shown, not graded from)"))
    });
    Graded {
        grade: Grade::Ungraded,
        basis: Text::new(format!("未定级:{zh},按高危对待{}", shown.0), format!("ungraded: {en}, counted as high{}", shown.1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cvss::Scope;
    use std::collections::BTreeMap;

    #[derive(serde::Deserialize)]
    struct Tables {
        exploit: BTreeMap<String, u8>,
        impact: BTreeMap<String, u8>,
        env: BTreeMap<String, u8>,
        tech: Vec<(u8, u8, u8, u8, Grade2)>,
        overall: Vec<(Grade2, u8, u8, Grade2)>,
    }

    #[derive(serde::Deserialize, Clone, Copy)]
    #[serde(try_from = "String")]
    struct Grade2(Grade);

    impl TryFrom<String> for Grade2 {
        type Error = String;
        fn try_from(s: String) -> Result<Self, String> {
            s.parse().map(Grade2)
        }
    }

    fn tables() -> Tables {
        serde_json::from_str(include_str!("../../../content/standard/gbt30279.json")).unwrap()
    }

    fn all_vectors() -> Vec<BaseVector> {
        let mut all = Vec::new();
        for &attack_vector in AttackVector::ALL {
            for &attack_complexity in AttackComplexity::ALL {
                for &privileges_required in PrivilegesRequired::ALL {
                    for &user_interaction in UserInteraction::ALL {
                        for &confidentiality in Impact::ALL {
                            for &integrity in Impact::ALL {
                                for &availability in Impact::ALL {
                                    for &scope in Scope::ALL {
                                        all.push(BaseVector {
                                            attack_vector,
                                            attack_complexity,
                                            privileges_required,
                                            user_interaction,
                                            scope,
                                            confidentiality,
                                            integrity,
                                            availability,
                                            minor: 1,
                                        });
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
        all
    }

    #[test]
    fn annexes_a_b_d_cell_by_cell() {
        let t = tables();
        assert_eq!((t.exploit.len(), t.impact.len()), (48, 9));
        let mut cells = std::collections::BTreeSet::new();
        for v in all_vectors() {
            let key: String = [
                v.attack_vector.letter(),
                v.attack_complexity.letter(),
                v.privileges_required.letter(),
                v.user_interaction.letter(),
            ]
            .iter()
            .collect();
            let e = t.exploit[&key];
            assert_eq!(exploitability(&v), e, "{key}");
            let all = [v.confidentiality, v.integrity, v.availability];
            let count = |i| all.iter().filter(|x| **x == i).count();
            let key = format!("{}{}{}", count(Impact::High), count(Impact::Low), count(Impact::None));
            let i = t.impact.get(&key).copied();
            assert_eq!(impact(&v), i, "{key}");
            let Some(i) = i else {
                assert_eq!(technical(&v), None);
                continue;
            };
            let expect: Vec<_> =
                t.tech.iter().filter(|r| (r.0..=r.1).contains(&e) && (r.2..=r.3).contains(&i)).map(|r| r.4.0).collect();
            assert_eq!(expect.len(), 1, "table D is ambiguous or open at {e},{i}");
            assert_eq!(technical(&v), Some(Technical { exploitability: e, impact: i, grade: expect[0] }));
            cells.insert((e, i));
        }
        assert_eq!(cells.len(), 81, "not every cell of annex D was reached");
    }

    #[test]
    fn annexes_c_and_e_cell_by_cell() {
        let t = tables();
        let degrees = [('L', Degree::Low), ('M', Degree::Medium), ('H', Degree::High)];
        let mut seen = 0;
        for (r, reach) in degrees {
            for (c, cost) in degrees {
                for (d, difficulty) in degrees {
                    let e = Environment { reach, cost, difficulty };
                    let n = t.env[&format!("{r}{c}{d}")];
                    assert_eq!(environment(e), n, "{r}{c}{d}");
                    for grade in [Grade::Low, Grade::Medium, Grade::High, Grade::Critical] {
                        let rows: Vec<_> =
                            t.overall.iter().filter(|x| x.0.0 == grade && (x.1..=x.2).contains(&n)).map(|x| x.3.0).collect();
                        assert_eq!(vec![overall(grade, e)], rows, "{grade} {n}");
                        seen += 1;
                    }
                    assert_eq!(overall(Grade::Ungraded, e), Grade::Ungraded);
                }
            }
        }
        assert_eq!(seen, 108);
    }

    #[test]
    fn grades_differ_from_the_cvss_word_as_often_as_computed() {
        let (mut same, mut all) = ([0, 0], [0, 0]);
        for v in all_vectors() {
            let Some(t) = technical(&v) else { continue };
            let score = v.base_score();
            let word = match score {
                s if s >= 9.0 => Grade::Critical,
                s if s >= 7.0 => Grade::High,
                s if s >= 4.0 => Grade::Medium,
                _ => Grade::Low,
            };
            let s = usize::from(v.scope == Scope::Changed);
            all[s] += 1;
            same[s] += usize::from(word == t.grade);
            assert!(word.rank().abs_diff(t.grade.rank()) <= 1, "{v}");
        }
        assert_eq!((all, same), ([1248, 1248], [1146, 807]));
    }

    #[test]
    fn worked_examples_print_their_basis() {
        for (vector, exploit, imp, expect) in [
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 9, 9, Grade::Critical),
            ("CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H", 6, 9, Grade::High),
            ("CVSS:3.0/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 8, 2, Grade::Medium),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N", 9, 4, Grade::High),
            ("CVSS:3.1/AV:L/AC:H/PR:L/UI:N/S:U/C:H/I:H/A:H", 3, 9, Grade::High),
        ] {
            let g = grade(Known { vector: Some(vector), vector_source: Some("cna"), ..Known::default() });
            assert_eq!(g.grade, expect, "{vector}");
            for text in [&g.basis.zh, &g.basis.en] {
                assert!(text.contains(vector) && text.contains("GB/T 30279-2020") && text.contains("cna"), "{text}");
            }
            assert!(g.basis.zh.contains(&format!("被利用性 {exploit}")), "{}", g.basis.zh);
            assert!(g.basis.zh.contains(&format!("影响程度 {imp}")), "{}", g.basis.zh);
            assert!(g.basis.zh.contains(expect.zh()));
        }
    }

    #[test]
    fn without_a_usable_vector_it_is_ungraded_and_says_why() {
        let g = grade(Known { vendor_word: Some("high"), ..Known::default() });
        assert_eq!(g.grade, Grade::Ungraded);
        assert!(g.basis.zh.contains("无 CVSS 向量") && g.basis.zh.contains("按高危对待") && g.basis.zh.contains("high"));
        let g = grade(Known { vector: Some("CVSS:2.0/x"), exploited_since: Some("2025-01-02"), ..Known::default() });
        assert_eq!(g.grade, Grade::Ungraded);
        assert!(g.basis.en.contains("unusable") && g.basis.en.contains("known exploited (CISA KEV, 2025-01-02)"));
        let none = "CVSS:3.1/AV:P/AC:H/PR:H/UI:R/S:U/C:N/I:N/A:N";
        let g = grade(Known { vector: Some(none), ..Known::default() });
        assert_eq!(g.grade, Grade::Ungraded);
        assert!(g.basis.zh.contains("附录 B"));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(v in ".*", w in ".*") {
            let _ = grade(Known { vector: Some(&v), vendor_word: Some(&w), ..Known::default() });
        }
    }
}
