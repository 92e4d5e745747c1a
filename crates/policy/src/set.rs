//! All policies of an installation, built in and custom, compiled, with one hash for all.

use crate::PolicyError;
use crate::compile::{self, Compiled};
use crate::document::Document;
use jinwu_model::PolicyId;
use sha2::Digest as _;
use std::collections::BTreeMap;

pub struct PolicySet {
    pub(crate) policies: BTreeMap<PolicyId, Compiled>,
    hash: String,
}

/// The built-in policies, one file each under `policies/`.
pub const BUILTIN: [&str; 24] = [
    include_str!("../../../policies/known-vulnerability.yaml"),
    include_str!("../../../policies/embedded-secret.yaml"),
    include_str!("../../../policies/environment-password.yaml"),
    include_str!("../../../policies/malware.yaml"),
    include_str!("../../../policies/root-user.yaml"),
    include_str!("../../../policies/exposed-ssh.yaml"),
    include_str!("../../../policies/setuid-addition.yaml"),
    include_str!("../../../policies/unscannable.yaml"),
    include_str!("../../../policies/integrity.yaml"),
    include_str!("../../../policies/uncovered-distribution.yaml"),
    include_str!("../../../policies/privileged-container.yaml"),
    include_str!("../../../policies/host-namespaces.yaml"),
    include_str!("../../../policies/host-filesystem.yaml"),
    include_str!("../../../policies/added-capabilities.yaml"),
    include_str!("../../../policies/kernel-protection.yaml"),
    include_str!("../../../policies/restricted-profile.yaml"),
    include_str!("../../../policies/privileged-user.yaml"),
    include_str!("../../../policies/image-registry.yaml"),
    include_str!("../../../policies/unknown-image.yaml"),
    include_str!("../../../policies/container-entry.yaml"),
    include_str!("../../../policies/exposed-service.yaml"),
    include_str!("../../../policies/excessive-permission.yaml"),
    include_str!("../../../policies/level-change.yaml"),
    include_str!("../../../policies/sandboxed-runtime.yaml"),
];

impl PolicySet {
    /// The built-in policies and these custom documents (YAML). A custom policy cannot take a
    /// built-in one's name.
    pub fn load<'a>(custom: impl IntoIterator<Item = &'a str>) -> Result<Self, PolicyError> {
        Self::collect(custom, |yaml| compile::compile(yaml, false))
    }

    /// The same with documents that were accepted once, perhaps by an earlier version: one that cannot be
    /// used any more is violated by every image, and told of in the second part.
    ///
    /// # Errors
    /// One is no policy document at all, or a name stands twice.
    pub fn load_kept<'a>(custom: impl IntoIterator<Item = &'a str>) -> Result<(Self, Vec<PolicyError>), PolicyError> {
        let mut unusable = Vec::new();
        let set = Self::collect(custom, |yaml| {
            compile::compile(yaml, false).or_else(|error| {
                let compiled = compile::violated(yaml, &error);
                unusable.push(error);
                compiled
            })
        })?;
        Ok((set, unusable))
    }

    fn collect<'a>(custom: impl IntoIterator<Item = &'a str>, mut compile: impl FnMut(&'a str) -> Result<Compiled, PolicyError>) -> Result<Self, PolicyError> {
        let mut policies = BTreeMap::new();
        let mut hash = sha2::Sha256::new();
        for (yaml, builtin) in BUILTIN.into_iter().map(|y| (y, true)).chain(custom.into_iter().map(|y| (y, false))) {
            let compiled = if builtin { compile::compile(yaml, true)? } else { compile(yaml)? };
            let id = PolicyId(compiled.document.metadata.name.clone());
            if policies.contains_key(&id) {
                return Err(PolicyError::Invalid { policy: id.0, detail: "a policy of this name exists already".into() });
            }
            hash.update((yaml.len() as u64).to_le_bytes());
            hash.update(yaml);
            policies.insert(id, compiled);
        }
        Ok(PolicySet { policies, hash: hex::encode(hash.finalize()) })
    }

    /// Checks one document by itself, as the API does before it stores it.
    pub fn check(yaml: &str) -> Result<Document, PolicyError> {
        compile::compile(yaml, false).map(|c| c.document)
    }

    /// SHA-256 over all documents: part of every cached decision's key.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    pub fn documents(&self) -> impl Iterator<Item = (&PolicyId, &Document, bool)> {
        self.policies.iter().map(|(id, c)| (id, &c.document, c.builtin))
    }

    pub fn get(&self, id: &PolicyId) -> Option<&Document> {
        self.policies.get(id).map(|c| &c.document)
    }
}
