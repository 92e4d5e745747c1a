//! The endpoints sensors ask, `/agent/v1`. A sensor shows its node's certificate; what it asks and gets is
//! [`jinwu_node::protocol`]. Only enrolment goes without: it is how a node comes by one.

use super::NodeError;
use super::records::{self, Batch};
use crate::api::ApiError;
use crate::app::App;
use crate::intake::{self, BatchError};
use crate::listen::PeerCertificate;
use axum::Json;
use axum::body::Body;
use axum::extract::{ConnectInfo, Query, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode, header};
use jinwu_model::{Kind, Outcome, Record, Subject};
use jinwu_node::protocol::{Enrol, Enrolled};
use serde::Deserialize;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

/// Largest batch of records, bytes.
const MAX_RECORDS: usize = 16 << 20;
/// Batches read and taken at once; more wait their turn.
const BATCHES: usize = 8;
/// A batch that has not arrived in this time is let go.
const PATIENCE: Duration = Duration::from_secs(60);
/// Largest other body, bytes.
const MAX_QUESTION: usize = 64 << 10;
/// Longest wait for newer instructions, seconds.
const MAX_WAIT: u64 = 30;

/// A signing request of a node that has a certificate.
#[derive(Deserialize)]
struct Renew {
    request: String,
}

#[derive(Deserialize)]
struct Wanted {
    /// Generation the sensor has.
    #[serde(default)]
    have: String,
    /// Seconds to wait for another.
    #[serde(default)]
    wait: u64,
}

/// From where a request comes and what it shows.
struct Asker {
    peer: SocketAddr,
    headers: HeaderMap,
    shown: Option<PeerCertificate>,
}

type Peer = ConnectInfo<SocketAddr>;

pub(crate) fn router(app: &App) -> axum::Router {
    axum::Router::new()
        .route("/agent/v1/enrol", post(enrol))
        .route("/agent/v1/renew", post(renew))
        .route("/agent/v1/records", post(take))
        .route("/agent/v1/instructions", get(instructions))
        .with_state(app.clone())
}

async fn enrol(State(app): State<App>, ConnectInfo(peer): Peer, request: Request) -> Response {
    let (asker, body) = split(peer, request);
    let work = async move {
        let ask: Enrol = question(body).await?;
        let (of, asked) = (app.clone(), ask.clone());
        let enrolled = tokio::task::spawn_blocking(move || of.nodes.enrol(&asked, of.now())).await.map_err(ApiError::unavailable)?;
        if let Err(error @ NodeError::Credential(_)) = &enrolled {
            refuse(&app, &asker, &format!("enrol {}: {error}", ask.node.chars().take(253).collect::<String>())).await?;
        }
        let enrolled = enrolled?;
        issued(&app, &asker, &ask.node, "enrol").await?;
        Ok::<_, ApiError>(answer(enrolled))
    };
    // Carried through even when the node goes away: a code that is used is recorded as such.
    carried(tokio::spawn(async move { work.await.unwrap_or_else(IntoResponse::into_response) })).await
}

async fn renew(State(app): State<App>, ConnectInfo(peer): Peer, request: Request) -> Response {
    let (asker, body) = split(peer, request);
    let work = async {
        let node = authenticate(&app, &asker).await?;
        let ask: Renew = question(body).await?;
        let (of, name) = (app.clone(), node.clone());
        let renewed = tokio::task::spawn_blocking(move || of.nodes.renew(&name, &ask.request, of.now())).await.map_err(ApiError::unavailable)??;
        issued(&app, &asker, &node, "certificate-renew").await?;
        Ok::<_, ApiError>(answer(renewed))
    };
    work.await.unwrap_or_else(IntoResponse::into_response)
}

async fn carried(work: tokio::task::JoinHandle<Response>) -> Response {
    work.await.unwrap_or_else(|_| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "内部错误 / internal error").into_response())
}

fn answer(enrolled: Enrolled) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(enrolled)).into_response()
}

/// Records that a certificate was given out, before it is.
async fn issued(app: &App, asker: &Asker, node: &str, action: &str) -> Result<(), ApiError> {
    let kept = app.nodes.get(node);
    let certificate = kept.as_ref().and_then(|n| n.certificates.last());
    let record = Record::new(app.now(), Kind::Node, Subject::system("agent"), action, format!("node:{node}"))
        .from(Some(app.source(asker.peer.ip(), &asker.headers)))
        .with("of_node", node)
        .with("cluster_of_node", kept.as_ref().map(|n| n.cluster.clone()))
        .with("certificate", certificate.map(|c| c.fingerprint.clone()))
        .with("until", certificate.map(|c| c.until));
    app.journal.record(vec![record]).await.map(drop).map_err(unrecordable)
}

async fn take(State(app): State<App>, ConnectInfo(peer): Peer, request: Request) -> Response {
    let (asker, body) = split(peer, request);
    let node = match authenticate(&app, &asker).await {
        Ok(node) => node,
        Err(error) => return error.into_response(),
    };
    let permit = app.nodes.windows.room(BATCHES).acquire_owned().await;
    let bytes = match intake::body(body, MAX_RECORDS, PATIENCE).await {
        Ok(bytes) => bytes,
        Err(error) => return error.into_response(),
    };
    carried(tokio::spawn(async move {
        let _permit = permit;
        let parsed = tokio::task::spawn_blocking(move || Batch::parse(&bytes)).await.unwrap_or_else(|e| Err(BatchError::Invalid(e.to_string())));
        let taken = match parsed {
            Ok(batch) => records::take(&app, &node, batch).await,
            Err(error) => Err(error),
        };
        match taken {
            Ok(taken) => Json(taken).into_response(),
            Err(BatchError::Invalid(message)) => ApiError::invalid(message).into_response(),
            Err(error @ BatchError::Ledger(_)) => ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "unrecordable", error.to_string()).into_response(),
        }
    }))
    .await
}

/// What the node is to do, as soon as it is something else than it has.
async fn instructions(
    State(app): State<App>,
    ConnectInfo(peer): Peer,
    wanted: Result<Query<Wanted>, axum::extract::rejection::QueryRejection>,
    request: Request,
) -> Response {
    let Query(wanted) = match wanted {
        Ok(wanted) => wanted,
        Err(error) => return ApiError::invalid(format!("参数不符 / the query does not fit: {error}")).into_response(),
    };
    let (asker, _) = split(peer, request);
    let deadline = Instant::now() + Duration::from_secs(wanted.wait.min(MAX_WAIT));
    let mut changes = app.nodes.subscribe();
    loop {
        changes.mark_unchanged();
        // Asked anew each time: a node may be removed while it waits.
        let node = match authenticate(&app, &asker).await {
            Ok(node) => node,
            Err(error) => return error.into_response(),
        };
        let (newest, until) = app.nodes.instructions(&node, app.now());
        if newest.generation != wanted.have {
            return ([(header::CACHE_CONTROL, "no-store")], Json(newest)).into_response();
        }
        if Instant::now() >= deadline {
            return StatusCode::NOT_MODIFIED.into_response();
        }
        let expiry = until.and_then(|until| u64::try_from(until - app.now() + 1).ok()).map(|ms| Instant::now() + Duration::from_millis(ms));
        let wake = expiry.map_or(deadline, |e| e.min(deadline));
        tokio::select! {
            _ = changes.changed() => {}
            () = tokio::time::sleep_until(wake) => {}
        }
    }
}

fn split(peer: SocketAddr, request: Request) -> (Asker, Body) {
    let (parts, body) = request.into_parts();
    let shown = parts.extensions.get::<PeerCertificate>().cloned();
    (Asker { peer, headers: parts.headers, shown }, body)
}

/// Which node asks. A refusal is recorded, a flood of them counted.
async fn authenticate(app: &App, asker: &Asker) -> Result<String, ApiError> {
    let found = asker.shown.as_ref().and_then(|c| app.nodes.by_certificate(&c.0, app.now()));
    if let Some(node) = found {
        return Ok(node);
    }
    let (reason, message) = match asker.shown {
        None => (
            "no certificate",
            "须出示节点证书;先以 jinwu node code 节点 取得登记码并在节点上登记 / a node's certificate is needed: get a code by jinwu node code NODE and enrol the node",
        ),
        Some(_) => (
            "no node has this certificate",
            "该证书不属于任何在册节点(已移除、已更换或已过期);以 jinwu node code 节点 取得登记码后重新登记 / no node has this certificate (removed, replaced or expired); get a code by jinwu node code NODE and enrol anew",
        ),
    };
    refuse(app, asker, reason).await?;
    Err(ApiError::new(StatusCode::UNAUTHORIZED, "no-certificate", message))
}

async fn refuse(app: &App, asker: &Asker, reason: &str) -> Result<(), ApiError> {
    let source = app.source(asker.peer.ip(), &asker.headers);
    if !app.anonymous.one_by_one(source, app.now()) {
        return Ok(());
    }
    let record = Record::new(app.now(), Kind::Denial, Subject::anonymous(), "agent", "agent:v1")
        .from(Some(source))
        .outcome(Outcome::Denied)
        .with("reason", reason)
        .with("certificate", asker.shown.as_ref().map(|c| c.0.clone()));
    app.journal.record(vec![record]).await.map(drop).map_err(unrecordable)
}

fn unrecordable(error: jinwu_ledger::LedgerError) -> ApiError {
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "unrecordable", format!("审计记录无法写入 / the audit record cannot be written: {error}"))
}

async fn question<T: serde::de::DeserializeOwned>(body: Body) -> Result<T, ApiError> {
    let bytes = tokio::time::timeout(PATIENCE, intake::whole(body, MAX_QUESTION)).await.map_err(ApiError::unavailable)??;
    serde_json::from_slice(&bytes).map_err(|e| ApiError::invalid(format!("请求体不符 / the body does not fit: {e}")))
}

