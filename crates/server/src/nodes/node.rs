//! What is kept of a node.

use super::NodeError;
use serde::{Deserialize, Serialize};

/// A node that was let in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    pub name: String,
    /// Cluster it belongs to; empty outside of one.
    #[serde(default)]
    pub cluster: String,
    /// Unix milliseconds.
    pub enrolled: i64,
    /// Those it may show: the one of now and, until they expire, those before its renewals.
    pub certificates: Vec<Certificate>,
    /// Its sensor has reported once: from then on silence is worth an alarm.
    #[serde(default)]
    pub heard: bool,
    #[serde(default)]
    pub told: Told,
}

/// A certificate of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// SHA-256 of its DER, hexadecimal.
    pub fingerprint: String,
    /// Unix milliseconds.
    pub until: i64,
}

/// What was alarmed already, so that a start of the server tells nothing twice and forgets nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Told {
    /// Counts of its sensor up to which losses were told.
    pub lost: u64,
    pub dropped: u64,
    /// How calls were seen and stopped.
    pub rung: String,
    /// Silence was told, and its end was not yet.
    pub silent: bool,
}

/// Certificates of one node that stand at once; beyond it the oldest ends.
const MAX_CERTIFICATES: usize = 4;

// === impl Node ===

impl Node {
    pub(super) fn new(name: &str, cluster: &str, now: i64) -> Self {
        Node { name: name.to_owned(), cluster: cluster.to_owned(), enrolled: now, certificates: Vec::new(), heard: false, told: Told::default() }
    }

    /// One more certificate; gives the fingerprints of those that ended by it.
    pub(super) fn add(&mut self, certificate: Certificate, now: i64) -> Vec<String> {
        let before = std::mem::take(&mut self.certificates);
        let (mut standing, ended): (Vec<_>, Vec<_>) = before.into_iter().partition(|c| now < c.until);
        standing.push(certificate);
        let most = standing.len().saturating_sub(MAX_CERTIFICATES);
        let ended = ended.into_iter().chain(standing.drain(..most)).map(|c| c.fingerprint).collect();
        self.certificates = standing;
        ended
    }
}

/// The name of a node: as Kubernetes names nodes, which host names fit.
///
/// # Errors
/// It is none.
pub(crate) fn check_name(name: &str) -> Result<(), NodeError> {
    crate::clusters::cluster::subdomain("node", name).map_err(|e| NodeError::Invalid(e.to_string()))
}
