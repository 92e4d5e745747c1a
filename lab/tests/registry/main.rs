//! Identity, tokens, API and ledger of a running server.

mod entry;
mod ledger;
mod roles;
mod tokens;
