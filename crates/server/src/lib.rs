//! Puts the rooms together.
//!
//! * [`config`]: where data lives, what is listened on.
//! * [`serve`]: start-up of everything on one machine.
//! * [`app`]: the shared state every handler has.
//! * [`journal`]: the way into the ledger; masks secrets, and refuses when it cannot record.
//! * [`access`], [`fold`], [`gate`], [`analysis`]: what the registry asks: who is this, may this image come
//!   in, look at these bytes.
//! * [`api`]: the management API; [`api::table`] is the list of endpoints and who may call them.
//! * [`clusters`]: clusters, and what their gates ask.
//! * [`nodes`]: nodes, and what their sensors ask.
//! * [`token`]: the registry's token service.
//! * [`policies`]: modes by project, custom policies, exceptions.
//! * [`listen`], [`source`]: HTTPS, the local socket, and the true source address.
#![forbid(unsafe_code)]

pub mod access;
pub mod analysis;
pub mod api;
pub mod app;
pub mod clusters;
pub mod config;
pub mod fold;
pub mod gate;
pub mod initial;
pub(crate) mod intake;
pub mod journal;
pub mod listen;
pub mod nodes;
pub mod policies;
pub mod serve;
pub mod source;
pub mod token;

pub use app::App;
pub use config::Config;
pub use serve::{Server, start};

/// Name of the registry in tokens: issuer, audience and service.
pub const SERVICE: &str = "jinwu";
