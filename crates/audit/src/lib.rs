//! Audit events of a Kubernetes cluster in; records, alarms and blocks out.
//!
//! - [`class`]: what an event is: a change, an entry into a container, a refusal, a read, chatter;
//! - [`record`]: the record of one, and its id;
//! - [`watch`]: what is alarmed whatever the rules say: passes without a gate, labels of levels, static pods;
//! - [`native`]: what the API server refused by Jinwu's policy while no gate was ready;
//! - [`access`]: which rights are used, reads included;
//! - [`intake`]: all of it over one event, with the detection rules and who they block.
//!
//! No clock, no network, no files: times are the events' own.
#![forbid(unsafe_code)]

pub mod access;
pub mod class;
pub mod intake;
mod native;
pub mod record;
pub mod watch;

pub use class::Class;
pub use intake::{Block, Intake, Taken};

/// The name in the certificate by which the API server is a client of the gate.
pub const CLIENT_NAME: &str = "jinwu-apiserver";
/// Path below which a gate asks for nothing, to see whether it is heard.
pub const CANARY: &str = "/jinwu-canary/";
/// The gate's own account.
pub const GATE_USER: &str = "system:serviceaccount:jinwu:jinwu-gate";
