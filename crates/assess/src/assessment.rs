//! The result of an assessment and how verdicts come about.

use crate::evidence::{Evidence, Role, word};
use jinwu_model::{ClauseId, ProtectionLevel, Text, Verdict};
use jinwu_standard::verdict::{Answer, combine, item};
use serde::Serialize;

/// One assessment of one installation. A self-assessment (自评估): only a licensed body concludes.
#[derive(Clone, Debug, Serialize)]
pub struct Assessment {
    pub standard: &'static str,
    pub tool: String,
    pub level: ProtectionLevel,
    /// RFC 3339, UTC.
    pub started: String,
    pub finished: String,
    pub installation: Installation,
    /// False when only inspections were run.
    pub drills: bool,
    /// Policies left off in the drill project to prove that drills can fail; empty in earnest.
    pub guards_off: Vec<String>,
    /// The 33 clauses in the order of the standard.
    pub clauses: Vec<Clause>,
    /// What the drills made and could not remove; empty when all is clean.
    pub left_behind: Vec<String>,
}

/// What was assessed.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Installation {
    /// `host:port`.
    pub registry: String,
    pub version: String,
    pub level: Option<u8>,
    /// Address this program was seen at.
    pub source: String,
    pub engines: serde_json::Value,
    /// SHA-256 over the policy set in force.
    pub policies: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct Clause {
    pub id: ClauseId,
    pub family: Text,
    pub title: Text,
    pub verdict: Verdict,
    /// Why it is what it is, when not from the steps alone.
    pub reason: Text,
    pub steps: Vec<Step>,
}

/// 检查 or 模拟.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum StepKind {
    #[serde(rename = "检查")]
    Inspection,
    #[serde(rename = "模拟")]
    Drill,
}

/// One entry of the clause catalogue, carried out on one object.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// `IA-2.C1`, `IA-2.S1`.
    pub id: String,
    pub kind: StepKind,
    /// The catalogue's words.
    pub text: Text,
    /// 测评对象.
    pub object: Text,
    pub verdict: Verdict,
    pub basis: Text,
    pub evidence: Vec<Evidence>,
}

// === impl StepKind ===

impl StepKind {
    pub fn text(self) -> Text {
        match self {
            StepKind::Inspection => Text::new("检查", "inspection"),
            StepKind::Drill => Text::new("模拟", "drill"),
        }
    }
}

// === impl Step ===

impl Step {
    /// Judges the evidence. Numbering is the assessment's.
    pub fn judged(id: &str, kind: StepKind, text: Text, object: Text, evidence: Vec<Evidence>) -> Self {
        let answers: Vec<(Role, Answer)> = evidence.iter().map(|e| (e.role, e.answer)).collect();
        Step { id: id.to_owned(), kind, text, object, verdict: verdict(&answers), basis: basis(&evidence), evidence }
    }

    /// A step that was not run.
    pub fn not_run(id: &str, kind: StepKind, text: Text, object: Text, why: Text) -> Self {
        Step { id: id.to_owned(), kind, text, object, verdict: Verdict::Unconfirmed, basis: why, evidence: vec![] }
    }
}

/// The verdict of a step from its answered checks.
///
/// An attack that was not stopped is 不符合 whatever else went well. With an error, an attack without
/// an answer, or a control that did not come out (then the drill proves nothing) it is 待确认. Otherwise
/// the rule of GB/T 28449 for items: an attack stopped but not recorded is 部分符合.
pub fn verdict(answers: &[(Role, Answer)]) -> Verdict {
    let any = |role: Role, answer: Answer| answers.iter().any(|(r, a)| *r == role && *a == answer);
    if any(Role::Attack, Answer::Negative) {
        return Verdict::Fails;
    }
    let unproven = answers.iter().any(|(role, answer)| match role {
        Role::Error => true,
        Role::Control => !matches!(answer, Answer::Affirmative | Answer::NotApplicable),
        Role::Attack | Role::Trace => *answer == Answer::Unknown,
        Role::State => false,
    });
    if unproven {
        return Verdict::Unconfirmed;
    }
    item(&answers.iter().map(|(_, a)| *a).collect::<Vec<_>>())
}

/// `1)肯定 2)否定:…`: every answer, with the actual result where it is not affirmative.
fn basis(evidence: &[Evidence]) -> Text {
    let one = |pick: fn(&Text) -> &str| {
        let parts: Vec<String> = evidence
            .iter()
            .enumerate()
            .map(|(n, e)| {
                let answer = word(e.answer);
                match e.answer {
                    Answer::Affirmative => format!("{}){}", n + 1, pick(&answer)),
                    _ => format!("{}){}: {}", n + 1, pick(&answer), pick(&e.actual)),
                }
            })
            .collect();
        parts.join(" ")
    };
    if evidence.is_empty() {
        return Text::new("没有证据", "no evidence");
    }
    Text::new(one(|t| &t.zh), one(|t| &t.en))
}

// === impl Clause ===

impl Clause {
    /// The clause's verdict from its steps (unit rule of GB/T 28449). No steps: 待确认.
    pub fn judge(&mut self) {
        self.verdict = combine(&self.steps.iter().map(|s| s.verdict).collect::<Vec<_>>());
    }
}

// === impl Assessment ===

impl Assessment {
    pub fn evidence(&self) -> impl Iterator<Item = &Evidence> {
        self.clauses.iter().flat_map(|c| &c.steps).flat_map(|s| &s.evidence)
    }

    /// Gives evidence its numbers in the order of the clauses.
    pub(crate) fn number(&mut self) {
        let all = self.clauses.iter_mut().flat_map(|c| &mut c.steps).flat_map(|s| &mut s.evidence);
        for (n, evidence) in all.enumerate() {
            evidence.id = format!("E-{:04}", n + 1);
        }
    }

    pub fn step(&self, id: &str) -> Option<&Step> {
        self.clauses.iter().flat_map(|c| &c.steps).find(|s| s.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Answer::{Affirmative as Y, Negative as N, NotApplicable as X, Unknown as U};
    use Role::{Attack, Control, Error, State, Trace};
    use proptest::prelude::*;

    #[test]
    fn a_drill_passes_only_when_stopped_and_seen() {
        for (answers, expect) in [
            (&[(Attack, Y), (Trace, Y), (Control, Y)][..], Verdict::Conforms),
            (&[(Attack, Y), (Trace, N)], Verdict::Partial),
            (&[(Attack, N), (Trace, N)], Verdict::Fails),
            (&[(Attack, N), (Trace, Y), (State, Y)], Verdict::Fails),
            (&[(Attack, Y), (Trace, Y), (Control, N)], Verdict::Unconfirmed),
            (&[(Attack, Y), (Trace, U)], Verdict::Unconfirmed),
            (&[(Attack, U), (Trace, Y)], Verdict::Unconfirmed),
            (&[(Attack, Y), (Trace, Y), (Error, U)], Verdict::Unconfirmed),
            (&[(State, Y), (State, N)], Verdict::Partial),
            (&[(State, Y), (State, X)], Verdict::Conforms),
            (&[(State, X)], Verdict::NotApplicable),
            (&[(State, U)], Verdict::Unconfirmed),
            (&[], Verdict::Unconfirmed),
        ] {
            assert_eq!(verdict(answers), expect, "{answers:?}");
        }
    }

    fn any_answer() -> impl Strategy<Value = (Role, Answer)> {
        (proptest::sample::select(vec![State, Attack, Trace, Control, Error]), proptest::sample::select(vec![Y, N, X, U]))
    }

    proptest! {
        #[test]
        fn unknown_is_never_conforming(mut answers in proptest::collection::vec(any_answer(), 0..8), role in proptest::sample::select(vec![State, Attack, Trace, Control, Error])) {
            answers.push((role, U));
            prop_assert!(verdict(&answers) != Verdict::Conforms);
        }

        #[test]
        fn an_error_is_never_a_pass(mut answers in proptest::collection::vec(any_answer(), 0..8), answer in proptest::sample::select(vec![Y, N, X, U])) {
            answers.push((Error, answer));
            prop_assert!(matches!(verdict(&answers), Verdict::Unconfirmed | Verdict::Fails));
        }

        #[test]
        fn a_success_of_the_attacker_fails(mut answers in proptest::collection::vec(any_answer(), 0..8)) {
            answers.push((Attack, N));
            prop_assert_eq!(verdict(&answers), Verdict::Fails);
        }
    }
}
