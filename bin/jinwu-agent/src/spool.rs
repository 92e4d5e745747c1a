//! Records on their way to the server: on disk first. Two lanes, each of segments `N.jsonl` with one entry a line and a
//! `cursor` that says how far the server is: what must arrive (alarms, interceptions, responses, the sensor's own), and
//! telemetry, whose oldest segments go first when there is no room, and are counted.

use jinwu_node::protocol::Entry;
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// A new segment after this many bytes.
const SEGMENT: u64 = 8 << 20;

/// How urgent entries are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    Kept,
    Telemetry,
}

/// Both lanes.
pub(crate) struct Spool {
    kept: Queue,
    telemetry: Queue,
    /// Bytes telemetry may take.
    most: u64,
    /// Telemetry records dropped for want of room, since the sensor started.
    pub(crate) dropped: u64,
}

struct Queue {
    folder: PathBuf,
    file: File,
    segment: u64,
    length: u64,
    /// Where the reader is.
    at: (u64, u64),
    waiting: u64,
    /// Of all segments.
    bytes: u64,
    dirty: bool,
}

/// Up to where a batch goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    lane: Lane,
    place: (u64, u64),
    count: u64,
}

fn name(folder: &Path, segment: u64) -> PathBuf {
    folder.join(format!("{segment:012}.jsonl"))
}

fn segments(folder: &Path) -> std::io::Result<BTreeSet<u64>> {
    Ok(std::fs::read_dir(folder)?.flatten().filter_map(|e| e.file_name().to_str()?.strip_suffix(".jsonl")?.parse().ok()).collect())
}

impl Queue {
    fn open(folder: PathBuf) -> std::io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        let known = segments(&folder)?;
        let cursor = std::fs::read_to_string(folder.join("cursor")).unwrap_or_default();
        let mut words = cursor.split_whitespace().filter_map(|w| w.parse::<u64>().ok());
        let at = (words.next().unwrap_or(0), words.next().unwrap_or(0));
        let last = known.last().copied().unwrap_or(0).max(at.0);
        let at = known.range(at.0..).next().map_or((last + 1, 0), |first| if *first == at.0 { at } else { (*first, 0) });
        // A fresh segment: the last one may end in half a line.
        let file = begin(&folder, last + 1)?;
        let mut queue = Queue { folder, file, segment: last + 1, length: 0, at, waiting: 0, bytes: 0, dirty: false };
        queue.waiting = queue.count()?;
        queue.bytes = segments(&queue.folder)?.iter().filter_map(|s| std::fs::metadata(name(&queue.folder, *s)).ok()).map(|m| m.len()).sum();
        Ok(queue)
    }

    fn count(&self) -> std::io::Result<u64> {
        let mut count = 0;
        for segment in segments(&self.folder)?.range(self.at.0..) {
            let mut file = File::open(name(&self.folder, *segment))?;
            if *segment == self.at.0 {
                file.seek(SeekFrom::Start(self.at.1))?;
            }
            // Half a line at the end was never whole.
            let mut reader = BufReader::new(file);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line)? > 0 {
                count += u64::from(line.last() == Some(&b'\n'));
                line.clear();
            }
        }
        Ok(count)
    }

    fn append(&mut self, lines: &[u8], count: u64) -> std::io::Result<()> {
        if self.length >= SEGMENT {
            self.sync()?;
            self.file = begin(&self.folder, self.segment + 1)?;
            self.segment += 1;
            self.length = 0;
        }
        if let Err(error) = self.file.write_all(lines) {
            // Half of it may be there: nothing must be written behind it.
            let _ = self.file.set_len(self.length);
            let _ = self.file.seek(SeekFrom::Start(self.length));
            return Err(error);
        }
        self.length += lines.len() as u64;
        self.bytes += lines.len() as u64;
        self.waiting += count;
        self.dirty = true;
        Ok(())
    }

    fn sync(&mut self) -> std::io::Result<()> {
        if std::mem::take(&mut self.dirty) {
            self.file.sync_data()?;
        }
        Ok(())
    }

    /// Entries from the cursor on, at most `most`, and the place after them.
    fn next(&mut self, most: usize) -> std::io::Result<(Vec<Entry>, (u64, u64), u64)> {
        let mut entries = Vec::new();
        let mut lines = 0;
        let mut place = self.at;
        for segment in segments(&self.folder)?.range(self.at.0..).copied() {
            let from = if segment == self.at.0 { self.at.1 } else { 0 };
            let mut file = File::open(name(&self.folder, segment))?;
            file.seek(SeekFrom::Start(from))?;
            let mut reader = BufReader::new(file);
            let mut at = from;
            loop {
                if entries.len() >= most {
                    return Ok((entries, place, lines));
                }
                let mut line = Vec::new();
                let read = reader.read_until(b'\n', &mut line)?;
                if read == 0 || line.last() != Some(&b'\n') {
                    break;
                }
                at += read as u64;
                place = (segment, at);
                lines += 1;
                match serde_json::from_slice(&line) {
                    Ok(entry) => entries.push(entry),
                    Err(error) => tracing::error!(%error, segment, "a line of the spool is no record; it is passed over"),
                }
            }
            if segment < self.segment {
                place = (segment + 1, 0);
            }
        }
        Ok((entries, place, lines))
    }

    fn advance(&mut self, place: (u64, u64), lines: u64) -> std::io::Result<()> {
        let cursor = self.folder.join("cursor");
        let new = self.folder.join("cursor.new");
        std::fs::write(&new, format!("{} {}\n", place.0, place.1))?;
        std::fs::rename(&new, &cursor)?;
        for done in segments(&self.folder)?.range(..place.0.min(self.segment)) {
            let _ = self.remove(*done);
        }
        self.at = place;
        self.waiting = self.waiting.saturating_sub(lines);
        Ok(())
    }

    fn remove(&mut self, segment: u64) -> std::io::Result<()> {
        let path = name(&self.folder, segment);
        let length = std::fs::metadata(&path)?.len();
        std::fs::remove_file(&path)?;
        self.bytes = self.bytes.saturating_sub(length);
        Ok(())
    }

    /// Removes the oldest whole segment; answers how many records went with it, none if there is none.
    fn drop_oldest(&mut self) -> std::io::Result<Option<u64>> {
        let Some(oldest) = segments(&self.folder)?.first().copied().filter(|s| *s < self.segment) else { return Ok(None) };
        self.remove(oldest)?;
        if oldest < self.at.0 {
            return Ok(Some(0));
        }
        self.at = (oldest + 1, 0);
        let before = self.waiting;
        self.waiting = self.count()?;
        Ok(Some(before.saturating_sub(self.waiting)))
    }
}

fn begin(folder: &Path, segment: u64) -> std::io::Result<File> {
    OpenOptions::new().create(true).write(true).truncate(true).open(name(folder, segment))
}

// === impl Spool ===

impl Spool {
    /// Opens a spool; what an earlier process left is read first. `most` is what telemetry may take, bytes.
    pub(crate) fn open(folder: &Path, most: u64) -> std::io::Result<Self> {
        Ok(Spool { kept: Queue::open(folder.join("kept"))?, telemetry: Queue::open(folder.join("telemetry"))?, most, dropped: 0 })
    }

    /// Takes entries. What must arrive is on disk when it returns; telemetry with the next [`Spool::sync`].
    ///
    /// # Errors
    /// The disk is full even without telemetry: what must arrive has not been taken.
    pub(crate) fn append(&mut self, lane: Lane, entries: &[Entry]) -> std::io::Result<()> {
        let mut lines = Vec::with_capacity(entries.len() * 800);
        for entry in entries {
            serde_json::to_writer(&mut lines, entry)?;
            lines.push(b'\n');
        }
        let count = entries.len() as u64;
        match lane {
            Lane::Telemetry => {
                while self.telemetry.bytes + lines.len() as u64 > self.most {
                    match self.telemetry.drop_oldest()? {
                        Some(dropped) => self.dropped += dropped,
                        None => break,
                    }
                }
                self.telemetry.append(&lines, count).inspect_err(|_| self.dropped += count)
            }
            Lane::Kept => loop {
                let Err(error) = self.kept.append(&lines, count).and_then(|()| self.kept.sync()) else { return Ok(()) };
                // Telemetry makes room for what must arrive.
                match self.telemetry.drop_oldest()? {
                    Some(dropped) => self.dropped += dropped,
                    None => return Err(error),
                }
            },
        }
    }

    pub(crate) fn sync(&mut self) -> std::io::Result<()> {
        self.kept.sync()?;
        self.telemetry.sync()
    }

    /// The next batch: what must arrive before telemetry.
    ///
    /// # Errors
    /// The spool cannot be read.
    pub(crate) fn next(&mut self, most: usize) -> std::io::Result<(Vec<Entry>, Mark)> {
        let (entries, place, lines) = self.kept.next(most)?;
        if lines > 0 {
            return Ok((entries, Mark { lane: Lane::Kept, place, count: lines }));
        }
        let (entries, place, lines) = self.telemetry.next(most)?;
        Ok((entries, Mark { lane: Lane::Telemetry, place, count: lines }))
    }

    /// The server has everything before `mark`.
    ///
    /// # Errors
    /// The cursor cannot be written: the batch would be sent again, and known by its ids.
    pub(crate) fn advance(&mut self, mark: Mark) -> std::io::Result<()> {
        let queue = match mark.lane {
            Lane::Kept => &mut self.kept,
            Lane::Telemetry => &mut self.telemetry,
        };
        // Dropped meanwhile: the reader is beyond it already.
        if queue.at.0 > mark.place.0 {
            return Ok(());
        }
        queue.advance(mark.place, mark.count)
    }

    pub(crate) fn waiting(&self) -> u64 {
        self.kept.waiting + self.telemetry.waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jinwu_model::{Kind, Record, Subject};

    fn entry(id: u64) -> Entry {
        Entry { id: id.to_string(), record: Record::new(0, Kind::File, Subject::system("t"), "x", "y".repeat(2000)) }
    }

    fn ids(entries: &[Entry]) -> Vec<u64> {
        entries.iter().map(|e| e.id.parse().unwrap()).collect()
    }

    #[test]
    fn what_an_earlier_process_left_comes_first_and_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), 1 << 30).unwrap();
        spool.append(Lane::Telemetry, &[entry(1), entry(2)]).unwrap();
        spool.append(Lane::Kept, &[entry(3)]).unwrap();
        let (first, mark) = spool.next(10).unwrap();
        assert_eq!(ids(&first), [3]);
        spool.advance(mark).unwrap();
        drop(spool);
        // Half a line, as a crash leaves it.
        let last = name(&folder.path().join("telemetry"), 1);
        OpenOptions::new().append(true).open(last).unwrap().write_all(b"{\"id\":\"half").unwrap();
        let mut spool = Spool::open(folder.path(), 1 << 30).unwrap();
        spool.append(Lane::Telemetry, &[entry(4)]).unwrap();
        let (next, mark) = spool.next(2).unwrap();
        assert_eq!(ids(&next), [1, 2]);
        spool.advance(mark).unwrap();
        let (next, mark) = spool.next(2).unwrap();
        assert_eq!(ids(&next), [4]);
        spool.advance(mark).unwrap();
        assert_eq!(spool.waiting(), 0);
        assert!(spool.next(2).unwrap().0.is_empty());
    }

    #[test]
    fn telemetry_goes_when_there_is_no_room_and_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), 20 << 20).unwrap();
        spool.append(Lane::Kept, &[entry(0)]).unwrap();
        let mut id = 0;
        for _ in 0..100 {
            let batch: Vec<Entry> = (0..500).map(|_| { id += 1; entry(id) }).collect();
            spool.append(Lane::Telemetry, &batch).unwrap();
        }
        assert!(spool.telemetry.bytes <= 20 << 20);
        assert!(spool.dropped > 0);
        let mut seen = 0;
        loop {
            let (entries, mark) = spool.next(2000).unwrap();
            if entries.is_empty() {
                break;
            }
            seen += entries.len() as u64;
            spool.advance(mark).unwrap();
        }
        assert_eq!(seen + spool.dropped, 50_001, "every record was either sent or counted");
    }
}
