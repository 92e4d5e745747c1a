//! `os-release(5)`: which system this is. `etc/os-release` is usually a link to the one in `usr/lib`,
//! which may have come with another layer.

use super::{Analyzer, Sink, clip, lines};
use crate::analysis::Fact;
use jinwu_image::tar::{Entry, Kind};

pub(super) struct OsRelease;

impl Analyzer for OsRelease {
    fn id(&self) -> &'static str {
        "os-release"
    }

    fn version(&self) -> u32 {
        1
    }

    fn places(&self) -> &'static [&'static str] {
        &["etc/os-release", "usr/lib/os-release"]
    }

    fn wants(&self, entry: &Entry) -> bool {
        entry.kind == Kind::File && self.places().contains(&entry.path.as_str())
    }

    fn analyze(&self, path: &str, bytes: &[u8], sink: &mut Sink) {
        let (mut id, mut version, mut name) = (String::new(), String::new(), String::new());
        for line in lines(bytes) {
            let Some((key, value)) = line.trim().split_once('=') else { continue };
            match key {
                "ID" => id = unquote(value),
                "VERSION_ID" => version = unquote(value),
                "PRETTY_NAME" => name = unquote(value),
                _ => {}
            }
        }
        if !id.is_empty() {
            sink.fact(path, Fact::OsRelease { id, version, name });
        }
    }
}

/// Shell quoting as os-release(5) allows it.
fn unquote(value: &str) -> String {
    let inner = ['"', '\''].iter().find_map(|q| value.strip_prefix(*q)?.strip_suffix(*q)).unwrap_or(value);
    let mut out = String::new();
    let mut escaped = false;
    for c in inner.chars() {
        match c {
            '\\' if !escaped => escaped = true,
            c => {
                escaped = false;
                out.push(c);
            }
        }
    }
    clip(&out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting() {
        let mut sink = Sink::default();
        OsRelease.analyze("etc/os-release", b"# c\nPRETTY_NAME=\"A \\\"B\\\"\"\nID='debian'\nVERSION_ID=12\n", &mut sink);
        assert_eq!(sink.findings[0].fact, Fact::OsRelease { id: "debian".into(), version: "12".into(), name: "A \"B\"".into() });
    }
}
