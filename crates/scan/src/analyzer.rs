//! Analyzers: each reads one kind of file of a layer.
//!
//! An analyzer says from an entry and the first bytes of its content whether it wants the file, and
//! turns the file into facts. It sees one layer only; which of its facts hold in the image is
//! [`compose`](crate::compose)'s business. A new ecosystem is a new file here and a line in [`ALL`].

mod accounts;
mod apk;
mod dpkg;
mod os_release;
mod repositories;

use crate::analysis::{Fact, Finding, OwnerIndex};
use jinwu_image::tar::Entry;
use std::collections::HashSet;

/// Reads one kind of file.
pub trait Analyzer: Sync {
    /// Name and version; the version is raised whenever an answer may change.
    fn id(&self) -> &'static str;
    fn version(&self) -> u32;
    /// Paths (files or directories) that make up the installed system. A link at or above one of them
    /// leads elsewhere, and is reported where it cannot be followed.
    fn places(&self) -> &'static [&'static str];
    fn wants(&self, entry: &Entry) -> bool;
    /// `bytes` is the whole file.
    fn analyze(&self, path: &str, bytes: &[u8], sink: &mut Sink);
}

/// All analyzers of file content but the rule engines.
pub static ALL: [&dyn Analyzer; 5] =
    [&dpkg::Dpkg, &apk::Apk, &os_release::OsRelease, &accounts::Accounts, &repositories::ApkRepositories];

/// Facts kept per layer; beyond, the analysis says it is incomplete.
const MAX_FINDINGS: usize = 100_000;
/// Packages of all databases of a layer.
const MAX_PACKAGES: usize = 200_000;
/// Files owned by packages.
const MAX_OWNED: usize = 4_000_000;

/// Takes what analyzers find.
#[derive(Default)]
pub struct Sink {
    pub(crate) findings: Vec<Finding>,
    pub(crate) owners: Vec<OwnerIndex>,
    pub(crate) truncated: Vec<String>,
    pub(crate) unexamined: Vec<String>,
    /// Files that gave facts about the installed system, to notice that one comes twice.
    system: HashSet<String>,
    packages: usize,
    owned: usize,
}

/// `apk-1 dpkg-1 …`.
pub fn versions() -> String {
    let mut names: Vec<_> = ALL.iter().map(|a| format!("{}-{}", a.id(), a.version())).collect();
    names.sort();
    names.join(" ")
}

// === impl Sink ===

impl Sink {
    /// A name is written. The same name again in one layer replaces what the former one said about the
    /// installed system.
    pub(crate) fn written(&mut self, path: &str) {
        if self.system.remove(path) {
            self.findings.retain(|f| f.path != path || matches!(f.fact, Fact::Secret(_) | Fact::Malware(_)));
            self.owners.retain(|o| o.path != path);
        }
    }

    /// What follows is read from a file of the installed system.
    pub(crate) fn system_file(&mut self, path: &str) {
        self.system.insert(path.to_owned());
    }

    pub fn fact(&mut self, path: &str, fact: Fact) {
        if let Fact::Packages { packages, .. } = &fact {
            self.packages += packages.len();
        }
        if self.findings.len() >= MAX_FINDINGS || self.packages > MAX_PACKAGES {
            self.truncated(format!("more findings or packages than are kept ({MAX_FINDINGS}, {MAX_PACKAGES})"));
            return;
        }
        self.findings.push(Finding { path: path.to_owned(), fact });
    }

    pub fn owners(&mut self, index: OwnerIndex) {
        if index.is_empty() {
            return;
        }
        self.owned += index.len();
        if self.owned > MAX_OWNED {
            self.truncated(format!("packages own more files than are kept ({MAX_OWNED})"));
            return;
        }
        self.owners.push(index);
    }

    /// Notes a bound that was reached, once.
    pub fn truncated(&mut self, what: String) {
        if self.truncated.len() < 1000 && !self.truncated.contains(&what) {
            self.truncated.push(what);
        }
    }

    /// Notes a file of the installed system that could not be examined.
    pub fn unexamined(&mut self, what: String) {
        if self.unexamined.len() < 1000 && !self.unexamined.contains(&what) {
            self.unexamined.push(what);
        }
    }
}

/// Lines without their end, lossily as text.
fn lines(bytes: &[u8]) -> impl Iterator<Item = std::borrow::Cow<'_, str>> {
    bytes.split(|b| *b == b'\n').map(|line| String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)))
}

/// A text of a database, no longer than is useful.
fn clip(text: &str) -> String {
    const MAX: usize = 256;
    match text.char_indices().nth(MAX) {
        Some((at, _)) => text.get(..at).unwrap_or_default().to_owned(),
        None => text.to_owned(),
    }
}
