//! What an inspection of a cluster finds.

use jinwu_model::{ClauseId, Text, Verdict};
use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum Severity {
    #[serde(rename = "提示")]
    Note,
    #[serde(rename = "低")]
    Low,
    #[serde(rename = "中")]
    Medium,
    #[serde(rename = "高")]
    High,
}

/// One judgement about one asset.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The check, `rbac-wildcard`.
    pub check: &'static str,
    pub clause: ClauseId,
    /// `ClusterRoleBinding/admins`, `Pod/shop/web-0`; `cluster` for the whole.
    pub asset: String,
    pub severity: Severity,
    pub verdict: Verdict,
    pub expected: Text,
    pub actual: Text,
    /// What it rests on, raw.
    pub evidence: String,
    /// What to do; empty where nothing needs doing.
    pub advice: Text,
}

// === impl Severity ===

impl Severity {
    pub fn text(self) -> Text {
        match self {
            Severity::High => Text::new("高", "high"),
            Severity::Medium => Text::new("中", "medium"),
            Severity::Low => Text::new("低", "low"),
            Severity::Note => Text::new("提示", "note"),
        }
    }
}
