//! A second thread for malware rules.
//!
//! Files are put on a shelf between the two threads while there is room. The second thread takes
//! from it; the first scans itself what has no room, and helps to clear the shelf at the end.

use crate::analysis::MalwareHit;
use crate::engine::{MalwareEngine, MalwareFactory};
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes of files that wait for the second thread or are with it. A longer file is not copied.
const MAX_WAITING: usize = 24 << 20;
/// Bytes scanned before the second thread is woken: small layers are done sooner without it.
const WORTHWHILE: usize = 1 << 20;

/// Scans files here or on the second thread.
pub(super) struct MalwareScan<'a> {
    engine: &'a mut (dyn MalwareEngine + 'static),
    shelf: Option<&'a Shelf>,
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

#[derive(Default)]
struct Shelf {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    bytes: usize,
    /// Nothing more will come.
    closed: bool,
}

/// Runs `work` with a scan that has a second thread, if one can be made; gives what `work` gave and
/// all results in order.
pub(super) fn with_help<T>(
    engine: &mut (dyn MalwareEngine + 'static),
    factory: Option<&MalwareFactory>,
    work: impl FnOnce(MalwareScan<'_>) -> (T, MalwareScan<'_>),
) -> (T, Vec<Scanned>) {
    let shelf = Shelf::default();
    std::thread::scope(|scope| {
        let helper = factory.map(|make| scope.spawn(|| help(make, &shelf)));
        // However the work ends, the second thread is to end as well.
        let closing = Closing(&shelf);
        let shared = helper.is_some().then_some(&shelf);
        let (result, mut scan) = work(MalwareScan { engine, shelf: shared, done: Vec::new(), files: 0, bytes: 0 });
        drop(closing);
        while let Some(job) = shelf.take_waiting() {
            scan.scan_here(job.number, &job.path, &job.bytes);
        }
        let mut done = scan.done;
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

fn help(make: &MalwareFactory, shelf: &Shelf) -> Vec<Scanned> {
    let mut done = Vec::new();
    // Nothing is loaded before there is something to do.
    let Some(first) = shelf.take() else { return done };
    let Ok(mut engine) = make() else {
        // The first thread made the same engine; without a second one it would lose this file.
        std::process::abort()
    };
    let mut next = Some(first);
    while let Some(job) = next {
        let (hits, truncated) = engine.scan(&job.path, &job.bytes);
        let length = job.bytes.len();
        drop(job.bytes);
        shelf.release(length);
        if !hits.is_empty() || !truncated.is_empty() {
            done.push(Scanned { number: job.number, path: job.path, hits, truncated });
        }
        next = shelf.take();
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
        let shelved = self.bytes > WORTHWHILE && self.shelf.is_some_and(|shelf| shelf.put(number, path, bytes));
        if !shelved {
            self.scan_here(number, path, bytes);
        }
    }

    fn scan_here(&mut self, number: usize, path: &str, bytes: &[u8]) {
        let (hits, truncated) = self.engine.scan(path, bytes);
        if !hits.is_empty() || !truncated.is_empty() {
            self.done.push(Scanned { number, path: path.to_owned(), hits, truncated });
        }
    }
}

impl Shelf {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Copies a file onto the shelf; false when it has no room.
    fn put(&self, number: usize, path: &str, bytes: &[u8]) -> bool {
        if self.lock().bytes + bytes.len() > MAX_WAITING {
            return false;
        }
        // One thread puts: the room is still there after the copy.
        let job = Job { number, path: path.to_owned(), bytes: bytes.to_vec() };
        let mut waiting = self.lock();
        waiting.bytes += job.bytes.len();
        waiting.jobs.push_back(job);
        drop(waiting);
        self.changed.notify_one();
        true
    }

    /// The next file, waiting for one; none once the shelf is closed and empty.
    fn take(&self) -> Option<Job> {
        let mut waiting = self.lock();
        loop {
            if let Some(job) = waiting.next() {
                return Some(job);
            }
            if waiting.closed {
                return None;
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A file that was taken is no longer in memory.
    fn release(&self, bytes: usize) {
        self.lock().bytes -= bytes;
    }

    fn take_waiting(&self) -> Option<Job> {
        self.lock().next()
    }
}

impl Waiting {
    fn next(&mut self) -> Option<Job> {
        self.jobs.pop_front()
    }
}

struct Closing<'a>(&'a Shelf);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
    }
}
