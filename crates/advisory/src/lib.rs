//! Advisory database and matching.
//!
//! Feeds are compiled (crate `jinwu-advisory-compiler`) to one file that is mapped into memory, checked
//! by hash and signature, and read in place: [`Database`]. A database compiled from
//! `content/advisories/` is part of the program ([`embedded`]), so one static binary scans offline; a
//! newer signed file replaces it without a new program.
//!
//! [`matching`] holds the rules: what is compared with what, which data covers which system, and what is
//! reported where nothing is known. Grades come from `jinwu-standard` at match time.
#![deny(unsafe_code)]

pub mod database;
mod map;
pub mod matching;
pub mod sign;

pub use database::{Database, DatabaseError, Release};
pub use jinwu_advisory_compiler::{CompileError, FeedError, Scheme, Sources, compile, feed, version};
pub use matching::Matches;
pub use sign::{sign, write};

/// The database compiled from `content/advisories/` when the program was built; unsigned, because it is
/// part of the program. Open it with [`Database::embedded`].
pub fn embedded() -> &'static [u8] {
    include_bytes!(concat!(env!("OUT_DIR"), "/advisories.db"))
}
