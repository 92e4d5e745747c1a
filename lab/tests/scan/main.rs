//! The gate with its scanner: what is pushed is read, whatever way it came, and what cannot be read
//! does not pass.

mod bypass;
mod debian;
mod modes;
mod workers;
