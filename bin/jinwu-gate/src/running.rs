//! What runs already, by users' admission policies as they are now: what does not meet one is an alarm, once for each
//! workload and finding. Whoever adds a policy hears of what was there before; what is made later is judged when it is.

use crate::admit::Failure;
use crate::policies::{self, Heard};
use crate::state::{Gate, now};
use bytes::Bytes;
use jinwu_admission::check::Read;
use jinwu_admission::protocol::Entry;
use jinwu_admission::review::Review;
use jinwu_admission::{Rules, users};
use jinwu_cluster::running::{KINDS, Listed, Pages};
use jinwu_model::{DecisionId, Kind, Record, Subject, Violation};
use kube::Client;
use serde_json::{Value as Json, json};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two looks where nothing is known to have changed: labels of namespaces and parameters may have.
const AGAIN: Duration = Duration::from_secs(3600);
/// Between two changes of the bundle that are looked at, and before a look that failed is tried again.
const SETTLE: Duration = Duration::from_secs(3);
const RETRY: Duration = Duration::from_secs(300);
/// For one object.
const TIME: Duration = Duration::from_secs(2);
/// Findings remembered as told; beyond that the server tells copies apart by their names.
const MAX_TOLD: usize = 50_000;
/// Roles are not listed: the gate has no right to, and `jinwu cluster inspect` looks at them.
const NOT_LISTED: &str = "rbac.authorization.k8s.io";

/// For ever.
pub(crate) async fn watch(gate: Arc<Gate>, client: Client) {
    let mut told = HashSet::new();
    let mut done: Option<(String, Instant)> = None;
    loop {
        tokio::time::sleep(SETTLE).await;
        let Some(rules) = gate.rules() else { continue };
        let mark = mark(&rules);
        let fresh = done.as_ref().is_some_and(|(before, at)| *before == mark && at.elapsed() < AGAIN);
        if rules.users.is_empty() || fresh {
            continue;
        }
        match look(&gate, &client, &rules, &mut told).await {
            Ok(()) => done = Some((mark, Instant::now())),
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "what runs could not be judged by users' policies and will be later");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// What the judgement of what runs depends on.
fn mark(rules: &Rules) -> String {
    let b = &rules.bundle;
    let text = json!([b.admission, b.modes, b.enforcement, b.exceptions, b.default_level]).to_string();
    hex::encode(jinwu_trust::sha256(text.as_bytes()))
}

async fn look(gate: &Gate, client: &Client, rules: &Arc<Rules>, told: &mut HashSet<String>) -> anyhow::Result<()> {
    let registered = users::registered(&rules.users);
    let wanted: Vec<Json> = [registered.closed, registered.open].concat();
    for kind in KINDS.into_iter().filter(|k| k.group != NOT_LISTED && wanted.iter().any(|rule| is_about(rule, k))) {
        let mut pages = Pages::new(client, kind, None);
        while let Some(page) = pages.next().await? {
            let mut entries = Vec::new();
            for object in page.iter().filter(|o| !is_over(o)) {
                let found = judge(gate, rules, kind, object).await.map_err(|e| anyhow::anyhow!("{}: {e}", object["metadata"]["name"]))?;
                entries.extend(found.into_iter().filter(|e| !told.contains(&e.id)));
            }
            entries.sort_by(|a, b| a.id.cmp(&b.id));
            entries.dedup_by(|a, b| a.id == b.id);
            gate.spool.append(&entries).await.map_err(anyhow::Error::msg)?;
            if told.len() + entries.len() > MAX_TOLD {
                told.clear();
            }
            told.extend(entries.into_iter().map(|e| e.id));
        }
    }
    Ok(())
}

/// Whether a rule in a webhook's shape names a kind.
fn is_about(rule: &Json, kind: &Listed) -> bool {
    let has = |member: &str, words: &[&str]| rule[member].as_array().is_some_and(|list| list.iter().any(|w| w.as_str().is_some_and(|w| words.contains(&w))));
    has("apiGroups", &[kind.group, "*"]) && has("resources", &[kind.resource, "*", "*/*"])
}

/// What has ended runs no more.
fn is_over(object: &Json) -> bool {
    matches!(object["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) || !object["status"]["completionTime"].is_null()
}

/// One alarm for every policy an object does not meet, were it made now.
async fn judge(gate: &Gate, rules: &Arc<Rules>, kind: Listed, object: &Json) -> Result<Vec<Entry>, Failure> {
    let body = Bytes::from(review(kind, object).to_string());
    let read = Review::parse(&body).map_err(Failure::Bad)?;
    let request = &read.request;
    let Some(Heard { mut said, labels }) = policies::ask_of_running(gate, rules, request, &body, Instant::now() + TIME).await? else {
        return Err(Failure::Broken("too much is judged at once".into()));
    };
    let unjudged = unjudged(gate, rules);
    said.findings.retain(|f| !unjudged.contains(&f.policy));
    let scope = rules.scope(request.namespace(), labels.as_ref());
    let workload = Read::of(request).subject(request);
    let judged = users::judge(rules, request, workload.as_str(), scope, &said, now(), DecisionId(String::new()));
    let of = |v: &Violation| {
        let id = hex::encode(&jinwu_trust::sha256(json!([v.policy, request.namespace(), workload.as_str(), v.finding.en, v.mode]).to_string().as_bytes())[..16]);
        let record = Record::new(now(), Kind::Alarm, Subject::system("jinwu-gate"), "verdict-changed", judged.judgement.object.clone())
            .with("cluster", rules.bundle.cluster.clone())
            .with("gate", "admission")
            .with("policy", v.policy.0.clone())
            .with("mode", v.mode.as_str())
            .with("workload", workload.as_str().to_owned())
            .with("findings", vec![v.finding.to_string()])
            .with("advice", v.advice.to_string());
        Entry { id: format!("running/{id}"), record }
    };
    Ok(judged.judgement.decision.alarming().map(of).collect())
}

/// Policies that depend on who asks, and those whose parameters cannot be read: what runs is not at fault for it.
fn unjudged(gate: &Gate, rules: &Rules) -> HashSet<String> {
    let unreadable = !gate.params.unreadable().is_empty();
    let needs = |kind: Option<(&str, &str)>| kind.is_some_and(|(version, kind)| !rules.users.gives(version, kind));
    rules.users.described().filter(|p| p.asks_authorizer || (unreadable && needs(p.param_kind))).map(|p| p.name.to_owned()).collect()
}

/// The review by which the object would be made now. Owners are believed of a controller.
fn review(kind: Listed, object: &Json) -> Json {
    let metadata = &object["metadata"];
    let owned = metadata["ownerReferences"].as_array().is_some_and(|o| o.iter().any(|r| r["controller"] == true));
    let user = if owned { "system:serviceaccount:kube-system:replicaset-controller" } else { "" };
    let (gvk, gvr) = (json!({"group": kind.group, "version": kind.version, "kind": kind.kind}), json!({"group": kind.group, "version": kind.version, "resource": kind.resource}));
    json!({"apiVersion": jinwu_admission::review::API_VERSION, "kind": jinwu_admission::review::KIND, "request": {
        "uid": "running", "operation": "CREATE", "kind": gvk, "resource": gvr, "requestKind": gvk, "requestResource": gvr, "name": metadata["name"],
        "namespace": metadata["namespace"], "userInfo": {"username": user, "groups": []}, "object": object, "options": {}, "dryRun": true}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_looked_at_that_some_policy_names() {
        let pods = KINDS.iter().find(|k| k.resource == "pods").unwrap();
        let rule = |group: &str, resource: &str| json!({"apiGroups": [group], "resources": [resource]});
        assert!(is_about(&rule("", "pods"), pods) && is_about(&rule("*", "*"), pods) && is_about(&rule("", "*/*"), pods));
        assert!(!is_about(&rule("apps", "pods"), pods) && !is_about(&rule("", "services"), pods) && !is_about(&rule("", "pods/exec"), pods));
    }

    #[test]
    fn what_has_ended_is_over() {
        assert!(is_over(&json!({"status": {"phase": "Succeeded"}})) && is_over(&json!({"status": {"completionTime": "2026-01-01T00:00:00Z"}})));
        assert!(!is_over(&json!({"status": {"phase": "Running"}})) && !is_over(&json!({})));
    }

    #[test]
    fn an_owned_object_is_reviewed_as_its_controllers() {
        let pods = *KINDS.iter().find(|k| k.resource == "pods").unwrap();
        let object = json!({"metadata": {"name": "web-5f-a", "namespace": "shop", "labels": {"pod-template-hash": "5f"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "web-5f", "controller": true}]}, "spec": {"containers": []}});
        let body = review(pods, &object).to_string();
        let read = Review::parse(body.as_bytes()).unwrap();
        assert_eq!(Read::of(&read.request).subject(&read.request).as_str(), "deployment/web");
        assert!(read.request.is_dry_run());
    }
}
