//! One worker process: its socket, its memory, its end.

use super::Shared;
use crate::protocol::{self, MAX_FRAME, Request, Response};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use std::fs::File;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// A worker that takes longer than this to accept a message is stuck.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) struct Worker {
    child: Child,
    pid: u32,
    slot: usize,
    writer: OwnedWriteHalf,
    /// Frames as a task of its own reads them, so that waiting for one can be given up.
    responses: mpsc::Receiver<Response>,
    shared: Arc<Shared>,
}

impl Worker {
    /// Starts the process and waits for its hello.
    pub(super) async fn start(shared: &Arc<Shared>, slot: usize) -> Result<Worker, String> {
        let config = &shared.config;
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(|e| format!("socket pair: {e}"))?;
        ours.set_nonblocking(true).map_err(|e| format!("socket pair: {e}"))?;
        let socket = UnixStream::from_std(ours).map_err(|e| format!("socket pair: {e}"))?;
        let child = Command::new(&config.program)
            .args(&config.arguments)
            .env_clear()
            .envs(config.environment.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| e.to_string())?;
        let pid = child.id().ok_or("it ended at once")?;
        let (reader, writer) = socket.into_split();
        let (send, responses) = mpsc::channel(4);
        tokio::spawn(read_frames(reader, send));
        let mut worker = Worker { child, pid, slot, writer, responses, shared: shared.clone() };
        match timeout(config.start_timeout, worker.responses.recv()).await {
            Ok(Some(Response::Hello { protocol, engines, warnings })) if protocol == protocol::VERSION => {
                for warning in &warnings {
                    tracing::warn!(pid, "scan worker: {warning}");
                }
                let mut status = shared.status.lock();
                status.engines = engines;
                status.warnings = warnings;
                status.pids.insert(slot, pid);
                drop(status);
                Ok(worker)
            }
            Ok(Some(Response::Hello { protocol, .. })) => {
                Err(format!("it speaks protocol {protocol}, this program {}: install the same version of both", protocol::VERSION))
            }
            Ok(Some(Response::Failed { detail })) => Err(detail),
            Ok(Some(_)) => Err("it did not begin with a hello".into()),
            Ok(None) => Err(format!("it ended before it was ready ({})", worker.end().await)),
            Err(_) => Err(format!("it was not ready within {:?}", config.start_timeout)),
        }
    }

    /// The next frame; `None` when the worker has gone.
    pub(super) async fn response(&mut self) -> Option<Response> {
        self.responses.recv().await
    }

    /// Sends one message, with a file descriptor if given. An error means the worker is gone or stuck.
    pub(super) async fn send(&mut self, request: &Request, file: Option<&File>) -> Result<(), String> {
        let frame = protocol::encode(request)?;
        let (head, rest) = frame.split_at_checked(4).ok_or("empty frame")?;
        let writing = async {
            match file {
                // The descriptor travels with the four length bytes, which a stream socket takes whole.
                Some(file) => {
                    let stream: &UnixStream = self.writer.as_ref();
                    let sent = stream.async_io(Interest::WRITABLE, || send_with(stream, head, file)).await?;
                    if sent != head.len() {
                        return Err(std::io::Error::other("the length was cut"));
                    }
                }
                None => self.writer.write_all(head).await?,
            }
            self.writer.write_all(rest).await
        };
        match timeout(SEND_TIMEOUT, writing).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(e)) => Err(format!("message not taken: {e}")),
            Err(_) => Err(format!("message not taken within {SEND_TIMEOUT:?}")),
        }
    }

    /// Resident bytes of the process now; `None` when it is gone.
    pub(super) fn resident(&self) -> Option<u64> {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.pid)).ok()?;
        let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
        Some(pages.saturating_mul(rustix::param::page_size() as u64))
    }

    /// Kills the process if it still runs and says how it ended.
    pub(super) async fn end(&mut self) -> String {
        // It may be on its way out by itself: that status says more than our signal would.
        let status = match timeout(Duration::from_millis(50), self.child.wait()).await {
            Ok(status) => status,
            Err(_) => {
                let _ = self.child.start_kill();
                self.child.wait().await
            }
        };
        match status {
            Ok(status) => match (status.signal(), status.code()) {
                (Some(31), _) => "signal 31: a system call the sandbox forbids".into(),
                (Some(signal), _) => format!("signal {signal}"),
                (None, Some(code)) => format!("exit code {code}"),
                (None, None) => status.to_string(),
            },
            Err(e) => format!("status unknown: {e}"),
        }
    }

    /// Kills it now, whatever it does.
    pub(super) async fn kill(&mut self) {
        let _ = self.child.start_kill();
        let _ = self.child.wait().await;
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let mut status = self.shared.status.lock();
        if status.pids.get(&self.slot) == Some(&self.pid) {
            status.pids.remove(&self.slot);
        }
    }
}

fn send_with(stream: &UnixStream, bytes: &[u8], file: &File) -> std::io::Result<usize> {
    let descriptors = [file.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(std::io::Error::other("no room for the descriptor"));
    }
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    Ok(rustix::net::sendmsg(stream, &[IoSlice::new(bytes)], &mut ancillary, flags)?)
}

/// Reads frames until the socket ends or breaks the protocol; either way the worker is done for.
async fn read_frames(mut reader: OwnedReadHalf, send: mpsc::Sender<Response>) {
    let mut head = [0; 4];
    while reader.read_exact(&mut head).await.is_ok() {
        let length = u32::from_le_bytes(head);
        if length > MAX_FRAME {
            return;
        }
        // Grown as bytes come, so that a lying length costs nothing.
        let mut body = Vec::new();
        let got = (&mut reader).take(u64::from(length)).read_to_end(&mut body).await;
        if !matches!(got, Ok(n) if n == length as usize) {
            return;
        }
        let Ok(response) = postcard::from_bytes(&body) else { return };
        if send.send(response).await.is_err() {
            return;
        }
    }
}
