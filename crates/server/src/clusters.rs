//! Clusters and their gates.
//!
//! * [`cluster`], [`entry`]: what is kept of a cluster, and leave to enter its containers.
//! * `kept`: the secrets of its gates.
//! * [`admission`]: users' ValidatingAdmissionPolicies, of a cluster or of all.
//! * [`bundle`]: everything a gate decides by, signed; what expires leaves it by itself.
//! * [`verdict`]: the generation of everything that may change what is known about an image.
//! * [`images`]: what is known about an image reference; [`recheck`] asks again for what runs already.
//! * [`preview`]: what of a cluster would be refused, were everything enforced.
//! * [`records`]: records of gates on their way to the ledger, each once.
//! * [`blocks`]: subjects a gate has blocked by itself; [`silence`]: gates and audit streams that fell silent.
//! * [`http`]: the endpoints gates ask.
//!
//! State is small and lives in memory, written through to `clusters.db` before a change is answered.

pub mod admission;
pub(crate) mod blocks;
pub mod bundle;
mod changes;
pub mod cluster;
pub mod entry;
pub mod http;
pub mod images;
mod kept;
pub mod preview;
pub(crate) mod recheck;
pub mod records;
pub mod silence;
pub mod verdict;

use crate::clusters::admission::Texts;
use crate::clusters::bundle::Made;
use crate::clusters::images::Images;
use crate::clusters::recheck::Seen;
use crate::clusters::verdict::Cached;
use crate::intake::Windows;
use cluster::Cluster;
use kept::Kept;
use entry::EntryRequest;
use jinwu_admission::protocol::GateStatus;
use jinwu_documents::Store;
use jinwu_policy::admission_policy::AdmissionPolicies;
use jinwu_trust::{SigningKey, VerifyingKey};
use parking_lot::{Mutex, RwLock};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;

/// Clusters one server looks after at most.
pub const MAX_CLUSTERS: usize = 100;
/// Gates of one cluster remembered at most.
const MAX_GATES: usize = 64;

/// Why a change is refused.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error("集群不存在:{0} / cluster {0} does not exist")]
    Unknown(String),
    #[error("不存在或不可见:{0} / does not exist, or is not yours to see: {0}")]
    Absent(String),
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    Refused(String),
    #[error("cluster store: {0}")]
    Store(#[from] jinwu_documents::DocumentError),
}

/// All clusters. See the module's comment.
pub struct Clusters {
    state: RwLock<State>,
    store: Store,
    key: SigningKey,
    /// Rises with every change of anything a bundle or a verdict may depend on.
    changes: watch::Sender<u64>,
    bundles: Mutex<HashMap<String, Arc<Made>>>,
    verdicts: Mutex<Option<Cached>>,
    /// Users' policies for all clusters as they were compiled last, with their texts.
    image_policies: Mutex<Option<(Texts, Arc<AdmissionPolicies>)>>,
    gates: Mutex<BTreeMap<String, BTreeMap<String, GateSeen>>>,
    pub(crate) images: Images,
    pub(crate) windows: Windows,
    /// Whoever changes users' admission policies does so one at a time: they are compiled together first.
    changing_admission: Mutex<()>,
    /// Whoever compares what is known with what was known does so one at a time.
    comparing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    clusters: BTreeMap<String, Kept>,
    entries: BTreeMap<String, EntryRequest>,
    /// Images gates asked for, by [`Seen::id`].
    seen: BTreeMap<String, Seen>,
    /// The generation by which all of `seen` was judged last.
    judged: String,
    /// Texts of users' admission policies for all clusters, by name.
    shared: BTreeMap<String, String>,
}

/// A gate, as it said itself.
#[derive(Clone, Debug, Serialize)]
pub struct GateSeen {
    /// Unix milliseconds.
    pub seen: i64,
    pub status: GateStatus,
}

// === impl Clusters ===

impl Clusters {
    /// Opens or makes `path`; `key` signs bundles.
    pub fn open(path: &Path, key: SigningKey) -> Result<Self, ClusterError> {
        let store = Store::open(path)?;
        let state = State {
            clusters: store.load("cluster")?,
            entries: store.load("entry")?,
            seen: store.load("image")?,
            shared: store.load("admission")?,
            judged: store.load::<String>("verdicts")?.remove("generation").unwrap_or_default(),
        };
        Ok(Clusters {
            state: RwLock::new(state),
            store,
            key,
            changes: watch::Sender::new(0),
            bundles: Mutex::default(),
            verdicts: Mutex::default(),
            image_policies: Mutex::default(),
            gates: Mutex::default(),
            images: Images::default(),
            windows: records::windows(),
            changing_admission: Mutex::default(),
            comparing: tokio::sync::Mutex::default(),
        })
    }

    /// With what gates verify bundles.
    pub fn verifying_key(&self) -> VerifyingKey {
        self.key.verifying_key()
    }

    /// Something a bundle may depend on has changed: whoever waits looks again.
    pub fn changed(&self) {
        self.changes.send_modify(|n| *n += 1);
    }

    /// Wakes with every change from now on.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn revision(&self) -> u64 {
        *self.changes.borrow()
    }

    pub fn list(&self) -> Vec<Cluster> {
        self.state.read().clusters.values().map(|k| k.cluster.clone()).collect()
    }

    pub fn get(&self, name: &str) -> Option<Cluster> {
        self.state.read().clusters.get(name).map(|k| k.cluster.clone())
    }

    /// Requests for leave to enter containers of a cluster, oldest first.
    pub fn entries(&self, cluster: &str) -> Vec<EntryRequest> {
        let mut entries: Vec<_> = self.state.read().entries.values().filter(|e| e.cluster == cluster).cloned().collect();
        entries.sort_by_key(|e| e.proposed);
        entries
    }

    /// The cluster whose secret this is. Every cluster's is compared, each in constant time.
    pub fn by_secret(&self, secret: &str, now: i64) -> Option<String> {
        let given = kept::fingerprint(secret);
        let state = self.state.read();
        let mut found = None;
        for kept in state.clusters.values() {
            if kept.has_secret(&given, now) {
                found = Some(kept.cluster.name.clone());
            }
        }
        found
    }

    /// Until when former secrets of a cluster stand, Unix milliseconds.
    pub fn former_secrets(&self, cluster: &str, now: i64) -> Vec<i64> {
        self.state.read().clusters.get(cluster).map(|k| k.former(now).collect()).unwrap_or_default()
    }

    /// A gate has reported. The one silent longest is forgotten beyond [`MAX_GATES`].
    pub(crate) fn heard(&self, cluster: &str, gate: &str, status: GateStatus, now: i64) {
        if status.leaving {
            self.forget_gate(cluster, gate);
            return;
        }
        let mut gates = self.gates.lock();
        let of = gates.entry(cluster.to_owned()).or_default();
        of.insert(gate.to_owned(), GateSeen { seen: now, status });
        if of.len() > MAX_GATES
            && let Some(oldest) = of.iter().min_by_key(|(_, g)| g.seen).map(|(name, _)| name.clone())
        {
            of.remove(&oldest);
        }
    }

    pub(crate) fn forget_gate(&self, cluster: &str, gate: &str) {
        if let Some(of) = self.gates.lock().get_mut(cluster) {
            of.remove(gate);
        }
    }

    /// Clusters of which some gate was ever heard.
    pub(crate) fn heard_once(&self) -> Vec<String> {
        let now: Vec<String> = self.gates.lock().keys().cloned().collect();
        let mut state = self.state.write();
        for name in &now {
            if let Some(kept) = state.clusters.get(name).filter(|k| !k.heard) {
                let mut kept = kept.clone();
                kept.heard = true;
                match jinwu_documents::Write::put("cluster", name, &kept).and_then(|w| self.store.apply(&[w])) {
                    Ok(()) => drop(state.clusters.insert(name.clone(), kept)),
                    Err(error) => tracing::error!(%error, "cluster store"),
                }
            }
        }
        state.clusters.values().filter(|k| k.heard).map(|k| k.cluster.name.clone()).collect()
    }

    /// The cluster's gates since this server started, by pod name.
    pub fn gates(&self, cluster: &str) -> BTreeMap<String, GateSeen> {
        self.gates.lock().get(cluster).cloned().unwrap_or_default()
    }
}
