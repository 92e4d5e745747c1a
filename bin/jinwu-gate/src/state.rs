//! What every request shares.

use crate::config::Config;
use crate::images::Images;
use crate::names::Namespaces;
use crate::spool::Spool;
use jinwu_admission::Rules;
use jinwu_admission::protocol::GateStatus;
use parking_lot::RwLock;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Semaphore;

pub(crate) struct Gate {
    pub(crate) config: Config,
    /// None until a bundle was had: then nothing can be judged, and the gate is not ready.
    rules: RwLock<Option<Arc<Rules>>>,
    pub(crate) images: Images,
    pub(crate) namespaces: Namespaces,
    pub(crate) spool: Spool,
    /// Reviews being judged.
    pub(crate) room: Semaphore,
    pub(crate) count: Counters,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) reviews: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) shed: AtomicU64,
    pub(crate) failed: AtomicU64,
}

impl Gate {
    pub(crate) fn new(config: Config, images: Images, namespaces: Namespaces, spool: Spool) -> Self {
        let room = Semaphore::new(config.concurrency.max(1));
        Gate { config, rules: RwLock::new(None), images, namespaces, spool, room, count: Counters::default() }
    }

    pub(crate) fn rules(&self) -> Option<Arc<Rules>> {
        self.rules.read().clone()
    }

    pub(crate) fn replace(&self, rules: Rules) {
        *self.rules.write() = Some(Arc::new(rules));
    }

    /// The cluster's name, for records; empty as long as there is no bundle.
    pub(crate) fn cluster(&self) -> String {
        self.rules().map(|r| r.bundle.cluster.clone()).unwrap_or_default()
    }

    pub(crate) fn status(&self) -> GateStatus {
        GateStatus {
            version: env!("CARGO_PKG_VERSION").into(),
            generation: self.rules().map(|r| r.bundle.generation.clone()).unwrap_or_default(),
            waiting: self.spool.waiting(),
            reviews: self.count.reviews.load(Ordering::Relaxed),
            refused: self.count.refused.load(Ordering::Relaxed),
        }
    }
}

/// Unix milliseconds.
pub(crate) fn now() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}
