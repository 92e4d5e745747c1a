//! What analysis found in an image: facts with evidence. Policies judge these, the scanner writes
//! them; neither knows the other.
//!
//! Two stages: a layer analysis (the scanner's own type) knows one layer and nothing else (so it is kept by layer digest
//! and engine version and shared by every image), and an [`ImageReport`] composes the layers of one
//! image in order, whiteouts applied, and matches packages against advisories.

use crate::digest::Digest;
use crate::grade::Grade;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where something was found.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Location {
    /// Digest of the layer blob as stored (compressed); absent for the image configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<Digest>,
    /// Path in the image without leading '/', or `config.Env`, `config.User`, `history[3]`.
    pub path: String,
    /// Path inside nested archives, outermost first: `app.jar!/lib/x.jar`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inner: Option<String>,
    /// 1-based line, where the content is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// True when an upper layer deletes or replaces the file: gone for the container, still
    /// extractable from the image.
    #[serde(default)]
    pub deleted: bool,
    /// The package that owns the file, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// The operating system by os-release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Os {
    /// `debian`, `alpine`, …
    pub id: String,
    /// VERSION_ID: `12`, `3.20.3`.
    pub version: String,
    /// PRETTY_NAME, for people.
    pub name: String,
}

/// Whether advisories speak about this image at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum Coverage {
    /// Advisory data exists for the distribution and release.
    Covered,
    /// 未覆盖: a system is there, data for it is not. Never clean.
    NotCovered { reason: String },
    /// No package database and no recognised system: just no packages.
    NoPackages,
}

/// An installed package.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Package {
    /// `deb`, `apk`, … (purl type).
    pub ecosystem: String,
    pub name: String,
    pub version: String,
    /// Source (dpkg) or origin (apk) name and version: what advisories of those systems name.
    pub source_name: String,
    pub source_version: String,
    pub architecture: String,
    pub location: Location,
}

/// An advisory that applies to an installed package.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vulnerability {
    /// `CVE-…` or the advisory's own name.
    pub id: String,
    pub package: Package,
    /// Name the advisory was matched by (source, origin or binary) and the version compared.
    pub matched_name: String,
    pub compared_version: String,
    /// First version with the fix; absent when none is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed_version: Option<String>,
    /// Where the advisory comes from: `debian-changelog`, `alpine-secdb`.
    pub source: String,
    pub grade: Grade,
    /// Basis of the grade (分级依据): vector and table values, or why there is none and the fallback.
    pub grade_basis: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cvss_vector: Option<String>,
}

/// A secret or key. The value itself is never kept, only enough to recognise it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Secret {
    /// Rule name: `ssh-private-key`, `aws-access-key`.
    pub rule: String,
    /// `key`, `token`, `password`, `connection-string`.
    pub category: String,
    pub title: crate::text::Text,
    pub location: Location,
    /// Variable or key name for configuration and text: `DB_PASSWORD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variable: Option<String>,
    /// First two characters, asterisks, length: `AK**************(20)`.
    pub masked: String,
}

/// A file that a malware rule recognises.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Malware {
    pub rule: String,
    /// `webshell`, `trojan`, `miner`, `test-file`, …
    pub category: String,
    /// Rule set, author and reference as its licence asks.
    pub origin: String,
    pub location: Location,
    pub sha256: Digest,
}

/// Facts about how the image is configured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// `config.User` as written; empty when undefined.
    pub user: String,
    /// What it resolves to in the image's own passwd; `None` when it cannot be resolved.
    pub uid: Option<u32>,
    /// True when undefined, uid 0 by number or by any name, or not resolvable.
    pub runs_as_root: bool,
    pub user_basis: String,
    pub exposed_ports: Vec<String>,
    /// Why SSH counts as exposed: port 22, sshd as entrypoint or command.
    pub ssh: Vec<Location>,
    /// setuid or setgid files that no package owns.
    pub setuid: Vec<Location>,
}

/// Something about the bytes themselves that does not hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IntegrityFault {
    pub kind: FaultKind,
    pub location: Location,
    pub detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// The layer's content does not hash to the diff_id its configuration names.
    DiffIdMismatch,
    /// Layers listed and diff_ids listed differ in number.
    LayerCountMismatch,
    /// A layer to be fetched from elsewhere (foreign, non-distributable): not examined.
    ForeignLayer,
    /// Duplicate JSON keys, or keys that differ in case only, in manifest or configuration.
    AmbiguousJson,
    /// Runnable image dressed as another artifact.
    DisguisedImage,
}

/// Why a layer has no analysis (无法扫描).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unscannable {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<Digest>,
    pub reason: UnscannableReason,
    pub detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnscannableReason {
    WorkerCrashed,
    TimedOut,
    Encrypted,
    /// Not the format its media type says, or damaged.
    Unreadable,
    /// A bound was reached (entries, size, ratio, depth).
    TooLarge,
    /// Media type this scanner does not know.
    UnknownFormat,
}

/// Versions of everything that may change an answer: `walker`, `secrets`, `malware`, `advisories`…
/// Results are reusable exactly while these are equal.
pub type Engines = BTreeMap<String, String>;

/// The composed report of one image manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageReport {
    /// Digest of the manifest.
    pub image: Digest,
    pub engines: Engines,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<Os>,
    pub architecture: String,
    pub coverage: Coverage,
    /// Day of the advisory data used (`2026-11-19`): what was found later is not in it. Absent when
    /// nothing was matched or the data is of several days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advisories_as_of: Option<String>,
    /// Packages no advisory data speaks about, `ecosystem/source`: unknown, not clean.
    #[serde(default)]
    pub unknown_packages: Vec<String>,
    pub layers: Vec<Digest>,
    pub packages: Vec<Package>,
    pub vulnerabilities: Vec<Vulnerability>,
    pub secrets: Vec<Secret>,
    pub malware: Vec<Malware>,
    pub configuration: Configuration,
    pub faults: Vec<IntegrityFault>,
    pub unscannable: Vec<Unscannable>,
    /// Bounds reached that cut a listing short, in words; empty when complete.
    #[serde(default)]
    pub truncated: Vec<String>,
}

impl ImageReport {
    /// A report with nothing in it, to be filled.
    pub fn empty(image: Digest) -> Self {
        ImageReport {
            image,
            engines: Engines::new(),
            os: None,
            architecture: String::new(),
            coverage: Coverage::NoPackages,
            advisories_as_of: None,
            unknown_packages: Vec::new(),
            layers: Vec::new(),
            packages: Vec::new(),
            vulnerabilities: Vec::new(),
            secrets: Vec::new(),
            malware: Vec::new(),
            configuration: Configuration::default(),
            faults: Vec::new(),
            unscannable: Vec::new(),
            truncated: Vec::new(),
        }
    }
}
