//! The endpoints gates ask, `/gate/v1`. A gate shows its cluster's secret as a bearer token; what it
//! asks and gets is [`jinwu_admission::protocol`].

use super::records::{self, Batch};
use super::{blocks, bundle, images, recheck};
use crate::api::{ApiError, bearer};
use crate::app::App;
use crate::intake::{self, BatchError};
use axum::Json;
use axum::body::Body;
use axum::extract::{ConnectInfo, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode, header};
use jinwu_admission::protocol::{BlockRequest, Certificate, CertificateRequest, ImageQuestion, Issuer};
use jinwu_model::{Kind, Outcome, Record, Subject};
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
/// Largest question about an image, bytes.
const MAX_QUESTION: usize = 16 << 10;
/// Names of one certificate at most.
const MAX_NAMES: usize = 20;
/// Longest wait for a new bundle, seconds.
const MAX_WAIT: u64 = 30;

#[derive(Deserialize)]
struct Wanted {
    /// Generation the gate has.
    #[serde(default)]
    have: String,
    /// Seconds to wait for another.
    #[serde(default)]
    wait: u64,
}

pub(crate) fn router(app: &App) -> axum::Router {
    axum::Router::new()
        .route("/gate/v1/bundle", get(newest))
        .route("/gate/v1/images", post(image))
        .route("/gate/v1/records", post(take))
        .route("/gate/v1/certificate", post(certificate))
        .route("/gate/v1/blocks", post(block))
        .route("/gate/v1/issuer", post(issuer))
        .with_state(app.clone())
}

/// The newest bundle, as soon as it is another than the gate has.
async fn newest(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    wanted: Result<Query<Wanted>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let Query(wanted) = match wanted {
        Ok(wanted) => wanted,
        Err(error) => return ApiError::invalid(format!("参数不符 / the query does not fit: {error}")).into_response(),
    };
    let deadline = Instant::now() + Duration::from_secs(wanted.wait.min(MAX_WAIT));
    let mut changes = app.clusters.subscribe();
    loop {
        changes.mark_unchanged();
        // Asked anew each time: a secret may end while its gate waits.
        let cluster = match authenticate(&app, peer, &headers).await {
            Ok(cluster) => cluster,
            Err(error) => return error.into_response(),
        };
        let Some(made) = bundle::present(&app, &cluster) else { return ApiError::not_found(&cluster).into_response() };
        if made.generation != wanted.have {
            return ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], made.signed.clone()).into_response();
        }
        if Instant::now() >= deadline {
            return StatusCode::NOT_MODIFIED.into_response();
        }
        let expiry = made.until.and_then(|until| u64::try_from(until - app.now() + 1).ok()).map(|ms| Instant::now() + Duration::from_millis(ms));
        let wake = expiry.map_or(deadline, |e| e.min(deadline));
        tokio::select! {
            _ = changes.changed() => {}
            () = tokio::time::sleep_until(wake) => {}
        }
    }
}

async fn image(State(app): State<App>, ConnectInfo(peer): ConnectInfo<SocketAddr>, headers: HeaderMap, body: Body) -> Response {
    match know(&app, peer, &headers, body).await {
        Ok(answer) => answer,
        Err(error) => error.into_response(),
    }
}

async fn know(app: &App, peer: SocketAddr, headers: &HeaderMap, body: Body) -> Result<Response, ApiError> {
    let cluster = authenticate(app, peer, headers).await?;
    let bytes = intake::whole(body, MAX_QUESTION).await?;
    let question: ImageQuestion =
        serde_json::from_slice(&bytes).map_err(|e| ApiError::invalid(format!("请求体不是镜像问题 / the body is no question about an image: {e}")))?;
    if question.platform.as_deref().is_some_and(|p| !is_platform(p)) {
        return Err(ApiError::invalid("platform 须形如 linux/amd64 / platform must look like linux/amd64"));
    }
    let (answer, key) = images::answer(app, &question).await;
    if let Some(key) = key {
        tokio::spawn(recheck::asked(app.clone(), cluster, key, answer.knowledge.clone()));
    }
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

async fn take(State(app): State<App>, ConnectInfo(peer): ConnectInfo<SocketAddr>, headers: HeaderMap, body: Body) -> Response {
    let cluster = match authenticate(&app, peer, &headers).await {
        Ok(cluster) => cluster,
        Err(error) => return error.into_response(),
    };
    let permit = app.clusters.windows.room(BATCHES).acquire_owned().await;
    let bytes = match intake::body(body, MAX_RECORDS, PATIENCE).await {
        Ok(bytes) => bytes,
        Err(error) => return error.into_response(),
    };
    // Carried through even when the gate goes away: what is durable is then known as such.
    let work = tokio::spawn(async move {
        let _permit = permit;
        let batch = tokio::task::spawn_blocking(move || Batch::parse(&bytes)).await.map_err(|e| BatchError::Invalid(e.to_string()))??;
        records::take(&app, &cluster, batch).await
    });
    match work.await {
        Ok(Ok(taken)) => Json(taken).into_response(),
        Ok(Err(BatchError::Invalid(message))) => ApiError::invalid(message).into_response(),
        Ok(Err(error @ BatchError::Ledger(_))) => ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "unrecordable", error.to_string()).into_response(),
        Err(_) => ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "内部错误 / internal error").into_response(),
    }
}

/// A gate's serving certificate, of its cluster's authority.
async fn certificate(State(app): State<App>, ConnectInfo(peer): ConnectInfo<SocketAddr>, headers: HeaderMap, body: Body) -> Response {
    let work = async {
        let cluster = authenticate(&app, peer, &headers).await?;
        let ask: CertificateRequest = question(body).await?;
        if ask.names.is_empty() || ask.names.len() > MAX_NAMES || ask.names.iter().any(|n| n.is_empty() || n.len() > 253) {
            return Err(ApiError::invalid(format!("names 须为 1–{MAX_NAMES} 个名称 / names must be 1 to {MAX_NAMES} names")));
        }
        let of = app.clone();
        let name = cluster.clone();
        let names = ask.names.clone();
        let made = tokio::task::spawn_blocking(move || {
            let authority = of.clusters.authority(&name).map_err(ApiError::from)?;
            let leaf = authority.server(&names).map_err(|e| ApiError::invalid(format!("names: {e}")))?;
            Ok::<_, ApiError>(Certificate { authority: authority.certificate().to_owned(), certificate: leaf.certificate, key: leaf.key, until: leaf.until })
        });
        let made = made.await.map_err(|e| ApiError::unavailable(e.to_string()))??;
        let record = Record::new(app.now(), Kind::Cluster, Subject::system("gate"), "certificate-issue", format!("cluster:{cluster}"))
            .from(Some(app.source(peer.ip(), &headers)))
            .with("names", ask.names)
            .with("until", made.until);
        app.journal.record(vec![record]).await.map_err(ApiError::unavailable)?;
        Ok::<_, ApiError>(([(header::CACHE_CONTROL, "no-store")], Json(made)).into_response())
    };
    work.await.unwrap_or_else(IntoResponse::into_response)
}

/// A gate has blocked a subject: all gates are to.
async fn block(State(app): State<App>, ConnectInfo(peer): ConnectInfo<SocketAddr>, headers: HeaderMap, body: Body) -> Response {
    let work = async {
        let cluster = authenticate(&app, peer, &headers).await?;
        let ask: BlockRequest = question(body).await?;
        Ok::<_, ApiError>(Json(blocks::take(&app, &cluster, ask).await?).into_response())
    };
    work.await.unwrap_or_else(IntoResponse::into_response)
}

/// By which keys the cluster signs tokens: its nodes enrol by them.
async fn issuer(State(app): State<App>, ConnectInfo(peer): ConnectInfo<SocketAddr>, headers: HeaderMap, body: Body) -> Response {
    let work = async {
        let cluster = authenticate(&app, peer, &headers).await?;
        let ask: Issuer = question(body).await?;
        let record = Record::new(app.now(), Kind::Cluster, Subject::system("gate"), "token-issuer", format!("cluster:{cluster}"))
            .from(Some(app.source(peer.ip(), &headers)))
            .with("issuer", ask.issuer.as_str())
            .with("keys_sha256", hex::encode(jinwu_trust::sha256(ask.keys.to_string().as_bytes())));
        let of = app.clone();
        let news = tokio::task::spawn_blocking(move || of.nodes.put_issuer(&cluster, ask)).await.map_err(ApiError::unavailable)??;
        if news {
            app.journal.record(vec![record]).await.map_err(ApiError::unavailable)?;
        }
        Ok::<_, ApiError>(Json(serde_json::json!({})).into_response())
    };
    work.await.unwrap_or_else(IntoResponse::into_response)
}

async fn question<T: serde::de::DeserializeOwned>(body: Body) -> Result<T, ApiError> {
    let bytes = intake::whole(body, MAX_QUESTION).await?;
    serde_json::from_slice(&bytes).map_err(|e| ApiError::invalid(format!("请求体不符 / the body does not fit: {e}")))
}

/// Which cluster asks. A refusal is recorded, a flood of them counted.
async fn authenticate(app: &App, peer: SocketAddr, headers: &HeaderMap) -> Result<String, ApiError> {
    let given = bearer(headers);
    if let Some(cluster) = given.as_deref().filter(|s| s.len() <= 256).and_then(|s| app.clusters.by_secret(s, app.now())) {
        return Ok(cluster);
    }
    let source = app.source(peer.ip(), headers);
    if app.anonymous.one_by_one(source, app.now()) {
        let reason = if given.is_some() { "no cluster has this secret" } else { "no credentials" };
        let record = Record::new(app.now(), Kind::Denial, Subject::anonymous(), "gate", "gate:v1")
            .from(Some(source))
            .outcome(Outcome::Denied)
            .with("reason", reason);
        app.journal.record(vec![record]).await.map_err(|e| {
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "unrecordable", format!("审计记录无法写入 / the audit record cannot be written: {e}"))
        })?;
    }
    Err(ApiError::new(
        StatusCode::UNAUTHORIZED,
        "bad-secret",
        "集群密钥缺失或无效;由系统管理员以 jinwu cluster secret 重新签发 / the cluster's secret is missing or wrong; the system administrator issues a new one with jinwu cluster secret",
    ))
}

/// `os/architecture[/variant]`.
fn is_platform(text: &str) -> bool {
    let part = |p: &str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b));
    text.len() <= 64 && (2..=3).contains(&text.split('/').count()) && text.split('/').all(part)
}
