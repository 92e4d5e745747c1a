//! The model and how objects get into it.

use crate::object::{
    AdmissionPolicy, Autoscaler, Binding, Namespace, NetworkPolicy, Node, Pdb, Pod, PodObject, PodSpec, Role, RuntimeClass, Secret, Service,
    ServiceAccount, SigningRequest, WebhookConfiguration, WithSpec, Workload, WorkloadObject,
};
use crate::read::{Heap, ReadError};
use jinwu_model::Text;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::sync::Arc;

macro_rules! kinds {
    ($($kind:ident $path:literal $resource:literal),* $(,)?) => {
        /// What is read of a cluster.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        pub enum Kind { $($kind),* }

        impl Kind {
            pub const ALL: &[Kind] = &[$(Kind::$kind),*];

            /// Path of the list in the API.
            pub fn path(self) -> &'static str {
                match self { $(Kind::$kind => concat!($path, "/", $resource)),* }
            }

            /// `pods`, `deployments`.
            pub fn resource(self) -> &'static str {
                match self { $(Kind::$kind => $resource),* }
            }

            pub fn name(self) -> &'static str {
                match self { $(Kind::$kind => stringify!($kind)),* }
            }
        }
    };
}

kinds! {
    Node "/api/v1" "nodes",
    Namespace "/api/v1" "namespaces",
    Pod "/api/v1" "pods",
    Service "/api/v1" "services",
    ServiceAccount "/api/v1" "serviceaccounts",
    Secret "/api/v1" "secrets",
    ReplicationController "/api/v1" "replicationcontrollers",
    Deployment "/apis/apps/v1" "deployments",
    StatefulSet "/apis/apps/v1" "statefulsets",
    DaemonSet "/apis/apps/v1" "daemonsets",
    ReplicaSet "/apis/apps/v1" "replicasets",
    Job "/apis/batch/v1" "jobs",
    CronJob "/apis/batch/v1" "cronjobs",
    ClusterRole "/apis/rbac.authorization.k8s.io/v1" "clusterroles",
    Role "/apis/rbac.authorization.k8s.io/v1" "roles",
    ClusterRoleBinding "/apis/rbac.authorization.k8s.io/v1" "clusterrolebindings",
    RoleBinding "/apis/rbac.authorization.k8s.io/v1" "rolebindings",
    RuntimeClass "/apis/node.k8s.io/v1" "runtimeclasses",
    NetworkPolicy "/apis/networking.k8s.io/v1" "networkpolicies",
    PodDisruptionBudget "/apis/policy/v1" "poddisruptionbudgets",
    HorizontalPodAutoscaler "/apis/autoscaling/v2" "horizontalpodautoscalers",
    VerticalPodAutoscaler "/apis/autoscaling.k8s.io/v1" "verticalpodautoscalers",
    MutatingWebhookConfiguration "/apis/admissionregistration.k8s.io/v1" "mutatingwebhookconfigurations",
    ValidatingWebhookConfiguration "/apis/admissionregistration.k8s.io/v1" "validatingwebhookconfigurations",
    ValidatingAdmissionPolicy "/apis/admissionregistration.k8s.io/v1" "validatingadmissionpolicies",
    CertificateSigningRequest "/apis/certificates.k8s.io/v1" "certificatesigningrequests",
}

/// A part of the cluster that could not be read: what rests on it is 待确认.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotRead {
    pub kind: Kind,
    /// One object; `None`: all of the kind.
    pub object: Option<String>,
    pub reason: Text,
}

/// A resource the API server offers, from discovery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApiResource {
    pub group: Box<str>,
    /// `pods`, or with its subresource `pods/exec`.
    pub resource: Box<str>,
    pub kind: Box<str>,
    pub namespaced: bool,
    pub verbs: Vec<Box<str>>,
    pub short_names: Vec<Box<str>>,
}

/// A cluster.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Inventory {
    /// `v1.34.4`.
    pub version: String,
    pub resources: Vec<ApiResource>,
    pub nodes: Vec<Node>,
    pub namespaces: Vec<Namespace>,
    pub pods: Vec<Pod>,
    pub workloads: Vec<Workload>,
    pub services: Vec<Service>,
    pub service_accounts: Vec<ServiceAccount>,
    pub secrets: Vec<Secret>,
    /// ClusterRoles have no namespace.
    pub roles: Vec<Role>,
    /// ClusterRoleBindings have no namespace.
    pub bindings: Vec<Binding>,
    pub runtime_classes: Vec<RuntimeClass>,
    pub network_policies: Vec<NetworkPolicy>,
    pub pdbs: Vec<Pdb>,
    pub hpas: Vec<Autoscaler>,
    pub vpas: Vec<Autoscaler>,
    pub mutating_webhooks: Vec<WebhookConfiguration>,
    pub validating_webhooks: Vec<WebhookConfiguration>,
    pub admission_policies: Vec<AdmissionPolicy>,
    pub signing_requests: Vec<SigningRequest>,
    #[serde(skip)]
    pool: Pool,
}

/// Container name and image id.
type Images = Vec<(Box<str>, Box<str>)>;

/// What pods share.
#[derive(Clone, Debug, Default)]
struct Pool {
    specs: HashSet<Arc<PodSpec>>,
    images: HashSet<Arc<Images>>,
}

// === impl Inventory ===

impl Inventory {
    /// Reads one object of a kind. For [`Kind::Secret`] the JSON is a row of a `Table`: the names without
    /// the content, which then never leaves the API server.
    ///
    /// # Errors
    /// The text is no JSON object or a member that matters has the wrong type. Nothing is added then, and
    /// the caller has to say so: an object that is left out silently would hide what it grants.
    pub fn add(&mut self, kind: Kind, json: &str) -> Result<(), ReadError> {
        let bad = |e: serde_json::Error| ReadError { kind: kind.name(), detail: e.to_string() };
        // Derived readers take a list for an object.
        if !json.trim_start().starts_with('{') {
            return Err(ReadError { kind: kind.name(), detail: "an object was expected".into() });
        }
        macro_rules! push {
            ($list:ident) => {{
                let mut object = serde_json::from_str(json).map_err(bad)?;
                Settled::settle(&mut object);
                self.$list.push(object);
            }};
        }
        match kind {
            Kind::Node => push!(nodes),
            Kind::Namespace => push!(namespaces),
            Kind::Service => push!(services),
            Kind::ServiceAccount => push!(service_accounts),
            Kind::ClusterRole | Kind::Role => push!(roles),
            Kind::ClusterRoleBinding | Kind::RoleBinding => push!(bindings),
            Kind::RuntimeClass => push!(runtime_classes),
            Kind::NetworkPolicy => push!(network_policies),
            Kind::PodDisruptionBudget => push!(pdbs),
            Kind::HorizontalPodAutoscaler => push!(hpas),
            Kind::VerticalPodAutoscaler => push!(vpas),
            Kind::MutatingWebhookConfiguration => push!(mutating_webhooks),
            Kind::ValidatingWebhookConfiguration => push!(validating_webhooks),
            Kind::ValidatingAdmissionPolicy => push!(admission_policies),
            Kind::CertificateSigningRequest => push!(signing_requests),
            Kind::Secret => self.secrets.push(secret(json).map_err(bad)?),
            Kind::Pod => self.pod(json).map_err(bad)?,
            Kind::ReplicationController | Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet | Kind::ReplicaSet | Kind::Job | Kind::CronJob => {
                self.workload(kind, json).map_err(bad)?;
            }
        }
        Ok(())
    }

    fn pod(&mut self, json: &str) -> Result<(), serde_json::Error> {
        let mut object: PodObject = serde_json::from_str(json)?;
        let mut with: WithSpec = serde_json::from_str(json)?;
        object.metadata.settle();
        with.spec.settle();
        let ready = !object.status.container_statuses.is_empty() && object.status.container_statuses.iter().all(|c| c.ready);
        let statuses = object.status.init_container_statuses.into_iter().chain(object.status.container_statuses);
        let mut images: Vec<_> = statuses.map(|s| (s.name, s.image_id)).collect();
        images.sort();
        self.pods.push(Pod {
            metadata: object.metadata,
            spec: share(&mut self.pool.specs, with.spec),
            node: object.spec.node_name,
            phase: object.status.phase,
            address: object.status.pod_ip,
            images: share(&mut self.pool.images, images),
            ready,
        });
        Ok(())
    }

    fn workload(&mut self, kind: Kind, json: &str) -> Result<(), serde_json::Error> {
        let mut object: WorkloadObject = serde_json::from_str(json)?;
        let mut template = if kind == Kind::CronJob { object.spec.job_template.spec.template } else { object.spec.template };
        object.metadata.settle();
        template.spec.settle();
        let replicas = matches!(kind, Kind::Deployment | Kind::StatefulSet | Kind::ReplicaSet | Kind::ReplicationController).then(|| object.spec.replicas.unwrap_or(1));
        self.workloads.push(Workload {
            kind: kind.name(),
            metadata: object.metadata,
            replicas,
            labels: template.metadata.labels,
            spec: share(&mut self.pool.specs, template.spec),
        });
        Ok(())
    }

    /// Takes in what another model has; what both share is shared again.
    pub fn merge(&mut self, other: Inventory) {
        macro_rules! append {
            ($($list:ident),*) => { $(self.$list.extend(other.$list);)* };
        }
        append!(
            resources, nodes, namespaces, services, service_accounts, secrets, roles, bindings, runtime_classes, network_policies, pdbs, hpas, vpas,
            mutating_webhooks, validating_webhooks, admission_policies, signing_requests
        );
        for mut pod in other.pods {
            pod.spec = reuse(&mut self.pool.specs, pod.spec);
            pod.images = reuse(&mut self.pool.images, pod.images);
            self.pods.push(pod);
        }
        for mut workload in other.workloads {
            workload.spec = reuse(&mut self.pool.specs, workload.spec);
            self.workloads.push(workload);
        }
    }

    /// Bytes of the whole model, shared parts counted once.
    pub fn size(&self) -> usize {
        fn list<T: Heap>(list: &Vec<T>) -> usize {
            list.heap()
        }
        let pods = self.pods.capacity() * size_of::<Pod>()
            + self.pods.iter().map(|p| p.metadata.heap() + p.node.len() + p.phase.len() + p.address.len()).sum::<usize>();
        let workloads = self.workloads.capacity() * size_of::<Workload>() + self.workloads.iter().map(|w| w.metadata.heap() + w.labels.heap()).sum::<usize>();
        let specs: usize = self.pool.specs.iter().map(|s| size_of::<PodSpec>() + 16 + s.heap()).sum();
        let images: usize = self.pool.images.iter().map(|i| 40 + i.iter().map(|(a, b)| 32 + a.len() + b.len()).sum::<usize>()).sum();
        pods + workloads + specs + images
            + list(&self.nodes) + list(&self.namespaces) + list(&self.services) + list(&self.service_accounts) + list(&self.secrets)
            + list(&self.roles) + list(&self.bindings) + list(&self.runtime_classes) + list(&self.network_policies) + list(&self.pdbs)
            + list(&self.hpas) + list(&self.vpas) + list(&self.mutating_webhooks) + list(&self.validating_webhooks)
            + list(&self.admission_policies) + list(&self.signing_requests)
    }

    pub fn namespace(&self, name: &str) -> Option<&Namespace> {
        self.namespaces.iter().find(|n| &*n.metadata.name == name)
    }

    pub fn pod_named(&self, namespace: &str, name: &str) -> Option<&Pod> {
        self.pods.iter().find(|p| &*p.metadata.namespace == namespace && &*p.metadata.name == name)
    }
}

fn share<T: Eq + std::hash::Hash>(pool: &mut HashSet<Arc<T>>, value: T) -> Arc<T> {
    reuse(pool, Arc::new(value))
}

fn reuse<T: Eq + std::hash::Hash>(pool: &mut HashSet<Arc<T>>, value: Arc<T>) -> Arc<T> {
    if let Some(known) = pool.get(&value) {
        return known.clone();
    }
    pool.insert(value.clone());
    value
}

/// A row of `Table`: its cells (name, type, …) and the object's metadata.
fn secret(json: &str) -> Result<Secret, serde_json::Error> {
    #[derive(Deserialize)]
    struct Row {
        cells: Vec<serde_json::Value>,
        object: RowObject,
    }
    #[derive(Deserialize)]
    struct RowObject {
        metadata: crate::object::Meta,
    }
    let row: Row = serde_json::from_str(json)?;
    let mut metadata = row.object.metadata;
    metadata.settle();
    let kind = row.cells.get(1).and_then(|c| c.as_str()).ok_or_else(|| serde::de::Error::custom("cells[1] is no type"))?;
    Ok(Secret { metadata, kind: kind.into() })
}

/// Forgets what is not needed.
trait Settled {
    fn settle(&mut self);
}

macro_rules! settled {
    ($($type:ty),*) => { $(impl Settled for $type { fn settle(&mut self) { self.metadata.settle(); } })* };
}
settled!(
    Node, Namespace, Service, ServiceAccount, Role, Binding, RuntimeClass, NetworkPolicy, Pdb, Autoscaler, WebhookConfiguration, AdmissionPolicy,
    SigningRequest
);
