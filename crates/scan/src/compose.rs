//! From layer analyses to an image's report.
//!
//! Layers are put on each other in order: what an upper layer removes or writes again is gone from
//! the container. Facts about the installed system (packages, accounts, setuid files) hold only while
//! their file is there. Secrets and malware are reported wherever they lie, because a file removed by
//! an upper layer can still be extracted from the lower one; they are marked `deleted`.

mod configuration;
mod stack;

use crate::analysis::{Fact, LayerAnalysis, RawPackage, SecretHit};
use crate::engine::EngineSet;
use crate::protocol::{LayerHeader, LayerState};
use jinwu_image::{ImageConfig, LayerKind, json};
use jinwu_model::report::{
    Coverage, FaultKind, ImageReport, IntegrityFault, Location, Malware, Os, Package, Secret, Unscannable, UnscannableReason,
};
use jinwu_model::{Algorithm, Digest};
use stack::Stack;
use std::collections::{BTreeMap, BTreeSet};

/// An image to put together.
pub struct Input<'a> {
    /// Digest of the manifest.
    pub image: Digest,
    pub manifest: &'a [u8],
    pub config: &'a [u8],
    /// Lowest first.
    pub layers: Vec<Layer>,
}

/// One layer of it.
pub struct Layer {
    pub digest: Digest,
    pub media_type: String,
    pub content: Content,
}

/// What is known of a layer's content.
pub enum Content {
    Analysed(Box<LayerAnalysis>),
    NotALayer,
    Unscannable(UnscannableReason, String),
}

/// Secrets and malware listed of one image; beyond, the report says it is cut.
const MAX_LISTED: usize = 20_000;
/// History entries and variables examined.
const MAX_HISTORY: usize = 5_000;

impl Layer {
    /// From what came over the wire; an analysis that cannot be read is a layer that cannot be scanned.
    pub(crate) fn from_wire(header: LayerHeader, bytes: Option<Vec<u8>>) -> Self {
        let content = match (header.state, bytes) {
            (LayerState::Analysed, Some(bytes)) => match LayerAnalysis::from_bytes(&bytes) {
                Ok(analysis) => Content::Analysed(Box::new(analysis)),
                Err(detail) => Content::Unscannable(UnscannableReason::WorkerCrashed, detail),
            },
            (LayerState::Analysed, None) => Content::Unscannable(UnscannableReason::WorkerCrashed, "the analysis is missing".into()),
            (LayerState::NotALayer, _) => Content::NotALayer,
            (LayerState::Unscannable(reason, detail), _) => Content::Unscannable(reason, detail),
        };
        Layer { digest: header.digest, media_type: header.media_type, content }
    }
}

/// Puts the image together. Never fails: what cannot be known is in the report as a fault or as
/// unscannable.
pub fn compose(input: Input<'_>, engines: &EngineSet) -> ImageReport {
    let mut report = ImageReport::empty(input.image);
    report.engines = engines.versions();
    report.layers = input.layers.iter().map(|l| l.digest.clone()).collect();
    ambiguous("manifest", input.manifest, &mut report);
    ambiguous("config", input.config, &mut report);
    let config = ImageConfig::parse(input.config).unwrap_or_else(|e| {
        report.unscannable.push(Unscannable { layer: None, reason: UnscannableReason::Unreadable, detail: e.to_string() });
        ImageConfig::default()
    });
    report.architecture = config.architecture.clone();
    diff_ids(&input.layers, &config, &mut report);
    let mut stack = Vec::new();
    for layer in input.layers {
        let digest = layer.digest.clone();
        if let Some(analysis) = examine(layer, &mut report) {
            stack.push((digest, analysis));
        }
    }
    let stack = Stack::new(stack);
    packages(&stack, &mut report);
    findings(&stack, &mut report);
    secrets_of_configuration(&config, engines, &mut report);
    report.configuration = configuration::configuration(&config, &stack);
    advisories(&stack, engines, &mut report);
    report.truncated.sort();
    report.truncated.dedup();
    report
}

fn ambiguous(name: &str, bytes: &[u8], report: &mut ImageReport) {
    match json::ambiguities(bytes) {
        Ok(found) => report.faults.extend(found.into_iter().map(|detail| IntegrityFault {
            kind: FaultKind::AmbiguousJson,
            location: place(None, name),
            detail,
        })),
        Err(e) => report.unscannable.push(Unscannable {
            layer: None,
            reason: UnscannableReason::Unreadable,
            detail: format!("{name}: {e}"),
        }),
    }
}

/// The configuration names what each layer inflates to; a layer that differs is not the one built.
fn diff_ids(layers: &[Layer], config: &ImageConfig, report: &mut ImageReport) {
    let stated = &config.rootfs.diff_ids;
    if stated.len() != layers.len() {
        report.faults.push(IntegrityFault {
            kind: FaultKind::LayerCountMismatch,
            location: place(None, "config.rootfs.diff_ids"),
            detail: format!("the manifest lists {} layers, the configuration {} diff_ids", layers.len(), stated.len()),
        });
    }
    for (at, (layer, stated)) in layers.iter().zip(stated).enumerate() {
        let Content::Analysed(analysis) = &layer.content else { continue };
        let detail = match stated.algorithm() {
            Algorithm::Sha256 if analysis.diff_id == *stated => continue,
            Algorithm::Sha256 => format!("the configuration says {stated}, the layer inflates to {}", analysis.diff_id),
            other => format!("the configuration says {stated}; {other} diff_ids are not verified"),
        };
        let location = place(Some(&layer.digest), &format!("config.rootfs.diff_ids[{at}]"));
        report.faults.push(IntegrityFault { kind: FaultKind::DiffIdMismatch, location, detail });
    }
}

/// Reports what keeps a layer from being examined; gives back its analysis if there is one.
fn examine(layer: Layer, report: &mut ImageReport) -> Option<LayerAnalysis> {
    let mut unscannable = |reason, detail: String| {
        report.unscannable.push(Unscannable { layer: Some(layer.digest.clone()), reason, detail });
    };
    match LayerKind::of(&layer.media_type) {
        LayerKind::Tar => {}
        LayerKind::Foreign => report.faults.push(IntegrityFault {
            kind: FaultKind::ForeignLayer,
            location: place(Some(&layer.digest), "manifest.layers"),
            detail: format!("{} is fetched from elsewhere by whoever runs the image", layer.media_type),
        }),
        LayerKind::Encrypted => {
            unscannable(UnscannableReason::Encrypted, format!("media type {}", layer.media_type));
            return None;
        }
        LayerKind::Unknown => unscannable(UnscannableReason::UnknownFormat, format!("media type {:?}", layer.media_type)),
    }
    match layer.content {
        Content::Analysed(analysis) => {
            for detail in &analysis.unexamined {
                let layer = Some(layer.digest.clone());
                report.unscannable.push(Unscannable { layer, reason: UnscannableReason::Unreadable, detail: detail.clone() });
            }
            report.truncated.extend(analysis.truncated.iter().cloned());
            Some(*analysis)
        }
        Content::NotALayer => {
            let detail = format!("the bytes are no tar, gzip or zstd, though the media type is {:?}", layer.media_type);
            report.unscannable.push(Unscannable { layer: Some(layer.digest.clone()), reason: UnscannableReason::Unreadable, detail });
            None
        }
        Content::Unscannable(reason, detail) => {
            report.unscannable.push(Unscannable { layer: Some(layer.digest.clone()), reason, detail });
            None
        }
    }
}

/// Packages of the database files that are there in the end; each with the lowest layer whose edition
/// of the file has it.
fn packages(stack: &Stack, report: &mut ImageReport) {
    let mut first: BTreeMap<(&str, &RawPackage), usize> = BTreeMap::new();
    let mut listed: BTreeSet<(&str, &RawPackage)> = BTreeSet::new();
    for (layer, finding) in stack.findings() {
        let Fact::Packages { ecosystem, packages } = &finding.fact else { continue };
        let there = stack.stands(layer, &finding.path);
        for package in packages {
            let layer = *first.entry((&finding.path, package)).or_insert(layer);
            if there && listed.insert((ecosystem, package)) {
                report.packages.push(Package {
                    ecosystem: ecosystem.clone(),
                    name: package.name.clone(),
                    version: package.version.clone(),
                    source_name: package.source_name.clone(),
                    source_version: package.source_version.clone(),
                    architecture: package.architecture.clone(),
                    location: place(stack.digest(layer), &finding.path),
                });
            }
        }
    }
    report.packages.sort_by(|a, b| (&a.ecosystem, &a.name, &a.version).cmp(&(&b.ecosystem, &b.name, &b.version)));
    for (link, place) in stack.misleading_links() {
        report.unscannable.push(Unscannable {
            layer: None,
            reason: UnscannableReason::Unreadable,
            detail: format!("{} is a link to {}: what stands at {place} was not examined", link.path, link.target),
        });
    }
}

fn findings(stack: &Stack, report: &mut ImageReport) {
    for (layer, finding) in stack.findings() {
        let located = |inner: &Option<String>, line: Option<u32>| Location {
            inner: inner.clone(),
            line,
            deleted: !stack.stands(layer, &finding.path),
            owner: stack.owner(&finding.path).map(str::to_owned),
            ..place(stack.digest(layer), &finding.path)
        };
        match &finding.fact {
            Fact::Secret(_) | Fact::Malware(_) if report.secrets.len() + report.malware.len() >= MAX_LISTED => {
                report.truncated.push(format!("more than {MAX_LISTED} secrets and malware files"));
                return;
            }
            Fact::Secret(hit) => report.secrets.push(secret(hit, located(&None, hit.line))),
            Fact::Malware(hit) => {
                let Ok(sha256) = Digest::from_bytes(Algorithm::Sha256, &hit.sha256) else { continue };
                report.malware.push(Malware {
                    rule: hit.rule.clone(),
                    category: hit.category.clone(),
                    origin: hit.origin.clone(),
                    location: located(&hit.inner, None),
                    sha256,
                });
            }
            _ => {}
        }
    }
}

fn secret(hit: &SecretHit, location: Location) -> Secret {
    Secret {
        rule: hit.rule.clone(),
        category: hit.category.clone(),
        title: hit.title.clone(),
        location,
        variable: hit.variable.clone(),
        masked: hit.masked.clone(),
    }
}

/// Variables, labels and arguments a container starts with, and the commands that built the image:
/// everyone who can pull it reads them.
fn secrets_of_configuration(config: &ImageConfig, engines: &EngineSet, report: &mut ImageReport) {
    let variable = |list: &str, name: &str, value: &str, report: &mut ImageReport| {
        for mut hit in engines.secrets.scan_variable(name, value) {
            hit.variable = Some(name.to_owned());
            hit.line = None;
            report.secrets.push(secret(&hit, place(None, &format!("{list}[{name}]"))));
        }
    };
    for entry in config.config.env.iter().take(MAX_HISTORY) {
        let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
        variable("config.Env", name, value, report);
    }
    for (name, value) in config.config.labels.iter().take(MAX_HISTORY) {
        variable("config.Labels", name, value, report);
    }
    let arguments = [("config.Entrypoint", config.config.entrypoint.join(" ")), ("config.Cmd", config.config.cmd.join(" "))];
    let history = config.history.iter().enumerate().take(MAX_HISTORY);
    let commands = history.map(|(at, entry)| (format!("history[{at}]"), entry.created_by.clone()));
    for (path, text) in arguments.map(|(path, text)| (path.to_owned(), text)).into_iter().chain(commands) {
        for hit in engines.secrets.scan_file(&path, text.as_bytes()) {
            report.secrets.push(secret(&SecretHit { line: None, ..hit }, place(None, &path)));
        }
    }
}

fn advisories(stack: &Stack, engines: &EngineSet, report: &mut ImageReport) {
    report.os = os(stack);
    let mut repositories = Vec::new();
    for (layer, finding) in stack.findings() {
        if let Fact::Repositories(list) = &finding.fact
            && stack.stands(layer, &finding.path)
        {
            repositories.extend(list.iter().cloned());
        }
    }
    let matched = engines.advisories.match_packages(report.os.as_ref(), &repositories, &report.packages);
    report.vulnerabilities = matched.vulnerabilities;
    report.advisories_as_of = matched.as_of;
    report.unknown_packages = matched.unknown_packages;
    report.coverage = match (&report.os, matched.coverage) {
        // A system without a package database is a system nobody can speak about.
        (Some(os), Coverage::Covered | Coverage::NoPackages) if report.packages.is_empty() => {
            let name = if os.name.is_empty() { &os.id } else { &os.name };
            Coverage::NotCovered { reason: format!("{name} without a package database: nothing to compare") }
        }
        (_, coverage) => coverage,
    };
}

/// `etc/os-release` before `usr/lib/os-release`, as os-release(5) says; a link between them is no
/// concern here, whichever layer it is in.
fn os(stack: &Stack) -> Option<Os> {
    ["etc/os-release", "usr/lib/os-release"].iter().find_map(|wanted| {
        stack.findings().filter(|(layer, f)| f.path == *wanted && stack.stands(*layer, wanted)).find_map(|(_, f)| match &f.fact {
            Fact::OsRelease { id, version, name } => Some(Os { id: id.clone(), version: version.clone(), name: name.clone() }),
            _ => None,
        })
    })
}

fn place(layer: Option<&Digest>, path: &str) -> Location {
    Location { layer: layer.cloned(), path: path.to_owned(), inner: None, line: None, deleted: false, owner: None }
}
