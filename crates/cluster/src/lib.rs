//! A Kubernetes cluster.
//!
//! - [`connect`]: the API server, by kubeconfig or from inside;
//! - [`running`]: what runs there, page by page;
//! - [`collect`]: what the cluster is made of, read only;
//! - [`apiserver`]: files and options for the API server's side;
//! - [`install`]: every object Jinwu puts into a cluster, and why it needs each right.
#![forbid(unsafe_code)]

pub mod apiserver;
pub mod collect;
pub mod connect;
pub mod install;
pub mod running;

pub use apiserver::ApiServer;
pub use collect::collect;
pub use connect::{ConnectError, connect, kind, resource_of, way};
pub use install::Installation;
