//! The shipped database against real package lists, and against human labels. Needs the corpora:
//! environment variable JINWU_DATA.
// A failed unwrap is a failed test, in helpers too.
#![allow(clippy::unwrap_used)]

use jinwu_advisory::{Database, Matches, Scheme};
use jinwu_model::report::{Coverage, Location, Os, Package};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::PathBuf;

fn path(relative: &str) -> PathBuf {
    let root = std::env::var_os("JINWU_DATA").expect("JINWU_DATA is not set: point it at the data folder (see its README)");
    PathBuf::from(root).join(relative)
}

fn text(relative: &str) -> String {
    let path = path(relative);
    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let bytes = if relative.ends_with(".zst") { zstd::decode_all(&bytes[..]).unwrap() } else { bytes };
    String::from_utf8(bytes).unwrap()
}

fn database() -> Database {
    Database::embedded().unwrap()
}

fn os(id: &str, version: &str) -> Os {
    Os { id: id.into(), version: version.into(), name: String::new() }
}

fn package(ecosystem: &str, name: &str, version: &str, source: &str) -> Package {
    Package {
        ecosystem: ecosystem.into(),
        name: name.into(),
        version: version.into(),
        source_name: source.into(),
        source_version: version.into(),
        architecture: "x86_64".into(),
        location: Location { layer: None, path: "lib/apk/db/installed".into(), inner: None, line: None, deleted: false, owner: None },
    }
}

/// Packages of one of the Alpine images, from the published list.
fn alpine_packages(image: &str) -> Vec<Package> {
    let list = text("truth/golden-apk-packages.tsv");
    let rows = list.lines().skip(1).map(|l| l.split('\t').collect::<Vec<_>>());
    let packages: Vec<Package> = rows.filter(|r| r[0] == image).map(|r| package("apk", r[1], r[2], r[3])).collect();
    assert!(packages.len() > 10, "{image}");
    packages
}

fn per_name(m: &Matches) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for v in &m.vulnerabilities {
        *counts.entry(v.matched_name.clone()).or_default() += 1;
    }
    counts
}

fn counts(pairs: &[(&str, usize)]) -> BTreeMap<String, usize> {
    pairs.iter().map(|(n, c)| ((*n).to_owned(), *c)).collect()
}

#[test]
fn alpine_3_18_9() {
    let m = database().match_packages(Some(&os("alpine", "3.18.9")), &[], &alpine_packages("alpine-minirootfs-3.18.9-x86_64.tar.gz"));
    assert_eq!(m.coverage, Coverage::Covered);
    assert_eq!(m.vulnerabilities.iter().map(|v| (v.id.as_str(), v.matched_name.as_str())).collect::<Vec<_>>(), [("CVE-2025-26519", "musl")]);
}

#[test]
fn alpine_3_20_3() {
    let d = database();
    let packages = alpine_packages("alpine-minirootfs-3.20.3-x86_64.tar.gz");
    let repositories = ["https://dl-cdn.alpinelinux.org/alpine/v3.20/main".to_owned()];
    let m = d.match_packages(Some(&os("alpine", "3.20.3")), &repositories, &packages);
    assert_eq!(m.coverage, Coverage::Covered);
    assert_eq!(per_name(&m), counts(&[("busybox", 2), ("musl", 3), ("openssl", 22)]));
    // Key "0": never affected.
    for id in ["CVE-2021-42373", "CVE-2021-42376", "CVE-2023-45853", "CVE-2023-6992"] {
        assert!(m.vulnerabilities.iter().all(|v| v.id != id), "{id}");
    }
    let client: Vec<Package> = packages.into_iter().filter(|p| p.name == "ssl_client").collect();
    let m = d.match_packages(Some(&os("alpine", "3.20.3")), &repositories, &client);
    assert_eq!(per_name(&m), counts(&[("busybox", 2)]));
    assert!(m.vulnerabilities.iter().all(|v| v.package.name == "ssl_client"));
}

#[test]
fn alpine_without_data_is_not_covered() {
    let d = database();
    for (version, image) in [("3.15.11", "alpine-minirootfs-3.15.11-x86_64.tar.gz"), ("3.21.0_alpha20240923", "alpine-minirootfs-20240923-x86_64.tar.gz")] {
        let packages = alpine_packages(image);
        let m = d.match_packages(Some(&os("alpine", version)), &[], &packages);
        assert!(matches!(m.coverage, Coverage::NotCovered { .. }), "{version}: {:?}", m.coverage);
        assert!(m.vulnerabilities.is_empty() && !m.silent.is_empty());
    }
}

/// The 2020 feed knows nothing open in these two images (3.11's openssl is exactly the fixed version), and
/// the same systems one revision earlier have known holes.
#[test]
fn old_alpine_against_the_closed_feed() {
    let d = database();
    for (version, image) in [("3.10.4", "docker-save-alpine-310.tar.gz"), ("3.11.5", "docker-save-alpine-311.tar.gz")] {
        let m = d.match_packages(Some(&os("alpine", version)), &[], &alpine_packages(image));
        assert_eq!((m.coverage.clone(), per_name(&m)), (Coverage::Covered, BTreeMap::new()), "{version}");
        assert!(m.silent.is_empty(), "a whole feed is silent about nothing");
        assert_eq!(m.as_of.as_deref(), Some("2020-06-08"));
    }
    let found = |version: &str, origin: &str, installed: &str| -> Vec<String> {
        let m = d.match_packages(Some(&os("alpine", version)), &[], &[package("apk", origin, installed, origin)]);
        m.vulnerabilities.into_iter().map(|v| v.id).collect()
    };
    assert_eq!(found("3.10.2", "openssl", "1.1.1c-r0"), ["CVE-2019-1547", "CVE-2019-1549", "CVE-2019-1563"]);
    assert_eq!(found("3.10.2", "musl", "1.1.22-r2"), ["CVE-2019-14697"]);
    assert_eq!(found("3.11.3", "openssl", "1.1.1d-r2"), ["CVE-2019-1551"]);
    assert!(found("3.11.5", "openssl", "1.1.1d-r3").is_empty());
}

/// (source, current, main, security, updates) of a release.
fn debian_sources(release: &str) -> Vec<[String; 5]> {
    let all = text("debian/debian-sources.tsv.zst");
    all.lines()
        .skip(1)
        .map(|l| l.split('\t').map(str::to_owned).collect::<Vec<_>>())
        .filter(|f| f[0] == release)
        .map(|f| std::array::from_fn(|i| f.get(i + 1).cloned().unwrap_or_default()))
        .collect()
}

fn match_debian(version: &str, sources: &[(String, String)]) -> Matches {
    let packages: Vec<Package> = sources.iter().map(|(name, version)| package("deb", name, version, name)).collect();
    database().match_packages(Some(&os("debian", version)), &[], &packages)
}

#[test]
fn debian_at_the_release_has_findings_and_at_the_current_version_none() {
    for (code, version, least) in [("bookworm", "12", 2000), ("bullseye", "11", 3000)] {
        let sources = debian_sources(code);
        let main: Vec<_> = sources.iter().filter(|s| !s[2].is_empty()).map(|s| (s[0].clone(), s[2].clone())).collect();
        let current: Vec<_> = sources.iter().map(|s| (s[0].clone(), s[1].clone())).collect();
        let start = std::time::Instant::now();
        let at_main = match_debian(version, &main);
        println!("{code}: {} sources matched in {:?}", main.len(), start.elapsed());
        let at_current = match_debian(version, &current);
        assert_eq!((&at_main.coverage, &at_current.coverage), (&Coverage::Covered, &Coverage::Covered));
        println!("{code}: {} findings in {} sources of main; {} at current versions; {} of {} sources without data",
            at_main.vulnerabilities.len(), per_name(&at_main).len(), at_current.vulnerabilities.len(), at_current.silent.len(), current.len());
        for v in &at_current.vulnerabilities {
            println!("  at current: {} {} {} < {:?} {}", v.matched_name, v.id, v.compared_version, v.fixed_version, v.source);
        }
        let graded = at_main.vulnerabilities.iter().filter(|v| v.grade != jinwu_model::Grade::Ungraded).count();
        println!("  graded from a vector: {graded}; grades: {:?}", at_main.vulnerabilities.iter().fold(BTreeMap::<&str, usize>::new(), |mut m, v| {
            *m.entry(v.grade.as_str()).or_default() += 1;
            m
        }));
        assert!(graded > 0, "no vector reached any finding");
        assert!(at_main.vulnerabilities.len() >= least, "{}", at_main.vulnerabilities.len());
        for v in &at_main.vulnerabilities {
            let fixed = v.fixed_version.as_deref().expect("every finding of these feeds has a fix");
            assert!(Scheme::Dpkg.compare(&v.compared_version, fixed).is_lt(), "{v:?}");
        }
        assert_eq!(per_name(&at_current), BTreeMap::new(), "findings at current versions of {code}");
    }
}

#[test]
fn every_security_upload_of_known_sources_gives_a_finding() {
    let rows = text("debian/debian-derived-advisories.jsonl.zst");
    for (code, version) in [("bookworm", "12"), ("bullseye", "11")] {
        // Sources whose security or update version is newer than main's and that have a row fixed in between.
        let sources: BTreeMap<String, [String; 5]> = debian_sources(code).into_iter().map(|s| (s[0].clone(), s)).collect();
        let mut expected: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for line in rows.lines() {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let field = |n: &str| row[n].as_str().unwrap_or_default().to_owned();
            if field("release") != code || row["rebuild_unknown"] == true {
                continue;
            }
            let Some([_, current, main, ..]) = sources.get(&field("source")) else { continue };
            let fixed = field("fixed_version");
            if !main.is_empty() && Scheme::Dpkg.compare(main, &fixed).is_lt() && Scheme::Dpkg.compare(&fixed, current).is_le() {
                expected.entry(field("source")).or_default().insert(field("cve"));
            }
        }
        let main: Vec<_> = expected.keys().map(|s| (s.clone(), sources[s][2].clone())).collect();
        let m = match_debian(version, &main);
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for v in &m.vulnerabilities {
            found.entry(v.matched_name.clone()).or_default().insert(v.id.clone());
        }
        let mut missing = Vec::new();
        for (source, ids) in &expected {
            missing.extend(ids.iter().filter(|id| !found.get(source).is_some_and(|f| f.contains(*id))).map(|id| format!("{source} {id}")));
        }
        println!("{code}: {} sources, {} advisories expected, {} missing: {missing:?}", expected.len(), expected.values().map(BTreeSet::len).sum::<usize>(), missing.len());
        assert!(expected.len() > 50);
        assert!(expected.keys().all(|s| found.contains_key(s)), "a source without any finding");
        assert!(missing.is_empty(), "{missing:?}");
    }
}

/// Two of the labelled images are Alpine releases of the 2020 feed; which ones, their own musl and busybox say.
const ALPINE_IMAGES: [(&str, &str); 2] = [
    // musl 1.1.16-r15, busybox 1.26.2-r11
    ("sha256:58637f273108e3e9eb4df4d73f7b6b1da303cbbf64f65e65fb7762482f2de63d", "3.6.5"),
    // musl 1.1.19-r11, busybox 1.28.4-r3
    ("sha256:a287a0ff98ac343aa710f4f4258d7198e240e9d416d5c7274663564202f832fb", "3.8.5"),
];

/// Anchore's labels (image, package, version, advisory judged true or false by a person), where the data
/// speaks about that advisory for that package: every true one is found, no false one.
#[test]
fn human_labels() {
    let file = std::fs::File::open(path("truth/match-labels-anchore.tar.zst")).unwrap();
    let mut archive = tar::Archive::new(zstd::Decoder::new(file).unwrap());
    let mut labels: BTreeSet<[String; 5]> = BTreeSet::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.path().unwrap().extension().is_none_or(|e| e != "json") {
            continue;
        }
        let mut json = String::new();
        entry.read_to_string(&mut json).unwrap();
        // One label of the corpus is an empty file.
        if json.is_empty() {
            continue;
        }
        let label: serde_json::Value = serde_json::from_str(&json).unwrap();
        let word = |v: &serde_json::Value| v.as_str().unwrap_or_default().to_owned();
        let package = &label["package"];
        labels.insert([word(&label["image"]["exact"]), word(&package["name"]), word(&package["version"]), word(&label["vulnerability_id"]), word(&label["label"])]);
    }
    let d = database();
    let mut counts: BTreeMap<(&str, &str), (usize, usize, usize)> = BTreeMap::new();
    let mut wrong = Vec::new();
    for [image, name, version, id, label] in &labels {
        // Debian by the mark in the version; labels name binaries, so only those named like their source.
        let alpine = ALPINE_IMAGES.iter().find(|(digest, _)| image.ends_with(digest) && version.contains("-r"));
        let (system, release, ecosystem) = match alpine {
            Some((_, release)) => ("alpine", *release, "apk"),
            None if version.contains("deb11u") => ("debian", "11", "deb"),
            None if version.contains("deb12u") => ("debian", "12", "deb"),
            None => continue,
        };
        let source = if name.starts_with("libcrypto") || name.starts_with("libssl") { "openssl" } else { name };
        let found = |installed: &str| {
            let m = d.match_packages(Some(&os(system, release)), &[], &[package(ecosystem, name, installed, source)]);
            m.vulnerabilities.iter().any(|v| &v.id == id)
        };
        let label = if label == "TP" || label == "FP" { label.as_str() } else { continue };
        let count = counts.entry((system, label)).or_default();
        count.0 += 1;
        // Spoken about: the lowest version there is would be affected.
        if found("0~") || found("0_alpha") {
            count.1 += 1;
            let hit = found(version);
            count.2 += usize::from(hit);
            if hit != (label == "TP") {
                wrong.push(format!("{label} {image} {name} {version} {id}"));
            }
        }
    }
    println!("labels (all, spoken about, found): {counts:?}");
    assert!(counts.values().map(|c| c.1).sum::<usize>() >= 5, "too few labels could be used: {counts:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
