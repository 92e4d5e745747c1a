//! Health, version, this API's own description.

use super::{Answer, Call, Endpoint, Who, json};
use http::Method;
use jinwu_identity::Permission;
use jinwu_model::{ClauseId, Kind, Verdict};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

/// What an assessment came to; the evidence stays with whoever ran it, its hashes stand here.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Assessed {
    level: u8,
    drills: bool,
    verdicts: BTreeMap<ClauseId, Verdict>,
    /// Of the assessment as JSON, hexadecimal.
    sha256: String,
    sm3: String,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint { method: Method::GET, path: "/health", who: Who::Anyone, summary: "是否就绪 / ready or not", run: |c| Box::pin(health(c)) },
        Endpoint { method: Method::GET, path: "/openapi.json", who: Who::Anyone, summary: "本接口的 OpenAPI 描述 / this API as OpenAPI", run: |c| Box::pin(describe(c)) },
        Endpoint { method: Method::GET, path: "/status", who: Who::Session, summary: "版本、等级、引擎 / version, level, engines", run: |c| Box::pin(status(c)) },
        Endpoint { method: Method::POST, path: "/assessments", who: Who::Admin(Permission::ReportRead), summary: "登记一次评估的结论与散列 / record what an assessment came to, with its hashes", run: |c| Box::pin(assessed(c)) },
    ]
}

async fn health(call: Call) -> Answer {
    json(json!({ "ready": call.app.registry().is_some() }))
}

async fn describe(_: Call) -> Answer {
    Ok(super::openapi())
}

async fn status(call: Call) -> Answer {
    json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "level": call.app.config.level,
        "two_factor_required": call.app.identity.settings().two_factor_required(),
        "policies": call.app.policies.set().hash(),
        "engines": call.app.analyses.engines(),
    }))
}

async fn assessed(call: Call) -> Answer {
    let ask: Assessed = call.read()?;
    let hashes = [&ask.sha256, &ask.sm3];
    if hashes.iter().any(|h| h.len() != 64 || !h.bytes().all(|b| b.is_ascii_hexdigit())) || ask.verdicts.len() > 64 {
        return Err(super::ApiError::invalid("sha256 与 sm3 须为 64 个十六进制字符 / sha256 and sm3 must be 64 hexadecimal digits"));
    }
    let record = call
        .entry(Kind::Assessment, "assess", "installation")
        .with("level", ask.level)
        .with("drills", ask.drills)
        .with("verdicts", serde_json::to_value(&ask.verdicts).unwrap_or_default())
        .with("sha256", ask.sha256)
        .with("sm3", ask.sm3);
    call.record(vec![record]).await?;
    json(json!({}))
}
