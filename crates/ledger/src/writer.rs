//! Appending: one thread owns the chain and commits what has gathered while it was syncing.

use crate::block::{self, Kind, Place};
use crate::heads::{Head, HeadLog};
use crate::index::{Found, Index, Query};
use crate::segments::{self, FORMAT, Opening, PUBLIC_KEY, ReadError, Reader, Seal};
use crate::LedgerError;
use jinwu_model::Record;
use jinwu_trust::{SigningKey, Twin};
use std::io::{Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, oneshot};

/// Where a ledger lives and when its segments are sealed.
#[derive(Clone, Debug)]
pub struct Config {
    /// Segments and public key, nothing else.
    pub dir: PathBuf,
    /// File of heads in a second place: another disk, a mounted share.
    pub heads: PathBuf,
    /// The search index; derived, may be deleted.
    pub index: PathBuf,
    pub key: SigningKey,
    /// A segment is sealed when it has grown beyond this many bytes …
    pub segment_bytes: u64,
    /// … or is older than this many milliseconds when a record arrives.
    pub segment_age: i64,
}

/// Handle to the ledger; clones share one writer. Dropping the last one flushes and ends it.
#[derive(Clone)]
pub struct Ledger {
    requests: mpsc::Sender<Request>,
    index: Arc<Index>,
    dir: PathBuf,
}

enum Request {
    Append(Vec<Record>, oneshot::Sender<Result<u64, LedgerError>>),
    Seal(oneshot::Sender<Result<(), LedgerError>>),
    Head(oneshot::Sender<Head>),
}

/// One commit gathers at most this many records.
const BATCH_RECORDS: usize = 16_384;
/// One record is at most this long; what is longer is cut by [`clip`].
const RECORD_BYTES: usize = 64 << 10;

struct Writer {
    config: Config,
    ledger: String,
    heads: HeadLog,
    file: std::fs::File,
    /// Number of the open segment, its length so far, when it was opened.
    segment: u64,
    length: u64,
    created: i64,
    /// Next block's place.
    next_block: u32,
    next_record: u64,
    last: Twin,
    index: Arc<Index>,
    /// A failed write left bytes behind that must go before the next one.
    dirty: bool,
}

// === impl Config ===

impl Config {
    /// The layout of an installation: `<data>/ledger`, heads in `<data>/ledger-heads`, index in `<data>/index`.
    pub fn under(data: &Path, key: SigningKey) -> Self {
        Config {
            dir: data.join("ledger"),
            heads: data.join("ledger-heads").join("heads.jsonl"),
            index: data.join("index").join("ledger.db"),
            key,
            segment_bytes: 64 << 20,
            segment_age: 24 * 3600 * 1000,
        }
    }
}

// === impl Ledger ===

impl Ledger {
    /// Opens or makes the ledger. What a crash left half written at the end is removed: it was never
    /// answered. Damage anywhere else, or to a block a head names, is an error.
    pub fn open(config: Config) -> Result<Self, LedgerError> {
        for dir in [Some(config.dir.as_path()), config.index.parent()].into_iter().flatten() {
            std::fs::create_dir_all(dir).map_err(|e| LedgerError::io(dir, e))?;
        }
        let public = config.dir.join(PUBLIC_KEY);
        let pem = config.key.verifying_key().to_pem();
        if std::fs::read_to_string(&public).ok().as_deref() != Some(pem.as_str()) {
            if public.exists() {
                return Err(LedgerError::Damaged {
                    path: public.display().to_string(),
                    offset: 0,
                    detail: "the public key there is not the one of the signing key in use".into(),
                });
            }
            jinwu_trust::files::write(&public, pem.as_bytes(), 0o644)?;
        }
        let heads = HeadLog::open(&config.heads)?;
        let index = Arc::new(Index::open(&config.index, &config.dir)?);
        let dir = config.dir.clone();
        let writer = Writer::open(config, heads, index.clone())?;
        let (requests, receiver) = mpsc::channel(8192);
        std::thread::Builder::new()
            .name("ledger".into())
            .spawn(move || writer.run(receiver))
            .map_err(|e| LedgerError::Unwritable(e.to_string()))?;
        Ok(Ledger { requests, index, dir })
    }

    /// Appends records and returns the number of the last one, once all of them are on disk.
    pub async fn append(&self, records: Vec<Record>) -> Result<u64, LedgerError> {
        let (answer, wait) = oneshot::channel();
        self.requests.send(Request::Append(records, answer)).await.map_err(|_| gone())?;
        wait.await.map_err(|_| gone())?
    }

    /// The same from a thread without a runtime.
    pub fn append_blocking(&self, records: Vec<Record>) -> Result<u64, LedgerError> {
        let (answer, wait) = oneshot::channel();
        self.requests.blocking_send(Request::Append(records, answer)).map_err(|_| gone())?;
        wait.blocking_recv().map_err(|_| gone())?
    }

    /// Seals the open segment now and begins the next one.
    pub async fn seal(&self) -> Result<(), LedgerError> {
        let (answer, wait) = oneshot::channel();
        self.requests.send(Request::Seal(answer)).await.map_err(|_| gone())?;
        wait.await.map_err(|_| gone())?
    }

    /// The chain's present head, for a further place of safekeeping.
    pub async fn head(&self) -> Result<Head, LedgerError> {
        let (answer, wait) = oneshot::channel();
        self.requests.send(Request::Head(answer)).await.map_err(|_| gone())?;
        wait.await.map_err(|_| gone())
    }

    /// Searches; sees everything appended before the call.
    pub async fn search(&self, query: Query) -> Result<Vec<Found>, LedgerError> {
        let upto = self.head().await?.records;
        let index = self.index.clone();
        tokio::task::spawn_blocking(move || {
            index.wait_for(upto)?;
            index.search(&query)
        })
        .await
        .map_err(|e| LedgerError::Query(e.to_string()))?
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

fn gone() -> LedgerError {
    LedgerError::Unwritable("its writer has stopped".into())
}

// === impl Writer ===

impl Writer {
    fn open(config: Config, heads: HeadLog, index: Arc<Index>) -> Result<Self, LedgerError> {
        let (numbers, _) = segments::list(&config.dir)?;
        let Some(&segment) = numbers.last() else {
            return Writer::first(config, heads, index);
        };
        let path = segments::path(&config.dir, segment);
        let committed = Head::read_all(&config.heads)?.into_iter().filter(|h| h.segment == segment).map(|h| h.block).max();
        let tail = read_tail(&path, committed)?;
        let Some(opening) = tail.opening else {
            // Crash between creating the file and writing its first block: begin it anew.
            std::fs::remove_file(&path).map_err(|e| LedgerError::io(&path, e))?;
            return Writer::open(config, heads, index);
        };
        let mut file = std::fs::OpenOptions::new().read(true).write(true).open(&path).map_err(|e| LedgerError::io(&path, e))?;
        file.set_len(tail.length).map_err(|e| LedgerError::io(&path, e))?;
        file.seek(std::io::SeekFrom::End(0)).map_err(|e| LedgerError::io(&path, e))?;
        let mut writer = Writer {
            ledger: opening.ledger,
            heads,
            file,
            segment,
            length: tail.length,
            created: opening.created,
            next_block: tail.next_block,
            next_record: tail.next_record,
            last: tail.last,
            index,
            dirty: false,
            config,
        };
        if tail.sealed {
            writer.begin(segment + 1)?;
        }
        Ok(writer)
    }

    fn first(config: Config, heads: HeadLog, index: Arc<Index>) -> Result<Self, LedgerError> {
        let path = segments::path(&config.dir, 1);
        let file = create(&path)?;
        let ledger = format!("{:016x}", u64::from_le_bytes(jinwu_trust::random::bytes::<8>()));
        let mut writer = Writer {
            config, ledger, heads, file, segment: 0, length: 0, created: 0, next_block: 0, next_record: 1, last: Twin::ZERO, index,
            dirty: false,
        };
        std::fs::remove_file(&path).map_err(|e| LedgerError::io(&path, e))?;
        writer.begin(1)?;
        Ok(writer)
    }

    fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut heads_synced = std::time::Instant::now();
        while let Some(request) = requests.blocking_recv() {
            let mut records = Vec::new();
            let mut waiting = Vec::new();
            let mut other = None;
            let mut next = Some(request);
            while let Some(request) = next {
                match request {
                    Request::Append(batch, answer) => {
                        records.extend(batch);
                        waiting.push((records.len() as u64, answer));
                    }
                    request => {
                        other = Some(request);
                        break;
                    }
                }
                next = if records.len() < BATCH_RECORDS { requests.try_recv().ok() } else { None };
            }
            if !waiting.is_empty() {
                let first = self.next_record;
                let result = self.commit(records);
                for (upto, answer) in waiting {
                    let _ = answer.send(match &result {
                        Ok(()) => Ok(first + upto - 1),
                        Err(e) => Err(LedgerError::Unwritable(e.to_string())),
                    });
                }
            }
            match other {
                Some(Request::Seal(answer)) => {
                    let _ = answer.send(self.seal());
                }
                Some(Request::Head(answer)) => {
                    let _ = answer.send(self.head());
                }
                _ => {}
            }
            if heads_synced.elapsed().as_millis() > 1000 {
                self.heads.sync();
                heads_synced = std::time::Instant::now();
            }
        }
        self.heads.sync();
    }

    fn head(&self) -> Head {
        Head::sign(&self.config.key, &self.ledger, self.segment, self.next_block.saturating_sub(1), self.next_record - 1, self.last)
    }

    fn commit(&mut self, records: Vec<Record>) -> Result<(), LedgerError> {
        if records.is_empty() {
            return Ok(());
        }
        if self.length > self.config.segment_bytes || now() - self.created > self.config.segment_age {
            self.seal()?;
        }
        let mut plain = Vec::with_capacity(records.len() * 320);
        let mut lines = Vec::with_capacity(records.len());
        for (i, record) in records.iter().enumerate() {
            let start = plain.len();
            write_line(&mut plain, self.next_record + i as u64, record);
            lines.push(start..plain.len());
        }
        self.write(Kind::Records, records.len() as u32, &plain)?;
        let first = self.next_record - records.len() as u64;
        self.index.feed(first, records, &plain, &lines);
        Ok(())
    }

    /// Writes one block durably, or leaves the file as it was.
    fn write(&mut self, kind: Kind, records: u32, plain: &[u8]) -> Result<(), LedgerError> {
        let path = segments::path(&self.config.dir, self.segment);
        if self.dirty {
            self.file.set_len(self.length).map_err(|e| LedgerError::io(&path, e))?;
            self.file.seek(std::io::SeekFrom::Start(self.length)).map_err(|e| LedgerError::io(&path, e))?;
            self.dirty = false;
        }
        let place = Place { first_record: self.next_record, number: self.next_block, previous: self.last };
        let encoded = block::encode(kind, place, records, plain);
        self.dirty = true;
        self.file.write_all(&encoded.bytes).map_err(|e| LedgerError::io(&path, e))?;
        self.file.sync_data().map_err(|e| LedgerError::io(&path, e))?;
        self.dirty = false;
        self.length += encoded.bytes.len() as u64;
        self.next_block += 1;
        self.next_record += u64::from(records);
        self.last = encoded.own;
        self.heads.append(&self.head())?;
        Ok(())
    }

    fn seal(&mut self) -> Result<(), LedgerError> {
        use base64::Engine as _;
        let mut seal = Seal {
            ledger: self.ledger.clone(),
            segment: self.segment,
            records: self.next_record - 1,
            sha256: hex::encode(self.last.sha256),
            sm3: hex::encode(self.last.sm3),
            sealed: now(),
            key: self.config.key.verifying_key().id(),
            signature: String::new(),
        };
        seal.signature = base64::engine::general_purpose::STANDARD.encode(self.config.key.sign(seal.message().as_bytes()));
        self.write(Kind::Seal, 0, &serde_json::to_vec(&seal).unwrap_or_default())?;
        self.begin(self.segment + 1)?;
        self.heads.compact()
    }

    fn begin(&mut self, segment: u64) -> Result<(), LedgerError> {
        self.file = create(&segments::path(&self.config.dir, segment))?;
        self.segment = segment;
        self.length = 0;
        self.next_block = 0;
        self.created = now();
        self.dirty = false;
        let opening = Opening {
            format: FORMAT.into(),
            ledger: self.ledger.clone(),
            segment,
            created: self.created,
            key: self.config.key.verifying_key().id(),
        };
        self.write(Kind::Opening, 0, &serde_json::to_vec(&opening).unwrap_or_default())?;
        let dir = &self.config.dir;
        std::fs::File::open(dir).and_then(|d| d.sync_all()).map_err(|e| LedgerError::io(dir, e))
    }
}

/// `{"seq":N,` followed by the record's own members. A record beyond the bound loses its details,
/// and says so.
fn write_line(out: &mut Vec<u8>, seq: u64, record: &Record) {
    let start = out.len();
    let _ = write!(out, "{{\"seq\":{seq},");
    let body = out.len();
    let _ = serde_json::to_writer(&mut *out, record);
    if out.len() - start > RECORD_BYTES {
        out.truncate(body);
        let _ = serde_json::to_writer(&mut *out, &clip(record));
    }
    out.remove(body);
    out.push(b'\n');
}

fn clip(record: &Record) -> Record {
    let mut short = record.clone();
    let size = serde_json::to_vec(&record.detail).map_or(0, |v| v.len());
    short.detail = std::collections::BTreeMap::new();
    short.object = short.object.chars().take(2000).collect();
    short.action = short.action.chars().take(200).collect();
    short.subject.name = short.subject.name.chars().take(500).collect();
    short.with("clipped", format!("{size} bytes of details were beyond the bound of a record"))
}

struct Tail {
    opening: Option<Opening>,
    length: u64,
    next_block: u32,
    next_record: u64,
    last: Twin,
    sealed: bool,
}

/// Walks the last segment to its last whole block. `committed`: the last block a head names.
fn read_tail(path: &Path, committed: Option<u32>) -> Result<Tail, LedgerError> {
    let file = std::fs::File::open(path).map_err(|e| LedgerError::io(path, e))?;
    let mut reader = Reader::new(std::io::BufReader::with_capacity(1 << 20, file));
    let mut tail = Tail { opening: None, length: 0, next_block: 0, next_record: 1, last: Twin::ZERO, sealed: false };
    let damaged = |offset, detail: String| LedgerError::Damaged { path: path.display().to_string(), offset, detail };
    loop {
        match reader.next() {
            Ok(None) => break,
            Ok(Some(found)) => {
                let h = &found.header;
                if tail.opening.is_none() {
                    let opening = serde_json::from_slice(&found.plain).map_err(|e| damaged(found.offset, e.to_string()))?;
                    tail.opening = Some(opening);
                } else if h.previous != tail.last {
                    return Err(damaged(found.offset, "block does not follow the one before it".into()));
                }
                tail.sealed = h.kind == Kind::Seal;
                tail.length = found.offset + h.length();
                tail.next_block = h.number + 1;
                tail.next_record = h.first_record + u64::from(h.records);
                tail.last = h.own;
            }
            Err(ReadError::Io(e)) => return Err(LedgerError::io(path, e)),
            Err(ReadError::Block(fault)) => {
                if committed.is_some_and(|block| block >= tail.next_block) {
                    return Err(damaged(tail.length, format!("block {} was committed: {}", tail.next_block, fault)));
                }
                tracing::warn!(path = %path.display(), offset = tail.length, %fault, "removing what a crash left half written");
                break;
            }
        }
    }
    if tail.opening.is_some() && committed.is_some_and(|block| block >= tail.next_block) {
        return Err(damaged(tail.length, format!("the file ends before block {}, which a head says was committed", tail.next_block)));
    }
    Ok(tail)
}

fn create(path: &Path) -> Result<std::fs::File, LedgerError> {
    std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o640)
        .open(path)
        .map_err(|e| LedgerError::io(path, e))
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}
