//! Exceptions: the system administrator asks, the security administrator approves.

use super::{Answer, Call, Endpoint, Who, json};
use http::Method;
use jinwu_identity::Permission;
use jinwu_model::{Digest, Kind, PolicyId, ProjectName, RepositoryName};
use jinwu_policy::Exception;
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Proposal {
    policy: PolicyId,
    #[serde(default)]
    digest: Option<Digest>,
    #[serde(default)]
    repository: Option<RepositoryName>,
    #[serde(default)]
    project: Option<ProjectName>,
    /// Something in a cluster: only its gates honour the exception then.
    #[serde(default)]
    namespace: Option<String>,
    /// `deployment/web`.
    #[serde(default)]
    workload: Option<String>,
    #[serde(default)]
    cluster: Option<String>,
    /// A CVE, a rule's or a variable's name; absent: every finding of the policy.
    #[serde(default)]
    finding: Option<String>,
    reason: String,
    /// Days it holds.
    days: i64,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    let write = Who::Admin(Permission::ExceptionWrite);
    vec![
        Endpoint { method: Method::GET, path: "/exceptions", who: Who::Either(Permission::ExceptionRead, Permission::GrantPropose), summary: "例外列表 / list exceptions", run: |c| Box::pin(list(c)) },
        Endpoint { method: Method::POST, path: "/exceptions", who: Who::Either(Permission::GrantPropose, Permission::ExceptionWrite), summary: "申请例外 / propose an exception", run: |c| Box::pin(propose(c)) },
        Endpoint { method: Method::POST, path: "/exceptions/{id}/approve", who: write, summary: "批准例外 / approve an exception", run: |c| Box::pin(approve(c)) },
        Endpoint { method: Method::DELETE, path: "/exceptions/{id}", who: write, summary: "撤销例外 / end an exception", run: |c| Box::pin(remove(c)) },
    ]
}

async fn list(call: Call) -> Answer {
    json(json!({ "exceptions": call.app.policies.exceptions() }))
}

async fn propose(call: Call) -> Answer {
    let ask: Proposal = call.read()?;
    crate::clusters::cluster::scope(ask.namespace.as_deref(), ask.workload.as_deref(), ask.cluster.as_deref())?;
    if ask.policy.0.starts_with(jinwu_admission::users::PREFIX) && !call.app.clusters.has_admission_policy(&ask.policy) {
        return Err(crate::policies::PolicyStoreError::UnknownPolicy(ask.policy).into());
    }
    let now = call.app.now();
    let exception = Exception {
        id: format!("x-{}", hex::encode(jinwu_trust::random::bytes::<6>())),
        policy: ask.policy,
        digest: ask.digest,
        repository: ask.repository,
        project: ask.project,
        namespace: ask.namespace,
        workload: ask.workload,
        cluster: ask.cluster,
        finding: ask.finding,
        reason: ask.reason,
        proposer: call.who()?.account.name.clone(),
        approver: None,
        created: now,
        expires: now.saturating_add(ask.days.saturating_mul(24 * 3600 * 1000)),
    };
    let entry = call
        .entry(Kind::Exception, "propose", &format!("exception:{}", exception.id))
        .with("exception", serde_json::to_value(&exception).unwrap_or_default());
    json(call.change(entry, move |app| {
        let about_images = app.clusters.judges_images(&exception.policy);
        app.policies.propose_exception(exception, about_images)
    }).await?)
}

async fn approve(call: Call) -> Answer {
    let (id, name) = (call.part("id"), call.who()?.account.name.clone());
    let entry = call.entry(Kind::Exception, "approve", &format!("exception:{id}"));
    json(call.change(entry, move |app| app.policies.approve_exception(&id, &name)).await?)
}

async fn remove(call: Call) -> Answer {
    let id = call.part("id");
    let entry = call.entry(Kind::Exception, "remove", &format!("exception:{id}"));
    json(call.change(entry, move |app| app.policies.remove_exception(&id)).await?)
}
