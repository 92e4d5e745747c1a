//! The registry over real sockets: the protocol, and the promises beside it.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

mod conformance;
mod promises;
mod support;
