//! The sensor of a node.
#![forbid(unsafe_code)]

fn main() {}
