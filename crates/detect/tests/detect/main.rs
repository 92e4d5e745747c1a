//! The language, the fields and the rules, from outside.

mod archive;
mod audit;
mod fake;
mod language;
mod loading;
