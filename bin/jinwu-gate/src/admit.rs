//! The admission webhooks.

use crate::state::{Gate, now};
use jinwu_admission::{Rules, answer};
use jinwu_admission::check::{Read, image};
use jinwu_admission::judge::{Judgement, Question, judge};
use jinwu_admission::protocol::{Entry, ImageAnswer};
use jinwu_admission::review::{Request, Response, Review, ReviewError};
use jinwu_model::{DecisionId, Mode, Record};
use jinwu_podsecurity::workload::PodIn;
use std::collections::HashMap;
use std::sync::atomic::Ordering;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Not a review, or one that must not be answered.
    #[error("{0}")]
    Bad(ReviewError),
    /// No bundle was ever had.
    #[error("no bundle was had from the server yet")]
    NotReady,
    #[error("an evaluation ended without an answer: {0}")]
    Broken(String),
}

/// `/admit`: permits, warns or refuses.
pub(crate) async fn validating(gate: &Gate, body: &[u8]) -> Result<Vec<u8>, Failure> {
    let review = Review::parse(body).map_err(Failure::Bad)?;
    let request = &review.request;
    gate.count.reviews.fetch_add(1, Ordering::Relaxed);
    let Ok(_room) = gate.room.try_acquire() else { return Ok(shed(gate, request)) };
    let rules = gate.rules().ok_or(Failure::NotReady)?;
    let judgement = decide(gate, &rules, request).await;
    let mut response = answer::validating(request, &judgement);
    if let Some(block) = gate.blocks.refusing(&request.user_info.username, request.credentials()).filter(|_| response.allowed) {
        // By this gate alone so far: the next bundle has it, and judges by it.
        let message = format!("金吾:该主体已被阻断({0}) / jinwu: this subject is blocked: {0}", block.reason);
        response = Response::deny(&request.uid, 403, message);
    }
    let odd = if response.allowed && !request.is_dry_run() { gate.siblings.look(request) } else { None };
    let odd = odd.map(|odd| odd.record(&rules.bundle.cluster, now()));
    Ok(conclude(gate, &rules, request, &judgement, odd, response).await)
}

/// Records what was judged, unless it was a dry run, and gives the answer's body. `more` is recorded with it.
pub(crate) async fn conclude(gate: &Gate, rules: &Rules, request: &Request<'_>, judgement: &Judgement, more: Option<Record>, mut response: Response) -> Vec<u8> {
    if !request.is_dry_run() {
        let mut records = answer::records(request, judgement, &rules.bundle.cluster, now());
        records.extend(more);
        if let Err(error) = gate.spool.append(&entries(records)).await {
            response = unrecordable(rules, request, judgement, &error, response);
        }
    }
    if !response.allowed {
        gate.count.refused.fetch_add(1, Ordering::Relaxed);
    }
    response.body()
}

/// `/pin`: binds images to digests, refuses nothing.
pub(crate) async fn pinning(gate: &Gate, body: &[u8]) -> Result<Vec<u8>, Failure> {
    let review = Review::parse(body).map_err(Failure::Bad)?;
    let request = &review.request;
    gate.count.reviews.fetch_add(1, Ordering::Relaxed);
    let Ok(_room) = gate.room.try_acquire() else { return Ok(shed(gate, request)) };
    let rules = gate.rules().ok_or(Failure::NotReady)?;
    let pins = match Read::of(request) {
        Read::Pods { pods, .. } => image::pins(&pods, &unbound(gate, &rules, &pods).await),
        _ => Vec::new(),
    };
    Ok(answer::pinning(request, &pins).body())
}

async fn decide(gate: &Gate, rules: &Rules, request: &Request<'_>) -> Judgement {
    let read = Read::of(request);
    let labels = gate.namespaces.labels(request.namespace()).await;
    let scope = rules.scope(request.namespace(), labels.as_ref());
    let images = match &read {
        Read::Pods { pods, .. } => about(gate, rules, pods).await,
        _ => HashMap::new(),
    };
    let id = DecisionId(uuid::Uuid::now_v7().to_string());
    judge(&Question { request, read: &read, rules, scope, images: &images, now: now(), id })
}

/// What is known of those that name no digest.
async fn unbound(gate: &Gate, rules: &Rules, pods: &[PodIn<'_>]) -> HashMap<String, ImageAnswer> {
    let references: Vec<_> = image::references(pods).into_iter().map(|(_, r)| r).filter(|r| r.digest.is_none()).collect();
    if references.is_empty() { HashMap::new() } else { gate.images.about(&references, rules).await }
}

/// What is known of the images of these pods.
async fn about(gate: &Gate, rules: &Rules, pods: &[PodIn<'_>]) -> HashMap<String, ImageAnswer> {
    let references: Vec<_> = image::references(pods).into_iter().map(|(_, r)| r).collect();
    gate.images.about(&references, rules).await
}

/// Too many at once: this one is told so at once, and may come again.
pub(crate) fn shed(gate: &Gate, request: &Request<'_>) -> Vec<u8> {
    gate.count.shed.fetch_add(1, Ordering::Relaxed);
    Response::deny(&request.uid, 429, "金吾关口繁忙,请稍后重试 / jinwu: the gate is busy, try again in a moment".into()).body()
}

/// What cannot be recorded does not happen, where anything is enforced at all.
fn unrecordable(rules: &Rules, request: &Request<'_>, judgement: &Judgement, error: &str, mut response: Response) -> Response {
    tracing::error!(error, "records cannot be kept");
    let enforced = rules.enforcement(&judgement.scope.namespace) == Mode::Block;
    let message = format!("金吾无法写入审计记录:{error} / jinwu cannot keep the audit record: {error}");
    if enforced {
        return Response::deny(&request.uid, 503, message);
    }
    response.warnings.push(message.chars().take(240).collect());
    response
}

pub(crate) fn entries(records: Vec<Record>) -> Vec<Entry> {
    records.into_iter().map(|record| Entry { id: uuid::Uuid::now_v7().to_string(), record }).collect()
}
