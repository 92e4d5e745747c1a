//! The always-allow webhook.

use axum::body::Bytes;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use std::path::Path;

/// Says yes to every review, for ever.
pub(crate) fn always_allow(certificates: &Path) -> anyhow::Result<()> {
    let names = ["allow.allow.svc".to_owned()];
    let tls = jinwu_trust::tls::server_config(&jinwu_trust::tls::ensure_certificates(certificates, &names)?)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("0.0.0.0:443").await?;
        let (_stop, stopped) = tokio::sync::watch::channel(false);
        jinwu_server::listen::https(listener, tls, axum::Router::new().route("/admit", post(answer)), stopped).await;
        Ok(())
    })
}

async fn answer(body: Bytes) -> Response {
    let uid = serde_json::from_slice::<Review>(&body).map(|r| r.request.uid).unwrap_or_default();
    let answer = format!("{{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\",\"response\":{{\"uid\":{uid:?},\"allowed\":true}}}}");
    ([("content-type", "application/json")], answer).into_response()
}

#[derive(serde::Deserialize)]
struct Review {
    request: Request,
}

#[derive(serde::Deserialize)]
struct Request {
    uid: String,
}
