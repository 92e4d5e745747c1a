//! Subjects this gate has blocked by a rule: at once here, soon by all gates.
//!
//! Kept on disk until the server has them, so that a gate that is killed in between still tells it.

use crate::server::Server;
use crate::state::{Gate, now};
use jinwu_admission::protocol::{BlockRequest, BlockedSubject};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// How long a rule blocks a subject, minutes.
const MINUTES: i64 = 60;
/// Blocks held here at most; beyond, the oldest go. The server holds as many.
const MOST: usize = 200;

pub(crate) struct Blocks {
    file: PathBuf,
    held: RwLock<Vec<Held>>,
    more: Notify,
}

#[derive(Clone, Serialize, Deserialize)]
struct Held {
    subject: BlockedSubject,
    /// To be told; absent once the server knows.
    ask: Option<BlockRequest>,
}

// === impl Blocks ===

impl Blocks {
    pub(crate) fn open(data: &Path) -> Self {
        let file = data.join("blocks.json");
        let held = std::fs::read(&file).ok().and_then(|b| serde_json::from_slice(&b).ok()).unwrap_or_default();
        Blocks { file, held: RwLock::new(held), more: Notify::new() }
    }

    /// The block of this gate's own that refuses a subject.
    pub(crate) fn refusing(&self, user: &str, credentials: &[String]) -> Option<BlockedSubject> {
        let now = now();
        self.held.read().iter().map(|h| &h.subject).find(|b| b.refuses(user, credentials, now)).cloned()
    }

    pub(crate) async fn add(&self, gate: &Gate, blocks: Vec<jinwu_audit::Block>) {
        let now = now();
        let mut changed = false;
        for b in blocks {
            let mut held = self.held.write();
            held.retain(|h| now < h.subject.expires || h.ask.is_some());
            if held.iter().any(|h| h.subject.user == b.user && h.subject.credential == b.credential && now < h.subject.expires) {
                continue;
            }
            if held.len() >= MOST {
                held.remove(0);
            }
            let ask = BlockRequest {
                gate: gate.config.name.clone(),
                user: b.user.clone(),
                credential: b.credential.clone(),
                rule: b.rule.clone(),
                decision: b.decision,
                source: b.source,
                minutes: MINUTES,
            };
            let subject = BlockedSubject {
                id: "k-local".into(),
                user: b.user,
                credential: b.credential,
                reason: format!("规则 / rule: {}", b.rule),
                expires: now + MINUTES * 60_000,
            };
            tracing::warn!(user = subject.user, rule = b.rule, "blocked by a rule");
            gate.count.blocked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            held.push(Held { subject, ask: Some(ask) });
            changed = true;
        }
        if changed {
            self.keep();
            self.more.notify_one();
        }
    }

    /// A bundle is here: what the server was told counts from there alone, so that an unblock holds.
    pub(crate) fn forget_told(&self) {
        self.held.write().retain(|h| h.ask.is_some());
        self.keep();
    }

    fn keep(&self) {
        let text = serde_json::to_vec(&*self.held.read()).unwrap_or_default();
        if let Err(error) = jinwu_trust::files::write(&self.file, &text, 0o600) {
            tracing::error!(%error, "blocks could not be kept");
        }
    }
}

/// Keeps telling the server.
pub(crate) async fn tell(gate: Arc<Gate>, server: Arc<Server>) {
    loop {
        let next = gate.blocks.held.read().iter().find_map(|h| h.ask.clone());
        let Some(ask) = next else {
            gate.blocks.more.notified().await;
            continue;
        };
        match server.block(&ask).await {
            Ok(block) => {
                for h in gate.blocks.held.write().iter_mut().filter(|h| h.ask.as_ref() == Some(&ask)) {
                    h.ask = None;
                    h.subject.id.clone_from(&block.id);
                }
                gate.blocks.keep();
            }
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "a block waits for the server");
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
        }
    }
}
