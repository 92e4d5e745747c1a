//! Repository names, tags and references (OCI distribution-spec 1.1, "Pulling manifests").

use crate::digest::Digest;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/…)*`, at most 255 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryName(Box<str>);

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(Box<str>);

/// The first path component of a repository name; access control and policy modes hang on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProjectName(Box<str>);

/// What a manifest is asked for by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reference {
    Tag(Tag),
    Digest(Digest),
}

/// Why a text is not a name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NameError {
    #[error("repository name {0:?} is invalid: lower-case letters and digits, separated by '.', '_', '__' or '-', components by '/'")]
    Repository(String),
    #[error("repository name is {0} bytes long, at most 255 are allowed")]
    TooLong(usize),
    #[error("tag {0:?} is invalid: 1 to 128 of letters, digits, '_', '.', '-', not starting with '.' or '-'")]
    Tag(String),
    #[error("project name {0:?} is invalid: lower-case letters and digits, separated by '.', '_' or '-'")]
    Project(String),
}

const MAX_NAME: usize = 255;

// === impl RepositoryName ===

impl RepositoryName {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The project a repository belongs to: its first component.
    pub fn project(&self) -> ProjectName {
        ProjectName(self.0.split('/').next().unwrap_or_default().into())
    }
}

impl FromStr for RepositoryName {
    type Err = NameError;
    fn from_str(s: &str) -> Result<Self, NameError> {
        if s.len() > MAX_NAME {
            return Err(NameError::TooLong(s.len()));
        }
        if s.split('/').all(is_component) { Ok(RepositoryName(s.into())) } else { Err(NameError::Repository(s.into())) }
    }
}

// === impl Tag ===

impl Tag {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = NameError;
    fn from_str(s: &str) -> Result<Self, NameError> {
        let bytes = s.as_bytes();
        let word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
        let good = (1..=128).contains(&bytes.len())
            && word(&bytes[0])
            && bytes.iter().all(|b| word(b) || *b == b'.' || *b == b'-');
        if good { Ok(Tag(s.into())) } else { Err(NameError::Tag(s.chars().take(160).collect())) }
    }
}

// === impl ProjectName ===

impl ProjectName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ProjectName {
    type Err = NameError;
    fn from_str(s: &str) -> Result<Self, NameError> {
        if s.len() <= 64 && is_component(s) { Ok(ProjectName(s.into())) } else { Err(NameError::Project(s.chars().take(160).collect())) }
    }
}

// === impl Reference ===

impl FromStr for Reference {
    type Err = String;
    /// A text with ':' is a digest, anything else a tag.
    fn from_str(s: &str) -> Result<Self, String> {
        if s.contains(':') {
            s.parse().map(Reference::Digest).map_err(|e: crate::digest::DigestError| e.to_string())
        } else {
            s.parse().map(Reference::Tag).map_err(|e: NameError| e.to_string())
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reference::Tag(tag) => f.write_str(tag.as_str()),
            Reference::Digest(digest) => digest.fmt(f),
        }
    }
}

macro_rules! text_newtype {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }
        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(s: String) -> Result<Self, NameError> { s.parse() }
        }
        impl From<$name> for String {
            fn from(n: $name) -> String { n.0.into() }
        }
    )*};
}
text_newtype!(RepositoryName, Tag, ProjectName);

/// One path component: runs of `[a-z0-9]` joined by `.`, `_`, `__` or any number of `-`.
fn is_component(s: &str) -> bool {
    let bytes = s.as_bytes();
    let alnum = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let mut i = 0;
    loop {
        let start = i;
        while i < bytes.len() && alnum(bytes[i]) {
            i += 1;
        }
        if i == start {
            return false;
        }
        if i == bytes.len() {
            return true;
        }
        match bytes[i] {
            b'.' => i += 1,
            b'_' => i += if bytes.get(i + 1) == Some(&b'_') { 2 } else { 1 },
            b'-' => {
                while i < bytes.len() && bytes[i] == b'-' {
                    i += 1;
                }
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_grammar() {
        for good in ["a", "demo/app", "a.b/c_d/e__f/g---h", "0/1/2", "library/alpine3"] {
            assert!(good.parse::<RepositoryName>().is_ok(), "{good}");
        }
        for bad in ["", "/", "a/", "/a", "A", "a..b", "a___b", "a._b", "-a", "a-", "a//b", "../x", "a b", "é"] {
            assert!(bad.parse::<RepositoryName>().is_err(), "{bad}");
        }
        assert!("a".repeat(256).parse::<RepositoryName>().is_err());
        assert_eq!("demo/x/y".parse::<RepositoryName>().unwrap().project().as_str(), "demo");
    }

    #[test]
    fn tag_grammar() {
        for good in ["latest", "_x", "v1.2-3", "A"] {
            assert!(good.parse::<Tag>().is_ok(), "{good}");
        }
        for bad in ["", ".a", "-a", "a/b", "a:b"] {
            assert!(bad.parse::<Tag>().is_err(), "{bad}");
        }
        assert!("t".repeat(128).parse::<Tag>().is_ok());
        assert!("t".repeat(129).parse::<Tag>().is_err());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(s in ".*") {
            let _ = s.parse::<RepositoryName>();
            let _ = s.parse::<Tag>();
            let _ = s.parse::<Reference>();
        }
    }
}
