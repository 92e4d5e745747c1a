//! Ed25519 keys for what Jinwu itself signs: ledger seals, advisory databases, tokens' heads.

use crate::{TrustError, files};
use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, spki::der::pem::LineEnding};
use ed25519_dalek::{Signer, Verifier};
use std::path::Path;

/// A private key. `Debug` shows its public half only.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

/// A public key.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey(ed25519_dalek::VerifyingKey);

// === impl SigningKey ===

impl SigningKey {
    /// A new key from the operating system's generator.
    pub fn generate() -> Self {
        SigningKey(ed25519_dalek::SigningKey::from_bytes(&crate::random::bytes::<32>()))
    }

    /// Reads the PKCS#8 PEM at `path`, or makes a new key there (mode 0600) when there is none.
    pub fn load_or_create(path: &Path) -> Result<Self, TrustError> {
        if path.exists() {
            return Self::load(path);
        }
        let key = Self::generate();
        let pem = key.0.to_pkcs8_pem(LineEnding::LF).map_err(|e| malformed(path, e.to_string()))?;
        files::write(path, pem.as_bytes(), 0o600)?;
        Ok(key)
    }

    pub fn load(path: &Path) -> Result<Self, TrustError> {
        let text = String::from_utf8(files::read(path)?).map_err(|e| malformed(path, e.to_string()))?;
        ed25519_dalek::SigningKey::from_pkcs8_pem(&text).map(SigningKey).map_err(|e| malformed(path, e.to_string()))
    }

    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey(self.0.verifying_key())
    }

    /// Ed25519 signature (RFC 8032) over `message`.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }

    /// PKCS#8 DER, for libraries that want the key itself.
    pub fn to_pkcs8_der(&self) -> Vec<u8> {
        self.0.to_pkcs8_der().map(|d| d.as_bytes().to_vec()).unwrap_or_default()
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.verifying_key().id())
    }
}

// === impl VerifyingKey ===

impl VerifyingKey {
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        ed25519_dalek::VerifyingKey::from_bytes(bytes).ok().map(VerifyingKey)
    }

    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    pub fn load(path: &Path) -> Result<Self, TrustError> {
        let text = String::from_utf8(files::read(path)?).map_err(|e| malformed(path, e.to_string()))?;
        Self::from_pem(&text).ok_or_else(|| malformed(path, "not an Ed25519 public key in PEM".into()))
    }

    /// SubjectPublicKeyInfo PEM of an Ed25519 key.
    pub fn from_pem(text: &str) -> Option<Self> {
        ed25519_dalek::VerifyingKey::from_public_key_pem(text).ok().map(VerifyingKey)
    }

    /// SubjectPublicKeyInfo PEM.
    pub fn to_pem(&self) -> String {
        self.0.to_public_key_pem(LineEnding::LF).unwrap_or_default()
    }

    /// First 16 hexadecimal digits of the SHA-256 of the raw key: names a key in seals.
    pub fn id(&self) -> String {
        hex::encode(&crate::sha256(&self.to_bytes())[..8])
    }

    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        ed25519_dalek::Signature::from_slice(signature).is_ok_and(|s| self.0.verify(message, &s).is_ok())
    }
}

impl std::fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VerifyingKey({})", self.id())
    }
}

fn malformed(path: &Path, detail: String) -> TrustError {
    TrustError::Malformed { path: path.display().to_string(), what: "Ed25519 key", detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_file_and_signs() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k.pem");
        let made = SigningKey::load_or_create(&path).unwrap();
        let read = SigningKey::load_or_create(&path).unwrap();
        assert_eq!(made.verifying_key(), read.verifying_key());
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let signature = made.sign(b"head");
        assert!(read.verifying_key().verify(b"head", &signature));
        assert!(!read.verifying_key().verify(b"heae", &signature));
        let public = dir.path().join("p.pem");
        std::fs::write(&public, made.verifying_key().to_pem()).unwrap();
        assert_eq!(VerifyingKey::load(&public).unwrap(), made.verifying_key());
    }

    #[test]
    fn a_damaged_key_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("k.pem");
        std::fs::write(&path, "-----BEGIN PRIVATE KEY-----\nxx\n-----END PRIVATE KEY-----\n").unwrap();
        let error = SigningKey::load_or_create(&path).unwrap_err().to_string();
        assert!(error.contains("k.pem"), "{error}");
    }
}
