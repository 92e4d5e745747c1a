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
    /// With this or the next two it is about what runs in clusters: their gates honour it, and no
    /// image passes by it elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// `deployment/web`: kind in small letters and name, in [`Exception::namespace`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
    /// Only this cluster; absent: every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
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
    /// Whether it names something in a cluster rather than an image.
    pub fn of_cluster(&self) -> bool {
        self.namespace.is_some() || self.workload.is_some() || self.cluster.is_some()
    }

    /// Approved, and not over at `now`.
    pub fn stands(&self, now: i64) -> bool {
        self.approver.is_some() && now < self.expires
    }

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
            && !self.of_cluster()
            && self.stands(now)
            && self.policy == *policy
            && self.digest.as_ref().is_none_or(|d| d == digest)
            && self.repository.as_ref().is_none_or(|r| r == repository)
            && self.project.as_ref().is_none_or(|p| *p == repository.project())
            && self.finding.as_ref().is_none_or(finding_matches)
    }
}
