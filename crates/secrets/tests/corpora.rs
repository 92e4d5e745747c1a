//! Against the data pack: recall on the example secrets of two rule sets, silence on clean systems.
#![allow(clippy::unwrap_used)]

use jinwu_secrets::Scanner;
use std::io::Read as _;
use std::path::PathBuf;

fn data() -> PathBuf {
    PathBuf::from(std::env::var_os("JINWU_DATA").expect("JINWU_DATA is not set: it must name the folder of the data pack (rules/, images/)"))
}

/// YAML rule files of a pack: (file stem, contents).
fn rule_files(pack: &str) -> Vec<(String, String)> {
    let file = std::fs::File::open(data().join("rules").join(pack)).unwrap();
    let mut archive = tar::Archive::new(zstd::Decoder::new(file).unwrap());
    let mut out = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().into_owned();
        if path.extension().is_some_and(|e| e == "yml" || e == "yaml") {
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            out.push((path.file_stem().unwrap().to_string_lossy().into_owned(), text));
        }
    }
    assert!(out.len() > 20, "{pack} has {} rule files", out.len());
    out
}

/// Provider files whose forms our rules claim to cover.
const FAMILIES: [&str; 50] = [
    "age", "alibaba", "anthropic", "artifactory", "aws", "azurestorage", "crates.io", "databricks", "digitalocean", "doppler", "dynatrace", "figma", "github", "gitlab", "grafana",
    "hashes", "huggingface", "jwt", "kubernetes", "linear", "mailchimp", "mailgun", "microsoft_teams", "netrc", "newrelic", "npm", "nuget", "openai", "pem", "planetscale", "postman",
    "privkey", "pulumi", "pypi", "rubygems", "sendgrid", "sentrytoken", "shopify", "slack", "sonarqube", "square", "stripe", "tailscale", "telegram", "terraformcloud", "twilio",
    "wireguard", "postgres", "mysql", "uri",
];

#[test]
fn recall_on_published_examples() {
    let scanner = Scanner::new().unwrap();
    let (mut all, mut found) = (0, 0);
    let mut missed = Vec::new();
    for pack in ["kingfisher.tar.zst", "noseyparker.tar.zst"] {
        for (family, text) in rule_files(pack) {
            if !FAMILIES.contains(&family.as_str()) {
                continue;
            }
            let Ok(document) = serde_saphyr::from_str::<serde_json::Value>(&text) else { panic!("{pack} {family} is no YAML") };
            for rule in document["rules"].as_array().into_iter().flatten() {
                let id = rule["id"].as_str().unwrap_or_default();
                // Identifiers that name an account but open nothing.
                let open = rule["categories"].as_array().is_some_and(|c| !c.iter().any(|c| c == "secret" || c == "hashed"));
                if rule["visible"] == serde_json::Value::Bool(false) || open || id.contains("krb5") || id.ends_with(".age.1") {
                    continue;
                }
                for example in rule["examples"].as_array().into_iter().flatten().filter_map(|e| e.as_str()) {
                    all += 1;
                    let path = if family == "netrc" { "root/.netrc" } else { "app/settings.conf" };
                    if scanner.scan_file(path, example.as_bytes()).is_empty() {
                        missed.push(format!("{id}: {}", example.chars().take(110).collect::<String>().replace('\n', "⏎")));
                    } else {
                        found += 1;
                    }
                }
            }
        }
    }
    println!("examples {all}, found {found} ({:.1} %)\nmissed:\n{}", f64::from(found) * 100.0 / f64::from(all), missed.join("\n"));
    assert!(all > 200, "only {all} examples read");
    assert!(found * 100 >= all * FLOOR, "recall fell to {found} of {all}");
}

/// Reached when written; a lower number is a regression.
const FLOOR: i32 = 82;

#[test]
fn clean_systems_have_no_secrets() {
    let scanner = Scanner::new().unwrap();
    let mut files = 0;
    for image in std::fs::read_dir(data().join("images")).unwrap() {
        let path = image.unwrap().path();
        if !path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("alpine-minirootfs-")) {
            continue;
        }
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(std::fs::File::open(&path).unwrap()));
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().to_string_lossy().trim_start_matches("./").to_owned();
            if !entry.header().entry_type().is_file() || !scanner.wants(&name, entry.size()) {
                continue;
            }
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            files += 1;
            let hits = scanner.scan_file(&name, &bytes);
            assert!(hits.is_empty(), "{}: {name}: {hits:?}", path.display());
        }
    }
    assert!(files > 100, "only {files} files examined");
}
