//! Admission of Kubernetes: reviews in, decisions out.
#![forbid(unsafe_code)]

pub mod protocol;
