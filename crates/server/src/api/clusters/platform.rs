//! The base platform (基础平台组件), proposed and approved by two people; subjects whose requests are
//! refused.

use super::super::{Answer, ApiError, Call, Endpoint, Who, json};
use super::new_id;
use crate::clusters::cluster::Component;
use http::Method;
use jinwu_admission::protocol::BlockedSubject;
use jinwu_identity::Permission;
use jinwu_model::{Digest, Kind};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewComponent {
    namespace: String,
    digest: Digest,
    /// PEM public key its image must be signed with.
    #[serde(default)]
    signer: Option<String>,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewBlock {
    /// The user name Kubernetes authenticates.
    user: String,
    /// Only this credential of theirs.
    #[serde(default)]
    credential: Option<String>,
    reason: String,
    /// How long, [`MAX_BLOCK`] at most.
    minutes: i64,
}

/// Minutes somebody is refused for at most: whoever must stay out longer loses the account.
const MAX_BLOCK: i64 = 30 * 24 * 60;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let propose = Who::Either(Permission::GrantPropose, Permission::ExceptionWrite);
    let approve = Who::Admin(Permission::ExceptionWrite);
    let guard = Who::Admin(Permission::PolicyWrite);
    vec![
        Endpoint { method: Method::POST, path: "/clusters/{cluster}/base-platform", who: propose, summary: "申请基础平台组件(按命名空间与摘要) / propose a component of the base platform, by namespace and digest", run: |c| Box::pin(add(c)) },
        Endpoint { method: Method::POST, path: "/clusters/{cluster}/base-platform/{id}/approve", who: approve, summary: "批准基础平台组件 / approve a component of the base platform", run: |c| Box::pin(confirm(c)) },
        Endpoint { method: Method::DELETE, path: "/clusters/{cluster}/base-platform/{id}", who: approve, summary: "移除基础平台组件 / remove a component of the base platform", run: |c| Box::pin(remove(c)) },
        Endpoint { method: Method::POST, path: "/clusters/{cluster}/blocked", who: guard, summary: "暂时拒绝某用户或凭据的全部请求 / refuse all requests of a user or credential for a time", run: |c| Box::pin(block(c)) },
        Endpoint { method: Method::DELETE, path: "/clusters/{cluster}/blocked/{id}", who: guard, summary: "解除拒绝 / unblock", run: |c| Box::pin(unblock(c)) },
    ]
}

async fn add(call: Call) -> Answer {
    let ask: NewComponent = call.read()?;
    let name = call.cluster()?.name;
    let component = Component {
        id: new_id("b"),
        namespace: ask.namespace,
        digest: ask.digest,
        signer: ask.signer,
        reason: ask.reason,
        proposer: call.who()?.account.name.clone(),
        proposed: call.app.now(),
        approver: None,
    };
    let entry = call
        .entry(Kind::Exception, "base-platform-propose", &format!("cluster:{name}"))
        .with("component", serde_json::to_value(&component).unwrap_or_default());
    json(call.change(entry, move |app| app.clusters.propose_component(&name, component)).await?)
}

async fn confirm(call: Call) -> Answer {
    let (cluster, id, approver) = (call.cluster()?, call.part("id"), call.who()?.account.name.clone());
    let mut entry = call.entry(Kind::Exception, "base-platform-approve", &format!("cluster:{}", cluster.name)).with("id", id.clone());
    if let Some(component) = cluster.base_platform.get(&id) {
        entry = entry.with("component", serde_json::to_value(component).unwrap_or_default());
    }
    json(call.change(entry, move |app| app.clusters.approve_component(&cluster.name, &id, &approver)).await?)
}

async fn remove(call: Call) -> Answer {
    let (name, id) = (call.cluster()?.name, call.part("id"));
    let entry = call.entry(Kind::Exception, "base-platform-remove", &format!("cluster:{name}")).with("id", id.clone());
    json(call.change(entry, move |app| app.clusters.remove_component(&name, &id)).await?)
}

async fn block(call: Call) -> Answer {
    let ask: NewBlock = call.read()?;
    let (name, now) = (call.cluster()?.name, call.app.now());
    if !(1..=MAX_BLOCK).contains(&ask.minutes) {
        return Err(ApiError::invalid(format!("minutes 须为 1–{MAX_BLOCK} / minutes must be 1 to {MAX_BLOCK}")));
    }
    let subject = BlockedSubject {
        id: new_id("k"),
        user: ask.user,
        credential: ask.credential,
        reason: ask.reason,
        expires: now + ask.minutes * 60_000,
    };
    let entry = call
        .entry(Kind::Policy, "subject-block", &format!("cluster:{name}"))
        .with("blocked", json!({"id": subject.id, "user": subject.user, "reason": subject.reason, "minutes": ask.minutes}));
    json(call.change(entry, move |app| app.clusters.block(&name, subject, now)).await?)
}

async fn unblock(call: Call) -> Answer {
    let (name, id) = (call.cluster()?.name, call.part("id"));
    let entry = call.entry(Kind::Policy, "subject-unblock", &format!("cluster:{name}")).with("id", id.clone());
    json(call.change(entry, move |app| app.clusters.unblock(&name, &id)).await?)
}
