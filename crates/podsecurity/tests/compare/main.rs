//! Compared with Kubernetes: the fixtures of `k8s.io/pod-security-admission`, and its own evaluator.
//! `lab/pod-security.sh` makes what these tests read from the folder JINWU_POD_SECURITY.

#![allow(clippy::unwrap_used)]

mod cel;
mod fixture;
mod fixtures;
mod generate;
mod oracle;
mod random;
