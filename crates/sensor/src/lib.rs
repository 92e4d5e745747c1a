//! The sensor.
mod programs {
    include!(concat!(env!("OUT_DIR"), "/sensor.skel.rs"));
}
pub use programs::*;
