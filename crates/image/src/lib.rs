//! Container images as bytes: the OCI and docker documents that name the parts, and one streaming
//! walk over a layer.
//!
//! A manifest ([`documents`]) lists layers; a layer is a tar stream, usually compressed. Everything
//! here is hostile input: documents are checked for keys two readers would understand differently
//! ([`json`]).
#![forbid(unsafe_code)]

pub mod documents;
pub mod json;
pub mod media;
pub mod path;

pub use documents::{Descriptor, ImageConfig, Index, Manifest};
pub use media::LayerKind;
