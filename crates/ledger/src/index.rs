//! The search index: SQLite beside the ledger, derived from the segments, rebuilt when it is
//! missing, behind, or not ours.

use crate::LedgerError;
use crate::block::Kind as BlockKind;
use crate::segments::{self, Reader};
use jinwu_model::{Kind, Record};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::path::Path;
use std::sync::{Condvar, Mutex, mpsc};

/// What to look for; absent parts match everything.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Query {
    /// Unix milliseconds, inclusive.
    pub since: Option<i64>,
    pub until: Option<i64>,
    /// Exact subject as records show it (`alice`, `robot:ci`), or any part of it.
    pub subject: Option<String>,
    /// Any part of the object.
    pub object: Option<String>,
    pub kind: Option<Kind>,
    pub outcome: Option<String>,
    pub source: Option<String>,
    pub decision: Option<String>,
    /// Records with a smaller number only: continues a listing.
    pub before: Option<u64>,
    /// At most this many, newest first; 100 when absent, 10 000 at most.
    pub limit: Option<u32>,
}

/// A record with its number in the ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found {
    pub seq: u64,
    #[serde(flatten)]
    pub record: Record,
}

pub(crate) struct Index {
    feed: Mutex<mpsc::SyncSender<Batch>>,
    reader: Mutex<Connection>,
    state: std::sync::Arc<State>,
}

struct State {
    /// Highest record number in the index, or why it stopped.
    upto: Mutex<Result<u64, String>>,
    moved: Condvar,
}

struct Batch {
    records: Vec<(u64, Record, String)>,
}

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS records (
  seq INTEGER PRIMARY KEY, time INTEGER NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL, object TEXT NOT NULL,
  outcome TEXT NOT NULL, source TEXT, decision TEXT, line TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS by_time ON records(time);
CREATE INDEX IF NOT EXISTS by_kind ON records(kind, seq);
CREATE INDEX IF NOT EXISTS by_subject ON records(subject, seq);
CREATE INDEX IF NOT EXISTS by_decision ON records(decision) WHERE decision IS NOT NULL;
PRAGMA user_version = 1;";

// === impl Index ===

impl Index {
    /// Opens the index and brings it up to the ledger's last whole block.
    pub(crate) fn open(path: &Path, ledger: &Path) -> Result<Self, LedgerError> {
        let mut writer = match connect(path) {
            Ok(connection) => connection,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the ledger index is unusable and is rebuilt");
                for suffix in ["", "-wal", "-shm"] {
                    let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
                }
                connect(path)?
            }
        };
        let upto = catch_up(&mut writer, ledger)?;
        let state = std::sync::Arc::new(State { upto: Mutex::new(Ok(upto)), moved: Condvar::new() });
        let (feed, batches) = mpsc::sync_channel::<Batch>(1024);
        let shared = state.clone();
        std::thread::Builder::new()
            .name("ledger-index".into())
            .spawn(move || {
                while let Ok(batch) = batches.recv() {
                    let result = insert(&mut writer, &batch.records).map_err(|e| e.to_string());
                    let mut upto = shared.upto.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    if upto.is_ok() {
                        *upto = result.map(|()| batch.records.last().map_or(0, |r| r.0));
                    }
                    shared.moved.notify_all();
                }
            })
            .map_err(|e| LedgerError::Query(e.to_string()))?;
        let reader = connect(path)?;
        Ok(Index { feed: Mutex::new(feed), reader: Mutex::new(reader), state })
    }

    /// Takes a committed batch; slow indexing slows commits rather than losing entries.
    pub(crate) fn feed(&self, first: u64, records: Vec<Record>, plain: &[u8], lines: &[Range<usize>]) {
        let records = records
            .into_iter()
            .zip(lines)
            .enumerate()
            .map(|(i, (record, line))| {
                let text = plain.get(line.clone()).map(|b| String::from_utf8_lossy(b).trim_end().to_owned());
                (first + i as u64, record, text.unwrap_or_default())
            })
            .collect();
        let feed = self.feed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let _ = feed.send(Batch { records });
    }

    /// Waits until the index has caught up with record `upto`.
    pub(crate) fn wait_for(&self, upto: u64) -> Result<(), LedgerError> {
        let mut have = self.state.upto.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
        loop {
            match &*have {
                Ok(n) if *n >= upto => return Ok(()),
                Err(e) => return Err(LedgerError::Query(format!("{e}; restart rebuilds it from the segments"))),
                Ok(n) if std::time::Instant::now() > until => {
                    return Err(LedgerError::Query(format!("is at record {n} and has not reached {upto} within 30 s")));
                }
                Ok(_) => {}
            }
            have = self
                .state
                .moved
                .wait_timeout(have, std::time::Duration::from_millis(200))
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .0;
        }
    }

    pub(crate) fn search(&self, query: &Query) -> Result<Vec<Found>, LedgerError> {
        let reader = self.reader.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut statement = reader.prepare_cached(
            "SELECT line FROM records WHERE (?1 IS NULL OR time >= ?1) AND (?2 IS NULL OR time <= ?2)
             AND (?3 IS NULL OR instr(subject, ?3) > 0) AND (?4 IS NULL OR instr(object, ?4) > 0)
             AND (?5 IS NULL OR kind = ?5) AND (?6 IS NULL OR outcome = ?6) AND (?7 IS NULL OR source = ?7)
             AND (?8 IS NULL OR decision = ?8) AND (?9 IS NULL OR seq < ?9) ORDER BY seq DESC LIMIT ?10",
        )?;
        let rows = statement.query_map(
            params![
                query.since,
                query.until,
                query.subject,
                query.object,
                query.kind.map(|k| k.as_str()),
                query.outcome,
                query.source,
                query.decision,
                query.before.map(|b| b as i64),
                query.limit.unwrap_or(100).min(10_000),
            ],
            |row| row.get::<_, String>(0),
        )?;
        rows.map(|line| serde_json::from_str(&line?).map_err(|e| LedgerError::Query(e.to_string()))).collect()
    }
}

fn connect(path: &Path) -> Result<Connection, LedgerError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // Derived data: losing the tail in a power cut costs a catch-up, not a record.
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.execute_batch(SCHEMA)?;
    Ok(connection)
}

/// Reads what the index lacks from the segments. An index ahead of the ledger is of another ledger
/// and is emptied.
fn catch_up(connection: &mut Connection, ledger: &Path) -> Result<u64, LedgerError> {
    let have: u64 = connection.query_row("SELECT coalesce(max(seq), 0) FROM records", [], |r| r.get::<_, i64>(0))? as u64;
    let (numbers, _) = segments::list(ledger)?;
    let mut firsts = Vec::new();
    for number in numbers {
        let path = segments::path(ledger, number);
        let file = std::fs::File::open(&path).map_err(|e| LedgerError::io(&path, e))?;
        let mut reader = Reader::new(std::io::BufReader::new(file));
        if let Ok(Some(opening)) = reader.next() {
            firsts.push((path, opening.header.first_record));
        }
    }
    let start = firsts.iter().rposition(|(_, first)| *first <= have + 1).unwrap_or(0);
    let mut last = 0;
    for (path, _) in firsts.iter().skip(start) {
        let file = std::fs::File::open(path).map_err(|e| LedgerError::io(path, e))?;
        let mut reader = Reader::new(std::io::BufReader::with_capacity(1 << 20, file));
        // A torn or damaged block ends the reading here; opening the ledger itself judges it.
        while let Ok(Some(found)) = reader.next() {
            let count = u64::from(found.header.records);
            last = last.max(found.header.first_record + count - 1);
            if !matches!(found.header.kind, BlockKind::Records | BlockKind::Compressed) || last <= have {
                continue;
            }
            let text = String::from_utf8_lossy(&found.plain);
            let mut rows = Vec::new();
            for line in text.lines() {
                let entry: Found = serde_json::from_str(line).map_err(|e| LedgerError::Query(e.to_string()))?;
                if entry.seq > have {
                    rows.push((entry.seq, entry.record, line.to_owned()));
                }
            }
            insert(connection, &rows)?;
        }
    }
    if have > last {
        connection.execute("DELETE FROM records", [])?;
        return if last == 0 { Ok(0) } else { catch_up(connection, ledger) };
    }
    Ok(last)
}

fn insert(connection: &mut Connection, rows: &[(u64, Record, String)]) -> Result<(), LedgerError> {
    let transaction = connection.transaction()?;
    {
        let mut statement =
            transaction.prepare_cached("INSERT OR REPLACE INTO records VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?;
        for (seq, record, line) in rows {
            let outcome = serde_json::to_value(record.outcome).ok();
            statement.execute(params![
                *seq as i64,
                record.time,
                record.kind.as_str(),
                record.subject.to_string(),
                record.object,
                outcome.as_ref().and_then(|v| v.as_str()),
                record.source.map(|s| s.to_string()),
                record.decision.as_ref().map(|d| d.0.as_str()),
                line,
            ])?;
        }
    }
    transaction.commit()?;
    Ok(())
}
