//! A Kubernetes cluster.
//!
//! - [`connect`]: the API server, by kubeconfig or from inside;
//! - [`running`]: what runs there, page by page;
//! - [`collect`]: what the cluster is made of, read only;
//! - [`install`]: every object Jinwu puts into a cluster, and why it needs each right.
#![forbid(unsafe_code)]

pub mod collect;
pub mod connect;
pub mod install;
pub mod running;

pub use collect::collect;
pub use connect::{ConnectError, connect, way};
pub use install::Installation;
