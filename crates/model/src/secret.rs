//! Secrets that cannot be printed.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Wraps a secret so that `Debug` and `Display` never show it. `Serialize` writes asterisks too;
/// whoever must hand the value out calls [`Masked::reveal`].
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Masked(String);

impl Masked {
    pub fn new(value: impl Into<String>) -> Self {
        Masked(value.into())
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Masked {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str("***")
    }
}
