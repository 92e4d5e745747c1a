//! Private keys by structure, under any name.
//!
//! * [`pem`]: armoured keys (PKCS#1, SEC1, DSA, PKCS#8, OpenSSH, PGP, SSH.com), also escaped into
//!   one line of JSON or YAML, or base64-encoded once more as kubeconfigs do;
//! * [`der`]: the same keys in binary, told by reading their ASN.1 members with bounds;
//! * [`keystore`]: PKCS#12 and Java key stores, hit only when they hold a private key (a trust
//!   store does not).

mod der;
mod keystore;
mod pem;

use crate::scan::Found;
use jinwu_model::Text;
pub(crate) use pem::{decode, encoded_pem_at, pem_at};

/// Largest file read as one DER key or key store, bytes.
const MAX_STORE: usize = 4 << 20;

/// Keys that are a whole file.
pub(crate) fn whole_file(path: &str, bytes: &[u8]) -> Vec<Found> {
    if bytes.len() > MAX_STORE {
        return Vec::new();
    }
    let kind = match bytes {
        [0x30, ..] => der::private_key(bytes).or_else(|| keystore::pkcs12(bytes)),
        [0xfe, 0xed, 0xfe, 0xed, ..] | [0xce, 0xce, 0xce, 0xce, ..] => keystore::java(bytes),
        _ => None,
    };
    kind.map(|kind| found(kind, path, 0..bytes.len())).into_iter().collect()
}

/// What a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ssh,
    Rsa,
    Ec,
    Dsa,
    Pkcs8,
    Encrypted,
    Pgp,
    Pkcs12,
    Java,
}

impl Kind {
    fn rule(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Kind::Ssh => ("ssh-private-key", "SSH 私钥", "SSH private key"),
            Kind::Rsa => ("rsa-private-key", "RSA 私钥", "RSA private key"),
            Kind::Ec => ("ec-private-key", "椭圆曲线私钥", "EC private key"),
            Kind::Dsa => ("dsa-private-key", "DSA 私钥", "DSA private key"),
            Kind::Pkcs8 => ("private-key", "私钥(PKCS#8)", "private key (PKCS#8)"),
            Kind::Encrypted => ("encrypted-private-key", "口令保护的私钥", "private key protected by a passphrase"),
            Kind::Pgp => ("pgp-private-key", "PGP 私钥", "PGP private key"),
            Kind::Pkcs12 => ("pkcs12-private-key", "含私钥的 PKCS#12 证书库", "PKCS#12 store with a private key"),
            Kind::Java => ("java-keystore-private-key", "含私钥的 Java 密钥库", "Java key store with a private key"),
        }
    }
}

fn found(kind: Kind, path: &str, span: std::ops::Range<usize>) -> Found {
    // A PKCS#1 or SEC1 key in ~/.ssh or named as sshd names its host keys is an SSH key.
    let name = path.rsplit('/').next().unwrap_or(path);
    let ssh = matches!(kind, Kind::Rsa | Kind::Ec | Kind::Dsa | Kind::Pkcs8)
        && (path.contains(".ssh/") || path.starts_with("etc/ssh/") || name.starts_with("id_") || (name.starts_with("ssh_host_") && name.ends_with("_key")));
    let (rule, zh, en) = if ssh { Kind::Ssh.rule() } else { kind.rule() };
    Found { span, rule: rule.to_owned(), category: "key", title: Text::new(zh, en), variable: None }
}
