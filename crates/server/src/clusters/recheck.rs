//! Alarms about what runs already: an image that was clean when its gate asked, and is not by what is
//! known now.

use super::images::Key;
use super::{Clusters, images, verdict};
use crate::app::App;
use jinwu_admission::protocol::{ImageFinding, Knowledge};
use jinwu_documents::Write;
use jinwu_model::{Digest, Kind, Mode, PolicyId, ProtectionLevel, Record, RepositoryName, Subject, Tag};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::time::Duration;

/// An image a gate asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) cluster: String,
    repository: RepositoryName,
    #[serde(default)]
    tag: Option<Tag>,
    digest: Digest,
    #[serde(default)]
    platform: Option<String>,
    /// Policies it did not meet when it was judged last.
    violated: BTreeSet<PolicyId>,
    /// Policies there was an alarm about: one each.
    alarmed: BTreeSet<PolicyId>,
    /// Unix milliseconds.
    asked: i64,
}

/// Images of one cluster remembered; beyond that the one asked for longest ago is forgotten.
const MAX_SEEN: usize = 5_000;
/// Longest sleep between two looks at the generation: nobody says when a scanner was replaced.
const AT_LEAST: Duration = Duration::from_secs(60);

// === impl Seen ===

impl Seen {
    fn id(&self) -> String {
        format!("{}/{}@{}/{}", self.cluster, self.repository, self.digest, self.platform.as_deref().unwrap_or_default())
    }
}

/// A gate asked and was told `knowledge`.
pub(crate) async fn asked(app: App, cluster: String, key: Key, knowledge: Knowledge) {
    let Knowledge::Judged { findings, .. } = knowledge else { return };
    let (violated, alarmed) = (BTreeSet::new(), BTreeSet::new());
    let Key { repository, tag, digest, platform, .. } = key;
    let seen = Seen { cluster, repository, tag, digest, platform, violated, alarmed, asked: app.now() };
    compare(&app, seen, &findings).await;
}

/// Compares what is known of an image now with what was known: what is new is recorded first, then
/// kept. False where it has to be done again.
async fn compare(app: &App, mut seen: Seen, findings: &[ImageFinding]) -> bool {
    let clusters = &app.clusters;
    let Some(cluster) = clusters.get(&seen.cluster) else { return true };
    let now: BTreeSet<PolicyId> = findings.iter().filter(|f| counts(f, cluster.default_level)).map(|f| f.policy.clone()).collect();
    let id = seen.id();
    let unchanged = |c: &Clusters| {
        let mut state = c.state.write();
        match state.seen.get_mut(&id) {
            Some(known) if known.violated == now => {
                known.asked = known.asked.max(seen.asked);
                true
            }
            _ => false,
        }
    };
    if unchanged(clusters) {
        return true;
    }
    let _turn = clusters.comparing.lock().await;
    let before = clusters.state.read().seen.get(&id).cloned();
    if let Some(before) = before {
        let new: BTreeSet<PolicyId> = now.iter().filter(|p| !before.violated.contains(p) && !before.alarmed.contains(p)).cloned().collect();
        seen.alarmed = before.alarmed;
        if !new.is_empty() {
            let records = findings.iter().filter(|f| new.contains(&f.policy) && f.exception.is_none()).map(|f| alarm(app, &seen, f)).collect();
            if let Err(error) = app.journal.record(records).await {
                tracing::error!(%error, image = id, "a changed verdict could not be recorded and will be tried again");
                return false;
            }
            seen.alarmed.extend(new);
        }
    }
    seen.violated = now;
    let of = app.clone();
    let kept = tokio::task::spawn_blocking(move || of.clusters.keep(seen)).await;
    if let Ok(Err(error)) = &kept {
        tracing::error!(%error, image = id, "what a gate asked for could not be kept");
    }
    matches!(kept, Ok(Ok(())))
}

/// Whether a finding is one at the cluster's level, by anything stronger than letting it pass.
fn counts(finding: &ImageFinding, level: ProtectionLevel) -> bool {
    let mode = finding.modes.get(usize::from(level.get()).saturating_sub(1)).copied().unwrap_or(Mode::Block);
    finding.exception.is_none() && mode != Mode::Allow
}

fn alarm(app: &App, seen: &Seen, finding: &ImageFinding) -> Record {
    Record::new(app.now(), Kind::Alarm, Subject::system("clusters"), "verdict-changed", format!("{}@{}", seen.repository, seen.digest))
        .with("cluster", seen.cluster.clone())
        .with("gate", "admission")
        .with("policy", finding.policy.to_string())
        .with("clauses", finding.clauses.iter().map(ToString::to_string).collect::<Vec<_>>())
        .with("findings", vec![finding.finding.to_string()])
        .with("advice", finding.advice.to_string())
        .with("asked", seen.asked)
}

// === impl Clusters ===

impl Clusters {
    fn keep(&self, seen: Seen) -> Result<(), super::ClusterError> {
        let mut state = self.state.write();
        if !state.clusters.contains_key(&seen.cluster) {
            return Ok(());
        }
        let id = seen.id();
        let mut writes = vec![Write::put("image", &id, &seen)?];
        let of = state.seen.iter().filter(|(_, s)| s.cluster == seen.cluster);
        let oldest = if state.seen.contains_key(&id) || of.clone().count() < MAX_SEEN {
            None
        } else {
            of.min_by_key(|(_, s)| s.asked).map(|(id, _)| id.clone())
        };
        writes.extend(oldest.iter().map(|id| Write::remove("image", id)));
        self.store.apply(&writes)?;
        if let Some(oldest) = oldest {
            state.seen.remove(&oldest);
        }
        state.seen.insert(id, seen);
        Ok(())
    }

    fn all_seen(&self) -> Vec<Seen> {
        self.state.read().seen.values().cloned().collect()
    }

    fn judged_by(&self, generation: &str) -> Result<(), super::ClusterError> {
        let mut state = self.state.write();
        self.store.apply(&[Write::put("verdicts", "generation", &generation)?])?;
        state.judged = generation.to_owned();
        Ok(())
    }
}

/// Judges again what gates asked for whenever the generation has changed, for as long as the server
/// runs. A generation that changed while it did not run is noticed at the start.
pub(crate) async fn run(app: App) {
    let mut changes = app.clusters.subscribe();
    let mut told = verdict::present(&app).generation;
    loop {
        changes.mark_unchanged();
        let verdicts = verdict::present(&app);
        if told != verdicts.generation {
            told.clone_from(&verdicts.generation);
            app.clusters.changed();
        }
        if app.clusters.state.read().judged != verdicts.generation {
            judge_all(&app, &verdicts.generation).await;
        }
        let expiry = verdicts.until.map(|until| Duration::from_millis(u64::try_from(until - app.now()).unwrap_or(0) + 1));
        let sleep = expiry.map_or(AT_LEAST, |e| e.min(AT_LEAST));
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(sleep) => {}
        }
    }
}

async fn judge_all(app: &App, generation: &str) {
    let mut complete = true;
    for seen in app.clusters.all_seen() {
        // Somebody changed something again: the loop begins anew.
        if verdict::present(app).generation != generation {
            return;
        }
        match images::again(app, &seen.repository, seen.tag.as_ref(), &seen.digest, seen.platform.as_deref()).await {
            Ok(Some(Knowledge::Judged { findings, .. })) => complete &= compare(app, seen, &findings).await,
            // It is gone, or nothing that runs any more.
            Ok(_) => {}
            Err(why) => {
                tracing::warn!(image = seen.id(), %why, "an image could not be judged again and will be later");
                complete = false;
            }
        }
    }
    if !complete {
        return;
    }
    let (of, done) = (app.clone(), generation.to_owned());
    let kept = tokio::task::spawn_blocking(move || of.clusters.judged_by(&done)).await;
    if let Ok(Err(error)) = kept {
        tracing::error!(%error, "the generation judged by could not be kept");
    }
}
