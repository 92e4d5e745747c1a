//! ValidatingAdmissionPolicy as the API server has it (admissionregistration.k8s.io/v1).
//!
//! A user's policies and bindings are [loaded](AdmissionPolicies::load) from their YAML as they are,
//! and a request is [evaluated](AdmissionPolicies::evaluate) to the findings the API server would
//! deny, warn or record by: same matching, same order, same cost limits, same fall-backs of the
//! message. Nothing is read but what the caller hands in, so that a scan, a webhook and a simulation
//! give one answer.
//!
//! What the API server knows and this does not: conversions between versions of a kind. With
//! `matchPolicy: Equivalent` a rule for another version of the same group and resource matches, and
//! the object is judged in the version it was sent in.

mod compile;
mod describe;
mod document;
mod evaluate;
mod input;
mod matching;
mod params;
mod selector;
mod types;

pub use describe::{Described, ParamSource};
pub use input::{AdmissionInput, ParamQuery};

use crate::PolicyError;
use compile::Policy;
use document::Binding;

/// What a policy and binding say about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub policy: String,
    /// Empty when the policy itself cannot be applied.
    pub binding: String,
    pub action: Action,
    pub message: String,
    /// A reason of Kubernetes' status, such as `Invalid` or `Forbidden`.
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    Deny,
    Warn,
    Audit,
}

/// An annotation a policy adds to the audit event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditAnnotation {
    /// `policy/key`.
    pub key: String,
    pub value: String,
}

/// What all policies say about a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Review {
    pub findings: Vec<Finding>,
    pub annotations: Vec<AuditAnnotation>,
}

/// Policies and bindings, compiled.
#[derive(Debug, Default)]
pub struct AdmissionPolicies {
    policies: Vec<Policy>,
    bindings: Vec<Binding>,
    /// Parameters that were given with them.
    given: Vec<serde_json::Value>,
}

// === impl Review ===

impl Review {
    /// Whether the API server would refuse the request.
    pub fn denies(&self) -> bool {
        self.findings.iter().any(|f| f.action == Action::Deny)
    }
}

// === impl Action ===

impl Action {
    /// As a binding's `validationActions` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Deny => "Deny",
            Action::Warn => "Warn",
            Action::Audit => "Audit",
        }
    }
}

// === impl AdmissionPolicies ===

impl AdmissionPolicies {
    /// Reads and compiles the policies and bindings of a YAML text of one or more documents, lists
    /// included; `minor` says which Kubernetes' functions they may use. Objects of a policy's paramKind
    /// are kept as its [parameters](AdmissionPolicies::given), other kinds passed over. The error names
    /// the policy, the place and what is wrong: what the API server would not store is refused.
    pub fn load(yaml: &str, minor: u8) -> Result<AdmissionPolicies, PolicyError> {
        AdmissionPolicies::load_all([yaml], minor)
    }

    /// The same for several texts that speak of one another.
    pub fn load_all<'y>(texts: impl IntoIterator<Item = &'y str>, minor: u8) -> Result<AdmissionPolicies, PolicyError> {
        let mut documents = document::Documents::default();
        texts.into_iter().try_for_each(|yaml| document::read(yaml, &mut documents))?;
        let policies: Vec<Policy> = documents.policies.into_iter().map(|p| Policy::compile(p, minor)).collect::<Result<_, _>>()?;
        let twice = first_twice(policies.iter().map(Policy::name)).or_else(|| first_twice(documents.bindings.iter().map(|b| b.metadata.name.as_str())));
        if let Some(name) = twice {
            return Err(PolicyError::Invalid { policy: name.to_owned(), detail: "the name stands twice".into() });
        }
        let given = describe::given(&policies, documents.others)?;
        Ok(AdmissionPolicies { policies, bindings: documents.bindings, given })
    }

    /// How many policies and bindings there are.
    pub fn len(&self) -> (usize, usize) {
        (self.policies.len(), self.bindings.len())
    }

    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// Bindings whose policy is not among these; they have no effect.
    pub fn dangling(&self) -> impl Iterator<Item = &str> {
        let known = |name: &str| self.policies.iter().any(|p| p.name() == name);
        self.bindings.iter().filter(move |b| !known(&b.spec.policy_name)).map(|b| b.metadata.name.as_str())
    }
}

fn first_twice<'n>(names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let mut seen = std::collections::BTreeSet::new();
    names.into_iter().find(|name| !seen.insert(*name))
}
