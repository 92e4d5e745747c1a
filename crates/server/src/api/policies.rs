//! Policies: what there is, which mode holds where, custom ones, and what a mode would refuse.

use super::{Answer, ApiError, Call, Endpoint, Who, json};
use http::Method;
use jinwu_identity::Permission;
use jinwu_identity::authz::ProjectAction;
use jinwu_model::{Kind, Mode, PolicyId};
use jinwu_policy::PolicySet;
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetMode {
    /// Absent: back to the default of the project's level.
    #[serde(default)]
    mode: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Custom {
    yaml: String,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    let write = Who::Admin(Permission::PolicyWrite);
    vec![
        Endpoint { method: Method::GET, path: "/policies", who: Who::Admin(Permission::PolicyRead), summary: "全部策略 / all policies", run: |c| Box::pin(list(c)) },
        Endpoint { method: Method::GET, path: "/projects/{project}/policies", who: Who::Project(Permission::PolicyRead, ProjectAction::PolicyRead), summary: "项目内各策略的模式 / modes in a project", run: |c| Box::pin(modes(c)) },
        Endpoint { method: Method::PUT, path: "/projects/{project}/policies/{policy}", who: write, summary: "切换策略模式:放行/告警/拦截 / switch a policy: allow, alert, block", run: |c| Box::pin(switch(c)) },
        Endpoint { method: Method::POST, path: "/policies", who: write, summary: "添加或替换自定义策略 / add or replace a custom policy", run: |c| Box::pin(put(c)) },
        Endpoint { method: Method::POST, path: "/policies/check", who: write, summary: "检查策略文件而不保存 / check a policy document without storing it", run: |c| Box::pin(check(c)) },
        Endpoint { method: Method::DELETE, path: "/policies/{policy}", who: write, summary: "删除自定义策略 / delete a custom policy", run: |c| Box::pin(remove(c)) },
    ]
}

async fn list(call: Call) -> Answer {
    let set = call.app.policies.set();
    let all: Vec<_> = set
        .documents()
        .map(|(id, document, builtin)| {
            json!({
                "id": id, "builtin": builtin, "title": document.metadata.title, "description": document.metadata.description,
                "clauses": document.spec.clauses, "gates": document.spec.gates, "modes": document.spec.modes, "params": document.spec.params,
            })
        })
        .collect();
    json(json!({"hash": set.hash(), "policies": all, "projects": call.app.policies.modes()}))
}

async fn modes(call: Call) -> Answer {
    let name = call.project()?;
    let project = call.app.identity.project(&name).ok_or_else(|| ApiError::not_found(name.as_str()))?;
    let snapshot = call.app.policies.snapshot(&name);
    let all: Vec<_> = snapshot
        .set
        .documents()
        .map(|(id, document, builtin)| {
            let default = document.spec.modes.at(project.level);
            let set = snapshot.modes.get(id).copied();
            json!({
                "id": id, "builtin": builtin, "title": document.metadata.title, "clauses": document.spec.clauses,
                "mode": set.unwrap_or(default), "default": default, "set": set,
            })
        })
        .collect();
    json(json!({"project": name, "level": project.level, "policies": all}))
}

async fn switch(call: Call) -> Answer {
    let ask: SetMode = call.read()?;
    let mode = ask.mode.map(|m| m.parse::<Mode>()).transpose().map_err(ApiError::invalid)?;
    let (project, policy) = (call.project()?, PolicyId(call.part("policy")));
    if call.app.identity.project(&project).is_none() {
        return Err(ApiError::not_found(project.as_str()));
    }
    let entry = call
        .entry(Kind::Policy, "mode-set", &format!("policy:{policy}"))
        .with("project", project.to_string())
        .with("mode", mode.map_or("default", Mode::as_str));
    let before = call.change(entry, move |app| {
        let of_users = app.clusters.has_admission_policy(&policy) || mode.is_none() && policy.0.starts_with(jinwu_admission::users::PREFIX);
        app.policies.switch(&project, &policy, mode, of_users)
    }).await?;
    json(json!({ "before": before }))
}

async fn put(call: Call) -> Answer {
    let ask: Custom = call.read()?;
    let name = PolicySet::check(&ask.yaml).map_err(|e| ApiError::invalid(e.to_string()))?.metadata.name;
    let entry = call
        .entry(Kind::Policy, "custom-put", &format!("policy:{name}"))
        .with("sha256", hex::encode(jinwu_trust::sha256(ask.yaml.as_bytes())));
    json(json!({"id": call.change(entry, move |app| app.policies.put_custom(&ask.yaml)).await?}))
}

async fn check(call: Call) -> Answer {
    let ask: Custom = call.read()?;
    let document = PolicySet::check(&ask.yaml).map_err(|e| ApiError::invalid(e.to_string()))?;
    json(json!({"id": document.metadata.name}))
}

async fn remove(call: Call) -> Answer {
    let name = call.part("policy");
    let entry = call.entry(Kind::Policy, "custom-remove", &format!("policy:{name}"));
    call.change(entry, move |app| app.policies.remove_custom(&name)).await?;
    json(json!({}))
}
