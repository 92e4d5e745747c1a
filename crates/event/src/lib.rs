//! What a node's sensor tells.
//!
//! One schema: [`call`] lists the calls with their arguments, [`record`] the records in which the kernel's
//! programs tell them, [`header`] gives both to C. [`NodeEvent`] is a record with who and where, and an event of
//! `detect`'s source `syscall`.
#![forbid(unsafe_code)]

pub mod call;
pub mod container;
pub mod event;
pub mod header;
pub mod layout;
pub mod process;
pub mod record;

pub use call::{Call, Class};
pub use container::{Container, Mount, Pod, Runtime};
pub use event::{NodeEvent, Socket, Who};
pub use process::{File, Layer, Process};
pub use record::{Head, Origin, Program, Record, Verdict};
