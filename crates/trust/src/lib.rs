//! Keys, signatures, hashes and TLS profiles. Everything cryptographic that more than one crate
//! needs stands here, so that replacing an algorithm is a change in one place.
#![forbid(unsafe_code)]

pub mod authority;
pub mod files;
pub mod hash;
pub mod random;
pub mod signing;
pub mod signature;
pub mod tls;

pub use authority::Authority;
pub use hash::{Twin, sha256, sm3};
pub use signing::{SigningKey, VerifyingKey};

/// What can go wrong with keys, certificates and their files.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error("{path}: {source}")]
    File {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("{path} is not a usable {what}: {detail}; restore it from backup, or remove it to have a new one made")]
    Malformed { path: String, what: &'static str, detail: String },
    #[error("certificate could not be made: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("TLS configuration: {0}")]
    Tls(#[from] rustls::Error),
}
