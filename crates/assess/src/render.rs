//! What people see: the wall of 33 clauses on a terminal, and the record (测评记录) as Markdown.

mod record;
mod wall;

pub use record::markdown;
pub use wall::wall;

use jinwu_model::{Text, Verdict};

/// Language of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    Chinese,
    English,
}

// === impl Language ===

impl Language {
    fn pick<'a>(self, zh: &'a str, en: &'a str) -> &'a str {
        match self {
            Language::Chinese => zh,
            Language::English => en,
        }
    }

    fn of(self, text: &Text) -> &str {
        self.pick(&text.zh, &text.en)
    }

    fn verdict(self, verdict: Verdict) -> &'static str {
        match self {
            Language::Chinese => verdict.zh(),
            Language::English => match verdict {
                Verdict::Conforms => "conforms",
                Verdict::Partial => "partial",
                Verdict::Fails => "FAILS",
                Verdict::NotApplicable => "n/a",
                Verdict::Unconfirmed => "open",
            },
        }
    }
}

#[cfg(test)]
pub(crate) fn tests_assessment() -> crate::Assessment {
    wall::tests::assessment()
}
