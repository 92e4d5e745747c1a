//! Records of gates on their way to the ledger, each once.
//!
//! A gate that got no answer sends its batch again, perhaps to a server that was killed between the
//! record and the answer. So every record carries its entry's id into the ledger, and the ids of
//! the last [`WINDOW`] records of a cluster are known: from memory, and after a start from the
//! ledger itself. There is no second store that could disagree with it.

use crate::app::App;
use jinwu_admission::protocol::{GATE_KINDS, GateStatus, MAX_BATCH, Taken};
use jinwu_ledger::{LedgerError, Query};
use jinwu_model::{Kind, Outcome, Record, Subject};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, OnceLock};
use tokio::sync::{OnceCell, Semaphore};

/// Ids of a cluster known at once, some 10 MB: half a minute of audit events at their fastest, and as many
/// as are read back at a start.
pub const WINDOW: usize = 200_000;
/// Records of the ledger read back at a start to find ids.
const LOOK_BACK: u64 = 200_000;
/// Bytes of one record at most.
const MAX_RECORD: usize = 256 << 10;
/// Characters kept of a record that cannot be taken as it is.
const SHOWN: usize = 2_000;
/// Milliseconds a gate's clock may be ahead of ours, or have been behind when the cluster was registered.
const CLOCKS: i64 = 5 * 60_000;

/// Ids by cluster. Clones share nothing; there is one.
#[derive(Default)]
pub(crate) struct Windows {
    by_cluster: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Window>>>>,
    /// Set once what the ledger holds is known.
    read: OnceCell<()>,
    room: OnceLock<Arc<Semaphore>>,
}

/// The latest ids, oldest first.
#[derive(Default)]
pub(crate) struct Window {
    known: HashSet<Id>,
    order: VecDeque<Id>,
}

/// First half of the SHA-256 of an entry's id.
type Id = [u8; 16];

/// A batch as far as it must be understood to take its records one by one.
#[derive(Deserialize)]
pub(crate) struct Batch {
    gate: String,
    records: Vec<Box<RawValue>>,
    #[serde(default)]
    status: Option<Box<RawValue>>,
}

/// An entry likewise.
#[derive(Deserialize)]
struct Entry<'a> {
    id: String,
    #[serde(borrow)]
    record: &'a RawValue,
}

/// Why a batch is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BatchError {
    #[error("{0}")]
    Invalid(String),
    #[error("审计记录无法写入,请保留并重发 / the records cannot be written; keep them and send them again: {0}")]
    Ledger(#[from] LedgerError),
}

// === impl Batch ===

impl Batch {
    /// Reads a request's body.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, BatchError> {
        let batch: Batch =
            serde_json::from_slice(body).map_err(|e| BatchError::Invalid(format!("请求体不是一批记录 / the body is not a batch of records: {e}")))?;
        if batch.records.len() > MAX_BATCH {
            return Err(BatchError::Invalid(format!(
                "一批最多 {MAX_BATCH} 条记录,收到 {0} 条,分批发送 / {MAX_BATCH} records at most in one batch, this has {0}; send several",
                batch.records.len()
            )));
        }
        super::cluster::subdomain("gate", &batch.gate).map_err(|e| BatchError::Invalid(e.to_string()))?;
        Ok(batch)
    }

    /// How the gate says it is doing; unknown where this version does not understand it.
    fn status(&self) -> GateStatus {
        self.status.as_ref().and_then(|s| serde_json::from_str(s.get()).ok()).unwrap_or_default()
    }
}

// === impl Window ===

impl Window {
    fn insert(&mut self, id: Id) -> bool {
        if !self.known.insert(id) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > WINDOW
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

// === impl Windows ===

impl Windows {
    pub(super) fn forget(&self, cluster: &str) {
        self.by_cluster.lock().remove(cluster);
    }

    /// Room for so many batches at once.
    pub(super) fn room(&self, batches: usize) -> Arc<Semaphore> {
        self.room.get_or_init(|| Arc::new(Semaphore::new(batches))).clone()
    }

    fn of(&self, cluster: &str) -> Arc<tokio::sync::Mutex<Window>> {
        self.by_cluster.lock().entry(cluster.to_owned()).or_default().clone()
    }

    /// Reads from the ledger which ids it has, once; whoever asks meanwhile waits.
    async fn ready(&self, app: &App) -> Result<(), LedgerError> {
        let read = async || {
            let mut found: HashMap<String, Vec<Id>> = HashMap::new();
            let (mut before, mut looked_at) = (None, 0);
            while looked_at < LOOK_BACK {
                let query = Query { before, limit: Some(10_000), ..Query::default() };
                let page = app.journal.ledger().search(query).await?;
                looked_at += page.len() as u64;
                before = page.last().map(|r| r.seq);
                if page.is_empty() {
                    break;
                }
                for record in &page {
                    let member = |name: &str| record.record.detail.get(name).and_then(|v| v.as_str());
                    if let (Some(cluster), Some(entry)) = (member("cluster"), member("entry")) {
                        let ids = found.entry(cluster.to_owned()).or_default();
                        if ids.len() < WINDOW {
                            ids.push(id_of(entry));
                        }
                    }
                }
            }
            for (cluster, ids) in found {
                let window = self.of(&cluster);
                let mut window = window.lock().await;
                for id in ids.into_iter().rev() {
                    window.insert(id);
                }
            }
            Ok::<_, LedgerError>(())
        };
        self.read.get_or_try_init(read).await?;
        Ok(())
    }
}

/// Takes the records that are new. Returns once they are durable.
pub(crate) async fn take(app: &App, cluster: &str, batch: Batch) -> Result<Taken, BatchError> {
    let clusters = &app.clusters;
    clusters.windows.ready(app).await?;
    let now = app.now();
    let earliest = clusters.get(cluster).map_or(now, |c| c.created) - CLOCKS;
    clusters.heard(cluster, &batch.gate, batch.status(), now);
    let window = clusters.windows.of(cluster);
    // One batch of a cluster at a time: of two copies that arrive together one waits for the other.
    let mut window = window.lock().await;
    let (mut ids, mut records) = (Vec::new(), Vec::new());
    let mut of_this = HashSet::new();
    for raw in &batch.records {
        let (id, mut record) = read(raw.get(), &batch.gate, now, earliest);
        let hashed = id_of(&id);
        if window.known.contains(&hashed) || !of_this.insert(hashed) {
            continue;
        }
        // Whatever a gate says, where its records come from is ours to say.
        record.detail.insert("cluster".into(), cluster.into());
        record.detail.insert("reporter".into(), batch.gate.clone().into());
        record.detail.insert("entry".into(), id.into());
        ids.push(hashed);
        records.push(record);
    }
    let taken = Taken { new: records.len() as u64, repeated: (batch.records.len() - records.len()) as u64 };
    if !records.is_empty() {
        app.journal.record_many(records).await?;
        for id in ids {
            window.insert(id);
        }
    }
    Ok(taken)
}

fn id_of(entry: &str) -> Id {
    let mut id = Id::default();
    id.copy_from_slice(&jinwu_trust::sha256(entry.as_bytes())[..16]);
    id
}

/// One entry's id and record. What cannot be read becomes a record that says so: it must neither stop
/// the others nor be lost.
fn read(raw: &str, gate: &str, now: i64, earliest: i64) -> (String, Record) {
    let unreadable = |id: String, reason: String| {
        let record = Record::new(now, Kind::System, Subject::system(format!("gate:{gate}")), "unreadable-record", format!("gate:{gate}"))
            .outcome(Outcome::Failure)
            .with("reason", reason)
            .with("text", raw.chars().take(SHOWN).collect::<String>());
        (id, record)
    };
    let by_content = || format!("sha256:{}", hex::encode(jinwu_trust::sha256(raw.as_bytes())));
    let entry: Entry<'_> = match serde_json::from_str(raw) {
        Ok(entry) => entry,
        Err(error) => return unreadable(by_content(), format!("the entry cannot be read: {error}")),
    };
    let plain = (1..=128).contains(&entry.id.len()) && entry.id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_/.:".contains(&b));
    let id = if plain { entry.id } else { by_content() };
    if raw.len() > MAX_RECORD {
        return unreadable(id, format!("{} bytes are more than {MAX_RECORD}", raw.len()));
    }
    let mut record: Record = match serde_json::from_str(entry.record.get()) {
        Ok(record) => record,
        Err(error) => return unreadable(id, format!("the record cannot be read: {error}")),
    };
    if !GATE_KINDS.contains(&record.kind) {
        return unreadable(id, format!("a gate writes no records of kind {}", record.kind));
    }
    if record.time > now + CLOCKS || record.time < earliest {
        record.detail.insert("claimed_time".into(), record.time.into());
        record.time = now;
    }
    clip(&mut record.action, 128);
    clip(&mut record.object, 1024);
    (id, record)
}

fn clip(text: &mut String, most: usize) {
    if let Some((at, _)) = text.char_indices().nth(most) {
        text.truncate(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000_000;

    fn entry(id: &str, record: &str) -> (String, Record) {
        read(&format!(r#"{{"id":"{id}","record":{record}}}"#), "gate-0", NOW, 1000)
    }

    fn good(kind: &str, time: i64) -> String {
        format!(r#"{{"time":{time},"kind":"{kind}","subject":{{"kind":"user","name":"li"}},"action":"create","object":"pod:web/a","outcome":"denied"}}"#)
    }

    #[test]
    fn a_record_is_taken_as_it_is_or_says_why_not() {
        let (id, record) = entry("a-1", &good("admission", 5000));
        assert_eq!((id.as_str(), record.kind, record.time, record.detail.len()), ("a-1", Kind::Admission, 5000, 0));
        for (record, reason) in [
            (r#"{"time":1}"#.to_owned(), "missing field"),
            (good("nonsense", 5000), "unknown variant"),
            (good("login", 5000), "no records of kind login"),
            (format!("{:?}", "x".repeat(MAX_RECORD)), "bytes are more"),
        ] {
            let (id, taken) = entry("b-1", &record);
            assert_eq!((id.as_str(), taken.kind, taken.outcome), ("b-1", Kind::System, Outcome::Failure));
            assert!(taken.detail["reason"].as_str().unwrap().contains(reason), "{:?}", taken.detail);
            assert!(taken.detail["text"].as_str().unwrap().len() <= SHOWN);
        }
        let (id, taken) = read("[1,2]", "gate-0", NOW, 0);
        assert!(id.starts_with("sha256:") && taken.action == "unreadable-record");
        assert_eq!(read("[1,2]", "gate-1", NOW, 0).0, id, "the same text is the same entry");
    }

    #[test]
    fn times_that_cannot_be_are_replaced_and_told() {
        for (time, plausible) in [(1000, true), (NOW + CLOCKS, true), (999, false), (NOW + CLOCKS + 1, false), (i64::MIN, false), (i64::MAX, false)] {
            let (_, record) = entry("a", &good("entry", time));
            assert_eq!(record.time == time, plausible, "{time}");
            assert_eq!(!record.detail.contains_key("claimed_time"), plausible);
        }
    }

    #[test]
    fn the_window_is_bounded_and_forgets_the_oldest() {
        let mut window = Window::default();
        let id = |n: usize| id_of(&n.to_string());
        for n in 0..WINDOW + 10 {
            assert!(window.insert(id(n)));
        }
        assert!(!window.insert(id(WINDOW)), "known");
        assert!(window.insert(id(3)), "forgotten");
        assert_eq!((window.known.len(), window.order.len()), (WINDOW, WINDOW));
    }

    #[test]
    fn batches_are_checked() {
        let parse = |text: &str| Batch::parse(text.as_bytes()).map(|b| b.records.len());
        assert_eq!(parse(r#"{"gate":"gate-0","records":[1,{}],"status":{"new":1}}"#).unwrap(), 2, "what a record is decides each by itself");
        for bad in ["", "[]", r#"{"gate":"gate-0"}"#, r#"{"gate":"a b","records":[]}"#, r#"{"gate":"g","records":{}}"#] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let many = format!(r#"{{"gate":"g","records":[{}]}}"#, vec!["1"; MAX_BATCH + 1].join(","));
        assert!(parse(&many).unwrap_err().to_string().contains("2000"));
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(s in ".{0,200}") {
            let _ = Batch::parse(s.as_bytes());
            let _ = read(&s, "g", NOW, 0);
            let _ = entry("a", &s);
        }
    }
}
