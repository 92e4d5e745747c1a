//! How answers become verdicts (判定), by the rules of GB/T 28449-2018 8.2 and GB/T 28448-2019.
//!
//! Those rules know four verdicts and assume that the assessor found an answer. A program does not
//! always; so a fifth one, 待确认, stands for "evidence is missing", and one law is added: **an unknown
//! never becomes 符合**, and never hides behind a settled word unless the word is settled whatever the
//! unknown turns out to be.

use jinwu_model::{Text, Verdict};

/// The answer of one assessment step (测评实施 1)…n)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 肯定: evidence as expected.
    Affirmative,
    /// 否定: evidence to the contrary.
    Negative,
    /// The object does not face the threat; the caller records why.
    NotApplicable,
    /// No evidence: not run, timed out, refused.
    Unknown,
}

/// Counts of clause verdicts, for the score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub conforms: u32,
    pub partial: u32,
    pub fails: u32,
    pub not_applicable: u32,
    pub unconfirmed: u32,
}

/// 等级测评 conclusions of the 2025 report template. A tool only ever prepares one (自评估/预测评).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// 符合
    Conforms,
    /// 基本符合
    Mostly,
    /// 不符合
    Fails,
    /// Items are unconfirmed, and the conclusion depends on them.
    Open,
}

/// Item verdict (单项, item × object) from its steps. No steps: 待确认.
///
/// All affirmative 符合; all negative 不符合; both kinds 部分符合; nothing applicable 不适用. With an
/// unknown step: 部分符合 when both kinds are there already, else 待确认.
pub fn item(answers: &[Answer]) -> Verdict {
    let parts = answers.iter().map(|a| match a {
        Answer::Affirmative => Verdict::Conforms,
        Answer::Negative => Verdict::Fails,
        Answer::NotApplicable => Verdict::NotApplicable,
        Answer::Unknown => Verdict::Unconfirmed,
    });
    combine(&parts.collect::<Vec<_>>())
}

/// Unit verdict (单元/控制点: a clause over all its objects) from item verdicts. None: 待确认.
///
/// All applicable 符合 → 符合; all 不符合 → 不符合; all 不适用 → 不适用; else 部分符合. With a 待确认:
/// 部分符合 when that is settled already, else 待确认.
pub fn combine(items: &[Verdict]) -> Verdict {
    let has = |v: Verdict| items.contains(&v);
    if items.is_empty() {
        return Verdict::Unconfirmed;
    }
    let mixed = has(Verdict::Partial) || (has(Verdict::Conforms) && has(Verdict::Fails));
    match (mixed, has(Verdict::Unconfirmed)) {
        (true, _) => Verdict::Partial,
        (false, true) => Verdict::Unconfirmed,
        (false, false) if has(Verdict::Conforms) => Verdict::Conforms,
        (false, false) if has(Verdict::Fails) => Verdict::Fails,
        (false, false) => Verdict::NotApplicable,
    }
}

// === impl Tally ===

impl Tally {
    pub fn of(verdicts: impl IntoIterator<Item = Verdict>) -> Self {
        let mut t = Tally::default();
        for v in verdicts {
            match v {
                Verdict::Conforms => t.conforms += 1,
                Verdict::Partial => t.partial += 1,
                Verdict::Fails => t.fails += 1,
                Verdict::NotApplicable => t.not_applicable += 1,
                Verdict::Unconfirmed => t.unconfirmed += 1,
            }
        }
        t
    }

    /// Items that apply.
    pub fn applicable(&self) -> u32 {
        self.conforms + self.partial + self.fails + self.unconfirmed
    }

    /// 符合率 in percent, 0 to 100, with 部分符合 counted as 0 and as one half: the published answer does
    /// not say which, so reports show both. 待确认 counts as 0 in both. `None` when nothing applies.
    pub fn rates(&self) -> Option<(f64, f64)> {
        let all = f64::from(self.applicable());
        (all > 0.0).then(|| {
            let full = f64::from(self.conforms);
            (100.0 * full / all, 100.0 * (full + f64::from(self.partial) / 2.0) / all)
        })
    }

    /// The conclusion by the 2025 template, with 部分符合 counted as 0: 符合 above 90 % without major
    /// hazard, 不符合 below 60 %, 基本符合 between. The template leaves exactly 90 % and 60 % open, and over
    /// 90 % with a major hazard; all three are 基本符合 here.
    pub fn conclusion(&self, major_hazards: u32) -> Conclusion {
        let at = |t: &Tally| match t.rates() {
            None => Conclusion::Open,
            Some((rate, _)) if rate > 90.0 && major_hazards == 0 => Conclusion::Conforms,
            Some((rate, _)) if rate >= 60.0 => Conclusion::Mostly,
            Some(_) => Conclusion::Fails,
        };
        let best = Tally { conforms: self.conforms + self.unconfirmed, unconfirmed: 0, ..*self };
        if at(self) == at(&best) { at(self) } else { Conclusion::Open }
    }
}

// === impl Conclusion ===

impl Conclusion {
    pub fn text(self) -> Text {
        match self {
            Conclusion::Conforms => Text::new("符合", "conforms"),
            Conclusion::Mostly => Text::new("基本符合", "mostly conforms"),
            Conclusion::Fails => Text::new("不符合", "does not conform"),
            Conclusion::Open => Text::new("待确认", "to be confirmed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{Conforms, Fails, NotApplicable, Partial, Unconfirmed};
    use proptest::prelude::*;

    #[test]
    fn tables_of_the_rules() {
        use Answer::{Affirmative as Y, Negative as N, NotApplicable as X, Unknown as U};
        for (answers, expect) in [
            (&[Y, Y][..], Conforms),
            (&[Y, X], Conforms),
            (&[N, N], Fails),
            (&[Y, N], Partial),
            (&[X, X], NotApplicable),
            (&[], Unconfirmed),
            (&[Y, U], Unconfirmed),
            (&[N, U], Unconfirmed),
            (&[X, U], Unconfirmed),
            (&[Y, N, U], Partial),
        ] {
            assert_eq!(item(answers), expect, "{answers:?}");
        }
        assert_eq!(combine(&[Conforms, Partial]), Partial);
        assert_eq!(combine(&[Partial, Unconfirmed]), Partial);
        assert_eq!(combine(&[Fails, NotApplicable]), Fails);
    }

    #[test]
    fn rates_and_conclusion() {
        let t = Tally { conforms: 30, partial: 2, fails: 0, not_applicable: 1, unconfirmed: 0 };
        let (low, high) = t.rates().unwrap();
        assert!((low - 93.75).abs() < 1e-9 && (high - 96.875).abs() < 1e-9);
        assert_eq!(t.conclusion(0), Conclusion::Conforms);
        assert_eq!(t.conclusion(1), Conclusion::Mostly);
        assert_eq!(Tally { conforms: 9, fails: 1, ..Tally::default() }.conclusion(0), Conclusion::Mostly);
        assert_eq!(Tally { conforms: 5, fails: 5, ..Tally::default() }.conclusion(0), Conclusion::Fails);
        assert_eq!(Tally { conforms: 5, unconfirmed: 5, ..Tally::default() }.conclusion(0), Conclusion::Open);
        assert_eq!(Tally { conforms: 1, fails: 8, unconfirmed: 1, ..Tally::default() }.conclusion(0), Conclusion::Fails);
        assert_eq!(Tally::default().conclusion(0), Conclusion::Open);
    }

    fn any_verdict() -> impl Strategy<Value = Verdict> {
        proptest::sample::select(Verdict::ALL.to_vec())
    }

    proptest! {
        #[test]
        fn unknown_is_never_conforming(mut v in proptest::collection::vec(any_verdict(), 0..12), at in any::<prop::sample::Index>()) {
            let at = if v.is_empty() { 0 } else { at.index(v.len()) };
            v.insert(at, Unconfirmed);
            prop_assert!(matches!(combine(&v), Unconfirmed | Partial));
        }

        #[test]
        fn a_settled_word_stays_whatever_the_unknown_becomes(v in proptest::collection::vec(any_verdict(), 1..12), becomes in any_verdict()) {
            let before = combine(&v);
            if before != Unconfirmed {
                let after: Vec<_> = v.iter().map(|x| if *x == Unconfirmed { becomes } else { *x }).collect();
                prop_assert_eq!(combine(&after), before);
            }
        }

        #[test]
        fn order_does_not_matter(mut v in proptest::collection::vec(any_verdict(), 0..12)) {
            let before = combine(&v);
            v.reverse();
            prop_assert_eq!(combine(&v), before);
        }
    }
}
