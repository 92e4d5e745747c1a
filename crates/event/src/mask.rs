//! What must not stand in a message: values of the environment, passwords and tokens in command lines.
//!
//! Conditions see everything; what an output prints goes through here. It knows shapes, not secrets: who stores a
//! message looks again for what it knows.

use std::borrow::Cow;

/// Stands where something was taken out.
pub const REMOVED: &str = "<removed>";

/// Variables whose value is no secret and says what a rule is about.
const PLAIN: &[&str] = &[
    "GLIBC_TUNABLES", "HISTFILE", "HISTSIZE", "HOME", "HOSTNAME", "HTTPS_PROXY", "HTTP_PROXY", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "LANG", "LD_AUDIT",
    "LD_LIBRARY_PATH", "LD_PRELOAD", "LOGNAME", "PATH", "PWD", "SHELL", "TERM", "TZ", "USER", "http_proxy", "https_proxy",
];

/// Parts of names whose value is a secret.
const SECRET: &[&str] = &["password", "passwd", "passphrase", "secret", "token", "apikey", "api-key", "api_key", "access-key", "access_key", "private-key", "private_key", "credential"];

/// A variable (`NAME=value`): the value only if it is known to be none to hide.
pub fn variable(text: &str) -> String {
    match text.split_once('=') {
        Some((name, value)) if PLAIN.contains(&name) => format!("{name}={}", line(value)),
        Some((name, _)) => format!("{name}={REMOVED}"),
        None => text.to_owned(),
    }
}

/// The value of a variable.
pub fn value<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    if PLAIN.contains(&name) { line(value) } else { Cow::Borrowed(REMOVED) }
}

/// A command line or text, without values of options and assignments that name a secret, without bearer tokens and
/// passwords of addresses.
pub fn line(text: &str) -> Cow<'_, str> {
    let lower = text.to_ascii_lowercase();
    let suspicious = SECRET.iter().any(|s| lower.contains(s)) || ["bearer ", "basic ", "://", "sshpass", "-u", "mysql"].iter().any(|s| lower.contains(s));
    if !suspicious {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut before = "";
    for piece in text.split_inclusive(char::is_whitespace) {
        let word = piece.trim_end_matches(char::is_whitespace);
        out.push_str(&masked(word, before));
        out.push_str(piece.get(word.len()..).unwrap_or_default());
        if !word.is_empty() {
            before = word;
        }
    }
    Cow::Owned(out)
}

/// A word, by what stands before it.
fn masked<'a>(word: &'a str, before: &str) -> Cow<'a, str> {
    let last = before.rsplit(['"', '\'', ':', '(']).find(|p| !p.is_empty()).unwrap_or_default();
    // In a list of arguments an option may stand right after `args=`.
    let option = before.rsplit('=').next().unwrap_or_default();
    let announced = option.starts_with('-') && secret(option) || ["bearer", "basic"].iter().any(|b| last.eq_ignore_ascii_case(b));
    if announced && !word.starts_with('-') {
        return Cow::Borrowed(REMOVED);
    }
    if let Some((user, _)) = word.split_once(':')
        && matches!(before, "-u" | "--user")
    {
        return Cow::Owned(format!("{user}:{REMOVED}"));
    }
    if let Some((name, _)) = word.split_once(['=', ':'])
        && secret(name)
    {
        return Cow::Owned(format!("{}{REMOVED}", word.get(..=name.len()).unwrap_or(name)));
    }
    address(word).map_or(Cow::Borrowed(word), Cow::Owned)
}

fn secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    // A file of secrets is none.
    SECRET.iter().any(|s| name.contains(s)) && !name.ends_with("file") && !name.ends_with("path") && !name.contains('/')
}

/// An address with a password (`scheme://user:password@host`) without it.
fn address(word: &str) -> Option<String> {
    let (scheme, rest) = word.split_once("://")?;
    let host = rest.find('/').unwrap_or(rest.len());
    let at = rest.get(..host)?.rfind('@')?;
    let (user, _) = rest.get(..at)?.split_once(':')?;
    Some(format!("{scheme}://{user}:{REMOVED}{}", rest.get(at..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_command_lines_go() {
        for (given, shown) in [
            ("app --password hunter2 --port 80", "app --password <removed> --port 80"),
            ("app --db-password=hunter2", "app --db-password=<removed>"),
            ("sh -c TOKEN=abc  curl x", "sh -c TOKEN=<removed>  curl x"),
            ("curl -H \"Authorization: Bearer ey.J.x\" https://a", "curl -H \"Authorization: Bearer <removed> https://a"),
            ("curl -u me:pass https://a", "curl -u me:<removed> https://a"),
            ("git clone https://me:ghp_x@git.example.com/a", "git clone https://me:<removed>@git.example.com/a"),
            ("app --token-file /run/token --secret-path=/x", "app --token-file /run/token --secret-path=/x"),
            ("cat /var/run/secrets/kubernetes.io/serviceaccount/token", "cat /var/run/secrets/kubernetes.io/serviceaccount/token"),
            ("ls -l /tmp", "ls -l /tmp"),
            ("x://:@", "x://:<removed>@"),
        ] {
            assert_eq!(line(given), shown);
        }
    }

    #[test]
    fn of_the_environment_names_stay() {
        assert_eq!(variable("DB_URL=postgres://a:b@c"), "DB_URL=<removed>");
        assert_eq!(variable("LD_PRELOAD=/tmp/a.so"), "LD_PRELOAD=/tmp/a.so");
        assert_eq!(variable("HTTP_PROXY=http://u:p@proxy:3128"), "HTTP_PROXY=http://u:<removed>@proxy:3128");
        assert_eq!((value("A", "b"), value("HOME", "/root")), (Cow::Borrowed(REMOVED), Cow::Borrowed("/root")));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_taken(text in "[ =:@/\"'a-zé-]{0,80}|.*") {
            let _ = (line(&text), variable(&text));
        }
    }
}
