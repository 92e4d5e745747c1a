//! Listings: tags, referrers, catalog.

use super::{Context, digest};
use crate::manifest::OCI_INDEX;
use crate::meta::Descriptor;
use crate::seam::Action;
use crate::wire::{Answer, Code, Failure, page_size};
use axum::Json;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use jinwu_model::{Digest, Reference, RepositoryName};

/// Descriptors in one referrers answer; more come by Link.
const REFERRERS_PAGE: usize = 1000;

pub(super) async fn tags(context: &Context, repository: &RepositoryName) -> Answer {
    context.allowed(repository, Action::Pull).await?;
    let n = page_size(context.first("n"))?;
    let last = context.first("last").unwrap_or_default();
    let meta = &context.registry.inner.meta;
    if !meta.knows(repository)? {
        return Err(Failure::new(Code::NameUnknown));
    }
    let (tags, more) = if n == Some(0) { (Vec::new(), false) } else { meta.tags(repository, last, n.unwrap_or(10_000))? };
    let next = tags.last().filter(|_| more).map(|last| format!("/v2/{repository}/tags/list?n={}&last={last}", n.unwrap_or(10_000)));
    Ok(linked(Json(serde_json::json!({"name": repository, "tags": tags})).into_response(), next))
}

pub(super) async fn catalog(context: &Context) -> Answer {
    let caller = context.caller(&[]).await?;
    let n = page_size(context.first("n"))?;
    let last = context.first("last").unwrap_or_default();
    let size = n.unwrap_or(1000);
    let mut names: Vec<String> = Vec::new();
    let access = &context.registry.inner.seams.access;
    let mut from = last.to_owned();
    // Only what the caller may pull is listed, so pages are filled past what is hidden.
    'fill: loop {
        let batch = context.registry.inner.meta.repositories(&from)?;
        let Some(end) = batch.last().cloned() else { break };
        for name in batch {
            if name.parse().is_ok_and(|r: RepositoryName| access.may(&caller, &r, Action::Pull)) {
                if names.len() > size {
                    break 'fill;
                }
                names.push(name);
            }
        }
        from = end;
    }
    let more = names.len() > size;
    names.truncate(size);
    let next = names.last().filter(|_| more).map(|last| format!("/v2/_catalog?n={size}&last={last}"));
    Ok(linked(Json(serde_json::json!({ "repositories": names })).into_response(), next))
}

pub(super) async fn referrers(context: &Context, repository: &RepositoryName, text: &str) -> Answer {
    context.allowed(repository, Action::Pull).await?;
    let digest = digest(text)?;
    let mut found = context.registry.inner.meta.referrers(repository, &digest)?;
    for descriptor in fallback(context, repository, &digest)? {
        if !found.iter().any(|d| d.digest == descriptor.digest) {
            found.push(descriptor);
        }
    }
    let wanted = context.first("artifactType").filter(|t| !t.is_empty());
    if let Some(wanted) = wanted {
        found.retain(|d| d.artifact_type.as_deref() == Some(wanted));
    }
    found.sort_by(|a, b| a.digest.cmp(&b.digest));
    if let Some(last) = context.first("last") {
        found.retain(|d| d.digest.to_string().as_str() > last);
    }
    let more = found.len() > REFERRERS_PAGE;
    found.truncate(REFERRERS_PAGE);
    let next = found.last().filter(|_| more).map(|last| {
        let filter = wanted.map(|w| format!("&artifactType={w}")).unwrap_or_default();
        format!("/v2/{repository}/referrers/{digest}?last={}{filter}", last.digest)
    });
    let body = serde_json::json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found});
    let mut response = linked(Json(body).into_response(), next);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(OCI_INDEX));
    if wanted.is_some() {
        response.headers_mut().insert("oci-filters-applied", HeaderValue::from_static("artifactType"));
    }
    Ok(response)
}

/// What clients without the referrers API kept under the tag `sha256-<hex>`: still shown.
fn fallback(context: &Context, repository: &RepositoryName, digest: &Digest) -> Result<Vec<Descriptor>, Failure> {
    #[derive(serde::Deserialize)]
    struct Index {
        #[serde(default)]
        manifests: Vec<serde_json::Value>,
    }
    let hex = digest.hex().get(..64).unwrap_or(digest.hex());
    let Ok(tag) = format!("{}-{hex}", digest.algorithm()).parse() else { return Ok(vec![]) };
    let Some(stored) = context.registry.inner.meta.manifest(repository, &Reference::Tag(tag))? else { return Ok(vec![]) };
    if stored.media_type != OCI_INDEX {
        return Ok(vec![]);
    }
    let index: Index = serde_json::from_slice(&stored.body).unwrap_or(Index { manifests: vec![] });
    Ok(index
        .manifests
        .into_iter()
        .filter_map(|m| {
            Some(Descriptor {
                media_type: m.get("mediaType")?.as_str()?.to_owned(),
                digest: m.get("digest")?.as_str()?.parse().ok()?,
                size: m.get("size")?.as_u64()?,
                artifact_type: m.get("artifactType").and_then(|a| a.as_str()).map(str::to_owned),
                annotations: m.get("annotations").cloned(),
            })
        })
        .collect())
}

fn linked(mut response: Response, next: Option<String>) -> Response {
    if let Some(value) = next.and_then(|n| HeaderValue::from_str(&format!("<{n}>; rel=\"next\"")).ok()) {
        response.headers_mut().insert(header::LINK, value);
    }
    response
}
