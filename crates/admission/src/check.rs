//! What is looked at in a request.
//!
//! Every check has a name, which policies of kind WorkloadPolicy switch: `pod-security/privileged` and
//! the other controls of the Pod Security Standards by their upstream names, and those of the modules
//! here.

pub mod entry;
pub mod image;
pub mod namespace;
pub mod permission;
pub mod pod;
pub mod service;

use crate::review::{Operation, Request};
use jinwu_model::{ClauseId, Digest, Mode, PolicyId, Text};
use jinwu_podsecurity::workload::PodIn;
use jinwu_podsecurity::{Resource, Workload};
use serde::Deserialize;

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Name of the check.
    pub check: String,
    pub found: Text,
    pub advice: Text,
    /// Image of the container it is about.
    pub digest: Option<Digest>,
    /// An exception that was granted where the finding was made.
    pub exception: Option<String>,
    /// A policy of images with its default modes: then no check leads to it.
    pub image_policy: Option<(PolicyId, Vec<ClauseId>, [Mode; 4])>,
}

/// A request's object, as far as it is judged.
#[derive(Debug)]
pub enum Read<'a> {
    /// Pods, or what makes pods, and what they were before.
    Pods { pods: Vec<PodIn<'a>>, before: Vec<PodIn<'a>>, subject: Owned },
    /// Someone wants into a running container, or past the API server to a node, pod or service.
    Entry { way: &'static str, namespace: String, target: String },
    Service(service::Service),
    Permission(permission::Permission),
    Namespace(namespace::Change),
    /// Nothing here is judged.
    Nothing,
    Unreadable(String),
}

/// Who owns an object, by its own words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Owned {
    #[serde(default)]
    metadata: OwnedMetadata,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OwnedMetadata {
    #[serde(default)]
    owner_references: Option<Vec<Owner>>,
    #[serde(default)]
    labels: Option<std::collections::BTreeMap<String, String>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Owner {
    kind: String,
    name: String,
    #[serde(default)]
    controller: Option<bool>,
}

/// A workload as exceptions name it: `deployment/web`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject(String);

/// Accounts of the controllers that make pods: an owner is believed only if one of these wrote it.
pub(crate) const CONTROLLERS: [&str; 8] = [
    "replicaset-controller", "deployment-controller", "statefulset-controller", "daemon-set-controller",
    "job-controller", "cronjob-controller", "replication-controller", "ttl-after-finished-controller",
];

// === impl Found ===

impl Found {
    pub fn new(check: impl Into<String>, found: Text, advice: Text) -> Self {
        Found { check: check.into(), found, advice, digest: None, exception: None, image_policy: None }
    }

    #[must_use]
    pub fn of(mut self, digest: Option<&Digest>) -> Self {
        self.digest = digest.cloned();
        self
    }
}

// === impl Read ===

impl<'a> Read<'a> {
    /// Reads what a request is about.
    pub fn of(request: &Request<'a>) -> Read<'a> {
        let (group, resource, sub) = (request.resource.group.as_str(), request.resource.resource.as_str(), request.sub_resource());
        match (request.operation, group, resource, sub) {
            (Operation::Connect, "", "pods", "exec" | "attach" | "portforward" | "proxy") | (Operation::Connect, "", "services" | "nodes", "proxy") => {
                entry::read(request)
            }
            (Operation::Delete | Operation::Connect, ..) => Read::Nothing,
            (_, "", "services", "") => service::read(request),
            (_, "", "namespaces", "" | "finalize") => namespace::read(request),
            (_, "rbac.authorization.k8s.io", ..) => permission::read(request),
            _ => match Workload::of(&Resource { group, resource, subresource: sub }) {
                Some(workload) => pods(request, &workload),
                None => Read::Nothing,
            },
        }
    }

    pub fn subject(&self, request: &Request<'_>) -> Subject {
        let own = format!("{}/{}", request.kind.kind.to_ascii_lowercase(), request.name());
        let Read::Pods { subject, .. } = self else { return Subject(own) };
        let by_controller = request
            .user_info
            .username
            .strip_prefix("system:serviceaccount:kube-system:")
            .is_some_and(|name| CONTROLLERS.contains(&name));
        let owner = subject.metadata.owner_references.iter().flatten().find(|o| o.controller == Some(true)).filter(|_| by_controller);
        let Some(owner) = owner else { return Subject(own) };
        let hash = subject.metadata.labels.as_ref().and_then(|l| l.get("pod-template-hash"));
        match (owner.kind.as_str(), hash.and_then(|h| owner.name.strip_suffix(h.as_str())?.strip_suffix('-'))) {
            ("ReplicaSet", Some(deployment)) => Subject(format!("deployment/{deployment}")),
            (kind, _) => Subject(format!("{}/{}", kind.to_ascii_lowercase(), owner.name)),
        }
    }
}

fn pods<'a>(request: &Request<'a>, workload: &Workload) -> Read<'a> {
    let Some(object) = request.object() else { return Read::Nothing };
    let read = |json: &'a str| workload.pods(json).map_err(|e| e.to_string());
    let before = match request.old_object() {
        Some(old) if request.operation == Operation::Update => read(old),
        _ => Ok(Vec::new()),
    };
    match (read(object), before) {
        (Ok(pods), Ok(before)) => {
            // What only names owners must not stop a request.
            let subject = serde_json::from_str(object).unwrap_or_default();
            Read::Pods { pods, before, subject }
        }
        (Err(detail), _) | (_, Err(detail)) => Read::Unreadable(detail),
    }
}

/// Reads an object, or says why not.
fn typed<'de, T: Deserialize<'de>>(json: &'de str) -> Result<T, String> {
    serde_json::from_str(json).map_err(|e| e.to_string())
}

// === impl Subject ===

impl Subject {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
