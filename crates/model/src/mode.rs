//! What a policy does when it is violated (AU-2).

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// 放行 / 告警 / 拦截. Ordered by strength.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    Allow,
    Alert,
    Block,
}

impl Mode {
    pub const ALL: [Mode; 3] = [Mode::Allow, Mode::Alert, Mode::Block];

    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Allow => "allow",
            Mode::Alert => "alert",
            Mode::Block => "block",
        }
    }

    pub fn zh(self) -> &'static str {
        match self {
            Mode::Allow => "放行",
            Mode::Alert => "告警",
            Mode::Block => "拦截",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Mode {
    type Err = String;
    /// Accepts the English and the Chinese word.
    fn from_str(s: &str) -> Result<Self, String> {
        Mode::ALL
            .into_iter()
            .find(|m| m.as_str() == s || m.zh() == s)
            .ok_or_else(|| format!("mode {s:?} is not one of allow/放行, alert/告警, block/拦截"))
    }
}
