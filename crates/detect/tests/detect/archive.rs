//! Falco's own files load as they are.

use jinwu_detect::content::{FALCO_KUBERNETES, FALCO_NODE};
use jinwu_detect::field::Source;
use jinwu_detect::{RuleFile, RuleSet};
use std::io::Read;
use std::path::PathBuf;

/// Every rule file of the archive, by name.
pub(crate) fn files() -> Vec<(String, String)> {
    let data = std::env::var_os("JINWU_DATA").expect("set JINWU_DATA to the data pack (rules/falco-rules.tar.zst is read from it)");
    let path = PathBuf::from(data).join("rules/falco-rules.tar.zst");
    let file = std::fs::File::open(&path).unwrap_or_else(|e| panic!("{}: {e}: JINWU_DATA must name the data pack", path.display()));
    let mut archive = tar::Archive::new(zstd::Decoder::new(file).unwrap());
    let mut all = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".yaml") {
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            all.push((name, text));
        }
    }
    all
}

#[test]
fn every_file_loads_unmodified() {
    let expected = [("falco_rules.yaml", 25, 0), ("falco-incubating_rules.yaml", 31, 0), ("falco-sandbox_rules.yaml", 37, 12), ("k8s_audit_rules.yaml", 48, 0)];
    let files = files();
    assert_eq!(files.len(), expected.len());
    for (name, rules, disabled) in expected {
        let (_, text) = files.iter().find(|(n, _)| n == name).unwrap();
        let (set, warnings) = RuleSet::load(&[RuleFile { name, text }]).unwrap_or_else(|p| panic!("{p}"));
        assert_eq!(set.rules().len(), rules, "{name}");
        assert_eq!(set.rules().iter().filter(|r| !r.enabled).count(), disabled, "{name}");
        assert!(warnings.is_empty(), "{name}: {warnings:?}");
    }
}

#[test]
fn all_files_load_together() {
    let files = files();
    let order = ["falco_rules.yaml", "falco-incubating_rules.yaml", "falco-sandbox_rules.yaml", "k8s_audit_rules.yaml"];
    let files: Vec<RuleFile<'_>> =
        order.iter().map(|n| files.iter().find(|(name, _)| name == n).map(|(name, text)| RuleFile { name, text }).unwrap()).collect();
    let (set, _) = RuleSet::load(&files).unwrap_or_else(|p| panic!("{p}"));
    assert_eq!(set.rules().len(), 141);
    assert_eq!(set.rules().iter().filter(|r| r.source == Source::Syscall).count(), 93);
}

/// The table of event types in the facts (libsinsp's index over the same files).
#[test]
fn rules_are_bound_to_their_event_types() {
    let files = files();
    let load = |name: &str| {
        let (_, text) = files.iter().find(|(n, _)| n == name).unwrap();
        RuleSet::load(&[RuleFile { name, text }]).unwrap().0
    };
    let stable = load("falco_rules.yaml");
    let types = |set: &RuleSet, name: &str| match &set.rules().iter().find(|r| r.name == name).unwrap().event_types {
        jinwu_detect::compile::EventTypes::Only(names) => names.iter().map(|n| n.to_string()).collect::<Vec<_>>(),
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(types(&stable, "Directory traversal monitored file read"), ["open", "openat", "openat2"]);
    assert_eq!(types(&stable, "Run shell untrusted"), ["execve", "execveat"]);
    assert_eq!(types(&stable, "Contact K8S API Server From Container"), ["connect"]);
    assert_eq!(types(&stable, "Create Symlink Over Sensitive Files"), ["symlink", "symlinkat"]);
    assert_eq!(types(&stable, "Disallowed SSH Connection Non Standard Port"), ["connect", "sendmsg", "sendto"]);
    let sandbox = load("falco-sandbox_rules.yaml");
    assert_eq!(types(&sandbox, "Unexpected inbound connection source"), ["accept", "accept4", "listen", "recvfrom", "recvmsg"]);
    assert_eq!(types(&sandbox, "Mkdir binary dirs"), ["mkdir", "mkdirat"]);
    let mut all: Vec<String> = Vec::new();
    for name in ["falco_rules.yaml", "falco-incubating_rules.yaml", "falco-sandbox_rules.yaml"] {
        let set = load(name);
        for rule in set.rules() {
            all.extend(types(&set, &rule.name));
        }
    }
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 41, "{all:?}");
}

#[test]
fn shipped_rules_are_the_archive_s() {
    let files = files();
    for shipped in FALCO_NODE.iter().chain([&FALCO_KUBERNETES]) {
        let (_, text) = files.iter().find(|(n, _)| shipped.name.ends_with(&format!("/{n}"))).unwrap();
        assert!(text == shipped.text, "{} differs from the archive", shipped.name);
    }
}
