//! T/ISEAA 004-2023 as data and pure functions. No I/O, no clock.
//!
//! - [`catalogue`]: the 33 clauses with their inspections (检查), drills (模拟) and notes (注意事项);
//! - [`levels`]: which clause applies at which protection level, how strongly, and how sure that is;
//! - [`verdict`]: how answers become the verdict of an item, items that of a clause, clauses a conclusion;
//! - [`cvss`]: CVSS v3 vectors, read strictly;
//! - [`grading`]: GB/T 30279-2020, a vector to 超危/高危/中危/低危 with its basis (分级依据).
//!
//! The data stands in `content/standard/` with its origin, and is part of the program.
#![forbid(unsafe_code)]

pub mod catalogue;
pub mod cvss;
pub mod grading;
pub mod levels;
pub mod verdict;

pub use catalogue::{Clause, Item, clause, clauses};
pub use cvss::BaseVector;
pub use grading::{Graded, grade};
pub use levels::LevelTable;
