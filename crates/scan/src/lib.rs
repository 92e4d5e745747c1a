//! The scanner: from a layer's bytes to a report.
//!
//! Two stages. [`layer::analyze`] walks one layer once and lets every [`analyzer`] see the files it
//! wants; the result, an [`analysis::LayerAnalysis`], is pure and kept. [`compose`] puts the layers of
//! one image together — whiteouts, replacement, owners, configuration — and asks the advisory engine.
//!
//! Both run in a sandboxed process ([`worker`]) because image content is hostile; everyone else uses
//! [`client`], which starts such processes and never parses an image. Rule engines (secrets, malware,
//! advisories) are plugged in by the binary through the traits of [`engine`].
#![forbid(unsafe_code)]

pub mod analysis;
pub mod analyzer;
pub mod client;
pub mod compose;
pub mod engine;
pub mod layer;
pub mod protocol;
pub mod worker;
