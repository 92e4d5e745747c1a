//! Evidence (证据): what was asked, what came back, what was expected, and the hashes of the raw output.
//!
//! A [`Log`] collects the exchanges of one check while they happen, masked and bounded, and becomes an
//! [`Evidence`] when the check is answered. Nothing is kept that was not written through the mask.

use crate::mask::Mask;
use jinwu_model::Text;
use jinwu_standard::verdict::Answer;
use serde::{Serialize, Serializer};
use std::sync::Arc;

/// Raw output kept of one check, bytes.
pub const MAX_OUTPUT: usize = 128 << 10;

/// One answered check with its raw output.
#[derive(Clone, Debug, Serialize)]
pub struct Evidence {
    /// `E-0001`, in the order of collection; set by the assessment.
    pub id: String,
    pub role: Role,
    /// The request, command or look-up, masked.
    pub command: String,
    /// Where it was asked: address and interface.
    pub source: String,
    /// RFC 3339, UTC, when the check began.
    pub time: String,
    pub expected: Text,
    pub actual: Text,
    #[serde(serialize_with = "answer")]
    pub answer: Answer,
    /// Exchanges as they went, masked, at most [`MAX_OUTPUT`] bytes.
    pub output: String,
    pub truncated: bool,
    /// Of `output`, hexadecimal.
    pub sha256: String,
    pub sm3: String,
}

/// What a check proves; the verdict of a step depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// A state or record that has to be so.
    State,
    /// An attack that has to be stopped.
    Attack,
    /// The attack's own records in the ledger.
    Trace,
    /// Shows that the drill is real: with the guard off the attack succeeds, with permission the act does.
    Control,
    /// The step could not be carried on.
    Error,
}

/// The exchanges of one check.
pub struct Log {
    mask: Arc<Mask>,
    source: String,
    command: String,
    time: String,
    output: String,
    truncated: bool,
}

fn answer<S: Serializer>(answer: &Answer, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(word(*answer).en.as_str())
}

/// 肯定, 否定, 不适用, 未知.
pub fn word(answer: Answer) -> Text {
    match answer {
        Answer::Affirmative => Text::new("肯定", "affirmative"),
        Answer::Negative => Text::new("否定", "negative"),
        Answer::NotApplicable => Text::new("不适用", "not applicable"),
        Answer::Unknown => Text::new("未知", "unknown"),
    }
}

// === impl Role ===

impl Role {
    pub fn text(self) -> Text {
        match self {
            Role::State => Text::new("检查", "inspection"),
            Role::Attack => Text::new("攻击", "attack"),
            Role::Trace => Text::new("留痕", "trace"),
            Role::Control => Text::new("对照", "control"),
            Role::Error => Text::new("异常", "error"),
        }
    }
}

// === impl Log ===

impl Log {
    pub fn new(mask: Arc<Mask>, source: impl Into<String>, command: impl Into<String>) -> Self {
        let command = mask.apply(&command.into());
        Log { mask, source: source.into(), command, time: jiff::Timestamp::now().to_string(), output: String::new(), truncated: false }
    }

    /// The same log under another command.
    #[must_use]
    pub fn named(mut self, command: impl Into<String>) -> Self {
        self.command = self.mask.apply(&command.into());
        self
    }

    /// Adds lines to the raw output, masked; what goes beyond the bound is cut.
    pub fn note(&mut self, text: &str) {
        let text = self.mask.apply(text);
        let room = MAX_OUTPUT.saturating_sub(self.output.len() + 1);
        if text.len() > room {
            self.truncated = true;
            let cut = (0..=room).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            self.output.push_str(text.get(..cut).unwrap_or_default());
        } else {
            self.output.push_str(&text);
            self.output.push('\n');
        }
    }

    /// Answers the check.
    pub fn prove(self, role: Role, expected: Text, actual: Text, answer: Answer) -> Evidence {
        let masked = |t: Text| Text::new(self.mask.apply(&t.zh), self.mask.apply(&t.en));
        Evidence {
            id: String::new(),
            role,
            command: self.command,
            source: self.source,
            time: self.time,
            expected: masked(expected),
            actual: masked(actual),
            answer,
            sha256: hex::encode(jinwu_trust::sha256(self.output.as_bytes())),
            sm3: hex::encode(jinwu_trust::sm3(self.output.as_bytes())),
            output: self.output,
            truncated: self.truncated,
        }
    }
}

/// Affirmative when `good`, else negative.
pub fn whether(good: bool) -> Answer {
    if good { Answer::Affirmative } else { Answer::Negative }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_of_the_output_and_the_output_is_masked_and_bounded() {
        let mask = Arc::new(Mask::default());
        mask.learn("a-very-secret-value");
        let mut log = Log::new(mask.clone(), "here", "GET /a-very-secret-value");
        log.note("before a-very-secret-value after");
        let evidence = log.prove(Role::State, Text::default(), Text::new("a-very-secret-value", ""), Answer::Affirmative);
        assert_eq!(evidence.output, "before *** after\n");
        assert_eq!((evidence.command.as_str(), evidence.actual.zh.as_str()), ("GET /***", "***"));
        assert_eq!(evidence.sha256, hex::encode(jinwu_trust::sha256(b"before *** after\n")));
        assert_eq!(evidence.sm3, hex::encode(jinwu_trust::sm3(b"before *** after\n")));
        let mut log = Log::new(mask, "here", "x");
        for _ in 0..3 {
            log.note(&"界".repeat(20_000));
        }
        let evidence = log.prove(Role::State, Text::default(), Text::default(), Answer::Unknown);
        assert!(evidence.truncated && evidence.output.len() <= MAX_OUTPUT);
    }
}
