//! Users' ValidatingAdmissionPolicies in a cluster's gates; `*` for the cluster stands for all.

use super::super::{Answer, ApiError, Call, Endpoint, Who, json};
use crate::clusters::cluster::ALL_OTHERS;
use http::Method;
use jinwu_admission::users;
use jinwu_identity::Permission;
use jinwu_model::{Kind, Mode};
use jinwu_policy::admission_policy::{AdmissionPolicies, Described};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    /// ValidatingAdmissionPolicies, bindings, and parameters they name.
    yaml: String,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    let read = Who::Either(Permission::ClusterRead, Permission::PolicyRead);
    let guard = Who::Admin(Permission::PolicyWrite);
    vec![
        Endpoint { method: Method::GET, path: "/clusters/{cluster}/admission-policies", who: read, summary: "用户的 ValidatingAdmissionPolicy 及其绑定、参数、模式;集群 * 表示适用于全部集群者 / users' ValidatingAdmissionPolicies with bindings, parameters and modes; cluster * stands for those of all", run: |c| Box::pin(list(c)) },
        Endpoint { method: Method::GET, path: "/clusters/{cluster}/admission-files/{file}", who: read, summary: "一个准入策略文件的原文 / a file of admission policies as it was given", run: |c| Box::pin(show(c)) },
        Endpoint { method: Method::PUT, path: "/clusters/{cluster}/admission-files/{file}", who: guard, summary: "添加或替换准入策略文件;API server 不收的也不收 / add or replace a file of admission policies; what the API server would refuse is refused", run: |c| Box::pin(put(c)) },
        Endpoint { method: Method::DELETE, path: "/clusters/{cluster}/admission-files/{file}", who: guard, summary: "删除准入策略文件 / remove a file of admission policies", run: |c| Box::pin(remove(c)) },
    ]
}

// === impl Call ===

impl Call {
    /// The cluster of the path, or `*`.
    fn cluster_or_all(&self) -> Result<String, ApiError> {
        if self.part("cluster") == ALL_OTHERS { Ok(ALL_OTHERS.to_owned()) } else { Ok(self.cluster()?.name) }
    }
}

async fn list(call: Call) -> Answer {
    let cluster = call.cluster_or_all()?;
    let texts = call.app.clusters.admission(&cluster);
    let own = call.app.clusters.admission_given(&cluster);
    let files: Vec<Value> = texts.keys().map(|name| json!({"name": name, "cluster": if own.contains_key(name) { cluster.as_str() } else { ALL_OTHERS }})).collect();
    let policies = users::load(&texts).map_err(ApiError::invalid)?;
    let modes = call.app.clusters.get(&cluster).map(|c| c.modes).unwrap_or_default();
    let shown: Vec<Value> = policies
        .described()
        .map(|policy| {
            let id = users::id(policy.name);
            let modes: BTreeMap<&String, Mode> = modes.iter().filter_map(|(namespace, of)| Some((namespace, *of.get(&id)?))).collect();
            json!({"id": id, "policy": policy, "modes": modes})
        })
        .collect();
    let gates = call.app.clusters.gates(&cluster);
    let unreadable: BTreeMap<&String, &Vec<String>> = gates.iter().map(|(name, g)| (name, &g.status.unreadable_params)).filter(|(_, list)| !list.is_empty()).collect();
    let mut view = noticed(&policies);
    view["files"] = files.into();
    view["policies"] = shown.into();
    view["unreadable"] = json!(unreadable);
    Ok(view)
}

/// What has no effect, and what must come from the cluster.
fn noticed(policies: &AdmissionPolicies) -> Value {
    let unbound: Vec<&str> = policies.described().filter(|p: &Described<'_>| p.bindings.is_empty()).map(|p| p.name).collect();
    let given: Vec<Value> = policies.given().iter().map(|o| json!({"apiVersion": o["apiVersion"], "kind": o["kind"], "namespace": o["metadata"]["namespace"], "name": o["metadata"]["name"]})).collect();
    json!({"unbound": unbound, "dangling": policies.dangling().collect::<Vec<_>>(), "params": {"given": given, "wanted": policies.wanted()}})
}

async fn show(call: Call) -> Answer {
    let (cluster, file) = (call.cluster_or_all()?, call.part("file"));
    let texts = call.app.clusters.admission(&cluster);
    let yaml = texts.get(&file).ok_or_else(|| ApiError::not_found(&file))?;
    json(json!({"name": file, "yaml": yaml}))
}

async fn put(call: Call) -> Answer {
    let ask: Text = call.read()?;
    let (cluster, file) = (call.cluster_or_all()?, call.part("file"));
    let entry = call
        .entry(Kind::Policy, "admission-policies-put", &format!("admission:{file}"))
        .with("cluster", cluster.clone())
        .with("sha256", hex::encode(jinwu_trust::sha256(ask.yaml.as_bytes())));
    let policies = call.change(entry, move |app| app.clusters.put_admission(&cluster, &file, Some(ask.yaml))).await?;
    Ok(noticed(&policies))
}

async fn remove(call: Call) -> Answer {
    let (cluster, file) = (call.cluster_or_all()?, call.part("file"));
    let entry = call.entry(Kind::Policy, "admission-policies-remove", &format!("admission:{file}")).with("cluster", cluster.clone());
    call.change(entry, move |app| app.clusters.put_admission(&cluster, &file, None)).await?;
    json(json!({}))
}
