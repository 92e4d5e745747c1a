//! Manifests: reading, publishing past the gate, deleting.

use super::{Context, owner};
use crate::failpoint;
use crate::manifest::{self, Parsed};
use crate::meta::{ManifestRow, Published};
use crate::seam::{Action, Caller, ManifestPush, Ruling};
use crate::store::Hasher;
use crate::wire::{Answer, Code, Failure};
use axum::body::Body;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::IntoResponse;
use bytes::Bytes;
use jinwu_model::{Algorithm, Digest, Kind, Outcome, Record, Reference, RepositoryName, Tag};

/// Tags in one push at most.
const MAX_TAGS: usize = 100;

fn reference(text: &str) -> Result<Reference, Failure> {
    let code = if text.contains(':') { Code::DigestInvalid } else { Code::TagInvalid };
    text.parse().map_err(|e: String| Failure::saying(code, e))
}

pub(super) async fn get(context: &Context, repository: &RepositoryName, text: &str) -> Answer {
    let caller = context.allowed(repository, Action::Pull).await?;
    let reference = reference(text)?;
    let found = context
        .registry
        .inner
        .meta
        .manifest(repository, &reference)?
        .ok_or_else(|| Failure::saying(Code::ManifestUnknown, format!("{repository} has no manifest {reference}")))?;
    let etag = format!("\"{}\"", found.digest);
    let response = axum::response::Response::builder()
        .header(header::CONTENT_TYPE, &found.media_type)
        .header("docker-content-digest", found.digest.to_string())
        .header(header::ETAG, &etag);
    let failed = |_| Failure::new(Code::Unknown);
    if context.header(header::IF_NONE_MATCH) == Some(etag.as_str()) {
        return response.status(StatusCode::NOT_MODIFIED).body(Body::empty()).map_err(failed);
    }
    let response = response.header(header::CONTENT_LENGTH, found.body.len());
    if context.method == Method::HEAD {
        return response.body(Body::empty()).map_err(failed);
    }
    let object = match &reference {
        Reference::Tag(tag) => format!("{repository}:{tag}"),
        Reference::Digest(digest) => format!("{repository}@{digest}"),
    };
    let record = Record::new(crate::now(), Kind::Pull, caller.subject.clone(), "pull", object)
        .from(Some(caller.source))
        .with("digest", found.digest.to_string())
        .with("user_agent", caller.user_agent.clone());
    context.record(vec![record]).await?;
    response.body(Body::from(found.body.clone())).map_err(failed)
}

pub(super) async fn put(context: &Context, repository: &RepositoryName, text: &str, body: Body) -> Answer {
    let caller = context.allowed(repository, Action::Push).await?;
    let reference = reference(text)?;
    let bytes = axum::body::to_bytes(body, manifest::MAX).await.map_err(|e| {
        let large = std::error::Error::source(&e).is_some_and(|s| s.is::<http_body_util::LengthLimitError>());
        Failure::new(if large { Code::ManifestTooLarge } else { Code::ManifestInvalid })
    })?;
    let algorithm = match &reference {
        Reference::Digest(d) => d.algorithm(),
        Reference::Tag(_) => Algorithm::Sha256,
    };
    let digest = hash(&bytes, algorithm)?;
    let mut tags: Vec<Tag> = Vec::new();
    match &reference {
        Reference::Tag(tag) => tags.push(tag.clone()),
        Reference::Digest(wanted) if *wanted != digest => return Err(Failure::new(Code::DigestInvalid)),
        Reference::Digest(_) => {
            for (_, tag) in context.query.iter().filter(|(k, _)| k == "tag").take(MAX_TAGS + 1) {
                tags.push(tag.parse().map_err(|e: jinwu_model::name::NameError| Failure::saying(Code::TagInvalid, e.to_string()))?);
            }
            if tags.len() > MAX_TAGS {
                return Err(Failure::saying(Code::TagInvalid, format!("more than {MAX_TAGS} tags in one push")));
            }
        }
    }
    let parsed = manifest::parse(&bytes, context.header(header::CONTENT_TYPE))?;
    check_references(context, &caller, repository, &parsed)?;
    let object = tags.first().map_or_else(|| format!("{repository}@{digest}"), |tag| format!("{repository}:{tag}"));
    let push = push(context, &caller, repository, &tags, &digest, &parsed, &bytes).await;
    let (decision, warnings) = match context.registry.inner.seams.gate.judge(push).await {
        Ruling::Permit { decision, warnings } => (decision, warnings),
        Ruling::Refuse { message, detail } => {
            // Unless another image names them, the bytes of a refused image go with the next collection.
            context.registry.inner.meta.release(parsed.blobs().map(|e| e.digest.clone()).collect()).await?;
            let mut failure = Failure::saying(Code::Denied, message);
            failure.detail = detail;
            return Err(failure);
        }
        Ruling::Unavailable { message } => return Err(Failure::saying(Code::Unavailable, message).header(header::RETRY_AFTER, "5")),
    };
    let record = |outcome: Outcome| {
        Record::new(crate::now(), Kind::Push, caller.subject.clone(), "push", object.clone())
            .from(Some(caller.source))
            .outcome(outcome)
            .decision(decision.clone().map(jinwu_model::DecisionId))
            .with("digest", digest.to_string())
            .with("media_type", parsed.media_type.clone())
            .with("bytes", parsed.blobs().map(|b| b.size).sum::<u64>())
            .with("tags", tags.iter().map(ToString::to_string).collect::<Vec<_>>())
            .with("user_agent", caller.user_agent.clone())
    };
    context.record(vec![record(Outcome::Success)]).await?;
    failpoint::hit("manifest.after-record");
    let row = ManifestRow {
        repository: repository.clone(),
        digest: digest.clone(),
        media_type: parsed.media_type.clone(),
        body: bytes.to_vec(),
        subject: parsed.subject.clone(),
        artifact_type: parsed.artifact_type.clone(),
        annotations: parsed.annotations.clone(),
        references: parsed.blobs().chain(&parsed.manifests).map(|e| e.digest.clone()).collect(),
        blobs: parsed.blobs().map(|e| e.digest.clone()).collect(),
        tags: tags.clone(),
    };
    match context.registry.inner.meta.publish_manifest(row).await {
        Ok(Published::Done) => {}
        Ok(Published::Missing(blob)) => {
            context.record(vec![record(Outcome::Failure).with("reason", format!("blob {blob} was collected"))]).await?;
            return Err(missing(&blob));
        }
        Err(error) => {
            context.record(vec![record(Outcome::Failure).with("reason", "the registry could not store the manifest")]).await?;
            return Err(error.into());
        }
    }
    let mut response = StatusCode::CREATED.into_response();
    let headers = response.headers_mut();
    let mut add = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.append(header::HeaderName::from_static(name), value);
        }
    };
    add("location", &format!("/v2/{repository}/manifests/{digest}"));
    add("docker-content-digest", &digest.to_string());
    if let Some(subject) = &parsed.subject {
        add("oci-subject", &subject.to_string());
    }
    if context.query.iter().any(|(k, _)| k == "tag") {
        add("oci-tag", &tags.iter().map(Tag::as_str).collect::<Vec<_>>().join(", "));
    }
    let mut room = 4000usize;
    for warning in warnings {
        let text: String = warning.chars().filter(|c| c.is_ascii() && !c.is_ascii_control() && *c != '"' && *c != '\\').collect();
        if text.len() + 8 > room {
            break;
        }
        room -= text.len() + 8;
        add("warning", &format!("299 - \"{text}\""));
    }
    Ok(response)
}

pub(super) async fn delete(context: &Context, repository: &RepositoryName, text: &str) -> Answer {
    let caller = context.allowed(repository, Action::Delete).await?;
    let reference = reference(text)?;
    let meta = &context.registry.inner.meta;
    let unknown = || Failure::new(Code::ManifestUnknown);
    let found = meta.manifest(repository, &reference)?.ok_or_else(unknown)?;
    let object = match &reference {
        Reference::Tag(tag) => format!("{repository}:{tag}"),
        Reference::Digest(digest) => format!("{repository}@{digest}"),
    };
    let record = Record::new(crate::now(), Kind::Delete, caller.subject.clone(), "delete", object)
        .from(Some(caller.source))
        .with("digest", found.digest.to_string());
    context.record(vec![record]).await?;
    let gone = match &reference {
        Reference::Tag(tag) => meta.delete_tag(repository, tag).await?,
        Reference::Digest(digest) => meta.delete_manifest(repository, digest, context.lease()).await?,
    };
    if gone { Ok(StatusCode::ACCEPTED.into_response()) } else { Err(unknown()) }
}

/// Every blob named must be here and readable for the caller; children of an index must be
/// published in this repository.
fn check_references(context: &Context, caller: &Caller, repository: &RepositoryName, parsed: &Parsed) -> Result<(), Failure> {
    let meta = &context.registry.inner.meta;
    for entry in parsed.blobs() {
        let Some(size) = meta.blob(&entry.digest)? else { return Err(missing(&entry.digest)) };
        if !meta.readable(repository, &entry.digest, &owner(caller))? {
            return Err(missing(&entry.digest));
        }
        if entry.size != size {
            return Err(Failure::saying(
                Code::ManifestInvalid,
                format!("descriptor of {} says {} bytes, the blob has {size}", entry.digest, entry.size),
            ));
        }
    }
    for child in &parsed.manifests {
        if meta.manifest(repository, &Reference::Digest(child.digest.clone()))?.is_none() {
            return Err(missing(&child.digest));
        }
    }
    Ok(())
}

fn missing(digest: &Digest) -> Failure {
    let mut failure = Failure::saying(Code::ManifestBlobUnknown, format!("{digest} is not in this repository; push it first"));
    failure.detail = serde_json::json!({ "digest": digest });
    failure
}

async fn push(
    context: &Context,
    caller: &Caller,
    repository: &RepositoryName,
    tags: &[Tag],
    digest: &Digest,
    parsed: &Parsed,
    bytes: &Bytes,
) -> ManifestPush {
    let (config, layers) = context.registry.content(parsed).await;
    ManifestPush {
        repository: repository.clone(),
        tags: tags.to_vec(),
        digest: digest.clone(),
        media_type: parsed.media_type.clone(),
        bytes: bytes.clone(),
        config,
        layers,
        caller: caller.clone(),
    }
}

fn hash(bytes: &[u8], algorithm: Algorithm) -> Result<Digest, Failure> {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(bytes);
    hasher.finish().ok_or_else(|| Failure::new(Code::Unknown))
}
