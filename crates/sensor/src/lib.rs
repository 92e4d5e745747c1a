//! The sensor of a node: programs in the kernel ([`bpf/`](https://docs.kernel.org/bpf/)) tell what processes do; here
//! their records become events, with the process, its ancestors and its container.
//!
//! [`Sensor`] belongs to one thread. Who a process is, [`process`] remembers; which container a cgroup is,
//! [`containers`] finds in the bundles of runtimes, before the container's first instruction.

pub mod bundle;
pub mod capability;
pub mod cgroup;
pub mod containers;
pub mod enforce;
pub mod files;
pub mod hierarchy;
pub mod meter;
mod proc;
pub mod process;
mod programs {
    #![allow(missing_debug_implementations, unreachable_pub, clippy::all, clippy::undocumented_unsafe_blocks, clippy::unwrap_used)]
    include!(concat!(env!("OUT_DIR"), "/sensor.skel.rs"));
}
pub mod respond;
pub mod sensor;
pub mod snapshot;
pub mod users;

pub use capability::{Capabilities, Rung};
pub use sensor::{Loss, Notice, Options, Sensor};
