//! What a port offers of TLS, and what it says to plain HTTP.

use super::{same, t};
use crate::evidence::{Evidence, Log, Role, whether};
use crate::target::probe::{self, Hello, LEGACY_SUITES, Port, WEAK_SUITES};
use jinwu_standard::verdict::Answer;

/// TLS 1.2 and 1.3 with strong suites and a certificate that verifies; nothing older or weaker, no plain HTTP.
pub(super) async fn strong(at: Port<'_>, log_of: impl Fn(String) -> Log, path: &str, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let name = format!("{:?}", version.version);
        let mut log = log_of(format!("TLS handshake {name} {at}"));
        let result = probe::handshake(at, &mut log, version).await?;
        let strong = result.as_ref().is_ok_and(|s| s.contains("GCM") || s.contains("POLY1305"));
        out.push(log.prove(
            Role::State,
            t(format!("{name} 握手成功,AEAD 套件,证书由其 CA 验证通过"), format!("{name} is negotiated with an AEAD suite, the certificate verifies under its CA")),
            same(result.unwrap_or_else(|e| e)),
            whether(strong),
        ));
    }
    for (version, name) in [(0x0301, "TLS 1.0"), (0x0302, "TLS 1.1")] {
        let mut log = log_of(format!("ClientHello {name} {at}"));
        let hello = probe::hello(at, &mut log, version, &LEGACY_SUITES).await?;
        out.push(refused(log, Role::State, format!("{name} 被拒绝"), format!("{name} is refused"), &hello));
    }
    let mut log = log_of(format!("ClientHello TLS 1.2, weak suites {at}"));
    let hello = probe::hello(at, &mut log, 0x0303, &WEAK_SUITES).await?;
    out.push(refused(
        log,
        Role::State,
        "弱套件(NULL、RC4、DES、3DES、静态 RSA)被拒绝".into(),
        "weak suites (NULL, RC4, DES, 3DES, static RSA) are refused".into(),
        &hello,
    ));
    out.push(plain(at, log_of(String::new()), Role::State, path).await?);
    Ok(())
}

pub(super) fn refused(log: Log, role: Role, zh: String, en: String, hello: &Hello) -> Evidence {
    let actual = match hello {
        Hello::Accepted { version, suite } => t(format!("被接受:版本 {version:#06x} 套件 {suite:#06x}"), format!("accepted: version {version:#06x} suite {suite:#06x}")),
        Hello::Alert { level, description } => t(format!("TLS 告警 {level}/{description},连接关闭"), format!("TLS alert {level}/{description}, closed")),
        Hello::Closed => t("连接被关闭", "the connection was closed"),
        Hello::Unclear => t("应答不明", "an unclear answer"),
    };
    let answer = match hello {
        Hello::Unclear => Answer::Unknown,
        other => whether(other.refused()),
    };
    log.prove(role, t(zh, en), actual, answer)
}

/// A plain HTTP request must not be served. A bare `400 Bad Request` that only says so gives nothing away.
pub(super) async fn plain(at: Port<'_>, log: Log, role: Role, path: &str) -> anyhow::Result<Evidence> {
    let mut log = log.named(format!("GET http://{at}{path}"));
    let answer = probe::plain_http(at, &mut log, path).await?;
    let spoke = answer.starts_with(b"HTTP/") && !refuses_plainly(&answer);
    let actual = if answer.starts_with(b"HTTP/") {
        same(String::from_utf8_lossy(answer.split(|b| *b == b'\r').next().unwrap_or_default()).into_owned())
    } else {
        t(format!("没有 HTTP 应答({} 字节)", answer.len()), format!("no HTTP answer ({} bytes)", answer.len()))
    };
    let expected = t("同一端口不应答明文 HTTP(不跳转,不返回内容)", "the port does not answer plain HTTP: no redirect, no content");
    Ok(log.prove(role, expected, actual, whether(!spoke)))
}

/// What Go's TLS servers say to a plain request: 400, and that this is an HTTPS port.
fn refuses_plainly(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    text.split_whitespace().nth(1) == Some("400") && text.to_ascii_lowercase().contains("https")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_bare_400_gives_nothing_away() {
        assert!(super::refuses_plainly(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"));
        assert!(!super::refuses_plainly(b"HTTP/1.1 301 Moved\r\nLocation: https://x/\r\n\r\n"));
        assert!(!super::refuses_plainly(b"HTTP/1.1 400 Bad Request\r\n\r\nmissing header"));
    }
}
