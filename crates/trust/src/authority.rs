//! A certificate authority for one purpose, held in memory: what signs the certificates by which one
//! cluster's API server and Jinwu's gate there know each other.

use crate::TrustError;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};

/// An authority: P-256, ten years. The key is in no way shown by `Debug`.
pub struct Authority {
    name: String,
    /// PEM.
    certificate: String,
    key: KeyPair,
}

/// A certificate and its key, PEM.
pub struct Leaf {
    pub certificate: String,
    pub key: String,
    /// Unix seconds.
    pub until: i64,
}

/// Days a leaf is good for.
const LEAF_DAYS: i64 = 397;

// === impl Authority ===

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// No randomness.
    pub fn generate(name: &str) -> Result<Self, TrustError> {
        let key = KeyPair::generate()?;
        let certificate = parameters(name).self_signed(&key)?.pem();
        Ok(Authority { name: name.to_owned(), certificate, key })
    }

    /// One made before: its name, certificate and key as they were kept.
    ///
    /// # Errors
    /// The key is no key.
    pub fn load(name: &str, certificate: &str, key: &str) -> Result<Self, TrustError> {
        Ok(Authority { name: name.to_owned(), certificate: certificate.to_owned(), key: KeyPair::from_pem(key)? })
    }

    /// PEM, for whoever must trust it.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// PEM of the private key: to be kept, never to be shown.
    pub fn key(&self) -> String {
        self.key.serialize_pem()
    }

    /// A server's certificate for these DNS names and addresses.
    ///
    /// # Errors
    /// A name is none.
    pub fn server(&self, names: &[String]) -> Result<Leaf, TrustError> {
        self.leaf(names.first().map_or("jinwu", String::as_str), names, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A client's certificate under this name.
    ///
    /// # Errors
    /// As of signing.
    pub fn client(&self, name: &str) -> Result<Leaf, TrustError> {
        self.leaf(name, &[], ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn leaf(&self, name: &str, names: &[String], usage: ExtendedKeyUsagePurpose) -> Result<Leaf, TrustError> {
        let (now, mut p) = (OffsetDateTime::now_utc(), CertificateParams::default());
        let until = now + Duration::days(LEAF_DAYS);
        p.distinguished_name = distinguished(name);
        p.subject_alt_names = names
            .iter()
            .map(|n| match n.parse() {
                Ok(address) => Ok(SanType::IpAddress(address)),
                Err(_) => Ok(SanType::DnsName(n.as_str().try_into()?)),
            })
            .collect::<Result<_, rcgen::Error>>()?;
        p.is_ca = IsCa::ExplicitNoCa;
        p.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        p.extended_key_usages = vec![usage];
        p.not_before = now - Duration::hours(1);
        p.not_after = until;
        p.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let issuer = Issuer::new(parameters(&self.name), &self.key);
        let certificate = p.signed_by(&key, &issuer)?.pem();
        Ok(Leaf { certificate, key: key.serialize_pem(), until: until.unix_timestamp() })
    }
}

fn distinguished(name: &str) -> DistinguishedName {
    let mut all = DistinguishedName::new();
    all.push(DnType::OrganizationName, "Jinwu");
    all.push(DnType::CommonName, name);
    all
}

fn parameters(name: &str) -> CertificateParams {
    let (now, mut p) = (OffsetDateTime::now_utc(), CertificateParams::default());
    p.distinguished_name = distinguished(name);
    p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    p.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    p.not_before = now - Duration::hours(1);
    p.not_after = now + Duration::days(3650);
    p
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::UnixTime;
    use std::sync::Arc;

    fn der(pem: &str) -> CertificateDer<'static> {
        rustls_pemfile::certs(&mut pem.as_bytes()).next().unwrap().unwrap()
    }

    #[test]
    fn only_its_own_clients_verify_also_when_it_was_loaded_again() {
        let one = Authority::generate("gates of prod").unwrap();
        let again = Authority::load("gates of prod", one.certificate(), &one.key()).unwrap();
        let other = Authority::generate("gates of prod").unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(der(one.certificate())).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build().unwrap();
        let verifies = |leaf: &Leaf| verifier.verify_client_cert(&der(&leaf.certificate), &[], UnixTime::now()).is_ok();
        assert!(verifies(&one.client("apiserver").unwrap()));
        assert!(verifies(&again.client("apiserver").unwrap()));
        assert!(!verifies(&other.client("apiserver").unwrap()), "another authority of the same name");
        assert!(!verifies(&one.server(&["a.svc".into(), "10.0.0.1".into()]).unwrap()), "a server's certificate is no client's");
    }
}
