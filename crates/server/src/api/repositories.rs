//! What the registry holds: repositories, reports, collection, scrub.

use super::{Answer, ApiError, Call, Endpoint, Who, json};
use http::Method;
use jinwu_identity::Permission;
use jinwu_identity::authz::ProjectAction;
use jinwu_model::{Digest, Kind, Reference, RepositoryName};
use jinwu_registry::Registry;
use serde_json::json;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let operate = Who::Admin(Permission::SystemOperate);
    vec![
        Endpoint { method: Method::GET, path: "/report", who: Who::Project(Permission::ReportRead, ProjectAction::ReportRead), summary: "镜像扫描报告与裁决(repository、reference)/ an image's report and decision (repository, reference)", run: |c| Box::pin(report(c)) },
        Endpoint { method: Method::POST, path: "/registry/collect", who: operate, summary: "回收无引用的内容 / collect unreferenced content", run: |c| Box::pin(collect(c)) },
        Endpoint { method: Method::POST, path: "/registry/scrub", who: operate, summary: "校验全部内容 / verify all content", run: |c| Box::pin(scrub(c)) },
    ]
}

fn registry(call: &Call) -> Result<Registry, ApiError> {
    call.app.registry().cloned().ok_or_else(|| ApiError::unavailable("the registry is starting"))
}

async fn report(call: Call) -> Answer {
    let want = |name: &str| call.query.get(name).cloned().ok_or_else(|| ApiError::invalid(format!("缺少参数 {name} / parameter {name} is missing")));
    let repository: RepositoryName = want("repository")?.parse().map_err(|e: jinwu_model::name::NameError| ApiError::invalid(e.to_string()))?;
    let reference: Reference = want("reference")?.parse().map_err(ApiError::invalid)?;
    let digest: Digest = match &reference {
        // Refused images have a report and no manifest.
        Reference::Digest(digest) => digest.clone(),
        Reference::Tag(_) => {
            let found = registry(&call)?.meta().manifest(&repository, &reference).map_err(ApiError::unavailable)?;
            found.map(|m| m.digest.clone()).ok_or_else(|| ApiError::not_found(&format!("{repository}:{reference}")))?
        }
    };
    let saved = call.app.analyses.saved_report(&repository, &digest).map_err(ApiError::unavailable)?;
    saved.ok_or_else(|| ApiError::not_found(&format!("{repository}@{digest}")))
}

async fn collect(call: Call) -> Answer {
    call.record(vec![call.entry(Kind::System, "collect", "registry").outcome(jinwu_model::Outcome::Requested)]).await?;
    let collected = registry(&call)?.collect().await.map_err(ApiError::unavailable)?;
    call.record(vec![call.entry(Kind::System, "collect", "registry").with("blobs", collected.blobs).with("bytes", collected.bytes)]).await?;
    json(collected)
}

async fn scrub(call: Call) -> Answer {
    call.record(vec![call.entry(Kind::System, "scrub", "registry").outcome(jinwu_model::Outcome::Requested)]).await?;
    let result = registry(&call)?.scrub().await.map_err(ApiError::unavailable)?;
    call.record(vec![call.entry(Kind::System, "scrub", "registry").with("blobs", result.blobs).with("damaged", json!(result.damaged))]).await?;
    json(result)
}
