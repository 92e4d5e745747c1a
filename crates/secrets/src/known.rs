//! Files whose position says what is secret in them: account databases, `.pgpass`, `.netrc`,
//! `htpasswd`, registry credentials.

use crate::scan::Found;
use crate::value;
use jinwu_model::Text;
use std::ops::Range;

/// Lines read per file at most.
const MAX_LINES: usize = 20_000;

pub(crate) fn file(path: &str, bytes: &[u8], found: &mut Vec<Found>) {
    let name = path.rsplit('/').next().unwrap_or(path);
    if bytes.len() > 4 << 20 {
        return;
    }
    match name {
        "shadow" | "shadow-" | "gshadow" | "gshadow-" | "passwd" | "passwd-" | "shadow.bak" => accounts(bytes, found),
        ".pgpass" | "pgpass.conf" | "pgpass" => pgpass(bytes, found),
        ".netrc" | "_netrc" | "netrc" => netrc(bytes, found),
        _ if name.contains("htpasswd") => htpasswd(bytes, found),
        _ => {}
    }
    let registries = matches!(name, "config.json" | ".dockercfg" | "auth.json" | ".dockerconfigjson") || name.ends_with(".json") || path.contains("docker");
    if registries && bytes.len() <= 1 << 20 {
        registry_auths(bytes, found);
    }
}

/// Lines with their offsets.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    bytes.split(|b| *b == b'\n').take(MAX_LINES).map(move |line| {
        let start = at;
        at += line.len() + 1;
        (start, line.strip_suffix(b"\r").unwrap_or(line))
    })
}

/// The n-th field between colons and its range in the line.
fn field(line: &[u8], n: usize) -> Option<Range<usize>> {
    let mut start = 0;
    for (i, part) in line.split(|b| *b == b':').enumerate() {
        if i == n {
            return Some(start..start + part.len());
        }
        start += part.len() + 1;
    }
    None
}

/// Whether a field is a real password hash of crypt(5): not locked, not shadowed, not empty.
fn is_hash(field: &[u8]) -> bool {
    let modular = field.len() >= 20 && field.first() == Some(&b'$') && field.iter().filter(|b| **b == b'$').count() >= 3;
    let traditional = field.len() == 13 && field.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'/'));
    modular || traditional
}

fn accounts(bytes: &[u8], found: &mut Vec<Found>) {
    for (at, line) in lines(bytes) {
        let (Some(user), Some(hash)) = (field(line, 0), field(line, 1)) else { continue };
        if line.get(hash.clone()).is_some_and(is_hash) {
            push(found, "account-password-hash", "password", "账户口令哈希", "password hash of an account", at + hash.start..at + hash.end, line.get(user));
        }
    }
}

/// `host:port:database:user:password`, backslash escapes ':' (PostgreSQL documentation, 34.16).
fn pgpass(bytes: &[u8], found: &mut Vec<Found>) {
    for (at, line) in lines(bytes) {
        if line.first() == Some(&b'#') {
            continue;
        }
        let mut colons = 0;
        let mut escaped = false;
        let password = line.iter().position(|b| {
            colons += usize::from(*b == b':' && !escaped);
            escaped = *b == b'\\' && !escaped;
            colons == 4
        });
        if let Some(colon) = password {
            secret(found, line, at, colon + 1..line.len(), "pgpass-password", "PostgreSQL 口令文件中的口令", "password in a PostgreSQL password file");
        }
    }
}

/// `machine … login … password …`, tokens by white space.
fn netrc(bytes: &[u8], found: &mut Vec<Found>) {
    let mut at = 0;
    let mut password_next = false;
    for word in bytes.split(u8::is_ascii_whitespace).take(MAX_LINES) {
        if !word.is_empty() {
            if password_next {
                secret(found, bytes, 0, at..at + word.len(), "netrc-password", ".netrc 口令", "password in .netrc");
            }
            password_next = !password_next && word == b"password";
        }
        at += word.len() + 1;
    }
}

fn htpasswd(bytes: &[u8], found: &mut Vec<Found>) {
    for (at, line) in lines(bytes) {
        let (Some(user), Some(hash)) = (field(line, 0), field(line, 1)) else { continue };
        let text = line.get(hash.clone()).unwrap_or_default();
        if !user.is_empty() && line.first() != Some(&b'#') && (is_hash(text) || text.starts_with(b"{SHA}") || text.starts_with(b"{SSHA}") || text.starts_with(b"$2")) {
            push(found, "htpasswd-hash", "password", "htpasswd 口令哈希", "htpasswd password hash", at + hash.start..at + hash.end, line.get(user));
        }
    }
}

/// `"auths": {"registry": {"auth": "base64 of user:password"}}` of Docker and Podman.
fn registry_auths(bytes: &[u8], found: &mut Vec<Found>) {
    const NEEDLE: &[u8] = b"\"auth\"";
    let mut from = 0;
    while let Some(rest) = bytes.get(from..)
        && let Some(at) = find(rest, NEEDLE)
    {
        from += at + NEEDLE.len();
        let rest = bytes.get(from..).unwrap_or_default();
        let skipped = rest.iter().take_while(|b| b.is_ascii_whitespace() || matches!(b, b':' | b'"')).count();
        let text = rest.get(skipped..).unwrap_or_default();
        let length = text.iter().take(4096).take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=')).count();
        let decoded = crate::key::decode(text.get(..length).unwrap_or_default());
        let readable = decoded.len() >= 4 && decoded.iter().all(|b| (0x20..0x7f).contains(b));
        let colon = decoded.iter().position(|b| *b == b':');
        if length >= 8 && text.get(length) == Some(&b'"') && readable && colon.is_some_and(|c| c > 0 && c + 1 < decoded.len()) {
            push(found, "registry-credential", "password", "镜像仓库登录凭据", "registry login in a Docker configuration", from + skipped..from + skipped + length, None);
        }
        from += skipped;
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}

fn secret(found: &mut Vec<Found>, line: &[u8], at: usize, span: Range<usize>, rule: &str, zh: &str, en: &str) {
    let text = String::from_utf8_lossy(line.get(span.clone()).unwrap_or_default());
    if !text.trim().is_empty() && !value::is_reference(&text) && text != "*" {
        push(found, rule, "password", zh, en, at + span.start..at + span.end, None);
    }
}

fn push(found: &mut Vec<Found>, rule: &str, category: &'static str, zh: &str, en: &str, span: Range<usize>, variable: Option<&[u8]>) {
    found.push(Found {
        span,
        rule: rule.to_owned(),
        category,
        title: Text::new(zh, en),
        variable: variable.map(|v| String::from_utf8_lossy(v).into_owned()),
    });
}
