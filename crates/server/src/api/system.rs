//! Health, version, this API's own description.

use super::{Answer, Call, Endpoint, Who, json};
use http::Method;
use serde_json::json;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint { method: Method::GET, path: "/health", who: Who::Anyone, summary: "是否就绪 / ready or not", run: |c| Box::pin(health(c)) },
        Endpoint { method: Method::GET, path: "/openapi.json", who: Who::Anyone, summary: "本接口的 OpenAPI 描述 / this API as OpenAPI", run: |c| Box::pin(describe(c)) },
        Endpoint { method: Method::GET, path: "/status", who: Who::Session, summary: "版本、等级、引擎 / version, level, engines", run: |c| Box::pin(status(c)) },
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
