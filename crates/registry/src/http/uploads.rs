//! Uploads: start (also by mount or in one POST), chunks, finish, status, cancel.

use super::{Context, digest, owner};
use crate::seam::{Action, Caller};
use crate::upload::{Info, Session, UploadError};
use crate::wire::{self, Answer, Code, Failure};
use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::StreamExt;
use jinwu_model::{Algorithm, Digest, Kind, Record, RepositoryName};

pub(super) async fn start(context: &Context, repository: &RepositoryName, body: Body) -> Answer {
    let caller = context.allowed(repository, Action::Push).await?;
    if let Some(text) = context.first("mount")
        && let Ok(wanted) = text.parse::<Digest>()
        && mount(context, &caller, repository, &wanted).await?
    {
        return created(repository, &wanted);
    }
    let algorithm = match context.first("digest-algorithm") {
        None => Algorithm::Sha256,
        Some(name) => name.parse().map_err(|e: jinwu_model::digest::DigestError| Failure::saying(Code::DigestInvalid, e.to_string()))?,
    };
    let whole = context.first("digest").map(digest).transpose()?;
    let algorithm = whole.as_ref().map_or(algorithm, Digest::algorithm);
    let info = Info { repository: repository.clone(), uploader: owner(&caller), algorithm, started: crate::now() };
    let inner = &context.registry.inner;
    let inspector = inner.seams.inspector.clone();
    let (id, session) =
        inner.uploads.create(info, whole.is_none(), |path, have| inspector.started(path, have)).map_err(upload_failure)?;
    if let Some(wanted) = whole {
        let result = match receive(session, body, None).await {
            Ok(session) => finish(context, &caller, session, &wanted).await,
            Err((_, failure)) => Err(failure),
        };
        inner.uploads.end(&id);
        return result;
    }
    inner.uploads.keep(&id, session);
    Ok(progress(StatusCode::ACCEPTED, repository, &id, 0))
}

pub(super) async fn patch(context: &Context, repository: &RepositoryName, id: &str, body: Body) -> Answer {
    let caller = context.allowed(repository, Action::Push).await?;
    let shared = find(context, &caller, repository, id).await?;
    let mut slot = shared.lock().await;
    let session = slot.take().ok_or_else(|| Failure::new(Code::BlobUploadUnknown))?;
    if let Err(failure) = check_range(context, &session, repository, id) {
        *slot = Some(session);
        return Err(failure);
    }
    match receive(session, body, expected_length(context)).await {
        Ok(session) => {
            let offset = session.offset;
            *slot = Some(session);
            Ok(progress(StatusCode::ACCEPTED, repository, id, offset))
        }
        Err((session, failure)) => {
            *slot = session;
            Err(failure)
        }
    }
}

pub(super) async fn put(context: &Context, repository: &RepositoryName, id: &str, body: Body) -> Answer {
    let caller = context.allowed(repository, Action::Push).await?;
    let wanted = digest(context.first("digest").ok_or_else(|| Failure::saying(Code::DigestInvalid, "digest parameter is missing"))?)?;
    let shared = find(context, &caller, repository, id).await?;
    let mut slot = shared.lock().await;
    let session = slot.take().ok_or_else(|| Failure::new(Code::BlobUploadUnknown))?;
    if let Err(failure) = check_range(context, &session, repository, id) {
        *slot = Some(session);
        return Err(failure);
    }
    let session = match receive(session, body, expected_length(context)).await {
        Ok(session) => session,
        Err((session, failure)) => {
            *slot = session;
            return Err(failure);
        }
    };
    let result = finish(context, &caller, session, &wanted).await;
    context.registry.inner.uploads.end(id);
    result
}

pub(super) async fn status(context: &Context, repository: &RepositoryName, id: &str) -> Answer {
    let caller = context.allowed(repository, Action::Push).await?;
    let shared = find(context, &caller, repository, id).await?;
    let slot = shared.lock().await;
    let session = slot.as_ref().ok_or_else(|| Failure::new(Code::BlobUploadUnknown))?;
    Ok(progress(StatusCode::NO_CONTENT, repository, id, session.offset))
}

pub(super) async fn cancel(context: &Context, repository: &RepositoryName, id: &str) -> Answer {
    let caller = context.allowed(repository, Action::Push).await?;
    let shared = find(context, &caller, repository, id).await?;
    drop(shared.lock().await.take());
    context.registry.inner.uploads.end(id);
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Links a blob from another repository, if the caller may read it there. A refusal looks like
/// absence: an upload starts.
async fn mount(context: &Context, caller: &Caller, repository: &RepositoryName, wanted: &Digest) -> Result<bool, Failure> {
    let inner = &context.registry.inner;
    let sources: Vec<RepositoryName> = match context.first("from") {
        Some(from) => from.parse().into_iter().collect(),
        None => inner.meta.holders(wanted)?.into_iter().filter_map(|name| name.parse().ok()).collect(),
    };
    for source in sources {
        if inner.seams.access.may(caller, &source, Action::Pull) && inner.meta.readable(&source, wanted, &owner(caller))? {
            return Ok(inner.meta.link(repository, wanted, &owner(caller), context.lease()).await?);
        }
    }
    Ok(false)
}

async fn find(context: &Context, caller: &Caller, repository: &RepositoryName, id: &str) -> Result<std::sync::Arc<tokio::sync::Mutex<Option<Session>>>, Failure> {
    if let Some(open) = context.registry.inner.uploads.opened(id, repository, &owner(caller)) {
        return open.map_err(upload_failure);
    }
    let registry = context.registry.clone();
    let (repository, id, uploader) = (repository.clone(), id.to_owned(), owner(caller));
    tokio::task::spawn_blocking(move || {
        let inspector = registry.inner.seams.inspector.clone();
        registry.inner.uploads.find(&id, &repository, &uploader, |path, have| inspector.started(path, have))
    })
    .await
    .map_err(|_| Failure::new(Code::Unknown))?
    .map_err(upload_failure)
}

/// A chunk that does not continue the upload: 416, and the session stays.
fn check_range(context: &Context, session: &Session, repository: &RepositoryName, id: &str) -> Result<(), Failure> {
    let Some(text) = context.header(header::CONTENT_RANGE) else { return Ok(()) };
    let (start, end) = wire::content_range(text)
        .ok_or_else(|| Failure::saying(Code::BlobUploadInvalid, format!("Content-Range {text:?} is not start-end")))?;
    if start != session.offset {
        return Err(Failure::new(Code::RangeInvalid)
            .header(header::LOCATION, &location(repository, id))
            .header(header::RANGE, &received(session.offset)));
    }
    let length = context.header(header::CONTENT_LENGTH).and_then(|l| l.parse::<u64>().ok());
    if length.is_some_and(|l| l != end - start + 1) {
        return Err(Failure::saying(Code::SizeInvalid, format!("Content-Length differs from Content-Range {text}")));
    }
    Ok(())
}

fn expected_length(context: &Context) -> Option<u64> {
    let (start, end) = wire::content_range(context.header(header::CONTENT_RANGE)?)?;
    Some(end - start + 1)
}

/// Writes and hashes the body on a thread of its own while the socket is read here. On a broken
/// body the session comes back with what arrived.
async fn receive(session: Session, body: Body, expected: Option<u64>) -> Result<Session, (Option<Session>, Failure)> {
    let before = session.offset;
    let mut stream = body.into_data_stream();
    let first = stream.next().await;
    // The PUT that ends an upload mostly brings nothing: no thread for that.
    let (session, failed) = if first.is_none() { (session, None) } else { write_all(session, first, stream).await? };
    if let Some(failure) = failed {
        return Err((Some(session), failure));
    }
    if expected.is_some_and(|n| session.offset - before != n) {
        return Err((Some(session), Failure::new(Code::SizeInvalid)));
    }
    Ok(session)
}

/// Chunks that wait between socket and file at most, as the socket gave them (16 KiB with TLS).
const WAITING: usize = 16;
/// Bytes written in one call: still in the core's cache when they are hashed.
const BATCH: usize = 256 << 10;

async fn write_all(
    session: Session,
    first: Option<Result<Bytes, axum::Error>>,
    mut stream: BodyDataStream,
) -> Result<(Session, Option<Failure>), (Option<Session>, Failure)> {
    let (send, mut chunks) = tokio::sync::mpsc::channel::<Bytes>(WAITING);
    let writer = tokio::task::spawn_blocking(move || {
        let mut session = session;
        let mut batch = Vec::with_capacity(WAITING);
        while let Some(chunk) = chunks.blocking_recv() {
            let mut length = chunk.len();
            batch.push(chunk);
            // What has come in the meantime goes along.
            while length < BATCH && let Ok(chunk) = chunks.try_recv() {
                length += chunk.len();
                batch.push(chunk);
            }
            if let Err(e) = session.write(&batch) {
                return (session, Some(Failure::io("upload", &e)));
            }
            batch.clear();
        }
        (session, None)
    });
    let mut broken = None;
    let mut next = first;
    while let Some(chunk) = next {
        match chunk {
            Ok(chunk) => {
                if send.send(chunk).await.is_err() {
                    break;
                }
            }
            Err(_) => {
                broken = Some(Failure::saying(Code::BlobUploadInvalid, "the body ended early; the upload can be resumed"));
                break;
            }
        }
        next = stream.next().await;
    }
    drop(send);
    let Ok((session, failed)) = writer.await else { return Err((None, Failure::new(Code::Unknown))) };
    Ok((session, failed.or(broken)))
}

/// Sync, compare, move into place, link: then 201.
async fn finish(context: &Context, caller: &Caller, session: Session, wanted: &Digest) -> Answer {
    let algorithm = wanted.algorithm();
    let (session, settled) = tokio::task::spawn_blocking(move || {
        let mut session = session;
        let settled = session.settle(algorithm);
        (session, settled)
    })
    .await
    .map_err(|_| Failure::new(Code::Unknown))?;
    let got = settled.map_err(|e| Failure::io("upload sync", &e))?;
    if got.as_ref() != Some(wanted) {
        let record = Record::new(crate::now(), Kind::Push, caller.subject.clone(), "push-blob", format!("{}@{wanted}", session.info.repository))
            .from(Some(caller.source))
            .outcome(jinwu_model::Outcome::Failure)
            .with("reason", "content does not match the digest");
        context.record(vec![record]).await?;
        return Err(Failure::new(Code::DigestInvalid));
    }
    let repository = session.info.repository.clone();
    let meta = &context.registry.inner.meta;
    meta.publish_blob(session.path.clone(), &repository, wanted, session.offset, &owner(caller), context.lease()).await?;
    session.feed.finished(wanted, session.offset);
    created(&repository, wanted)
}

fn created(repository: &RepositoryName, digest: &Digest) -> Answer {
    let mut response = StatusCode::CREATED.into_response();
    set(&mut response, header::LOCATION, &format!("/v2/{repository}/blobs/{digest}"));
    set(&mut response, header::HeaderName::from_static("docker-content-digest"), &digest.to_string());
    Ok(response)
}

fn progress(status: StatusCode, repository: &RepositoryName, id: &str, offset: u64) -> Response {
    let mut response = status.into_response();
    set(&mut response, header::LOCATION, &location(repository, id));
    set(&mut response, header::RANGE, &received(offset));
    set(&mut response, header::HeaderName::from_static("docker-upload-uuid"), id);
    if status != StatusCode::NO_CONTENT {
        set(&mut response, header::CONTENT_LENGTH, "0");
    }
    response
}

/// Relative, so that no proxy can get scheme or port wrong.
fn location(repository: &RepositoryName, id: &str) -> String {
    format!("/v2/{repository}/blobs/uploads/{id}")
}

/// `0-<last>`; clients cannot parse `0--1`, so nothing yet is `0-0` as well.
fn received(offset: u64) -> String {
    format!("0-{}", offset.saturating_sub(1))
}

fn set(response: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

fn upload_failure(error: UploadError) -> Failure {
    match error {
        UploadError::Unknown => Failure::new(Code::BlobUploadUnknown),
        UploadError::TooMany => Failure::saying(Code::TooManyRequests, error.to_string()).header(header::RETRY_AFTER, "10"),
        UploadError::Io(e) => Failure::io("upload session", &e),
    }
}
