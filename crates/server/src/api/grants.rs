//! Grants: one proposes, another approves.

use super::{Answer, Call, Endpoint, Who, json};
use http::Method;
use jinwu_identity::Permission;
use jinwu_identity::grant::Change;
use jinwu_model::Kind;
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct Proposal {
    #[serde(flatten)]
    change: Change,
    reason: String,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    let approve = Who::Admin(Permission::GrantApprove);
    vec![
        Endpoint { method: Method::GET, path: "/grants", who: Who::Either(Permission::GrantPropose, Permission::GrantApprove), summary: "授权申请列表 / list grants", run: |c| Box::pin(list(c)) },
        Endpoint { method: Method::POST, path: "/grants", who: Who::Admin(Permission::GrantPropose), summary: "申请授权 / propose a grant", run: |c| Box::pin(propose(c)) },
        Endpoint { method: Method::POST, path: "/grants/{id}/approve", who: approve, summary: "批准 / approve", run: |c| Box::pin(decide(c, true)) },
        Endpoint { method: Method::POST, path: "/grants/{id}/reject", who: approve, summary: "驳回 / reject", run: |c| Box::pin(decide(c, false)) },
        Endpoint { method: Method::GET, path: "/roles", who: Who::Session, summary: "项目角色 / project roles", run: |c| Box::pin(roles(c)) },
    ]
}

async fn list(call: Call) -> Answer {
    json(json!({ "grants": call.app.identity.grants() }))
}

async fn roles(call: Call) -> Answer {
    json(json!({ "roles": call.app.identity.project_roles() }))
}

async fn propose(call: Call) -> Answer {
    let ask: Proposal = call.read()?;
    let name = call.who()?.account.name.clone();
    let entry = call
        .entry(Kind::Grant, "propose", "grant")
        .with("change", serde_json::to_value(&ask.change).unwrap_or_default())
        .with("grant_reason", ask.reason.clone());
    json(call.change(entry, move |app| app.identity.propose(&name, ask.change, &ask.reason)).await?)
}

async fn decide(call: Call, approve: bool) -> Answer {
    let (id, name) = (call.part("id"), call.who()?.account.name.clone());
    let mut entry = call.entry(Kind::Grant, if approve { "approve" } else { "reject" }, &format!("grant:{id}"));
    if let Some(grant) = call.app.identity.grant(&id) {
        entry = entry.with("change", serde_json::to_value(&grant.change).unwrap_or_default()).with("proposer", grant.proposer);
    }
    json(call.change(entry, move |app| if approve { app.identity.approve(&name, &id) } else { app.identity.reject(&name, &id) }).await?)
}
