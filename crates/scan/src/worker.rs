//! The worker: a process that reads hostile content and can do nothing else.
//!
//! It loads its engines, locks itself in ([`sandbox`]), says hello and serves one job at a time from
//! the socket on descriptor 0. One thread takes messages, so that progress of a growing file and an
//! abort are seen at once; the main thread walks and analyses, because rule engines need not be able
//! to move between threads. When the parent goes, the worker goes.

mod follow;
pub mod sandbox;

use crate::compose::{self, Input, Layer};
use crate::engine::EngineSet;
use crate::layer;
use crate::protocol::{self, LayerHeader, LayerState, MAX_FRAME, Request, Response};
use follow::{Following, Growth};
use jinwu_image::walk::{Limits, WalkError};
use jinwu_model::Digest;
use jinwu_model::report::UnscannableReason;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use std::fs::File;
use std::io::{IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Environment variable with what to do wrong on purpose, for tests of the parent.
pub const FAILPOINT: &str = "JINWU_SCAN_FAILPOINT";

/// Layers of one composition, in bytes of analyses.
const MAX_COMPOSE: usize = 512 << 20;

enum Task {
    Analyze { file: File, digest: Option<Digest>, growth: Arc<Growth> },
    Compose(Box<Composition>),
}

struct Composition {
    image: Digest,
    manifest: Vec<u8>,
    config: Vec<u8>,
    layers: Vec<LayerHeader>,
    analyses: Vec<Vec<u8>>,
}

/// Serves until the parent closes the socket. The error says why it could not begin.
pub fn run(load: impl FnOnce() -> Result<EngineSet, String>) -> Result<(), String> {
    let descriptor = rustix::io::dup(std::io::stdin().as_fd()).map_err(|e| format!("descriptor 0: {e}"))?;
    let mut socket = UnixStream::from(descriptor);
    let failpoint = std::env::var(FAILPOINT).unwrap_or_default();
    let mut engines = match load() {
        Ok(engines) => engines,
        Err(detail) => {
            answer(&mut socket, &Response::Failed { detail: detail.clone() })?;
            return Err(detail);
        }
    };
    let reader = socket.try_clone().map_err(|e| format!("descriptor 0: {e}"))?;
    let warnings = sandbox::lock_in()?;
    let (tasks, queue) = sync_channel(1);
    std::thread::Builder::new()
        .name("messages".into())
        .spawn(move || {
            // Whatever ends the messages ends the worker: nobody waits for its answer any more.
            let code = match messages(&reader, &tasks) {
                Ok(()) => 0,
                Err(_) => 3,
            };
            std::process::exit(code)
        })
        .map_err(|e| format!("message thread: {e}"))?;
    answer(&mut socket, &Response::Hello { protocol: protocol::VERSION, engines: engines.versions(), warnings })?;
    serve(&mut socket, &queue, &mut engines, &failpoint)
}

fn serve(socket: &mut UnixStream, queue: &Receiver<Task>, engines: &mut EngineSet, failpoint: &str) -> Result<(), String> {
    let limits = Limits::default();
    while let Ok(task) = queue.recv() {
        sandbox::fail_on_purpose(failpoint);
        let response = match task {
            Task::Analyze { file, digest, growth } => analyze(file, digest, growth, &limits, engines),
            Task::Compose(composition) => put_together(*composition, engines),
        };
        answer(socket, &response)?;
    }
    Ok(())
}

fn analyze(file: File, digest: Option<Digest>, growth: Arc<Growth>, limits: &Limits, engines: &mut EngineSet) -> Response {
    let unscannable = |reason, detail| Response::Unscannable { reason, detail };
    let sha256 = digest.as_ref().is_some_and(|d| d.algorithm() == jinwu_model::Algorithm::Sha256);
    let analysis = match layer::analyze(Following::new(file, growth), sha256, limits, engines) {
        Ok(analysis) => analysis,
        Err(WalkError::NotALayer(_)) => return Response::NotALayer,
        Err(WalkError::Aborted) => return Response::Aborted,
        Err(WalkError::UnknownFormat(detail)) => return unscannable(UnscannableReason::UnknownFormat, detail),
        Err(WalkError::Unreadable(detail)) => return unscannable(UnscannableReason::Unreadable, detail),
        Err(WalkError::TooLarge(detail)) => return unscannable(UnscannableReason::TooLarge, detail),
    };
    if let (Some(expected), Some(found)) = (digest, &analysis.compressed)
        && expected != *found
    {
        return unscannable(UnscannableReason::Unreadable, format!("the stored bytes hash to {found}, not to {expected}"));
    }
    match analysis.to_bytes() {
        Ok(bytes) if bytes.len() as u64 + 4096 > u64::from(MAX_FRAME) => {
            unscannable(UnscannableReason::TooLarge, format!("its analysis is {} bytes long", bytes.len()))
        }
        Ok(bytes) => Response::Analysis { diff_id: analysis.diff_id, bytes },
        Err(detail) => unscannable(UnscannableReason::TooLarge, detail),
    }
}

fn put_together(c: Composition, engines: &EngineSet) -> Response {
    let mut analyses = c.analyses.into_iter();
    let mut layers = Vec::new();
    for header in c.layers {
        let bytes = if matches!(header.state, LayerState::Analysed) { analyses.next() } else { None };
        layers.push(Layer::from_wire(header, bytes));
    }
    let report = compose::compose(Input { image: c.image, manifest: &c.manifest, config: &c.config, layers }, engines);
    match serde_json::to_vec(&report) {
        Ok(json) if json.len() as u64 + 4096 <= u64::from(MAX_FRAME) => Response::Report(json),
        Ok(json) => {
            Response::Unscannable { reason: UnscannableReason::TooLarge, detail: format!("the report is {} bytes long", json.len()) }
        }
        Err(e) => Response::Unscannable { reason: UnscannableReason::WorkerCrashed, detail: format!("report cannot be written: {e}") },
    }
}

fn answer(socket: &mut UnixStream, response: &Response) -> Result<(), String> {
    let frame = protocol::encode(response)?;
    socket.write_all(&frame).map_err(|e| format!("the parent does not listen: {e}"))
}

/// Takes messages until the parent closes the socket or breaks the protocol.
fn messages(socket: &UnixStream, tasks: &SyncSender<Task>) -> Result<(), String> {
    let mut growth: Option<Arc<Growth>> = None;
    let mut composition: Option<Box<Composition>> = None;
    let mut gathered = 0_usize;
    while let Some((request, file)) = message(socket)? {
        match request {
            Request::Analyze { digest, available, finished } => {
                let file = file.ok_or("a layer came without its file")?;
                let new = Arc::new(Growth::new(available, finished));
                growth = Some(new.clone());
                tasks.send(Task::Analyze { file, digest, growth: new }).map_err(|e| e.to_string())?;
            }
            Request::Available(upto) => growth.iter().for_each(|g| g.available(upto)),
            Request::Finished(size) => growth.iter().for_each(|g| g.finished(size)),
            Request::Abort => growth.iter().for_each(|g| g.abort()),
            Request::ComposeBegin { image, manifest, config, layers, .. } => {
                gathered = 0;
                composition = Some(Box::new(Composition { image, manifest, config, layers, analyses: Vec::new() }));
            }
            Request::ComposeLayer(bytes) => {
                gathered += bytes.len();
                if gathered > MAX_COMPOSE {
                    return Err("the image's analyses are too large".into());
                }
                composition.as_mut().ok_or("a layer came without its image")?.analyses.push(bytes);
            }
            Request::ComposeEnd => {
                let whole = composition.take().ok_or("an end came without an image")?;
                tasks.send(Task::Compose(whole)).map_err(|e| e.to_string())?;
            }
        }
    }
    Ok(())
}

/// One frame and the descriptor that came with it.
fn message(mut socket: &UnixStream) -> Result<Option<(Request, Option<File>)>, String> {
    let mut head = [0; 4];
    let mut file = None;
    let mut got = 0;
    while let Some(rest) = head.get_mut(got..).filter(|r| !r.is_empty()) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::net::recvmsg(socket, &mut [IoSliceMut::new(rest)], &mut ancillary, RecvFlags::CMSG_CLOEXEC);
        let received = match received {
            Ok(r) => r,
            Err(rustix::io::Errno::INTR) => continue,
            Err(e) => return Err(e.to_string()),
        };
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                file = descriptors.map(File::from).next().or(file);
            }
        }
        if received.bytes == 0 {
            return if got == 0 { Ok(None) } else { Err("the socket ended within a frame".into()) };
        }
        got += received.bytes;
    }
    let length = u32::from_le_bytes(head);
    if length > MAX_FRAME {
        return Err(format!("a frame of {length} bytes"));
    }
    let mut body = Vec::new();
    let got = Read::by_ref(&mut socket).take(u64::from(length)).read_to_end(&mut body).map_err(|e| e.to_string())?;
    if got != length as usize {
        return Err("the socket ended within a frame".into());
    }
    let request = postcard::from_bytes(&body).map_err(|e| e.to_string())?;
    Ok(Some((request, file)))
}
