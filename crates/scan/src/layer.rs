//! From a layer's bytes to its analysis.
//!
//! Malware rules cost more than all the rest together, so in large layers a second thread takes small
//! files off the first: what it has no room for the first scans itself, and results are put back in
//! the order of the files.

mod helper;

use crate::analysis::{Fact, LayerAnalysis, Link, NameSet, SetuidFile};
use crate::analyzer::{ALL, Sink};
use crate::engine::{EngineSet, SecretEngine};
use helper::MalwareScan;
use jinwu_image::tar::{Entry, Kind, Whiteout};
use jinwu_image::walk::{Limits, Part, Visitor, WalkError, walk};
use std::collections::BTreeMap;
use std::io::Read;

/// setuid and setgid.
const SET_ID: u32 = 0o6000;
/// Links kept per layer.
const MAX_LINKS: usize = 100_000;
/// setuid files kept per layer.
const MAX_SETUID: usize = 10_000;
/// Whiteouts kept per layer; a layer with more is unscannable, as what it removes would be reported.
const MAX_WHITEOUTS: usize = 1_000_000;

struct Collector<'a, 'm> {
    secrets: &'a dyn SecretEngine,
    malware: MalwareScan<'m>,
    limits: &'a Limits,
    sink: Sink,
    names: NameSet,
    whiteouts: Vec<String>,
    opaque: Vec<String>,
    links: Vec<Link>,
    setuid: BTreeMap<String, SetuidFile>,
    /// Who wants the current entry's content.
    wanted: Wanted,
}

#[derive(Default)]
struct Wanted {
    /// Indices into [`ALL`].
    analyzers: Vec<usize>,
    secrets: bool,
    malware: bool,
}

/// Reads a whole layer. The same bytes and engines give the same analysis.
pub fn analyze(input: impl Read + Send, hash_stored: bool, limits: &Limits, engines: &mut EngineSet) -> Result<LayerAnalysis, WalkError> {
    let EngineSet { secrets, malware, more_malware, .. } = engines;
    let (result, scanned) = helper::with_help(malware.as_mut(), more_malware.as_ref(), |malware| {
        let mut collector = Collector {
            secrets: secrets.as_ref(),
            malware,
            limits,
            sink: Sink::default(),
            names: NameSet::default(),
            whiteouts: Vec::new(),
            opaque: Vec::new(),
            links: Vec::new(),
            setuid: BTreeMap::new(),
            wanted: Wanted::default(),
        };
        let walked = walk(input, hash_stored, limits, &mut collector);
        let Collector { sink, names, whiteouts, opaque, links, setuid, malware, .. } = collector;
        (walked.map(|walked| (walked, sink, names, whiteouts, opaque, links, setuid)), malware)
    });
    let (walked, mut sink, mut names, whiteouts, opaque, links, setuid) = result?;
    for file in scanned {
        for hit in file.hits {
            sink.fact(&file.path, Fact::Malware(hit));
        }
        for what in file.truncated {
            sink.truncated(what);
        }
    }
    if whiteouts.len() + opaque.len() > MAX_WHITEOUTS {
        return Err(WalkError::TooLarge(format!("more than {MAX_WHITEOUTS} whiteouts")));
    }
    if walked.trailing > 0 {
        sink.unexamined(format!("{} bytes follow the end of the tar: no runtime unpacks them, anyone can extract them", walked.trailing));
    }
    names.seal();
    Ok(LayerAnalysis {
        compressed: walked.compressed,
        stored_bytes: walked.stored,
        inflated_bytes: walked.inflated,
        entries: walked.entries,
        names,
        whiteouts,
        opaque,
        links,
        findings: sink.findings,
        setuid: setuid.into_values().collect(),
        owners: sink.owners,
        truncated: sink.truncated,
        unexamined: sink.unexamined,
        ..LayerAnalysis::empty(walked.diff_id)
    })
}

/// Whether a link at `path` bears on where an analyzer's files are: it is at or above one of them, or
/// a top directory such as `bin` or `lib`.
fn leads_to_a_place(path: &str) -> bool {
    let above = |place: &str| place == path || place.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
    !path.contains('/') || ALL.iter().any(|a| a.places().iter().any(|place| above(place)))
}

impl Collector<'_, '_> {
    fn link(&mut self, entry: &Entry) {
        let hard = entry.kind == Kind::HardLink;
        let Some(target) = &entry.link else { return };
        if !hard && !leads_to_a_place(&entry.path) {
            return;
        }
        if self.links.len() < MAX_LINKS {
            self.links.push(Link { path: entry.path.clone(), target: target.clone(), hard });
        } else {
            self.sink.truncated(format!("more than {MAX_LINKS} links"));
        }
    }

    fn set_id(&mut self, entry: &Entry) {
        // A later entry of the same name replaces the former.
        if !self.setuid.is_empty() {
            self.setuid.remove(&entry.path);
        }
        // setgid on a directory is about group inheritance, not privilege.
        if entry.mode & SET_ID == 0 || entry.kind != Kind::File {
            return;
        }
        if self.setuid.len() < MAX_SETUID {
            let file = SetuidFile { path: entry.path.clone(), mode: entry.mode, uid: entry.uid, gid: entry.gid };
            self.setuid.insert(entry.path.clone(), file);
        } else {
            self.sink.truncated(format!("more than {MAX_SETUID} setuid files"));
        }
    }
}

impl Visitor for Collector<'_, '_> {
    fn entry(&mut self, entry: &Entry, head: &[u8]) -> bool {
        self.wanted = Wanted::default();
        match entry.whiteout() {
            Some(Whiteout::Remove(path)) if self.whiteouts.len() <= MAX_WHITEOUTS => self.whiteouts.push(path),
            Some(Whiteout::Opaque(path)) if self.opaque.len() <= MAX_WHITEOUTS => self.opaque.push(path),
            Some(_) => {}
            None => {
                self.names.push(&entry.path, entry.kind == Kind::Directory);
                self.sink.written(&entry.path);
                self.link(entry);
                self.set_id(entry);
                self.wanted.analyzers.extend(ALL.iter().enumerate().filter(|(_, a)| a.wants(entry)).map(|(i, _)| i));
            }
        }
        if !self.wanted.analyzers.is_empty() {
            self.sink.system_file(&entry.path);
            if entry.size > self.limits.window as u64 {
                self.sink.unexamined(format!("{} is {} bytes long, more than is read of a package database", entry.path, entry.size));
                self.wanted.analyzers.clear();
            }
        }
        // A whiteout's content, an unknown type's content: unpacked by nobody, but in the image.
        if entry.size > 0 {
            self.wanted.secrets = self.secrets.wants(&entry.path, entry.size);
            self.wanted.malware = self.malware.wants(&entry.path, entry.mode, entry.size, head);
        }
        !self.wanted.analyzers.is_empty() || self.wanted.secrets || self.wanted.malware
    }

    fn content(&mut self, entry: &Entry, part: Part<'_>) {
        let path = entry.path.as_str();
        for analyzer in self.wanted.analyzers.iter().filter_map(|i| ALL.get(*i)) {
            analyzer.analyze(path, part.bytes, &mut self.sink);
        }
        if self.wanted.secrets {
            for mut hit in self.secrets.scan_file(path, part.bytes) {
                // Lines are counted from the window's start, which nobody could find.
                hit.line = hit.line.filter(|_| part.offset == 0);
                self.sink.fact(path, Fact::Secret(hit));
            }
        }
        if self.wanted.malware {
            self.malware.scan(path, part.bytes);
        }
    }
}
