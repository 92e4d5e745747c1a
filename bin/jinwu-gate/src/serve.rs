//! Start-up, and the HTTPS listener.

use crate::admit::{self, Failure};
use crate::config::Config;
use crate::images::Images;
use crate::keeper::Keeper;
use crate::names::Namespaces;
use crate::server::Server;
use crate::spool::Spool;
use crate::state::Gate;
use crate::{access, audit, authorize, blocks, canary, certificate, native, policies, running, sync, tail};
use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use jinwu_admission::review::MAX_REVIEW;
use jinwu_admission::users::Which;
use parking_lot::RwLock;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// A client that does not finish its handshake, or a request's head or body, in this time is let go.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a gate that is told to end still takes connections: until whoever asks knows of another.
const DRAIN: Duration = Duration::from_secs(5);
/// Connections at once; more wait to be accepted.
const CONNECTIONS: usize = 2048;

type Tls = Arc<RwLock<Arc<rustls::ServerConfig>>>;

pub(crate) async fn run(config: Config) -> anyhow::Result<()> {
    std::fs::create_dir_all(&config.data).with_context(|| config.data.display().to_string())?;
    let server = Arc::new(Server::open(&config.server)?);
    let client = match config.detached {
        true => None,
        false => Some(jinwu_cluster::connect(config.kubeconfig.as_deref()).await?),
    };
    let folder = config.data.join("tls");
    let keeper = client.as_ref().map(|c| Arc::new(Keeper::new(c.clone(), folder.clone(), config.names.clone(), server.clone())));
    let certificates = patiently(keeper.as_deref(), &server, &folder, &config.names).await?;
    let tls: Tls = Arc::new(RwLock::new(jinwu_trust::tls::server_config_with_clients(&certificates)?));
    let images = Images::open(server.clone(), &config.data.join("images.json"), Duration::from_millis(config.patience), config.image.as_deref());
    let namespaces = client.as_ref().map_or_else(Namespaces::nowhere, Namespaces::watch);
    let (spool, reader) = Spool::open(&config.data.join("spool")).context("spool")?;
    let gate = Arc::new(Gate::new(config, images.clone(), namespaces, client.clone(), spool));

    recall(&gate, &server, keeper.as_deref()).await;
    let listener = TcpListener::bind(gate.config.listen).await.with_context(|| format!("listen on {}", gate.config.listen))?;
    tracing::info!(address = %listener.local_addr()?, name = gate.config.name, "listening");
    tokio::spawn(images.save_regularly());
    tokio::spawn(server.clone().follow());
    tokio::spawn(sync::bundles(gate.clone(), server.clone(), keeper.clone()));
    tokio::spawn(blocks::tell(gate.clone(), server.clone()));
    tokio::spawn(access::run(gate.clone()));
    if let Some(client) = &client {
        tokio::spawn(canary::run(gate.clone(), client.clone()));
        tokio::spawn(sync::issuer(client.clone(), server.clone()));
    }
    let sending = tokio::spawn(sync::records(gate.clone(), server, reader));
    if let Some(keeper) = keeper {
        tokio::spawn(sync::own_image(gate.clone(), keeper.clone()));
        tokio::spawn(renew(keeper.clone(), gate.clone(), tls.clone()));
        tokio::spawn(install_once_ready(keeper.clone(), gate.clone()));
        if let Some(client) = client {
            tokio::spawn(running::watch(gate.clone(), client.clone()));
            tokio::spawn(native::keep(client, keeper, gate.clone()));
        }
    }
    let mut end = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let (leave, leaving) = tokio::sync::watch::channel(false);
    let mut accepting = tokio::spawn(accept(listener, tls, gate.clone(), leaving));
    tokio::select! {
        _ = &mut accepting => {}
        _ = end.recv() => tokio::time::sleep(DRAIN).await,
        _ = tokio::signal::ctrl_c() => {}
    }
    accepting.abort();
    leave.send_replace(true);
    finish(&gate, sending).await;
    Ok(())
}

/// `jinwu-gate tail`: the API server's audit log instead of its webhooks.
pub(crate) async fn tail(config: Config, file: std::path::PathBuf) -> anyhow::Result<()> {
    std::fs::create_dir_all(&config.data).with_context(|| config.data.display().to_string())?;
    let server = Arc::new(Server::open(&config.server)?);
    let images = Images::open(server.clone(), &config.data.join("images.json"), Duration::from_millis(config.patience), config.image.as_deref());
    let (spool, reader) = Spool::open(&config.data.join("spool")).context("spool")?;
    let gate = Arc::new(Gate::new(config, images, Namespaces::nowhere(), None, spool));
    recall(&gate, &server, None).await;
    tokio::spawn(sync::bundles(gate.clone(), server.clone(), None));
    tokio::spawn(blocks::tell(gate.clone(), server.clone()));
    tokio::spawn(access::run(gate.clone()));
    let sending = tokio::spawn(sync::records(gate.clone(), server, reader));
    tracing::info!(file = %file.display(), name = gate.config.name, "following");
    let mut end = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        ended = tail::run(gate.clone(), file) => ended?,
        _ = end.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    finish(&gate, sending).await;
    Ok(())
}

/// Whoever asked is answered, and what waits gets a chance to leave before the pod and its disk go; then a last word.
async fn finish(gate: &Gate, sending: tokio::task::JoinHandle<()>) {
    if gate.rules().is_some() {
        access::tell(gate, true).await;
    }
    gate.leaving.store(true, Ordering::Relaxed);
    gate.spool.wake();
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let judging = gate.room.available_permits() < gate.config.concurrency.max(1);
        if gate.spool.waiting() == 0 && !judging {
            break;
        }
    }
    sending.abort();
    tracing::info!(waiting = gate.spool.waiting(), "stopped");
}

/// The API server, or Jinwu's, may come up after its gate.
async fn patiently(keeper: Option<&Keeper>, server: &Server, folder: &std::path::Path, names: &[String]) -> anyhow::Result<jinwu_trust::tls::Certificates> {
    let mut tries = 0;
    loop {
        let made = match keeper {
            Some(keeper) => keeper.certificate("").await.map(|(certificates, _)| certificates),
            None if certificate::is_good(folder, names, "") => Ok(certificate::files_of(folder)),
            None => certificate::ask(server, folder, names).await.map(|()| certificate::files_of(folder)),
        };
        match made {
            Ok(certificates) => return Ok(certificates),
            Err(error) if tries < 60 => {
                tries += 1;
                tracing::warn!(error = format!("{error:#}"), "no certificate yet");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// The bundle of before: from disk, or from the cluster.
async fn recall(gate: &Gate, server: &Server, keeper: Option<&Keeper>) {
    let mut bundle = sync::kept(&gate.config.data.join("bundle.json"), server);
    if bundle.is_none()
        && let Some(keeper) = keeper
    {
        bundle = keeper.bundle().await.and_then(|signed| server.verify(&signed).ok());
    }
    if let Some(bundle) = bundle {
        sync::take(gate, bundle);
    }
    if let Some(keeper) = keeper
        && let Some(answer) = keeper.own_image().await
    {
        gate.images.recall_own(answer);
    }
}

/// Looks every ten minutes, and at once when a bundle names another authority.
async fn renew(keeper: Arc<Keeper>, gate: Arc<Gate>, tls: Tls) {
    let mut by = String::new();
    for n in 1_u64.. {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let authority = gate.rules().map(|r| r.bundle.authority.clone()).unwrap_or_default();
        if authority == by && n % 300 != 0 {
            continue;
        }
        let got = keeper.certificate(&authority).await;
        if got.is_ok() {
            by = authority;
        }
        match got {
            Ok((certificates, true)) => match jinwu_trust::tls::server_config_with_clients(&certificates) {
                Ok(config) => *tls.write() = config,
                Err(error) => tracing::error!(%error, "the renewed certificate cannot be used"),
            },
            Ok(_) => {}
            Err(error) => tracing::warn!(error = format!("{error:#}"), "certificate"),
        }
    }
}

/// Webhooks are set only once there is a bundle: nothing may wait for a gate that cannot answer.
async fn install_once_ready(keeper: Arc<Keeper>, gate: Arc<Gate>) {
    while gate.rules().is_none() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    keeper.keep_webhooks(gate).await;
}

/// `leaving` asks whoever is connected to finish what it asked and go elsewhere.
async fn accept(listener: TcpListener, tls: Tls, gate: Arc<Gate>, leaving: tokio::sync::watch::Receiver<bool>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "accept");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let (acceptor, gate, mut leaving) = (tokio_rustls::TlsAcceptor::from(tls.read().clone()), gate.clone(), leaving.clone());
        tokio::spawn(async move {
            let _permit = permit;
            let Ok(Ok(stream)) = tokio::time::timeout(PATIENCE, acceptor.accept(stream)).await else { return };
            // Whoever showed a certificate showed one of the cluster's authority: else there is no connection.
            let known = stream.get_ref().1.peer_certificates().is_some();
            let service = hyper::service::service_fn(move |request| {
                let gate = gate.clone();
                async move { Ok::<_, Infallible>(answer(&gate, request, known).await) }
            });
            let mut builder = Builder::new(TokioExecutor::new());
            builder.http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(90));
            builder.http2().timer(TokioTimer::new()).max_concurrent_streams(1024).keep_alive_interval(Duration::from_secs(30));
            let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
            tokio::select! {
                _ = connection.as_mut() => {}
                () = told(&mut leaving) => {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
            }
        });
    }
}

async fn told(leaving: &mut tokio::sync::watch::Receiver<bool>) {
    let _ = leaving.wait_for(|l| *l).await;
}

async fn answer(gate: &Arc<Gate>, request: Request<Incoming>, known: bool) -> Response<Full<Bytes>> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    match (method, path.as_str()) {
        (Method::GET, "/healthz") => text(StatusCode::OK, "ok\n"),
        (Method::GET, "/readyz") if gate.rules().is_some() && gate.namespaces.is_ready() => text(StatusCode::OK, "ok\n"),
        (Method::GET, "/readyz") => text(StatusCode::SERVICE_UNAVAILABLE, "no bundle or no list of namespaces yet\n"),
        (Method::GET, "/metrics") => text(StatusCode::OK, &metrics(gate)),
        (Method::POST, "/audit" | "/authorize") if !known => text(StatusCode::UNAUTHORIZED, "only with a client certificate of the cluster's authority: jinwu cluster apiserver\n"),
        (Method::POST, "/audit") => events(gate, request).await,
        (Method::POST, "/admit" | "/pin" | "/authorize" | "/policies/closed" | "/policies/open") => post(gate, &path, request).await,
        _ => text(StatusCode::NOT_FOUND, "POST /admit, /pin, /policies/closed, /policies/open, /authorize, /audit; GET /healthz, /readyz, /metrics\n"),
    }
}

/// A batch of audit events: 200 once what must be kept of it is on disk. The API server sends again what
/// was answered otherwise.
async fn events(gate: &Arc<Gate>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let Ok(_room) = gate.audit.room.acquire().await else { return text(StatusCode::SERVICE_UNAVAILABLE, "ending\n") };
    let most = jinwu_detect::audit::MAX_BATCH;
    let body = match tokio::time::timeout(PATIENCE, Limited::new(request.into_body(), most).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) => return text(StatusCode::PAYLOAD_TOO_LARGE, &format!("the batch is longer than {most} bytes or broke off: {error}\n")),
        Err(_) => return text(StatusCode::REQUEST_TIMEOUT, "the batch did not come in time\n"),
    };
    match audit::take(gate, body, audit::Way::Webhook).await {
        Ok(()) => text(StatusCode::OK, ""),
        Err(audit::Refusal::Bad(error)) => {
            gate.count.failed.fetch_add(1, Ordering::Relaxed);
            text(StatusCode::BAD_REQUEST, &format!("{error}\n"))
        }
        Err(audit::Refusal::Later(error)) => text(StatusCode::SERVICE_UNAVAILABLE, &format!("{error}\n")),
    }
}

async fn post(gate: &Gate, path: &str, request: Request<Incoming>) -> Response<Full<Bytes>> {
    // Whoever reaches the port can send bodies: all of them together are bounded before any is read.
    let length = request.body().size_hint().upper().unwrap_or(MAX_REVIEW as u64).min(MAX_REVIEW as u64);
    let Ok(_room) = gate.bodies.try_acquire_many(1 + (length >> 10) as u32) else {
        gate.count.shed.fetch_add(1, Ordering::Relaxed);
        return text(StatusCode::TOO_MANY_REQUESTS, "the gate is busy, try again in a moment\n");
    };
    let read = tokio::time::timeout(PATIENCE, Limited::new(request.into_body(), MAX_REVIEW).collect()).await;
    let body = match read {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) => return text(StatusCode::PAYLOAD_TOO_LARGE, &format!("the body is longer than {MAX_REVIEW} bytes or broke off: {error}\n")),
        Err(_) => return text(StatusCode::REQUEST_TIMEOUT, "the body did not come in time\n"),
    };
    let answer = match path {
        "/admit" => admit::validating(gate, &body).await,
        "/pin" => admit::pinning(gate, &body).await,
        "/policies/closed" => policies::validating(gate, Which::Closed, body).await,
        "/policies/open" => policies::validating(gate, Which::Open, body).await,
        _ => return authorize::review(gate, &body).await.map_or_else(|e| text(StatusCode::BAD_REQUEST, &e), json),
    };
    match answer {
        Ok(body) => json(body),
        Err(Failure::Bad(error)) => {
            gate.count.failed.fetch_add(1, Ordering::Relaxed);
            text(StatusCode::BAD_REQUEST, &format!("{error}\n"))
        }
        Err(Failure::Broken(error)) => {
            gate.count.failed.fetch_add(1, Ordering::Relaxed);
            tracing::error!(error, "an evaluation ended without an answer");
            text(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n"))
        }
        Err(Failure::NotReady) => text(StatusCode::SERVICE_UNAVAILABLE, "no bundle was had from the server yet\n"),
    }
}

fn json(body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}

fn text(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(text.as_bytes())));
    *response.status_mut() = status;
    response
}

fn metrics(gate: &Gate) -> String {
    let c = &gate.count;
    let of = |a: &std::sync::atomic::AtomicU64| a.load(Ordering::Relaxed);
    let mut out = String::new();
    for (name, help, value) in [
        ("jinwu_gate_reviews_total", "Reviews received", of(&c.reviews)),
        ("jinwu_gate_refused_total", "Reviews refused", of(&c.refused)),
        ("jinwu_gate_shed_total", "Reviews refused because too many came at once", of(&c.shed)),
        ("jinwu_gate_audit_events_total", "Audit events taken", of(&gate.audit.events)),
        ("jinwu_gate_audit_folded_total", "Audit events not recorded one by one", of(&gate.audit.folded)),
        ("jinwu_gate_blocked_total", "Subjects blocked by rules", of(&c.blocked)),
        ("jinwu_gate_failed_total", "Bodies that are no review", of(&c.failed)),
    ] {
        out.push_str(&format!("# HELP {name} {help}\n# TYPE {name} counter\n{name} {value}\n"));
    }
    let waiting = gate.spool.waiting();
    out.push_str(&format!("# HELP jinwu_gate_waiting Records on their way to the server\n# TYPE jinwu_gate_waiting gauge\njinwu_gate_waiting {waiting}\n"));
    out
}
