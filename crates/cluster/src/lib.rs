//! A Kubernetes cluster.
//!
//! - [`connect`]: the API server, by kubeconfig or from inside;
//! - [`collect`]: what runs there, page by page;
//! - [`install`]: every object Jinwu puts into a cluster, and why it needs each right.
#![forbid(unsafe_code)]

pub mod collect;
pub mod connect;
pub mod install;

pub use connect::{ConnectError, connect, way};
pub use install::Installation;
