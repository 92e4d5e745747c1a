//! Tests of the crate from outside.

mod conformance;
mod environment;
mod golden;
mod limits;
mod properties;
mod support;
