//! Vulnerability grades of GB/T 30279-2020.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// 低危 < 中危 < 高危 < 超危; `Ungraded` (未定级) has no CVSS vector to grade from and counts as 高危
/// against every threshold: unknown never passes for harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    Low,
    Medium,
    High,
    Critical,
    Ungraded,
}

impl Grade {
    pub const ALL: [Grade; 5] = [Grade::Critical, Grade::High, Grade::Ungraded, Grade::Medium, Grade::Low];

    pub fn as_str(self) -> &'static str {
        match self {
            Grade::Low => "low",
            Grade::Medium => "medium",
            Grade::High => "high",
            Grade::Critical => "critical",
            Grade::Ungraded => "ungraded",
        }
    }

    pub fn zh(self) -> &'static str {
        match self {
            Grade::Low => "低危",
            Grade::Medium => "中危",
            Grade::High => "高危",
            Grade::Critical => "超危",
            Grade::Ungraded => "未定级",
        }
    }

    /// Rank for thresholds: 1 低危 … 4 超危; 未定级 ranks as 高危 (3).
    pub fn rank(self) -> u8 {
        match self {
            Grade::Low => 1,
            Grade::Medium => 2,
            Grade::High | Grade::Ungraded => 3,
            Grade::Critical => 4,
        }
    }
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.zh())
    }
}

impl FromStr for Grade {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        Grade::ALL.into_iter().find(|g| g.as_str() == s || g.zh() == s).ok_or_else(|| format!("grade {s:?} is unknown"))
    }
}
