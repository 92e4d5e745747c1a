//! Nodes and their sensors.
//!
//! * [`node`]: what is kept of a node: how it was let in, its certificates, what was told of it.
//! * [`enrol`]: one-time codes, certificates, and who a certificate stands for.
//! * [`token`]: tokens of sensors' pods instead of codes.
//! * [`settings`]: what sensors are told to do, for all nodes and for one.
//! * [`orders`]: signed commands on their way to a node, and what became of them.
//! * [`records`]: records of nodes on their way to the ledger, each once.
//! * [`incidents`]: alarms about one workload, gathered, and how they were dealt with.
//! * [`meters`]: what containers use, with history; [`prometheus`] says it in Prometheus' format.
//! * [`watch`]: sensors that fell silent, lost events or can do less than before.
//! * [`http`]: the endpoints sensors ask.
//!
//! State is small and lives in memory, written through to `nodes.db` before a change is answered. Meters live in
//! memory alone.

pub mod enrol;
pub mod http;
pub mod incidents;
pub mod meters;
pub mod node;
pub mod orders;
pub mod prometheus;
pub(crate) mod records;
pub mod settings;
pub mod token;
pub(crate) mod watch;

use crate::intake::{Id, Windows};
use enrol::Code;
use incidents::Incident;
use jinwu_admission::protocol::Issuer;
use jinwu_documents::Store;
use jinwu_node::protocol::Status;
use jinwu_trust::{Authority, SigningKey};
use meters::Meters;
use node::Node;
use orders::Ordered;
use parking_lot::{Mutex, RwLock};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use tokio::sync::watch as channel;

/// Nodes one server looks after at most.
pub const MAX_NODES: usize = 5_000;

/// Why a change is refused.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error("不存在或不可见:{0} / does not exist, or is not yours to see: {0}")]
    Absent(String),
    #[error("{0}")]
    Invalid(String),
    /// Something that must be said was not.
    #[error("{0}")]
    Incomplete(String),
    #[error("{0}")]
    Refused(String),
    /// Who asks is not who may.
    #[error("{0}")]
    Credential(String),
    #[error("node store: {0}")]
    Store(#[from] jinwu_documents::DocumentError),
}

/// All nodes. See the module's comment.
pub struct Nodes {
    state: RwLock<State>,
    store: Store,
    key: SigningKey,
    authority: Authority,
    /// Rises with every change of what a sensor is told.
    changes: channel::Sender<u64>,
    seen: Mutex<BTreeMap<String, Seen>>,
    /// Whoever changes incidents does so one at a time: they are recorded before they are kept.
    pub(crate) gathering: tokio::sync::Mutex<()>,
    pub(crate) windows: Windows,
    pub(crate) meters: Meters,
}

#[derive(Default)]
struct State {
    nodes: BTreeMap<String, Node>,
    /// By the SHA-256 of the code, hexadecimal.
    codes: BTreeMap<String, Code>,
    /// By which keys clusters sign tokens, by cluster.
    issuers: BTreeMap<String, Issuer>,
    /// Tokens that were used, until when they could be used again (Unix milliseconds).
    tokens: BTreeMap<String, i64>,
    /// Members of [`jinwu_node::Settings`] that were set, by node; [`settings::ALL`] for all.
    settings: BTreeMap<String, Map<String, Value>>,
    orders: BTreeMap<String, Ordered>,
    incidents: BTreeMap<String, Incident>,
    /// Alarms that incidents have, by [`Incident::marks`].
    gathered: HashSet<Id>,
    /// Which node a certificate is of, by fingerprint.
    certificates: HashMap<String, String>,
}

/// A sensor, as it said itself. Its containers are with the meters.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Unix milliseconds.
    pub at: i64,
    pub status: Status,
}

// === impl Nodes ===

impl Nodes {
    /// Opens or makes `path`; `key` signs settings and orders, `authority` certificates of nodes.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn open(path: &Path, key: SigningKey, authority: Authority) -> Result<Self, NodeError> {
        let store = Store::open(path)?;
        let mut state = State {
            nodes: store.load("node")?,
            codes: store.load("code")?,
            issuers: store.load("issuer")?,
            tokens: store.load("token")?,
            settings: store.load("settings")?,
            orders: store.load("order")?,
            incidents: store.load("incident")?,
            gathered: HashSet::new(),
            certificates: HashMap::new(),
        };
        for node in state.nodes.values() {
            state.certificates.extend(node.certificates.iter().map(|c| (c.fingerprint.clone(), node.name.clone())));
        }
        state.gathered = state.incidents.values().flat_map(Incident::marks).collect();
        Ok(Nodes {
            state: RwLock::new(state),
            store,
            key,
            authority,
            changes: channel::Sender::new(0),
            seen: Mutex::default(),
            gathering: tokio::sync::Mutex::default(),
            windows: records::windows(),
            meters: Meters::default(),
        })
    }

    /// PEM of the authority of nodes' certificates.
    pub fn authority(&self) -> &str {
        self.authority.certificate()
    }

    /// PEM of the key by which sensors verify orders.
    pub fn verifying_key(&self) -> String {
        self.key.verifying_key().to_pem()
    }

    /// Wakes with every change from now on.
    pub fn subscribe(&self) -> channel::Receiver<u64> {
        self.changes.subscribe()
    }

    fn changed(&self) {
        self.changes.send_modify(|n| *n += 1);
    }

    pub fn list(&self) -> Vec<Node> {
        self.state.read().nodes.values().cloned().collect()
    }

    pub fn get(&self, name: &str) -> Option<Node> {
        self.state.read().nodes.get(name).cloned()
    }

    /// What its sensor said last, since this server started.
    pub fn seen(&self, name: &str) -> Option<Seen> {
        self.seen.lock().get(name).cloned()
    }

    /// Forgets a node: its certificates count no more from now on.
    ///
    /// # Errors
    /// There is no such node.
    pub fn remove(&self, name: &str) -> Result<(), NodeError> {
        use jinwu_documents::Write;
        let mut state = self.state.write();
        if !state.nodes.contains_key(name) {
            return Err(NodeError::Absent(name.to_owned()));
        }
        let mut writes = vec![Write::remove("node", name), Write::remove("settings", name)];
        writes.extend(state.codes.iter().filter(|(_, c)| c.node == name).map(|(hash, _)| Write::remove("code", hash)));
        writes.extend(state.orders.values().filter(|o| o.command.node == name).map(|o| Write::remove("order", &o.command.id)));
        self.store.apply(&writes)?;
        state.nodes.remove(name);
        state.settings.remove(name);
        state.codes.retain(|_, c| c.node != name);
        state.orders.retain(|_, o| o.command.node != name);
        state.certificates.retain(|_, of| of != name);
        drop(state);
        self.seen.lock().remove(name);
        self.windows.forget(name);
        self.meters.forget(name);
        self.changed();
        Ok(())
    }
}
