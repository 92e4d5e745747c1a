//! Masking: nothing secret remains, masking again changes nothing, nothing panics.
#![allow(clippy::unwrap_used)]

use jinwu_secrets::Scanner;
use proptest::prelude::*;
use std::sync::LazyLock;

static SCANNER: LazyLock<Scanner> = LazyLock::new(|| Scanner::new().unwrap());

#[test]
fn free_text() {
    let secret = "q7Lm2xWzK9";
    for text in [
        format!("docker run -e DB_PASSWORD={secret} app"),
        format!("psql postgres://app:{secret}@db:5432/app"),
        format!("curl -u admin:{secret} https://a.example.org"),
        format!("curl -H 'Authorization: Bearer {secret}{secret}' https://a"),
        format!("GET /x?user=a&token={secret}&b=1"),
        format!("{{\"username\":\"a\",\"password\":\"{secret}\"}}"),
        format!("{{\\\"password\\\":\\\"{secret}\\\"}}"),
        format!("mytool --password {secret} --verbose"),
        format!("sshpass -p {secret} ssh a@b"),
        format!("mysql -uroot -p{secret} app"),
        format!("password: {secret}"),
        format!("Server=db;User Id=sa;Password={secret};"),
        format!("git clone https://bot:ghp_{}@github.com/a/b", "aB3dEfGhIjKlMnOpQrStUvWxYz0123456789"),
    ] {
        let masked = SCANNER.mask(&text);
        assert!(!masked.contains(secret) && !masked.contains("aB3dEfGhIj"), "{text} -> {masked}");
        assert!(masked.contains("****"), "{masked}");
        assert_eq!(SCANNER.mask(&masked), masked);
    }
}

#[test]
fn harmless_text_is_unchanged() {
    for text in ["", "GET /v2/library/alpine/manifests/3.20", "user admin logged in from 10.0.0.1", "sha256:0f0f", "推送镜像 app:1.0 成功", "https://a.example.org/x?y=1#z", "token=${TOKEN} password=$PW"] {
        assert_eq!(SCANNER.mask(text), text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_secret_never_survives(secret in "[A-Za-z0-9]{8,40}", form in 0usize..8, noise in "[a-z ]{0,20}") {
        let text = match form {
            0 => format!("{noise} DB_PASSWORD={secret} {noise}"),
            1 => format!("{noise} https://user:{secret}@host/{noise}"),
            2 => format!("{noise} --password={secret} {noise}"),
            3 => format!("{noise} \"password\": \"{secret}\", {noise}"),
            4 => format!("{noise} client_secret={secret}&x={noise}"),
            5 => format!("{noise} api_key: {secret} {noise}"),
            6 => format!("{noise} <password>{secret}</password> {noise}"),
            _ => format!("{noise} Password={secret};Server={noise}"),
        };
        prop_assume!(!noise.contains(&secret));
        let masked = SCANNER.mask(&text);
        let switch = ["disabled", "undefined"].contains(&secret.to_ascii_lowercase().as_str());
        prop_assert!(switch || !masked.contains(&secret), "{} -> {}", text, masked);
        prop_assert_eq!(SCANNER.mask(&masked), masked.clone());
        for hit in SCANNER.scan_variable("DB_PASSWORD", &secret) {
            prop_assert!(!hit.masked.contains(&secret));
        }
    }

    #[test]
    fn masking_is_idempotent_on_anything(text in r#"(\PC|password|token|secret|=|:|"|'|://|@|--|Bearer|Authorization| |\n|;|&|\*\*\*\*\(4\)){0,40}"#) {
        let once = SCANNER.mask(&text);
        prop_assert_eq!(SCANNER.mask(&once), once.clone(), "{:?}", text);
    }

    #[test]
    fn never_panics_on_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..2000), path in "(etc/|app/|)[a-z.]{0,12}(.json|.yml|.der|shadow|.netrc|)") {
        let _ = SCANNER.scan_file(&path, &bytes);
        let _ = SCANNER.scan_file("x.json", &bytes);
    }

    #[test]
    fn never_panics_on_structures(head in prop::sample::select(vec![&b"\x30\x82"[..], b"\x30\x84\xff\xff", b"\xfe\xed\xfe\xed\0\0\0\x02", b"\xff\xfe", b"-----BEGIN RSA PRIVATE KEY-----", b"LS0tLS1CRUdJTi", b"\"auth\":\"", b"eyJ", b"://", b"password="]),
                                  body in prop::collection::vec(any::<u8>(), 0..400), repeat in 1usize..4) {
        let mut bytes = Vec::new();
        for _ in 0..repeat {
            bytes.extend_from_slice(head);
            bytes.extend_from_slice(&body);
        }
        let _ = SCANNER.scan_file("etc/x.json", &bytes);
        let text = String::from_utf8_lossy(&bytes);
        let once = SCANNER.mask(&text);
        prop_assert_eq!(SCANNER.mask(&once), once.clone());
    }
}
