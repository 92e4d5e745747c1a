//! The API server's audit log file, for clusters whose API server takes no audit webhook.
//!
//! The place in the file is kept once what was before it is on the spool. A file that was renamed is
//! read to its end first; one that was cut to nothing is read from its beginning. A line still being
//! written is waited for; one too long is recorded as unreadable and passed over.

use crate::audit::{self, Refusal, Way};
use crate::state::Gate;
use anyhow::Context as _;
use jinwu_detect::audit::MAX_EVENT;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Bytes read at once.
const CHUNK: usize = 4 << 20;
const PAUSE: Duration = Duration::from_millis(250);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    inode: u64,
    offset: u64,
}

struct Follower {
    path: PathBuf,
    kept: PathBuf,
    file: Option<File>,
    place: Place,
    /// A line too long is being passed over.
    skipping: bool,
}

/// Follows the file, for ever.
pub(crate) async fn run(gate: Arc<Gate>, path: PathBuf) -> anyhow::Result<()> {
    let mut follower = Follower::open(&path, &gate.config.data.join("position.json"));
    loop {
        let (lines, next, skipping) = follower.read().with_context(|| path.display().to_string())?;
        if next == follower.place {
            if !follower.turn()? {
                tokio::time::sleep(PAUSE).await;
            }
            continue;
        }
        let lines = bytes::Bytes::from(lines);
        loop {
            match audit::take(&gate, lines.clone(), Way::File).await {
                Ok(()) => break,
                Err(Refusal::Later(error) | Refusal::Bad(error)) => {
                    tracing::warn!(error, "lines of the audit log wait");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
        follower.skipping = skipping;
        follower.keep(next)?;
    }
}

// === impl Follower ===

impl Follower {
    fn open(path: &Path, kept: &Path) -> Self {
        let place: Option<Place> = std::fs::read(kept).ok().and_then(|b| serde_json::from_slice(&b).ok());
        let mut follower = Follower { path: path.to_owned(), kept: kept.to_owned(), file: None, place: place.unwrap_or_default(), skipping: false };
        if place.is_some() {
            follower.file = follower.named(follower.place.inode);
        }
        follower
    }

    /// The file of an inode: under its name, or renamed beside it.
    fn named(&self, inode: u64) -> Option<File> {
        let folder = self.path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let beside = std::fs::read_dir(folder).ok()?.flatten().map(|e| e.path());
        std::iter::once(self.path.clone()).chain(beside).find(|p| std::fs::metadata(p).is_ok_and(|m| m.is_file() && m.ino() == inode)).and_then(|p| File::open(p).ok())
    }

    /// Complete lines from the present place, where they end, and whether the last one goes on.
    fn read(&mut self) -> std::io::Result<(Vec<u8>, Place, bool)> {
        let Some(file) = &mut self.file else { return Ok((Vec::new(), self.place, self.skipping)) };
        if file.metadata()?.len() < self.place.offset {
            // Cut to nothing, and written anew.
            self.place.offset = 0;
            self.skipping = false;
        }
        file.seek(SeekFrom::Start(self.place.offset))?;
        let mut bytes = Vec::new();
        file.take(CHUNK as u64).read_to_end(&mut bytes)?;
        let mut next = self.place;
        let mut start = 0;
        if self.skipping {
            match bytes.iter().position(|b| *b == b'\n') {
                Some(end) => start = end + 1,
                None => {
                    next.offset += bytes.len() as u64;
                    return Ok((Vec::new(), next, true));
                }
            }
        }
        match bytes.iter().rposition(|b| *b == b'\n').filter(|end| *end >= start) {
            Some(end) => {
                next.offset += end as u64 + 1;
                Ok((bytes.get(start..=end).unwrap_or_default().to_vec(), next, false))
            }
            None if bytes.len() - start > MAX_EVENT => {
                // What there is of it is enough to say that it cannot be read.
                next.offset += bytes.len() as u64;
                Ok((bytes.split_off(start), next, true))
            }
            None => {
                next.offset += start as u64;
                Ok((Vec::new(), next, false))
            }
        }
    }

    /// At the end of a file: on to the one that has its name now. False: there is nothing to do.
    fn turn(&mut self) -> std::io::Result<bool> {
        let Ok(now) = std::fs::metadata(&self.path) else { return Ok(false) };
        if self.file.is_some() && now.ino() == self.place.inode {
            return Ok(false);
        }
        self.file = Some(File::open(&self.path)?);
        self.skipping = false;
        self.keep(Place { inode: now.ino(), offset: 0 })?;
        Ok(true)
    }

    fn keep(&mut self, place: Place) -> std::io::Result<()> {
        self.place = place;
        let text = serde_json::to_vec(&place).unwrap_or_default();
        jinwu_trust::files::write(&self.kept, &text, 0o600).map_err(std::io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn lines(f: &mut Follower) -> String {
        let mut all = Vec::new();
        for _ in 0..20 {
            let (more, next, skipping) = f.read().unwrap();
            if next == f.place {
                if !f.turn().unwrap() {
                    break;
                }
                continue;
            }
            all.extend(more);
            f.skipping = skipping;
            f.keep(next).unwrap();
        }
        String::from_utf8(all).unwrap()
    }

    fn append(path: &Path, text: &str) {
        std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn every_line_once_across_rotation_truncation_and_restart() {
        let folder = tempfile::tempdir().unwrap();
        let (log, kept) = (folder.path().join("audit.jsonl"), folder.path().join("position.json"));
        let mut f = Follower::open(&log, &kept);
        assert_eq!(lines(&mut f), "", "no file yet");
        append(&log, "a\nb\nhal");
        assert_eq!(lines(&mut f), "a\nb\n");
        append(&log, "f\n");
        drop(f);
        // Renamed while nobody looked, after more was written.
        append(&log, "c\n");
        std::fs::rename(&log, folder.path().join("audit-1.jsonl")).unwrap();
        append(&log, "d\n");
        let mut f = Follower::open(&log, &kept);
        assert_eq!(lines(&mut f), "half\nc\nd\n");
        // Copied and cut to nothing.
        std::fs::OpenOptions::new().write(true).open(&log).unwrap().set_len(0).unwrap();
        append(&log, "e\n");
        append(&log, "");
        assert_eq!(lines(&mut f), "", "as long as before: nothing tells it from the old");
        std::fs::OpenOptions::new().write(true).open(&log).unwrap().set_len(0).unwrap();
        assert_eq!(lines(&mut f), "");
        append(&log, "g\n");
        assert_eq!(lines(&mut f), "g\n");
    }

    #[test]
    fn a_line_too_long_is_passed_over_and_the_next_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let (log, kept) = (folder.path().join("audit.jsonl"), folder.path().join("position.json"));
        append(&log, &format!("{}\nnext\n", "x".repeat(CHUNK + 10)));
        let mut f = Follower::open(&log, &kept);
        assert!(lines(&mut f).ends_with("xnext\n"), "its beginning, as one that cannot be read, and what follows");
    }
}
