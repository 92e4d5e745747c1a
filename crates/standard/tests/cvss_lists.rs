//! CVSS v3 vectors against published lists: which are valid, what they score, and that every vector of
//! the shipped table is readable. Needs the corpora: environment variable JINWU_DATA.
// A failed unwrap is a failed test, in helpers too.
#![allow(clippy::unwrap_used)]

use jinwu_standard::BaseVector;
use std::io::Read;
use std::path::PathBuf;

fn data(relative: &str) -> Vec<u8> {
    let root = std::env::var_os("JINWU_DATA").expect("JINWU_DATA is not set: point it at the data folder (see its README)");
    let path = PathBuf::from(root).join(relative);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn list(name: &str) -> String {
    let mut archive = tar::Archive::new(zstd::Decoder::new(std::io::Cursor::new(data("truth/rpmver-cvss-claircore.tar.zst"))).unwrap());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.path().unwrap().ends_with(format!("cvss/testdata/{name}")) {
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            return text;
        }
    }
    panic!("{name} is not in the archive");
}

#[test]
fn scores_of_both_versions() {
    let mut checked = 0;
    for name in ["v30_score.list", "v31_score.list"] {
        for line in list(name).lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let (Some(vector), Some(score)) = (words.next(), words.next()) else { continue };
            let parsed: BaseVector = vector.parse().unwrap_or_else(|e| panic!("{name}: {vector}: {e}"));
            // Lists with temporal metrics carry the temporal score; the base score is compared only without.
            if vector.matches('/').count() == 8 {
                assert!((parsed.base_score() - score.parse::<f64>().unwrap()).abs() < 1e-9, "{name}: {line}: {}", parsed.base_score());
            }
            checked += 1;
        }
    }
    assert!(checked > 50, "only {checked} lines");
    println!("{checked} score lines");
}

#[test]
fn errors_are_errors() {
    let (mut good, mut bad) = (0, 0);
    for line in list("v3_error.list").lines().filter(|l| !l.trim().is_empty()) {
        let ok = line.contains("#OK");
        let vector = line.split('#').next().unwrap_or_default().trim();
        assert_eq!(vector.parse::<BaseVector>().is_ok(), ok, "{line}");
        if ok { good += 1 } else { bad += 1 }
    }
    assert!(good >= 2 && bad >= 15, "{good} good, {bad} bad");
}

#[test]
fn what_is_read_is_printed_alike() {
    let mut checked = 0;
    for line in list("v3_roundtrip.list").lines() {
        let vector = line.split('#').next().unwrap_or_default().trim();
        if vector.is_empty() {
            continue;
        }
        let parsed: BaseVector = vector.parse().unwrap_or_else(|e| panic!("{vector}: {e}"));
        let base: Vec<&str> = vector.split('/').take(9).collect();
        assert_eq!(parsed.to_string(), base.join("/"));
        checked += 1;
    }
    assert!(checked > 20, "only {checked} lines");
}

#[test]
fn every_vector_of_the_table_grades() {
    let text = String::from_utf8(zstd::decode_all(&data("advisories/cve-cvss.tsv.zst")[..]).unwrap()).unwrap();
    let mut n = 0;
    for line in text.lines().skip(1) {
        let vector = line.split('\t').nth(1).unwrap_or_default();
        assert!(vector.parse::<BaseVector>().is_ok(), "{line}");
        n += 1;
    }
    assert_eq!(n, 32_214);
}
