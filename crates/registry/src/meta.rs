//! Metadata: SQLite, one writer with group commit, a pool of readers, a cache of hot manifests.
//!
//! Publishing a blob is part of the writer's turn (rename, directory sync, row), so collection,
//! which also takes a turn, never meets a file between its rename and its row.

mod reads;
mod writes;

pub use reads::{Descriptor, StoredManifest};
pub use writes::{ManifestRow, Published};

use crate::failpoint;
use crate::store::Store;
use parking_lot::{Mutex, RwLock};
use rusqlite::Connection;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{mpsc, oneshot};

#[derive(Debug, thiserror::Error)]
pub enum MetaError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error("{path}: {source}")]
    Io { path: String, source: std::io::Error },
    #[error("{0}")]
    Refused(String),
    #[error("the metadata writer has stopped")]
    Stopped,
}

impl MetaError {
    pub fn is_full(&self) -> bool {
        match self {
            MetaError::Sqlite(rusqlite::Error::SqliteFailure(e, _)) => e.code == rusqlite::ErrorCode::DiskFull,
            MetaError::Io { source, .. } => source.kind() == std::io::ErrorKind::StorageFull,
            _ => false,
        }
    }
}

type Run = Box<dyn FnOnce(&Connection) -> Result<(), MetaError> + Send>;
type Done = Box<dyn FnOnce(Result<(), MetaError>) + Send>;

/// One change: an optional file to move into place first, then rows.
struct Change {
    rename: Option<(PathBuf, PathBuf)>,
    run: Run,
    done: Done,
}

pub struct Meta {
    changes: mpsc::UnboundedSender<Change>,
    readers: Mutex<Vec<Connection>>,
    path: PathBuf,
    pub(crate) store: Store,
    /// (repository, reference text) → manifest. Emptied for a repository when it changes.
    hot: RwLock<HashMap<(String, String), Arc<StoredManifest>>>,
    /// Rises with every change of a manifest or tag: what was read before it is not kept as hot.
    epoch: AtomicU64,
}

const SCHEMA: &str = "
CREATE TABLE blob (digest TEXT PRIMARY KEY, size INTEGER NOT NULL, state INTEGER NOT NULL DEFAULT 0, lease INTEGER NOT NULL) STRICT;
CREATE TABLE link (repository TEXT NOT NULL, digest TEXT NOT NULL, uploader TEXT NOT NULL, PRIMARY KEY (repository, digest, uploader)) STRICT;
CREATE INDEX link_by_digest ON link(digest);
CREATE TABLE manifest (
  repository TEXT NOT NULL, digest TEXT NOT NULL, media_type TEXT NOT NULL, body BLOB NOT NULL, subject TEXT,
  artifact_type TEXT, annotations TEXT, pushed INTEGER NOT NULL, PRIMARY KEY (repository, digest)
) STRICT;
CREATE INDEX manifest_by_subject ON manifest(repository, subject) WHERE subject IS NOT NULL;
CREATE TABLE reference (repository TEXT NOT NULL, manifest TEXT NOT NULL, target TEXT NOT NULL, PRIMARY KEY (repository, manifest, target)) STRICT;
CREATE INDEX reference_by_target ON reference(target, repository);
CREATE TABLE tag (repository TEXT NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL, updated INTEGER NOT NULL, PRIMARY KEY (repository, name)) STRICT;
CREATE INDEX tag_by_digest ON tag(repository, digest);
PRAGMA user_version = 1;";

/// Hot manifests kept at most.
const HOT: usize = 4096;

impl Meta {
    pub fn open(path: &Path, store: Store) -> Result<Self, MetaError> {
        let mut writer = connect(path)?;
        let version: i64 = writer.query_row("PRAGMA user_version", [], |r| r.get(0))?;
        match version {
            0 => writer.execute_batch(SCHEMA)?,
            1 => {}
            newer => return Err(MetaError::Refused(format!("{} has format {newer}, made by a newer version", path.display()))),
        }
        let (changes, mut queue) = mpsc::unbounded_channel::<Change>();
        std::thread::Builder::new()
            .name("registry-meta".into())
            .spawn(move || {
                while let Some(first) = queue.blocking_recv() {
                    let mut batch = vec![first];
                    while batch.len() < 256 {
                        let Ok(next) = queue.try_recv() else { break };
                        batch.push(next);
                    }
                    turn(&mut writer, batch);
                }
            })
            .map_err(|source| MetaError::Io { path: "thread".into(), source })?;
        Ok(Meta { changes, readers: Mutex::new(Vec::new()), path: path.to_owned(), store, hot: RwLock::new(HashMap::new()), epoch: AtomicU64::new(0) })
    }

    /// Runs a change in the writer's next turn; returns when it is durable.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        rename: Option<(PathBuf, PathBuf)>,
        run: impl FnOnce(&Connection) -> Result<T, MetaError> + Send + 'static,
    ) -> Result<T, MetaError> {
        let (send, receive) = oneshot::channel();
        self.submit(rename, run, send)?;
        receive.await.map_err(|_| MetaError::Stopped)?
    }

    /// The same from a thread without a runtime (start-up).
    pub(crate) fn write_blocking<T: Send + 'static>(
        &self,
        run: impl FnOnce(&Connection) -> Result<T, MetaError> + Send + 'static,
    ) -> Result<T, MetaError> {
        let (send, receive) = oneshot::channel();
        self.submit(None, run, send)?;
        receive.blocking_recv().map_err(|_| MetaError::Stopped)?
    }

    fn submit<T: Send + 'static>(
        &self,
        rename: Option<(PathBuf, PathBuf)>,
        run: impl FnOnce(&Connection) -> Result<T, MetaError> + Send + 'static,
        send: oneshot::Sender<Result<T, MetaError>>,
    ) -> Result<(), MetaError> {
        let value = Arc::new(Mutex::new(None));
        let slot = value.clone();
        let change = Change {
            rename,
            run: Box::new(move |tx| {
                *slot.lock() = Some(run(tx)?);
                Ok(())
            }),
            done: Box::new(move |result| {
                let answer = result.and_then(|()| value.lock().take().ok_or(MetaError::Stopped));
                let _ = send.send(answer);
            }),
        };
        self.changes.send(change).map_err(|_| MetaError::Stopped)
    }

    pub(crate) fn read<T>(&self, run: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>) -> Result<T, MetaError> {
        let pooled = self.readers.lock().pop();
        let connection = match pooled {
            Some(c) => c,
            None => connect(&self.path)?,
        };
        let result = run(&connection);
        self.readers.lock().push(connection);
        Ok(result?)
    }

    pub(crate) fn forget(&self, repository: &str) {
        let mut hot = self.hot.write();
        self.epoch.fetch_add(1, Ordering::SeqCst);
        hot.retain(|(r, _), _| r != repository);
    }
}

/// One turn: files into place, their directories synced, then every change in one transaction.
fn turn(writer: &mut Connection, batch: Vec<Change>) {
    let mut outcomes: Vec<Result<(), MetaError>> = Vec::with_capacity(batch.len());
    let mut dirs = BTreeSet::new();
    for change in &batch {
        outcomes.push(match &change.rename {
            None => Ok(()),
            Some((from, to)) => {
                if let Some(dir) = to.parent() {
                    dirs.insert(dir.to_owned());
                }
                std::fs::rename(from, to).map_err(|source| MetaError::Io { path: from.display().to_string(), source })
            }
        });
    }
    let renamed = !dirs.is_empty();
    if renamed {
        failpoint::hit("blob.after-rename");
    }
    let failed = sync(&dirs.into_iter().collect::<Vec<_>>());
    if renamed {
        failpoint::hit("blob.after-dir-sync");
    }
    let mut dones: Vec<Done> = Vec::with_capacity(batch.len());
    let result = (|| -> Result<(), MetaError> {
        if let Some(error) = failed {
            return Err(error);
        }
        let mut tx = writer.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        for (change, outcome) in batch.into_iter().zip(&mut outcomes) {
            let run = change.run;
            dones.push(change.done);
            if outcome.is_err() {
                continue;
            }
            let savepoint = tx.savepoint()?;
            match run(&savepoint) {
                Ok(()) => savepoint.commit()?,
                Err(e) => {
                    drop(savepoint);
                    *outcome = Err(e);
                }
            }
        }
        failpoint::hit("meta.before-commit");
        tx.commit()?;
        failpoint::hit("meta.after-commit");
        Ok(())
    })();
    let overall = result.err().map(|e| (e.to_string(), e.is_full()));
    for (done, outcome) in dones.into_iter().zip(outcomes) {
        done(match (&overall, outcome) {
            (Some((text, full)), Ok(())) => Err(if *full {
                MetaError::Io { path: text.clone(), source: std::io::ErrorKind::StorageFull.into() }
            } else {
                MetaError::Refused(text.clone())
            }),
            (_, outcome) => outcome,
        });
    }
}

/// Syncs at once at most this many directories.
const SYNCS: usize = 8;

/// Syncs directories side by side: the journal commits them together, one after the other each
/// would wait for a commit of its own.
fn sync(dirs: &[PathBuf]) -> Option<MetaError> {
    let one = |dir: &PathBuf| -> Option<MetaError> {
        let result = std::fs::File::open(dir).and_then(|d| d.sync_all());
        result.err().map(|source| MetaError::Io { path: dir.display().to_string(), source })
    };
    let (first, rest) = dirs.split_first()?;
    if rest.is_empty() {
        return one(first);
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> = dirs
            .chunks(dirs.len().div_ceil(SYNCS))
            .map(|part| std::thread::Builder::new().name("registry-sync".into()).spawn_scoped(scope, move || part.iter().find_map(one)).map_err(|e| (e, part)))
            .collect();
        threads.into_iter().fold(None, |failed, thread| {
            let outcome = match thread {
                Ok(thread) => thread.join().unwrap_or_else(|_| Some(MetaError::Stopped)),
                // No thread to be had: here, then.
                Err((_, part)) => part.iter().find_map(one),
            };
            failed.or(outcome)
        })
    })
}

fn connect(path: &Path) -> Result<Connection, MetaError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(std::time::Duration::from_secs(30))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}
