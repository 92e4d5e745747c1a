//! The ledger: the audit administrator's.

use super::{Answer, ApiError, Call, Endpoint, Who, json};
use http::Method;
use jinwu_identity::Permission;
use jinwu_ledger::{Head, LedgerError, Query};
use jinwu_model::Kind;
use serde_json::json;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let read = Who::Admin(Permission::LedgerRead);
    vec![
        Endpoint { method: Method::GET, path: "/ledger", who: read, summary: "检索审计记录 / search the records: since, until (ms), subject, object, kind, outcome, source, decision, before, limit", run: |c| Box::pin(search(c)) },
        Endpoint { method: Method::GET, path: "/ledger/head", who: read, summary: "链头 / the chain's head", run: |c| Box::pin(head(c)) },
        Endpoint { method: Method::GET, path: "/ledger/verify", who: read, summary: "校验整条链 / verify the whole chain against its heads", run: |c| Box::pin(verify(c)) },
        Endpoint { method: Method::POST, path: "/ledger/seal", who: Who::Admin(Permission::LedgerOperate), summary: "立即封存当前段 / seal the open segment now", run: |c| Box::pin(seal(c)) },
    ]
}

impl From<LedgerError> for ApiError {
    fn from(error: LedgerError) -> Self {
        ApiError::unavailable(error)
    }
}

async fn search(call: Call) -> Answer {
    let number = |name: &str| {
        call.query
            .get(name)
            .map(|v| v.parse::<i64>().map_err(|_| ApiError::invalid(format!("{name}: {v:?} 不是整数 / is not a whole number"))))
            .transpose()
    };
    let text = |name: &str| call.query.get(name).filter(|v| !v.is_empty()).cloned();
    let known = ["since", "until", "subject", "object", "kind", "outcome", "source", "decision", "before", "limit"];
    if let Some(unknown) = call.query.keys().find(|k| !known.contains(&k.as_str())) {
        return Err(ApiError::invalid(format!("未知参数 {unknown} / unknown parameter {unknown}; known: {}", known.join(", "))));
    }
    let query = Query {
        since: number("since")?,
        until: number("until")?,
        subject: text("subject"),
        object: text("object"),
        kind: text("kind").map(|k| k.parse::<Kind>()).transpose().map_err(ApiError::invalid)?,
        outcome: text("outcome"),
        source: text("source"),
        decision: text("decision"),
        before: number("before")?.and_then(|n| u64::try_from(n).ok()),
        limit: number("limit")?.and_then(|n| u32::try_from(n).ok()),
    };
    json(json!({ "records": call.app.journal.ledger().search(query).await? }))
}

async fn head(call: Call) -> Answer {
    json(call.app.journal.ledger().head().await?)
}

async fn verify(call: Call) -> Answer {
    let dir = call.app.journal.ledger().dir().to_owned();
    let path = call.app.config.heads_file();
    let head = call.app.journal.ledger().head().await?;
    let result = tokio::task::spawn_blocking(move || {
        let mut heads = Head::read_all(&path)?;
        heads.push(head);
        jinwu_ledger::verify(&dir, Some(&heads))
    })
    .await
    .map_err(ApiError::unavailable)??;
    json(result)
}

async fn seal(call: Call) -> Answer {
    call.record(vec![call.entry(Kind::Ledger, "seal", "ledger")]).await?;
    call.app.journal.ledger().seal().await?;
    json(call.app.journal.ledger().head().await?)
}
