//! The registry over real sockets: the protocol, and the promises beside it.

mod conformance;
mod promises;
mod support;
