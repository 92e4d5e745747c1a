//! What would be refused of what runs already.

use super::super::{Answer, ApiError, Call, Endpoint, Who, json};
use crate::clusters::preview::{self, Item, MAX_OBJECTS};
use http::{Method, StatusCode};
use jinwu_identity::Permission;
use jinwu_model::ProtectionLevel;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    /// Absent: each namespace at its own.
    #[serde(default)]
    level: Option<ProtectionLevel>,
    objects: Vec<Item>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    let who = Who::Admin(Permission::PolicyWrite);
    vec![Endpoint { method: Method::POST, path: "/clusters/{cluster}/preview", who, summary: "预演:已有对象在拦截之下会因何被拒 / preview: what objects that exist would be refused for, were everything enforced", run: |c| Box::pin(judge(c)) }]
}

/// One answer for each object: `level` and `violations`, or `unreadable`.
async fn judge(call: Call) -> Answer {
    let ask: Ask = call.read()?;
    if ask.objects.len() > MAX_OBJECTS {
        return Err(ApiError::invalid(format!("每次最多 {MAX_OBJECTS} 个对象 / {MAX_OBJECTS} objects at a time")));
    }
    let name = call.cluster()?.name;
    let failed = |detail: String| ApiError::new(StatusCode::CONFLICT, "refused", format!("集群策略无法求值 / the cluster's policies cannot be evaluated: {detail}"));
    let rules = Arc::new(preview::rules(&call.app, &name).map_err(failed)?);
    let answers = preview::judge_all(&call.app, rules, ask.level, ask.objects).await;
    let shown: Vec<Value> = answers
        .into_iter()
        .map(|answer| match answer {
            Ok(judged) => json!({
                "level": judged.judgement.scope.level,
                "violations": judged.judgement.decision.alarming().collect::<Vec<_>>(),
                "unjudged": judged.unjudged,
            }),
            Err(detail) => json!({ "unreadable": detail }),
        })
        .collect();
    json(json!({ "objects": shown }))
}
