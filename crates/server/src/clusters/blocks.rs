//! Subjects that a gate has blocked by a rule: recorded as an interception, and told to all gates.

use crate::api::ApiError;
use crate::app::App;
use jinwu_admission::answer::subject;
use jinwu_admission::protocol::{BlockRequest, BlockedSubject};
use jinwu_model::{DecisionId, Kind, Outcome, Record};

/// Longest a rule blocks, minutes: a day.
const MAX_MINUTES: i64 = 24 * 60;

/// Blocks the subject in all of the cluster. Told twice, by one gate or two, it is blocked once.
pub(crate) async fn take(app: &App, cluster: &str, ask: BlockRequest) -> Result<BlockedSubject, ApiError> {
    let now = app.now();
    let found = app.clusters.get(cluster).ok_or_else(|| ApiError::not_found(cluster))?;
    let same = |b: &&BlockedSubject| b.user == ask.user && b.credential == ask.credential && now < b.expires;
    if let Some(standing) = found.blocked.values().find(same) {
        return Ok(standing.clone());
    }
    if !(1..=MAX_MINUTES).contains(&ask.minutes) || ask.decision.len() > 200 || ask.rule.chars().count() > 200 {
        return Err(ApiError::invalid(format!("minutes 须为 1–{MAX_MINUTES},rule 与 decision 不超过 200 字符 / minutes must be 1 to {MAX_MINUTES}, rule and decision at most 200 characters")));
    }
    let id = hex::encode(&jinwu_trust::sha256(format!("{cluster}\0{}\0{:?}\0{}", ask.user, ask.credential, ask.decision).as_bytes())[..6]);
    let block = BlockedSubject {
        id: format!("k-{id}"),
        user: ask.user.clone(),
        credential: ask.credential.clone(),
        reason: format!("规则 / rule: {}", ask.rule).chars().filter(|c| !c.is_control()).collect(),
        expires: now + ask.minutes * 60_000,
    };
    let record = Record::new(now, Kind::Interception, subject(&ask.user), "subject-blocked", format!("cluster:{cluster}"))
        .from(ask.source)
        .outcome(Outcome::Denied)
        .decision(Some(DecisionId(ask.decision)))
        .with("cluster", cluster)
        .with("gate", "api")
        .with("reporter", ask.gate)
        .with("policy", ask.rule)
        .with("block", block.id.clone())
        .with("credential", ask.credential)
        .with("minutes", ask.minutes);
    app.journal.record(vec![record]).await.map_err(ApiError::unavailable)?;
    let (of, name, kept) = (app.clone(), cluster.to_owned(), block.clone());
    tokio::task::spawn_blocking(move || of.clusters.block(&name, kept, now)).await.map_err(ApiError::unavailable)??;
    app.clusters.changed();
    Ok(block)
}
