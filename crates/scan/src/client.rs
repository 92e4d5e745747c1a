//! The parent's side of the scan worker: a pool of `jinwu-scan worker` processes.
//!
//! Image content is hostile, so it is read in another process that can do nothing but read it. This
//! module starts those processes, hands them open files and messages, watches their memory and their
//! time, and replaces the ones that die. It never looks inside an image. What a worker's death,
//! slowness or growth means for a layer is an [`LayerOutcome::Unscannable`] — never silence.
//!
//! A layer is analysed while it arrives: [`Pool::analyze`] takes the file an upload writes to and a
//! [`Progress`] to say how much of it may be read by now. When more is asked than workers are free,
//! jobs wait in a bounded queue and read the stored file later; a slow upload that holds a worker
//! while others wait gives it up and is read again when it is complete.

mod process;
mod run;

use crate::protocol::LayerHeader;
use bytes::Bytes;
use jinwu_model::Digest;
use jinwu_model::report::{Engines, ImageReport, Unscannable, UnscannableReason};
use parking::Lock;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{Mutex, mpsc, oneshot, watch};

/// How a pool is made.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// The `jinwu-scan` binary.
    pub program: PathBuf,
    /// What makes it a worker: `["worker"]`.
    pub arguments: Vec<OsString>,
    /// The worker's whole environment; it inherits nothing.
    pub environment: Vec<(OsString, OsString)>,
    /// Processes, at least 1.
    pub workers: usize,
    /// Start all of them at once; otherwise the second and further ones when there is work for them.
    pub eager: bool,
    /// Jobs that may wait for a worker; more are answered [`LayerOutcome::Busy`].
    pub queue: usize,
    /// Resident bytes a worker may grow to before it is killed.
    pub memory_limit: u64,
    /// Longest time without an answer, counted from the last byte that became available.
    pub layer_timeout: Duration,
    /// Longest time a worker may take to load its rules.
    pub start_timeout: Duration,
    /// How long an unfinished upload may hold a worker that others wait for.
    pub patience: Duration,
}

/// Why there is no pool.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    #[error("scan worker {program} cannot be started: {detail}; check that the jinwu-scan binary of this version is there")]
    Start { program: String, detail: String },
}

/// Running workers; clones share them. Dropping the last clone ends them.
#[derive(Clone)]
pub struct Pool {
    jobs: mpsc::Sender<Job>,
    shared: Arc<Shared>,
}

/// What the analysis of one layer came to.
#[derive(Clone, Debug, PartialEq)]
pub enum LayerOutcome {
    /// `bytes` is the serialised [`LayerAnalysis`](crate::analysis::LayerAnalysis): opaque, to be
    /// kept by layer digest and engines and handed back to [`Pool::compose`].
    Analysis { bytes: Bytes, diff_id: Digest },
    /// The bytes are no tar, gzip or zstd: not something a runtime unpacks.
    NotALayer,
    Unscannable { reason: UnscannableReason, detail: String },
    /// The queue was full; nothing was read. Ask again later.
    Busy { detail: String },
}

/// Tells the worker how much of a growing file it may read. Never blocks. Dropping it before
/// [`Progress::finished`] aborts the analysis.
pub struct Progress {
    state: watch::Sender<Upload>,
}

/// The answer to come.
pub struct Pending(oneshot::Receiver<LayerOutcome>);

/// One image, everything but its layers' bytes.
#[derive(Clone, Debug)]
pub struct ComposeRequest {
    /// Digest of the manifest.
    pub image: Digest,
    pub manifest: Bytes,
    pub manifest_media_type: String,
    pub config: Bytes,
    pub config_media_type: String,
    /// In manifest order, lowest first.
    pub layers: Vec<(LayerDescriptor, LayerOutcome)>,
}

/// A layer as the manifest lists it.
#[derive(Clone, Debug)]
pub struct LayerDescriptor {
    pub digest: Digest,
    pub size: u64,
    pub media_type: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Upload {
    available: u64,
    finished: Option<u64>,
    aborted: bool,
}

enum Job {
    Layer(LayerJob),
    Compose(ComposeJob),
}

struct LayerJob {
    file: File,
    digest: Option<Digest>,
    upload: watch::Receiver<Upload>,
    answer: oneshot::Sender<LayerOutcome>,
}

struct ComposeJob {
    request: ComposeRequest,
    answer: oneshot::Sender<Result<ImageReport, Unscannable>>,
}

/// What all workers of a pool have in common.
struct Shared {
    config: PoolConfig,
    /// Jobs in the queue, and workers that wait for one.
    waiting: AtomicUsize,
    idle: AtomicUsize,
    status: Lock<Status>,
}

#[derive(Default)]
struct Status {
    engines: Engines,
    warnings: Vec<String>,
    /// By slot.
    pids: BTreeMap<usize, u32>,
}

// === impl PoolConfig ===

impl PoolConfig {
    /// Two workers of 1 GiB at most, 64 waiting jobs, two minutes per layer.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        PoolConfig {
            program: program.into(),
            arguments: vec!["worker".into()],
            environment: Vec::new(),
            workers: 2,
            eager: true,
            queue: 64,
            memory_limit: 1 << 30,
            layer_timeout: Duration::from_secs(120),
            start_timeout: Duration::from_secs(60),
            patience: Duration::from_secs(5),
        }
    }
}

// === impl Pool ===

impl Pool {
    /// Starts the workers and waits until they have loaded their rules and locked themselves in.
    pub async fn start(config: PoolConfig) -> Result<Self, PoolError> {
        let workers = config.workers.max(1);
        let (jobs, queue) = mpsc::channel(config.queue.max(1));
        let shared = Arc::new(Shared { config, waiting: AtomicUsize::new(0), idle: AtomicUsize::new(0), status: Lock::default() });
        let mut starting = tokio::task::JoinSet::new();
        let at_once = if shared.config.eager { workers } else { 1 };
        for slot in 0..at_once {
            let shared = shared.clone();
            starting.spawn(async move { (slot, process::Worker::start(&shared, slot).await) });
        }
        let mut ready = BTreeMap::new();
        while let Some(result) = starting.join_next().await {
            let program = || shared.config.program.display().to_string();
            let (slot, worker) = result.map_err(|e| PoolError::Start { program: program(), detail: e.to_string() })?;
            ready.insert(slot, worker.map_err(|detail| PoolError::Start { program: program(), detail })?);
        }
        let queue = Arc::new(Mutex::new(queue));
        for slot in 0..workers {
            tokio::spawn(run::slot(slot, ready.remove(&slot), queue.clone(), jobs.downgrade(), shared.clone()));
        }
        Ok(Pool { jobs, shared })
    }

    /// Versions of everything that may change an answer, as the workers report them.
    pub fn engines(&self) -> Engines {
        self.shared.status.lock().engines.clone()
    }

    /// What of the sandbox this kernel could not provide; empty when all of it stands.
    pub fn warnings(&self) -> Vec<String> {
        self.shared.status.lock().warnings.clone()
    }

    /// Process ids of the workers alive now.
    pub fn pids(&self) -> Vec<u32> {
        self.shared.status.lock().pids.values().copied().collect()
    }

    /// Analyses a layer that is being written to `file` (only read here, at its own offsets). Nothing
    /// is read before [`Progress`] says it is there. With `digest`, the bytes must hash to it.
    pub fn analyze(&self, file: File, digest: Option<Digest>) -> (Progress, Pending) {
        let (state, upload) = watch::channel(Upload::default());
        let (answer, pending) = oneshot::channel();
        self.submit(Job::Layer(LayerJob { file, digest, upload, answer }));
        (Progress { state }, Pending(pending))
    }

    /// Analyses a complete file.
    pub fn analyze_stored(&self, file: File, size: u64, digest: Option<Digest>) -> Pending {
        let (progress, pending) = self.analyze(file, digest);
        progress.finished(size);
        pending
    }

    /// Puts the layers of one image together and matches its packages.
    pub async fn compose(&self, request: ComposeRequest) -> Result<ImageReport, Unscannable> {
        let (answer, wait) = oneshot::channel();
        self.submit(Job::Compose(ComposeJob { request, answer }));
        wait.await.unwrap_or_else(|_| Err(unscannable(UnscannableReason::WorkerCrashed, "the scan pool has ended".into())))
    }

    fn submit(&self, job: Job) {
        self.shared.waiting.fetch_add(1, Ordering::Relaxed);
        if let Err(refused) = self.jobs.try_send(job) {
            self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
            let detail = format!("{} scans wait already; try again later or raise the number of workers", self.shared.config.queue);
            match refused.into_inner() {
                Job::Layer(job) => drop(job.answer.send(LayerOutcome::Busy { detail })),
                Job::Compose(job) => drop(job.answer.send(Err(unscannable(UnscannableReason::TimedOut, detail)))),
            }
        }
    }
}

fn unscannable(reason: UnscannableReason, detail: String) -> Unscannable {
    Unscannable { layer: None, reason, detail }
}

// === impl Progress ===

impl Progress {
    /// Bytes up to here can be read.
    pub fn available(&self, upto: u64) {
        self.state.send_if_modified(|s| {
            let grows = s.finished.is_none() && upto > s.available;
            s.available = s.available.max(if grows { upto } else { 0 });
            grows
        });
    }

    /// The file is complete and `size` bytes long.
    pub fn finished(&self, size: u64) {
        self.state.send_if_modified(|s| {
            let first = s.finished.is_none();
            if first {
                s.available = size;
                s.finished = Some(size);
            }
            first
        });
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.state.send_if_modified(|s| {
            s.aborted = s.finished.is_none();
            s.aborted
        });
    }
}

// === impl Pending ===

impl Future for Pending {
    type Output = LayerOutcome;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<LayerOutcome> {
        Pin::new(&mut self.0).poll(context).map(|answer| {
            answer.unwrap_or_else(|_| LayerOutcome::Unscannable {
                reason: UnscannableReason::WorkerCrashed,
                detail: "the scan pool has ended".into(),
            })
        })
    }
}

// === impl LayerDescriptor ===

impl LayerDescriptor {
    fn header(&self, outcome: &LayerOutcome) -> LayerHeader {
        use crate::protocol::LayerState;
        let state = match outcome {
            LayerOutcome::Analysis { .. } => LayerState::Analysed,
            LayerOutcome::NotALayer => LayerState::NotALayer,
            LayerOutcome::Unscannable { reason, detail } => LayerState::Unscannable(*reason, detail.clone()),
            LayerOutcome::Busy { detail } => LayerState::Unscannable(UnscannableReason::TimedOut, detail.clone()),
        };
        LayerHeader { digest: self.digest.clone(), size: self.size, media_type: self.media_type.clone(), state }
    }
}

/// A lock whose holder cannot have panicked half-way: a poisoned one is simply taken over.
mod parking {
    #[derive(Default)]
    pub(super) struct Lock<T>(std::sync::Mutex<T>);

    impl<T> Lock<T> {
        pub(super) fn lock(&self) -> std::sync::MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
        }
    }
}
