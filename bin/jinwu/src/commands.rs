//! One module per group of commands.

pub(crate) mod assess;
pub(crate) mod cluster;
pub(crate) mod demo;
pub(crate) mod incident;
pub(crate) mod info;
pub(crate) mod ledger;
pub(crate) mod node;
pub(crate) mod people;
pub(crate) mod policy;
pub(crate) mod registry;
pub(crate) mod serve;
pub(crate) mod top;
