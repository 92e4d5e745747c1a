//! Levels and versions of the Pod Security Standards.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How much a pod may do, as namespaces say it in `pod-security.kubernetes.io/enforce`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Everything; no control is in force.
    Privileged,
    /// No known way to more privileges.
    Baseline,
    /// Hardened: baseline and seven controls more.
    Restricted,
}

/// A minor version of Kubernetes 1, or newer than all that is known (`latest`), which is judged
/// like [`Version::NEWEST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version {
    minor: u16,
}

/// Why a word is no level or no version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    #[error("{0:?} is not a level: use privileged, baseline or restricted")]
    Level(String),
    #[error("{0:?} is not a version: use latest or v1.N, for example v1.34")]
    Version(String),
}

// === impl Level ===

impl Level {
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        }
    }
}

impl FromStr for Level {
    type Err = WordError;

    fn from_str(word: &str) -> Result<Self, WordError> {
        match word {
            "privileged" => Ok(Level::Privileged),
            "baseline" => Ok(Level::Baseline),
            "restricted" => Ok(Level::Restricted),
            _ => Err(WordError::Level(word.chars().take(64).collect())),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Version ===

impl Version {
    /// Whatever is newest when it is judged.
    pub const LATEST: Version = Version { minor: u16::MAX };
    /// The newest version in which a control changed; later ones are judged like it.
    pub const NEWEST: Version = Version { minor: 37 };

    /// Kubernetes 1.`minor`.
    pub const fn minor(minor: u16) -> Version {
        Version { minor }
    }

    /// The N of 1.N; `None` for `latest`.
    pub fn number(self) -> Option<u16> {
        (self != Version::LATEST).then_some(self.minor)
    }
}

impl FromStr for Version {
    type Err = WordError;

    /// `latest`, `v1.34` or `1.34`.
    fn from_str(word: &str) -> Result<Self, WordError> {
        if word == "latest" {
            return Ok(Version::LATEST);
        }
        let digits = word.strip_prefix('v').unwrap_or(word).strip_prefix("1.").unwrap_or_default();
        let plain = !digits.is_empty() && digits.len() <= 4 && digits.bytes().all(|b| b.is_ascii_digit());
        let canonical = digits == "0" || !digits.starts_with('0');
        match digits.parse() {
            Ok(minor) if plain && canonical => Ok(Version { minor }),
            _ => Err(WordError::Version(word.chars().take(64).collect())),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number() {
            Some(minor) => write!(f, "v1.{minor}"),
            None => f.write_str("latest"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_and_others_refused() {
        assert_eq!("v1.34".parse(), Ok(Version::minor(34)));
        assert_eq!("1.0".parse(), Ok(Version::minor(0)));
        assert_eq!("latest".parse(), Ok(Version::LATEST));
        for bad in ["", "v1", "v1.", "2.3", "v1.034", "v1.-1", "v1.+1", "v1.99999", "Latest"] {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
        for level in [Level::Privileged, Level::Baseline, Level::Restricted] {
            assert_eq!(level.as_str().parse(), Ok(level));
        }
        assert!("Baseline".parse::<Level>().is_err());
        assert!(Version::LATEST > Version::NEWEST);
        assert_eq!(Version::minor(34).to_string(), "v1.34");
    }
}
