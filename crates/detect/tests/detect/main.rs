//! The language, the fields and the rules, from outside.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap here is a failed test, also in what tests share")]

mod archive;
mod audit;
mod cases;
mod fake;
mod language;
mod loading;
mod properties;
mod sequences;
