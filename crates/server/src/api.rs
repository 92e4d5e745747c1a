//! The management API.
//!
//! [`table`] is the one list of endpoints: method, path, who may call it, what it does. The router,
//! the OpenAPI document and the test of every endpoint against every role are made from it.
//!
//! Every change is recorded twice: `requested` before it is done, its outcome after, so that
//! nothing happens that could not be recorded.

mod accounts;
mod clusters;
mod exceptions;
mod grants;
mod ledger;
mod nodes;
mod openapi;
mod policies;
mod projects;
mod repositories;
mod robots;
mod sessions;
mod system;

use crate::app::App;
use axum::Json;
use axum::body::Body;
use axum::extract::{ConnectInfo, RawPathParams, Request};
use axum::response::{IntoResponse, Response};
use futures::future::BoxFuture;
use http::{HeaderMap, Method, StatusCode, header};
use jinwu_identity::authz::ProjectAction;
use jinwu_identity::{Account, AdminRole, IdentityError, Permission, Session};
use jinwu_model::{Kind, Outcome, ProjectName, Record, Subject};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

pub use openapi::document as openapi;

/// Who may call an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Anyone,
    /// Whoever is logged in.
    Session,
    /// An administrator holding this permission.
    Admin(Permission),
    /// An administrator holding either.
    Either(Permission, Permission),
    /// An administrator holding any of these.
    Any(&'static [Permission]),
    /// An administrator holding the permission, or a member whose project role has the action in
    /// the project of the path.
    Project(Permission, ProjectAction),
}

/// One endpoint.
pub struct Endpoint {
    pub method: Method,
    pub path: &'static str,
    pub who: Who,
    pub summary: &'static str,
    pub run: fn(Call) -> BoxFuture<'static, Answer>,
}

/// A request on its way.
pub struct Call {
    pub app: App,
    pub caller: Option<Caller>,
    pub source: Option<IpAddr>,
    pub path: BTreeMap<String, String>,
    pub query: BTreeMap<String, String>,
    pub body: Value,
}

/// Who is logged in.
pub struct Caller {
    pub token: String,
    pub session: Session,
    pub account: Account,
}

pub type Answer = Result<Value, ApiError>;

/// An answer that is an error: a status, a code for programs, a text for people.
#[derive(Debug)]
pub struct ApiError {
    pub status: StatusCode,
    pub code: &'static str,
    pub message: String,
}

/// Largest request body.
const MAX_BODY: usize = 1 << 20;

/// Type of an answer that is a text: Prometheus' format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All endpoints.
pub fn table() -> Vec<Endpoint> {
    let mut all = Vec::new();
    all.extend(system::endpoints());
    all.extend(sessions::endpoints());
    all.extend(accounts::endpoints());
    all.extend(projects::endpoints());
    all.extend(robots::endpoints());
    all.extend(grants::endpoints());
    all.extend(policies::endpoints());
    all.extend(exceptions::endpoints());
    all.extend(repositories::endpoints());
    all.extend(clusters::endpoints());
    all.extend(nodes::endpoints());
    all.extend(ledger::endpoints());
    all
}

/// Routes for every entry of the table, below `/api/v1`.
pub fn router(app: &App) -> axum::Router {
    let mut router = axum::Router::new();
    for endpoint in table() {
        let Ok(filter) = axum::routing::MethodFilter::try_from(endpoint.method.clone()) else { continue };
        let path = format!("/api/v1{}", endpoint.path);
        let (app, endpoint) = (app.clone(), Arc::new(endpoint));
        let handler = move |params: RawPathParams, request: Request| handle(app.clone(), endpoint.clone(), params, request);
        router = router.route(&path, axum::routing::on(filter, handler));
    }
    router.fallback(|| async { ApiError::new(StatusCode::NOT_FOUND, "not-found", "没有这个接口 / no such endpoint; see /api/v1/openapi.json") })
}

async fn handle(app: App, endpoint: Arc<Endpoint>, params: RawPathParams, request: Request) -> Response {
    // A change is carried through even when its client goes away.
    let path = params.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    let work = async move {
        let call = prepare(app, &endpoint, path, request).await?;
        (endpoint.run)(call).await
    };
    let answer = tokio::spawn(work).await.unwrap_or_else(|_| Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "内部错误 / internal error")));
    match answer {
        // A text by itself is no JSON: what Prometheus reads.
        Ok(Value::String(text)) => ([(header::CACHE_CONTROL, "no-store"), (header::CONTENT_TYPE, TEXT)], text).into_response(),
        Ok(value) => ([(header::CACHE_CONTROL, "no-store")], Json(value)).into_response(),
        Err(error) => error.into_response(),
    }
}

async fn prepare(app: App, endpoint: &Endpoint, path: BTreeMap<String, String>, request: Request) -> Result<Call, ApiError> {
    let (parts, body) = request.into_parts();
    // Absent on the local socket.
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|c| c.0.ip());
    let source = peer.map(|ip| app.source(ip, &parts.headers));
    let query = axum::extract::Query::try_from_uri(&parts.uri).map_err(|e| ApiError::invalid(e.to_string()))?.0;
    let token = bearer(&parts.headers);
    let caller = match token {
        None => None,
        Some(token) => {
            let (session, account) = app.identity.session(&token)?;
            Some(Caller { token, session, account })
        }
    };
    let mut call = Call { app, caller, source, path, query, body: Value::Null };
    call.authorize(endpoint).await?;
    call.body = read_body(body).await?;
    Ok(call)
}

pub(crate) fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
}

async fn read_body(body: Body) -> Result<Value, ApiError> {
    let bytes = axum::body::to_bytes(body, MAX_BODY)
        .await
        .map_err(|_| ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "请求体超过 1 MiB 或中断 / the body is larger than 1 MiB or broke off"))?;
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&bytes).map_err(|e| ApiError::invalid(format!("请求体不是 JSON / the body is not JSON: {e}")))
}

// === impl Call ===

impl Call {
    async fn authorize(&self, endpoint: &Endpoint) -> Result<(), ApiError> {
        if endpoint.who == Who::Anyone {
            return Ok(());
        }
        let Some(caller) = &self.caller else {
            self.denial(endpoint, "no session").await?;
            return Err(ApiError::from(IdentityError::NoSession));
        };
        let holds = |permission| caller.account.role.is_some_and(|role: AdminRole| role.holds(permission));
        let allowed = match endpoint.who {
            Who::Anyone | Who::Session => true,
            Who::Admin(permission) => holds(permission),
            Who::Either(a, b) => holds(a) || holds(b),
            Who::Any(permissions) => permissions.iter().any(|p| holds(*p)),
            Who::Project(permission, action) => {
                let project = self.path.get("project").or_else(|| self.query.get("project")).cloned().or_else(|| {
                    self.query.get("repository").and_then(|r| r.split('/').next()).map(str::to_owned)
                });
                let member = project.and_then(|p| p.parse::<ProjectName>().ok()).is_some_and(|p| {
                    self.app.identity.project_actions(&Subject::user(caller.account.name.as_str()), &p).contains(&action)
                });
                holds(permission) || member
            }
        };
        if allowed {
            return Ok(());
        }
        self.denial(endpoint, "role does not allow this").await?;
        let role = caller.account.role.map_or("无管理角色 / no administrator's role".to_owned(), |r| format!("{} / {}", r.zh(), r.as_str()));
        Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            format!("{} ({role}) 无权执行此操作 / {} may not do this", caller.account.name, caller.account.name),
        ))
    }

    async fn denial(&self, endpoint: &Endpoint, reason: &str) -> Result<(), ApiError> {
        let record = self.entry(Kind::Denial, endpoint.method.as_str(), &format!("api:{}", endpoint.path)).outcome(Outcome::Denied).with("reason", reason);
        self.record(vec![record]).await
    }

    /// Who acts: the session's account, or nobody known.
    pub fn subject(&self) -> Subject {
        self.caller.as_ref().map_or_else(Subject::anonymous, |c| Subject::user(c.account.name.as_str()))
    }

    /// The logged-in caller; the table says the endpoint has one.
    pub fn who(&self) -> Result<&Caller, ApiError> {
        self.caller.as_ref().ok_or_else(|| ApiError::from(IdentityError::NoSession))
    }

    /// A record of this call.
    pub fn entry(&self, kind: Kind, action: &str, object: &str) -> Record {
        Record::new(self.app.now(), kind, self.subject(), action, object).from(self.source)
    }

    pub async fn record(&self, records: Vec<Record>) -> Result<(), ApiError> {
        self.app.journal.record(records).await.map(drop).map_err(|e| {
            ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unrecordable",
                format!("审计记录无法写入,请求被拒绝 / the audit record cannot be written, so the request is refused: {e}"),
            )
        })
    }

    /// Records `entry` as requested, does `act` off the async threads, records how it went.
    pub async fn change<T, E>(&self, entry: Record, act: impl FnOnce(App) -> Result<T, E> + Send + 'static) -> Result<T, ApiError>
    where
        T: Send + 'static,
        E: Into<ApiError> + Send + 'static,
    {
        self.record(vec![entry.clone().outcome(Outcome::Requested)]).await?;
        let app = self.app.clone();
        let result = match tokio::task::spawn_blocking(move || act(app).map_err(Into::into)).await {
            Ok(result) => result,
            Err(_) => Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "内部错误 / internal error")),
        };
        // Whatever it was, a gate's bundle may depend on it.
        self.app.clusters.changed();
        let mut done = entry;
        done.time = self.app.now();
        let done = match &result {
            Ok(_) => done.outcome(Outcome::Success),
            Err(error) => done.outcome(Outcome::Failure).with("reason", error.message.clone()),
        };
        self.record(vec![done]).await?;
        result
    }

    /// A part of the path; the table says it is there.
    pub fn part(&self, name: &str) -> String {
        self.path.get(name).cloned().unwrap_or_default()
    }

    /// The body as a type; what does not fit is said by member.
    pub fn read<T: serde::de::DeserializeOwned>(&self) -> Result<T, ApiError> {
        serde_json::from_value(self.body.clone()).map_err(|e| ApiError::invalid(format!("请求体不符 / the body does not fit: {e}")))
    }

    pub fn project(&self) -> Result<ProjectName, ApiError> {
        self.part("project").parse().map_err(|e: jinwu_model::name::NameError| ApiError::invalid(e.to_string()))
    }
}

/// A value as JSON.
pub fn json(value: impl serde::Serialize) -> Answer {
    serde_json::to_value(value).map_err(|e| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", e.to_string()))
}

// === impl ApiError ===

impl ApiError {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        ApiError { status, code, message: message.into() }
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        ApiError::new(StatusCode::BAD_REQUEST, "invalid", message)
    }

    pub fn not_found(what: &str) -> Self {
        ApiError::new(StatusCode::NOT_FOUND, "not-found", format!("不存在或不可见:{what} / does not exist, or is not yours to see: {what}"))
    }

    pub fn unavailable(error: impl std::fmt::Display) -> Self {
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = serde_json::json!({"error": {"code": self.code, "message": self.message}});
        (self.status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
    }
}

impl From<IdentityError> for ApiError {
    fn from(error: IdentityError) -> Self {
        use StatusCode as S;
        let (status, code) = match &error {
            IdentityError::BadCredentials => (S::UNAUTHORIZED, "bad-credentials"),
            IdentityError::CodeUsed => (S::UNAUTHORIZED, "code-used"),
            IdentityError::Locked { .. } => (S::TOO_MANY_REQUESTS, "locked"),
            IdentityError::NoSession => (S::UNAUTHORIZED, "no-session"),
            IdentityError::Forbidden(_) => (S::FORBIDDEN, "forbidden"),
            IdentityError::NotFound(_) => (S::NOT_FOUND, "not-found"),
            IdentityError::Invalid(_) => (S::BAD_REQUEST, "invalid"),
            IdentityError::Conflict(_) => (S::CONFLICT, "conflict"),
            IdentityError::Storage(detail) => {
                tracing::error!(%detail, "identity store");
                (S::SERVICE_UNAVAILABLE, "storage")
            }
        };
        ApiError::new(status, code, error.to_string())
    }
}

impl From<crate::policies::PolicyStoreError> for ApiError {
    fn from(error: crate::policies::PolicyStoreError) -> Self {
        use crate::policies::PolicyStoreError as E;
        let (status, code) = match &error {
            E::UnknownPolicy(_) | E::UnknownException(_) => (StatusCode::NOT_FOUND, "not-found"),
            E::Refused(_) => (StatusCode::CONFLICT, "refused"),
            E::Policy(_) => (StatusCode::BAD_REQUEST, "policy"),
            E::Store(detail) => {
                tracing::error!(%detail, "policy store");
                (StatusCode::SERVICE_UNAVAILABLE, "storage")
            }
        };
        ApiError::new(status, code, error.to_string())
    }
}
