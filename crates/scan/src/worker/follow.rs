//! Reading a file that is still being written.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// How far the file has grown, as the parent says.
#[derive(Debug)]
pub(super) struct Growth {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug)]
struct State {
    available: u64,
    finished: Option<u64>,
    aborted: bool,
}

/// A reader that waits for bytes which are not there yet and ends where the file is finished.
pub(super) struct Following {
    file: File,
    position: u64,
    growth: Arc<Growth>,
}

impl Growth {
    pub(super) fn new(available: u64, finished: Option<u64>) -> Self {
        Growth { state: Mutex::new(State { available, finished, aborted: false }), changed: Condvar::new() }
    }

    pub(super) fn available(&self, upto: u64) {
        self.change(|s| s.available = s.available.max(upto));
    }

    pub(super) fn finished(&self, size: u64) {
        self.change(|s| s.finished = Some(size));
    }

    pub(super) fn abort(&self) {
        self.change(|s| s.aborted = true);
    }

    fn change(&self, how: impl FnOnce(&mut State)) {
        how(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    /// Waits until bytes beyond `position` may be read; how many, 0 at the file's end.
    fn wait(&self, position: u64) -> io::Result<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if state.aborted {
                return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the upload was given up"));
            }
            if let Some(size) = state.finished {
                return Ok(size.saturating_sub(position));
            }
            if state.available > position {
                return Ok(state.available - position);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Following {
    pub(super) fn new(file: File, growth: Arc<Growth>) -> Self {
        Following { file, position: 0, growth }
    }
}

impl Read for Following {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let may = usize::try_from(self.growth.wait(self.position)?).unwrap_or(usize::MAX).min(buffer.len());
        if may == 0 {
            return Ok(0);
        }
        let read = self.file.read_at(buffer.get_mut(..may).unwrap_or_default(), self.position)?;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is shorter than was said"));
        }
        self.position += read as u64;
        Ok(read)
    }
}
