//! The CA of an installation, server certificates, and the TLS profile of every listener.

use crate::{TrustError, files};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use time::{Duration, OffsetDateTime};

/// Files of an installation's certificates.
#[derive(Clone, Debug)]
pub struct Certificates {
    pub ca: PathBuf,
    pub chain: PathBuf,
    pub key: PathBuf,
}

/// Makes what is missing in `dir`: a CA (P-256, ten years) and a server certificate for `names`
/// (DNS names or IP addresses; 397 days, renewed at start when fewer than 30 remain or the names differ).
pub fn ensure_certificates(dir: &Path, names: &[String]) -> Result<Certificates, TrustError> {
    std::fs::create_dir_all(dir).map_err(|source| TrustError::File { path: dir.display().to_string(), source })?;
    let files_of = Certificates { ca: dir.join("ca.crt"), chain: dir.join("server.crt"), key: dir.join("server.key") };
    let ca_key_path = dir.join("ca.key");
    if !files_of.ca.exists() || !ca_key_path.exists() {
        let key = KeyPair::generate()?;
        let certificate = ca_parameters()?.self_signed(&key)?;
        files::write(&ca_key_path, key.serialize_pem().as_bytes(), 0o600)?;
        files::write(&files_of.ca, certificate.pem().as_bytes(), 0o644)?;
        let _ = std::fs::remove_file(&files_of.chain);
    }
    let stamp = dir.join("server.stamp");
    let now = OffsetDateTime::now_utc();
    if !still_good(&files_of, &stamp, names, now) {
        let ca_key = KeyPair::from_pem(&String::from_utf8_lossy(&files::read(&ca_key_path)?))?;
        let issuer = Issuer::new(ca_parameters()?, ca_key);
        let key = KeyPair::generate()?;
        let until = now + Duration::days(397);
        let certificate = server_parameters(names, now, until)?.signed_by(&key, &issuer)?;
        files::write(&files_of.key, key.serialize_pem().as_bytes(), 0o600)?;
        files::write(&files_of.chain, certificate.pem().as_bytes(), 0o644)?;
        files::write(&stamp, format!("{}\n{}\n", until.unix_timestamp(), names.join(",")).as_bytes(), 0o644)?;
    }
    Ok(files_of)
}

/// The profile of every HTTPS listener: TLS 1.2 and 1.3 only, ECDHE and AEAD suites only, ALPN
/// h2 and http/1.1.
pub fn server_config(certificates: &Certificates) -> Result<Arc<rustls::ServerConfig>, TrustError> {
    profile(certificates, None)
}

/// The same for a listener that also knows clients by certificates of its own authority
/// ([`Certificates::ca`]). One without a certificate is served too: what it may do is the listener's
/// to say.
pub fn server_config_with_clients(certificates: &Certificates) -> Result<Arc<rustls::ServerConfig>, TrustError> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in rustls_pemfile::certs(&mut files::read(&certificates.ca)?.as_slice()) {
        roots.add(certificate.map_err(|source| TrustError::File { path: certificates.ca.display().to_string(), source })?)?;
    }
    profile(certificates, Some(roots))
}

/// The same for a listener that also knows clients by the certificates of an authority of their own, PEM.
pub fn server_config_with_clients_of(certificates: &Certificates, authority: &str) -> Result<Arc<rustls::ServerConfig>, TrustError> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in rustls_pemfile::certs(&mut authority.as_bytes()) {
        roots.add(certificate.map_err(|source| TrustError::File { path: "authority of clients".into(), source })?)?;
    }
    profile(certificates, Some(roots))
}

fn profile(certificates: &Certificates, clients: Option<rustls::RootCertStore>) -> Result<Arc<rustls::ServerConfig>, TrustError> {
    let chain: Vec<CertificateDer<'static>> = rustls_pemfile::certs(&mut files::read(&certificates.chain)?.as_slice())
        .collect::<Result<_, _>>()
        .map_err(|source| TrustError::File { path: certificates.chain.display().to_string(), source })?;
    let key: PrivateKeyDer<'static> = rustls_pemfile::private_key(&mut files::read(&certificates.key)?.as_slice())
        .map_err(|source| TrustError::File { path: certificates.key.display().to_string(), source })?
        .ok_or_else(|| TrustError::Malformed {
            path: certificates.key.display().to_string(),
            what: "private key",
            detail: "no PEM key inside".into(),
        })?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(roots) => {
            let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(roots.into(), provider).allow_unauthenticated().build();
            builder.with_client_cert_verifier(verifier.map_err(|e| rustls::Error::General(e.to_string()))?)
        }
    };
    let mut config = builder.with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn ca_parameters() -> Result<CertificateParams, TrustError> {
    let mut p = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Jinwu");
    name.push(DnType::CommonName, "Jinwu installation CA");
    p.distinguished_name = name;
    p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    p.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let now = OffsetDateTime::now_utc();
    p.not_before = now - Duration::hours(1);
    p.not_after = now + Duration::days(3650);
    Ok(p)
}

fn server_parameters(names: &[String], now: OffsetDateTime, until: OffsetDateTime) -> Result<CertificateParams, TrustError> {
    let mut p = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, names.first().map_or("jinwu", String::as_str));
    p.distinguished_name = name;
    p.subject_alt_names = names
        .iter()
        .map(|n| match n.parse() {
            Ok(ip) => Ok(SanType::IpAddress(ip)),
            Err(_) => Ok(SanType::DnsName(n.as_str().try_into()?)),
        })
        .collect::<Result<_, rcgen::Error>>()?;
    p.is_ca = IsCa::NoCa;
    p.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    p.not_before = now - Duration::hours(1);
    p.not_after = until;
    p.use_authority_key_identifier_extension = true;
    Ok(p)
}

fn still_good(files_of: &Certificates, stamp: &Path, names: &[String], now: OffsetDateTime) -> bool {
    let Ok(text) = std::fs::read_to_string(stamp) else { return false };
    let mut lines = text.lines();
    let until = lines.next().and_then(|l| l.parse::<i64>().ok()).unwrap_or(0);
    let same_names = lines.next() == Some(names.join(",").as_str());
    files_of.chain.exists()
        && files_of.key.exists()
        && same_names
        && until > (now + Duration::days(30)).unix_timestamp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_made_once_and_renewed_for_new_names() {
        let dir = tempfile::tempdir().unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = ensure_certificates(dir.path(), &names).unwrap();
        let ca = std::fs::read(&made.ca).unwrap();
        let leaf = std::fs::read(&made.chain).unwrap();
        ensure_certificates(dir.path(), &names).unwrap();
        assert_eq!(std::fs::read(&made.chain).unwrap(), leaf);
        ensure_certificates(dir.path(), &["registry.example".to_owned()]).unwrap();
        assert_ne!(std::fs::read(&made.chain).unwrap(), leaf);
        assert_eq!(std::fs::read(&made.ca).unwrap(), ca, "the CA stays: clients trust it");
        server_config(&made).unwrap();
    }
}
