//! Secrets and keys: in files of an image, in its variables, and in free text that must be masked.
//!
//! Three kinds of knowledge, each in its own module:
//!
//! * **forms** ([`rules`]): tokens and connection strings that a regular expression recognises. Rules are data
//!   (`content/secrets/rules.toml`). One vectorised search for all their keywords runs over a file
//!   and expressions are tried only where a keyword stands, so a file without any costs one pass.
//! * **structure** ([`key`]): private keys in PEM, DER, PKCS#12, JKS, told by parsing their first
//!   members with bounds, under any file name.
//! * **position** ([`assignment`], [`known`]): a value is a password because of the name it is
//!   assigned to or the file it stands in (`.pgpass`, `shadow`, `.netrc`).
//!
//! The secret itself never leaves: a [`Hit`] holds its first two characters, asterisks and length.
//! What is not read: files larger than [`MAX_FILE`], pictures and archives beyond 64 KiB (the
//! malware crate opens archives), and anything encoded more than once.
#![forbid(unsafe_code)]

pub mod assignment;
pub mod key;
pub mod known;
mod mask;
mod place;
mod prefilter;
pub mod rules;
mod scan;
mod value;

use jinwu_model::Text;
use rules::RuleSet;

/// Largest file examined, bytes. Above it `wants` says no.
pub const MAX_FILE: u64 = 64 << 20;
/// Hits reported per file at most: a dump of a million tokens is one finding, not a million.
pub const MAX_HITS: usize = 256;

/// The rule file shipped with the product.
const RULES: &str = include_str!("../../../content/secrets/rules.toml");

/// A secret found. Never holds the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Rule name: `ssh-private-key`, `aws-access-key`.
    pub rule: String,
    /// `key`, `token`, `password` or `connection-string`.
    pub category: String,
    pub title: Text,
    /// 1-based line; absent for binary files and variables.
    pub line: Option<u32>,
    /// Name the value is assigned to, where there is one.
    pub variable: Option<String>,
    /// First two characters, asterisks, length: `AK**************(20)`.
    pub masked: String,
}

/// Compiled rules. Building one takes some tens of milliseconds; share it.
pub struct Scanner {
    pub(crate) rules: RuleSet,
    engine: String,
}

/// Why rules cannot be used. Only a changed rule file can cause it; the shipped one is tested.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("secret rules cannot be read: {0}")]
    Toml(String),
    #[error("secret rule {rule}: {detail}")]
    Rule { rule: String, detail: String },
    #[error("keyword search cannot be built: {0}")]
    Prefilter(String),
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

// === impl Scanner ===

impl Scanner {
    /// With the rules of the product.
    pub fn new() -> Result<Self> {
        Self::with_rules(RULES)
    }

    /// With these rules (TOML in the form of `content/secrets/rules.toml`).
    pub fn with_rules(toml: &str) -> Result<Self> {
        use sha2::Digest as _;
        let rules = RuleSet::parse(toml)?;
        let hash = hex::encode(sha2::Sha256::digest(toml.as_bytes()));
        let engine = format!("{}+{}", env!("CARGO_PKG_VERSION"), hash.get(..12).unwrap_or(&hash));
        Ok(Scanner { rules, engine })
    }

    /// Version of code and rules: results are reusable exactly while it is equal.
    pub fn engine(&self) -> &str {
        &self.engine
    }

    /// The rules, for listing.
    pub fn rules(&self) -> impl Iterator<Item = &rules::Rule> {
        self.rules.rules.iter()
    }

    /// Whether a file of this path and size (bytes) is worth reading.
    pub fn wants(&self, path: &str, size: u64) -> bool {
        (8..=MAX_FILE).contains(&size) && (size <= 64 << 10 || !place::is_opaque(path))
    }

    /// Everything found in a file, in order of position. `path` is the path in the image without
    /// leading '/'; it decides which rules apply.
    pub fn scan_file(&self, path: &str, bytes: &[u8]) -> Vec<Hit> {
        scan::file(self, path, bytes)
    }

    /// Secrets in an environment variable or label. More is reported here than in files: `changeme`
    /// in a variable of an image *is* the password.
    pub fn scan_variable(&self, name: &str, value: &str) -> Vec<Hit> {
        scan::variable(self, name, value)
    }

    /// The text with every secret replaced by its masked form. Masking again changes nothing; a
    /// text without secrets costs one search.
    pub fn mask(&self, text: &str) -> String {
        mask::mask(self, text)
    }
}
