//! Leave to enter a running container (IA-3): asked for by anybody, given by the security
//! administrator, for a time.

use super::ClusterError;
use super::cluster::{label, subdomain, text};
use jinwu_admission::protocol::EntryGrant;
use serde::{Deserialize, Serialize};

/// A request and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntryRequest {
    pub id: String,
    pub cluster: String,
    /// The user name Kubernetes authenticates.
    pub person: String,
    /// Empty: a node.
    pub namespace: String,
    /// What is entered: a pod's name, `service/` and a service's, a node's where there is no namespace;
    /// `*` stands for any ending, alone for everything of the namespace.
    pub pod: String,
    pub ways: Vec<String>,
    pub reason: String,
    /// How long it holds once approved.
    pub minutes: i64,
    pub proposer: String,
    /// Unix milliseconds.
    pub proposed: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryState {
    Proposed,
    /// Nobody approved it in time.
    Lapsed,
    /// It opens now.
    Standing,
    Expired,
    Revoked,
}

/// Ways into a container.
pub const WAYS: [&str; 5] = ["exec", "attach", "portforward", "debug", "proxy"];
/// Minutes an entry is given for at most.
pub const MAX_MINUTES: i64 = 480;
/// Milliseconds a request waits for its approval.
const PATIENCE: i64 = 24 * 3600 * 1000;
/// Milliseconds a request that is over is still shown; the ledger keeps it.
const SHOWN: i64 = 7 * 24 * 3600 * 1000;
/// Requests of one cluster kept at once, and those of one proposer that wait.
pub(super) const MAX_REQUESTS: usize = 1000;
pub(super) const MAX_WAITING: usize = 20;

impl EntryRequest {
    /// Whether what is asked can be given at all.
    pub(super) fn check(&self) -> Result<(), ClusterError> {
        text("person", &self.person, 256)?;
        let of_node = self.namespace.is_empty();
        if !of_node {
            label("namespace", &self.namespace)?;
        }
        // All of a namespace may be named, all nodes may not.
        if self.pod != "*" || of_node {
            let name = self.pod.strip_prefix("service/").filter(|_| !of_node).unwrap_or(&self.pod);
            // The beginning of a name may end as no name may.
            subdomain("pod", name.strip_suffix('*').map_or(name, |start| start.trim_end_matches(['-', '.'])))?;
        }
        text("reason", &self.reason, 500)?;
        let known = self.ways.iter().all(|w| WAYS.contains(&w.as_str()));
        if self.ways.is_empty() || self.ways.len() > WAYS.len() || !known {
            return Err(ClusterError::Invalid(format!("ways 须取自 {} / ways must be of these: {0}", WAYS.join(", "))));
        }
        if !(1..=MAX_MINUTES).contains(&self.minutes) {
            return Err(ClusterError::Invalid(format!("minutes 须为 1–{MAX_MINUTES} / minutes must be 1 to {MAX_MINUTES}")));
        }
        Ok(())
    }

    pub fn state(&self, now: i64) -> EntryState {
        match (self.revoked, self.expires()) {
            (Some(_), _) => EntryState::Revoked,
            (None, Some(expires)) if now < expires => EntryState::Standing,
            (None, Some(_)) => EntryState::Expired,
            (None, None) if now < self.proposed + PATIENCE => EntryState::Proposed,
            (None, None) => EntryState::Lapsed,
        }
    }

    /// Unix milliseconds; absent until it is approved.
    pub fn expires(&self) -> Option<i64> {
        self.approved.map(|at| at + self.minutes * 60_000)
    }

    /// Whether it is over for so long that it need not be shown.
    pub(super) fn forgotten(&self, now: i64) -> bool {
        let over = match self.state(now) {
            EntryState::Proposed | EntryState::Standing => return false,
            EntryState::Revoked => self.revoked.unwrap_or(now),
            EntryState::Lapsed => self.proposed + PATIENCE,
            EntryState::Expired => self.expires().unwrap_or(now),
        };
        now - over > SHOWN
    }

    pub(super) fn approve(&mut self, approver: &str, now: i64) -> Result<(), ClusterError> {
        let refused = |text: &str| Err(ClusterError::Refused(text.to_owned()));
        if self.state(now) != EntryState::Proposed {
            return refused("该申请已处理、已撤销或已超过 24 小时,请重新申请 / this request was decided, revoked, or is older than 24 hours; ask again");
        }
        if self.proposer == approver {
            return refused("申请人不得批准自己的申请 / who asked cannot approve");
        }
        if is_person(&self.person, approver) {
            return refused("不得批准自己进入容器 / nobody approves their own entering");
        }
        self.approver = Some(approver.to_owned());
        self.approved = Some(now);
        Ok(())
    }

    /// As gates see it, while it stands.
    pub fn grant(&self, now: i64) -> Option<EntryGrant> {
        if self.state(now) != EntryState::Standing {
            return None;
        }
        Some(EntryGrant {
            id: self.id.clone(),
            person: self.person.clone(),
            namespace: self.namespace.clone(),
            pod: self.pod.clone(),
            ways: self.ways.clone(),
            reason: self.reason.clone(),
            approver: self.approver.clone()?,
            not_before: self.approved?,
            expires: self.expires()?,
        })
    }
}

/// Whether a user name of Kubernetes is the account's: itself, or within what an identity provider
/// puts around it (`oidc:alice`, `alice@example.com`).
pub fn is_person(person: &str, account: &str) -> bool {
    person.split([':', '/', '#', '@', '|']).any(|part| part.eq_ignore_ascii_case(account)) || person.eq_ignore_ascii_case(account)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> EntryRequest {
        EntryRequest {
            id: "e-1".into(),
            cluster: "prod".into(),
            person: "oidc:li".into(),
            namespace: "web".into(),
            pod: "web-*".into(),
            ways: vec!["exec".into()],
            reason: "stuck queue".into(),
            minutes: 30,
            proposer: "li".into(),
            proposed: 0,
            approver: None,
            approved: None,
            revoked_by: None,
            revoked: None,
        }
    }

    #[test]
    fn two_people_and_a_time() {
        let mut e = request();
        assert!(e.grant(1).is_none());
        assert!(e.approve("li", 1).is_err(), "proposer");
        e.proposer = "wang".into();
        assert!(e.approve("LI", 1).is_err(), "the person, by another spelling");
        e.approve("secadmin", 1000).unwrap();
        let grant = e.grant(1000).unwrap();
        assert_eq!((grant.not_before, grant.expires), (1000, 1000 + 30 * 60_000));
        assert!(e.approve("other", 1001).is_err(), "once");
        assert_eq!(e.state(grant.expires), EntryState::Expired);
        assert!(e.grant(grant.expires).is_none());
        assert!(!e.forgotten(grant.expires) && e.forgotten(grant.expires + SHOWN + 1));
        e.revoked = Some(2000);
        assert!(e.grant(2000).is_none());
        let mut late = EntryRequest { proposer: "wang".into(), ..request() };
        assert!(late.approve("secadmin", PATIENCE).is_err(), "lapsed");
    }

    #[test]
    fn what_cannot_be_given_is_said() {
        assert!(request().check().is_ok());
        let bad = |f: &dyn Fn(&mut EntryRequest)| {
            let mut e = request();
            f(&mut e);
            e.check().is_err()
        };
        assert!(bad(&|e| e.person = " ".into()));
        assert!(bad(&|e| e.namespace = "*".into()), "one namespace");
        assert!(bad(&|e| e.pod = "we*b".into()));
        assert!(bad(&|e| e.pod = String::new()));
        assert!(bad(&|e| e.pod = "-*".into()));
        assert!(bad(&|e| e.ways = vec![]));
        assert!(bad(&|e| e.ways = vec!["ssh".into()]));
        assert!(bad(&|e| e.minutes = 0));
        assert!(bad(&|e| e.minutes = 481));
        assert!(bad(&|e| e.reason = "\n".into()));
        assert!(bad(&|e| e.pod = "service/*".into()), "a service has a name");
        assert!(bad(&|e| e.pod = "node/a".into()));
        assert!(bad(&|e| {
            e.namespace = String::new();
            e.pod = "*".into();
        }), "all nodes");
        assert!(!bad(&|e| {
            e.namespace = String::new();
            e.pod = "node-1".into();
        }));
        assert!(!bad(&|e| e.pod = "service/web".into()));
        assert!(!bad(&|e| e.pod = "*".into()));
        assert!(!bad(&|e| e.pod = "web-0".into()));
    }
}
