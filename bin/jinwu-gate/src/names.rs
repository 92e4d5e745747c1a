//! Namespaces, watched.

use futures::StreamExt;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::Api;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, ResourceExt};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What is known of namespaces. Without an API server nothing is, and the default level holds.
#[derive(Clone)]
pub(crate) struct Namespaces {
    store: Option<Store<Namespace>>,
    api: Option<Api<Namespace>>,
}

impl Namespaces {
    pub(crate) fn nowhere() -> Self {
        Namespaces { store: None, api: None }
    }

    /// Starts to watch; an expired or broken watch begins anew by itself.
    pub(crate) fn watch(client: &Client) -> Self {
        let api: Api<Namespace> = Api::all(client.clone());
        let (store, writer) = reflector::store();
        let events = watcher(api.clone(), watcher::Config::default()).default_backoff().reflect(writer);
        tokio::spawn(async move {
            let mut events = std::pin::pin!(events);
            while let Some(event) = events.next().await {
                if let Err(error) = event {
                    tracing::warn!(%error, "watch of namespaces");
                }
            }
        });
        Namespaces { store: Some(store), api: Some(api) }
    }

    /// Labels of a namespace; one that the watch has not shown yet is asked for. None: not known.
    pub(crate) async fn labels(&self, name: &str) -> Option<BTreeMap<String, String>> {
        self.get(name).await.map(|found| found.labels().clone())
    }

    /// A namespace; one that the watch has not shown yet is asked for. None: not known.
    pub(crate) async fn get(&self, name: &str) -> Option<Arc<Namespace>> {
        if name.is_empty() {
            return None;
        }
        if let Some(found) = self.store.as_ref()?.get(&ObjectRef::new(name)) {
            return Some(found);
        }
        let asked = tokio::time::timeout(Duration::from_millis(800), self.api.as_ref()?.get_opt(name)).await;
        asked.ok()?.ok()?.map(Arc::new)
    }

    /// Whether the first list is in.
    pub(crate) fn is_ready(&self) -> bool {
        self.store.as_ref().is_none_or(|s| !s.is_empty())
    }
}
