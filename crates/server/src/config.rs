//! Configuration of `jinwu serve`: a TOML file, every member with a default.

use jinwu_model::ProtectionLevel;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Everything that must survive lives below this folder.
    pub data: PathBuf,
    /// HTTPS for registry and API.
    pub listen: SocketAddr,
    /// Names and addresses clients use; they stand in the server's certificate.
    pub names: Vec<String>,
    /// Protection level of the installation.
    pub level: ProtectionLevel,
    /// Proxies whose X-Forwarded-For is believed, as CIDRs. None by default.
    pub trusted_proxies: Vec<String>,
    /// Analysis workers kept ready.
    pub workers: usize,
    /// The `jinwu-scan` program; beside this program when absent.
    pub scanner: Option<PathBuf>,
    /// File of ledger heads; put it on another disk or a mounted share.
    pub heads: Option<PathBuf>,
    /// Further `host[:port]` by which clients reach this registry, behind a proxy.
    pub registries: Vec<String>,
    /// Seconds after which a gate asks again what is known about an image.
    pub max_scan_age: u64,
    /// Seconds the verdict of a pushed image may take after its last byte.
    pub verdict_timeout: u64,
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}: {source}")]
    Parse { path: PathBuf, source: toml::de::Error },
    #[error("trusted_proxies: {0:?} is not a CIDR such as 10.0.0.0/8")]
    Proxy(String),
}

impl Default for Config {
    fn default() -> Self {
        Config {
            data: PathBuf::from("/var/lib/jinwu"),
            listen: SocketAddr::from(([127, 0, 0, 1], 5443)),
            names: vec!["localhost".into(), "127.0.0.1".into()],
            level: ProtectionLevel::FOUR,
            trusted_proxies: Vec::new(),
            workers: 3,
            scanner: None,
            heads: None,
            registries: Vec::new(),
            max_scan_age: 24 * 3600,
            verdict_timeout: 600,
        }
    }
}

impl Config {
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        toml::from_str(&text).map_err(|source| ConfigError::Parse { path: path.to_owned(), source })
    }

    /// The local socket of the API.
    pub fn socket(&self) -> PathBuf {
        self.data.join("run").join("api.sock")
    }

    /// The socket of relays; see [`crate::listen::ingress`].
    pub fn ingress(&self) -> PathBuf {
        self.data.join("run").join("ingress.sock")
    }

    /// Initial credentials, while they stand.
    pub fn initial_credentials(&self) -> PathBuf {
        self.data.join("initial-credentials.json")
    }

    /// Where the ledger's heads go.
    pub fn heads_file(&self) -> PathBuf {
        self.heads.clone().unwrap_or_else(|| self.data.join("ledger-heads").join("heads.jsonl"))
    }

    /// The CA clients trust.
    pub fn ca(&self) -> PathBuf {
        self.data.join("tls").join("ca.crt")
    }
}
