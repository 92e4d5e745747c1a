//! Every line of the published comparison lists (OSV-SCALIBR, claircore). Needs the corpora: environment
//! variable JINWU_DATA.
// A failed unwrap is a failed test, in helpers too.
#![allow(clippy::unwrap_used)]

use jinwu_advisory_compiler::version::{Scheme, rpm};
use std::cmp::Ordering;
use std::io::Read;
use std::path::PathBuf;

fn list(archive: &str, name: &str) -> String {
    let root = std::env::var_os("JINWU_DATA").expect("JINWU_DATA is not set: point it at the data folder (see its README)");
    let path = PathBuf::from(root).join("truth").join(archive);
    let file = std::fs::File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut archive = tar::Archive::new(zstd::Decoder::new(file).unwrap());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.path().unwrap().ends_with(name) {
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            return text;
        }
    }
    panic!("{name} is not in {}", path.display());
}

/// Compares every `a op b` line both ways; gives the number of lines and those that failed.
fn check(text: &str, compare: impl Fn(&str, &str) -> Ordering) -> (usize, Vec<String>) {
    let (mut lines, mut wrong) = (0, Vec::new());
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [a, op, b] = words[..] else { panic!("cannot read {line:?}") };
        let expect = match op {
            "<" => Ordering::Less,
            ">" => Ordering::Greater,
            "=" | "==" => Ordering::Equal,
            _ => panic!("cannot read {line:?}"),
        };
        lines += 1;
        if compare(a, b) != expect || compare(b, a) != expect.reverse() {
            wrong.push(format!("{line} (got {:?})", compare(a, b)));
        }
    }
    println!("{lines} lines, {} wrong", wrong.len());
    (lines, wrong)
}

fn scalibr(scheme: Scheme, names: &[&str], expect: usize) {
    let mut all = 0;
    let mut wrong = Vec::new();
    for name in names {
        let (n, w) = check(&list("version-compare-osv-scalibr.tar.zst", name), |a, b| scheme.compare(a, b));
        all += n;
        wrong.extend(w);
    }
    assert!(wrong.is_empty(), "{} of {all} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(all, expect);
}

#[test]
fn debian() {
    scalibr(Scheme::Dpkg, &["debian-versions.txt", "debian-versions-generated.txt"], 14_472);
}

#[test]
fn alpine() {
    scalibr(Scheme::Apk, &["alpine-versions.txt", "alpine-versions-generated.txt"], 14_757);
}

#[test]
fn rpm_parts() {
    let (n, wrong) = check(&list("rpmver-cvss-claircore.tar.zst", "rpmver/testdata/rpmvercmp"), |a, b| {
        rpm::part_key(a).cmp(&rpm::part_key(b))
    });
    assert!(wrong.is_empty(), "{} of {n} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(n > 50, "only {n} lines");
}

#[test]
fn red_hat() {
    scalibr(Scheme::Rpm, &["redhat-versions.txt"], 165);
}
