//! Bytes of a stored file as a stream.
//!
//! What the page cache has is read where the connection is served (`RWF_NOWAIT`, `preadv2(2)`); only
//! what the disk must bring is read on a blocking thread. Buffers are used again: fresh memory of
//! this size would be mapped, zeroed and unmapped by the kernel for every chunk.

use bytes::Bytes;
use futures::Stream;
use parking_lot::Mutex;
use rustix::io::{Errno, ReadWriteFlags};
use std::future::Future;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::task::JoinHandle;

/// Bytes of one chunk: stays within a core's cache between reading and sending.
const CHUNK: usize = 256 << 10;
/// Spare buffers kept at most.
const SPARE: usize = 64;

/// Buffers that are not in use. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Buffers(Arc<Mutex<Vec<Box<[u8]>>>>);

/// A buffer that goes back when the last slice of it is dropped; `0..length` is what counts.
struct Filled {
    buffer: Box<[u8]>,
    length: usize,
    home: Buffers,
}

/// A buffer and how much of it was read.
type Answered = (Box<[u8]>, io::Result<usize>);

/// Part of a file, in order. A file that turns out shorter is an error at that place, so that the
/// client sees a broken transfer and not a whole one.
pub(crate) struct FileStream {
    file: Arc<std::fs::File>,
    at: u64,
    left: u64,
    buffers: Buffers,
    /// A read the disk must answer.
    waiting: Option<JoinHandle<Answered>>,
}

// === impl Buffers ===

impl Buffers {
    fn take(&self) -> Box<[u8]> {
        let spare = self.0.lock().pop();
        spare.unwrap_or_else(|| vec![0; CHUNK].into_boxed_slice())
    }

    fn give(&self, buffer: Box<[u8]>) {
        let mut spare = self.0.lock();
        if spare.len() < SPARE && buffer.len() == CHUNK {
            spare.push(buffer);
        }
    }
}

// === impl Filled ===

impl AsRef<[u8]> for Filled {
    fn as_ref(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        self.home.give(std::mem::take(&mut self.buffer));
    }
}

// === impl FileStream ===

impl FileStream {
    /// `count` bytes of `file` from `first` on.
    pub(crate) fn new(file: std::fs::File, first: u64, count: u64, buffers: Buffers) -> Self {
        FileStream { file: Arc::new(file), at: first, left: count, buffers, waiting: None }
    }

    fn read(&mut self, buffer: Box<[u8]>, result: io::Result<usize>) -> io::Result<Bytes> {
        match result {
            Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the stored file is shorter than it was")),
            Ok(length) => {
                self.at += length as u64;
                self.left = self.left.saturating_sub(length as u64);
                Ok(Bytes::from_owner(Filled { buffer, length, home: self.buffers.clone() }))
            }
            Err(error) => Err(error),
        }
    }

    fn end_on_error(&mut self, chunk: io::Result<Bytes>) -> Poll<Option<io::Result<Bytes>>> {
        if chunk.is_err() {
            self.left = 0;
        }
        Poll::Ready(Some(chunk))
    }
}

impl Stream for FileStream {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.waiting.is_none() {
            if this.left == 0 {
                return Poll::Ready(None);
            }
            let mut buffer = this.buffers.take();
            let want = (this.left.min(CHUNK as u64) as usize).min(buffer.len());
            let cached = {
                let part = buffer.get_mut(..want).unwrap_or_default();
                rustix::io::preadv2(&*this.file, &mut [io::IoSliceMut::new(part)], this.at, ReadWriteFlags::NOWAIT)
            };
            match cached {
                Ok(n) if n > 0 => {
                    let chunk = this.read(buffer, Ok(n));
                    return this.end_on_error(chunk);
                }
                Ok(_) | Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::INTR) => {}
                Err(errno) => return this.end_on_error(Err(errno.into())),
            }
            let (file, at) = (this.file.clone(), this.at);
            this.waiting = Some(tokio::task::spawn_blocking(move || {
                let mut buffer = buffer;
                let result = file.read_at(buffer.get_mut(..want).unwrap_or_default(), at);
                (buffer, result)
            }));
        }
        let Some(waiting) = this.waiting.as_mut() else { return Poll::Ready(None) };
        let Poll::Ready(joined) = Pin::new(waiting).poll(context) else { return Poll::Pending };
        this.waiting = None;
        let chunk = match joined {
            Ok((buffer, result)) => this.read(buffer, result),
            Err(error) => Err(io::Error::other(error)),
        };
        this.end_on_error(chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;

    #[tokio::test]
    async fn every_part_of_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let content: Vec<u8> = (0..CHUNK as u64 * 3 + 17).map(|i| (i * 7 % 251) as u8).collect();
        std::fs::write(&path, &content).unwrap();
        let buffers = Buffers::default();
        let size = content.len() as u64;
        for (first, count) in [(0, size), (0, 0), (1, 1), (CHUNK as u64 - 1, 2), (5, size - 5), (size - 1, 1)] {
            let stream = FileStream::new(std::fs::File::open(&path).unwrap(), first, count, buffers.clone());
            let chunks: Vec<Bytes> = stream.map(Result::unwrap).collect().await;
            assert_eq!(chunks.concat(), content[first as usize..(first + count) as usize], "{first}+{count}");
        }
        assert!(!buffers.0.lock().is_empty(), "buffers come back");
    }

    #[tokio::test]
    async fn a_file_that_was_cut_is_an_error_not_an_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, vec![1; CHUNK + 10]).unwrap();
        let stream = FileStream::new(std::fs::File::open(&path).unwrap(), 0, CHUNK as u64 * 2, Buffers::default());
        let chunks: Vec<_> = stream.collect().await;
        assert!(chunks.last().unwrap().is_err());
        assert_eq!(chunks.iter().filter_map(|c| c.as_ref().ok()).map(Bytes::len).sum::<usize>(), CHUNK + 10);
    }
}
