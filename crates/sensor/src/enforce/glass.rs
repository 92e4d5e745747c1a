//! Breaking the glass: a signed command that opens a node for a while. Nothing is refused then, everything is told.
//!
//! The file is JSON: `{"node": "…", "purpose": "…", "from": seconds, "until": seconds, "signature": "hex"}`, seconds
//! since 1970, signed with Ed25519 over [`Glass::message`] by a key the node trusts.

use jinwu_trust::{SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

/// Longest time a node can be opened for: 24 hours.
pub const LONGEST: u64 = 24 * 3600;
/// Longest file that is read.
pub const MAX_BYTES: usize = 4096;

/// A command, not yet believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Glass {
    /// Name of the node it is for.
    pub node: String,
    /// Why, for the record.
    pub purpose: String,
    /// Not before.
    pub from: u64,
    /// Nor after.
    pub until: u64,
    #[serde(default)]
    pub signature: String,
}

/// Why a command is not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No such file as is described above.
    Malformed(String),
    /// By none of the keys this node trusts.
    Signature,
    /// For another node.
    Node(String),
    /// Not now.
    Time,
    /// For longer than [`LONGEST`], or for no purpose.
    Terms(&'static str),
}

// === impl Glass ===

impl Glass {
    /// What is signed. Names and purposes cannot run into each other: their lengths stand before them.
    pub fn message(&self) -> Vec<u8> {
        format!("jinwu break-glass 1\n{} {}\n{} {}\n{} {}\n", self.node.len(), self.node, self.purpose.len(), self.purpose, self.from, self.until).into_bytes()
    }

    #[must_use]
    pub fn signed(mut self, key: &SigningKey) -> Self {
        self.signature = key.sign(&self.message()).iter().map(|b| format!("{b:02x}")).collect();
        self
    }

    /// A command that holds on `node` at `now`, seconds since 1970.
    ///
    /// # Errors
    /// Why it is not followed.
    pub fn check(text: &[u8], keys: &[VerifyingKey], node: &str, now: u64) -> Result<Self, Refused> {
        if text.len() > MAX_BYTES {
            return Err(Refused::Malformed(format!("more than {MAX_BYTES} bytes")));
        }
        let glass: Glass = serde_json::from_slice(text).map_err(|e| Refused::Malformed(e.to_string()))?;
        let signature = unhex(&glass.signature).ok_or(Refused::Signature)?;
        if !keys.iter().any(|key| key.verify(&glass.message(), &signature)) {
            return Err(Refused::Signature);
        }
        if glass.node != node {
            return Err(Refused::Node(glass.node));
        }
        if glass.purpose.trim().is_empty() {
            return Err(Refused::Terms("it has no purpose"));
        }
        if glass.until.saturating_sub(glass.from) > LONGEST {
            return Err(Refused::Terms("it is for longer than 24 hours"));
        }
        if now < glass.from || now >= glass.until {
            return Err(Refused::Time);
        }
        Ok(glass)
    }

    /// For [`super::Enforcer::break_glass`]: nanoseconds since boot, where `boot` (nanoseconds since boot) is `now`
    /// (seconds since 1970).
    pub fn until_boot(&self, now: u64, boot: u64) -> u64 {
        boot.saturating_add(self.until.saturating_sub(now).saturating_mul(1_000_000_000))
    }
}

// === impl Refused ===

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refused::Malformed(why) => write!(f, "the command cannot be read: {why}"),
            Refused::Signature => write!(f, "the command is signed by none of the keys this node trusts"),
            Refused::Node(node) => write!(f, "the command is for node {node}"),
            Refused::Time => write!(f, "the command does not hold now"),
            Refused::Terms(why) => write!(f, "the command is not followed: {why}"),
        }
    }
}

impl std::error::Error for Refused {}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glass() -> Glass {
        Glass { node: "node-1".into(), purpose: "kubelet does not start".into(), from: 1000, until: 4600, signature: String::new() }
    }

    fn check(glass: &Glass, key: &SigningKey, node: &str, now: u64) -> Result<Glass, Refused> {
        Glass::check(&serde_json::to_vec(glass).unwrap(), &[key.verifying_key()], node, now)
    }

    #[test]
    fn a_signed_command_holds_on_its_node_in_its_time() {
        let key = SigningKey::generate();
        let glass = glass().signed(&key);
        assert_eq!(check(&glass, &key, "node-1", 1000), Ok(glass.clone()));
        assert_eq!(check(&glass, &key, "node-2", 1000), Err(Refused::Node("node-1".into())));
        assert_eq!(check(&glass, &key, "node-1", 999), Err(Refused::Time));
        assert_eq!(check(&glass, &key, "node-1", 4600), Err(Refused::Time));
        assert_eq!(glass.until_boot(4000, 5), 5 + 600_000_000_000);
    }

    #[test]
    fn whatever_is_changed_breaks_the_signature() {
        let key = SigningKey::generate();
        let signed = glass().signed(&key);
        let changes: [fn(&mut Glass); 5] =
            [|g| g.node.push('x'), |g| g.purpose.push('x'), |g| g.from -= 1, |g| g.until += 1, |g| g.signature.truncate(126)];
        for (index, change) in changes.iter().enumerate() {
            let mut other = signed.clone();
            change(&mut other);
            assert_eq!(check(&other, &key, &other.node.clone(), 1000), Err(Refused::Signature), "{index}");
        }
        assert_eq!(check(&signed, &SigningKey::generate(), "node-1", 1000), Err(Refused::Signature));
        assert_eq!(check(&glass(), &key, "node-1", 1000), Err(Refused::Signature), "not signed");
    }

    #[test]
    fn terms_are_held() {
        let key = SigningKey::generate();
        let long = Glass { until: 1000 + LONGEST + 1, ..glass() }.signed(&key);
        assert!(matches!(check(&long, &key, "node-1", 1000), Err(Refused::Terms(_))));
        let idle = Glass { purpose: " ".into(), ..glass() }.signed(&key);
        assert!(matches!(check(&idle, &key, "node-1", 1000), Err(Refused::Terms(_))));
        assert!(matches!(Glass::check(b"{}", &[], "n", 0), Err(Refused::Malformed(_))));
        assert!(matches!(Glass::check(&[b' '; MAX_BYTES + 1], &[], "n", 0), Err(Refused::Malformed(_))));
    }
}
