//! Real images: packages against the golden lists, vulnerabilities against the known counts.

use crate::support::{data, report, run};
use jinwu_model::report::{Coverage, ImageReport, UnscannableReason};
use std::collections::BTreeSet;
use std::io::Read;

fn image(name: &str) -> ImageReport {
    let path = data("images").join(name);
    assert!(path.exists(), "{} is missing", path.display());
    report(path.to_str().unwrap())
}

#[test]
fn packages_are_those_of_the_golden_list() {
    let golden = std::fs::read_to_string(data("truth/golden-apk-packages.tsv")).unwrap();
    let mut lines = golden.lines();
    let head: Vec<_> = lines.next().unwrap().split('\t').collect();
    let column = |name: &str| head.iter().position(|h| h.to_ascii_lowercase().contains(name)).unwrap_or_else(|| panic!("{name} in {head:?}"));
    let (image_at, name, version, origin) = (column("image"), column("name"), column("version"), column("origin"));
    let rows: Vec<Vec<&str>> = lines.map(|l| l.split('\t').collect()).collect();
    let images: BTreeSet<_> = rows.iter().map(|r| r[image_at]).collect();
    assert_eq!(images.len(), 6);
    for wanted in images {
        let expected: BTreeSet<_> =
            rows.iter().filter(|r| r[image_at] == wanted).map(|r| (r[name].to_owned(), r[version].to_owned(), r[origin].to_owned())).collect();
        let found: BTreeSet<_> = image(wanted).packages.into_iter().map(|p| (p.name, p.version, p.source_name)).collect();
        assert_eq!(found, expected, "{wanted}");
    }
}

#[test]
fn vulnerabilities_and_coverage_of_alpine() {
    let r = image("alpine-minirootfs-3.18.9-x86_64.tar.gz");
    assert_eq!(r.coverage, Coverage::Covered);
    let ids: Vec<_> = r.vulnerabilities.iter().map(|v| (v.id.as_str(), v.matched_name.as_str())).collect();
    assert_eq!(ids, [("CVE-2025-26519", "musl")]);
    let r = image("alpine-minirootfs-3.20.3-x86_64.tar.gz");
    let ids: BTreeSet<_> = r.vulnerabilities.iter().map(|v| (v.matched_name.clone(), v.id.clone())).collect();
    let of = |name: &str| ids.iter().filter(|(n, _)| n == name).count();
    assert_eq!((of("busybox"), of("openssl"), of("musl")), (2, 22, 3), "{ids:?}");
    assert_eq!(r.vulnerabilities.len(), 27, "ssl_client comes from busybox and counts as that");
    let r = image("alpine-minirootfs-3.15.11-x86_64.tar.gz");
    assert!(matches!(r.coverage, Coverage::NotCovered { .. }), "{:?}", r.coverage);
    assert!(!r.packages.is_empty());
}

#[test]
fn diff_ids_of_the_published_layers() {
    let facts: serde_json::Value = serde_json::from_slice(&std::fs::read(data("images/images.json")).unwrap()).unwrap();
    for name in ["alpine-minirootfs-3.20.3-x86_64.tar.gz", "busybox-glibc-oci.tar", "busybox-musl-oci.tar", "busybox-uclibc-oci.tar"] {
        let r = image(name);
        assert!(r.faults.is_empty() && r.unscannable.is_empty() && r.truncated.is_empty(), "{name}: {r:?}");
        if let Some(digest) = facts[name]["layer_digest"].as_str() {
            assert_eq!(r.layers[0].to_string(), digest);
            assert_eq!(r.image.to_string(), facts[name]["manifest_digest"].as_str().unwrap());
        } else {
            assert_eq!(r.layers[0].hex(), facts[name]["blob_sha256"].as_str().unwrap());
        }
    }
}

#[test]
fn no_packages_is_not_clean_with_packages() {
    let r = image("busybox-glibc-oci.tar");
    assert!(r.packages.is_empty() && r.os.is_none());
    assert_eq!(r.coverage, Coverage::NoPackages);
    assert!(r.configuration.runs_as_root);
}

#[test]
fn docker_save_archives() {
    let r = image("docker-save-alpine-310.tar.gz");
    assert_eq!(r.os.as_ref().unwrap().id, "alpine");
    assert_eq!(r.coverage, Coverage::Covered);
    assert!(r.faults.is_empty() && !r.packages.is_empty());
    let r = image("docker-save-dive-whiteouts.tar.zst");
    assert_eq!(r.layers.len(), 14);
    assert!(r.faults.is_empty() && r.unscannable.is_empty(), "{:?} {:?}", r.faults, r.unscannable);
}

/// Every file of a corpus of images good and bad: an answer or a clear error, in any case no panic.
#[test]
fn corpora_of_broken_images() {
    for corpus in ["images/trivy-malformed-oci-layouts.tar.zst", "images/go-containerregistry-testdata.tar.zst"] {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes = Vec::new();
        zstd::Decoder::new(std::fs::File::open(data(corpus)).unwrap()).unwrap().read_to_end(&mut bytes).unwrap();
        tar::Archive::new(&bytes[..]).unpack(dir.path()).unwrap();
        let mut paths = Vec::new();
        gather(dir.path(), &mut paths);
        assert!(paths.len() > 5, "{corpus}: {paths:?}");
        let (mut read, mut refused) = (0, 0);
        for path in paths {
            let (code, stdout, stderr) = run(&[path.to_str().unwrap(), "--format", "json"]);
            assert!(!stderr.contains("panicked"), "{}: {stderr}", path.display());
            match code {
                0 => read += 1,
                2 if stdout.is_empty() => {
                    assert!(stderr.contains(path.file_name().unwrap().to_str().unwrap()), "{}: {stderr}", path.display());
                    refused += 1;
                }
                2 => {
                    let value: serde_json::Value = serde_json::from_str(&stdout).unwrap();
                    assert!(!value["report"]["unscannable"].as_array().unwrap().is_empty());
                    refused += 1;
                }
                other => panic!("{}: exit code {other}: {stderr}", path.display()),
            }
        }
        assert!(read > 0 && refused > 0, "{corpus}: {read} read, {refused} refused");
    }
}

/// Directories with an index.json or oci-layout, and files that are tars.
fn gather(dir: &std::path::Path, to: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.join("index.json").exists() || path.join("oci-layout").exists() {
                to.push(path.clone());
            }
            gather(&path, to);
        } else if path.extension().is_some_and(|e| e == "tar" || e == "oci" || e == "gz") {
            to.push(path);
        }
    }
}

#[test]
fn what_go_makes_of_whiteouts() {
    let dir = tempfile::tempdir().unwrap();
    let mut bytes = Vec::new();
    let corpus = data("images/go-containerregistry-testdata.tar.zst");
    zstd::Decoder::new(std::fs::File::open(corpus).unwrap()).unwrap().read_to_end(&mut bytes).unwrap();
    tar::Archive::new(&bytes[..]).unpack(dir.path()).unwrap();
    let mut paths = Vec::new();
    gather(dir.path(), &mut paths);
    let named = |name: &str| paths.iter().find(|p| p.file_name().is_some_and(|n| n == name)).unwrap_or_else(|| panic!("{name} in {paths:?}")).clone();
    for name in ["whiteout_image.tar", "overwritten_file.tar"] {
        let r = report(named(name).to_str().unwrap());
        assert!(r.unscannable.iter().all(|u| u.reason != UnscannableReason::WorkerCrashed), "{name}: {r:?}");
        assert!(!r.layers.is_empty(), "{name}");
    }
}
