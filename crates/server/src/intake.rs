//! What gates and nodes send again until it is answered, each entry once in the ledger.
//!
//! A sender that got no answer sends its batch again, perhaps to a server that was killed between the
//! record and the answer. So every record carries its entry's id into the ledger, and the latest ids
//! of every sender are known: from memory, and after a start from the ledger itself. There is no
//! second store that could disagree with it.

use crate::api::ApiError;
use axum::body::Body;
use bytes::Bytes;
use http::StatusCode;
use jinwu_ledger::{Ledger, LedgerError, Query};
use jinwu_model::{Kind, Outcome, Record, Subject};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{OnceCell, Semaphore};

/// A request's body, of `most` bytes at most.
pub(crate) async fn whole(body: Body, most: usize) -> Result<Bytes, ApiError> {
    axum::body::to_bytes(body, most).await.map_err(|_| {
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", format!("请求体超过 {most} 字节或中断 / the body is larger than {most} bytes or broke off"))
    })
}

/// The same, that arrives within `patience`.
pub(crate) async fn body(body: Body, most: usize, patience: Duration) -> Result<Bytes, ApiError> {
    tokio::time::timeout(patience, whole(body, most)).await.unwrap_or_else(|_| {
        let message = format!("请求体在 {} 秒内未到齐 / the body did not arrive within {0} s", patience.as_secs());
        Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "too-slow", message))
    })
}

/// Records of the ledger read back at a start to find ids.
const LOOK_BACK: u64 = 200_000;
/// Bytes of one record at most.
pub(crate) const MAX_RECORD: usize = 256 << 10;
/// Characters kept of a record that cannot be taken as it is.
pub(crate) const SHOWN: usize = 2_000;
/// Milliseconds a sender's clock may be ahead of ours, or have been behind when it was registered.
pub(crate) const CLOCKS: i64 = 5 * 60_000;

/// Ids by sender.
pub(crate) struct Windows {
    by_sender: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Window>>>>,
    /// Ids of one sender known at once.
    size: usize,
    /// The sender of a record of the ledger, if it is one of these windows'.
    sender: fn(&Record) -> Option<&str>,
    /// Set once what the ledger holds is known.
    read: OnceCell<()>,
    room: OnceLock<Arc<Semaphore>>,
}

/// The latest ids, oldest first.
pub(crate) struct Window {
    known: HashSet<Id>,
    order: VecDeque<Id>,
    size: usize,
}

/// First half of the SHA-256 of an entry's id.
pub(crate) type Id = [u8; 16];

/// Who sends, as far as it decides what is taken.
pub(crate) struct Sender<'a> {
    /// `gate:NAME` or `node:NAME`.
    pub(crate) name: &'a str,
    pub(crate) kinds: &'a [Kind],
    /// Unix milliseconds before which it had nothing to tell.
    pub(crate) earliest: i64,
}

/// An entry as far as it must be understood to take its record by itself.
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

// === impl Window ===

impl Window {
    fn new(size: usize) -> Self {
        Window { known: HashSet::new(), order: VecDeque::new(), size }
    }

    pub(crate) fn knows(&self, id: &Id) -> bool {
        self.known.contains(id)
    }

    pub(crate) fn insert(&mut self, id: Id) -> bool {
        if !self.known.insert(id) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > self.size
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

// === impl Windows ===

impl Windows {
    /// `size` ids of each sender; `sender` tells whose a record of the ledger is.
    pub(crate) fn new(size: usize, sender: fn(&Record) -> Option<&str>) -> Self {
        Windows { by_sender: Mutex::default(), size, sender, read: OnceCell::new(), room: OnceLock::new() }
    }

    pub(crate) fn forget(&self, sender: &str) {
        self.by_sender.lock().remove(sender);
    }

    /// Room for so many batches at once.
    pub(crate) fn room(&self, batches: usize) -> Arc<Semaphore> {
        self.room.get_or_init(|| Arc::new(Semaphore::new(batches))).clone()
    }

    pub(crate) fn of(&self, sender: &str) -> Arc<tokio::sync::Mutex<Window>> {
        self.by_sender.lock().entry(sender.to_owned()).or_insert_with(|| Arc::new(tokio::sync::Mutex::new(Window::new(self.size)))).clone()
    }

    /// Reads from the ledger which ids it has, once; whoever asks meanwhile waits.
    pub(crate) async fn ready(&self, ledger: &Ledger) -> Result<(), LedgerError> {
        let read = async || {
            let mut found: HashMap<String, Vec<Id>> = HashMap::new();
            let (mut before, mut looked_at) = (None, 0);
            while looked_at < LOOK_BACK {
                let query = Query { before, limit: Some(10_000), ..Query::default() };
                let page = ledger.search(query).await?;
                looked_at += page.len() as u64;
                before = page.last().map(|r| r.seq);
                if page.is_empty() {
                    break;
                }
                for record in &page {
                    let entry = record.record.detail.get("entry").and_then(|v| v.as_str());
                    if let (Some(sender), Some(entry)) = ((self.sender)(&record.record), entry) {
                        let ids = found.entry(sender.to_owned()).or_default();
                        if ids.len() < self.size {
                            ids.push(id_of(entry));
                        }
                    }
                }
            }
            for (sender, ids) in found {
                let window = self.of(&sender);
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

pub(crate) fn id_of(entry: &str) -> Id {
    let mut id = Id::default();
    id.copy_from_slice(&jinwu_trust::sha256(entry.as_bytes())[..16]);
    id
}

/// A record in the place of one that is not taken as it is: nothing is lost, and it says why.
pub(crate) fn instead(raw: &str, sender: &str, action: &str, reason: String, now: i64) -> Record {
    Record::new(now, Kind::System, Subject::system(sender), action, sender)
        .outcome(Outcome::Failure)
        .with("reason", reason)
        .with("text", raw.chars().take(SHOWN).collect::<String>())
}

/// One entry's id and record. What cannot be read becomes a record that says so: it must neither stop
/// the others nor be lost.
pub(crate) fn read(raw: &str, sender: &Sender<'_>, now: i64) -> (String, Record) {
    let unreadable = |id: String, reason: String| (id, instead(raw, sender.name, "unreadable-record", reason, now));
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
    if !sender.kinds.contains(&record.kind) {
        let who = sender.name.split(':').next().unwrap_or_default();
        return unreadable(id, format!("a {who} writes no records of kind {}", record.kind));
    }
    if record.time > now + CLOCKS || record.time < sender.earliest {
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
    const KINDS: [Kind; 2] = [Kind::Admission, Kind::Entry];

    fn read_from(raw: &str, name: &str, earliest: i64) -> (String, Record) {
        read(raw, &Sender { name, kinds: &KINDS, earliest }, NOW)
    }

    fn entry(id: &str, record: &str) -> (String, Record) {
        read_from(&format!(r#"{{"id":"{id}","record":{record}}}"#), "gate:gate-0", 1000)
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
        let (id, taken) = read_from("[1,2]", "gate:gate-0", 0);
        assert!(id.starts_with("sha256:") && taken.action == "unreadable-record");
        assert_eq!(read_from("[1,2]", "gate:gate-1", 0).0, id, "the same text is the same entry");
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
        const WINDOW: usize = 1000;
        let mut window = Window::new(WINDOW);
        let id = |n: usize| id_of(&n.to_string());
        for n in 0..WINDOW + 10 {
            assert!(window.insert(id(n)));
        }
        assert!(!window.insert(id(WINDOW)), "known");
        assert!(window.insert(id(3)), "forgotten");
        assert_eq!((window.known.len(), window.order.len()), (WINDOW, WINDOW));
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(s in ".{0,200}") {
            let _ = read_from(&s, "gate:g", 0);
            let _ = entry("a", &s);
        }
    }
}
