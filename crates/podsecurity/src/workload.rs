//! Which pods an object carries.
//!
//! A pod is judged where it is written: in a Pod, in the template of a workload, or in a custom kind
//! whose path the caller knows. Templates are judged too, although only pods run: the person who writes
//! a Deployment learns at once what is wrong, in terms of *their* object.

mod descend;
mod path;

pub use path::{MAX_STEPS, PathError, PodPath};

use crate::pod::{Paths, PodSpec, PodTemplate, ReadError, read_seed};
use descend::Descend;

/// Pods one object may carry.
pub const MAX_PODS: usize = 64;

/// Containers and volumes all pods of one object may have together.
pub const MAX_WEIGHT: usize = 10_000;

/// What an admission request is about. The version does not matter: all versions of these kinds keep
/// the template in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resource<'r> {
    /// Empty for the core group.
    pub group: &'r str,
    /// Plural, lower-case: `deployments`.
    pub resource: &'r str,
    /// Empty for the object itself.
    pub subresource: &'r str,
}

/// A kind that carries pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    path: PodPath,
    /// What stands there is a `spec` without metadata around it.
    bare: bool,
    /// The object is a pod: it runs, and its annotations no longer decide anything.
    pod: bool,
}

/// A pod and where it stands in its object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodIn<'a> {
    pub paths: Paths,
    pub pod: PodTemplate<'a>,
    /// It is a pod itself, not a template.
    pub running: bool,
}

/// Subresources of a pod whose object is no pod, or whose change is the kubelet's report.
const NO_PODS: [&str; 8] = ["attach", "binding", "eviction", "exec", "log", "portforward", "proxy", "status"];

/// Group, resource, kind and the way to the template.
const KINDS: [(&str, &str, &str, &str); 9] = [
    ("", "pods", "Pod", ""),
    ("", "podtemplates", "PodTemplate", "template"),
    ("", "replicationcontrollers", "ReplicationController", "spec.template"),
    ("apps", "replicasets", "ReplicaSet", "spec.template"),
    ("apps", "deployments", "Deployment", "spec.template"),
    ("apps", "statefulsets", "StatefulSet", "spec.template"),
    ("apps", "daemonsets", "DaemonSet", "spec.template"),
    ("batch", "jobs", "Job", "spec.template"),
    ("batch", "cronjobs", "CronJob", "spec.jobTemplate.spec.template"),
];

/// Whether an update changes anything that is judged: members the controls and clause IP-6 look at,
/// images among them. Labels, status, finalizers, tolerations and resources are not; nor are annotations
/// of a running pod, which decide only when it is made.
pub fn relevant_change(old: &[PodIn<'_>], new: &[PodIn<'_>]) -> bool {
    old.len() != new.len() || old.iter().zip(new).any(|(old, new)| {
        old.paths != new.paths
            || old.pod.spec != new.pod.spec
            || (!(old.running && new.running) && old.pod.metadata != new.pod.metadata)
    })
}

// === impl Workload ===

impl Workload {
    /// The kind of a request's resource; `None` if its object carries no pod, which is so for every
    /// subresource but `pods/ephemeralcontainers`, `pods/resize` and what pods may get in future.
    pub fn of(resource: &Resource<'_>) -> Option<Workload> {
        let (.., path) = KINDS.into_iter().find(|(group, name, ..)| *group == resource.group && *name == resource.resource)?;
        let pod = path.is_empty();
        let carries = resource.subresource.is_empty() || (pod && !NO_PODS.contains(&resource.subresource));
        carries.then(|| Workload::built_in(path))
    }

    /// The kind of a document: `apps` and `Deployment` of `apiVersion: apps/v1`, `kind: Deployment`.
    pub fn of_kind(group: &str, kind: &str) -> Option<Workload> {
        KINDS.into_iter().find(|(g, _, k, _)| *g == group && *k == kind).map(|(.., path)| Workload::built_in(path))
    }

    /// A custom kind that carries pod templates, each with `metadata` and `spec`, at a path.
    pub fn templates_at(path: PodPath) -> Workload {
        Workload { path, bare: false, pod: false }
    }

    /// A custom kind that carries bare pod specs at a path.
    pub fn specs_at(path: PodPath) -> Workload {
        Workload { path, bare: true, pod: false }
    }

    /// The pods of an object. A kind whose template is absent or `null` has none.
    ///
    /// # Errors
    /// The text is no JSON, a member on the way or of the pod has the wrong type, or there are more than
    /// [`MAX_PODS`] pods or [`MAX_WEIGHT`] containers and volumes. What cannot be read must not pass.
    pub fn pods<'a>(&self, json: &'a str) -> Result<Vec<PodIn<'a>>, ReadError> {
        let mut pods = read_seed(Descend::new(self.path.steps(), self.bare), json)?;
        for pod in &mut pods {
            pod.running = self.pod;
        }
        Ok(pods)
    }

    fn built_in(path: &'static str) -> Workload {
        Workload { path: PodPath::of_names(path), bare: false, pod: path.is_empty() }
    }
}

// === impl PodIn ===

impl<'a> PodIn<'a> {
    fn template(at: &str, pod: PodTemplate<'a>) -> Self {
        let paths = if at.is_empty() { Paths::pod() } else { Paths::template(at) };
        PodIn { paths, pod, running: false }
    }

    fn bare(at: &str, spec: PodSpec<'a>) -> Self {
        let paths = Paths { metadata: String::new(), spec: at.to_owned() };
        PodIn { paths, pod: PodTemplate { spec, ..PodTemplate::default() }, running: false }
    }

    /// What counts against [`MAX_WEIGHT`].
    fn weight(&self) -> usize {
        let spec = &self.pod.spec;
        spec.init_containers.len() + spec.containers.len() + spec.ephemeral_containers.len() + spec.volumes.len()
    }
}
