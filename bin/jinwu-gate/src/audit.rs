//! Audit events: from the API server's webhook, or its log file.

use crate::access::Told;
use crate::state::{Gate, now};
use jinwu_admission::Rules;
use jinwu_admission::protocol::Entry;
use jinwu_audit::access::Uses;
use jinwu_audit::{Intake, Taken};
use jinwu_detect::audit::batch;
use jinwu_detect::{AuditEvent, Scratch, Sequences};
use jinwu_model::{Kind, Outcome, Record, Subject};
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use tokio::sync::Semaphore;

/// Batches at once: each holds its body in memory.
const BATCHES: usize = 2;

/// What is kept between events.
pub(crate) struct Audit {
    intake: RwLock<Option<Arc<Intake>>>,
    sequences: Mutex<Sequences>,
    pub(crate) uses: Mutex<Uses>,
    pub(crate) told: Told,
    pub(crate) room: Semaphore,
    pub(crate) events: AtomicU64,
    pub(crate) folded: AtomicU64,
    pub(crate) webhook: AtomicI64,
    pub(crate) file: AtomicI64,
    pub(crate) newest: AtomicI64,
    pub(crate) canary: AtomicI64,
    pub(crate) canary_sent: AtomicI64,
    pub(crate) authorizer: AtomicI64,
}

/// How events came.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Webhook,
    File,
}

impl Default for Audit {
    fn default() -> Self {
        Audit {
            intake: RwLock::default(),
            sequences: Mutex::default(),
            uses: Mutex::default(),
            told: Told::default(),
            room: Semaphore::new(BATCHES),
            events: AtomicU64::default(),
            folded: AtomicU64::default(),
            webhook: AtomicI64::default(),
            file: AtomicI64::default(),
            newest: AtomicI64::default(),
            canary: AtomicI64::default(),
            canary_sent: AtomicI64::default(),
            authorizer: AtomicI64::default(),
        }
    }
}

// === impl Audit ===

impl Audit {
    pub(crate) fn replace(&self, intake: Intake) {
        *self.intake.write() = Some(Arc::new(intake));
    }
}

/// Takes a batch; returns once all that must be kept of it is on disk. An event that cannot be read is
/// recorded as such and stops no other.
///
/// # Errors
/// The batch as a whole cannot be read ([`Refusal::Bad`]), or cannot be taken now.
pub(crate) async fn take(gate: &Arc<Gate>, body: bytes::Bytes, way: Way) -> Result<(), Refusal> {
    let intake = gate.audit.intake.read().clone().ok_or_else(|| Refusal::Later("no bundle was had from the server yet".into()))?;
    let rules = gate.rules().ok_or_else(|| Refusal::Later("no bundle was had from the server yet".into()))?;
    let of = gate.clone();
    let judged = tokio::task::spawn_blocking(move || judge(&of, &intake, &rules, &body, way)).await.map_err(|e| Refusal::Later(e.to_string()))?;
    let (entries, blocks) = judged.map_err(Refusal::Bad)?;
    // Blocked first: the next request may already be on its way.
    gate.blocks.add(gate, blocks).await;
    gate.spool.append(&entries).await.map_err(Refusal::Later)?;
    let seen = if way == Way::Webhook { &gate.audit.webhook } else { &gate.audit.file };
    seen.store(now(), Ordering::Relaxed);
    Ok(())
}

/// Why a batch is not taken.
pub(crate) enum Refusal {
    /// Sent again it would not be taken either.
    Bad(String),
    Later(String),
}

type Judged = (Vec<Entry>, Vec<jinwu_audit::Block>);

fn judge(gate: &Gate, intake: &Intake, rules: &Rules, body: &[u8], way: Way) -> Result<Judged, String> {
    let events = match way {
        Way::Webhook => batch(body).map_err(|e| e.to_string())?,
        Way::File => body.split(|b| *b == b'\n').filter(|l| !l.trim_ascii().is_empty()).map(AuditEvent::parse).collect(),
    };
    let (mut scratch, now, mut all, mut blocks) = (Scratch::default(), now(), Vec::new(), Vec::new());
    let mut sequences = gate.audit.sequences.lock();
    let mut hash = None;
    let mut uses = gate.audit.uses.lock();
    for (n, event) in events.iter().enumerate() {
        gate.audit.events.fetch_add(1, Ordering::Relaxed);
        match event {
            Ok(event) => {
                uses.take(event, now);
                let Taken { entries, blocks: more, canary, folded } = intake.take(event, &mut sequences, &mut scratch, now, rules);
                if let Some(path) = canary {
                    let sent = path.rsplit('/').next().and_then(|t| t.parse().ok()).unwrap_or(0);
                    gate.audit.canary.fetch_max(sent, Ordering::Relaxed);
                }
                gate.audit.folded.fetch_add(u64::from(folded), Ordering::Relaxed);
                gate.audit.newest.fetch_max(event.timestamp().map_or(0, |t| t / 1_000_000), Ordering::Relaxed);
                all.extend(entries);
                blocks.extend(more);
            }
            Err(error) => {
                uses.lose();
                let hash = hash.get_or_insert_with(|| hex::encode(&jinwu_trust::sha256(body)[..16]));
                all.push(unreadable(gate, hash, n, &error.to_string(), now));
            }
        }
    }
    Ok((all, blocks))
}

/// An event that cannot be read. Named by the hash of its batch, so that a batch sent again says it once.
fn unreadable(gate: &Gate, batch: &str, n: usize, reason: &str, now: i64) -> Entry {
    let record = Record::new(now, Kind::Alarm, Subject::system(format!("gate:{}", gate.config.name)), "audit-unreadable", "audit:event")
        .outcome(Outcome::Failure)
        .with("reason", reason.chars().take(300).collect::<String>())
        .with("clauses", vec!["AU-2"]);
    Entry { id: format!("unreadable/{batch}/{n}"), record }
}
