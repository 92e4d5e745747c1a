//! What every request shares.

use crate::audit::Audit;
use crate::blocks::Blocks;
use crate::config::Config;
use crate::images::Images;
use crate::names::Namespaces;
use crate::params::Params;
use crate::siblings::Siblings;
use crate::spool::Spool;
use jinwu_admission::Rules;
use jinwu_admission::protocol::{GateStatus, WatchStatus};
use kube::Client;
use parking_lot::RwLock;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::Semaphore;

/// KiB of bodies at once: some ten reviews of the largest objects, thousands of ordinary ones.
const BODIES: usize = 48 << 10;
/// Evaluations of users' policies at once: each may take a while of a processor.
const THINKING: usize = 16;

pub(crate) struct Gate {
    pub(crate) config: Config,
    /// None until a bundle was had: then nothing can be judged, and the gate is not ready.
    rules: RwLock<Option<Arc<Rules>>>,
    pub(crate) images: Images,
    pub(crate) namespaces: Namespaces,
    pub(crate) params: Params,
    /// None: no API server is asked anything.
    pub(crate) client: Option<Client>,
    pub(crate) spool: Spool,
    pub(crate) siblings: Siblings,
    /// Reviews being judged.
    pub(crate) room: Semaphore,
    /// KiB of bodies of reviews being read or judged.
    pub(crate) bodies: Semaphore,
    /// Evaluations of users' policies at once.
    pub(crate) thinking: Semaphore,
    pub(crate) count: Counters,
    pub(crate) audit: Audit,
    pub(crate) blocks: Blocks,
    pub(crate) leaving: AtomicBool,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) reviews: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) shed: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) blocked: AtomicU64,
}

impl Gate {
    pub(crate) fn new(config: Config, images: Images, namespaces: Namespaces, client: Option<Client>, spool: Spool) -> Self {
        let room = Semaphore::new(config.concurrency.max(1));
        let thinking = Semaphore::new(THINKING);
        let params = Params::new(client.clone());
        let blocks = Blocks::open(&config.data);
        let (count, audit, leaving) = (Counters::default(), Audit::default(), AtomicBool::new(false));
        let bodies = Semaphore::new(BODIES);
        Gate { config, rules: RwLock::new(None), images, namespaces, params, client, spool, siblings: Siblings::default(), room, bodies, thinking, count, audit, blocks, leaving }
    }

    pub(crate) fn rules(&self) -> Option<Arc<Rules>> {
        self.rules.read().clone()
    }

    pub(crate) fn replace(&self, rules: Rules) {
        self.params.follow(&rules.users.wanted());
        *self.rules.write() = Some(Arc::new(rules));
    }

    /// The generation of the bundle of now; none as long as there is no bundle.
    pub(crate) fn generation(&self) -> Option<String> {
        self.rules().map(|r| r.bundle.generation.clone())
    }

    /// The cluster's name, for records; empty as long as there is no bundle.
    pub(crate) fn cluster(&self) -> String {
        self.rules().map(|r| r.bundle.cluster.clone()).unwrap_or_default()
    }

    fn watch(&self) -> WatchStatus {
        let a = &self.audit;
        WatchStatus {
            events: a.events.load(Ordering::Relaxed),
            folded: a.folded.load(Ordering::Relaxed),
            webhook: a.webhook.load(Ordering::Relaxed),
            file: a.file.load(Ordering::Relaxed),
            event: a.newest.load(Ordering::Relaxed),
            canary_sent: a.canary_sent.load(Ordering::Relaxed),
            canary: a.canary.load(Ordering::Relaxed),
            authorizer: a.authorizer.load(Ordering::Relaxed),
            blocked: self.count.blocked.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn status(&self) -> GateStatus {
        GateStatus {
            version: env!("CARGO_PKG_VERSION").into(),
            generation: self.generation().unwrap_or_default(),
            waiting: self.spool.waiting(),
            reviews: self.count.reviews.load(Ordering::Relaxed),
            refused: self.count.refused.load(Ordering::Relaxed),
            leaving: self.leaving.load(Ordering::Relaxed),
            watch: self.watch(),
            unreadable_params: self.params.unreadable(),
        }
    }
}

/// Unix milliseconds.
pub(crate) fn now() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}
