//! Blobs: reading and unlinking.

use super::{Context, digest, owner};
use crate::read::FileStream;
use crate::seam::Action;
use crate::wire::{self, Answer, Code, Failure, Wanted};
use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jinwu_model::{Kind, Record, RepositoryName};

pub(super) async fn get(context: &Context, repository: &RepositoryName, text: &str) -> Answer {
    let caller = context.allowed(repository, Action::Pull).await?;
    let digest = digest(text)?;
    let meta = &context.registry.inner.meta;
    let unknown = || Failure::new(Code::BlobUnknown);
    let size = meta.blob(&digest)?.ok_or_else(unknown)?;
    if !meta.readable(repository, &digest, &owner(&caller))? {
        return Err(unknown());
    }
    let path = context.registry.inner.store.path(&digest);
    let head = context.method == Method::HEAD;
    let length = tokio::fs::metadata(&path).await.map(|m| m.len()).ok();
    if length != Some(size) {
        tracing::error!(%digest, ?length, size, "blob is gone or cut; answering 404");
        meta.lost(&digest).await?;
        return Err(unknown());
    }
    let mut response = Response::builder()
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .header("docker-content-digest", digest.to_string())
        .header(header::ETAG, format!("\"{digest}\""))
        .header(header::ACCEPT_RANGES, "bytes")
        .header(header::CACHE_CONTROL, "max-age=31536000");
    let build = |r: axum::http::response::Builder, body: Body| r.body(body).map_err(|_| Failure::new(Code::Unknown));
    if head {
        // A push that finds its layer here relies on it: the lease is renewed.
        meta.link(repository, &digest, &owner(&caller), context.lease()).await?;
        return build(response.header(header::CONTENT_LENGTH, size), Body::empty());
    }
    if context.header(header::IF_NONE_MATCH) == Some(format!("\"{digest}\"").as_str()) {
        return build(response.status(StatusCode::NOT_MODIFIED), Body::empty());
    }
    let wanted = context.header(header::RANGE).map_or(Wanted::Whole, |r| wire::range(r, size));
    let (first, last) = match wanted {
        Wanted::Whole => (0, size.saturating_sub(1)),
        Wanted::Part(a, b) => {
            response = response.status(StatusCode::PARTIAL_CONTENT).header(header::CONTENT_RANGE, format!("bytes {a}-{b}/{size}"));
            (a, b)
        }
        Wanted::Unsatisfiable => {
            return Err(Failure::new(Code::RangeInvalid).header(header::CONTENT_RANGE, &format!("bytes */{size}")));
        }
    };
    let count = if size == 0 { 0 } else { last - first + 1 };
    let record = Record::new(crate::now(), Kind::Pull, caller.subject.clone(), "pull-blob", format!("{repository}@{digest}"))
        .from(Some(caller.source))
        .with("bytes", count)
        .with("user_agent", caller.user_agent.clone());
    context.record(vec![record]).await?;
    let file = tokio::task::spawn_blocking(move || std::fs::File::open(path))
        .await
        .map_err(|_| Failure::new(Code::Unknown))?
        .map_err(|e| Failure::io("blob open", &e))?;
    let stream = FileStream::new(file, first, count, context.registry.inner.buffers.clone());
    build(response.header(header::CONTENT_LENGTH, count), Body::from_stream(stream))
}

pub(super) async fn delete(context: &Context, repository: &RepositoryName, text: &str) -> Answer {
    let caller = context.allowed(repository, Action::Delete).await?;
    let digest = digest(text)?;
    let record = Record::new(crate::now(), Kind::Delete, caller.subject.clone(), "delete-blob", format!("{repository}@{digest}"))
        .from(Some(caller.source));
    context.record(vec![record]).await?;
    match context.registry.inner.meta.unlink(repository, &digest).await? {
        None => Err(Failure::new(Code::BlobUnknown)),
        Some(true) => Ok(StatusCode::ACCEPTED.into_response()),
        Some(false) => Err(Failure::saying(Code::Unsupported, "a published manifest names this blob; delete the manifest first")),
    }
}
