//! Reading the fixtures.

use jinwu_podsecurity::{Control, Level, Version};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// One pod of Kubernetes' own test suite and what must be said of it.
pub(crate) struct Fixture {
    pub(crate) path: PathBuf,
    pub(crate) level: Level,
    pub(crate) version: Version,
    /// The control that must fail; `None`: the pod passes.
    pub(crate) fails: Option<Control>,
    pub(crate) pod: serde_json::Value,
}

/// The folder that `lab/pod-security.sh` prints.
pub(crate) fn folder() -> PathBuf {
    let folder = std::env::var_os("JINWU_POD_SECURITY").map(PathBuf::from).unwrap_or_default();
    assert!(
        folder.join("oracle").is_file(),
        "JINWU_POD_SECURITY={} must name the folder with the fixtures: export JINWU_POD_SECURITY=$(bash lab/pod-security.sh)",
        folder.display()
    );
    folder
}

/// Every fixture of a version of the module.
pub(crate) fn fixtures(module: &str) -> Vec<Fixture> {
    let root = folder().join(module);
    // The same pod stands under many versions.
    let mut read: HashMap<String, serde_json::Value> = HashMap::new();
    let mut all = Vec::new();
    for level in [Level::Baseline, Level::Restricted] {
        for version in list(&root.join(level.as_str())) {
            for outcome in ["pass", "fail"] {
                for path in list(&version.join(outcome)) {
                    let text = std::fs::read_to_string(&path).unwrap();
                    let pod = read.entry(text).or_insert_with_key(|text| serde_saphyr::from_str(text).unwrap()).clone();
                    all.push(Fixture {
                        level,
                        version: name(&version).parse().unwrap(),
                        fails: (outcome == "fail").then(|| control(&name(&path))),
                        pod,
                        path,
                    });
                }
            }
        }
    }
    all
}

fn list(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// `capabilities_baseline0.yaml` is about capabilities_baseline.
fn control(file: &str) -> Control {
    let id = file.trim_end_matches(".yaml").trim_end_matches(|c: char| c.is_ascii_digit());
    Control::ALL.into_iter().find(|c| c.id().eq_ignore_ascii_case(id)).unwrap_or_else(|| panic!("no control for {file}"))
}
