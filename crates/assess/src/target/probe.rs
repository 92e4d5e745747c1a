//! Probes below HTTP: which TLS versions and suites a port accepts, and what it says to plain HTTP.
//!
//! TLS 1.2 and 1.3 are negotiated for real. Older versions and weak suites no decent library offers
//! any more, so their ClientHello is written by hand (RFC 2246, 4346, 5246) and the server's first
//! record is read: a ServerHello means it would go on, an alert or a closed connection that it refuses.

use crate::evidence::Log;
use anyhow::Context as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A port that should speak TLS.
#[derive(Clone, Copy, Debug)]
pub struct Port<'a> {
    pub host: &'a str,
    pub port: u16,
    /// Whom its certificate must be from, PEM.
    pub authority: &'a [u8],
}

impl std::fmt::Display for Port<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') { write!(f, "[{}]:{}", self.host, self.port) } else { write!(f, "{}:{}", self.host, self.port) }
    }
}

const PATIENCE: Duration = Duration::from_secs(5);

/// What a server made of a ClientHello.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hello {
    /// ServerHello: version and suite chosen.
    Accepted { version: u16, suite: u16 },
    /// Alert: level and description (RFC 5246 §7.2).
    Alert { level: u8, description: u8 },
    /// The connection was closed without a word.
    Closed,
    /// Something that is no TLS record, or no answer in time.
    Unclear,
}

/// Suites of the time of TLS 1.0, all of them.
pub const LEGACY_SUITES: [u16; 12] =
    [0xc009, 0xc00a, 0xc013, 0xc014, 0x002f, 0x0035, 0x000a, 0xc012, 0x0033, 0x0039, 0x0005, 0x0004];
/// Suites broken or without forward secrecy: NULL, RC4, DES, 3DES, export, static RSA, CBC of the old form.
pub const WEAK_SUITES: [u16; 14] = [
    0x0001, 0x0002, 0x003b, 0x0004, 0x0005, 0x0009, 0x000a, 0xc012, 0xc011, 0x002f, 0x0035, 0x003c, 0x009c, 0x0003,
];

/// Connects in time.
pub async fn connect(host: &str, port: u16) -> anyhow::Result<TcpStream> {
    let connecting = TcpStream::connect((host, port));
    tokio::time::timeout(PATIENCE, connecting)
        .await
        .with_context(|| format!("{host}:{port} 五秒内没有应答 / no answer within five seconds"))?
        .with_context(|| format!("{host}:{port} 无法连接 / cannot be connected"))
}

/// Sends a hand-made ClientHello of `version` (0x0301 is TLS 1.0, 0x0303 is TLS 1.2).
pub async fn hello(at: Port<'_>, log: &mut Log, version: u16, suites: &[u16]) -> anyhow::Result<Hello> {
    let bytes = client_hello(at.host, version, suites, jinwu_trust::random::bytes::<32>());
    log.note(&format!("> ClientHello version={version:#06x} suites={suites:04x?}\n> {}", hex::encode(&bytes)));
    let mut stream = connect(at.host, at.port).await?;
    stream.write_all(&bytes).await?;
    let answer = first_bytes(&mut stream, 512).await;
    let hello = answer.as_deref().map_or(Hello::Unclear, read_hello);
    log.note(&format!("< {}\n< {hello:?}", answer.map(hex::encode).unwrap_or_else(|| "(no answer in time)".into())));
    Ok(hello)
}

/// A real handshake with one version and the installation's CA: protocol and suite, or why not.
pub async fn handshake(at: Port<'_>, log: &mut Log, version: &'static rustls::SupportedProtocolVersion) -> anyhow::Result<Result<String, String>> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in rustls_pemfile::certs(&mut &*at.authority) {
        roots.add(certificate?)?;
    }
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = rustls::pki_types::ServerName::try_from(at.host.to_owned())?;
    let stream = connect(at.host, at.port).await?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    log.note(&format!("> TLS handshake, {:?} only, CA pinned, name {}", version.version, at.host));
    let result = match tokio::time::timeout(PATIENCE, connector.connect(name, stream)).await {
        Err(_) => Err("no answer in time".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(stream)) => {
            let (_, connection) = stream.get_ref();
            let suite = connection.negotiated_cipher_suite().map(|s| format!("{:?}", s.suite())).unwrap_or_default();
            let group = connection.negotiated_key_exchange_group().map(|g| format!("{:?}", g.name())).unwrap_or_default();
            let chain = connection.peer_certificates().map_or(0, <[_]>::len);
            Ok(format!("{:?} {suite} {group}, {chain} certificates, verified", version.version))
        }
    };
    log.note(&format!("< {result:?}"));
    Ok(result)
}

/// A plain HTTP request to the same port: the bytes that come back, empty when the connection was closed.
pub async fn plain_http(at: Port<'_>, log: &mut Log, path: &str) -> anyhow::Result<Vec<u8>> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n");
    log.note(&format!("> (plain TCP) {}", request.trim_end()));
    let mut stream = connect(at.host, at.port).await?;
    stream.write_all(request.as_bytes()).await?;
    let answer = first_bytes(&mut stream, 4096).await.unwrap_or_default();
    log.note(&format!("< {} bytes: {}", answer.len(), String::from_utf8_lossy(&answer).escape_default()));
    Ok(answer)
}

/// What comes first, at most `most` bytes; empty when the peer closes, `None` when nothing comes.
async fn first_bytes(stream: &mut TcpStream, most: usize) -> Option<Vec<u8>> {
    let mut out = vec![0u8; most];
    match tokio::time::timeout(PATIENCE, stream.read(&mut out)).await {
        Err(_) => None,
        Ok(Err(_)) => Some(Vec::new()),
        Ok(Ok(n)) => {
            out.truncate(n);
            Some(out)
        }
    }
}

/// A whole record with one ClientHello: null compression, the extensions an old client sends.
fn client_hello(host: &str, version: u16, suites: &[u16], random: [u8; 32]) -> Vec<u8> {
    let vector16 = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes(), bytes].concat();
    let extension = |kind: u16, data: &[u8]| [&kind.to_be_bytes()[..], &vector16(data)].concat();
    let words = |values: &[u16]| vector16(&values.iter().flat_map(|v| v.to_be_bytes()).collect::<Vec<_>>());
    let mut extensions = Vec::new();
    if host.parse::<std::net::IpAddr>().is_err() {
        let name = [&[0u8][..], &vector16(host.as_bytes())].concat();
        extensions.extend(extension(0, &vector16(&name)));
    }
    extensions.extend(extension(10, &words(&[0x001d, 0x0017, 0x0018])));
    extensions.extend(extension(11, &[1, 0]));
    if version >= 0x0303 {
        extensions.extend(extension(13, &words(&[0x0403, 0x0503, 0x0804, 0x0401, 0x0501, 0x0201, 0x0203])));
    }
    let mut body = version.to_be_bytes().to_vec();
    body.extend(random);
    body.push(0);
    body.extend(words(suites));
    body.extend([1, 0]);
    body.extend(vector16(&extensions));
    let length = (body.len() as u32).to_be_bytes();
    let handshake = [&[1u8][..], &length[1..], &body].concat();
    // Record version 3.1: what every client puts there for old servers.
    [&[22u8, 3, 1][..], &vector16(&handshake)].concat()
}

fn read_hello(bytes: &[u8]) -> Hello {
    match bytes {
        [] => Hello::Closed,
        [21, 3, _, _, _, level, description, ..] => Hello::Alert { level: *level, description: *description },
        // record(5) handshake(4) version(2) random(32) session id(1+n) suite(2)
        [22, 3, _, _, _, 2, _, _, _, major, minor, rest @ ..] => {
            let id = usize::from(rest.get(32).copied().unwrap_or(0));
            match (rest.get(33 + id), rest.get(34 + id)) {
                (Some(a), Some(b)) => {
                    Hello::Accepted { version: u16::from_be_bytes([*major, *minor]), suite: u16::from_be_bytes([*a, *b]) }
                }
                _ => Hello::Unclear,
            }
        }
        _ => Hello::Unclear,
    }
}

// === impl Hello ===

impl Hello {
    /// Refused for certain.
    pub fn refused(&self) -> bool {
        matches!(self, Hello::Alert { level: 2, .. } | Hello::Closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_hello_has_the_lengths_it_says() {
        let hello = client_hello("localhost", 0x0301, &LEGACY_SUITES, [7; 32]);
        assert_eq!(usize::from(u16::from_be_bytes([hello[3], hello[4]])), hello.len() - 5);
        assert_eq!(u32::from_be_bytes([0, hello[6], hello[7], hello[8]]) as usize, hello.len() - 9);
        assert_eq!(&hello[9..11], &[3, 1]);
        let with_name = client_hello("localhost", 0x0303, &WEAK_SUITES, [7; 32]);
        assert!(with_name.windows(9).any(|w| w == b"localhost"));
        assert!(!client_hello("127.0.0.1", 0x0303, &WEAK_SUITES, [7; 32]).windows(9).any(|w| w == b"127.0.0.1"));
    }

    #[test]
    fn answers() {
        assert_eq!(read_hello(&[]), Hello::Closed);
        assert_eq!(read_hello(&[21, 3, 1, 0, 2, 2, 70]), Hello::Alert { level: 2, description: 70 });
        let mut hello = vec![22, 3, 1, 0, 42, 2, 0, 0, 38, 3, 1];
        hello.extend([0u8; 32]);
        hello.extend([0, 0x00, 0x2f, 0]);
        assert_eq!(read_hello(&hello), Hello::Accepted { version: 0x0301, suite: 0x002f });
        assert!(!Hello::Unclear.refused() && !read_hello(&hello).refused());
        assert_eq!(read_hello(b"HTTP/1.1 400"), Hello::Unclear);
    }

    /// The hand-made hello is a real one: a server that speaks TLS 1.2 takes it when its suites are good.
    #[tokio::test]
    async fn a_server_takes_a_good_hello_and_refuses_an_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let made = jinwu_trust::tls::ensure_certificates(dir.path(), &["localhost".to_owned()]).unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(jinwu_trust::tls::server_config(&made).unwrap());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move { drop(acceptor.accept(stream).await) });
            }
        });
        let ask = async |version, suites: &[u16]| {
            let mut stream = connect("127.0.0.1", port).await.unwrap();
            stream.write_all(&client_hello("localhost", version, suites, [9; 32])).await.unwrap();
            first_bytes(&mut stream, 512).await.map_or(Hello::Unclear, |b| read_hello(&b))
        };
        assert_eq!(ask(0x0303, &[0xc02b, 0xc02c]).await, Hello::Accepted { version: 0x0303, suite: 0xc02b });
        assert!(ask(0x0301, &LEGACY_SUITES).await.refused());
        assert!(ask(0x0302, &LEGACY_SUITES).await.refused());
        assert!(ask(0x0303, &WEAK_SUITES).await.refused());
    }

    proptest! {
        #[test]
        fn no_answer_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) { let _ = read_hello(&bytes); }
    }
}
