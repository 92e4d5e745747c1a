//! The rules.

use std::fmt;
use std::path::{Path, PathBuf};

/// A place that breaks a rule.
pub(crate) struct Fault {
    pub(crate) file: PathBuf,
    pub(crate) line: usize,
    pub(crate) rule: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.rule)
    }
}

/// More lines than this in a source file are more than one idea.
const LONGEST: usize = 600;

/// Crates that may have `unsafe` code, each in one place: memory maps, BPF glue, cipher kernels.
const MAY_BE_UNSAFE: [&str; 2] = ["crates/advisory", "crates/sensor"];

/// Who may link the heavy engines, so that nobody else compiles them.
const HEAVY: [(&str, &str); 2] = [("yara-x", "crates/malware/Cargo.toml"), ("jinwu-malware", "bin/jinwu-scan/Cargo.toml")];

/// Who may use whom: the pure crates use no I/O, and nothing calls back up.
const FORBIDDEN: [(&str, &[&str]); 12] = [
    ("crates/model", &["tokio", "rusqlite", "reqwest", "axum", "jinwu-"]),
    ("crates/standard", &["tokio", "rusqlite", "reqwest", "axum", "jinwu-server", "jinwu-registry"]),
    ("crates/cel", &["tokio", "rusqlite", "reqwest", "axum", "jinwu-"]),
    ("crates/policy", &["tokio", "rusqlite", "reqwest", "axum", "jinwu-scan", "jinwu-registry", "jinwu-server"]),
    ("crates/podsecurity", &["tokio", "rusqlite", "reqwest", "axum", "jinwu-policy", "jinwu-server"]),
    ("crates/audit", &["tokio", "rusqlite", "reqwest", "axum", "kube", "rand", "jinwu-policy", "jinwu-server"]),
    ("crates/inventory", &["tokio", "rusqlite", "reqwest", "axum", "kube", "rand", "jinwu-policy", "jinwu-server"]),
    ("crates/detect", &["tokio", "rusqlite", "reqwest", "axum", "rand", "jinwu-policy", "jinwu-server"]),
    ("crates/event", &["tokio", "rusqlite", "reqwest", "axum", "rand", "jinwu-policy", "jinwu-server", "jinwu-sensor"]),
    ("crates/registry", &["jinwu-identity", "jinwu-policy", "jinwu-scan", "jinwu-server", "jinwu-image"]),
    ("crates/scan", &["jinwu-registry", "jinwu-server", "jinwu-identity", "yara-x"]),
    ("crates/server", &["jinwu-image", "yara-x", "jinwu-malware"]),
];

pub(crate) fn check(root: &Path) -> anyhow::Result<Vec<Fault>> {
    let files = crate::files(root)?;
    let mut faults = Vec::new();
    for file in &files {
        let Ok(text) = std::fs::read_to_string(root.join(file)) else { continue };
        let path = file.to_string_lossy().replace('\\', "/");
        let mut fault = |line: usize, rule: &'static str| faults.push(Fault { file: file.clone(), line, rule });
        if path.ends_with("/mod.rs") {
            fault(1, "modules are foo.rs beside foo/, never mod.rs: a tab then says which module it is");
        }
        if path.ends_with(".rs") {
            source(&path, &text, &mut fault);
        }
        if path.ends_with("Cargo.toml") {
            manifest(&path, &text, &mut fault);
        }
        if !path.starts_with("content/") && !path.starts_with("xtask/") && path != "Cargo.lock" {
            prose(&text, &mut fault);
        }
    }
    structure(root, &files, &mut faults);
    Ok(faults)
}

fn source(path: &str, text: &str, fault: &mut impl FnMut(usize, &'static str)) {
    if text.lines().count() > LONGEST {
        fault(LONGEST, "a file this long holds more than one idea: split it along the project's words");
    }
    let root = path.ends_with("/src/lib.rs") || path.ends_with("/src/main.rs");
    if root && !text.starts_with("//!") {
        fault(1, "a crate begins with what it is (//!)");
    }
    if root && !path.starts_with("xtask/") && !MAY_BE_UNSAFE.iter().any(|c| path.starts_with(c)) && !text.contains("#![forbid(unsafe_code)]") {
        fault(1, "a crate forbids unsafe code unless it is on the list of those that need it");
    }
    for (i, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        if !path.starts_with("xtask/") && code.contains("#[ignore") {
            fault(i + 1, "an ignored test counts as passed: remove it or make it run");
        }
        if !path.starts_with("xtask/") && (code.contains("todo!(") || code.contains("unimplemented!(")) {
            fault(i + 1, "no stubs");
        }
        if !path.starts_with("xtask/") && ["FIXME", "XXX:", "TODO"].iter().any(|w| line.contains(w)) {
            fault(i + 1, "unfinished: finish it, or write down outside the code what is missing");
        }
    }
}

fn manifest(path: &str, text: &str, fault: &mut impl FnMut(usize, &'static str)) {
    for (heavy, owner) in HEAVY {
        for (i, line) in text.lines().enumerate() {
            let named = line.starts_with(&format!("{heavy}.")) || line.starts_with(&format!("{heavy} "));
            if named && path != owner && path != "Cargo.toml" {
                fault(i + 1, "a heavy engine stays in its own binary");
            }
        }
    }
    for (crate_, forbidden) in FORBIDDEN {
        if path != format!("{crate_}/Cargo.toml") {
            continue;
        }
        for (i, line) in text.lines().enumerate() {
            if line.starts_with('[') && line.contains("dev-dependencies") {
                break;
            }
            if forbidden.iter().any(|f| line.starts_with(f)) {
                fault(i + 1, "this crate may not use that one: dependencies point one way (ARCHITECTURE.md)");
            }
        }
    }
    if (path.starts_with("crates/") || path.starts_with("bin/")) && !text.contains("[lints]\nworkspace = true") {
        fault(1, "the workspace's lints hold in every crate");
    }
}

/// Nothing of one machine, nothing of how the work was done.
fn prose(text: &str, fault: &mut impl FnMut(usize, &'static str)) {
    for (i, line) in text.lines().enumerate() {
        if line.contains("/work/main") || line.contains("/work/shared") {
            fault(i + 1, "a path of somebody's machine");
        }
    }
}

fn structure(root: &Path, files: &[PathBuf], faults: &mut Vec<Fault>) {
    let mut missing = |file: &str, rule: &'static str| {
        if !root.join(file).exists() {
            faults.push(Fault { file: file.into(), line: 1, rule });
        }
    };
    for file in ["README.md", "ARCHITECTURE.md", "LICENSE", "CHANGELOG.md", "SECURITY.md", "CONTRIBUTING.md", "deny.toml", ".ci/run", "x"] {
        missing(file, "a project has this file");
    }
    let dir = |top: &str| {
        let mut names: Vec<String> =
            files.iter().filter_map(|f| f.strip_prefix(top).ok()?.iter().next().map(|n| n.to_string_lossy().into_owned())).collect();
        names.sort();
        names.dedup();
        names
    };
    for name in dir("content") {
        if root.join("content").join(&name).is_dir() {
            missing(&format!("content/{name}/README.md"), "shipped content says where it is from and under which licence");
        }
    }
    let (zh, en) = (dir("docs/zh"), dir("docs/en"));
    for name in &zh {
        if !en.contains(name) {
            missing(&format!("docs/en/{name}"), "a user's page exists in Chinese and English");
        }
    }
    for name in &en {
        if !zh.contains(name) {
            missing(&format!("docs/zh/{name}"), "a user's page exists in Chinese and English");
        }
    }
    if let Ok(architecture) = std::fs::read_to_string(root.join("ARCHITECTURE.md")) {
        for name in dir("crates").into_iter().chain(dir("bin")) {
            if !architecture.contains(&format!("`{name}`")) {
                faults.push(Fault { file: "ARCHITECTURE.md".into(), line: 1, rule: "the code map names every crate and binary" });
            }
        }
    }
    let set = std::fs::read_to_string(root.join("crates/policy/src/set.rs")).unwrap_or_default();
    let content = std::fs::read_to_string(root.join("crates/detect/src/content.rs")).unwrap_or_default();
    for name in dir("rules/kubernetes") {
        if !content.contains(&format!("\"{name}\"")) {
            faults.push(Fault { file: Path::new("rules/kubernetes").join(name), line: 1, rule: "a rule file that is not built in is forgotten" });
        }
    }
    for name in dir("policies") {
        if !set.contains(&format!("policies/{name}")) {
            faults.push(Fault { file: Path::new("policies").join(name), line: 1, rule: "a policy file that is not built in is forgotten" });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source_faults(path: &str, text: &str) -> usize {
        let mut n = 0;
        source(path, text, &mut |_, _| n += 1);
        n
    }

    #[test]
    fn rules_bite() {
        assert_eq!(source_faults("crates/x/src/a.rs", "fn a() {}\n"), 0);
        assert_eq!(source_faults("crates/x/src/a.rs", "fn a() { todo!() }\n"), 1);
        assert_eq!(source_faults("crates/x/src/a.rs", "#[ignore]\nfn a() {}\n"), 1);
        assert_eq!(source_faults("crates/x/src/lib.rs", "fn a() {}\n"), 2, "no word on what it is, unsafe not forbidden");
        assert_eq!(source_faults("crates/x/src/a.rs", &"\n".repeat(LONGEST + 1)), 1);
        let mut n = 0;
        manifest("crates/server/Cargo.toml", "[dependencies]\nyara-x.workspace = true\n[lints]\nworkspace = true\n", &mut |_, _| n += 1);
        assert_eq!(n, 2);
        let mut n = 0;
        prose("see /work/main/x\n", &mut |_, _| n += 1);
        assert_eq!(n, 1);
    }
}
