//! What a node's sensor tells.
//!
//! One schema: [`call`] lists the calls with their arguments, [`record`] the records in which the kernel's
//! programs tell them, [`header`] gives both to C. [`NodeEvent`] is a record with who and where, and an event of
//! `detect`'s source `syscall`.
#![forbid(unsafe_code)]

pub mod call;
pub mod container;
pub mod dns;
pub mod event;
mod fields;
pub mod header;
pub mod layout;
pub mod meter;
pub mod mask;
mod names;
pub mod needed;
pub mod process;
pub mod record;

pub use call::{Call, Class};
pub use container::{Container, Mount, Pod, Runtime};
pub use event::{NodeEvent, Socket, Who};
pub use needed::needed;
pub use meter::Use;
pub use process::{File, Layer, Process};
pub use record::{Head, Origin, Program, Reason, Record, Verdict};
