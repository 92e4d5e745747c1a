//! Bundles in, records out.

use crate::keeper::Keeper;
use crate::server::Server;
use crate::spool::Reader;
use crate::state::Gate;
use jinwu_admission::Rules;
use jinwu_admission::protocol::{Bundle, Issuer, Knowledge, Signed};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Records that are worth a message of their own, and how long fewer are waited with.
const FEW: u64 = 100;
const MOMENT: Duration = Duration::from_millis(50);
/// Between two looks at the keys of the cluster's tokens, and after how long they are told again: the server may have
/// lost them.
const ISSUER_LOOK: Duration = Duration::from_secs(60);
const ISSUER_AGAIN: Duration = Duration::from_secs(600);

/// The bundle that an earlier process left.
pub(crate) fn kept(file: &Path, server: &Server) -> Option<Bundle> {
    let signed: Signed = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    server.verify(&signed).inspect_err(|error| tracing::error!(%error, file = %file.display(), "the kept bundle is not used")).ok()
}

/// Takes a bundle, if it is whole.
pub(crate) fn take(gate: &Gate, bundle: Bundle) -> bool {
    let generation = bundle.generation.clone();
    let settings = bundle.rules.clone();
    match Rules::new(bundle) {
        Ok(rules) => {
            match jinwu_audit::Intake::new(&settings) {
                Ok(intake) => gate.audit.replace(intake),
                Err(error) => tracing::error!(%error, "the detection rules cannot be used; those before hold"),
            }
            gate.replace(rules);
            gate.blocks.forget_told();
            tracing::info!(generation, "bundle");
            true
        }
        Err(error) => {
            tracing::error!(%error, generation, "the bundle cannot be used; the one before holds");
            false
        }
    }
}

/// Keeps asking for newer bundles.
pub(crate) async fn bundles(gate: Arc<Gate>, server: Arc<Server>, keeper: Option<Arc<Keeper>>) {
    let file = gate.config.data.join("bundle.json");
    let mut pause = Duration::from_millis(500);
    loop {
        let have = gate.generation().unwrap_or_default();
        let answer = server.bundle(&have).await.and_then(|signed| signed.map(|s| Ok((server.verify(&s)?, s))).transpose());
        match answer {
            Ok(newer) => {
                pause = Duration::from_millis(500);
                if let Some((bundle, signed)) = newer
                    && take(&gate, bundle)
                {
                    let text = serde_json::to_vec(&signed).unwrap_or_default();
                    if let Err(error) = jinwu_trust::files::write(&file, &text, 0o600) {
                        tracing::warn!(%error, "the bundle could not be kept");
                    }
                    if let Some(keeper) = &keeper {
                        keeper.keep_bundle(&signed).await;
                    }
                }
            }
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "no bundle from the server; the one at hand holds");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(10));
            }
        }
    }
}

/// Keeps the verdict of the gate's own image at hand and in the cluster, by every new generation of verdicts.
pub(crate) async fn own_image(gate: Arc<Gate>, keeper: Arc<Keeper>) {
    let mut kept = String::new();
    loop {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let Some(rules) = gate.rules() else { continue };
        if kept == rules.bundle.verdict_generation {
            continue;
        }
        if let Some(answer) = gate.images.about_own(&rules).await
            && answer.verdict_generation == rules.bundle.verdict_generation
            && matches!(answer.knowledge, Knowledge::Judged { .. })
        {
            keeper.keep_own_image(&answer).await;
            kept.clone_from(&answer.verdict_generation);
        }
    }
}

/// Tells the server by which keys the cluster signs tokens: when it is new, and now and then.
pub(crate) async fn issuer(client: kube::Client, server: Arc<Server>) {
    let mut told = None;
    let mut at = tokio::time::Instant::now();
    loop {
        match published(&client).await {
            Ok(issuer) if told.as_ref() == Some(&issuer) && at.elapsed() < ISSUER_AGAIN => {}
            Ok(issuer) => match server.issuer(&issuer).await {
                Ok(()) => (told, at) = (Some(issuer), tokio::time::Instant::now()),
                Err(error) => tracing::warn!(error = format!("{error:#}"), "the keys of the cluster's tokens could not be told; nodes enrol by codes"),
            },
            Err(error) => tracing::warn!(error = format!("{error:#}"), "the keys of the cluster's tokens cannot be read; nodes enrol by codes"),
        }
        tokio::time::sleep(ISSUER_LOOK).await;
    }
}

/// What the API server publishes for whoever checks its tokens; every service account may read it
/// (`system:service-account-issuer-discovery`).
async fn published(client: &kube::Client) -> anyhow::Result<Issuer> {
    let get = async |path: &str| anyhow::Ok(client.request::<serde_json::Value>(http::Request::get(path).body(Vec::new())?).await?);
    let configuration = get("/.well-known/openid-configuration").await?;
    let issuer = configuration.get("issuer").and_then(|i| i.as_str()).unwrap_or_default().to_owned();
    Ok(Issuer { issuer, keys: get("/openid/v1/jwks").await? })
}

/// Keeps bringing records to the server, and says how the gate is when there are none.
pub(crate) async fn records(gate: Arc<Gate>, server: Arc<Server>, mut reader: Reader) {
    let mut pause = Duration::from_millis(250);
    loop {
        let (entries, end) = match reader.next() {
            Ok(next) => next,
            Err(error) => {
                tracing::error!(%error, "the spool cannot be read");
                tokio::time::sleep(Duration::from_secs(5)).await;
                continue;
            }
        };
        let count = entries.len() as u64;
        match server.records(&gate.config.name, &entries, &gate.status()).await {
            Ok(_) => {
                pause = Duration::from_millis(250);
                if count > 0
                    && let Err(error) = reader.advance(end, count)
                {
                    tracing::error!(%error, "the spool's cursor cannot be kept; records may be sent twice");
                }
                if count == 0 {
                    let _ = tokio::time::timeout(Duration::from_secs(10), gate.spool.more()).await;
                }
                // Where records come one by one, one message for those of a moment.
                if count < FEW && !gate.leaving.load(Ordering::Relaxed) {
                    tokio::time::sleep(MOMENT).await;
                }
            }
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), waiting = gate.spool.waiting(), "records wait for the server");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(10));
            }
        }
    }
}
