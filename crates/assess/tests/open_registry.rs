//! Drills against an installation without any guard: it answers everything, lets everybody in, keeps
//! no records, and speaks plain HTTP on the same port. Every attack must succeed here, so no drill may
//! pass and no clause may be 符合. A drill that passes here proves nothing elsewhere.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use jinwu_assess::{Assessment, Connection, Options, StepKind, Target};
use jinwu_model::{ProtectionLevel, Verdict};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Starts the installation; gives its address and CA.
async fn open_installation() -> (String, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let made = jinwu_trust::tls::ensure_certificates(dir.path(), &["localhost".to_owned()]).unwrap();
    let chain = rustls_pemfile::certs(&mut std::fs::read(&made.chain).unwrap().as_slice()).collect::<Result<Vec<_>, _>>().unwrap();
    let key = rustls_pemfile::private_key(&mut std::fs::read(&made.key).unwrap().as_slice()).unwrap().unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut first = [0u8];
                if stream.peek(&mut first).await.is_ok_and(|n| n == 1) && first[0].is_ascii_uppercase() {
                    serve(stream).await;
                } else if let Ok(stream) = acceptor.accept(stream).await {
                    serve(stream).await;
                }
            });
        }
    });
    (format!("localhost:{port}"), std::fs::read(&made.ca).unwrap())
}

/// HTTP/1.1, one request after the other.
async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let mut buffer: Vec<u8> = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
        let length: usize =
            head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length:").map(|v| v.trim().parse().unwrap())).unwrap_or(0);
        while buffer.len() < end + length {
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
        }
        buffer.drain(..end + length);
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
        let (status, body) = answer(&method, &path);
        let body = body.to_string();
        let mut out = format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n", body.len());
        if status == 202 {
            out.push_str("location: /v2/x/blobs/uploads/1\r\n");
        }
        out.push_str("\r\n");
        if method != "HEAD" {
            out.push_str(&body);
        }
        if stream.write_all(out.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Yes to everything.
fn answer(method: &str, path: &str) -> (u16, Value) {
    let path = path.split('?').next().unwrap_or_default();
    if let Some(path) = path.strip_prefix("/api/v1") {
        let pull = json!({"actions": ["repository:pull"]});
        let body = match (method, path) {
            ("GET", "/health") => json!({"ready": true}),
            ("GET", "/status") => json!({"version": "open", "level": 4, "two_factor_required": false, "engines": {}, "policies": ""}),
            ("GET", "/me") => json!({"name": "someone", "source": "127.0.0.1"}),
            ("GET", "/roles") => json!({"roles": {"project-admin": pull, "maintainer": pull, "developer": pull, "guest": pull, "limited-guest": pull}}),
            ("GET", "/projects") => json!({"projects": []}),
            ("GET", "/ledger") => json!({"records": []}),
            ("GET", "/ledger/verify") => json!({"intact": false}),
            ("POST", "/robots") => json!({"secret": "an-open-robots-secret"}),
            ("POST", "/accounts") => json!({"password": "an-open-password", "totp": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"}),
            ("POST", "/login") => json!({"token": "an-open-session-token"}),
            ("POST", "/registry-credential") => json!({"secret": "an-open-credential"}),
            ("POST", "/grants" | "/exceptions") => json!({"id": "x-1"}),
            _ => json!({}),
        };
        return (200, body);
    }
    match (method, path) {
        ("GET", "/token") => (200, json!({"token": "an-open-registry-token"})),
        ("POST", _) => (202, json!({})),
        ("PUT", _) => (201, json!({})),
        ("DELETE", _) => (202, json!({})),
        _ => (200, json!({})),
    }
}

async fn assess(drills: bool) -> Assessment {
    let (registry, ca) = open_installation().await;
    let connection = Connection {
        registry,
        ca,
        system: "system-administrators-session".into(),
        security: "security-administrators-session".into(),
        audit: "audit-administrators-session".into(),
    };
    let mut target = Target::connect(connection).await.unwrap();
    target.patience = Duration::ZERO;
    let options = Options { level: ProtectionLevel::FOUR, drills, only: [].into(), guards_off: [].into() };
    jinwu_assess::run(&target, None, &options, std::future::pending(), |_| {}).await.unwrap()
}

#[tokio::test]
async fn no_drill_passes_where_nothing_is_guarded() {
    let assessment = assess(true).await;
    for id in ["IA-2.S1", "AC-2.S1", "MC-1.S1", "IM-2.S1"] {
        let step = assessment.step(id).unwrap();
        assert_eq!(step.verdict, Verdict::Fails, "{id}: {}", step.basis);
    }
    for clause in &assessment.clauses {
        assert_ne!(clause.verdict, Verdict::Conforms, "{}", clause.id);
        for step in clause.steps.iter().filter(|s| s.kind == StepKind::Drill) {
            assert_ne!(step.verdict, Verdict::Conforms, "{}: {}", step.id, step.basis);
        }
    }
    for id in ["IP-3.C1", "IP-3.C2", "IP-4.C2", "IM-2.C2"] {
        assert_eq!(assessment.step(id).unwrap().verdict, Verdict::Fails, "{id}");
    }
    // What the installation handed out does not show in the evidence.
    let text = serde_json::to_string(&assessment).unwrap();
    for secret in ["an-open-", "-administrators-session", "JBSWY3DP"] {
        assert!(!text.contains(secret), "{secret} shows in the evidence");
    }
}

#[tokio::test]
async fn without_drills_no_drill_is_claimed() {
    let assessment = assess(false).await;
    assert_eq!(assessment.clauses.len(), 33);
    let drills: Vec<_> = assessment.clauses.iter().flat_map(|c| &c.steps).filter(|s| s.kind == StepKind::Drill).collect();
    assert_eq!(drills.len(), 6);
    assert!(drills.iter().all(|s| s.verdict == Verdict::Unconfirmed && s.evidence.is_empty()));
    assert!(assessment.clauses.iter().all(|c| c.verdict != Verdict::Conforms));
}

#[tokio::test]
async fn an_assessment_that_is_stopped_claims_nothing_more() {
    let (registry, ca) = open_installation().await;
    let connection = Connection { registry, ca, system: "a".into(), security: "b".into(), audit: "c".into() };
    let target = Target::connect(connection).await.unwrap();
    let options = Options { level: ProtectionLevel::FOUR, drills: true, only: [].into(), guards_off: [].into() };
    let assessment = jinwu_assess::run(&target, None, &options, std::future::ready(()), |_| {}).await.unwrap();
    assert_eq!(assessment.clauses.len(), 33);
    assert!(assessment.clauses.iter().all(|c| c.verdict == Verdict::Unconfirmed));
}

#[tokio::test]
async fn another_ca_is_not_trusted() {
    let (registry, _) = open_installation().await;
    let (_, other) = open_installation().await;
    let connection = Connection { registry, ca: other, system: String::new(), security: String::new(), audit: String::new() };
    assert!(Target::connect(connection).await.is_err());
}
