//! The endpoints. Names hold slashes, so paths are taken apart here rather than by a router.

mod blobs;
mod listings;
mod manifests;
mod uploads;

use crate::seam::{Action, Caller, Refusal};
use crate::wire::{Answer, Code, Failure};
use crate::Registry;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jinwu_model::{Digest, RepositoryName};
use std::net::SocketAddr;

/// Where a request goes.
#[derive(Debug, PartialEq, Eq)]
enum Target<'a> {
    Ping,
    Catalog,
    Blob(&'a str, &'a str),
    Uploads(&'a str),
    Upload(&'a str, &'a str),
    Manifest(&'a str, &'a str),
    Tags(&'a str),
    Referrers(&'a str, &'a str),
}

/// Everything an endpoint needs of its request.
pub(crate) struct Context {
    registry: Registry,
    peer: SocketAddr,
    method: Method,
    headers: HeaderMap,
    query: Vec<(String, String)>,
}

pub(crate) fn router(registry: Registry) -> axum::Router {
    axum::Router::new()
        .route("/v2", axum::routing::any(handle))
        .route("/v2/", axum::routing::any(handle))
        .route("/v2/{*rest}", axum::routing::any(handle))
        .with_state(registry)
}

async fn handle(State(registry): State<Registry>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    // HTTP/2 names the host in the URI alone.
    if let Some(host) = parts.uri.authority().and_then(|a| HeaderValue::from_str(a.as_str()).ok()) {
        parts.headers.entry(header::HOST).or_insert(host);
    }
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map_or(SocketAddr::from(([0, 0, 0, 0], 0)), |c| c.0);
    let query = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&parts.uri).map(|q| q.0).unwrap_or_default();
    let context = Context { registry, peer, method: parts.method, headers: parts.headers, query };
    let reading = matches!(context.method, Method::GET | Method::HEAD);
    let work = async move { dispatch(&context, parts.uri.path(), body).await };
    // A change is carried through even when its client goes away in the middle: a task of its own
    // is not dropped with the connection.
    let answer = if reading { work.await } else { tokio::spawn(work).await.unwrap_or_else(|_| Err(Failure::new(Code::Unknown))) };
    let mut response = answer.unwrap_or_else(IntoResponse::into_response);
    response
        .headers_mut()
        .insert(header::HeaderName::from_static("docker-distribution-api-version"), HeaderValue::from_static("registry/2.0"));
    response
}

async fn dispatch(context: &Context, path: &str, body: Body) -> Answer {
    let target = target(path).ok_or_else(|| Failure::saying(Code::NameUnknown, "no such endpoint"))?;
    let method = context.method.clone();
    let get = method == Method::GET || method == Method::HEAD;
    match target {
        Target::Ping if get => {
            context.caller(&[]).await?;
            Ok((StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], "{}").into_response())
        }
        Target::Catalog if method == Method::GET => listings::catalog(context).await,
        Target::Blob(name, digest) if get => blobs::get(context, &repository(name)?, digest).await,
        Target::Blob(name, digest) if method == Method::DELETE => blobs::delete(context, &repository(name)?, digest).await,
        Target::Uploads(name) if method == Method::POST => uploads::start(context, &repository(name)?, body).await,
        Target::Upload(name, id) if method == Method::PATCH => uploads::patch(context, &repository(name)?, id, body).await,
        Target::Upload(name, id) if method == Method::PUT => uploads::put(context, &repository(name)?, id, body).await,
        Target::Upload(name, id) if get => uploads::status(context, &repository(name)?, id).await,
        Target::Upload(name, id) if method == Method::DELETE => uploads::cancel(context, &repository(name)?, id).await,
        Target::Manifest(name, reference) if get => manifests::get(context, &repository(name)?, reference).await,
        Target::Manifest(name, reference) if method == Method::PUT => manifests::put(context, &repository(name)?, reference, body).await,
        Target::Manifest(name, reference) if method == Method::DELETE => manifests::delete(context, &repository(name)?, reference).await,
        Target::Tags(name) if get => listings::tags(context, &repository(name)?).await,
        Target::Referrers(name, digest) if get => listings::referrers(context, &repository(name)?, digest).await,
        _ => Err(Failure::saying(Code::Unsupported, format!("{method} is not supported here"))),
    }
}

fn target(path: &str) -> Option<Target<'_>> {
    let rest = path.strip_prefix("/v2")?;
    if rest.is_empty() || rest == "/" {
        return Some(Target::Ping);
    }
    let rest = rest.strip_prefix('/')?;
    if rest == "_catalog" {
        return Some(Target::Catalog);
    }
    if let Some((name, id)) = rest.rsplit_once("/blobs/uploads/") {
        return Some(if id.is_empty() { Target::Uploads(name) } else { Target::Upload(name, id) });
    }
    if let Some(name) = rest.strip_suffix("/blobs/uploads") {
        return Some(Target::Uploads(name));
    }
    if let Some(name) = rest.strip_suffix("/tags/list") {
        return Some(Target::Tags(name));
    }
    let (front, last) = rest.rsplit_once('/')?;
    let (name, kind) = front.rsplit_once('/')?;
    match kind {
        "blobs" => Some(Target::Blob(name, last)),
        "manifests" => Some(Target::Manifest(name, last)),
        "referrers" => Some(Target::Referrers(name, last)),
        _ => None,
    }
}

fn repository(name: &str) -> Result<RepositoryName, Failure> {
    name.parse().map_err(|e: jinwu_model::name::NameError| Failure::saying(Code::NameInvalid, e.to_string()))
}

pub(crate) fn digest(text: &str) -> Result<Digest, Failure> {
    text.parse().map_err(|e: jinwu_model::digest::DigestError| Failure::saying(Code::DigestInvalid, e.to_string()))
}

// === impl Context ===

impl Context {
    async fn caller(&self, needed: &[(RepositoryName, Action)]) -> Result<Caller, Failure> {
        self.registry.inner.seams.access.authenticate(&self.headers, self.peer, needed).await.map_err(refused)
    }

    /// Authenticates and authorises in one.
    async fn allowed(&self, repository: &RepositoryName, action: Action) -> Result<Caller, Failure> {
        let needed = match action {
            Action::Push => vec![(repository.clone(), Action::Pull), (repository.clone(), Action::Push)],
            other => vec![(repository.clone(), other)],
        };
        let caller = self.caller(&needed).await?;
        self.registry.inner.seams.access.permit(&caller, &self.headers, repository, action).await.map_err(refused)?;
        Ok(caller)
    }

    fn first(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }

    fn lease(&self) -> i64 {
        crate::now() + self.registry.inner.config.lease
    }

    async fn record(&self, records: Vec<jinwu_model::Record>) -> Result<(), Failure> {
        self.registry.inner.seams.journal.record(records).await.map_err(|e| {
            Failure::saying(Code::Unavailable, format!("审计记录无法写入,请求被拒绝 / the audit record cannot be written, so the request is refused: {e}"))
        })
    }
}

/// How a subject is named in links: kind and name, so that a robot is not the person of its name.
pub(crate) fn owner(caller: &Caller) -> String {
    caller.subject.to_string()
}

fn refused(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::Challenge { header, message } => Failure::saying(Code::Unauthorized, message).header(header::WWW_AUTHENTICATE, &header),
        Refusal::Denied { message } => Failure::saying(Code::Denied, message),
        Refusal::Unavailable { message } => Failure::saying(Code::Unavailable, message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        assert_eq!(target("/v2/"), Some(Target::Ping));
        assert_eq!(target("/v2/a/b/blobs/uploads/"), Some(Target::Uploads("a/b")));
        assert_eq!(target("/v2/a/b/blobs/uploads/id"), Some(Target::Upload("a/b", "id")));
        assert_eq!(target("/v2/a/blobs/sha256:x"), Some(Target::Blob("a", "sha256:x")));
        assert_eq!(target("/v2/a/b/manifests/latest"), Some(Target::Manifest("a/b", "latest")));
        assert_eq!(target("/v2/a/tags/list"), Some(Target::Tags("a")));
        assert_eq!(target("/v2/blobs/blobs/manifests/blobs"), Some(Target::Manifest("blobs/blobs", "blobs")));
        assert_eq!(target("/v2/a"), None);
        assert_eq!(target("/v3/"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_path_panics(s in ".{0,80}") { let _ = target(&s); let _ = target(&format!("/v2/{s}")); }
    }
}
