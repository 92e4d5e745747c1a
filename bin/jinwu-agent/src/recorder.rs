//! Takes records off the sensor's thread: to the spool, or into a ledger of the node's own.

use crate::spool::{Lane, Spool};
use jinwu_ledger::Ledger;
use jinwu_node::protocol::Entry;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

/// Batches waiting for the disk at most; beyond, telemetry is dropped and counted.
const BATCHES: usize = 256;
/// How long telemetry may be in memory alone.
const SYNC: Duration = Duration::from_secs(1);

/// Where records go.
pub(crate) enum Store {
    Spool(Arc<Mutex<Spool>>),
    Ledger(Ledger),
}

#[derive(Clone)]
pub(crate) struct Recorder {
    send: SyncSender<(Lane, Vec<Entry>)>,
    spool: Option<Arc<Mutex<Spool>>>,
    dropped: Arc<AtomicU64>,
}

// === impl Recorder ===

impl Recorder {
    pub(crate) fn start(store: Store) -> std::io::Result<(Self, std::thread::JoinHandle<()>)> {
        let (send, receive) = sync_channel(BATCHES);
        let dropped = Arc::new(AtomicU64::new(0));
        let spool = if let Store::Spool(spool) = &store { Some(spool.clone()) } else { None };
        let counted = dropped.clone();
        let thread = std::thread::Builder::new().name("recorder".into()).spawn(move || run(&receive, &store, &counted))?;
        Ok((Recorder { send, spool, dropped }, thread))
    }

    /// Takes entries. What must arrive waits for room, telemetry does not.
    pub(crate) fn take(&self, lane: Lane, entries: Vec<Entry>) {
        let count = entries.len() as u64;
        match lane {
            Lane::Kept => {
                if self.send.send((lane, entries)).is_err() {
                    tracing::error!(count, "the recorder has ended: records that must arrive are lost");
                }
            }
            Lane::Telemetry => {
                if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.send.try_send((lane, entries)) {
                    self.dropped.fetch_add(count, Ordering::Relaxed);
                }
            }
        }
    }

    pub(crate) fn waiting(&self) -> u64 {
        self.spool.as_ref().map_or(0, |s| s.lock().waiting())
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed) + self.spool.as_ref().map_or(0, |s| s.lock().dropped)
    }
}

fn run(receive: &Receiver<(Lane, Vec<Entry>)>, store: &Store, dropped: &AtomicU64) {
    let mut told = false;
    loop {
        match receive.recv_timeout(SYNC) {
            Ok((lane, entries)) => loop {
                let Err(error) = write(store, lane, &entries) else {
                    told = false;
                    break;
                };
                if !told {
                    told = true;
                    tracing::error!(error, "records cannot be written; what must arrive waits, telemetry is dropped and counted");
                }
                if lane == Lane::Telemetry {
                    dropped.fetch_add(entries.len() as u64, Ordering::Relaxed);
                    break;
                }
                std::thread::sleep(SYNC);
            },
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if let Store::Spool(spool) = store
            && let Err(error) = spool.lock().sync()
        {
            tracing::error!(%error, "the spool cannot be written to disk");
        }
    }
}

fn write(store: &Store, lane: Lane, entries: &[Entry]) -> Result<(), String> {
    match store {
        Store::Spool(spool) => spool.lock().append(lane, entries).map_err(|e| e.to_string()),
        Store::Ledger(ledger) => {
            let records = entries.iter().map(|e| e.record.clone().with("entry", e.id.as_str())).collect();
            ledger.append_blocking(records).map(|_| ()).map_err(|e| e.to_string())
        }
    }
}
