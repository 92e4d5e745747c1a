//! Clusters: the system administrator registers them, the security administrator says how strongly
//! their gates act, anybody may ask for leave to enter a container.

mod admission;
mod entries;
mod platform;
mod preview;
mod uninstall;
mod watch;

use super::{Answer, ApiError, Call, Endpoint, Who, json};
use crate::clusters::ClusterError;
use crate::clusters::cluster::{ALL_OTHERS, Cluster, Settings};
use http::{Method, StatusCode};
use jinwu_identity::Permission;
use jinwu_model::{Kind, Mode, PolicyId, ProtectionLevel};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewCluster {
    name: String,
    /// Of namespaces that name none; absent: the installation's.
    #[serde(default)]
    level: Option<ProtectionLevel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetMode {
    /// Absent: all namespaces without a row of their own.
    #[serde(default)]
    namespace: Option<String>,
    /// Absent: back to what holds without this row.
    #[serde(default)]
    mode: Option<String>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    let read = Who::Either(Permission::ClusterRead, Permission::PolicyRead);
    let write = Who::Admin(Permission::ClusterWrite);
    let guard = Who::Admin(Permission::PolicyWrite);
    let mut all = vec![
        Endpoint { method: Method::GET, path: "/clusters", who: read, summary: "集群列表 / list clusters", run: |c| Box::pin(list(c)) },
        Endpoint { method: Method::POST, path: "/clusters", who: write, summary: "登记集群;密钥只显示这一次 / register a cluster; its secret is shown this once", run: |c| Box::pin(create(c)) },
        Endpoint { method: Method::GET, path: "/clusters/{cluster}", who: read, summary: "集群的设置与关口状态 / a cluster's settings and its gates' state", run: |c| Box::pin(show(c)) },
        Endpoint { method: Method::DELETE, path: "/clusters/{cluster}", who: write, summary: "删除集群 / remove a cluster", run: |c| Box::pin(remove(c)) },
        Endpoint { method: Method::POST, path: "/clusters/{cluster}/secret", who: write, summary: "更换集群密钥;旧密钥再有效 24 小时 / a new secret for the cluster; the old one stands 24 h longer", run: |c| Box::pin(secret(c)) },
        Endpoint { method: Method::DELETE, path: "/clusters/{cluster}/secret", who: write, summary: "旧密钥立即失效 / ends former secrets at once", run: |c| Box::pin(end_former(c)) },
        Endpoint { method: Method::PUT, path: "/clusters/{cluster}/enforcement", who: guard, summary: "命名空间内策略最强的动作 / the strongest any policy may act in a namespace", run: |c| Box::pin(enforce(c)) },
        Endpoint { method: Method::PUT, path: "/clusters/{cluster}/policies/{policy}", who: guard, summary: "在命名空间切换策略 / switch a policy in a namespace", run: |c| Box::pin(switch(c)) },
        Endpoint { method: Method::PUT, path: "/clusters/{cluster}/settings", who: guard, summary: "许可的仓库、可改等级者、沙箱运行时、缺省等级 / allowed registries, who may set levels, sandboxed runtimes, default level", run: |c| Box::pin(set(c)) },
    ];
    all.extend(admission::endpoints());
    all.extend(platform::endpoints());
    all.extend(watch::endpoints());
    all.extend(entries::endpoints());
    all.extend(preview::endpoints());
    all.extend(uninstall::endpoints());
    all
}

impl From<ClusterError> for ApiError {
    fn from(error: ClusterError) -> Self {
        let (status, code) = match &error {
            ClusterError::Unknown(_) | ClusterError::Absent(_) => (StatusCode::NOT_FOUND, "not-found"),
            ClusterError::Invalid(_) => (StatusCode::BAD_REQUEST, "invalid"),
            ClusterError::Refused(_) => (StatusCode::CONFLICT, "refused"),
            ClusterError::Store(detail) => {
                tracing::error!(%detail, "cluster store");
                (StatusCode::SERVICE_UNAVAILABLE, "storage")
            }
        };
        ApiError::new(status, code, error.to_string())
    }
}

// === impl Call ===

impl Call {
    /// The cluster of the path; `-` stands for the only one.
    fn cluster(&self) -> Result<Cluster, ApiError> {
        let name = self.part("cluster");
        if name == "-" {
            let mut all = self.app.clusters.list();
            return match (all.pop(), all.len()) {
                (Some(only), 0) => Ok(only),
                _ => Err(ApiError::invalid("须指明集群:没有或不止一个 / name the cluster: there is none, or more than one")),
            };
        }
        self.app.clusters.get(&name).ok_or_else(|| ClusterError::Unknown(name).into())
    }
}

/// A new id of entries, components, blocks.
fn new_id(kind: &str) -> String {
    format!("{kind}-{}", hex::encode(jinwu_trust::random::bytes::<6>()))
}

fn view(call: &Call, cluster: &Cluster) -> Result<Value, ApiError> {
    let mut view = json(cluster)?;
    if let Some(map) = view.as_object_mut() {
        let gates = call.app.clusters.gates(&cluster.name);
        map.insert("watch".into(), json(crate::clusters::silence::State::of(&gates, call.app.now()))?);
        // Their texts are asked for one by one.
        map.insert("admission".into(), json(cluster.admission.keys().collect::<Vec<_>>())?);
        map.insert("gates".into(), json(gates)?);
        map.insert("former_secrets_until".into(), json(call.app.clusters.former_secrets(&cluster.name, call.app.now()))?);
        let bundle = crate::clusters::bundle::present(&call.app, &cluster.name);
        map.insert("generation".into(), bundle.map(|b| b.generation.clone()).into());
    }
    Ok(view)
}

async fn list(call: Call) -> Answer {
    let all = call.app.clusters.list().iter().map(|c| view(&call, c)).collect::<Result<Vec<_>, _>>()?;
    json(json!({"clusters": all, "verify_key": call.app.clusters.verifying_key().to_pem()}))
}

async fn show(call: Call) -> Answer {
    let mut view = view(&call, &call.cluster()?)?;
    if let Some(map) = view.as_object_mut() {
        map.insert("verify_key".into(), call.app.clusters.verifying_key().to_pem().into());
    }
    Ok(view)
}

async fn create(call: Call) -> Answer {
    let ask: NewCluster = call.read()?;
    let level = ask.level.unwrap_or(call.app.config.level);
    let entry = call.entry(Kind::Cluster, "create", &format!("cluster:{}", ask.name)).with("level", level.get());
    let (cluster, secret) = call.change(entry, move |app| app.clusters.create(&ask.name, level, app.now())).await?;
    json(json!({"cluster": cluster, "secret": secret.reveal(), "verify_key": call.app.clusters.verifying_key().to_pem()}))
}

async fn remove(call: Call) -> Answer {
    let name = call.part("cluster");
    let entry = call.entry(Kind::Cluster, "remove", &format!("cluster:{name}"));
    call.change(entry, move |app| {
        app.clusters.remove(&name)?;
        app.nodes.forget_issuer(&name).map_err(ApiError::from)?;
        app.policies.forget_cluster(&name).map_err(ApiError::from)
    })
    .await?;
    json(json!({}))
}

async fn secret(call: Call) -> Answer {
    let name = call.part("cluster");
    let entry = call.entry(Kind::Cluster, "secret-change", &format!("cluster:{name}"));
    let (secret, until) = call.change(entry, move |app| app.clusters.new_secret(&name, app.now())).await?;
    json(json!({"secret": secret.reveal(), "former_until": until, "verify_key": call.app.clusters.verifying_key().to_pem()}))
}

async fn end_former(call: Call) -> Answer {
    let name = call.part("cluster");
    let entry = call.entry(Kind::Cluster, "former-secrets-end", &format!("cluster:{name}"));
    json(json!({"ended": call.change(entry, move |app| app.clusters.end_former_secrets(&name, app.now())).await?}))
}

// === impl SetMode ===

impl SetMode {
    fn read(call: &Call) -> Result<(String, Option<Mode>), ApiError> {
        let ask: SetMode = call.read()?;
        let mode = ask.mode.map(|m| m.parse::<Mode>()).transpose().map_err(ApiError::invalid)?;
        Ok((ask.namespace.unwrap_or_else(|| ALL_OTHERS.to_owned()), mode))
    }
}

async fn enforce(call: Call) -> Answer {
    let (namespace, mode) = SetMode::read(&call)?;
    let name = call.cluster()?.name;
    let entry = call
        .entry(Kind::Policy, "enforcement-set", &format!("cluster:{name}"))
        .with("namespace", namespace.clone())
        .with("mode", mode.map_or("default", Mode::as_str));
    let before = call.change(entry, move |app| app.clusters.enforce(&name, &namespace, mode)).await?;
    json(json!({ "before": before }))
}

async fn switch(call: Call) -> Answer {
    let (namespace, mode) = SetMode::read(&call)?;
    let (name, policy) = (call.cluster()?.name, PolicyId(call.part("policy")));
    let known = call.app.policies.set().get(&policy).is_some() || call.app.clusters.has_admission_policy(&policy);
    // What a policy that is gone left behind can be taken back.
    if mode.is_some() && !known {
        return Err(crate::policies::PolicyStoreError::UnknownPolicy(policy).into());
    }
    let entry = call
        .entry(Kind::Policy, "mode-set", &format!("policy:{policy}"))
        .with("cluster", name.clone())
        .with("namespace", namespace.clone())
        .with("mode", mode.map_or("default", Mode::as_str));
    let before = call.change(entry, move |app| app.clusters.switch(&name, &namespace, &policy, mode)).await?;
    json(json!({ "before": before }))
}

async fn set(call: Call) -> Answer {
    let ask: Settings = call.read()?;
    let name = call.cluster()?.name;
    let entry = call
        .entry(Kind::Policy, "cluster-set", &format!("cluster:{name}"))
        .with("settings", serde_json::to_value(&ask).unwrap_or_default());
    json(call.change(entry, move |app| app.clusters.set(&name, ask)).await?)
}
