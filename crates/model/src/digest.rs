//! Content digests as OCI image-spec writes them: `algorithm:hex`.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Digest algorithms content is addressed by. SM3 is never used for addressing (foreign clients
/// reject it); it stands beside SHA-256 on evidence and ledger records only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    Sha256,
    Sha512,
}

/// A validated digest: known algorithm, lower-case hex of the right length.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    algorithm: Algorithm,
    hex: Box<str>,
}

/// Why a text is not a digest.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DigestError {
    #[error("digest {0:?} has no ':' between algorithm and value")]
    NoSeparator(String),
    #[error("digest algorithm {0:?} is not supported (sha256 and sha512 are)")]
    Algorithm(String),
    #[error("digest value of {algorithm} must be {expected} lower-case hexadecimal digits, got {got:?}")]
    Value { algorithm: Algorithm, expected: usize, got: String },
}

// === impl Algorithm ===

impl Algorithm {
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha512 => "sha512",
        }
    }

    /// Number of hexadecimal digits of a digest value.
    pub fn hex_len(self) -> usize {
        match self {
            Algorithm::Sha256 => 64,
            Algorithm::Sha512 => 128,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = DigestError;
    fn from_str(s: &str) -> Result<Self, DigestError> {
        match s {
            "sha256" => Ok(Algorithm::Sha256),
            "sha512" => Ok(Algorithm::Sha512),
            other => Err(DigestError::Algorithm(clip(other))),
        }
    }
}

// === impl Digest ===

impl Digest {
    /// From raw hash output. `bytes` must be 32 (sha256) or 64 (sha512) long.
    pub fn from_bytes(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, DigestError> {
        let mut hex = String::with_capacity(bytes.len() * 2);
        for b in bytes {
            hex.push(char::from_digit(u32::from(b >> 4), 16).unwrap_or('0'));
            hex.push(char::from_digit(u32::from(b & 15), 16).unwrap_or('0'));
        }
        Self::new(algorithm, &hex)
    }

    pub fn new(algorithm: Algorithm, hex: &str) -> Result<Self, DigestError> {
        let good = hex.len() == algorithm.hex_len()
            && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if good {
            Ok(Digest { algorithm, hex: hex.into() })
        } else {
            Err(DigestError::Value { algorithm, expected: algorithm.hex_len(), got: clip(hex) })
        }
    }

    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The value without its algorithm.
    pub fn hex(&self) -> &str {
        &self.hex
    }

    /// First twelve hexadecimal digits, for people.
    pub fn short(&self) -> &str {
        &self.hex[..12]
    }
}

impl FromStr for Digest {
    type Err = DigestError;
    fn from_str(s: &str) -> Result<Self, DigestError> {
        let (algorithm, hex) = s.split_once(':').ok_or_else(|| DigestError::NoSeparator(clip(s)))?;
        Digest::new(algorithm.parse()?, hex)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, self.hex)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

fn clip(s: &str) -> String {
    s.chars().take(160).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_it_prints() {
        let text = format!("sha256:{}", "0f".repeat(32));
        assert_eq!(text.parse::<Digest>().unwrap().to_string(), text);
        let text = format!("sha512:{}", "a1".repeat(64));
        assert_eq!(text.parse::<Digest>().unwrap().to_string(), text);
    }

    #[test]
    fn refuses_malformed() {
        for bad in ["", "sha256", "sha256:", "sha256:baddigeststring", "SHA256:00", "md5:00", "sha256:../../etc/passwd"] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
        assert!(format!("sha256:{}", "0F".repeat(32)).parse::<Digest>().is_err());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(s in ".*") { let _ = s.parse::<Digest>(); }
    }
}
