//! What else is in a namespace.

use super::LOOK;
use crate::install::GATE;
use kube::api::{Api, DynamicObject, ListParams};
use kube::discovery::{Discovery, Scope, verbs};
use kube::{Client, ResourceExt};
use std::time::Duration;
use tokio::time::Instant;

/// How long what goes by itself may take: endpoints of a service, pods of a controller.
const PATIENCE: Duration = Duration::from_secs(30);
/// Named at most.
const MOST: usize = 20;

/// Objects of a namespace that Kubernetes did not put there by itself, `Kind/name`. A kind that cannot be
/// listed counts as one: what cannot be seen is not removed.
pub(super) async fn others(client: &Client, namespace: &str) -> Vec<String> {
    let discovery = match Discovery::new(client.clone()).run().await {
        Ok(discovery) => discovery,
        // Some API behind the API server is down: what it has in here is not known.
        Err(error) => return vec![format!("API ({error})")],
    };
    let end = Instant::now() + PATIENCE;
    loop {
        let (stay, go) = look(client, &discovery, namespace).await;
        if !stay.is_empty() || go.is_empty() || Instant::now() >= end {
            return stay.into_iter().chain(go).take(MOST).collect();
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What is there to stay, and what is about to go.
async fn look(client: &Client, discovery: &Discovery, namespace: &str) -> (Vec<String>, Vec<String>) {
    let (mut stay, mut go) = (Vec::new(), Vec::new());
    for group in discovery.groups() {
        for (resource, capabilities) in group.recommended_resources() {
            if capabilities.scope != Scope::Namespaced || !capabilities.supports_operation(verbs::LIST) || !capabilities.supports_operation(verbs::DELETE) {
                continue;
            }
            let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
            match api.list(&ListParams::default().limit(MOST as u32)).await {
                Ok(list) => {
                    for object in list.items.iter().filter(|o| !by_itself(&resource.kind, o)) {
                        let goes = object.metadata.deletion_timestamp.is_some() || !object.owner_references().is_empty();
                        let shown = format!("{}/{}", resource.kind, object.name_any());
                        if goes { go.push(shown) } else { stay.push(shown) }
                    }
                }
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => stay.push(format!("{} ({error})", resource.kind)),
            }
        }
    }
    (stay, go)
}

/// Whether Kubernetes makes it in every namespace, or for the gate's own service.
fn by_itself(kind: &str, object: &DynamicObject) -> bool {
    match (kind, object.name_any().as_str()) {
        ("Event", _) | ("ConfigMap", "kube-root-ca.crt") | ("ServiceAccount", "default") => true,
        ("Endpoints", name) => name == GATE,
        ("EndpointSlice", _) => object.labels().get("kubernetes.io/service-name").is_some_and(|s| s == GATE),
        _ => false,
    }
}
