//! Feeds: who says which version of what is fixed. One module per form, all of them read bytes that came
//! from elsewhere: damaged or hostile input is an error that names the file and the place, or, for a
//! single unusable entry of a feed known to be dirty, a line in [`Advisories::skipped`].
//!
//! A feed describes **streams**: one release of one distribution. What its silence about a package means
//! differs and is kept with the stream ([`Extent`]): a whole feed knows no fixed issue of that package up
//! to its date, an excerpt says nothing at all. Neither lists unfixed issues.

mod alpine;
mod archive;
mod debian;
mod severity;

use std::collections::BTreeMap;
use std::path::Path;

/// Feed files by name, unread. The names decide which parser reads them; a name no parser knows is left alone.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    pub files: BTreeMap<String, Vec<u8>>,
}

/// Everything the feeds say, normalised and merged.
#[derive(Clone, Debug, Default)]
pub struct Advisories {
    pub streams: BTreeMap<StreamId, Stream>,
    /// Per CVE: severity vector and known exploitation.
    pub cves: BTreeMap<String, Cve>,
    /// Feed entries that could not be used, in words.
    pub skipped: Vec<String>,
}

/// A release of a distribution: (`debian`, `12`), (`alpine`, `3.20`), as os-release spells them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId {
    pub distribution: String,
    pub release: String,
}

#[derive(Clone, Debug)]
pub struct Stream {
    pub extent: Extent,
    /// Day of the youngest feed in it, `yyyymmdd`; 0 when the feed is a collection of several days.
    pub as_of: u32,
    /// By source (Debian) or origin (Alpine) name, then by advisory id.
    pub packages: BTreeMap<String, BTreeMap<String, Entry>>,
}

/// What silence about a package means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The feed covers every package of the release: no fixed issue known on its date.
    Whole,
    /// The feed covers some packages: silence says nothing.
    Excerpt,
}

/// One advisory for one package of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub fix: Fix,
    pub origin: Origin,
    /// The text behind the entry is ambiguous ("not affected", "revert", "drop"); reported, and said so.
    pub doubtful: bool,
    pub urgency: Urgency,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fix {
    /// Stated to be never affected: negative evidence, matches nothing.
    NeverAffected,
    /// Fixed in this version.
    Version(String),
    /// Fixed by an unrecorded rebuild `X~…` of this version X: compare with `X~`.
    RebuildOf(String),
}

/// Which kind of feed an entry came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    DebianChangelog,
    DebianDsa,
    AlpineSecdb,
}

/// Debian changelog urgency; shown when there is no vector, never graded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    None,
    Low,
    Medium,
    High,
    Emergency,
    Critical,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cve {
    /// CVSS v3 vector and who gave it.
    pub vector: Option<(String, String)>,
    /// Day it entered CISA's known exploited vulnerabilities, `yyyymmdd`.
    pub exploited: Option<u32>,
}

/// Why feeds cannot be compiled.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    #[error("feed {file}: {detail}")]
    Malformed { file: String, detail: String },
    #[error("feed {file} is larger than {bound} bytes uncompressed")]
    TooLarge { file: String, bound: u64 },
    #[error("{path}: {source}")]
    Io {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("{0} holds no advisory feed; known file names are {known}", known = FILES.map(|f| f.0).join(", "))]
    Nothing(String),
}

type Parser = fn(&str, &[u8], &mut Advisories) -> Result<(), FeedError>;

/// File names and their parsers. Order matters: later files may overrule earlier ones, as DSA lines
/// overrule changelogs. How old a feed is it says itself: by its youngest row or the date of the
/// snapshot's members in the archive.
const FILES: [(&str, Parser); 7] = [
    ("debian-derived-advisories.jsonl.zst", debian::changelog),
    ("debian-dsa-dla-lists.tar.zst", debian::dsa),
    ("alpine-secdb-2020.tar.zst", alpine::whole),
    ("alpine-secdb-picks.tar.zst", alpine::picks),
    ("cve-cvss.tsv.zst", severity::vectors),
    ("bitnami-cvss.tsv.zst", severity::vectors),
    ("cisa-kev.tar.zst", severity::exploited),
];

// === impl Sources ===

impl Sources {
    /// Reads the feed files of a folder; others in it are left alone.
    pub fn load(folder: &Path) -> Result<Self, FeedError> {
        let mut sources = Sources::default();
        for (name, ..) in FILES {
            let path = folder.join(name);
            match std::fs::read(&path) {
                Ok(bytes) => {
                    sources.files.insert(name.to_owned(), bytes);
                }
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(source) => return Err(FeedError::Io { path: path.display().to_string(), source }),
            }
        }
        if sources.files.is_empty() {
            return Err(FeedError::Nothing(folder.display().to_string()));
        }
        Ok(sources)
    }

    /// Parses and merges all files.
    pub fn parse(&self) -> Result<Advisories, FeedError> {
        let mut all = Advisories::default();
        for (name, parser) in FILES {
            if let Some(bytes) = self.files.get(name) {
                parser(name, bytes, &mut all)?;
            }
        }
        Ok(all)
    }
}

// === impl Advisories ===

impl Advisories {
    fn stream(&mut self, distribution: &str, release: &str, extent: Extent, as_of: u32) -> &mut Stream {
        let id = StreamId { distribution: distribution.to_owned(), release: release.to_owned() };
        let stream = self.streams.entry(id).or_insert_with(|| Stream { extent, as_of, packages: BTreeMap::new() });
        stream.as_of = stream.as_of.max(as_of);
        stream
    }
}

// === impl Fix ===

impl Fix {
    /// The text the installed version is compared with; `None` for never affected.
    pub fn compared(&self) -> Option<String> {
        match self {
            Fix::NeverAffected => None,
            Fix::Version(v) => Some(v.clone()),
            Fix::RebuildOf(v) => Some(format!("{v}~")),
        }
    }
}

// === impl Origin ===

impl Origin {
    pub fn as_str(self) -> &'static str {
        match self {
            Origin::DebianChangelog => "debian-changelog",
            Origin::DebianDsa => "debian-dsa",
            Origin::AlpineSecdb => "alpine-secdb",
        }
    }
}

/// An advisory id as feeds write them: `CVE-…`, `ALPINE-…`, `DSA-…`. Nothing that could not be printed.
fn is_id(text: &str) -> bool {
    (4..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
}

fn is_name(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

fn is_version(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// `2025-08-25` to 20250825.
fn day(text: &str) -> Option<u32> {
    let (y, rest) = text.split_once('-')?;
    let (m, d) = rest.split_once('-')?;
    let number = |t: &str, len: usize| (t.len() == len).then(|| t.parse::<u32>().ok()).flatten();
    let (y, m, d) = (number(y, 4)?, number(m, 2)?, number(d, 2)?);
    ((1..=12).contains(&m) && (1..=31).contains(&d)).then_some(y * 10_000 + m * 100 + d)
}

/// Seconds since 1970 to `yyyymmdd` in UTC; 0 for what no snapshot can be (before 1970, after 9999). The
/// calendar is counted in 400-year eras that begin on 1 March, so that leap days end their years.
fn day_of(seconds: u64) -> u32 {
    let days = seconds / 86_400 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    if year <= 9999 { (year * 10_000 + month * 100 + day) as u32 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        /// Arbitrary bytes, raw and validly compressed, under every feed name: an error or a result.
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), text in "[ -~\t\n]{0,300}") {
            let packed = [zstd::encode_all(&bytes[..], 1).unwrap(), zstd::encode_all(text.as_bytes(), 1).unwrap(), bytes];
            for content in packed {
                for (name, parser) in FILES {
                    let _ = parser(name, &content, &mut Advisories::default());
                }
            }
        }

        /// Arbitrary members inside a valid archive.
        #[test]
        fn no_members_panic(text in prop_oneof![".{0,300}", "[]\\[{}\":,a-zCVE0-9 \n-]{0,300}", "(\\[[a-z0-9 ]{0,9}\\] ?-? ?[a-z<>0-9-]{0,9}\n|\t\\{CVE-[0-9-]{0,9}\\}\n){0,9}"]) {
            for member in ["alpine/3.20/main/a.json", "v3.11/main.yaml", "data/DSA/list", "known_exploited_vulnerabilities.json"] {
                let packed = archive::tests::pack(&[(member, text.as_bytes())]);
                for (name, parser) in FILES {
                    let _ = parser(name, &packed, &mut Advisories::default());
                }
            }
        }
    }

    #[test]
    fn days() {
        assert_eq!(day("2025-08-25"), Some(20250825));
        for bad in ["", "2025-8-25", "2025-13-01", "x-y-z", "2025-08-2５"] {
            assert_eq!(day(bad), None, "{bad}");
        }
        for (seconds, expect) in [(0, 19700101), (951_782_399, 20000228), (951_782_400, 20000229), (951_868_800, 20000301), (1_591_574_400, 20200608), (4_107_542_400, 21000301), (u64::MAX, 0)] {
            assert_eq!(day_of(seconds), expect, "{seconds}");
        }
    }

    #[test]
    fn an_empty_folder_is_named() {
        let error = Sources::load(Path::new("/proc/self/task")).unwrap_err().to_string();
        assert!(error.contains("/proc/self/task") && error.contains("cve-cvss.tsv.zst"), "{error}");
    }
}
