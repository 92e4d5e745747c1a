//! Taking Jinwu out of a cluster: every object of [`crate::install`] and what gates make, in an order
//! that locks nobody out, and nothing that is somebody else's.
//!
//! First the gates' right to make webhooks and the native policy again, then these, while gates still
//! answer; only then the gates themselves. It may be interrupted anywhere and begun anew.

mod remain;

use crate::install::removal::REMOVAL;
use crate::install::{BUNDLE_SECRET, GATE, NAMESPACE, NATIVE, PARAMS, PART_OF, PULL_SECRET, SERVER_SECRET, TLS_SECRET};
use jinwu_model::Text;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Preconditions, PropagationPolicy};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, ResourceExt};
use serde::Serialize;
use std::time::Duration;
use tokio::time::Instant;

/// Longest wait for one object to go: a gate brings its last records away before it ends.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(250);
/// What a right taken away may still let through, as caches of API servers go.
const SETTLE: Duration = Duration::from_secs(2);

/// An object of Jinwu's by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    pub resource: &'static str,
    pub namespaced: bool,
    pub name: &'static str,
}

/// What was done with an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Done {
    Removed(String),
    /// It stays, for this reason.
    Kept(String, Text),
}

/// Why it cannot go on. What was removed until then is removed; begun anew it goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum UninstallError {
    #[error("kubeconfig 的用户无权 {verb} {object}:授予此权限后再次运行 / the kubeconfig's user may not {verb} {object}: grant it and run this again")]
    Forbidden { verb: &'static str, object: String },
    #[error("{object} 在 {seconds} 秒后仍在(查看其 finalizers),处理后再次运行 / {object} is still there after {seconds} s (look at its finalizers); put it right and run this again")]
    Stays { object: String, seconds: u64 },
    #[error("由 Helm 安装(发布 {release}):请运行 helm uninstall {release} --namespace {namespace} / installed by Helm (release {release}): run helm uninstall {release} --namespace {namespace}")]
    ByHelm { release: String, namespace: String },
    #[error("API server: {0}")]
    Api(#[from] kube::Error),
}

const fn place(group: &'static str, kind: &'static str, resource: &'static str, namespaced: bool, name: &'static str) -> Place {
    Place { group, version: "v1", kind, resource, namespaced, name }
}

const RBAC: &str = "rbac.authorization.k8s.io";
const ADMISSION: &str = "admissionregistration.k8s.io";

/// By this a gate makes its guards again.
const RIGHT: Place = place(RBAC, "ClusterRoleBinding", "clusterrolebindings", false, GATE);

/// What stands in the way of requests. Bindings go before the policy, which says nothing without them.
pub const GUARDS: [Place; 5] = [
    place(ADMISSION, "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", false, NATIVE[0]),
    place(ADMISSION, "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", false, NATIVE[1]),
    place(ADMISSION, "ValidatingAdmissionPolicy", "validatingadmissionpolicies", false, NATIVE[0]),
    place(ADMISSION, "ValidatingWebhookConfiguration", "validatingwebhookconfigurations", false, GATE),
    place(ADMISSION, "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", false, GATE),
];

const DEPLOYMENT: Place = place("apps", "Deployment", "deployments", true, GATE);

const CLUSTER_ROLE: Place = place(RBAC, "ClusterRole", "clusterroles", false, GATE);

/// The rest, but for the namespace; the last four are of a Helm release whose removal did not come to its end.
const REST: [Place; 14] = [
    place("", "Service", "services", true, GATE),
    place("policy", "PodDisruptionBudget", "poddisruptionbudgets", true, GATE),
    place("", "Secret", "secrets", true, SERVER_SECRET),
    place("", "Secret", "secrets", true, TLS_SECRET),
    place("", "Secret", "secrets", true, BUNDLE_SECRET),
    place("", "Secret", "secrets", true, PULL_SECRET),
    place(RBAC, "RoleBinding", "rolebindings", true, GATE),
    place(RBAC, "Role", "roles", true, GATE),
    CLUSTER_ROLE,
    place("", "ServiceAccount", "serviceaccounts", true, GATE),
    place("batch", "Job", "jobs", true, REMOVAL),
    place(RBAC, "ClusterRoleBinding", "clusterrolebindings", false, REMOVAL),
    place(RBAC, "ClusterRole", "clusterroles", false, REMOVAL),
    place("", "ServiceAccount", "serviceaccounts", true, REMOVAL),
];

/// Bindings first: a role nobody has gives nothing.
const PARAM_RIGHTS: [Place; 4] = [
    place(RBAC, "RoleBinding", "rolebindings", true, PARAMS),
    place(RBAC, "ClusterRoleBinding", "clusterrolebindings", false, PARAMS),
    place(RBAC, "Role", "roles", true, PARAMS),
    place(RBAC, "ClusterRole", "clusterroles", false, PARAMS),
];

const HOME: Place = place("", "Namespace", "namespaces", false, NAMESPACE);

/// Removes everything, and tells `each` of it as it goes.
///
/// # Errors
/// A right is missing, an object does not go, the API server goes away, or Helm installed it.
pub async fn uninstall(client: &Client, each: &mut impl FnMut(&Done)) -> Result<Vec<Done>, UninstallError> {
    by_helm(client).await?;
    let mut all = Vec::new();
    let mut tell = |done: Option<Done>| {
        if let Some(done) = done {
            each(&done);
            all.push(done);
        }
    };
    for done in unguard(client).await? {
        tell(Some(done));
    }
    tell(remove(client, DEPLOYMENT).await?);
    // A gate whose right was still in some cache.
    for guard in GUARDS {
        if let Some(again @ Done::Removed(_)) = remove(client, guard).await? {
            tell(Some(again));
        }
    }
    for place in REST {
        tell(remove(client, place).await?);
    }
    for done in params(client).await? {
        tell(Some(done));
    }
    tell(home(client).await?);
    Ok(all)
}

/// Takes gates the right to guard, then the guards, and looks until none comes back: what must be gone
/// before gates are.
///
/// # Errors
/// As [`uninstall`].
pub async fn unguard(client: &Client) -> Result<Vec<Done>, UninstallError> {
    let mut all: Vec<Done> = remove(client, RIGHT).await?.into_iter().collect();
    for guard in GUARDS {
        all.extend(remove(client, guard).await?);
    }
    // Nobody makes anything again where nothing was.
    let mut until = Instant::now() + if all.is_empty() { Duration::ZERO } else { SETTLE };
    while Instant::now() < until {
        tokio::time::sleep(LOOK).await;
        for guard in GUARDS {
            if let Some(Done::Removed(_)) = remove(client, guard).await? {
                until = Instant::now() + SETTLE;
            }
        }
    }
    Ok(all)
}

/// What the gate was given to read parameters of users' policies (`cluster policy rights`), in whatever namespace.
async fn params(client: &Client) -> Result<Vec<Done>, UninstallError> {
    let only = ListParams::default().fields(&format!("metadata.name={PARAMS}")).labels(&format!("{}={}", PART_OF.0, PART_OF.1));
    let mut all = Vec::new();
    for place in PARAM_RIGHTS {
        // All namespaces.
        let everywhere = Place { namespaced: false, ..place }.api(client);
        for found in everywhere.list(&only).await.map_err(|e| place.refused("list", e))? {
            let api = match found.namespace() {
                Some(namespace) if place.namespaced => Api::namespaced_with(client.clone(), &namespace, &place.resource()),
                _ => everywhere.clone(),
            };
            match api.delete(PARAMS, &DeleteParams::default()).await {
                Ok(_) => all.push(Done::Removed([place.kind, &found.namespace().unwrap_or_default(), PARAMS].into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join("/"))),
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => return Err(place.refused("delete", error)),
            }
        }
    }
    Ok(all)
}

/// The namespace, unless something in it is not Jinwu's.
async fn home(client: &Client) -> Result<Option<Done>, UninstallError> {
    let Some(found) = get(client, HOME).await? else { return Ok(None) };
    if !is_ours(HOME, &found) {
        return Ok(Some(Done::Kept(HOME.shown(), not_ours())));
    }
    let others = remain::others(client, NAMESPACE).await;
    if !others.is_empty() {
        let list = others.join(", ");
        return Ok(Some(Done::Kept(HOME.shown(), Text::new(format!("其中还有不属于金吾的:{list}"), format!("there is more in it that is not Jinwu's: {list}")))));
    }
    remove(client, HOME).await
}

async fn by_helm(client: &Client) -> Result<(), UninstallError> {
    for place in [DEPLOYMENT, CLUSTER_ROLE] {
        let Some(found) = get(client, place).await? else { continue };
        let of = |name: &str| found.annotations().get(name).cloned();
        if let (Some(release), Some(namespace)) = (of("meta.helm.sh/release-name"), of("meta.helm.sh/release-namespace")) {
            return Err(UninstallError::ByHelm { release, namespace });
        }
    }
    Ok(())
}

/// Removes one object and waits until it is gone, with what it owns. None: there is none.
async fn remove(client: &Client, place: Place) -> Result<Option<Done>, UninstallError> {
    let Some(found) = get(client, place).await? else { return Ok(None) };
    if !is_ours(place, &found) {
        return Ok(Some(Done::Kept(place.shown(), not_ours())));
    }
    let uid = found.uid();
    let parameters = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Foreground),
        preconditions: Some(Preconditions { uid: uid.clone(), resource_version: None }),
        ..DeleteParams::default()
    };
    match place.api(client).delete(place.name, &parameters).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
        Err(error) => return Err(place.refused("delete", error)),
    }
    let end = Instant::now() + PATIENCE;
    // Another of the same name is no more what was removed.
    while get(client, place).await?.is_some_and(|o| o.uid() == uid) {
        if Instant::now() >= end {
            return Err(UninstallError::Stays { object: place.shown(), seconds: PATIENCE.as_secs() });
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(Some(Done::Removed(place.shown())))
}

async fn get(client: &Client, place: Place) -> Result<Option<DynamicObject>, UninstallError> {
    place.api(client).get_opt(place.name).await.map_err(|e| place.refused("get", e))
}

fn not_ours() -> Text {
    Text::new(format!("没有标签 {}={},不是金吾装的", PART_OF.0, PART_OF.1), format!("has no label {}={}: Jinwu did not install it", PART_OF.0, PART_OF.1))
}

/// Whether an object with a name of ours is ours. Gates make the native policy without labels: it is told
/// by what it names.
fn is_ours(place: Place, found: &DynamicObject) -> bool {
    match place.kind {
        "ValidatingAdmissionPolicy" => found.data["spec"]["paramKind"]["kind"] == "EndpointSlice",
        "ValidatingAdmissionPolicyBinding" => found.data["spec"]["policyName"] == NATIVE[0],
        _ => found.labels().get(PART_OF.0).is_some_and(|v| v == PART_OF.1),
    }
}

// === impl Place ===

impl Place {
    /// `Kind/name`, or `Kind/namespace/name`.
    pub fn shown(&self) -> String {
        if self.namespaced { format!("{}/{NAMESPACE}/{}", self.kind, self.name) } else { format!("{}/{}", self.kind, self.name) }
    }

    fn resource(&self) -> ApiResource {
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(self.group, self.version, self.kind), self.resource)
    }

    fn api(&self, client: &Client) -> Api<DynamicObject> {
        let resource = self.resource();
        if self.namespaced { Api::namespaced_with(client.clone(), NAMESPACE, &resource) } else { Api::all_with(client.clone(), &resource) }
    }

    fn refused(&self, verb: &'static str, error: kube::Error) -> UninstallError {
        match error {
            kube::Error::Api(status) if status.code == 403 => UninstallError::Forbidden { verb, object: self.shown() },
            error => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::install::tests::installation;
    use serde_json::{Value, json};

    fn all() -> Vec<Place> {
        let mut all = vec![RIGHT, DEPLOYMENT, HOME];
        all.extend(GUARDS);
        all.extend(REST);
        all
    }

    #[test]
    fn every_object_of_an_installation_is_removed_and_told_apart() {
        let made = crate::install::webhooks("", crate::install::Failure::Fail, &crate::install::PolicyRules::default());
        for object in installation().objects().iter().chain(&made).chain(&crate::install::removal::objects("x")) {
            let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
            let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
            let found = all().into_iter().find(|p| p.kind == kind && p.name == name).unwrap_or_else(|| panic!("{kind}/{name} would stay"));
            assert_eq!(found.namespaced, !object["metadata"]["namespace"].is_null(), "{kind}/{name}");
            let mut parsed: DynamicObject = serde_json::from_value(object.clone()).unwrap();
            assert!(is_ours(found, &parsed), "{kind}/{name}");
            parsed.metadata.labels = None;
            assert!(!is_ours(found, &parsed), "{kind}/{name} of somebody else");
        }
    }

    #[test]
    fn a_policy_of_the_same_name_that_is_not_the_gates_stays() {
        let mut policy: DynamicObject = serde_json::from_value(json!({"metadata": {"name": NATIVE[0]}, "spec": {"paramKind": {"kind": "EndpointSlice"}}})).unwrap();
        assert!(is_ours(GUARDS[2], &policy));
        policy.data = json!({"spec": {"validations": []}});
        assert!(!is_ours(GUARDS[2], &policy));
    }
}
