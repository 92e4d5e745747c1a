//! A second thread for malware rules.

use crate::analysis::MalwareHit;
use crate::engine::{MalwareEngine, MalwareFactory};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Larger files are not copied for another thread.
const MAX_COPY: usize = 1 << 20;
/// Files that wait for the second thread.
const QUEUE: usize = 16;
/// Bytes scanned before the second thread is woken: small layers are done sooner without it.
const WORTHWHILE: usize = 4 << 20;

/// Scans files here or on the second thread.
pub(super) struct MalwareScan<'a> {
    engine: &'a mut (dyn MalwareEngine + 'static),
    jobs: Option<SyncSender<Job>>,
    done: Vec<Scanned>,
    files: usize,
    bytes: usize,
}

/// What the rules said about one file, or one window of it.
pub(super) struct Scanned {
    /// Files are numbered as they come, so that the result does not depend on who was faster.
    number: usize,
    pub(super) path: String,
    pub(super) hits: Vec<MalwareHit>,
    pub(super) truncated: Vec<String>,
}

struct Job {
    number: usize,
    path: String,
    bytes: Vec<u8>,
}

/// Runs `work` with a scan that has a second thread, if one can be made; gives what `work` gave and
/// all results in order.
pub(super) fn with_help<T>(
    engine: &mut (dyn MalwareEngine + 'static),
    factory: Option<&MalwareFactory>,
    work: impl FnOnce(MalwareScan<'_>) -> (T, MalwareScan<'_>),
) -> (T, Vec<Scanned>) {
    std::thread::scope(|scope| {
        let (jobs, queue) = sync_channel(QUEUE);
        let helper = factory.map(|make| scope.spawn(move || help(make, &queue)));
        let jobs = helper.is_some().then_some(jobs);
        let (result, scan) = work(MalwareScan { engine, jobs, done: Vec::new(), files: 0, bytes: 0 });
        let MalwareScan { mut done, jobs, .. } = scan;
        // Ends the second thread once it has done what it has.
        drop(jobs);
        if let Some(helper) = helper {
            match helper.join() {
                Ok(others) => done.extend(others),
                // What kills a thread kills the worker, and that is the verdict.
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done.sort_by_key(|s| s.number);
        (result, done)
    })
}

fn help(make: &MalwareFactory, queue: &Receiver<Job>) -> Vec<Scanned> {
    let mut done = Vec::new();
    // Nothing is loaded before there is something to do.
    let Ok(first) = queue.recv() else { return done };
    let Ok(mut engine) = make() else {
        // The first thread made the same engine; without a second one it would lose this file.
        std::process::abort()
    };
    let mut next = Some(first);
    while let Some(job) = next {
        let (hits, truncated) = engine.scan(&job.path, &job.bytes);
        if !hits.is_empty() || !truncated.is_empty() {
            done.push(Scanned { number: job.number, path: job.path, hits, truncated });
        }
        next = queue.recv().ok();
    }
    done
}

impl MalwareScan<'_> {
    pub(super) fn wants(&self, path: &str, mode: u32, size: u64, head: &[u8]) -> bool {
        self.engine.wants(path, mode, size, head)
    }

    pub(super) fn scan(&mut self, path: &str, bytes: &[u8]) {
        let number = self.files;
        self.files += 1;
        self.bytes = self.bytes.saturating_add(bytes.len());
        if let Some(jobs) = self.jobs.as_ref().filter(|_| self.bytes > WORTHWHILE && bytes.len() <= MAX_COPY) {
            let job = Job { number, path: path.to_owned(), bytes: bytes.to_vec() };
            if jobs.try_send(job).is_ok() {
                return;
            }
        }
        let (hits, truncated) = self.engine.scan(path, bytes);
        if !hits.is_empty() || !truncated.is_empty() {
            self.done.push(Scanned { number, path: path.to_owned(), hits, truncated });
        }
    }
}
