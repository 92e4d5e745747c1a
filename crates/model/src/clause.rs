//! Names of the 33 clauses of T/ISEAA 004-2023.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// `IA-1` … `SC-3`: family letters and number. Whether such a clause exists is the `standard`
/// crate's catalogue to say.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClauseId(Box<str>);

impl ClauseId {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The family: `IA`, `AC`, `AU`, `IP`, `MC`, `IM`, `CC` or `SC`.
    pub fn family(&self) -> &str {
        &self.0[..2]
    }
}

impl FromStr for ClauseId {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let good = matches!(s.split_once('-'), Some((family, number))
            if ["IA", "AC", "AU", "IP", "MC", "IM", "CC", "SC"].contains(&family)
                && matches!(number.parse::<u8>(), Ok(1..=9)) && number.len() == 1);
        if good { Ok(ClauseId(s.into())) } else { Err(format!("{s:?} is not a clause id such as IA-2")) }
    }
}

impl TryFrom<String> for ClauseId {
    type Error = String;
    fn try_from(s: String) -> Result<Self, String> {
        s.parse()
    }
}

impl From<ClauseId> for String {
    fn from(c: ClauseId) -> String {
        c.0.into()
    }
}

impl fmt::Display for ClauseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
