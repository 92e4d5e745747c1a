//! What sensor and server tell each other.

use crate::response::Order;
use crate::settings::Settings;
use jinwu_model::Record;
use serde::{Deserialize, Serialize};

/// Records in one batch, at most.
pub const MAX_BATCH: usize = 2000;

/// A record with the name by which a second copy is recognised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub id: String,
    pub record: Record,
}

/// A node asks to be let in.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrol {
    pub node: String,
    /// A one-time code, or a service account token bound to a pod on that node.
    pub credential: String,
    /// Cluster the token is of; empty with a code.
    #[serde(default)]
    pub cluster: String,
    /// Certificate signing request, PEM: the key never leaves the node.
    pub request: String,
}

/// A node is let in.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolled {
    /// Certificate of the node, PEM.
    pub certificate: String,
    /// Key that signs settings and orders, PEM.
    pub key: String,
}

/// Records on their way to the ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// At most [`MAX_BATCH`].
    pub records: Vec<Entry>,
    pub status: Status,
}

/// How many of a batch were new. All of them are durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    pub new: u64,
    pub repeated: u64,
}

/// How a sensor is doing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    pub version: String,
    /// Generation of the instructions it acts by.
    pub generation: String,
    /// What its kernel lets it do, and what not.
    pub capabilities: serde_json::Value,
    /// Events told, and records lost by the kernel's rings since it started.
    pub events: u64,
    pub lost: u64,
    /// Records waiting in its spool, and telemetry dropped for want of room.
    pub waiting: u64,
    pub dropped: u64,
    /// Containers on the node now, with what was measured of them.
    pub containers: Vec<serde_json::Value>,
    /// Containers isolated or paused.
    pub isolated: Vec<String>,
    pub paused: Vec<String>,
}

/// What a sensor is to do: answered when it differs from what the sensor has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instructions {
    pub generation: String,
    pub settings: Settings,
    pub orders: Vec<Order>,
}
