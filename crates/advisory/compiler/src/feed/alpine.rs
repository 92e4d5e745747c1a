//! Alpine secdb: per branch and repository, origin → {fixed version: [ids]}.
//!
//! The service publishes one YAML or JSON document per branch and repository (`packages:`); Aqua's
//! vuln-list splits the same into one JSON file per origin. Both are read.
//! - version `0`: never affected, negative evidence;
//! - an entry may hold several ids in one string (`CVE-2022-2509 GNUTLS-SA-2022-07-07`): its CVEs count, or
//!   its first word when it has none; the rest are other names of the same flaw;
//! - one id under two versions: the higher one;
//! - only fixed issues are listed.
//!
//! The collection of single files is of several days, which its archive does not tell: its streams have no day.

use super::{Advisories, Entry, Extent, FeedError, Fix, Origin, Urgency, archive, is_id, is_name, is_version};
use crate::version::Scheme;
use serde::Deserialize;
use std::collections::BTreeMap;

type SecFixes = BTreeMap<String, Option<Vec<String>>>;

/// A whole branch and repository.
#[derive(Deserialize)]
struct Repository {
    distroversion: String,
    /// Null in a branch that has none.
    #[serde(default)]
    packages: Option<Vec<Wrapped>>,
}

#[derive(Deserialize)]
struct Wrapped {
    pkg: Origined,
}

#[derive(Deserialize)]
struct Origined {
    name: String,
    #[serde(default)]
    secfixes: SecFixes,
}

/// One origin in a file of its own.
#[derive(Deserialize)]
struct Picked {
    name: String,
    distroversion: String,
    #[serde(default)]
    secfixes: SecFixes,
}

pub(super) fn whole(file: &str, bytes: &[u8], all: &mut Advisories) -> Result<(), FeedError> {
    archive::members(file, bytes, |path| path.ends_with(".yaml") || path.ends_with(".json"), |path, text, day| {
        let read = serde_saphyr::from_str::<Repository>(text);
        let repository = read.map_err(|e| malformed(file, path, e.to_string()))?;
        let branch = branch(file, path, &repository.distroversion)?;
        for package in repository.packages.into_iter().flatten() {
            merge(all, &branch, Extent::Whole, day, package.pkg.name, package.pkg.secfixes);
        }
        Ok(())
    })
}

pub(super) fn picks(file: &str, bytes: &[u8], all: &mut Advisories) -> Result<(), FeedError> {
    archive::members(file, bytes, |path| path.ends_with(".json"), |path, text, _| {
        let picked: Picked = serde_json::from_str(text).map_err(|e| malformed(file, path, e.to_string()))?;
        let branch = branch(file, path, &picked.distroversion)?;
        merge(all, &branch, Extent::Excerpt, 0, picked.name, picked.secfixes);
        Ok(())
    })
}

/// `v3.20` to `3.20`.
fn branch(file: &str, path: &str, text: &str) -> Result<String, FeedError> {
    let number = text.strip_prefix('v').unwrap_or(text);
    let good = number.split_once('.').is_some_and(|(a, b)| [a, b].iter().all(|n| (1..=3).contains(&n.len()) && n.bytes().all(|c| c.is_ascii_digit())));
    if good { Ok(number.to_owned()) } else { Err(malformed(file, path, format!("{text:?} is not a branch such as v3.20"))) }
}

fn merge(all: &mut Advisories, branch: &str, extent: Extent, day: u32, name: String, fixes: SecFixes) {
    if !is_name(&name) {
        all.skipped.push(format!("alpine {branch}: origin name {name:?}"));
        return;
    }
    let mut skipped = Vec::new();
    let entries = all.stream("alpine", branch, extent, day).packages.entry(name.clone()).or_default();
    for (version, texts) in fixes {
        let fix = match version.as_str() {
            "0" => Fix::NeverAffected,
            v if is_version(v) => Fix::Version(v.to_owned()),
            v => {
                skipped.push(format!("alpine {branch}: {name}: version {v:?}"));
                continue;
            }
        };
        for text in texts.into_iter().flatten() {
            let ids = ids(&text);
            if ids.is_empty() {
                skipped.push(format!("alpine {branch}: {name}: id {text:?}"));
            }
            for id in ids {
                let new = Entry { fix: fix.clone(), origin: Origin::AlpineSecdb, doubtful: false, urgency: Urgency::None };
                match entries.get(id) {
                    Some(old) if !lower(&old.fix, &new.fix) => {}
                    _ => {
                        entries.insert(id.to_owned(), new);
                    }
                }
            }
        }
    }
    all.skipped.extend(skipped);
}

/// The CVEs of an entry, or its first word.
fn ids(text: &str) -> Vec<&str> {
    let words: Vec<&str> = text.split(|c: char| c.is_whitespace() || "(),;".contains(c)).filter(|w| is_id(w)).collect();
    let cves: Vec<&str> = words.iter().copied().filter(|w| w.starts_with("CVE-")).collect();
    if cves.is_empty() { words.into_iter().take(1).collect() } else { cves }
}

fn lower(a: &Fix, b: &Fix) -> bool {
    match (a.compared(), b.compared()) {
        (Some(a), Some(b)) => Scheme::Apk.compare(&a, &b).is_lt(),
        (None, Some(_)) => true,
        _ => false,
    }
}

fn malformed(file: &str, path: &str, detail: String) -> FeedError {
    FeedError::Malformed { file: format!("{file}: {path}"), detail }
}

#[cfg(test)]
mod tests {
    use super::super::StreamId;
    use super::*;

    fn fixes(all: &Advisories, release: &str, origin: &str) -> BTreeMap<String, Fix> {
        let id = StreamId { distribution: "alpine".into(), release: release.into() };
        all.streams[&id].packages[origin].iter().map(|(id, e)| (id.clone(), e.fix.clone())).collect()
    }

    #[test]
    fn zero_several_ids_and_two_versions() {
        let json = br#"{"name":"a","distroversion":"v3.20","secfixes":{"0":["CVE-2021-1"],
            "1.10-r0":["CVE-2021-2 GNUTLS-SA-1","CVE-2021-3"],"1.9-r0":["CVE-2021-3","ALPINE-7","CVE-2021-1"],"1.8-r0":["CVE-2021-4 (+ CVE-2021-5)"]}}"#;
        let mut all = Advisories::default();
        picks("p", &archive::tests::pack(&[("alpine/3.20/main/a.json", json)]), &mut all).unwrap();
        let v = |t: &str| Fix::Version(t.into());
        let expect = [
            ("ALPINE-7", v("1.9-r0")),
            ("CVE-2021-1", v("1.9-r0")),
            ("CVE-2021-2", v("1.10-r0")),
            ("CVE-2021-3", v("1.10-r0")),
            ("CVE-2021-4", v("1.8-r0")),
            ("CVE-2021-5", v("1.8-r0")),
        ];
        assert_eq!(fixes(&all, "3.20", "a"), expect.map(|(k, f)| (k.to_owned(), f)).into());
    }

    #[test]
    fn the_published_form_in_yaml_and_json() {
        let yaml = "---\ndistroversion: v3.11\nreponame: main\npackages:\n  - pkg:\n      name: b\n      secfixes:\n        0:\n          - CVE-2020-1\n        1.1.1g-r0:\n          - CVE-2020-2\n";
        let json = r#"{"distroversion":"v3.12","packages":[{"pkg":{"name":"b","secfixes":{"1":["CVE-2020-2"]}}}]}"#;
        let mut all = Advisories::default();
        let packed = archive::tests::pack(&[("v3.11/main.yaml", yaml.as_bytes()), ("v3.12/main.json", json.as_bytes())]);
        whole("w", &packed, &mut all).unwrap();
        assert_eq!(fixes(&all, "3.11", "b")["CVE-2020-1"], Fix::NeverAffected);
        assert_eq!(fixes(&all, "3.12", "b").len(), 1);
        assert!(all.streams.values().all(|s| s.as_of == 20200608 && s.extent == Extent::Whole));
        let bad = archive::tests::pack(&[("v3.11/main.yaml", b"distroversion: edge\n")]);
        assert!(whole("w", &bad, &mut all).unwrap_err().to_string().contains("v3.11/main.yaml"));
    }

    /// Aliases that multiply (ten of ten of ten …) are refused or bounded, not unfolded.
    #[test]
    fn an_alias_bomb_does_not_explode() {
        let mut yaml = String::from("distroversion: v3.11\na0: &a0 [CVE-2020-1]\n");
        for n in 1..12 {
            let references = vec![format!("*a{}", n - 1); 10].join(", ");
            yaml.push_str(&format!("a{n}: &a{n} [{references}]\n"));
        }
        yaml.push_str("packages:\n  - pkg:\n      name: b\n      secfixes:\n        1: *a11\n");
        let start = std::time::Instant::now();
        let packed = archive::tests::pack(&[("v3.11/main.yaml", yaml.as_bytes())]);
        assert!(whole("w", &packed, &mut Advisories::default()).is_err());
        assert!(start.elapsed().as_secs() < 5);
    }
}
