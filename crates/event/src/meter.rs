//! What a container uses (CC-4).

/// A moment of a container. What the kernel does not tell here is absent.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Use {
    /// Nanoseconds of processor time, since it started.
    pub cpu: Option<u64>,
    /// Processors it may use.
    pub cpu_limit: Option<f64>,
    /// Periods in which it wanted more than it may, and nanoseconds it stood still for that.
    pub throttled: Option<u64>,
    pub throttled_time: Option<u64>,
    /// Bytes, and how many it may have.
    pub memory: Option<u64>,
    pub memory_limit: Option<u64>,
    /// Processes killed for want of memory.
    pub oom_kills: Option<u64>,
    /// Processes and threads, and how many it may have.
    pub pids: Option<u64>,
    pub pids_limit: Option<u64>,
    pub read_bytes: Option<u64>,
    pub write_bytes: Option<u64>,
    pub read_operations: Option<u64>,
    pub write_operations: Option<u64>,
    pub received_bytes: Option<u64>,
    pub received_packets: Option<u64>,
    pub sent_bytes: Option<u64>,
    pub sent_packets: Option<u64>,
    /// Shares the node's network: what the network says is the node's.
    pub host_network: bool,
}
