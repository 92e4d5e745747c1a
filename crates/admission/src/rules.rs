//! A bundle made ready to judge by.

use crate::protocol::{BlockedSubject, Bundle, EntryGrant, WorkloadException};
use jinwu_model::{ClauseId, Digest, Mode, PolicyId, ProtectionLevel};
use jinwu_policy::admission_policy::AdmissionPolicies;
use jinwu_policy::{PolicyError, PolicySet};
use std::collections::{BTreeMap, HashMap, HashSet};

/// The label of a namespace that holds its protection level.
pub const LEVEL_LABEL: &str = "jinwu.io/level";

/// Every other namespace, in maps by namespace.
pub const OTHERS: &str = "*";

/// What a gate decides by.
pub struct Rules {
    pub bundle: Bundle,
    /// Check → policies that switch it.
    by_control: HashMap<String, Vec<PolicyId>>,
    policies: BTreeMap<PolicyId, Policy>,
    own: HashSet<String>,
    allowed: HashSet<String>,
    /// Users' admission policies.
    pub users: AdmissionPolicies,
}

struct Policy {
    clauses: Vec<ClauseId>,
    modes: [Mode; 4],
}

/// Where something happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Empty for what lies in no namespace.
    pub namespace: String,
    pub level: ProtectionLevel,
}

impl Rules {
    /// Compiles a bundle.
    ///
    /// # Errors
    /// A custom policy does not compile; the error names it. The gate keeps the bundle it has.
    pub fn new(bundle: Bundle) -> Result<Self, PolicyError> {
        let set = PolicySet::load(bundle.policies.iter().map(String::as_str))?;
        let (mut by_control, mut policies) = (HashMap::<String, Vec<PolicyId>>::new(), BTreeMap::new());
        for (id, document, _) in set.documents() {
            for control in &document.spec.controls {
                by_control.entry(control.clone()).or_default().push(id.clone());
            }
            let at = |level| document.spec.modes.at(level);
            policies.insert(id.clone(), Policy { clauses: document.spec.clauses.clone(), modes: ProtectionLevel::ALL.map(at) });
        }
        let own: HashSet<String> = bundle.own_registries.iter().cloned().collect();
        let allowed = bundle.registries.iter().cloned().chain(own.iter().cloned()).collect();
        let users = crate::users::load(&bundle.admission).map_err(|detail| PolicyError::Invalid { policy: "admission".into(), detail })?;
        Ok(Rules { by_control, policies, own, allowed, users, bundle })
    }

    /// The scope of a namespace with these labels; `None`: it is not known, which counts as the default.
    pub fn scope(&self, namespace: &str, labels: Option<&BTreeMap<String, String>>) -> Scope {
        let level = labels.and_then(|l| l.get(LEVEL_LABEL)).and_then(|text| level(text));
        Scope { namespace: namespace.to_owned(), level: level.unwrap_or(self.bundle.default_level) }
    }

    /// What a policy does in a scope: its mode there, never stronger than enforcement allows.
    pub fn mode(&self, policy: &PolicyId, scope: &Scope) -> Mode {
        let modes = self.policies.get(policy).map(|p| p.modes);
        self.mode_by(policy, modes.unwrap_or([Mode::Block; 4]), scope)
    }

    /// The same for a policy whose defaults are given: one of images.
    pub fn mode_by(&self, policy: &PolicyId, defaults: [Mode; 4], scope: &Scope) -> Mode {
        let switched = [scope.namespace.as_str(), OTHERS].into_iter().find_map(|n| self.bundle.modes.get(n)?.get(policy).copied());
        let by_level = defaults.get(usize::from(scope.level.get()) - 1).copied().unwrap_or(Mode::Block);
        switched.unwrap_or(by_level).min(self.enforcement(&scope.namespace))
    }

    pub fn enforcement(&self, namespace: &str) -> Mode {
        let e = &self.bundle.enforcement;
        e.get(namespace).or_else(|| e.get(OTHERS)).copied().unwrap_or(Mode::Block)
    }

    /// Policies that switch a check.
    pub fn policies_of(&self, control: &str) -> &[PolicyId] {
        self.by_control.get(control).map_or(&[], Vec::as_slice)
    }

    /// Whether a check can lead to anything in a scope: if not, it need not be made.
    pub fn is_on(&self, control: &str, scope: &Scope) -> bool {
        self.policies_of(control).iter().any(|p| self.mode(p, scope) != Mode::Allow)
    }

    pub fn clauses(&self, policy: &PolicyId) -> Vec<ClauseId> {
        self.policies.get(policy).map(|p| p.clauses.clone()).unwrap_or_default()
    }

    pub fn is_own_registry(&self, host: &str) -> bool {
        self.own.contains(host)
    }

    pub fn is_allowed_registry(&self, host: &str) -> bool {
        self.allowed.contains(host)
    }

    /// The exception that lifts a policy for a workload (`deployment/web`) and image, if any.
    pub fn exception(&self, policy: &PolicyId, scope: &Scope, workload: &str, digest: Option<&Digest>, now: i64) -> Option<&WorkloadException> {
        self.bundle.exceptions.iter().find(|e| {
            let scoped = e.namespace.is_some() || e.workload.is_some() || e.digest.is_some();
            scoped
                && e.policy == *policy
                && now < e.expires
                && e.namespace.as_ref().is_none_or(|n| *n == scope.namespace)
                && e.workload.as_ref().is_none_or(|w| w == workload)
                && e.digest.as_ref().is_none_or(|d| Some(d) == digest)
        })
    }

    /// Whether an image is a base-platform component of its namespace: by digest and, where it must be signed, by one
    /// of the keys that have signed it (SubjectPublicKeyInfo in base64).
    pub fn is_base_platform(&self, namespace: &str, digest: Option<&Digest>, signers: &[String]) -> bool {
        let key = |pem: &str| pem.lines().filter(|l| !l.starts_with("-----")).flat_map(str::split_whitespace).collect::<String>();
        self.bundle.base_platform.iter().any(|c| {
            c.namespace == namespace && Some(&c.digest) == digest && c.signer.as_deref().is_none_or(|pem| signers.contains(&key(pem)))
        })
    }

    /// Leave of a person to enter a pod (or, with no namespace, to reach a node), if there is.
    pub fn grant(&self, person: &str, namespace: &str, pod: &str, way: &str, now: i64) -> Option<&EntryGrant> {
        self.bundle.grants.iter().find(|g| {
            let named = match g.pod.strip_suffix('*') {
                Some(start) => pod.starts_with(start),
                None => pod == g.pod,
            };
            !person.is_empty()
                && g.person == person
                && g.namespace == namespace
                && named
                && g.ways.iter().any(|w| w == way)
                && (g.not_before..g.expires).contains(&now)
        })
    }

    /// The block that refuses a subject, if any. `credentials` are those of the authenticator's
    /// `authentication.kubernetes.io/credential-id`.
    pub fn blocked(&self, user: &str, credentials: &[String], now: i64) -> Option<&BlockedSubject> {
        self.bundle.blocked.iter().find(|b| b.refuses(user, credentials, now))
    }

    /// Whether someone may set a namespace's level.
    pub fn may_set_level(&self, user: &str, groups: &[String]) -> bool {
        self.bundle.level_setters.iter().any(|s| match s.strip_prefix("group:") {
            Some(group) => groups.iter().any(|g| g == group),
            None => s == user,
        })
    }
}

/// A level as a label writes it: one digit.
pub fn level(text: &str) -> Option<ProtectionLevel> {
    text.parse::<u8>().ok().filter(|_| text.len() == 1).and_then(|n| n.try_into().ok())
}
