//! Protection levels of classified protection (等级保护), 1 to 4.

use serde::{Deserialize, Serialize};
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct ProtectionLevel(u8);

impl ProtectionLevel {
    pub const ONE: ProtectionLevel = ProtectionLevel(1);
    pub const TWO: ProtectionLevel = ProtectionLevel(2);
    pub const THREE: ProtectionLevel = ProtectionLevel(3);
    pub const FOUR: ProtectionLevel = ProtectionLevel(4);
    pub const ALL: [ProtectionLevel; 4] = [Self::ONE, Self::TWO, Self::THREE, Self::FOUR];

    pub fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for ProtectionLevel {
    type Error = String;
    fn try_from(n: u8) -> Result<Self, String> {
        if (1..=4).contains(&n) { Ok(ProtectionLevel(n)) } else { Err(format!("protection level {n} is not 1, 2, 3 or 4")) }
    }
}

impl From<ProtectionLevel> for u8 {
    fn from(l: ProtectionLevel) -> u8 {
        l.0
    }
}

impl fmt::Display for ProtectionLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
