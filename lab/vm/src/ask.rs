//! What the suite asks of its agent, a line of JSON each way.

use jinwu_sensor::enforce::{ContainerPolicy, Content, Policy};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Ask {
    Container(u64, ContainerPolicy),
    RemoveContainer(u64),
    Policy(u32, Policy),
    Content(PathBuf, Option<Content>),
    GuardFile(PathBuf),
    /// Records since it was asked last.
    Records,
    /// Denials an agent before it did not read.
    Untold,
    /// All records up to now have been read.
    Told,
    /// A signed command, with the key that signed it.
    Glass(String, String),
    CloseGlass,
    Lost,
    Withdraw,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Done,
    Records(Vec<Told>),
    Lost(u64),
    Failed(String),
}

/// A record, as far as checks look at it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) call: String,
    pub(crate) verdict: String,
    pub(crate) reason: String,
    pub(crate) policy: u32,
    pub(crate) rule: u32,
    pub(crate) cgroup: u64,
    pub(crate) result: i64,
    pub(crate) flags: u32,
    pub(crate) texts: Vec<String>,
    pub(crate) remote: u16,
}
