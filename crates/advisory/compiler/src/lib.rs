//! From advisory feeds to one database file.
//!
//! A crate of its own because it runs in two places: in the build of `jinwu-advisory`, which embeds the
//! database compiled from `content/advisories/`, and in the field, when newer feeds are compiled.
//!
//! - [`version`]: exact comparison per scheme, as byte keys that compare like the versions;
//! - [`feed`]: one parser per feed, hostile bytes in, normalised [`Advisories`] out;
//! - [`format`]: the layout of the file, and the writer. The reader is in `jinwu-advisory`.
#![forbid(unsafe_code)]

pub mod feed;
pub mod format;
pub mod version;

pub use feed::{Advisories, FeedError, Sources};
pub use format::{CompileError, compile};
pub use version::Scheme;
