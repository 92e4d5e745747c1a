//! What is kept of a cluster and never shown: its secrets, the one of now and those that still stand.

use super::cluster::Cluster;
use jinwu_trust::{Authority, TrustError};
use serde::{Deserialize, Serialize};

/// A cluster and what is never shown of it.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) cluster: Cluster,
    /// SHA-256 of the secret, hexadecimal.
    secret: String,
    /// Secrets of before, which stand until gates have read the new one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    former: Vec<Former>,
    /// Signs the gates' certificates and the API server's as their client. Absent in what was kept
    /// before there was one; made when first asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    authority: Option<KeptAuthority>,
    /// Some gate has reported once: from then on silence is worth an alarm.
    #[serde(default)]
    pub(super) heard: bool,
}

/// PEM of an authority. The key leaves the server in no answer.
#[derive(Clone, Serialize, Deserialize)]
struct KeptAuthority {
    certificate: String,
    key: String,
}

#[derive(Clone, Serialize, Deserialize)]
struct Former {
    /// SHA-256, hexadecimal.
    secret: String,
    /// Unix milliseconds.
    until: i64,
}

/// Milliseconds a secret stands after a new one was made: a node may be down while its gate's changes.
const FORMER: i64 = 24 * 3_600_000;
/// Former secrets that stand at once; beyond it the oldest ends.
const MAX_FORMER: usize = 4;

// === impl Kept ===

impl Kept {
    /// A cluster with a new secret, which is told once.
    pub(super) fn new(cluster: Cluster) -> (Self, String) {
        let secret = format!("jwg_{}", hex::encode(jinwu_trust::random::bytes::<32>()));
        (Kept { cluster, secret: fingerprint(&secret), former: Vec::new(), authority: None, heard: false }, secret)
    }

    /// With another secret; the one of now stands a day longer. Gives it and until when the old one stands.
    pub(super) fn renewed(&self, now: i64) -> (Self, String, i64) {
        let (fresh, secret) = Kept::new(self.cluster.clone());
        let mut kept = Kept { secret: fresh.secret, ..self.clone() };
        let until = now + FORMER;
        kept.former = self.former.iter().filter(|f| now < f.until).cloned().collect();
        kept.former.push(Former { secret: self.secret.clone(), until });
        let most = kept.former.len().saturating_sub(MAX_FORMER);
        kept.former.drain(..most);
        (kept, secret, until)
    }

    /// With the secret of now alone; and how many former ones ended by this.
    pub(super) fn alone(&self, now: i64) -> (Self, usize) {
        let ended = self.former(now).count();
        (Kept { former: Vec::new(), ..self.clone() }, ended)
    }

    /// Until when former secrets stand, Unix milliseconds.
    pub(super) fn former(&self, now: i64) -> impl Iterator<Item = i64> + '_ {
        self.former.iter().map(|f| f.until).filter(move |until| now < *until)
    }

    /// The cluster's authority, if it has one.
    pub(super) fn authority(&self) -> Option<Result<Authority, TrustError>> {
        let kept = self.authority.as_ref()?;
        Some(Authority::load(&authority_name(&self.cluster.name), &kept.certificate, &kept.key))
    }

    pub(super) fn with_authority(&self) -> Result<(Self, Authority), TrustError> {
        let made = Authority::generate(&authority_name(&self.cluster.name))?;
        let authority = Some(KeptAuthority { certificate: made.certificate().to_owned(), key: made.key() });
        Ok((Kept { authority, ..self.clone() }, made))
    }

    /// Each compared in constant time.
    pub(super) fn has_secret(&self, fingerprint: &str, now: i64) -> bool {
        use subtle::ConstantTimeEq as _;
        let is = |secret: &str| bool::from(secret.as_bytes().ct_eq(fingerprint.as_bytes()));
        let former = self.former.iter().filter(|f| now < f.until);
        former.fold(is(&self.secret), |found, f| is(&f.secret) || found)
    }
}

fn authority_name(cluster: &str) -> String {
    format!("Jinwu gates of {cluster}")
}

/// What is kept in a secret's place.
pub(super) fn fingerprint(secret: &str) -> String {
    hex::encode(jinwu_trust::sha256(secret.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jinwu_model::ProtectionLevel;

    #[test]
    fn a_secret_is_recognised_and_not_kept() {
        let (kept, secret) = Kept::new(Cluster::new("prod", ProtectionLevel::FOUR, 1).unwrap());
        assert_eq!(secret.len(), 4 + 64);
        assert!(kept.has_secret(&fingerprint(&secret), 0));
        assert!(!kept.has_secret(&fingerprint("jwg_other"), 0));
        let (stored, shown) = (serde_json::to_string(&kept).unwrap(), serde_json::to_string(&kept.cluster).unwrap());
        assert!(!stored.contains(&secret) && !shown.contains(&fingerprint(&secret)));
    }

    #[test]
    fn former_secrets_stand_for_a_day_and_few_of_them() {
        let (mut kept, first) = Kept::new(Cluster::new("prod", ProtectionLevel::FOUR, 1).unwrap());
        let mut all = vec![first];
        for n in 0..=MAX_FORMER {
            let (next, secret, until) = kept.renewed(n as i64);
            assert_eq!(until, n as i64 + FORMER);
            kept = next;
            all.push(secret);
        }
        let stands = |kept: &Kept, now: i64| all.iter().map(|s| kept.has_secret(&fingerprint(s), now)).collect::<Vec<_>>();
        assert_eq!(stands(&kept, 10), [false, true, true, true, true, true], "the oldest of too many ended");
        assert_eq!(stands(&kept, FORMER + 2), [false, false, false, true, true, true]);
        assert_eq!(stands(&kept, 2 * FORMER), [false, false, false, false, false, true]);
        let (alone, ended) = kept.alone(10);
        assert_eq!((ended, stands(&alone, 10)), (4, vec![false, false, false, false, false, true]));
    }
}
