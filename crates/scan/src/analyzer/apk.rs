//! Alpine's package database `lib/apk/db/installed`: packages, their origins, their files.

use super::{Analyzer, Sink, clip, lines};
use crate::analysis::{Fact, OwnerIndex, RawPackage};
use jinwu_image::tar::{Entry, Kind};

pub(super) struct Apk;

const PATHS: [&str; 2] = ["lib/apk/db/installed", "usr/lib/apk/db/installed"];

impl Analyzer for Apk {
    fn id(&self) -> &'static str {
        "apk"
    }

    fn version(&self) -> u32 {
        1
    }

    fn places(&self) -> &'static [&'static str] {
        &PATHS
    }

    fn wants(&self, entry: &Entry) -> bool {
        entry.kind == Kind::File && PATHS.contains(&entry.path.as_str())
    }

    fn analyze(&self, path: &str, bytes: &[u8], sink: &mut Sink) {
        let (packages, files) = installed(bytes);
        sink.owners(OwnerIndex::new(path, files.iter().map(|(p, f)| (p.as_str(), f.as_str()))));
        sink.fact(path, Fact::Packages { ecosystem: "apk".into(), packages });
    }
}

/// Stanzas of `K:value`: `P` package, `V` version, `A` architecture, `o` origin, `F` directory and
/// `R` a file in it. An origin has its package's version.
fn installed(bytes: &[u8]) -> (Vec<RawPackage>, Vec<(String, String)>) {
    let (mut packages, mut files) = (Vec::new(), Vec::new());
    let (mut name, mut version, mut architecture, mut origin, mut directory) =
        (String::new(), String::new(), String::new(), String::new(), String::new());
    for line in lines(bytes).chain(std::iter::once("".into())) {
        if line.is_empty() {
            let name = std::mem::take(&mut name);
            let version = std::mem::take(&mut version);
            let origin = Some(std::mem::take(&mut origin)).filter(|o| !o.is_empty()).unwrap_or_else(|| name.clone());
            let architecture = std::mem::take(&mut architecture);
            directory.clear();
            if !name.is_empty() && !version.is_empty() {
                packages.push(RawPackage {
                    name: clip(&name),
                    version: clip(&version),
                    source_name: clip(&origin),
                    source_version: clip(&version),
                    architecture: clip(&architecture),
                });
            }
            continue;
        }
        let Some((key, value)) = line.split_once(':') else { continue };
        match key {
            "P" => name = value.to_owned(),
            "V" => version = value.to_owned(),
            "A" => architecture = value.to_owned(),
            "o" => origin = value.to_owned(),
            "F" => directory = value.trim_matches('/').to_owned(),
            "R" if !name.is_empty() => files.push((name.clone(), jinwu_image::path::join(&directory, value))),
            _ => {}
        }
    }
    (packages, files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_and_files() {
        let (packages, files) =
            installed(b"C:Q1x=\nP:ssl_client\nV:1.36.1-r29\nA:x86_64\no:busybox\nF:usr/bin\nR:ssl_client\na:0:0:755\n\nP:no-origin\nV:1\nF:\nR:top\n");
        assert_eq!(packages.len(), 2);
        assert_eq!((packages[0].source_name.as_str(), packages[0].source_version.as_str()), ("busybox", "1.36.1-r29"));
        assert_eq!(packages[1].source_name, "no-origin");
        assert_eq!(files, [("ssl_client".to_owned(), "usr/bin/ssl_client".to_owned()), ("no-origin".to_owned(), "top".to_owned())]);
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            let _ = installed(&bytes);
        }
    }
}
