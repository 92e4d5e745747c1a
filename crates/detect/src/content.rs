//! The rules the product ships.

use crate::loader::RuleFile;

macro_rules! files {
    ($folder:literal: $($file:literal),* $(,)?) => {
        &[$(RuleFile { name: concat!($folder, $file), text: include_str!(concat!("../../../", $folder, $file)) },)*]
    };
}

/// Falco's rules for Kubernetes audit events, unmodified (`content/rules/README.md`).
pub const FALCO_KUBERNETES: RuleFile<'static> =
    RuleFile { name: "content/rules/falco/k8s_audit_rules.yaml", text: include_str!("../../../content/rules/falco/k8s_audit_rules.yaml") };

/// Falco's rules for node events, unmodified, in the order of their maturity.
pub const FALCO_NODE: &[RuleFile<'static>] =
    files!("content/rules/falco/": "falco_rules.yaml", "falco-incubating_rules.yaml", "falco-sandbox_rules.yaml");

/// Jinwu's own rules for Kubernetes audit events, one file for each theme.
pub const KUBERNETES: &[RuleFile<'static>] = files!("rules/kubernetes/":
    "falco.yaml", "macros.yaml", "access.yaml", "credentials.yaml", "privilege.yaml", "workload.yaml", "control.yaml", "sequences.yaml");

/// Jinwu's own rules for node events, one file for each theme.
pub const NODE: &[RuleFile<'static>] = files!("rules/node/":
    "falco.yaml", "macros.yaml", "escape.yaml", "shell.yaml", "privilege.yaml", "credentials.yaml", "miner.yaml", "lateral.yaml", "persistence.yaml",
    "evasion.yaml", "malware.yaml", "entry.yaml", "tampering.yaml", "sequences.yaml");

/// Everything for Kubernetes audit events, in the order of loading.
pub fn kubernetes() -> Vec<RuleFile<'static>> {
    std::iter::once(FALCO_KUBERNETES).chain(KUBERNETES.iter().copied()).collect()
}

/// Everything for node events, in the order of loading.
pub fn node() -> Vec<RuleFile<'static>> {
    FALCO_NODE.iter().chain(NODE).copied().collect()
}
