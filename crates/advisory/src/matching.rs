//! Which advisories apply to which installed packages.
//!
//! **What is compared.** Debian: *source* name and *source* version (a binary's own version may carry a
//! rebuild mark `+b1` that no advisory knows). Alpine: *origin* and its version. An entry applies when the
//! installed version is lower than the fixed one; "never affected" entries apply to nothing. One
//! finding per (source, source version, advisory): a fix is one upgrade of the source, however many of
//! its binaries are installed; the finding shows the binary that is named like the source, or the first.
//!
//! **Which data.** Debian by VERSION_ID (12 bookworm, 11 bullseye). Alpine by the branch of
//! `/etc/apk/repositories`, because that is where the packages came from, then by VERSION_ID. Pinned
//! repositories (`@tag …`) do not name the system's branch. Two branches or edge: not covered; a single
//! stable branch beside them is still matched.
//!
//! **What covered means.** That the database has data for the release, no more: every feed lists fixed
//! issues only. Where a feed is an excerpt (Debian's, and some Alpine branches), packages it does not name
//! are listed in [`Matches::silent`]: nothing is known about them. Where a feed is whole, a package it does
//! not name had no fixed issue up to the feed's date, [`Matches::as_of`]. Packages of other kinds (language
//! packages, a foreign package manager) are silent too. A system that is recognised but has no data,
//! packages without a recognised system, and a recognised system without package database are
//! [`Coverage::NotCovered`] with the reason: silence never reads as clean.
//!
//! **Doubtful** entries (changelog lines that also say "not affected", "revert" or "drop") are reported
//! and marked 存疑 in the basis: the person who reads the changelog decides, not the program.

use crate::database::{Cve, Database, DatabaseError, Entry, Stream, day_text};
use jinwu_advisory_compiler::{Scheme, format};
use jinwu_model::Text;
use jinwu_model::report::{Coverage, Os, Package, Vulnerability};
use jinwu_standard::grading::{Known, grade};
use std::collections::{BTreeMap, BTreeSet};

/// The answer for one image.
#[derive(Clone, Debug, PartialEq)]
pub struct Matches {
    pub coverage: Coverage,
    /// Sorted by source name, then advisory.
    pub vulnerabilities: Vec<Vulnerability>,
    /// Packages no data speaks about, `ecosystem/source`, sorted. Not clean: unknown.
    pub silent: Vec<String>,
    /// Day of the youngest feed used; absent when nothing was matched or the feed is of several days.
    pub as_of: Option<String>,
}

/// A system the rules know.
struct System<'s> {
    distribution: &'s str,
    ecosystem: &'s str,
    scheme: Scheme,
    /// Release to match against; absent when none can be named.
    release: Option<String>,
    /// Why it is not (fully) covered, if so.
    doubt: Option<Text>,
}

// === impl Database ===

impl Database {
    /// Matches installed packages against the data for the system they are installed in.
    ///
    /// `apk_repositories` are the lines of `/etc/apk/repositories`. Total: a damaged database, which
    /// [`Database::open`] refuses anyway, gives [`Coverage::NotCovered`].
    pub fn match_packages(&self, os: Option<&Os>, apk_repositories: &[String], packages: &[Package]) -> Matches {
        self.try_match(os, apk_repositories, packages).unwrap_or_else(|e| {
            not_covered(Text::new(format!("漏洞库损坏:{e}"), format!("advisory database: {e}")), packages)
        })
    }

    fn try_match(&self, os: Option<&Os>, repositories: &[String], packages: &[Package]) -> Result<Matches, DatabaseError> {
        let Some(os) = os else {
            if packages.is_empty() {
                return Ok(Matches { coverage: Coverage::NoPackages, vulnerabilities: vec![], silent: vec![], as_of: None });
            }
            let why = Text::new("未识别操作系统(缺少 os-release),其软件包无漏洞数据", "operating system not recognised (no os-release): no advisory data for its packages");
            return Ok(not_covered(why, packages));
        };
        let Some(system) = system(os, repositories) else {
            return Ok(not_covered(self.no_data(os)?, packages));
        };
        let stream = match &system.release {
            Some(release) => self.stream(system.distribution, release)?,
            None => None,
        };
        let Some(stream) = stream else {
            let why = match system.doubt {
                Some(doubt) => doubt,
                None => self.no_data(os)?,
            };
            return Ok(not_covered(why, packages));
        };
        let mut matches = self.match_stream(&system, stream, packages)?;
        let empty = !packages.iter().any(|p| p.ecosystem == system.ecosystem);
        let doubt = system.doubt.or_else(|| empty.then(|| no_database(os)));
        if let Some(why) = doubt {
            matches.coverage = Coverage::NotCovered { reason: why.to_string() };
        }
        Ok(matches)
    }

    fn match_stream(&self, system: &System<'_>, stream: Stream, packages: &[Package]) -> Result<Matches, DatabaseError> {
        let mut groups: BTreeMap<(&str, &str), Vec<&Package>> = BTreeMap::new();
        let mut silent = BTreeSet::new();
        for package in packages {
            if package.ecosystem == system.ecosystem {
                groups.entry(compared(package)).or_default().push(package);
            } else {
                silent.insert(label(package));
            }
        }
        let mut vulnerabilities = Vec::new();
        for ((name, version), members) in groups {
            let Some(entries) = self.entries(stream, name)? else {
                if stream.excerpt {
                    silent.insert(format!("{}/{name}", system.ecosystem));
                }
                continue;
            };
            let installed = system.scheme.key(version);
            let Some(shown) = members.iter().min_by_key(|p| (p.name != name, &p.name, &p.architecture, &p.location)) else { continue };
            for entry in entries {
                let entry = entry?;
                if entry.key.is_some_and(|fixed| installed.as_slice() < fixed) {
                    vulnerabilities.push(vulnerability(&entry, self.cve(entry.id)?, shown, name, version));
                }
            }
        }
        Ok(Matches {
            coverage: Coverage::Covered,
            vulnerabilities,
            silent: silent.into_iter().collect(),
            as_of: (stream.as_of != 0).then(|| day_text(stream.as_of)),
        })
    }

    fn no_data(&self, os: &Os) -> Result<Text, DatabaseError> {
        let named = if os.name.is_empty() { format!("{} {}", os.id, os.version) } else { os.name.clone() };
        let known = self.releases_of(&os.id)?.join(", ");
        Ok(if known.is_empty() {
            Text::new(format!("漏洞库不含 {named} 的数据"), format!("the advisory database has no data for {named}"))
        } else {
            Text::new(
                format!("漏洞库不含 {named} 的数据(该系统已有数据的版本:{known})"),
                format!("the advisory database has no data for {named} (releases of this system with data: {known})"),
            )
        })
    }
}

fn not_covered(why: Text, packages: &[Package]) -> Matches {
    let silent: BTreeSet<String> = packages.iter().map(label).collect();
    Matches {
        coverage: Coverage::NotCovered { reason: why.to_string() },
        vulnerabilities: Vec::new(),
        silent: silent.into_iter().collect(),
        as_of: None,
    }
}

fn no_database(os: &Os) -> Text {
    Text::new(
        format!("识别为 {} {},但镜像中没有其软件包数据库,无法匹配漏洞", os.id, os.version),
        format!("recognised as {} {}, but its package database is not in the image: nothing to match", os.id, os.version),
    )
}

/// Name and version advisories speak of; a package without source fields is its own source.
fn compared(package: &Package) -> (&str, &str) {
    let own = |source: &'_ str| source.is_empty();
    let name = if own(&package.source_name) { &package.name } else { &package.source_name };
    let version = if own(&package.source_version) { &package.version } else { &package.source_version };
    (name, version)
}

fn label(package: &Package) -> String {
    format!("{}/{}", package.ecosystem, compared(package).0)
}

fn system<'s>(os: &'s Os, repositories: &[String]) -> Option<System<'s>> {
    match os.id.as_str() {
        "debian" => {
            let release = os.version.split('.').next().filter(|v| !v.is_empty()).map(str::to_owned);
            Some(System { distribution: "debian", ecosystem: "deb", scheme: Scheme::Dpkg, release, doubt: None })
        }
        "alpine" => {
            let (release, doubt) = branch(&os.version, repositories);
            Some(System { distribution: "alpine", ecosystem: "apk", scheme: Scheme::Apk, release, doubt })
        }
        _ => None,
    }
}

/// The Alpine branch packages come from, and why that is doubtful.
fn branch(version: &str, repositories: &[String]) -> (Option<String>, Option<Text>) {
    let mut stable = BTreeSet::new();
    let mut edge = false;
    for line in repositories.iter().map(|l| l.trim()).filter(|l| !l.is_empty() && !l.starts_with(['#', '@'])) {
        // …/v3.20/main: the branch stands before the repository; a mirror's own path may hold anything.
        for part in line.trim_end_matches('/').rsplit('/').take(2) {
            edge |= part == "edge";
            stable.extend(part.strip_prefix('v').and_then(minor));
        }
    }
    let named: Vec<String> = stable.into_iter().collect();
    let mixed = |with: &str| {
        Text::new(
            format!("/etc/apk/repositories 混用多个分支({with}),漏洞数据不能覆盖"),
            format!("/etc/apk/repositories mixes branches ({with}): advisory data cannot cover it"),
        )
    };
    match (&named[..], edge) {
        ([one], false) => (Some(one.clone()), None),
        ([one], true) => (Some(one.clone()), Some(mixed(&format!("{one}, edge")))),
        ([], true) => (None, Some(Text::new("Alpine edge 是滚动分支,没有漏洞数据", "Alpine edge is rolling: no advisory data for it"))),
        ([], false) => (version_branch(version), None),
        _ => (None, Some(mixed(&named.join(", ")))),
    }
}

/// `3.20.3` to `3.20`; nothing for `3.21.0_alpha20240923`, which is edge.
fn version_branch(version: &str) -> Option<String> {
    let clean = version.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let mut parts = version.split('.');
    let (major, minor_part) = (parts.next()?, parts.next()?);
    if clean { minor(&format!("{major}.{minor_part}")) } else { None }
}

/// `3.20` as it is, when it is a branch number.
fn minor(text: &str) -> Option<String> {
    let (a, b) = text.split_once('.')?;
    let number = |n: &str| (1..=3).contains(&n.len()) && n.bytes().all(|c| c.is_ascii_digit());
    (number(a) && number(b)).then(|| text.to_owned())
}

fn vulnerability(entry: &Entry<'_>, cve: Cve<'_>, shown: &Package, name: &str, version: &str) -> Vulnerability {
    let word = format::urgency(entry.flags).map(|w| format!("Debian changelog urgency {w}"));
    let since = cve.exploited.map(day_text);
    let mut graded = grade(Known {
        vector: cve.vector,
        vector_source: cve.vector_source,
        vendor_word: word.as_deref(),
        exploited_since: since.as_deref(),
    });
    if entry.flags & format::DOUBTFUL != 0 {
        graded.basis.zh.push_str(";存疑:更新日志中提及该编号处同时含有“不受影响/回退/移除”字样,待确认");
        graded.basis.en.push_str("; doubtful: the changelog lines naming it also say not affected, revert or drop; to be confirmed");
    }
    if entry.flags & format::REBUILD != 0 {
        graded.basis.zh.push_str(";修复版本为该版本在本发行版的重新构建");
        graded.basis.en.push_str("; fixed by this release's rebuild of that version");
    }
    Vulnerability {
        id: entry.id.to_owned(),
        package: shown.clone(),
        matched_name: name.to_owned(),
        compared_version: version.to_owned(),
        fixed_version: entry.fixed.map(str::to_owned),
        source: format::origin(entry.flags).map_or("unknown", |o| o.as_str()).to_owned(),
        grade: graded.grade,
        grade_basis: graded.basis.to_string(),
        cvss_vector: cve.vector.map(str::to_owned),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::feed::{Advisories, Cve, Entry, Extent, Fix, Origin, Stream, StreamId, Urgency};
    use jinwu_model::Grade;
    use jinwu_model::report::Location;

    pub(crate) fn alpine(version: &str) -> Os {
        Os { id: "alpine".into(), version: version.into(), name: format!("Alpine Linux {version}") }
    }

    fn debian(version: &str) -> Os {
        Os { id: "debian".into(), version: version.into(), name: String::new() }
    }

    pub(crate) fn package(ecosystem: &str, name: &str, version: &str) -> Package {
        binary(ecosystem, name, version, name, version)
    }

    fn binary(ecosystem: &str, name: &str, version: &str, source: &str, source_version: &str) -> Package {
        Package {
            ecosystem: ecosystem.into(),
            name: name.into(),
            version: version.into(),
            source_name: source.into(),
            source_version: source_version.into(),
            architecture: "amd64".into(),
            location: Location { layer: None, path: "var/lib/dpkg/status".into(), inner: None, line: None, deleted: false, owner: None },
        }
    }

    fn database() -> Database {
        let mut all = Advisories::default();
        let mut add = |distribution: &str, release: &str, extent, name: &str, id: &str, fix: Fix, doubtful| {
            let id_ = StreamId { distribution: distribution.into(), release: release.into() };
            let stream = all.streams.entry(id_).or_insert(Stream { extent, as_of: 20240102, packages: BTreeMap::new() });
            let origin = if distribution == "alpine" { Origin::AlpineSecdb } else { Origin::DebianChangelog };
            let entry = Entry { fix, origin, doubtful, urgency: if distribution == "debian" { Urgency::High } else { Urgency::None } };
            stream.packages.entry(name.into()).or_default().insert(id.into(), entry);
        };
        let v = |t: &str| Fix::Version(t.into());
        add("debian", "12", Extent::Excerpt, "perl", "CVE-2026-1", v("5.36.0-7+deb12u4"), false);
        add("debian", "12", Extent::Excerpt, "chromium", "CVE-2026-2", Fix::RebuildOf("137.0-1".into()), false);
        add("debian", "12", Extent::Excerpt, "gzip", "CVE-2026-3", v("1.12-1+deb12u1"), true);
        add("alpine", "3.20", Extent::Excerpt, "busybox", "CVE-2024-1", v("1.36.1-r30"), false);
        add("alpine", "3.20", Extent::Excerpt, "busybox", "CVE-2024-2", Fix::NeverAffected, false);
        add("alpine", "3.11", Extent::Whole, "openssl", "CVE-2020-1", v("1.1.1g-r0"), false);
        let vector = Some(("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H".into(), "cna".into()));
        all.cves.insert("CVE-2024-1".into(), Cve { vector, exploited: Some(20250825) });
        Database::from_bytes(format::write(&all).unwrap()).unwrap()
    }

    fn ids(m: &Matches) -> Vec<&str> {
        m.vulnerabilities.iter().map(|v| v.id.as_str()).collect()
    }

    fn reason(m: &Matches) -> &str {
        match &m.coverage {
            Coverage::NotCovered { reason } => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn debian_compares_source_versions() {
        let d = database();
        // A binNMU: the binary's own version would sort after the fix's neighbour; the source counts.
        let old = binary("deb", "libperl5.36", "5.36.0-7+deb12u3+b9", "perl", "5.36.0-7+deb12u3");
        let base = binary("deb", "perl-base", "5.36.0-7+deb12u3", "perl", "5.36.0-7+deb12u3");
        let m = d.match_packages(Some(&debian("12")), &[], &[old, base, package("deb", "tzdata", "2026a-0")]);
        assert_eq!((ids(&m), &m.coverage), (vec!["CVE-2026-1"], &Coverage::Covered));
        let v = &m.vulnerabilities[0];
        assert_eq!((v.package.name.as_str(), v.matched_name.as_str()), ("libperl5.36", "perl"));
        assert_eq!((v.compared_version.as_str(), v.fixed_version.as_deref()), ("5.36.0-7+deb12u3", Some("5.36.0-7+deb12u4")));
        assert_eq!((v.grade, v.source.as_str()), (Grade::Ungraded, "debian-changelog"));
        assert!(v.grade_basis.contains("未定级") && v.grade_basis.contains("urgency high"), "{}", v.grade_basis);
        assert_eq!(m.silent, ["deb/tzdata"]);
        assert_eq!(m.as_of.as_deref(), Some("2024-01-02"));
        let fixed = d.match_packages(Some(&debian("12")), &[], &[package("deb", "perl", "5.36.0-7+deb12u4")]);
        assert!(fixed.vulnerabilities.is_empty());
    }

    #[test]
    fn a_rebuild_of_the_fix_is_fixed_and_doubt_is_said() {
        let d = database();
        let with = |name: &str, version: &str| d.match_packages(Some(&debian("12")), &[], &[package("deb", name, version)]);
        assert!(ids(&with("chromium", "137.0-1~deb12u1")).is_empty());
        let m = with("chromium", "136.0-1~deb12u1");
        assert_eq!(m.vulnerabilities[0].fixed_version.as_deref(), Some("137.0-1"));
        assert!(m.vulnerabilities[0].grade_basis.contains("rebuild"));
        assert!(with("gzip", "1.12-1").vulnerabilities[0].grade_basis.contains("存疑"));
    }

    #[test]
    fn alpine_groups_by_origin_and_never_affected_matches_nothing() {
        let d = database();
        let client = binary("apk", "ssl_client", "1.36.1-r29", "busybox", "1.36.1-r29");
        let m = d.match_packages(Some(&alpine("3.20.3")), &[], &[client.clone(), package("apk", "busybox", "1.36.1-r29")]);
        assert_eq!(ids(&m), ["CVE-2024-1"]);
        let v = &m.vulnerabilities[0];
        assert_eq!((v.package.name.as_str(), v.grade), ("busybox", Grade::Critical));
        assert!(v.grade_basis.contains("附录 D") && v.grade_basis.contains("known exploited (CISA KEV, 2025-08-25)"));
        let alone = d.match_packages(Some(&alpine("3.20.3")), &[], &[client]);
        assert_eq!(alone.vulnerabilities[0].package.name, "ssl_client");
    }

    #[test]
    fn silence_of_a_whole_feed_differs_from_that_of_an_excerpt() {
        let d = database();
        let zlib = [package("apk", "zlib", "1"), package("npm", "lodash", "4")];
        assert_eq!(d.match_packages(Some(&alpine("3.11.5")), &[], &zlib).silent, ["npm/lodash"]);
        assert_eq!(d.match_packages(Some(&alpine("3.20.5")), &[], &zlib).silent, ["apk/zlib", "npm/lodash"]);
    }

    #[test]
    fn nothing_known_never_reads_as_clean() {
        let d = database();
        let some = [package("apk", "busybox", "1.36.1-r29")];
        let m = d.match_packages(Some(&alpine("3.15.11")), &[], &some);
        assert!(reason(&m).contains("3.15.11") && reason(&m).contains("3.11, 3.20") && m.vulnerabilities.is_empty());
        assert_eq!(m.silent, ["apk/busybox"]);
        for os in [alpine("3.21.0_alpha20240923"), alpine(""), debian(""), debian("13"), debian("sid")] {
            let m = d.match_packages(Some(&os), &[], &some);
            assert!(!reason(&m).is_empty(), "{os:?}");
        }
        let ubuntu = Os { id: "ubuntu".into(), version: "22.04".into(), name: "Ubuntu 22.04".into() };
        assert!(reason(&d.match_packages(Some(&ubuntu), &[], &[])).contains("Ubuntu 22.04"));
        assert!(reason(&d.match_packages(None, &[], &some)).contains("os-release"));
        assert!(reason(&d.match_packages(Some(&alpine("3.20.3")), &[], &[])).contains("package database"));
        assert!(reason(&d.match_packages(Some(&alpine("3.20.3")), &[], &[package("deb", "busybox", "1")])).contains("package database"));
        assert_eq!(d.match_packages(None, &[], &[]).coverage, Coverage::NoPackages);
    }

    #[test]
    fn repositories_name_the_branch_before_os_release() {
        let d = database();
        let some = [package("apk", "busybox", "1.36.1-r29")];
        let with = |version: &str, lines: &[&str]| {
            let lines: Vec<String> = lines.iter().map(|l| (*l).to_owned()).collect();
            d.match_packages(Some(&alpine(version)), &lines, &some)
        };
        let cdn = "https://dl-cdn.alpinelinux.org/alpine";
        let m = with("3.15.11", &[&format!("{cdn}/v3.20/main"), &format!("{cdn}/v3.20/community"), "#x/edge/main", &format!("@e {cdn}/edge/main")]);
        assert_eq!((m.coverage.clone(), ids(&m).len()), (Coverage::Covered, 1));
        assert!(reason(&with("3.20.3", &[&format!("{cdn}/edge/main")])).contains("edge"));
        let m = with("3.20.3", &[&format!("{cdn}/v3.20/main"), &format!("{cdn}/edge/testing")]);
        assert!(reason(&m).contains("3.20, edge"));
        assert_eq!(ids(&m).len(), 1, "what is known is still reported");
        assert!(reason(&with("3.20.3", &[&format!("{cdn}/v3.20/main"), &format!("{cdn}/v3.11/main")])).contains("3.11, 3.20"));
        assert!(reason(&with("3.20.3", &[&format!("{cdn}/v3.19/main")])).contains("no data"));
        assert_eq!(with("3.20.3", &["/media/cdrom/apks"]).coverage, Coverage::Covered);
        assert_eq!(with("3.20.3", &["https://mirror/v1.2/edge/alpine/v3.20/main/"]).coverage, Coverage::Covered);
    }

    proptest::proptest! {
        #[test]
        fn no_system_panics(id in "(debian|alpine|[a-z]{0,6})", version in ".{0,12}", lines in proptest::collection::vec(".{0,40}|https://x/v[0-9.]{0,6}/main", 0..4), v in ".{0,20}") {
            let os = Os { id, version, name: String::new() };
            let packages = ["perl", "busybox"].map(|n| [package("deb", n, &v), package("apk", n, &v)]).concat();
            let _ = database().match_packages(Some(&os), &lines, &packages);
        }
    }
}
