//! Upload sessions: bytes are hashed and written in one pass; a session survives a restart.

use crate::failpoint;
use crate::seam::Feed;
use crate::store::{self, Hasher};
use crate::{Config, RegistryError};
use bytes::Bytes;
use jinwu_model::{Algorithm, Digest, RepositoryName};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::{IoSlice, Seek, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is remembered of a session beside its bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Info {
    pub repository: RepositoryName,
    pub uploader: String,
    pub algorithm: Algorithm,
    pub started: i64,
}

/// One upload: a file, its running hash, and who looks on.
pub struct Session {
    pub info: Info,
    pub path: PathBuf,
    pub offset: u64,
    file: std::fs::File,
    hasher: Hasher,
    early: Early,
    pub feed: Box<dyn Feed>,
}

/// Large uploads are written back while they arrive, so that little is left for the sync at the end.
#[derive(Default)]
struct Early {
    /// Bytes already given to the disk or about to be.
    upto: u64,
    busy: Arc<AtomicBool>,
}

/// Bytes between two early write-backs.
const EARLY: u64 = 16 << 20;

type Shared = Arc<tokio::sync::Mutex<Option<Session>>>;

pub struct Uploads {
    dir: PathBuf,
    limit: usize,
    open: Mutex<HashMap<String, (Info, Shared)>>,
}

/// Why a session cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    #[error("no such upload")]
    Unknown,
    #[error("too many uploads open at once; finish or cancel some")]
    TooMany,
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

// === impl Info ===

impl Info {
    fn belongs(&self, repository: &RepositoryName, uploader: &str) -> bool {
        self.repository == *repository && self.uploader == uploader
    }
}

// === impl Uploads ===

impl Uploads {
    /// Sessions idle for too long go; the rest can be resumed.
    pub fn open(config: &Config) -> Result<Self, RegistryError> {
        let dir = config.root.join("uploads");
        let failed = |source| RegistryError::Io { path: dir.display().to_string(), source };
        let oldest = std::time::SystemTime::now() - std::time::Duration::from_millis(config.session_idle.unsigned_abs());
        for entry in std::fs::read_dir(&dir).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let stale = path.metadata().and_then(|m| m.modified()).is_ok_and(|t| t < oldest);
            let data = path.with_extension("json");
            if stale || (path.extension().is_none() && !data.exists()) {
                let _ = std::fs::remove_file(&path);
            }
        }
        Ok(Uploads { dir, limit: config.sessions_per_subject, open: Mutex::new(HashMap::new()) })
    }

    /// A fresh session. `lasting`: it may be resumed later; a single POST needs no such thing.
    pub fn create(&self, info: Info, lasting: bool, feed: impl FnOnce(PathBuf, u64) -> Box<dyn Feed>) -> Result<(String, Session), UploadError> {
        if lasting && self.open.lock().values().filter(|(i, _)| i.uploader == info.uploader).count() >= self.limit {
            return Err(UploadError::TooMany);
        }
        let id = uuid::Uuid::now_v7().to_string();
        let path = self.dir.join(&id);
        if lasting {
            std::fs::write(path.with_extension("json"), serde_json::to_vec(&info).unwrap_or_default())?;
        }
        let file = std::fs::OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        failpoint::hit("upload.after-create");
        let feed = feed(path.clone(), 0);
        let session = Session { hasher: Hasher::new(info.algorithm), info, path, offset: 0, file, early: Early::default(), feed };
        Ok((id, session))
    }

    pub fn keep(&self, id: &str, session: Session) -> Shared {
        let info = session.info.clone();
        let shared = Arc::new(tokio::sync::Mutex::new(Some(session)));
        self.open.lock().insert(id.to_owned(), (info, shared.clone()));
        shared
    }

    /// A session that is open in this process; `None` when it may be one from before a restart.
    pub fn opened(&self, id: &str, repository: &RepositoryName, uploader: &str) -> Option<Result<Shared, UploadError>> {
        let open = self.open.lock();
        let (info, shared) = open.get(id)?;
        Some(if info.belongs(repository, uploader) { Ok(shared.clone()) } else { Err(UploadError::Unknown) })
    }

    /// A session by its id: open, or from before a restart (its bytes are hashed again; call it off
    /// the async threads).
    pub fn find(
        &self,
        id: &str,
        repository: &RepositoryName,
        uploader: &str,
        feed: impl FnOnce(PathBuf, u64) -> Box<dyn Feed>,
    ) -> Result<Shared, UploadError> {
        if let Some(open) = self.opened(id, repository, uploader) {
            return open;
        }
        if uuid::Uuid::parse_str(id).is_err() {
            return Err(UploadError::Unknown);
        }
        let path = self.dir.join(id);
        let text = std::fs::read(path.with_extension("json")).map_err(|_| UploadError::Unknown)?;
        let info: Info = serde_json::from_slice(&text).map_err(|_| UploadError::Unknown)?;
        if !info.belongs(repository, uploader) {
            return Err(UploadError::Unknown);
        }
        let (hasher, offset) = store::hash_file(&path, info.algorithm)?;
        let mut file = std::fs::OpenOptions::new().read(true).write(true).open(&path)?;
        file.seek(std::io::SeekFrom::End(0))?;
        let feed = feed(path.clone(), offset);
        let session = Session { info, path, offset, file, hasher, early: Early { upto: offset, ..Early::default() }, feed };
        let mut open = self.open.lock();
        // Two requests may have come this far: the first one's session counts.
        if let Some((_, shared)) = open.get(id) {
            return Ok(shared.clone());
        }
        let info = session.info.clone();
        let shared = Arc::new(tokio::sync::Mutex::new(Some(session)));
        open.insert(id.to_owned(), (info, shared.clone()));
        Ok(shared)
    }

    /// The session is over; its files go unless they were moved.
    pub fn end(&self, id: &str) {
        self.open.lock().remove(id);
        let path = self.dir.join(id);
        let _ = std::fs::remove_file(path.with_extension("json"));
        let _ = std::fs::remove_file(path);
    }
}

// === impl Session ===

impl Session {
    /// Appends chunks in one call; on an error the file is cut back to what is known good, so the
    /// client can resume.
    pub fn write(&mut self, chunks: &[Bytes]) -> std::io::Result<()> {
        if let Err(error) = write_all(&mut self.file, chunks) {
            let _ = self.file.set_len(self.offset);
            let _ = self.file.seek(std::io::SeekFrom::Start(self.offset));
            return Err(error);
        }
        for chunk in chunks {
            self.hasher.update(chunk);
            self.offset += chunk.len() as u64;
        }
        failpoint::hit("upload.after-write");
        self.feed.available(self.offset);
        self.early.advance(&self.path, self.offset);
        Ok(())
    }

    /// Syncs the data and gives its digest in the wanted algorithm. Off the async threads.
    pub fn settle(&mut self, wanted: Algorithm) -> std::io::Result<Option<Digest>> {
        failpoint::hit("blob.before-sync");
        self.file.sync_data()?;
        failpoint::hit("blob.after-sync");
        if wanted == self.hasher.algorithm() {
            return Ok(self.hasher.clone().finish());
        }
        Ok(store::hash_file(&self.path, wanted)?.0.finish())
    }
}

// === impl Early ===

impl Early {
    /// One write-back at a time, on a thread of its own. It has a descriptor of its own too: an error
    /// it meets is reported to the session's descriptor all the same (`fsync(2)`), by the sync that
    /// counts.
    fn advance(&mut self, path: &std::path::Path, offset: u64) {
        if offset.saturating_sub(self.upto) < EARLY || self.busy.load(Ordering::Acquire) {
            return;
        }
        let (Ok(file), Ok(runtime)) = (std::fs::File::open(path), tokio::runtime::Handle::try_current()) else { return };
        self.upto = offset;
        self.busy.store(true, Ordering::Release);
        let busy = self.busy.clone();
        runtime.spawn_blocking(move || {
            let _ = file.sync_data();
            busy.store(false, Ordering::Release);
        });
    }
}

/// `write_all` over several pieces.
fn write_all(file: &mut std::fs::File, chunks: &[Bytes]) -> std::io::Result<()> {
    let mut pieces: Vec<IoSlice<'_>> = chunks.iter().filter(|c| !c.is_empty()).map(|c| IoSlice::new(c)).collect();
    let mut left = pieces.as_mut_slice();
    while !left.is_empty() {
        match file.write_vectored(left) {
            Ok(0) => return Err(std::io::ErrorKind::WriteZero.into()),
            Ok(n) => IoSlice::advance_slices(&mut left, n),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
