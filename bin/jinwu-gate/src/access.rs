//! Tells the server which rights are used, every so often and when the gate ends.

use crate::state::{Gate, now};
use jinwu_audit::access::Observed;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// A canary not older than this proves the stream, milliseconds.
const HEARD: i64 = 4 * 60_000;

/// Until when was told, Unix milliseconds.
pub(crate) struct Told(AtomicI64);

impl Default for Told {
    fn default() -> Self {
        Told(AtomicI64::new(now()))
    }
}

/// Between two reports.
fn every(gate: &Gate) -> Duration {
    Duration::from_secs(gate.config.access.clamp(5, 3600))
}

/// For ever.
pub(crate) async fn run(gate: Arc<Gate>) {
    let every = every(&gate);
    loop {
        tokio::time::sleep(every).await;
        // Before the first bundle there is nobody to tell, and no event was taken.
        if gate.rules().is_some() {
            tell(&gate, false).await;
        }
    }
}

/// What was used since it was told last.
pub(crate) async fn tell(gate: &Gate, last: bool) {
    let to = now();
    let observed = Observed {
        gate: gate.config.name.clone(),
        from: gate.audit.told.0.swap(to, Ordering::Relaxed),
        to,
        every: every(gate).as_millis() as i64,
        heard: to - gate.audit.canary.load(Ordering::Relaxed) < HEARD,
        last,
        lost: 0,
    };
    let entries = gate.audit.uses.lock().tell(&gate.cluster(), observed);
    if let Err(error) = gate.spool.append(&entries).await {
        gate.audit.uses.lock().lose();
        tracing::error!(error, "the use of rights could not be recorded");
    }
}
