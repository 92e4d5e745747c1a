//! The way to the API server.

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use kube::discovery::Scope;
use kube::{Client, Config};
use std::path::Path;

/// Why the API server cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("kubeconfig {path} 无法使用 / cannot be used: {detail}")]
    Kubeconfig { path: String, detail: String },
    #[error("不在集群内,且没有 kubeconfig:请给出 --kubeconfig / neither inside a cluster nor a kubeconfig: give --kubeconfig ({0})")]
    Nowhere(String),
    #[error("API server: {0}")]
    Client(#[from] kube::Error),
}

/// Connects by a kubeconfig (its current context), or else as the pod this runs in.
///
/// # Errors
/// The kubeconfig cannot be read, or there is neither one nor a pod's own credentials. Nothing is
/// asked of the API server yet.
pub async fn connect(kubeconfig: Option<&Path>) -> Result<Client, ConnectError> {
    Ok(Client::try_from(way(kubeconfig).await?)?)
}

/// Where the API server is, whom it is trusted by, and the credentials to show: what [`connect`]
/// connects by.
///
/// # Errors
/// As [`connect`].
pub async fn way(kubeconfig: Option<&Path>) -> Result<Config, ConnectError> {
    Ok(match kubeconfig {
        Some(path) => {
            let bad = |detail: String| ConnectError::Kubeconfig { path: path.display().to_string(), detail };
            let read = Kubeconfig::read_from(path).map_err(|e| bad(e.to_string()))?;
            Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.map_err(|e| bad(e.to_string()))?
        }
        None => Config::incluster().map_err(|e| ConnectError::Nowhere(e.to_string()))?,
    })
}

/// A kind as the API server has it, and whether its objects live in namespaces.
///
/// # Errors
/// The API server does not answer, or has no such kind.
pub async fn kind(client: &Client, api_version: &str, kind: &str) -> Result<(ApiResource, bool), kube::Error> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let (resource, capabilities) = kube::discovery::pinned_kind(client, &GroupVersionKind::gvk(group, version, kind)).await?;
    Ok((resource, capabilities.scope == Scope::Namespaced))
}

/// Group and plural of a kind, and whether its objects live in namespaces; `None` where the API server
/// has no such kind.
///
/// # Errors
/// The API server does not answer.
pub async fn resource_of(client: &Client, api_version: &str, kind: &str) -> Result<Option<(String, String, bool)>, kube::Error> {
    match self::kind(client, api_version, kind).await {
        Ok((resource, namespaced)) => Ok(Some((resource.group, resource.plural, namespaced))),
        Err(kube::Error::Discovery(_)) => Ok(None),
        Err(kube::Error::Api(e)) if e.code == 404 => Ok(None),
        Err(e) => Err(e),
    }
}
