//! Identity, tokens, API and ledger of a running server.

mod entry;
mod ingress;
mod ledger;
mod roles;
mod tokens;
