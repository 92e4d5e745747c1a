//! Leave to enter running containers: anybody asks, the security administrator approves, never who
//! asked nor who would enter.

use super::super::{Answer, ApiError, Call, Endpoint, Who, json};
use super::new_id;
use crate::clusters::ClusterError;
use crate::clusters::entry::{EntryRequest, is_person};
use http::Method;
use jinwu_identity::Permission;
use jinwu_model::{Kind, Record};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewEntry {
    /// The user name Kubernetes authenticates; absent: the caller's own name.
    #[serde(default)]
    person: Option<String>,
    /// Empty: a node.
    namespace: String,
    /// A pod's name, `service/NAME`, a node's name; `*` stands for any ending.
    pod: String,
    ways: Vec<String>,
    reason: String,
    minutes: i64,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint { method: Method::GET, path: "/clusters/{cluster}/entries", who: Who::Session, summary: "进入容器的申请(管理员看全部,其他人看自己的) / requests to enter containers: administrators see all, others their own", run: |c| Box::pin(list(c)) },
        Endpoint { method: Method::POST, path: "/clusters/{cluster}/entries", who: Who::Session, summary: "申请进入容器 / ask for leave to enter a container", run: |c| Box::pin(ask(c)) },
        Endpoint { method: Method::POST, path: "/clusters/{cluster}/entries/{id}/approve", who: Who::Admin(Permission::EntryApprove), summary: "批准进入容器(申请人与进入者不得批准) / give leave to enter; not by who asked nor who enters", run: |c| Box::pin(approve(c)) },
        Endpoint { method: Method::DELETE, path: "/clusters/{cluster}/entries/{id}", who: Who::Session, summary: "撤销(安全管理员或申请人) / revoke, by the security administrator or who asked", run: |c| Box::pin(revoke(c)) },
    ]
}

// === impl Call ===

impl Call {
    fn holds(&self, permission: Permission) -> Result<bool, ApiError> {
        Ok(self.who()?.account.role.is_some_and(|role| role.holds(permission)))
    }

    /// Requests this caller may see.
    fn visible(&self, cluster: &str) -> Result<Vec<EntryRequest>, ApiError> {
        let name = &self.who()?.account.name;
        let all = self.holds(Permission::EntryApprove)? || self.holds(Permission::ClusterRead)?;
        let entries = self.app.clusters.entries(cluster);
        Ok(entries.into_iter().filter(|e| all || e.proposer == *name || is_person(&e.person, name)).collect())
    }

    fn of_entry(&self, action: &str, entry: &EntryRequest) -> Record {
        self.entry(Kind::Entry, action, &format!("cluster:{}", entry.cluster)).with("request", serde_json::to_value(entry).unwrap_or_default())
    }
}

fn view(entry: &EntryRequest, now: i64) -> Result<Value, ApiError> {
    let mut view = json(entry)?;
    if let Some(map) = view.as_object_mut() {
        map.insert("state".into(), json(entry.state(now))?);
        map.insert("expires".into(), entry.expires().into());
    }
    Ok(view)
}

async fn list(call: Call) -> Answer {
    let (name, now) = (call.cluster()?.name, call.app.now());
    let all = call.visible(&name)?.iter().map(|e| view(e, now)).collect::<Result<Vec<_>, _>>()?;
    json(json!({ "entries": all }))
}

async fn ask(call: Call) -> Answer {
    let ask: NewEntry = call.read()?;
    let proposer = call.who()?.account.name.clone();
    let request = EntryRequest {
        id: new_id("e"),
        cluster: call.cluster()?.name,
        person: ask.person.unwrap_or_else(|| proposer.clone()),
        namespace: ask.namespace,
        pod: ask.pod,
        ways: ask.ways,
        reason: ask.reason,
        minutes: ask.minutes,
        proposer,
        proposed: call.app.now(),
        approver: None,
        approved: None,
        revoked_by: None,
        revoked: None,
    };
    let entry = call.of_entry("propose", &request);
    let kept = call.change(entry, move |app| app.clusters.propose_entry(request, app.now())).await?;
    view(&kept, call.app.now())
}

async fn approve(call: Call) -> Answer {
    let (cluster, id, approver) = (call.cluster()?.name, call.part("id"), call.who()?.account.name.clone());
    let found = call.visible(&cluster)?.into_iter().find(|e| e.id == id).ok_or_else(|| ClusterError::Absent(id.clone()))?;
    let entry = call.of_entry("approve", &found);
    let approved = call.change(entry, move |app| app.clusters.approve_entry(&cluster, &id, &approver, app.now())).await?;
    view(&approved, call.app.now())
}

async fn revoke(call: Call) -> Answer {
    let (cluster, id, by) = (call.cluster()?.name, call.part("id"), call.who()?.account.name.clone());
    let may = call.holds(Permission::EntryApprove)?;
    // What is not theirs looks like what is not there.
    let found = call.visible(&cluster)?.into_iter().find(|e| e.id == id && (may || e.proposer == by));
    let found = found.ok_or_else(|| ClusterError::Absent(id.clone()))?;
    let entry = call.of_entry("revoke", &found);
    let revoked = call.change(entry, move |app| app.clusters.revoke_entry(&cluster, &id, &by, app.now())).await?;
    view(&revoked, call.app.now())
}
