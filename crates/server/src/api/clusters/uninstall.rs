//! A gate is taken out of a cluster: whoever does it says so here before and after.

use super::super::{Answer, ApiError, Call, Endpoint, Who, json};
use http::Method;
use jinwu_identity::Permission;
use jinwu_model::{Kind, Outcome};
use serde::Deserialize;
use serde_json::json;

/// Objects of one uninstallation at most, and characters of one name.
const MAX_OBJECTS: usize = 200;
const MAX_NAME: usize = 400;

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Stage {
    Begin,
    /// It did not come to its end; what was removed is removed.
    Stopped,
    End,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Uninstallation {
    stage: Stage,
    /// `Kind/name` or `Kind/namespace/name`.
    #[serde(default)]
    removed: Vec<String>,
    #[serde(default)]
    kept: Vec<String>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![Endpoint {
        method: Method::POST,
        path: "/clusters/{cluster}/uninstall",
        who: Who::Admin(Permission::ClusterWrite),
        summary: "记录卸载的开始与结果;此后不再因关口沉默而告警 / records that a gate is being taken out and what became of it; then its silence is no alarm any more",
        run: |c| Box::pin(record(c)),
    }]
}

/// A cluster that is not registered any more may still have a gate: it is recorded all the same.
async fn record(call: Call) -> Answer {
    let ask: Uninstallation = call.read()?;
    let name = call.part("cluster");
    if name.len() > 63 || ask.removed.len() + ask.kept.len() > MAX_OBJECTS || ask.removed.iter().chain(&ask.kept).any(|o| o.len() > MAX_NAME) {
        return Err(ApiError::invalid(format!(
            "集群名至多 63 字节,对象至多 {MAX_OBJECTS} 个、每个至多 {MAX_NAME} 字节 / the cluster's name has 63 bytes at most; {MAX_OBJECTS} objects at most, of {MAX_NAME} bytes each"
        )));
    }
    let registered = call.app.clusters.get(&name).is_some();
    let outcome = match ask.stage {
        Stage::Begin => Outcome::Requested,
        Stage::Stopped => Outcome::Failure,
        Stage::End => Outcome::Success,
    };
    let record = call
        .entry(Kind::Cluster, "uninstall", &format!("cluster:{name}"))
        .outcome(outcome)
        .with("removed", ask.removed)
        .with("kept", ask.kept)
        .with("registered", registered);
    call.record(vec![record]).await?;
    if ask.stage == Stage::End && registered {
        call.app.clusters.left(&name).map_err(ApiError::from)?;
    }
    json(json!({ "registered": registered }))
}
