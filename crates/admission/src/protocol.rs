//! What a gate in a cluster and the server tell each other, as JSON over HTTPS.
//!
//! | gate asks | server answers |
//! |---|---|
//! | `GET /gate/v1/bundle?have=GENERATION&wait=SECONDS` | [`Signed`] around a [`Bundle`]; 304 when it is still the one the gate has |
//! | `POST /gate/v1/images` with an [`ImageQuestion`] | [`ImageAnswer`] |
//! | `POST /gate/v1/records` with a [`Batch`] | [`Taken`], once every record is durable |
//! | `POST /gate/v1/certificate` with a [`CertificateRequest`] | [`Certificate`] of the cluster's authority |
//! | `POST /gate/v1/blocks` with a [`BlockRequest`] | [`BlockedSubject`], which the next bundle carries |
//!
//! The gate shows its cluster's secret as a bearer token. It decides by the newest bundle it has,
//! whether the server answers or not; the bundle is signed, so a copy kept in the cluster cannot be
//! changed there.

use jinwu_model::{ClauseId, Digest, Kind, Mode, PolicyId, ProtectionLevel, Record, Text};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A bundle as it travels and is kept: the exact bytes that were signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// JSON of a [`Bundle`].
    pub bundle: String,
    /// Ed25519 over `jinwu-bundle:` and the text, hex.
    pub signature: String,
}

/// What is put before a bundle's text when it is signed, so that no other signed text passes for one.
pub const SIGNED_AS: &str = "jinwu-bundle:";

/// Everything a gate decides by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    pub cluster: String,
    /// Changes with anything below; opaque.
    pub generation: String,
    /// Unix milliseconds.
    pub made: i64,
    /// Level of a namespace whose label `jinwu.io/level` is absent or not 1 to 4.
    pub default_level: ProtectionLevel,
    /// The strongest any policy may act, by namespace (`*` for all others). A new cluster starts at
    /// 告警: what would be refused is only recorded.
    pub enforcement: BTreeMap<String, Mode>,
    /// Namespace (`*` for all others) → policy → mode, where it is not the level's default.
    pub modes: BTreeMap<String, BTreeMap<PolicyId, Mode>>,
    pub exceptions: Vec<WorkloadException>,
    pub grants: Vec<EntryGrant>,
    /// Custom policies: YAML documents.
    pub policies: Vec<String>,
    /// Registry hosts (`host[:port]`) images may come from; ours are among them.
    pub registries: Vec<String>,
    /// Those of [`Bundle::registries`] that are Jinwu's own: only they can say what an image is.
    pub own_registries: Vec<String>,
    /// Who may set a namespace's level: user names, or groups after `group:`.
    pub level_setters: Vec<String>,
    pub base_platform: Vec<BaseComponent>,
    /// Runtime classes that give a pod a kernel of its own.
    pub sandboxed_runtimes: Vec<String>,
    /// Subjects whose requests are refused until then.
    pub blocked: Vec<BlockedSubject>,
    /// Versions of everything that may change what is known about an image. An answer with another
    /// generation is asked for again.
    pub verdict_generation: String,
    /// PEM of the cluster's authority: it signs the gate's certificate and that of the API server as
    /// the client of the gate's audit and authorisation webhooks.
    #[serde(default)]
    pub authority: String,
    #[serde(default)]
    pub rules: RuleSettings,
    /// Users' ValidatingAdmissionPolicies, bindings and parameters: YAML as it was given, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub admission: BTreeMap<String, String>,
}

/// Detection rules over audit events: the shipped ones, switched, and the user's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RuleSettings {
    /// By the rule's name, or a group's after `tag:`; a rule's own entry goes first. A rule without
    /// one acts as it was shipped, but never 拦截: who wants subjects blocked says so.
    pub modes: BTreeMap<String, Mode>,
    /// Rule files in Falco's format, loaded after the shipped ones in order of name.
    pub files: BTreeMap<String, String>,
}

/// A gate asks for its serving certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateRequest {
    /// DNS names and addresses it is to be good for.
    pub names: Vec<String>,
}

/// A certificate and its key, PEM.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    pub authority: String,
    pub certificate: String,
    pub key: String,
    /// Unix seconds.
    pub until: i64,
}

/// A gate has blocked a subject by a rule at 拦截, and every other gate is to do so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockRequest {
    pub gate: String,
    pub user: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    pub rule: String,
    /// Decision id of the alarm.
    pub decision: String,
    pub source: Option<std::net::IpAddr>,
    pub minutes: i64,
}

/// A base-platform component (基础平台组件) that may be privileged: by namespace and digest, and, where
/// a key is given, only if the image's cosign signature verifies with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseComponent {
    pub namespace: String,
    pub digest: Digest,
    /// PEM public key that signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    pub approver: String,
    pub reason: String,
}

/// Lifts one policy for something named, for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadException {
    pub id: String,
    pub policy: PolicyId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// `deployment/web`: kind in small letters and name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
    /// Digest of the image of the container the violation is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Unix milliseconds.
    pub expires: i64,
}

/// Leave to enter a running container (IA-3): a named person, a workload, a reason, a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryGrant {
    pub id: String,
    /// The user name Kubernetes authenticates.
    pub person: String,
    /// Empty: a node.
    pub namespace: String,
    /// A pod's name, or `*` for everything of the namespace; a trailing `*` stands for any ending.
    /// `service/NAME` for a service, a node's name where there is no namespace.
    pub pod: String,
    /// Of `exec`, `attach`, `portforward`, `debug`, `proxy`.
    pub ways: Vec<String>,
    pub reason: String,
    pub approver: String,
    /// Unix milliseconds.
    pub not_before: i64,
    pub expires: i64,
}

/// Someone whose requests are refused: a stolen token, an account under attack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockedSubject {
    pub id: String,
    pub user: String,
    /// Only requests with this credential (`jti` of a bound token); absent: all of the user's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    pub reason: String,
    /// Unix milliseconds.
    pub expires: i64,
}

impl BlockedSubject {
    /// Whether it refuses a request of `user` by one of these credentials.
    pub fn refuses(&self, user: &str, credentials: &[String], now: i64) -> bool {
        let by = |c: &String| credentials.iter().any(|have| have.strip_prefix("JTI=").unwrap_or(have) == c);
        now < self.expires && self.user == user && self.credential.as_ref().is_none_or(by)
    }
}

/// What is known about an image reference?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageQuestion {
    /// As the pod names it, with registry: `localhost:5443/demo/app:1.0`, `…@sha256:…`.
    pub reference: String,
    /// `linux/amd64`; absent: every platform of an index counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
}

/// What is known about an image. Modes are not in it: they depend on the namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageAnswer {
    pub reference: String,
    /// What the reference stands for now, an index where it names one; absent when it does not exist.
    /// What is known is known of this digest: a tag may stand for another a moment later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Keys of base-platform components with this digest that have signed it: SubjectPublicKeyInfo in base64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signers: Vec<String>,
    pub knowledge: Knowledge,
    pub verdict_generation: String,
    /// Unix milliseconds; then it must be asked for again: nearest expiry of an exception, or the
    /// maximum age of a scan.
    pub valid_until: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Knowledge {
    /// Scanned and judged by every policy of the admission gate.
    Judged {
        /// The uid the image's own USER resolves to; absent: it cannot be told, which counts as root.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uid: Option<u32>,
        /// Where the uid comes from, in words.
        user_basis: String,
        findings: Vec<ImageFinding>,
    },
    /// Nothing is known, and why: it does not exist, was never scanned, or is not ours.
    Unknown { why: Text },
}

/// One policy an image does not meet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageFinding {
    pub policy: PolicyId,
    pub clauses: Vec<ClauseId>,
    /// Default modes of the policy for levels 1 to 4.
    pub modes: [Mode; 4],
    pub finding: Text,
    pub advice: Text,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception: Option<String>,
}

/// Records on their way to the ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// Which gate: its pod's name.
    pub gate: String,
    /// At most [`MAX_BATCH`].
    pub records: Vec<Entry>,
    pub status: GateStatus,
}

/// A record with the name by which a second copy is recognised. The server adds to its detail
/// `cluster`, `reporter` (the gate) and `entry` (the id), replaces a time that cannot be (and keeps it
/// as `claimed_time`), and takes what it cannot read as a `system` record that says so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// UUID; the audit id and stage of an audit event, after a `/`. At most 128 of letters, digits and
    /// `-_/.:`. Known for the whole cluster: a second gate's copy counts as repeated.
    pub id: String,
    pub record: Record,
}

/// How a gate is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateStatus {
    pub version: String,
    /// Generation of the bundle it decides by.
    pub generation: String,
    /// Records waiting in its spool.
    pub waiting: u64,
    /// Reviews answered since it started, and refused.
    pub reviews: u64,
    pub refused: u64,
    /// It ends of its own will, and its silence means nothing.
    #[serde(default)]
    pub leaving: bool,
    #[serde(default)]
    pub watch: WatchStatus,
    /// Parameters of users' policies that it cannot read in its cluster, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable_params: Vec<String>,
}

/// What a gate sees of the audit stream and of the API server's authoriser. Times are unix
/// milliseconds by the gate's clock; 0 is never.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WatchStatus {
    /// Events taken since it started.
    pub events: u64,
    /// Events of system components that are not recorded one by one, and reads that are judged only.
    pub folded: u64,
    /// Last batch of the API server's webhook, last line of its log.
    pub webhook: i64,
    pub file: i64,
    /// Time of the newest event.
    pub event: i64,
    /// When a canary was last sent by this gate; when the newest canary that came back was sent.
    pub canary_sent: i64,
    pub canary: i64,
    /// When the API server's authoriser last asked us about a canary.
    pub authorizer: i64,
    /// Subjects blocked by rules since it started.
    pub blocked: u64,
}

/// How many of a batch were new. All of them are durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    pub new: u64,
    pub repeated: u64,
}

/// Records in one batch, at most.
pub const MAX_BATCH: usize = 2000;

/// By whom and by which keys a cluster's service account tokens are signed: what its API server publishes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Issuer {
    pub issuer: String,
    /// JWKS (RFC 7517).
    pub keys: serde_json::Value,
}

/// Kinds of records a gate writes. One of another kind is not lost: it is taken as a `system` record
/// that says so.
pub const GATE_KINDS: [Kind; 7] =
    [Kind::Admission, Kind::Entry, Kind::Cluster, Kind::Alarm, Kind::Interception, Kind::Denial, Kind::System];
