//! Exceptions (例外): approved, reasoned, limited in time and scope.

use jinwu_model::{Digest, PolicyId, ProjectName, RepositoryName};
use serde::{Deserialize, Serialize};

/// Lifts one policy for something named. Honoured identically at every gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exception {
    pub id: String,
    pub policy: PolicyId,
    /// Narrowest first; all parts given must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepositoryName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectName>,
    /// Only the violation whose evidence has this `id`, `rule` or `variable` (a CVE, a rule's name).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finding: Option<String>,
    pub reason: String,
    pub proposer: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver: Option<String>,
    /// Unix milliseconds.
    pub created: i64,
    pub expires: i64,
}

impl Exception {
    /// Whether it lifts `policy` for this image and piece of evidence at `now`.
    pub fn covers(
        &self,
        policy: &PolicyId,
        digest: &Digest,
        repository: &RepositoryName,
        evidence: &serde_json::Value,
        now: i64,
    ) -> bool {
        let scoped = self.digest.is_some() || self.repository.is_some() || self.project.is_some();
        let finding_matches = |finding: &String| {
            ["id", "rule", "variable", "kind"].iter().any(|member| evidence.get(member).and_then(|v| v.as_str()) == Some(finding))
        };
        scoped
            && self.approver.is_some()
            && now < self.expires
            && self.policy == *policy
            && self.digest.as_ref().is_none_or(|d| d == digest)
            && self.repository.as_ref().is_none_or(|r| r == repository)
            && self.project.as_ref().is_none_or(|p| *p == repository.project())
            && self.finding.as_ref().is_none_or(finding_matches)
    }
}
