//! What is made of a node's events.
//!
//! * [`settings`]: what the server, or a file, tells a sensor to do.
//! * [`judge`]: rules and sequences over events, and what follows from a hit.
//! * [`record`]: events, findings and responses as records of the ledger, without secrets.
//! * [`fold`]: equal events of a moment as one record with a count.
//! * [`response`]: what can be done to a container, and the signed command that orders it.
//! * [`protocol`]: what sensor and server tell each other.
#![forbid(unsafe_code)]

pub mod fold;
pub mod judge;
pub mod protocol;
pub mod record;
pub mod response;
pub mod settings;

pub use fold::Folder;
pub use judge::{Finding, Judge};
pub use record::Writer;
pub use response::{Command, Response};
pub use settings::Settings;
