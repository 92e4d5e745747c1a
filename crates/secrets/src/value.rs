//! Values: masking one, and telling a literal secret from a placeholder.

/// Asterisks in a masked value at most.
const STARS: usize = 14;

/// First two characters, asterisks, length. Values shorter than six characters show none of them,
/// and only ASCII letters and digits are shown.
pub(crate) fn masked(secret: &[u8]) -> String {
    let length = std::str::from_utf8(secret).map_or(secret.len(), |s| s.chars().count());
    let shown = secret.iter().take(if length < 6 { 0 } else { 2 }).take_while(|b| b.is_ascii_alphanumeric()).count();
    let mut out = String::with_capacity(24);
    out.extend(secret.iter().take(shown).map(|b| char::from(*b)));
    for _ in 0..length.saturating_sub(shown).clamp(4, STARS) {
        out.push('*');
    }
    out.push_str(&format!("({length})"));
    out
}

/// Whether a value begins with what [`masked`] writes.
pub(crate) fn is_masked(value: &[u8]) -> bool {
    let letters = value.iter().take(2).take_while(|b| b.is_ascii_alphanumeric()).count();
    let rest = value.get(letters..).unwrap_or_default();
    let stars = rest.iter().take_while(|b| **b == b'*').count();
    let rest = rest.get(stars..).unwrap_or_default();
    let Some(rest) = rest.strip_prefix(b"(") else { return false };
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    (4..=STARS + 2).contains(&stars) && (1..=9).contains(&digits) && rest.get(digits) == Some(&b')')
}

/// Shannon entropy, bits per byte.
pub(crate) fn entropy(value: &[u8]) -> f64 {
    if value.is_empty() {
        return 0.0;
    }
    let mut counts = [0u32; 256];
    for b in value {
        if let Some(c) = counts.get_mut(usize::from(*b)) {
            *c += 1;
        }
    }
    let n = value.len() as f64;
    counts.iter().filter(|c| **c > 0).map(|c| f64::from(*c) / n).map(|p| -p * p.log2()).sum()
}

/// A reference or mark that stands for a value to be filled in: `${VAR}`, `<password>`, `{{ x }}`,
/// `%(x)s`, `@x@`, `****`, `xxxx`. Never a secret, wherever it stands.
pub(crate) fn is_reference(value: &str) -> bool {
    let v = value.trim();
    let bracketed = [("<", ">"), ("{{", "}}"), ("${", "}"), ("$(", ")"), ("%(", ")s"), ("[", "]"), ("@", "@"), ("%", "%"), ("__", "__"), ("#{", "}"), ("<%", "%>")]
        .iter()
        .any(|(open, close)| v.len() > open.len() + close.len() && v.starts_with(open) && v.ends_with(close));
    let variable = v.strip_prefix('$').is_some_and(|n| {
        n.starts_with(['{', '(']) || (!n.is_empty() && n.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && n.bytes().any(|b| b.is_ascii_uppercase() || b == b'_') && !n.bytes().next().is_some_and(|b| b.is_ascii_digit()))
    });
    let uniform = v.len() >= 3 && {
        let first = v.chars().next().unwrap_or(' ');
        matches!(first, 'x' | 'X' | '*' | '.' | '-' | '_' | '#' | '?') && v.chars().all(|c| c == first)
    };
    v.is_empty() || bracketed || variable || uniform || v.contains("${") || v.contains("{{") || is_masked(v.as_bytes())
}

/// Words that switch something or say that nothing is there.
pub(crate) fn is_switch(value: &str) -> bool {
    const WORDS: [&str; 16] =
        ["true", "false", "yes", "no", "on", "off", "null", "nil", "none", "undefined", "0", "1", "enabled", "disabled", "default", "unset"];
    WORDS.iter().any(|w| value.eq_ignore_ascii_case(w))
}

/// A path or address rather than a secret.
pub(crate) fn is_path(value: &str) -> bool {
    const ROOTS: [&str; 18] = [
        "/run/", "/etc/", "/var/", "/usr/", "/home/", "/opt/", "/app/", "/mnt/", "/tmp/", "/root/", "/secrets", "/certs", "/data/", "/srv/", "./", "../", "~/", "file:",
    ];
    let address = ["http://", "https://"].iter().any(|s| value.starts_with(s)) && !value.contains('@');
    let extension = value.rsplit_once('.').is_some_and(|(_, e)| ["pem", "key", "crt", "txt", "json", "jks", "p12", "conf", "file"].contains(&e));
    ROOTS.iter().any(|r| value.starts_with(r)) || address || extension
}

/// What authors write where the reader shall put the real thing.
pub(crate) fn is_placeholder(value: &str) -> bool {
    const PARTS: [&str; 24] = [
        "example", "placeholder", "your", "changeme", "change_me", "change-me", "changeit", "replace", "xxxx", "todo", "insert", "enter", "dummy", "sample", "fixme",
        "foobar", "redacted", "my-secret", "mysecret", "mypassword", "123456789abcdef", "abcdefghij", "removed", "...",
    ];
    let lower = value.to_ascii_lowercase();
    let upper_name = value.contains('_') && value.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    is_reference(value) || upper_name || PARTS.iter().any(|p| lower.contains(p))
}

/// Words that name, describe or configure a secret in files instead of being one.
pub(crate) fn is_word(value: &str) -> bool {
    const WORDS: [&str; 63] = [
        // The sample of the openssl.cnf that every installation of OpenSSL has.
        "insta",
       
        "password", "passwd", "passphrase", "secret", "token", "key", "string", "text", "str", "int", "integer", "bool", "boolean", "bytes", "number", "object", "array",
        "required", "optional", "hidden", "files", "compat", "systemd", "sss", "ldap", "winbind", "nis", "db", "plain", "plaintext", "md5", "sha1", "sha256", "sha512", "bcrypt",
        "yescrypt", "scram", "basic", "bearer", "jwt", "rsa", "ecdsa", "ed25519", "dsa", "any", "all", "auto", "env", "file", "prompt", "keyring", "ask", "never", "always",
        "name", "value", "user", "username", "credentials", "accesstoken", "identifier", "unknown",
    ];
    WORDS.iter().any(|w| value.eq_ignore_ascii_case(w))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_as_the_report_documents() {
        assert_eq!(masked(b"AKIAABCDEFGHIJKLMNOP"), "AK**************(20)");
        assert_eq!(masked(b"abc"), "****(3)");
        assert_eq!(masked("口令口令口令甲".as_bytes()), format!("{}(7)", "*".repeat(7)));
        for s in ["AKIAABCDEFGHIJKLMNOP", "abc", "hunter22"] {
            assert!(is_masked(masked(s.as_bytes()).as_bytes()), "{s}");
        }
        assert!(!is_masked(b"ab***"));
    }

    #[test]
    fn references_are_not_secrets() {
        for r in ["${DB_PASSWORD}", "$DB_PASSWORD", "<password>", "{{ .Values.pw }}", "%(pw)s", "xxxxxxxx", "********", "", "$(cat /run/x)", "@PW@"] {
            assert!(is_reference(r), "{r}");
        }
        for s in ["hunter2", "$2y$10$abc", "pa$$word", "x", "a<b"] {
            assert!(!is_reference(s), "{s}");
        }
    }
}
