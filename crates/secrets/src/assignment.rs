//! Values that are secret because of the name they are assigned to.
//!
//! `DB_PASSWORD=…`, `spring.datasource.password: …`, `"apiKey": "…"`, `<password>…</password>`,
//! `name="x.secret" value="…"`. The name decides ([`kind_of`]), the value must look like a literal.
//! How much is demanded of the value depends on where it stands ([`Strictness`]).

use crate::place::Place;
use crate::rules::RuleSet;
use crate::scan::Found;
use crate::value;
use jinwu_model::Text;
use regex::bytes::Regex;

/// What a name promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Password,
    Secret,
    Token,
    Key,
    /// `REDIS_AUTH`, `NEO4J_AUTH`: user and password in one.
    Auth,
}

/// Where the assignment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// Configuration or a script in an image.
    File(Place),
    /// Text that will be stored or shown: when in doubt it is masked.
    Free,
}

/// The expressions for assignments, compiled once with the rules.
pub(crate) struct Forms {
    plain: Regex,
    element: Regex,
    attribute: Regex,
}

/// Bytes around a telling word examined when a line is longer.
const REACH: usize = 640;

impl Forms {
    pub(crate) fn compile() -> Result<Self, regex::Error> {
        let build = |s: &str| regex::bytes::RegexBuilder::new(s).unicode(false).build();
        Ok(Forms {
            plain: build(
                r#"(?P<n>[A-Za-z_][A-Za-z0-9_.\-]{0,80})\\?["']?\]?\s{0,10}(?:=>|:=|==?|:)\s{0,10}(?:\\?"(?P<d>(?:[^"\\\r\n]|\\[^"\r\n]){0,500})|'(?P<s>[^'\r\n]{0,500})'|(?P<b>[^\s"'#,;<>&|`(){}\[\]\\][^\s"',;<>&|`\\}]{0,499}))"#,
            )?,
            element: build(r"<(?P<n>[A-Za-z_][A-Za-z0-9_.\-]{0,60})(?:\s[^<>]{0,200})?>(?P<v>[^<>\r\n]{1,300})</")?,
            attribute: build(r#"(?i:name|key)="(?P<n>[^"\r\n]{1,80})"\s{1,4}(?i:value)="(?P<v>[^"\r\n]{1,300})""#)?,
        })
    }
}

/// Whether a name announces a secret, and which kind. `DB_PASSWORD`, `secretAccessKey` and
/// `spring.mail.password` do; `PASSWORD_FILE`, `tokenUrl`, `public_key` and `PWD` do not.
pub fn kind_of(name: &str) -> Option<Kind> {
    if name.eq_ignore_ascii_case("pwd") || name.eq_ignore_ascii_case("oldpwd") || name.len() > 128 {
        return None;
    }
    let words = words(name);
    let last = words.last()?.as_str();
    let previous = words.len().checked_sub(2).and_then(|i| words.get(i)).map_or("", String::as_str);
    const SWITCHES: [&str; 16] = ["no", "allow", "random", "use", "enable", "require", "min", "max", "has", "is", "with", "show", "hide", "ask", "reset", "forgot"];
    if words.len() > 1 && words.first().is_some_and(|w| SWITCHES.contains(&w.as_str())) {
        return None;
    }
    if ["password", "passwd", "passphrase", "passcode"].iter().any(|w| last.ends_with(w))
        || last == "pass"
        || (last.ends_with("pwd") && last != "oldpwd")
        || ["keypass", "storepass", "dbpass", "userpass", "rootpass", "ldappass"].contains(&last)
    {
        return Some(Kind::Password);
    }
    if last.ends_with("secret") {
        return Some(Kind::Secret);
    }
    if last.ends_with("token") && !["csrf", "next", "page", "cancellation", "continuation", "sync"].contains(&previous) {
        return Some(Kind::Token);
    }
    const KEYS: [&str; 26] = [
        "secret", "private", "access", "api", "auth", "encryption", "encrypt", "signing", "sign", "master", "app", "account", "service", "jwt", "session", "cookie", "db", "crypt", "aes",
        "des", "sm4", "storage", "admin", "hmac", "cipher", "shared",
    ];
    let joined_key = last.strip_suffix("key").is_some_and(|head| ["secret", "private", "access", "api", "accesskeysecret", "encryption", "secretaccess", "master"].contains(&head));
    if joined_key || (last == "key" && KEYS.contains(&previous)) || last == "credential" || last == "credentials" {
        return Some(Kind::Key);
    }
    if last == "auth" && words.len() > 1 {
        return Some(Kind::Auth);
    }
    None
}

/// Other names that end in KEY and are no public key, for variables only.
fn is_key_variable(name: &str) -> bool {
    let words = words(name);
    let previous = words.len().checked_sub(2).and_then(|i| words.get(i)).map_or("", String::as_str);
    const PUBLIC: [&str; 14] = ["public", "pub", "gpg", "pgp", "host", "primary", "foreign", "sort", "partition", "cache", "hot", "index", "apt", "repo"];
    words.len() > 1 && words.last().is_some_and(|w| w == "key") && !PUBLIC.contains(&previous)
}

/// A variable of an image.
pub(crate) fn variable(name: &str, text: &str, found: &mut Vec<Found>) {
    let trimmed = text.trim();
    if value::is_reference(trimmed) || value::is_switch(trimmed) && trimmed != "0" && trimmed != "1" || value::is_path(trimmed) {
        return;
    }
    let kind = kind_of(name);
    let long = trimmed.len() >= 6 && !value::is_word(trimmed) && !trimmed.contains(char::is_whitespace);
    let kind = match kind {
        Some(Kind::Password) if !(name.to_ascii_lowercase().ends_with("pwd") && trimmed.starts_with('/')) => Kind::Password,
        Some(Kind::Secret | Kind::Token | Kind::Key) if long => kind.unwrap_or(Kind::Key),
        Some(Kind::Auth) if long && trimmed.contains(['/', ':']) => Kind::Auth,
        None if long && trimmed.len() >= 12 && is_key_variable(name) && value::entropy(trimmed.as_bytes()) >= 3.0 && is_mixed(trimmed) => Kind::Key,
        _ => return,
    };
    found.push(make(kind, "environment", "环境变量中的", "in a variable", 0..text.len(), name));
}

/// Every assignment in a text.
pub(crate) fn in_text(rules: &RuleSet, bytes: &[u8], strictness: Strictness, found: &mut Vec<Found>) {
    let mut seen = 0;
    let mut budget = 4096;
    let comments = if strictness == Strictness::Free { Vec::new() } else { xml_comments(bytes) };
    rules.names.search(bytes, |_, at| {
        if at < seen {
            return true;
        }
        let low = at.saturating_sub(REACH).max(seen);
        let high = (at + REACH).min(bytes.len());
        let start = bytes.get(low..at).unwrap_or_default().iter().rposition(|b| *b == b'\n').map_or(low, |n| low + n + 1);
        let end = bytes.get(at..high).unwrap_or_default().iter().position(|b| *b == b'\n').map_or(high, |n| at + n);
        let Some(line) = bytes.get(start..end) else { return true };
        let commented = comments.partition_point(|c| c.start <= at).checked_sub(1).and_then(|i| comments.get(i)).is_some_and(|c| at < c.end);
        if strictness == Strictness::Free || !(commented || is_comment(line)) {
            scan_line(&rules.forms, line, start, strictness, found);
        }
        seen = end.max(at + 1);
        budget -= 1;
        budget > 0 || strictness == Strictness::Free
    });
}

fn scan_line(forms: &Forms, line: &[u8], offset: usize, strictness: Strictness, found: &mut Vec<Found>) {
    let mut take = |name: &[u8], span: std::ops::Range<usize>, quoted: bool| {
        let (Ok(name), Some(secret)) = (std::str::from_utf8(name), line.get(span.clone())) else { return };
        let Some(kind) = kind_of(name) else { return };
        let text = String::from_utf8_lossy(secret);
        let good = match strictness {
            Strictness::Free => !value::is_reference(&text) && !value::is_switch(&text) && !text.trim().is_empty() && !text.starts_with("://"),
            Strictness::File(place) => {
                let rest = line.get(span.end..).unwrap_or_default();
                let sentence = !quoted && place != Place::Shell && rest.iter().find(|b| !matches!(b, b' ' | b'\t')).is_some_and(|b| b.is_ascii_alphanumeric() && rest.first() == Some(&b' '));
                !sentence && plausible(kind, name, &text)
            }
        };
        if good {
            found.push(make(kind, "configuration", "配置文件中的", "in a configuration file", offset + span.start..offset + span.end, name));
        }
    };
    let mut from = 0;
    while let Some(rest) = line.get(from..)
        && let Some(c) = forms.plain.captures(rest)
    {
        let (Some(all), Some(name)) = (c.get(0), c.name("n")) else { break };
        let quoted = c.name("d").or_else(|| c.name("s"));
        let Some(v) = quoted.or_else(|| c.name("b")) else { break };
        let secret = kind_of(&String::from_utf8_lossy(name.as_bytes())).is_some();
        if secret {
            take(name.as_bytes(), from + v.start()..from + v.end(), quoted.is_some());
        }
        // A value that is not secret may itself hold an assignment: `args: "--password=x"`.
        from += if secret { all.end() } else { name.end() + 1 };
    }
    if line.contains(&b'<') {
        for form in [&forms.element, &forms.attribute] {
            for c in form.captures_iter(line) {
                if let (Some(n), Some(v)) = (c.name("n"), c.name("v")) {
                    take(n.as_bytes(), v.start()..v.end(), true);
                }
            }
        }
    }
}

/// Whether a value in a configuration file is a literal secret.
fn plausible(kind: Kind, name: &str, text: &str) -> bool {
    let v = text.trim();
    let changed = v.to_ascii_lowercase().starts_with("change");
    let named = words(name).last().is_some_and(|w| w.eq_ignore_ascii_case(v)) || name.eq_ignore_ascii_case(v);
    if (value::is_placeholder(v) && !changed) || value::is_switch(v) || value::is_word(v) || value::is_path(v) || named || v.contains(char::is_whitespace) {
        return false;
    }
    // Calls and member accesses: `getpass()`, `config.password`.
    if v.contains("()") || v.contains('$') && v.contains(['{', '(']) || (v.starts_with("os.") || v.starts_with("process.env") || v.starts_with("self.") || v.starts_with("this.")) {
        return false;
    }
    match kind {
        Kind::Password => (4..=200).contains(&v.len()),
        Kind::Auth => false,
        Kind::Secret | Kind::Token | Kind::Key => (8..=500).contains(&v.len()) && value::entropy(v.as_bytes()) >= 2.8 && is_mixed(v),
    }
}

/// Digits beside letters, or both cases: chosen by a machine rather than written as a word.
fn is_mixed(v: &str) -> bool {
    let digit = v.bytes().any(|b| b.is_ascii_digit());
    let upper = v.bytes().any(|b| b.is_ascii_uppercase());
    let lower = v.bytes().any(|b| b.is_ascii_lowercase());
    (digit && (upper || lower)) || (upper && lower && v.len() >= 16)
}

fn is_comment(line: &[u8]) -> bool {
    let text = line.trim_ascii_start();
    [&b"#"[..], b";", b"//", b"!", b"<!--", b"* ", b"--"].iter().any(|c| text.starts_with(c))
}

/// Where `<!-- … -->` stand, ascending.
fn xml_comments(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let find = |from: usize, needle: &[u8]| bytes.get(from..).and_then(|rest| rest.windows(needle.len()).position(|w| w == needle)).map(|at| from + at);
    let mut comments = Vec::new();
    let mut from = 0;
    while comments.len() < 1024
        && let Some(start) = find(from, b"<!--")
    {
        from = find(start, b"-->").unwrap_or(bytes.len());
        comments.push(start..from);
    }
    comments
}

/// Lower-case words of a name in any case convention; trailing digits do not count.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let chars: Vec<char> = name.chars().collect();
    for (i, c) in chars.iter().enumerate() {
        let before = i.checked_sub(1).and_then(|p| chars.get(p));
        let after = chars.get(i + 1);
        let boundary = c.is_ascii_uppercase()
            && before.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || (b.is_ascii_uppercase() && after.is_some_and(char::is_ascii_lowercase)));
        if !c.is_ascii_alphanumeric() || boundary {
            words.push(std::mem::take(&mut word));
        }
        if c.is_ascii_alphanumeric() {
            word.push(c.to_ascii_lowercase());
        }
    }
    words.push(word);
    for w in &mut words {
        let kept = w.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        if kept > 0 {
            w.truncate(kept);
        }
    }
    words.retain(|w| !w.is_empty() && !w.bytes().all(|b| b.is_ascii_digit()));
    words
}

fn make(kind: Kind, place: &str, zh: &str, en: &str, span: std::ops::Range<usize>, name: &str) -> Found {
    let (rule, category, word_zh, word_en) = match kind {
        Kind::Password => ("password", "password", "口令", "password"),
        Kind::Secret => ("secret", "key", "机密值", "secret"),
        Kind::Token => ("token", "token", "令牌", "token"),
        Kind::Key => ("key", "key", "密钥", "key"),
        Kind::Auth => ("credential", "password", "用户名口令", "user name and password"),
    };
    Found {
        span,
        rule: format!("{place}-{rule}"),
        category,
        title: Text::new(format!("{zh}{word_zh}"), format!("{word_en} {en}")),
        variable: Some(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, kind) in [
            ("DB_PASSWORD", Some(Kind::Password)),
            ("MYSQL_ROOT_PASSWORD", Some(Kind::Password)),
            ("spring.datasource.password", Some(Kind::Password)),
            ("dbPasswd2", Some(Kind::Password)),
            ("keystorePass", Some(Kind::Password)),
            ("ADMIN_PWD", Some(Kind::Password)),
            ("clientSecret", Some(Kind::Secret)),
            ("AWS_SECRET_ACCESS_KEY", Some(Kind::Key)),
            ("apiKey", Some(Kind::Key)),
            ("apikey", Some(Kind::Key)),
            ("GITHUB_TOKEN", Some(Kind::Token)),
            ("NEO4J_AUTH", Some(Kind::Auth)),
            ("PWD", None),
            ("OLDPWD", None),
            ("PASSWORD_FILE", None),
            ("tokenUrl", None),
            ("public_key", None),
            ("MYSQL_ALLOW_EMPTY_PASSWORD", Some(Kind::Password)),
            ("ALLOW_EMPTY_PASSWORD", None),
            ("bypass", None),
            ("secretName", None),
            ("AWS_ACCESS_KEY_ID", None),
        ] {
            assert_eq!(kind_of(name), kind, "{name}");
        }
    }
}
