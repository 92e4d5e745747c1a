//! What runs in a cluster, page by page: 10,000 pods never lie in memory at once.

use kube::Client;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::Value;

/// A kind of objects gates judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    pub resource: &'static str,
    pub namespaced: bool,
}

const fn listed(group: &'static str, kind: &'static str, resource: &'static str, namespaced: bool) -> Listed {
    Listed { group, version: "v1", kind, resource, namespaced }
}

/// All of them; what owns stands before what is owned.
pub const KINDS: [Listed; 14] = [
    listed("apps", "Deployment", "deployments", true),
    listed("apps", "StatefulSet", "statefulsets", true),
    listed("apps", "DaemonSet", "daemonsets", true),
    listed("batch", "CronJob", "cronjobs", true),
    listed("batch", "Job", "jobs", true),
    listed("apps", "ReplicaSet", "replicasets", true),
    listed("", "ReplicationController", "replicationcontrollers", true),
    listed("", "PodTemplate", "podtemplates", true),
    listed("", "Pod", "pods", true),
    listed("", "Service", "services", true),
    listed("rbac.authorization.k8s.io", "Role", "roles", true),
    listed("rbac.authorization.k8s.io", "RoleBinding", "rolebindings", true),
    listed("rbac.authorization.k8s.io", "ClusterRole", "clusterroles", false),
    listed("rbac.authorization.k8s.io", "ClusterRoleBinding", "clusterrolebindings", false),
];

/// Objects of one page.
const PAGE: u32 = 250;

/// One kind, in one namespace or in all, a page at a time.
pub struct Pages {
    api: Api<DynamicObject>,
    next: Option<String>,
    begun: u8,
    ended: bool,
}

/// Lists one kind, in one namespace or in all, and gives `each` a page at a time.
///
/// # Errors
/// Those of [`Pages::next`] and of `each`.
pub async fn pages(client: &Client, kind: Listed, namespace: Option<&str>, mut each: impl AsyncFnMut(Vec<Value>) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut pages = Pages::new(client, kind, namespace);
    while let Some(page) = pages.next().await? {
        each(page).await?;
    }
    Ok(())
}

// === impl Pages ===

impl Pages {
    pub fn new(client: &Client, kind: Listed, namespace: Option<&str>) -> Pages {
        let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(kind.group, kind.version, kind.kind), kind.resource);
        let api = match namespace {
            Some(namespace) if kind.namespaced => Api::namespaced_with(client.clone(), namespace, &resource),
            _ => Api::all_with(client.clone(), &resource),
        };
        Pages { api, next: None, begun: 0, ended: false }
    }

    /// The next page: objects as JSON, without what plays no part (`status` but its phase and completion,
    /// `managedFields`, what kubectl applied last). None: there are no more.
    ///
    /// # Errors
    /// The API server refuses or goes away. A list that grew too old while it was read begins anew, so an object may
    /// be given twice.
    pub async fn next(&mut self) -> anyhow::Result<Option<Vec<Value>>> {
        while !self.ended {
            let mut parameters = ListParams::default().limit(PAGE);
            parameters.continue_token = self.next.take();
            let list = match self.api.list(&parameters).await {
                Ok(list) => list,
                Err(kube::Error::Api(e)) if e.code == 410 && self.begun < 3 => {
                    self.begun += 1;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            self.next = list.metadata.continue_.filter(|c| !c.is_empty());
            self.ended = self.next.is_none();
            return Ok(Some(list.items.into_iter().filter_map(|o| serde_json::to_value(o).ok()).map(lean).collect()));
        }
        Ok(None)
    }
}

fn lean(mut object: Value) -> Value {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
    }
    if let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) {
        status.retain(|name, _| name == "phase" || name == "completionTime");
    }
    object
}
