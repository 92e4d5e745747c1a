//! Audit records: one entry of the ledger.

use crate::decision::DecisionId;
use crate::subject::Subject;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// Who did what to which object, from where, with which result (AU-1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Unix time in milliseconds, by the server's clock.
    pub time: i64,
    pub kind: Kind,
    pub subject: Subject,
    /// What was done, a verb of the kind: `push`, `mode-set`, `grant-approved`.
    pub action: String,
    /// What it was done to: `demo/app:1.0`, `account:alice`, `policy:root-user`.
    pub object: String,
    /// True address of the client; absent for the system's own acts and the local socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    pub outcome: Outcome,
    /// Links the records of one decision: the push, its alarm and its interception.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionId>,
    /// Facts by name (digest, policy, reason, user agent). Secrets are masked before they get here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub detail: BTreeMap<String, serde_json::Value>,
}

/// The closed list of what is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Login,
    Logout,
    Token,
    Push,
    Pull,
    Delete,
    /// Access refused: missing or wrong credentials, missing permission.
    Denial,
    /// A policy was violated (告警); always accompanies an interception.
    Alarm,
    /// An attempt was stopped (拦截).
    Interception,
    Policy,
    Exception,
    Account,
    Robot,
    Project,
    Grant,
    Scan,
    Assessment,
    Ledger,
    System,
    /// A cluster was registered, changed or removed; what its gates report about themselves.
    Cluster,
    /// Something was asked of a cluster, and how its gate answered.
    Admission,
    /// Leave to enter a running container, and every entering.
    Entry,
    /// A program started or ended, in a container or where rules ask.
    Process,
    /// A file came, changed or went.
    File,
    /// A connection, a listening socket, a question to a name server.
    Network,
    /// Users, namespaces, mounts, the kernel, other processes.
    Privilege,
    /// Something was done to a container because of what it did.
    Response,
    /// Alarms about one workload, and how they were dealt with.
    Incident,
    /// A node was enrolled, changed or removed; what its sensor reports about itself.
    Node,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// About to be done: recorded first, so that nothing is done that cannot be recorded. A second
    /// record with the outcome follows.
    Requested,
    Success,
    Denied,
    Failure,
}

// === impl Kind ===

impl Kind {
    pub const ALL: [Kind; 29] = [
        Kind::Login, Kind::Logout, Kind::Token, Kind::Push, Kind::Pull, Kind::Delete, Kind::Denial, Kind::Alarm,
        Kind::Interception, Kind::Policy, Kind::Exception, Kind::Account, Kind::Robot, Kind::Project, Kind::Grant,
        Kind::Scan, Kind::Assessment, Kind::Ledger, Kind::System, Kind::Cluster, Kind::Admission, Kind::Entry,
        Kind::Process, Kind::File, Kind::Network, Kind::Privilege, Kind::Response, Kind::Incident, Kind::Node,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Login => "login",
            Kind::Logout => "logout",
            Kind::Token => "token",
            Kind::Push => "push",
            Kind::Pull => "pull",
            Kind::Delete => "delete",
            Kind::Denial => "denial",
            Kind::Alarm => "alarm",
            Kind::Interception => "interception",
            Kind::Policy => "policy",
            Kind::Exception => "exception",
            Kind::Account => "account",
            Kind::Robot => "robot",
            Kind::Project => "project",
            Kind::Grant => "grant",
            Kind::Scan => "scan",
            Kind::Assessment => "assessment",
            Kind::Ledger => "ledger",
            Kind::System => "system",
            Kind::Cluster => "cluster",
            Kind::Admission => "admission",
            Kind::Entry => "entry",
            Kind::Process => "process",
            Kind::File => "file",
            Kind::Network => "network",
            Kind::Privilege => "privilege",
            Kind::Response => "response",
            Kind::Incident => "incident",
            Kind::Node => "node",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Kind {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        Kind::ALL.into_iter().find(|k| k.as_str() == s).ok_or_else(|| {
            let known: Vec<_> = Kind::ALL.iter().map(|k| k.as_str()).collect();
            format!("record kind {s:?} is unknown; known are {}", known.join(", "))
        })
    }
}

// === impl Record ===

impl Record {
    pub fn new(time: i64, kind: Kind, subject: Subject, action: impl Into<String>, object: impl Into<String>) -> Self {
        Record {
            time,
            kind,
            subject,
            action: action.into(),
            object: object.into(),
            source: None,
            outcome: Outcome::Success,
            decision: None,
            detail: BTreeMap::new(),
        }
    }

    #[must_use]
    pub fn from(mut self, source: Option<IpAddr>) -> Self {
        self.source = source;
        self
    }

    #[must_use]
    pub fn outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    #[must_use]
    pub fn decision(mut self, decision: Option<DecisionId>) -> Self {
        self.decision = decision;
        self
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.detail.insert(name.to_owned(), value.into());
        self
    }
}
