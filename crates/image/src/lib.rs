//! Container images as bytes: the OCI and docker documents that name the parts, and one streaming
//! walk over a layer.
//!
//! A manifest ([`documents`]) lists layers; a layer is a tar stream, usually compressed. Everything
//! here is hostile input: documents are checked for keys two readers would understand differently
//! ([`json`]), and the walk ([`walk`]) reads each layer once — hash, inflate, hash, tar — within
//! bounds, keeps nothing on disk and says exactly where a stream is damaged.
#![forbid(unsafe_code)]

pub mod documents;
pub mod inflate;
pub mod json;
pub mod media;
pub mod path;
pub mod tar;
pub mod walk;

pub use documents::{Descriptor, ImageConfig, Index, Manifest};
pub use media::LayerKind;
pub use walk::{Limits, WalkError, Walked, walk};
