//! A certificate authority for one purpose, held in memory: what signs the certificates by which one
//! cluster's API server and Jinwu's gate there know each other.

use crate::{TrustError, files};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use std::path::Path;
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

/// A certificate for a key that stays where it was made.
pub struct Signed {
    /// PEM.
    pub certificate: String,
    /// SHA-256 of the certificate's DER, hexadecimal: by this a listener recognises it.
    pub fingerprint: String,
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

    /// The one kept in `dir` as `NAME.crt` and `NAME.key` (mode 0600), made now if there is none.
    ///
    /// # Errors
    /// A file cannot be read or written, or is damaged.
    pub fn load_or_create(dir: &Path, file: &str, name: &str) -> Result<Self, TrustError> {
        let (certificate, key) = (dir.join(format!("{file}.crt")), dir.join(format!("{file}.key")));
        if certificate.exists() && key.exists() {
            let text = |path: &Path| files::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            return Self::load(name, &text(&certificate)?, &text(&key)?);
        }
        let made = Self::generate(name)?;
        files::write(&key, made.key().as_bytes(), 0o600)?;
        files::write(&certificate, made.certificate.as_bytes(), 0o644)?;
        Ok(made)
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

    /// A client's certificate under this name, also as the URI `uri`, for the key of a signing request (PEM) and for
    /// `days`. Whatever else the request asks for is not heeded; it proves that its sender has the key.
    ///
    /// # Errors
    /// The request cannot be read, or is not signed by its own key.
    pub fn sign_request(&self, request: &str, name: &str, uri: &str, days: i64) -> Result<Signed, TrustError> {
        let asked = CertificateSigningRequestParams::from_pem(request)?;
        let now = OffsetDateTime::now_utc();
        let until = now + Duration::days(days);
        let mut p = client_parameters(name, now, until);
        p.subject_alt_names = vec![SanType::URI(uri.try_into()?)];
        let issuer = Issuer::new(parameters(&self.name), &self.key);
        let certificate = p.signed_by(&asked.public_key, &issuer)?;
        let fingerprint = hex::encode(crate::sha256(certificate.der()));
        Ok(Signed { certificate: certificate.pem(), fingerprint, until: until.unix_timestamp() })
    }

    fn leaf(&self, name: &str, names: &[String], usage: ExtendedKeyUsagePurpose) -> Result<Leaf, TrustError> {
        let now = OffsetDateTime::now_utc();
        let until = now + Duration::days(LEAF_DAYS);
        let mut p = client_parameters(name, now, until);
        p.subject_alt_names = names
            .iter()
            .map(|n| match n.parse() {
                Ok(address) => Ok(SanType::IpAddress(address)),
                Err(_) => Ok(SanType::DnsName(n.as_str().try_into()?)),
            })
            .collect::<Result<_, rcgen::Error>>()?;
        p.extended_key_usages = vec![usage];
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

fn client_parameters(name: &str, now: OffsetDateTime, until: OffsetDateTime) -> CertificateParams {
    let mut p = CertificateParams::default();
    p.distinguished_name = distinguished(name);
    p.is_ca = IsCa::ExplicitNoCa;
    p.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    p.not_before = now - Duration::hours(1);
    p.not_after = until;
    p.use_authority_key_identifier_extension = true;
    p
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

    #[test]
    fn a_request_is_signed_for_its_key_and_under_our_name_only() {
        let authority = Authority::generate("nodes").unwrap();
        let key = KeyPair::generate().unwrap();
        let mut asked = CertificateParams::new(vec!["other.example".to_owned()]).unwrap();
        asked.is_ca = IsCa::NoCa;
        let request = asked.serialize_request(&key).unwrap().pem().unwrap();
        let signed = authority.sign_request(&request, "n1", "jinwu://node/n1", 7).unwrap();
        let der = der(&signed.certificate);
        assert_eq!(signed.fingerprint, hex::encode(crate::sha256(&der)));
        let holds = |text: &[u8]| der.windows(text.len()).any(|w| w == text);
        assert!(holds(b"jinwu://node/n1") && !holds(b"other.example"));
        assert!((signed.until - OffsetDateTime::now_utc().unix_timestamp() - 7 * 86_400).abs() < 60);
        let mut broken = request.into_bytes();
        broken[120] ^= 1;
        for bad in [String::from_utf8_lossy(&broken).into_owned(), String::new(), "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n".into()] {
            assert!(authority.sign_request(&bad, "n1", "jinwu://node/n1", 7).is_err());
        }
    }
}
