//! Debian's package database: `var/lib/dpkg/status`, or in images made without dpkg one file per
//! package under `status.d/`; and the lists of the files packages own.

use super::{Analyzer, Sink, clip, lines};
use crate::analysis::{Fact, OwnerIndex, RawPackage};
use jinwu_image::tar::{Entry, Kind};

pub(super) struct Dpkg;

const STATUS: &str = "var/lib/dpkg/status";
const STATUS_D: &str = "var/lib/dpkg/status.d/";
const INFO: &str = "var/lib/dpkg/info/";

enum File<'a> {
    Status { one: bool },
    /// Of this package: a path a line.
    List(&'a str),
    /// Of this package: a sum, two spaces and a path a line.
    Sums(&'a str),
}

/// What a path is, if it is dpkg's.
fn classify(path: &str) -> Option<File<'_>> {
    if path == STATUS {
        return Some(File::Status { one: false });
    }
    if let Some(name) = path.strip_prefix(STATUS_D) {
        return match name.strip_suffix(".md5sums") {
            Some(package) => Some(File::Sums(package)),
            None => (!name.contains('/')).then_some(File::Status { one: true }),
        };
    }
    let name = path.strip_prefix(INFO)?;
    // `libc6:amd64.list` for packages that may be installed for several architectures.
    let package = |name: &'static str, file: &str| file.strip_suffix(name).map(|p| p.split(':').next().unwrap_or(p).len());
    if let Some(length) = package(".list", name) {
        return name.get(..length).map(File::List);
    }
    package(".md5sums", name).and_then(|length| name.get(..length)).map(File::Sums)
}

impl Analyzer for Dpkg {
    fn id(&self) -> &'static str {
        "dpkg"
    }

    fn version(&self) -> u32 {
        1
    }

    fn places(&self) -> &'static [&'static str] {
        &["var/lib/dpkg/status", "var/lib/dpkg/status.d"]
    }

    fn wants(&self, entry: &Entry) -> bool {
        entry.kind == Kind::File && entry.path.starts_with("var/lib/dpkg/") && classify(&entry.path).is_some()
    }

    fn analyze(&self, path: &str, bytes: &[u8], sink: &mut Sink) {
        match classify(path) {
            Some(File::Status { one }) => {
                let packages = status(bytes, one);
                if !one || !packages.is_empty() {
                    sink.fact(path, Fact::Packages { ecosystem: "deb".into(), packages });
                }
            }
            Some(File::List(package)) => {
                let files: Vec<_> = lines(bytes).map(|l| l.trim_start_matches('/').to_owned()).filter(|l| !l.is_empty()).collect();
                sink.owners(OwnerIndex::new(path, files.iter().map(|f| (package, f.as_str()))));
            }
            Some(File::Sums(package)) => {
                let files: Vec<_> = lines(bytes).filter_map(|l| l.split_once("  ").map(|(_, f)| f.to_owned())).collect();
                sink.owners(OwnerIndex::new(path, files.iter().map(|f| (package, f.as_str()))));
            }
            None => {}
        }
    }
}

/// Stanzas of `Name: value` fields (Debian policy 5.1). Only installed packages count: `deinstall ok
/// config-files` is a package that is gone. A `status.d` file has no `Status` and is installed.
fn status(bytes: &[u8], one: bool) -> Vec<RawPackage> {
    #[derive(Default)]
    struct Stanza {
        package: String,
        version: String,
        status: Option<String>,
        source: Option<String>,
        architecture: String,
    }
    let mut out = Vec::new();
    let mut close = |stanza: Stanza| {
        let installed = match &stanza.status {
            Some(status) => status.split_ascii_whitespace().nth(2) == Some("installed"),
            None => one,
        };
        if stanza.package.is_empty() || stanza.version.is_empty() || !installed {
            return;
        }
        let source = stanza.source.unwrap_or_default();
        let (source_name, source_version) = match source.split_once('(') {
            Some((name, version)) => (name.trim(), version.trim_end_matches(')').trim()),
            None => (source.trim(), ""),
        };
        let or = |text: &str, other: &str| clip(if text.is_empty() { other } else { text });
        out.push(RawPackage {
            name: clip(&stanza.package),
            version: clip(&stanza.version),
            source_name: or(source_name, &stanza.package),
            source_version: or(source_version, &stanza.version),
            architecture: clip(&stanza.architecture),
        });
    };
    let mut stanza = Stanza::default();
    for line in lines(bytes) {
        if line.trim().is_empty() {
            close(std::mem::take(&mut stanza));
            continue;
        }
        // Continuation lines begin with a blank: a field's text must not be taken for a field.
        if line.starts_with([' ', '\t']) {
            continue;
        }
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "package" => stanza.package = value.to_owned(),
            "version" => stanza.version = value.to_owned(),
            "status" => stanza.status = Some(value.to_owned()),
            "source" => stanza.source = Some(value.to_owned()),
            "architecture" => stanza.architecture = value.to_owned(),
            _ => {}
        }
    }
    close(stanza);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &[u8] = b"Package: a\nStatus: install ok installed\nVersion: 1-1+b1\nSource: src (1-1)\nArchitecture: amd64\nDescription: x\n Package: fake\n\n\
        Package: gone\nStatus: deinstall ok config-files\nVersion: 2\n\nPackage: b\nStatus: hold ok installed\nVersion: 3\nSource: only";

    #[test]
    fn installed_packages_and_their_sources() {
        let packages = status(SAMPLE, false);
        let seen: Vec<_> = packages.iter().map(|p| (p.name.as_str(), p.version.as_str(), p.source_name.as_str(), p.source_version.as_str())).collect();
        assert_eq!(seen, [("a", "1-1+b1", "src", "1-1"), ("b", "3", "only", "3")]);
        assert_eq!(status(b"Package: d\nVersion: 1\n", true).len(), 1);
        assert_eq!(status(b"Package: d\nVersion: 1\n", false).len(), 0);
    }

    #[test]
    fn whose_files() {
        let mut sink = Sink::default();
        Dpkg.analyze("var/lib/dpkg/info/libc6:amd64.list", b"/.\n/lib\n/lib/libc.so.6\n", &mut sink);
        Dpkg.analyze("var/lib/dpkg/status.d/tzdata.md5sums", b"0123  usr/share/zoneinfo/UTC\n", &mut sink);
        assert_eq!(sink.owners[0].find("lib/libc.so.6"), Some("libc6"));
        assert_eq!(sink.owners[1].find("usr/share/zoneinfo/UTC"), Some("tzdata"));
        assert!(sink.findings.is_empty());
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400), text in "(Package|Version|Source|Status)?: ?[a-z(): \n]{0,60}") {
            let _ = (status(&bytes, true), status(text.as_bytes(), true));
        }
    }
}
