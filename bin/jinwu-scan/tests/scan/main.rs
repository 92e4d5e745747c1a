//! The scanner as users and the server meet it: the real binary, its workers in their sandbox, real
//! images from the folder in `JINWU_DATA`.

#![allow(clippy::unwrap_used, reason = "a failed unwrap in a test is a failed test")]

mod cli;
mod crafted;
mod images;
mod pool;
mod support;
