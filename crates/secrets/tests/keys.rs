//! Keys made by the real programs at run time, in every format, under names that say nothing.
#![allow(clippy::unwrap_used)]

use jinwu_secrets::{Hit, Scanner};
use std::path::Path;
use std::process::Command;

fn run(folder: &Path, line: &str) {
    let out = Command::new("sh").args(["-ec", line]).current_dir(folder).output().unwrap();
    assert!(out.status.success(), "{line}: {}", String::from_utf8_lossy(&out.stderr));
}

fn scan(scanner: &Scanner, folder: &Path, file: &str, path: &str) -> Vec<Hit> {
    let bytes = std::fs::read(folder.join(file)).unwrap();
    scanner.scan_file(path, &bytes)
}

#[test]
fn keys_of_openssl_and_ssh_keygen_in_every_format() {
    let scanner = Scanner::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    run(
        at,
        "openssl genrsa -traditional -out rsa1.pem 2048 2>/dev/null
         openssl pkcs8 -topk8 -nocrypt -in rsa1.pem -out rsa8.pem
         openssl pkcs8 -topk8 -passout pass:abcd -in rsa1.pem -out rsa8enc.pem
         openssl rsa -aes128 -traditional -passout pass:abcd -in rsa1.pem -out rsa1enc.pem 2>/dev/null
         openssl rsa -in rsa1.pem -traditional -outform DER -out rsa1.der 2>/dev/null
         openssl pkcs8 -topk8 -nocrypt -in rsa1.pem -outform DER -out rsa8.der
         openssl pkcs8 -topk8 -passout pass:abcd -in rsa1.pem -outform DER -out rsa8enc.der
         openssl ecparam -name prime256v1 -genkey -noout -out ec.pem
         openssl ec -in ec.pem -outform DER -out ec.der 2>/dev/null
         openssl genpkey -algorithm ed25519 -out ed.pem
         openssl dsaparam -genkey -out dsaboth.pem 1024 2>/dev/null
         openssl pkey -in dsaboth.pem -traditional -out dsa.pem
         openssl req -x509 -key rsa1.pem -subj /CN=x -days 9 -out cert.pem
         openssl x509 -in cert.pem -outform DER -out cert.der
         openssl rsa -in rsa1.pem -pubout -out public.pem 2>/dev/null
         openssl pkcs12 -export -inkey rsa1.pem -in cert.pem -passout pass:abcd -out both.p12
         openssl pkcs12 -export -nokeys -in cert.pem -passout pass:abcd -out trust.p12
         ssh-keygen -q -t ed25519 -N '' -f sshed
         ssh-keygen -q -t ed25519 -N abcdef -f sshenc
         ssh-keygen -q -t rsa -b 2048 -m PEM -N '' -f sshrsa",
    );
    for (file, rule) in [
        ("rsa1.pem", "rsa-private-key"),
        ("rsa8.pem", "private-key"),
        ("rsa8enc.pem", "encrypted-private-key"),
        ("rsa1enc.pem", "encrypted-private-key"),
        ("rsa1.der", "rsa-private-key"),
        ("rsa8.der", "private-key"),
        ("rsa8enc.der", "encrypted-private-key"),
        ("ec.pem", "ec-private-key"),
        ("ec.der", "ec-private-key"),
        ("ed.pem", "private-key"),
        ("dsa.pem", "dsa-private-key"),
        ("both.p12", "pkcs12-private-key"),
        ("sshed", "ssh-private-key"),
        ("sshenc", "encrypted-private-key"),
        ("sshrsa", "rsa-private-key"),
    ] {
        let hits = scan(&scanner, at, file, "opt/picture.bin");
        assert!(hits.iter().any(|h| h.rule == rule && h.category == "key"), "{file}: wanted {rule}, got {hits:?}");
        assert_eq!(hits.len(), 1, "{file}: one key is one hit: {hits:?}");
    }
    assert_eq!(scan(&scanner, at, "sshrsa", "root/.ssh/id_rsa")[0].rule, "ssh-private-key");
    assert_eq!(scan(&scanner, at, "rsa1.pem", "etc/ssh/ssh_host_rsa_key")[0].rule, "ssh-private-key");
    for file in ["cert.pem", "cert.der", "public.pem", "trust.p12", "sshed.pub"] {
        let hits = scan(&scanner, at, file, "opt/picture.bin");
        assert!(hits.is_empty(), "{file}: {hits:?}");
    }

    // The same key inside other text: escaped in JSON, encoded in a kubeconfig, appended to a binary, in UTF-16.
    let pem = std::fs::read_to_string(at.join("rsa8.pem")).unwrap();
    let json = format!("{{\"type\":\"service_account\",\"private_key\":\"{}\"}}", pem.replace('\n', "\\n"));
    let hits = scanner.scan_file("app/account.json", json.as_bytes());
    assert!(hits.iter().any(|h| h.rule == "private-key"), "{hits:?}");
    run(at, "printf 'users:\\n- user:\\n    client-key-data: ' > kubeconfig; base64 -w0 rsa1.pem >> kubeconfig; echo >> kubeconfig");
    let hits = scan(&scanner, at, "kubeconfig", "root/.kube/config");
    assert!(hits.iter().any(|h| h.rule == "rsa-private-key" && h.line == Some(3)), "{hits:?}");
    let mut binary = b"\x7fELF\0\0\0\0".repeat(100);
    binary.extend_from_slice(pem.as_bytes());
    binary.extend_from_slice(&[0; 64]);
    let hits = scanner.scan_file("usr/bin/x", &binary);
    assert!(hits.iter().any(|h| h.rule == "private-key" && h.line.is_none()), "{hits:?}");
    let wide: Vec<u8> = [0xff, 0xfe].into_iter().chain(pem.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    assert!(scanner.scan_file("app/wide.txt", &wide).iter().any(|h| h.rule == "private-key"));

    // Never the key itself.
    let body: String = pem.lines().filter(|l| !l.starts_with('-')).collect();
    for h in scanner.scan_file("x", pem.as_bytes()) {
        assert!(!format!("{h:?}").contains(&body[..12]), "{h:?}");
    }
}

#[test]
fn java_key_stores() {
    let scanner = Scanner::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    run(
        at,
        "keytool -genkeypair -keyalg EC -dname CN=x -alias a -storetype JKS -keystore key.jks -storepass abcdef -keypass abcdef 2>/dev/null
         keytool -exportcert -alias a -keystore key.jks -storepass abcdef -file c.crt 2>/dev/null
         keytool -importcert -noprompt -alias b -file c.crt -storetype JKS -keystore trust.jks -storepass abcdef 2>/dev/null
         keytool -genkeypair -keyalg EC -dname CN=x -alias a -storetype PKCS12 -keystore key.p12 -storepass abcdef 2>/dev/null",
    );
    assert_eq!(scan(&scanner, at, "key.jks", "a")[0].rule, "java-keystore-private-key");
    assert_eq!(scan(&scanner, at, "key.p12", "a")[0].rule, "pkcs12-private-key");
    assert!(scan(&scanner, at, "trust.jks", "a").is_empty());
}

#[test]
fn headers_without_a_key_are_no_keys() {
    let scanner = Scanner::new().unwrap();
    for text in [
        "-----BEGIN RSA PRIVATE KEY-----\0-----END RSA PRIVATE KEY-----",
        "if text.starts_with(\"-----BEGIN PRIVATE KEY-----\") { read(\"-----END PRIVATE KEY-----\") }",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE...\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\n<your key here>\n-----END PRIVATE KEY-----",
        "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----",
    ] {
        let hits = scanner.scan_file("app/x.txt", text.as_bytes());
        assert!(hits.is_empty(), "{text}: {hits:?}");
    }
}
