//! The scanner as users and the server meet it: the real binary, its workers in their sandbox, real
//! images from the folder in `JINWU_DATA`.

mod cli;
mod crafted;
mod images;
mod pool;
mod support;
