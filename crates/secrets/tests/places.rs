//! Secrets by position and by name: variables, account files, configuration; and what is no secret.
#![allow(clippy::unwrap_used)]

use jinwu_secrets::Scanner;

fn rules(path: &str, text: &str) -> Vec<String> {
    Scanner::new().unwrap().scan_file(path, text.as_bytes()).into_iter().map(|h| h.rule).collect()
}

/// `user:password` made here, in base64.
fn base64(text: &str) -> String {
    const SET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    text.as_bytes()
        .chunks(3)
        .flat_map(|c| {
            let n = c.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - c.len()));
            (0..4).map(move |i| if i <= c.len() { char::from(SET[(n >> (18 - 6 * i)) as usize & 63]) } else { '=' })
        })
        .collect()
}

#[test]
fn known_files() {
    let hash = format!("$6${}${}", "saltsalt", "aB3dEfGhIj".repeat(9).get(..86).unwrap());
    let shadow = format!("root:{hash}:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\nsync:!:19000::::::\nlocked:!{hash}:1::::::\n");
    let hits = Scanner::new().unwrap().scan_file("etc/shadow", shadow.as_bytes());
    assert_eq!(hits.iter().map(|h| (h.rule.as_str(), h.variable.as_deref(), h.line)).next(), Some(("account-password-hash", Some("root"), Some(1))));
    assert!(rules("etc/shadow", "root:*:19000:0:99999:7:::\nbin:!:1::::::\nx:!!:1::::::\n").is_empty());
    assert!(rules("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n").is_empty());
    assert_eq!(rules("root/.pgpass", "db:5432:app:app:q7Lm2xWz\n"), ["pgpass-password"]);
    assert!(rules("root/.pgpass", "# host:port:db:user:password\n").is_empty());
    assert_eq!(rules("root/.netrc", "machine a.example.org\n  login bob\n  password q7Lm2xWz\n"), ["netrc-password"]);
    assert_eq!(rules("etc/nginx/.htpasswd", &format!("bob:$apr1$saltsalt${}\n", "aB3dEfGhIjKlMnOpQrStUv")), ["htpasswd-hash"]);
    assert_eq!(rules("root/.git-credentials", "https://bob:q7Lm2xWzq7@git.example.org\n"), ["url-password"]);
    assert_eq!(rules("root/.docker/config.json", &format!("{{\"auths\":{{\"r.example.org\":{{\"auth\":\"{}\"}}}}}}", base64("robot:q7Lm2xWz"))), ["registry-credential"]);
    assert!(rules("root/.docker/config.json", "{\"auths\":{\"r.example.org\":{\"auth\":\"authentication\"}}}").is_empty());
    assert_eq!(rules("root/.my.cnf", "[client]\nuser=root\npassword=q7Lm2xWz\n"), ["configuration-password"]);
}

#[test]
fn configuration_by_name() {
    for (path, text) in [
        ("app/application.yml", "spring:\n  datasource:\n    password: q7Lm2xWz\n"),
        ("app/application.properties", "spring.datasource.password=q7Lm2xWz\n"),
        ("app/settings.json", "{\"db\": {\"password\": \"q7Lm2xWz\"}}"),
        ("app/config.ini", "[db]\npassword = q7Lm2xWz\n"),
        ("app/config.toml", "password = \"q7Lm2xWz\"\n"),
        ("app/.env", "DB_PASSWORD=q7Lm2xWz\n"),
        ("app/server.xml", "<Connector keystorePass=\"q7Lm2xWz\"/>\n"),
        ("app/settings.xml", "<server><password>q7Lm2xWz</password></server>\n"),
        ("app/context.xml", "<property name=\"jdbc.password\" value=\"q7Lm2xWz\"/>\n"),
        ("app/run.sh", "export DB_PASSWORD=q7Lm2xWz\n"),
        ("app/values.yaml", "env:\n  - DB_PASSWORD: changeme\n"),
    ] {
        assert_eq!(rules(path, text), ["configuration-password"], "{path}: {text}");
    }
}

#[test]
fn references_examples_and_words_are_no_secrets() {
    for (path, text) in [
        ("app/application.yml", "password: ${DB_PASSWORD}\n"),
        ("app/application.yml", "password: \"{{ .Values.password }}\"\n"),
        ("app/application.yml", "password: <password>\n"),
        ("app/application.yml", "password: your-password-here\n"),
        ("app/application.yml", "# password: q7Lm2xWz\n"),
        ("app/application.yml", "passwordFile: /run/secrets/db\npassword: /run/secrets/db\n"),
        ("app/schema.json", "{\"password\": \"string\", \"token\": \"string\"}"),
        ("app/locale/en.json", "{\"password\": \"Passwort1\"}"),
        ("usr/share/doc/x/examples/a.conf", "password = q7Lm2xWz\n"),
        ("app/README.md", "postgres://user:q7Lm2xWz@host/db"),
        ("etc/nsswitch.conf", "passwd:         files systemd\nshadow: files\n"),
        ("etc/pam.d/common-password", "password [success=1 default=ignore] pam_unix.so obscure yescrypt\n"),
        ("etc/login.defs", "PASS_MAX_DAYS 99999\n"),
        ("app/a.yml", "secretName: my-tls-secret\ntokenUrl: https://a.example.org/token\n"),
        ("app/a.yml", "aws_access_key_id: AKIAIOSFODNN7EXAMPLE\n"),
    ] {
        let hits = rules(path, text);
        assert!(hits.is_empty(), "{path}: {text:?}: {hits:?}");
    }
}

#[test]
fn variables() {
    let scanner = Scanner::new().unwrap();
    for (name, value, rule) in [
        ("MYSQL_ROOT_PASSWORD", "q7Lm2xWz", "environment-password"),
        ("MYSQL_ROOT_PASSWORD", "changeme", "environment-password"),
        ("MYSQL_ROOT_PASSWORD", "password", "environment-password"),
        ("MYSQL_ROOT_PASSWORD", "123456", "environment-password"),
        ("ADMIN_PWD", "q7", "environment-password"),
        ("CLIENT_SECRET", "q7Lm2xWzq7Lm", "environment-secret"),
        ("API_TOKEN", "q7Lm2xWzq7Lm", "environment-token"),
        ("APP_KEY", "q7Lm2xWzq7Lm3xYz", "environment-key"),
        ("FLASK_KEY", "q7Lm2xWzq7Lm3xYz", "environment-key"),
        ("NEO4J_AUTH", "neo4j/q7Lm2xWz", "environment-credential"),
        ("DATABASE_URL", "postgres://app:q7Lm2xWz@db/app", "url-password"),
        ("REDIS_URL", "redis://:q7Lm2xWz@redis:6379", "url-password"),
        ("DSN", "Server=db;User Id=sa;Password=q7Lm2xWz;", "connection-string-password"),
    ] {
        let hits = scanner.scan_variable(name, value);
        assert_eq!(hits.iter().map(|h| h.rule.as_str()).collect::<Vec<_>>(), [rule], "{name}={value}");
        assert_eq!(hits[0].variable.as_deref(), Some(name));
        assert_eq!(hits[0].line, None);
        assert!(value.len() < 6 || !hits[0].masked.contains(value), "{hits:?}");
    }
    let secret = ["q7Lm/xWzK+", "aB3dEfGhIj", "MnOpQrStUv", "YyZ0129456"].concat();
    assert_eq!(scanner.scan_variable("AWS_SECRET_ACCESS_KEY", &secret)[0].rule, "aws-secret-key");
    for (name, value) in [
        ("PATH", "/usr/local/bin:/usr/bin"),
        ("PWD", "/srv/data-7"),
        ("DB_PASSWORD", "${DB_PASSWORD}"),
        ("DB_PASSWORD", "$DB_PASSWORD"),
        ("DB_PASSWORD", ""),
        ("DB_PASSWORD", "<password>"),
        ("DB_PASSWORD_FILE", "/run/secrets/db"),
        ("DB_PASSWORD", "/run/secrets/db"),
        ("MYSQL_ALLOW_EMPTY_PASSWORD", "yes"),
        ("GPG_KEY", "A035C8C19219BA821ECEA86B64E628F8D684696D"),
        ("TOKEN_URL", "https://idp.example.org/token"),
        ("PYTHON_VERSION", "3.12.1"),
        ("HOMEPAGE", "https://example.org/a@b"),
        ("LANG", "C.UTF-8"),
    ] {
        let hits = scanner.scan_variable(name, value);
        assert!(hits.is_empty(), "{name}={value}: {hits:?}");
    }
}

#[test]
fn wants_by_size_and_name() {
    let s = Scanner::new().unwrap();
    assert!(s.wants("etc/x", 100) && s.wants("a.png", 100) && !s.wants("a.png", 1 << 20) && !s.wants("x", 0) && !s.wants("x", 1 << 40));
    assert!(s.engine().contains('+'));
}
