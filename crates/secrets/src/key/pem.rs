//! Armoured private keys (RFC 7468, OpenSSH, RFC 9580), as files and inside other text.

use super::{Kind, found};
use crate::scan::Found;
use std::collections::HashSet;
use std::sync::LazyLock;

/// Longest body read, bytes: a 16,384-bit RSA key has 12 KiB.
const MAX_BODY: usize = 64 << 10;
/// Least characters of base64 a key has: Ed25519 in PKCS#8 has 64.
const MIN_BODY: usize = 40;
/// `openssh-key-v1\0` in base64, without the last partial group.
const OPENSSH: &[u8] = b"b3BlbnNzaC1rZXktdjE";

/// The key whose header holds `PRIVATE KEY` at `at`, and where it ends. None for headers without a
/// body (programs that read keys contain those), for snipped examples and for footers.
pub(crate) fn pem_at(path: &str, bytes: &[u8], at: usize) -> Option<(Found, usize)> {
    let low = at.saturating_sub(40);
    let before = bytes.get(low..at)?;
    let begin = rfind(before, b"BEGIN ")?;
    let dashes = before.get(..begin)?;
    if !(dashes.ends_with(b"-----") || dashes.ends_with(b"---- ")) {
        return None;
    }
    let label = before.get(begin + 6..)?;
    if !label.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b' ' | b'-' | b'#' | b'_')) {
        return None;
    }
    let rest = bytes.get(at + b"PRIVATE KEY".len()..)?;
    let rest = rest.strip_prefix(b" BLOCK").unwrap_or(rest);
    let body = rest.strip_prefix(b"-----").or_else(|| rest.strip_prefix(b" ----"))?;
    let body = body.get(..MAX_BODY).unwrap_or(body);
    let start = body_offset(bytes, body);
    let text = read_body(body);
    if text.base64.len() < MIN_BODY {
        return None;
    }
    let kind = kind(label, &text)?;
    if is_published(&text.base64) {
        return None;
    }
    let end = start + text.end;
    Some((found(kind, path, start + text.start..end), end))
}

/// Keys that are no secret because a program publishes them as its self-test.
fn is_published(base64: &[u8]) -> bool {
    use sha2::Digest as _;
    static PUBLISHED: LazyLock<HashSet<&str>> = LazyLock::new(|| {
        include_str!("../../../../content/secrets/published-keys.txt").lines().filter_map(|l| l.split_whitespace().next()).filter(|w| *w != "#").collect()
    });
    PUBLISHED.contains(hex::encode(sha2::Sha256::digest(base64)).as_str())
}

/// A private key in PEM, base64-encoded as a whole (`client-key-data` of a kubeconfig, `data` of a
/// Kubernetes Secret).
pub(crate) fn encoded_pem_at(bytes: &[u8], at: usize) -> Option<Found> {
    let encoded = bytes.get(at..)?;
    let length = encoded.iter().take(MAX_BODY * 2).take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=')).count();
    let decoded = decode(encoded.get(..length)?);
    let header = rfind(decoded.get(..64.min(decoded.len()))?, b"PRIVATE KEY")?;
    let (mut f, _) = pem_at("", &decoded, header)?;
    f.span = at..at + length;
    Some(f)
}

struct Body {
    /// Base64 characters in order.
    base64: Vec<u8>,
    /// Passphrase headers of the traditional format.
    encrypted: bool,
    /// First and behind the last character, relative to the body.
    start: usize,
    end: usize,
}

/// Collects base64 through line ends, escapes (`\n`, `\\n`), quotes and headers.
fn read_body(body: &[u8]) -> Body {
    let mut out = Body { base64: Vec::new(), encrypted: false, start: 0, end: 0 };
    let mut at = 0;
    while let Some(b) = body.get(at) {
        match b {
            b'-' => break,
            // Concatenation of string literals, not base64.
            b'+' if at.checked_sub(1).and_then(|p| body.get(p)) == Some(&b' ') => {}
            b'\\' => {
                // `\n`, `\\n`, `\r`, `\/`
                at += 1;
                while body.get(at) == Some(&b'\\') {
                    at += 1;
                }
                if body.get(at).is_some_and(|b| matches!(b, b'n' | b'r' | b't')) {
                    at += 1;
                }
                continue;
            }
            b if b.is_ascii_alphanumeric() || matches!(b, b'/' | b'=' | b'+') => {
                // A header line (`Proc-Type: 4,ENCRYPTED`) ends at its line's end, escaped or not.
                let word = body.get(at..).unwrap_or_default().iter().take(20).take_while(|b| b.is_ascii_alphanumeric() || **b == b'-').count();
                if out.base64.is_empty() && body.get(at + word) == Some(&b':') {
                    let line = body.get(at..).unwrap_or_default();
                    let length = line.iter().position(|b| *b == b'\n').unwrap_or(line.len()).min(find(line, b"\\n").unwrap_or(line.len()));
                    let header = line.get(..length).unwrap_or_default();
                    out.encrypted |= find(header, b"ENCRYPTED").is_some();
                    at += length;
                    continue;
                }
                if out.base64.is_empty() {
                    out.start = at;
                }
                out.base64.push(*b);
                out.end = at + 1;
            }
            b' ' | b'\t' | b'\r' | b'\n' | b'"' | b'\'' | b',' | b'>' | b'|' | b'#' | b'*' => {}
            _ => break,
        }
        at += 1;
    }
    out
}

fn kind(label: &[u8], body: &Body) -> Option<Kind> {
    let openssh = body.base64.starts_with(OPENSSH);
    let der = body.base64.starts_with(b"M");
    Some(match label {
        b"PGP " => Kind::Pgp,
        b"OPENSSH " => {
            if !openssh {
                return None;
            }
            // After the magic: length of the cipher's name and the name; "none" is unprotected.
            let head = decode(body.base64.get(..64.min(body.base64.len())).unwrap_or_default());
            if head.get(15..23) == Some(&[0, 0, 0, 4, b'n', b'o', b'n', b'e']) { Kind::Ssh } else { Kind::Encrypted }
        }
        b"ENCRYPTED " | b"SSH2 ENCRYPTED " => Kind::Encrypted,
        _ if body.encrypted => Kind::Encrypted,
        _ if openssh => Kind::Ssh,
        _ if !der => return None,
        b"RSA " => Kind::Rsa,
        b"EC " => Kind::Ec,
        b"DSA " => Kind::Dsa,
        _ => Kind::Pkcs8,
    })
}

/// Standard base64, lenient: stops at the first character that is none.
pub(crate) fn decode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let (mut bits, mut held) = (0u32, 0u32);
    for b in text {
        let six = match b {
            b'A'..=b'Z' => b - b'A',
            b'a'..=b'z' => b - b'a' + 26,
            b'0'..=b'9' => b - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => break,
        };
        bits = (bits << 6 | u32::from(six)) & 0xff_ffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    out
}

/// Offset of `body`, a part of `bytes` that reaches towards its end.
fn body_offset(bytes: &[u8], body: &[u8]) -> usize {
    (body.as_ptr() as usize).saturating_sub(bytes.as_ptr() as usize)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}

fn rfind(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).rposition(|w| w == needle)
}
