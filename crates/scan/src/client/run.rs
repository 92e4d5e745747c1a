//! What a pool's slot does: take a job, see it through, replace the worker when it is lost.

use super::process::Worker;
use super::{ComposeJob, Job, LayerJob, LayerOutcome, Shared, Upload, unscannable};
use crate::protocol::{Request, Response};
use jinwu_model::report::{ImageReport, Unscannable, UnscannableReason};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;

/// Memory is looked at this often.
const TICK: Duration = Duration::from_millis(50);
/// Pause after a worker that could not be started.
const RESTART_PAUSE: Duration = Duration::from_secs(1);
/// An upload that brings at least this much within the patience keeps its worker.
const BRISK: u64 = 16 << 20;

/// How a job ended for the worker.
enum End<T> {
    /// Answered; the worker is free again.
    Answer(T),
    /// Given up for now; the worker is free again.
    Yielded,
    /// The worker is lost, and why.
    Lost(UnscannableReason, String),
}

/// Serves jobs with one worker at a time until the pool is dropped.
pub(super) async fn slot(
    slot: usize,
    first: Option<Worker>,
    queue: Arc<Mutex<mpsc::Receiver<Job>>>,
    jobs: mpsc::WeakSender<Job>,
    shared: Arc<Shared>,
) {
    let mut worker = first;
    loop {
        let ready = worker.is_some();
        if ready {
            shared.idle.fetch_add(1, Ordering::Relaxed);
        } else if !shared.config.eager && !needed(&jobs, &shared).await {
            return;
        }
        let next = queue.lock().await.recv().await;
        if ready {
            shared.idle.fetch_sub(1, Ordering::Relaxed);
        }
        let Some(job) = next else { return };
        shared.waiting.fetch_sub(1, Ordering::Relaxed);
        let mut current = match worker.take() {
            Some(w) => w,
            None => match Worker::start(&shared, slot).await {
                Ok(w) => w,
                Err(detail) => {
                    fail(job, UnscannableReason::WorkerCrashed, format!("no scan worker can be started: {detail}"));
                    tokio::time::sleep(RESTART_PAUSE).await;
                    continue;
                }
            },
        };
        let keep = match job {
            Job::Layer(job) => layer(&mut current, job, &jobs, &shared).await,
            Job::Compose(job) => compose(&mut current, job, &shared).await,
        };
        if keep {
            worker = Some(current);
        } else {
            current.kill().await;
            drop(current);
            worker = Worker::start(&shared, slot).await.map_err(|e| tracing::error!("scan worker not replaced: {e}")).ok();
        }
    }
}

/// Waits until more jobs wait than workers do, so that none is started for nothing. False when the
/// pool has ended.
async fn needed(jobs: &mpsc::WeakSender<Job>, shared: &Shared) -> bool {
    while shared.waiting.load(Ordering::Relaxed) <= shared.idle.load(Ordering::Relaxed) {
        if jobs.strong_count() == 0 {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    true
}

fn fail(job: Job, reason: UnscannableReason, detail: String) {
    match job {
        Job::Layer(job) => drop(job.answer.send(LayerOutcome::Unscannable { reason, detail })),
        Job::Compose(job) => drop(job.answer.send(Err(unscannable(reason, detail)))),
    }
}

/// Sees one layer through. Returns whether the worker can go on.
async fn layer(worker: &mut Worker, mut job: LayerJob, jobs: &mpsc::WeakSender<Job>, shared: &Arc<Shared>) -> bool {
    match follow(worker, &mut job, shared).await {
        End::Answer(outcome) => {
            let _ = job.answer.send(outcome);
            true
        }
        End::Yielded => {
            tokio::spawn(requeue(job, jobs.clone(), shared.clone()));
            true
        }
        End::Lost(reason, detail) => {
            let _ = job.answer.send(LayerOutcome::Unscannable { reason, detail });
            false
        }
    }
}

/// Waits until an upload that gave up its worker is complete, then puts it back in the queue.
async fn requeue(mut job: LayerJob, jobs: mpsc::WeakSender<Job>, shared: Arc<Shared>) {
    let complete = job.upload.wait_for(|u| u.finished.is_some() || u.aborted).await.is_ok();
    let aborted = !complete || job.upload.borrow().aborted;
    match jobs.upgrade() {
        Some(jobs) if !aborted => {
            shared.waiting.fetch_add(1, Ordering::Relaxed);
            if jobs.send(Job::Layer(job)).await.is_err() {
                shared.waiting.fetch_sub(1, Ordering::Relaxed);
            }
        }
        _ => drop(job.answer.send(aborted_outcome())),
    }
}

fn aborted_outcome() -> LayerOutcome {
    LayerOutcome::Unscannable { reason: UnscannableReason::Unreadable, detail: "the upload was given up before its end".into() }
}

async fn follow(worker: &mut Worker, job: &mut LayerJob, shared: &Arc<Shared>) -> End<LayerOutcome> {
    let config = &shared.config;
    let mut told: Upload = *job.upload.borrow_and_update();
    if told.aborted {
        return End::Answer(aborted_outcome());
    }
    let request = Request::Analyze { digest: job.digest.clone(), available: told.available, finished: told.finished };
    if let Err(detail) = worker.send(&request, Some(&job.file)).await {
        return lost(worker, detail).await;
    }
    let mut tick = tokio::time::interval(TICK);
    let mut last = Instant::now();
    let mut window = (Instant::now(), told.available);
    let mut aborting = false;
    loop {
        tokio::select! {
            response = worker.response() => match response {
                Some(Response::Analysis { diff_id, bytes }) => {
                    return End::Answer(LayerOutcome::Analysis { bytes: bytes.into(), diff_id });
                }
                Some(Response::NotALayer) => return End::Answer(LayerOutcome::NotALayer),
                Some(Response::Unscannable { reason, detail }) => return End::Answer(LayerOutcome::Unscannable { reason, detail }),
                Some(Response::Aborted) if job.upload.borrow().aborted => return End::Answer(aborted_outcome()),
                Some(Response::Aborted) => return End::Yielded,
                Some(_) => return End::Lost(UnscannableReason::WorkerCrashed, "the scan worker gave an answer to another question".into()),
                None => return lost(worker, String::new()).await,
            },
            changed = job.upload.changed(), if told.finished.is_none() && !aborting => {
                let now = *job.upload.borrow_and_update();
                let request = match now {
                    Upload { finished: Some(size), .. } => Request::Finished(size),
                    Upload { aborted: true, .. } => Request::Abort,
                    _ if changed.is_err() => Request::Abort,
                    Upload { available, .. } => Request::Available(available),
                };
                aborting = matches!(request, Request::Abort);
                told = now;
                last = Instant::now();
                if let Err(detail) = worker.send(&request, None).await {
                    return lost(worker, detail).await;
                }
            },
            _ = tick.tick() => {
                if let Some(end) = watch(worker, shared, last).await {
                    return end;
                }
                // A slow upload must not keep others from a worker, and one that stands still not even
                // an idle one: it is read again when it is complete.
                if told.finished.is_none() && !aborting && window.0.elapsed() > config.patience {
                    let slow = told.available.saturating_sub(window.1) < BRISK && shared.waiting.load(Ordering::Relaxed) > 0;
                    if slow || last.elapsed() > config.layer_timeout / 2 {
                        aborting = true;
                        last = Instant::now();
                        if let Err(detail) = worker.send(&Request::Abort, None).await {
                            return lost(worker, detail).await;
                        }
                    }
                    window = (Instant::now(), told.available);
                }
            },
        }
    }
}

/// Memory and time of a busy worker.
async fn watch<T>(worker: &mut Worker, shared: &Shared, last: Instant) -> Option<End<T>> {
    let config = &shared.config;
    if let Some(resident) = worker.resident().filter(|r| *r > config.memory_limit) {
        worker.kill().await;
        let detail = format!("the scan worker grew to {} MiB, {} MiB are allowed", resident >> 20, config.memory_limit >> 20);
        return Some(End::Lost(UnscannableReason::TooLarge, detail));
    }
    if last.elapsed() > config.layer_timeout {
        worker.kill().await;
        let detail = format!("no result within {} s", config.layer_timeout.as_secs_f32());
        return Some(End::Lost(UnscannableReason::TimedOut, detail));
    }
    None
}

async fn lost<T>(worker: &mut Worker, detail: String) -> End<T> {
    let end = worker.end().await;
    let separator = if detail.is_empty() { "" } else { ": " };
    End::Lost(UnscannableReason::WorkerCrashed, format!("the scan worker ended ({end}){separator}{detail}"))
}

/// Sees one composition through. Returns whether the worker can go on.
async fn compose(worker: &mut Worker, job: ComposeJob, shared: &Arc<Shared>) -> bool {
    match put_together(worker, &job, shared).await {
        End::Answer(report) => {
            let _ = job.answer.send(report);
            true
        }
        End::Yielded => true,
        End::Lost(reason, detail) => {
            let _ = job.answer.send(Err(unscannable(reason, detail)));
            false
        }
    }
}

async fn put_together(worker: &mut Worker, job: &ComposeJob, shared: &Arc<Shared>) -> End<Result<ImageReport, Unscannable>> {
    let r = &job.request;
    let begin = Request::ComposeBegin {
        image: r.image.clone(),
        manifest: r.manifest.to_vec(),
        manifest_media_type: r.manifest_media_type.clone(),
        config: r.config.to_vec(),
        config_media_type: r.config_media_type.clone(),
        layers: r.layers.iter().map(|(descriptor, outcome)| descriptor.header(outcome)).collect(),
    };
    let analyses = r.layers.iter().filter_map(|(_, outcome)| match outcome {
        LayerOutcome::Analysis { bytes, .. } => Some(Request::ComposeLayer(bytes.to_vec())),
        _ => None,
    });
    for request in std::iter::once(begin).chain(analyses).chain(std::iter::once(Request::ComposeEnd)) {
        if let Err(detail) = worker.send(&request, None).await {
            return lost(worker, detail).await;
        }
    }
    let mut tick = tokio::time::interval(TICK);
    let started = Instant::now();
    loop {
        tokio::select! {
            response = worker.response() => return match response {
                Some(Response::Report(json)) => match serde_json::from_slice(&json) {
                    Ok(report) => End::Answer(Ok(report)),
                    Err(e) => End::Lost(UnscannableReason::WorkerCrashed, format!("the scan worker's report cannot be read: {e}")),
                },
                Some(Response::Unscannable { reason, detail }) => End::Answer(Err(unscannable(reason, detail))),
                Some(_) => End::Lost(UnscannableReason::WorkerCrashed, "the scan worker gave an answer to another question".into()),
                None => lost(worker, String::new()).await,
            },
            _ = tick.tick() => if let Some(end) = watch(worker, shared, started).await {
                return end;
            },
        }
    }
}
