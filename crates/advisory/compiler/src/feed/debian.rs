//! Debian: what its own changelogs say, and the DSA list.
//!
//! **Changelog feed**: one JSON object a line, one (release, source, CVE) each, derived from the
//! changelogs of the newest source packages of a release. A fix that came in from sid is older than the
//! release and so never matches an image of it: negative evidence by arithmetic.
//! - `rebuild_unknown`: the fix is recorded for a sid version X, the release's own rebuild `X~deb12u1` lost
//!   the entry; compared with `X~`.
//! - `doubtful`: every changelog line naming the CVE also says "not affected", "revert" or "drop". Kept and
//!   marked: unknown is never harmless.
//! - `also_mentioned_in`: when the fixed version is not one of the release's own (`+deb12u1`, `~deb12u1`) but
//!   an own one mentions the CVE and is lower, the own one is the fix: a fix that was backported before
//!   the newer upstream version was rebuilt.
//! - a version marked for a younger release (`X~deb13u1`, `X-0+deb12u1` in bullseye): this release's own rebuild of
//!   the same X carries a lower mark; compared with `X~`. Only where X itself is the fixed version: a `~` mark,
//!   or a new upstream version (`-0+`).
//! - `changelog_source`: the entry is of the source this one was forked from (`golang-1.19` from `golang`). A
//!   version with an epoch there follows another numbering; the fork began after the fix: never affected.
//!
//! **DSA list** (tracker format): `[date] DSA-n-m source - title`, `{CVE …}`, `[release] - source version`. It
//! overrules the changelog for its (source, CVE); several DSAs for one CVE: the highest version;
//! `<not-affected>` is negative evidence; an advisory without CVE is its own id, unless it is a
//! regression update, which names no new flaw. `<unfixed>`, `<end-of-life>` and notes are left out: the
//! format of the list puts them in the CVE list, which is not part of it.

use super::{Advisories, Entry, Extent, FeedError, Fix, Origin, Urgency, archive, is_id, is_name, is_version};
use crate::version::Scheme;
use serde::Deserialize;

/// Code name, VERSION_ID, mark of the release's own uploads.
const RELEASES: [(&str, &str, &str); 2] = [("bookworm", "12", "deb12u"), ("bullseye", "11", "deb11u")];

#[derive(Deserialize)]
struct Row {
    release: String,
    source: String,
    cve: String,
    fixed_version: String,
    #[serde(default)]
    date: String,
    #[serde(default)]
    also_mentioned_in: Vec<String>,
    #[serde(default)]
    doubtful: bool,
    #[serde(default)]
    rebuild_unknown: bool,
    #[serde(default)]
    changelog_source: Option<String>,
    #[serde(default)]
    urgency: String,
}

pub(super) fn changelog(file: &str, bytes: &[u8], all: &mut Advisories) -> Result<(), FeedError> {
    for (n, line) in archive::text(file, bytes)?.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let malformed = |detail: String| FeedError::Malformed { file: format!("{file}, line {}", n + 1), detail };
        let row: Row = serde_json::from_str(line).map_err(|e| malformed(e.to_string()))?;
        let Some((_, release, own)) = RELEASES.iter().find(|r| r.0 == row.release) else {
            return Err(malformed(format!("release {:?} is unknown", row.release)));
        };
        if !is_id(&row.cve) || !is_name(&row.source) || !is_version(&row.fixed_version) {
            return Err(malformed(format!("not an advisory: {:?} {:?} {:?}", row.source, row.cve, row.fixed_version)));
        }
        let fixed = own_fix(&row, own).unwrap_or(&row.fixed_version).to_owned();
        let inherited = row.changelog_source.is_some() && fixed.contains(':');
        let entry = Entry {
            fix: if inherited {
                Fix::NeverAffected
            } else if let Some(base) = younger_release(&fixed, own) {
                Fix::RebuildOf(base.to_owned())
            } else if row.rebuild_unknown && fixed == row.fixed_version {
                Fix::RebuildOf(fixed)
            } else {
                Fix::Version(fixed)
            },
            origin: Origin::DebianChangelog,
            doubtful: row.doubtful,
            urgency: urgency(&row.urgency),
        };
        let stream = all.stream("debian", release, Extent::Excerpt, super::day(&row.date).unwrap_or(0));
        put(stream.packages.entry(row.source).or_default(), row.cve, entry);
    }
    Ok(())
}

/// The lowest of the release's own versions that mention the CVE, when the recorded one is not its own.
fn own_fix<'r>(row: &'r Row, own: &str) -> Option<&'r str> {
    if row.fixed_version.contains(own) {
        return None;
    }
    let mentioned = row.also_mentioned_in.iter().map(String::as_str).filter(|v| v.contains(own) && is_version(v));
    let lowest = mentioned.min_by_key(|v| Scheme::Dpkg.key(v))?;
    (Scheme::Dpkg.compare(lowest, &row.fixed_version).is_lt()).then_some(lowest)
}

/// `X` of a version `X~deb13u1` or `X-0+deb12u1` that is marked for a release younger than `own` (`deb11u`).
fn younger_release<'v>(version: &'v str, own: &str) -> Option<&'v str> {
    let number = |mark: &str| mark.strip_prefix("deb")?.split('u').next()?.parse::<u32>().ok();
    let at = version.rfind("deb").filter(|at| number(&version[*at..]) > number(own))?;
    let base = version[..at].strip_suffix('~').or_else(|| version[..at].strip_suffix('+').filter(|b| b.ends_with("-0")))?;
    (!base.is_empty()).then_some(base)
}

pub(super) fn dsa(file: &str, bytes: &[u8], all: &mut Advisories) -> Result<(), FeedError> {
    archive::members(file, bytes, |path| path.ends_with("DSA/list"), |_, text, day| {
        let mut ids: Vec<&str> = Vec::new();
        for line in text.lines() {
            let inner = line.trim_start();
            if line.len() == inner.len() {
                ids = heading(line).into_iter().collect();
            } else if let Some(cves) = inner.strip_prefix('{').and_then(|t| t.trim_end().strip_suffix('}')) {
                ids = cves.split_whitespace().filter(|c| c.starts_with("CVE-") && is_id(c)).collect();
            } else if let Some((release, source, fix)) = fixed_line(inner) {
                let packages = &mut all.stream("debian", release, Extent::Excerpt, day).packages;
                for id in &ids {
                    let entries = packages.entry(source.to_owned()).or_default();
                    let urgency = entries.get(*id).map_or(Urgency::None, |e| e.urgency);
                    let entry = Entry { fix: fix.clone(), origin: Origin::DebianDsa, doubtful: false, urgency };
                    put(entries, (*id).to_owned(), entry);
                }
            }
        }
        Ok(())
    })
}

/// The id of an advisory that has no CVE: `DSA-5356-1`; none for a regression update or anything else.
fn heading(line: &str) -> Option<&str> {
    let (_, rest) = line.strip_prefix('[')?.split_once("] ")?;
    let id = rest.split_whitespace().next()?;
    (id.starts_with("DSA-") && is_id(id) && !rest.contains("regression")).then_some(id)
}

/// `[bullseye] - xen 4.14.5+94-ge49571868d-1`; `None` for other releases and other states.
fn fixed_line(line: &str) -> Option<(&'static str, &str, Fix)> {
    let (code, rest) = line.strip_prefix('[')?.split_once("] - ")?;
    let release = RELEASES.iter().find(|r| r.0 == code)?.1;
    let mut words = rest.split_whitespace();
    let (source, version) = (words.next()?, words.next()?);
    let fix = match version {
        "<not-affected>" => Fix::NeverAffected,
        v if v.starts_with('<') || !is_version(v) => return None,
        v => Fix::Version(v.to_owned()),
    };
    is_name(source).then_some((release, source, fix))
}

/// The DSA overrules the changelog; within one feed the higher fix stands.
fn put(entries: &mut std::collections::BTreeMap<String, Entry>, id: String, new: Entry) {
    match entries.get(&id) {
        Some(old) if old.origin == new.origin && higher(&old.fix, &new.fix) => {}
        _ => {
            entries.insert(id, new);
        }
    }
}

fn higher(a: &Fix, b: &Fix) -> bool {
    match (a.compared(), b.compared()) {
        (Some(a), Some(b)) => Scheme::Dpkg.compare(&a, &b).is_gt(),
        (Some(_), None) => true,
        _ => false,
    }
}

fn urgency(word: &str) -> Urgency {
    match word {
        "low" => Urgency::Low,
        "medium" => Urgency::Medium,
        "high" => Urgency::High,
        "emergency" => Urgency::Emergency,
        "critical" => Urgency::Critical,
        _ => Urgency::None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::StreamId;
    use super::*;

    fn entry<'a>(all: &'a Advisories, release: &str, source: &str, id: &str) -> Option<&'a Entry> {
        let stream = StreamId { distribution: "debian".into(), release: release.into() };
        all.streams.get(&stream)?.packages.get(source)?.get(id)
    }

    #[test]
    fn changelog_rows() {
        let rows = concat!(
            r#"{"release":"bookworm","source":"chromium","cve":"CVE-2025-5063","fixed_version":"137.0-1","date":"2025-05-27","advisory_kind":"unstable","dist":"unstable","urgency":"high","rebuild_unknown":true}"#, "\n",
            r#"{"release":"bookworm","source":"flatpak","cve":"CVE-2024-32462","fixed_version":"1.14.6-1~deb13u1","also_mentioned_in":["1.14.8-1","1.14.4-1+deb12u1"],"urgency":"high"}"#, "\n",
            r#"{"release":"bookworm","source":"golang-1.19","cve":"CVE-2015-8618","fixed_version":"2:1.5.3-1","changelog_source":"golang","urgency":"low"}"#, "\n",
            r#"{"release":"bullseye","source":"x","cve":"CVE-2020-1","fixed_version":"1-1+deb11u1","doubtful":true,"urgency":"low"}"#, "\n",
        );
        let mut all = Advisories::default();
        changelog("f", &zstd::encode_all(rows.as_bytes(), 1).unwrap(), &mut all).unwrap();
        assert_eq!(entry(&all, "12", "chromium", "CVE-2025-5063").unwrap().fix, Fix::RebuildOf("137.0-1".into()));
        assert_eq!(entry(&all, "12", "flatpak", "CVE-2024-32462").unwrap().fix, Fix::Version("1.14.4-1+deb12u1".into()));
        assert_eq!(entry(&all, "12", "golang-1.19", "CVE-2015-8618").unwrap().fix, Fix::NeverAffected);
        let x = entry(&all, "11", "x", "CVE-2020-1").unwrap();
        assert!(x.doubtful && x.urgency == Urgency::Low);
    }

    #[test]
    fn marks_of_younger_releases() {
        for (version, own, base) in [
            ("16.02+really26.02+dfsg-0+deb12u1", "deb11u", Some("16.02+really26.02+dfsg-0")),
            ("1.14.6-1~deb13u1", "deb12u", Some("1.14.6-1")),
            ("1.14.6-1~deb12u1", "deb12u", None),
            ("1.14.6-1~deb10u1", "deb11u", None),
            ("1.2-3+deb12u4", "deb11u", None),
            ("1.2-3", "deb11u", None),
            ("~deb12u1", "deb11u", None),
            ("1deb", "deb11u", None),
            ("1-1~deb99999999999u1", "deb11u", None),
        ] {
            assert_eq!(younger_release(version, own), base, "{version}");
        }
    }

    #[test]
    fn a_bad_row_is_named_by_line() {
        let packed = zstd::encode_all(&b"\n{\"release\":\"bookworm\"}\n"[..], 1).unwrap();
        let error = changelog("f.zst", &packed, &mut Advisories::default()).unwrap_err().to_string();
        assert!(error.contains("f.zst, line 2"), "{error}");
    }

    #[test]
    fn dsa_lines() {
        let list = "[29 Mar 2023] DSA-2-1 a - security update\n\t{CVE-2023-1 CVE-2023-2}\n\t[bullseye] - a 1.2-1+deb11u2\n\
            [20 Mar 2023] DSA-1-1 a - security update\n\t{CVE-2023-1}\n\t[bullseye] - a 1.2-1+deb11u1\n\t[buster] - a 1.1\n\
            [17 Mar 2023] DSA-5356-2 sox - regression update\n\t[bullseye] - sox 14.4.2-2\n\
            [17 Mar 2023] DSA-9-1 b - security update\n\t[bullseye] - b 2.0-1\n\
            [17 Mar 2023] DSA-8-1 c - security update\n\t{CVE-2023-3}\n\t[bullseye] - c <not-affected> (later)\n\tNOTE: x\n";
        let packed = archive::tests::pack(&[("data/DSA/list", list.as_bytes())]);
        let mut all = Advisories::default();
        let changelog_row = r#"{"release":"bullseye","source":"a","cve":"CVE-2023-2","fixed_version":"9.9-1","rebuild_unknown":true,"urgency":"high"}"#;
        changelog("f", &zstd::encode_all(changelog_row.as_bytes(), 1).unwrap(), &mut all).unwrap();
        dsa("d", &packed, &mut all).unwrap();
        let fix = |s: &str, id: &str| entry(&all, "11", s, id).map(|e| e.fix.clone());
        assert_eq!(fix("a", "CVE-2023-1"), Some(Fix::Version("1.2-1+deb11u2".into())), "highest of two DSAs");
        assert_eq!(fix("a", "CVE-2023-2"), Some(Fix::Version("1.2-1+deb11u2".into())), "DSA overrules");
        assert_eq!(entry(&all, "11", "a", "CVE-2023-2").unwrap().urgency, Urgency::High);
        assert_eq!(fix("sox", "DSA-5356-2"), None);
        assert_eq!(fix("b", "DSA-9-1"), Some(Fix::Version("2.0-1".into())));
        assert_eq!(fix("c", "CVE-2023-3"), Some(Fix::NeverAffected));
        assert_eq!(all.streams.len(), 1);
    }
}
