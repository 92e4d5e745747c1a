//! The rules the product ships.

use crate::loader::RuleFile;

/// Falco's rules for Kubernetes audit events, unmodified (`content/rules/falco/README.md`).
pub const FALCO_KUBERNETES: RuleFile<'static> =
    RuleFile { name: "content/rules/falco/k8s_audit_rules.yaml", text: include_str!("../../../content/rules/falco/k8s_audit_rules.yaml") };

macro_rules! own {
    ($($file:literal),* $(,)?) => {
        /// Jinwu's own rules, one file for each theme.
        pub const KUBERNETES: &[RuleFile<'static>] = &[
            $(RuleFile { name: concat!("rules/kubernetes/", $file), text: include_str!(concat!("../../../rules/kubernetes/", $file)) },)*
        ];
    };
}

own!("falco.yaml", "macros.yaml", "access.yaml", "credentials.yaml", "privilege.yaml", "workload.yaml", "control.yaml", "sequences.yaml");

/// Everything for Kubernetes audit events, in the order of loading.
pub fn kubernetes() -> Vec<RuleFile<'static>> {
    std::iter::once(FALCO_KUBERNETES).chain(KUBERNETES.iter().copied()).collect()
}
