//! A Kubernetes cluster.
//!
//! - [`connect`]: the API server, by kubeconfig or from inside;
//! - [`running`]: what runs there, page by page;
//! - [`collect`]: what the cluster is made of, read only;
//! - [`settings`]: how its control plane and kubelets are set, and which ports talk to nobody;
//! - [`apiserver`]: files and options for the API server's side;
//! - [`install`]: every object Jinwu puts into a cluster, and why it needs each right;
//! - [`chart`]: the same objects as a Helm chart;
//! - [`sensor`]: the DaemonSet of the nodes' sensor;
//! - [`uninstall`]: all of it out again, in the order that locks nobody out.
#![forbid(unsafe_code)]

pub mod apiserver;
pub mod chart;
pub mod collect;
pub mod connect;
pub mod install;
pub mod running;
pub mod sensor;
pub mod settings;
pub mod uninstall;

pub use apiserver::ApiServer;
pub use collect::collect;
pub use connect::{ConnectError, connect, kind, resource_of, way};
pub use install::Installation;
pub use settings::settings;
