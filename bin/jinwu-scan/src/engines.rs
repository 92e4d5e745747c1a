//! The engines behind the scanner's traits.

use jinwu_advisory::Database;
use jinwu_model::report::{Os, Package};
use jinwu_scan::analysis::{MalwareHit, SecretHit};
use jinwu_scan::engine::{AdvisoryEngine, EngineSet, MalwareEngine, Matched, SecretEngine};

struct Secrets(jinwu_secrets::Scanner);

struct Malware(jinwu_malware::Engine);

struct Advisories(Database);

/// Environment variables that name a newer advisory database and the public key it is signed with.
pub(crate) const DATABASE: &str = "JINWU_ADVISORIES";
pub(crate) const DATABASE_KEY: &str = "JINWU_ADVISORIES_KEY";

/// Loads everything; what is missing is said in words.
pub(crate) fn load() -> Result<EngineSet, String> {
    Ok(EngineSet {
        secrets: Box::new(Secrets(jinwu_secrets::Scanner::new().map_err(|e| format!("secret rules: {e}"))?)),
        malware: malware()?,
        more_malware: Some(Box::new(malware)),
        advisories: Box::new(Advisories(database()?)),
    })
}

fn malware() -> Result<Box<dyn MalwareEngine>, String> {
    Ok(Box::new(Malware(jinwu_malware::Engine::load().map_err(|e| format!("malware rules: {e}"))?)))
}

/// The database that `JINWU_ADVISORIES` names, or the one built in.
pub(crate) fn database() -> Result<Database, String> {
    let Some(path) = std::env::var_os(DATABASE).map(std::path::PathBuf::from) else {
        return Database::embedded().map_err(|e| format!("built-in advisory database: {e}"));
    };
    let key = std::env::var_os(DATABASE_KEY).ok_or(format!("{DATABASE} is set but {DATABASE_KEY} (public key file) is not"))?;
    let key = std::path::PathBuf::from(key);
    let key = jinwu_trust::VerifyingKey::load(&key).map_err(|e| format!("{}: {e}", key.display()))?;
    Database::open(&path, &key).map_err(|e| format!("{}: {e}", path.display()))
}

fn secret(hit: jinwu_secrets::Hit) -> SecretHit {
    SecretHit { rule: hit.rule, category: hit.category, title: hit.title, line: hit.line, variable: hit.variable, masked: hit.masked }
}

impl SecretEngine for Secrets {
    fn version(&self) -> String {
        self.0.engine().to_owned()
    }

    fn wants(&self, path: &str, size: u64) -> bool {
        self.0.wants(path, size)
    }

    fn scan_file(&self, path: &str, bytes: &[u8]) -> Vec<SecretHit> {
        self.0.scan_file(path, bytes).into_iter().map(secret).collect()
    }

    fn scan_variable(&self, name: &str, value: &str) -> Vec<SecretHit> {
        self.0.scan_variable(name, value).into_iter().map(secret).collect()
    }
}

impl MalwareEngine for Malware {
    fn version(&self) -> String {
        self.0.version().to_owned()
    }

    fn wants(&self, path: &str, mode: u32, size: u64, head: &[u8]) -> bool {
        self.0.wants(path, mode, size, head)
    }

    fn scan(&mut self, path: &str, bytes: &[u8]) -> (Vec<MalwareHit>, Vec<String>) {
        let outcome = self.0.scan(path, bytes);
        let hits = outcome.hits.into_iter().map(|hit| MalwareHit {
            rule: hit.rule,
            category: hit.category,
            origin: hit.origin,
            inner: hit.inner,
            sha256: hit.sha256,
        });
        (hits.collect(), outcome.truncated)
    }
}

impl AdvisoryEngine for Advisories {
    fn version(&self) -> String {
        self.0.generation()
    }

    fn match_packages(&self, os: Option<&Os>, repositories: &[String], packages: &[Package]) -> Matched {
        let matches = self.0.match_packages(os, repositories, packages);
        Matched {
            coverage: matches.coverage,
            vulnerabilities: matches.vulnerabilities,
            as_of: matches.as_of,
            unknown_packages: matches.silent,
        }
    }
}
