//! What the binary plugs in: secrets, malware and advisories.
//!
//! The traits keep the heavy engines out of this crate, so that whoever links the client does not
//! link them.

use crate::analysis::{MalwareHit, SecretHit};
use jinwu_model::report::{Coverage, Engines, Os, Package, Vulnerability};

/// Finds secrets in files and variables.
pub trait SecretEngine {
    /// Changes whenever an answer may change.
    fn version(&self) -> String;
    fn wants(&self, path: &str, size: u64) -> bool;
    fn scan_file(&self, path: &str, bytes: &[u8]) -> Vec<SecretHit>;
    fn scan_variable(&self, name: &str, value: &str) -> Vec<SecretHit>;
}

/// Recognises malware.
pub trait MalwareEngine {
    fn version(&self) -> String;
    fn wants(&self, path: &str, mode: u32, size: u64, head: &[u8]) -> bool;
    /// Hits, and in words what was not looked at.
    fn scan(&mut self, path: &str, bytes: &[u8]) -> (Vec<MalwareHit>, Vec<String>);
}

/// Matches packages against advisories.
pub trait AdvisoryEngine {
    /// Generation of the database.
    fn version(&self) -> String;
    fn match_packages(&self, os: Option<&Os>, repositories: &[String], packages: &[Package]) -> Matched;
}

/// What advisories say about an image's packages; members as in the report.
pub struct Matched {
    pub coverage: Coverage,
    pub vulnerabilities: Vec<Vulnerability>,
    pub as_of: Option<String>,
    pub unknown_packages: Vec<String>,
}

/// Makes one more malware engine, of the same version, on the thread that will use it.
pub type MalwareFactory = Box<dyn Fn() -> Result<Box<dyn MalwareEngine>, String> + Sync>;

/// Everything a worker scans with.
pub struct EngineSet {
    pub secrets: Box<dyn SecretEngine>,
    pub malware: Box<dyn MalwareEngine>,
    /// For a second thread in large layers; without it there is one.
    pub more_malware: Option<MalwareFactory>,
    pub advisories: Box<dyn AdvisoryEngine>,
}

/// Name under which the advisory generation stands in [`Engines`]: the only one that does not bear on
/// layer analyses.
pub const ADVISORIES: &str = "advisories";

impl EngineSet {
    /// Versions of all of it, walker and analyzers included.
    pub fn versions(&self) -> Engines {
        Engines::from([
            ("walker".to_owned(), format!("{}.{}", env!("CARGO_PKG_VERSION"), crate::protocol::VERSION)),
            ("analyzers".to_owned(), crate::analyzer::versions()),
            ("secrets".to_owned(), self.secrets.version()),
            ("malware".to_owned(), self.malware.version()),
            (ADVISORIES.to_owned(), self.advisories.version()),
        ])
    }
}

/// The engines a layer analysis depends on: the key it is kept by, beside the layer's digest.
pub fn layer_engines(engines: &Engines) -> Engines {
    engines.iter().filter(|(name, _)| *name != ADVISORIES).map(|(k, v)| (k.clone(), v.clone())).collect()
}
