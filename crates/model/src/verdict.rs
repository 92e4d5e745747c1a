//! The judgement of a clause or of one inspection step (判定).

use serde::{Deserialize, Serialize};
use std::fmt;

/// Serialised as the five Chinese words; unknown is never 符合.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Verdict {
    #[serde(rename = "符合")]
    Conforms,
    #[serde(rename = "部分符合")]
    Partial,
    #[serde(rename = "不符合")]
    Fails,
    #[serde(rename = "不适用")]
    NotApplicable,
    #[serde(rename = "待确认")]
    Unconfirmed,
}

impl Verdict {
    pub const ALL: [Verdict; 5] =
        [Verdict::Conforms, Verdict::Partial, Verdict::Fails, Verdict::NotApplicable, Verdict::Unconfirmed];

    pub fn zh(self) -> &'static str {
        match self {
            Verdict::Conforms => "符合",
            Verdict::Partial => "部分符合",
            Verdict::Fails => "不符合",
            Verdict::NotApplicable => "不适用",
            Verdict::Unconfirmed => "待确认",
        }
    }

    pub fn en(self) -> &'static str {
        match self {
            Verdict::Conforms => "conforms",
            Verdict::Partial => "partially conforms",
            Verdict::Fails => "does not conform",
            Verdict::NotApplicable => "not applicable",
            Verdict::Unconfirmed => "to be confirmed",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.zh())
    }
}
