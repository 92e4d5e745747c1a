//! Records on their way to the server: on disk before anything is answered, gone once the server has
//! them on its own.
//!
//! Segments `N.jsonl` of one entry a line, written by one thread that syncs what has gathered at once;
//! `cursor` says how far the server is. A line that was cut off by a crash was never answered.

use jinwu_admission::protocol::{Entry, MAX_BATCH};
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Notify, mpsc, oneshot};

/// A new segment after this many bytes.
const SEGMENT: u64 = 8 << 20;
/// All segments together; then nothing more is taken, and what must be recorded is refused.
const MOST: u64 = 400 << 20;

/// Segment, and byte in it.
pub(crate) type Place = (u64, u64);

/// Takes records. Clones share everything.
#[derive(Clone)]
pub(crate) struct Spool {
    send: mpsc::Sender<Job>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    waiting: AtomicU64,
    /// Something was written.
    more: Notify,
}

struct Job {
    lines: Vec<u8>,
    count: u64,
    done: oneshot::Sender<Result<(), String>>,
}

/// Reads what the spool holds, oldest first.
pub(crate) struct Reader {
    folder: PathBuf,
    shared: Arc<Shared>,
    segment: u64,
    offset: u64,
}

struct Writer {
    folder: PathBuf,
    file: File,
    segment: u64,
    length: u64,
    /// Bytes in segments that are complete, as far as known.
    total: u64,
}

impl Spool {
    /// Opens a spool; what an earlier process left is read first.
    pub(crate) fn open(folder: &Path) -> std::io::Result<(Spool, Reader)> {
        std::fs::create_dir_all(folder)?;
        let segments = segments(folder)?;
        let cursor = std::fs::read_to_string(folder.join("cursor")).unwrap_or_default();
        let mut words = cursor.split_whitespace().filter_map(|w| w.parse::<u64>().ok());
        let (segment, offset) = (words.next().unwrap_or(0), words.next().unwrap_or(0));
        let last = segments.last().copied().unwrap_or(0).max(segment);
        let first = segments.range(segment..).next().copied().unwrap_or(last + 1);
        let offset = if first == segment { offset } else { 0 };
        let shared = Arc::new(Shared::default());
        let mut reader = Reader { folder: folder.to_owned(), shared: shared.clone(), segment: first, offset };
        let left = reader.count()?;
        shared.waiting.store(left, Ordering::Relaxed);
        // A fresh segment: the last one may end in half a line.
        let mut writer = Writer::begin(folder, last + 1)?;
        writer.total = segments.iter().filter_map(|s| std::fs::metadata(path(folder, *s)).ok()).map(|m| m.len()).sum();
        let (send, receive) = mpsc::channel(4096);
        let of = shared.clone();
        std::thread::Builder::new().name("spool".into()).spawn(move || writer.run(receive, &of))?;
        Ok((Spool { send, shared }, reader))
    }

    /// Returns once the entries are on disk.
    ///
    /// # Errors
    /// They are not, and what they tell of must not happen.
    pub(crate) async fn append(&self, entries: &[Entry]) -> Result<(), String> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut lines = Vec::with_capacity(512 * entries.len());
        for entry in entries {
            serde_json::to_writer(&mut lines, entry).map_err(|e| e.to_string())?;
            lines.push(b'\n');
        }
        let (done, result) = oneshot::channel();
        let job = Job { lines, count: entries.len() as u64, done };
        self.send.send(job).await.map_err(|_| "the spool has ended".to_owned())?;
        result.await.map_err(|_| "the spool has ended".to_owned())?
    }

    pub(crate) fn waiting(&self) -> u64 {
        self.shared.waiting.load(Ordering::Relaxed)
    }

    /// As if something was appended: who waits looks around.
    pub(crate) fn wake(&self) {
        self.shared.more.notify_one();
    }

    /// Until something was appended.
    pub(crate) async fn more(&self) {
        self.shared.more.notified().await;
    }
}

// === impl Writer ===

impl Writer {
    fn begin(folder: &Path, segment: u64) -> std::io::Result<Writer> {
        let file = OpenOptions::new().create(true).append(true).open(path(folder, segment))?;
        // The name is on disk as well.
        File::open(folder)?.sync_all()?;
        Ok(Writer { folder: folder.to_owned(), file, segment, length: 0, total: 0 })
    }

    fn run(mut self, mut jobs: mpsc::Receiver<Job>, shared: &Shared) {
        while let Some(first) = jobs.blocking_recv() {
            let mut group = vec![first];
            while group.len() < 1024
                && let Ok(job) = jobs.try_recv()
            {
                group.push(job);
            }
            let result = self.write(&group);
            if result.is_ok() {
                shared.waiting.fetch_add(group.iter().map(|j| j.count).sum(), Ordering::Relaxed);
                shared.more.notify_one();
            }
            for job in group {
                let _ = job.done.send(result.clone());
            }
        }
    }

    fn write(&mut self, group: &[Job]) -> Result<(), String> {
        let bytes: Vec<u8> = group.iter().flat_map(|j| j.lines.iter().copied()).collect();
        self.make_room(bytes.len() as u64)?;
        let written = self.file.write_all(&bytes).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Half a group may lie there: what was not answered must not be sent, and what follows must
            // not be appended to half a line.
            let _ = self.file.set_len(self.length);
            // A segment goes once the server has it and a later one exists: without one a full disk stays full.
            self.follow_up();
            return Err(format!("{}: {error}", self.folder.display()));
        }
        self.length += bytes.len() as u64;
        self.total += bytes.len() as u64;
        Ok(())
    }

    /// Another segment, if this one holds anything.
    fn follow_up(&mut self) {
        if self.length > 0
            && let Ok(next) = Writer::begin(&self.folder, self.segment + 1)
        {
            *self = Writer { total: self.total, ..next };
        }
    }

    fn make_room(&mut self, more: u64) -> Result<(), String> {
        let folder = self.folder.clone();
        let say = |e: std::io::Error| format!("{}: {e}", folder.display());
        if self.length >= SEGMENT {
            let next = Writer::begin(&self.folder, self.segment + 1).map_err(say)?;
            *self = Writer { total: self.total, ..next };
        }
        if self.total + more > MOST {
            // Sent segments are gone: count again before giving up.
            let all = segments(&folder).map_err(say)?;
            self.total = all.iter().filter_map(|s| std::fs::metadata(path(&folder, *s)).ok()).map(|m| m.len()).sum();
            if self.total + more > MOST {
                return Err(format!("{} MiB of records wait for the server; no more are taken until it answers", MOST >> 20));
            }
        }
        Ok(())
    }
}

// === impl Reader ===

impl Reader {
    /// The next entries, at most [`MAX_BATCH`], and where they end. Empty: nothing waits.
    pub(crate) fn next(&mut self) -> std::io::Result<(Vec<Vec<u8>>, Place)> {
        loop {
            let (entries, end) = self.read(MAX_BATCH)?;
            if !entries.is_empty() {
                return Ok((entries, (self.segment, end)));
            }
            // A later segment exists only once this one is complete.
            let Some(later) = segments(&self.folder)?.range(self.segment + 1..).next().copied() else {
                return Ok((Vec::new(), (self.segment, end)));
            };
            let _ = std::fs::remove_file(path(&self.folder, self.segment));
            (self.segment, self.offset) = (later, 0);
            self.keep()?;
        }
    }

    /// The server has everything up to here.
    pub(crate) fn advance(&mut self, to: Place, count: u64) -> std::io::Result<()> {
        (self.segment, self.offset) = to;
        let waiting = &self.shared.waiting;
        let _ = waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |w| Some(w.saturating_sub(count)));
        self.keep()
    }

    /// A lost cursor costs only that entries are sent twice, which the server recognises.
    fn keep(&self) -> std::io::Result<()> {
        let (path, temporary) = (self.folder.join("cursor"), self.folder.join("cursor.new"));
        std::fs::write(&temporary, format!("{} {}\n", self.segment, self.offset))?;
        std::fs::rename(temporary, path)
    }

    fn read(&self, most: usize) -> std::io::Result<(Vec<Vec<u8>>, u64)> {
        let mut entries = Vec::new();
        let mut end = self.offset;
        let file = match File::open(path(&self.folder, self.segment)) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok((entries, end)),
            Err(e) => return Err(e),
        };
        let mut lines = BufReader::with_capacity(1 << 20, file);
        lines.seek(SeekFrom::Start(self.offset))?;
        let (mut line, mut bytes) = (Vec::new(), 0);
        while entries.len() < most && bytes < 4 << 20 {
            line.clear();
            let n = lines.read_until(b'\n', &mut line)?;
            if line.last() != Some(&b'\n') {
                break;
            }
            end += n as u64;
            bytes += n;
            match serde_json::from_slice::<&serde_json::value::RawValue>(&line) {
                Ok(_) => entries.push(line.trim_ascii_end().to_vec()),
                Err(error) => tracing::error!(%error, segment = self.segment, "a spooled line cannot be read and is passed over"),
            }
        }
        Ok((entries, end))
    }

    fn count(&mut self) -> std::io::Result<u64> {
        let mut count = 0;
        for segment in segments(&self.folder)?.range(self.segment..) {
            let mut file = BufReader::new(File::open(path(&self.folder, *segment))?);
            if *segment == self.segment {
                file.seek(SeekFrom::Start(self.offset))?;
            }
            count += file.split(b'\n').count() as u64;
        }
        Ok(count)
    }
}

fn path(folder: &Path, segment: u64) -> PathBuf {
    folder.join(format!("{segment:010}.jsonl"))
}

fn segments(folder: &Path) -> std::io::Result<BTreeSet<u64>> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder)? {
        if let Some(n) = entry?.file_name().to_str().and_then(|n| n.strip_suffix(".jsonl")?.parse().ok()) {
            found.insert(n);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jinwu_model::{Kind, Record, Subject};

    fn entry(n: usize) -> Entry {
        Entry { id: format!("e{n}"), record: Record::new(n as i64, Kind::Alarm, Subject::user("a"), "x", "y") }
    }

    fn ids(entries: &[Vec<u8>]) -> Vec<String> {
        entries.iter().map(|e| serde_json::from_slice::<Entry>(e).unwrap().id).collect()
    }

    #[tokio::test]
    async fn what_was_appended_is_read_in_order_and_once() {
        let folder = tempfile::tempdir().unwrap();
        let (spool, mut reader) = Spool::open(folder.path()).unwrap();
        for n in 0..10 {
            spool.append(&[entry(2 * n), entry(2 * n + 1)]).await.unwrap();
        }
        assert_eq!(spool.waiting(), 20);
        let (entries, end) = reader.next().unwrap();
        assert_eq!(ids(&entries), (0..20).map(|n| format!("e{n}")).collect::<Vec<_>>());
        // Not taken: it comes again.
        assert_eq!(ids(&reader.next().unwrap().0), ids(&entries));
        reader.advance(end, 20).unwrap();
        assert!(reader.next().unwrap().0.is_empty());
        assert_eq!(spool.waiting(), 0);
    }

    #[tokio::test]
    async fn a_later_process_goes_on_where_the_server_was() {
        let folder = tempfile::tempdir().unwrap();
        {
            let (spool, mut reader) = Spool::open(folder.path()).unwrap();
            spool.append(&[entry(0)]).await.unwrap();
            let (_, end) = reader.next().unwrap();
            reader.advance(end, 1).unwrap();
            spool.append(&[entry(1), entry(2)]).await.unwrap();
        }
        // A crash in the middle of a line.
        let last = segments(folder.path()).unwrap().last().copied().unwrap();
        OpenOptions::new().append(true).open(path(folder.path(), last)).unwrap().write_all(b"{\"id\":\"half").unwrap();
        let (spool, mut reader) = Spool::open(folder.path()).unwrap();
        spool.append(&[entry(3)]).await.unwrap();
        let (entries, end) = reader.next().unwrap();
        assert_eq!(ids(&entries), ["e1", "e2"]);
        reader.advance(end, 2).unwrap();
        let (entries, end) = reader.next().unwrap();
        assert_eq!(ids(&entries), ["e3"]);
        reader.advance(end, 1).unwrap();
        assert!(reader.next().unwrap().0.is_empty());
        assert_eq!(segments(folder.path()).unwrap().len(), 1, "what was sent is gone");
    }
}
