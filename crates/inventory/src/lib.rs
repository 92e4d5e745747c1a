//! A Kubernetes cluster as a compact model, who may do what in it, and what of it breaks a clause.
//! No I/O, no clock.
//!
//! - [`Inventory`]: read object by object from the API's JSON ([`Inventory::add`]); pods made alike share
//!   their specification, so that 10,000 pods take some MiB;
//! - [`rbac`]: effective permissions as the API server's RBAC authoriser decides them, and paths from a
//!   subject to cluster-admin or to a node;
//! - [`component`]: programs of the control plane and kubelets, with their settings as seen;
//! - [`check`]: findings per clause ([`inspect`]);
//! - [`unused`]: what was granted and never used, and the smaller role;
//! - [`passport`]: the permissions of an instance, to compare before and after it moves.
#![forbid(unsafe_code)]

pub mod check;
pub mod component;
pub mod finding;
pub mod inventory;
pub mod object;
pub mod passport;
pub mod rbac;
pub mod read;
pub mod unused;

pub use check::{Facts, inspect};
pub use component::{Component, Seen};
pub use finding::{Finding, Severity};
pub use inventory::{Inventory, Kind, NotRead};
pub use rbac::{Grants, Identity, Request, Subject};
pub use read::{Heap, ReadError};
