//! One pass over a layer: hash, inflate, hash, tar, visit.
//!
//! Two threads share the work through a few recycled blocks: one reads, inflates and hashes, the
//! other splits the tar and shows entries to a [`Visitor`]. Nothing is kept but one block and, while
//! a file longer than a block is looked at, one window of it.

use crate::inflate::{self, Compression};
use crate::tar::{self, BLOCK, Entry, Header, Pending};
use aws_lc_rs::digest::{Context, SHA256};
use jinwu_model::{Algorithm, Digest};
use std::io::{self, BufReader, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

/// Bounds of a walk. What goes beyond is [`WalkError::TooLarge`].
#[derive(Clone, Debug)]
pub struct Limits {
    pub entries: u64,
    /// Inflated bytes.
    pub inflated: u64,
    /// Inflated to stored bytes, looked at once [`Limits::ratio_floor`] bytes are inflated: beyond it
    /// the layer is taken for a bomb. Deflate cannot exceed 1032, real layers stay below 100.
    pub ratio: u64,
    pub ratio_floor: u64,
    /// Largest piece of a file shown at once; longer files come in overlapping windows.
    pub window: usize,
    /// Bytes one window repeats of the one before, so that what lies across the border is seen.
    pub overlap: usize,
}

/// Sees the entries of a layer.
pub trait Visitor {
    /// Every entry comes here first. `head` is the beginning of its content: all of it or 4 KiB.
    /// Returns whether the content is wanted.
    fn entry(&mut self, entry: &Entry, head: &[u8]) -> bool;

    /// The content of a wanted entry: once, or in windows.
    fn content(&mut self, entry: &Entry, part: Part<'_>);
}

/// A piece of a file.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// Where `bytes` begin in the file.
    pub offset: u64,
    pub bytes: &'a [u8],
}

/// What a whole walk found out about the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walked {
    /// Digest of the whole inflated stream, whatever follows the tar's end included.
    pub diff_id: Digest,
    /// Digest of the bytes as stored, when asked for.
    pub compressed: Option<Digest>,
    pub stored: u64,
    pub inflated: u64,
    pub entries: u64,
    /// Bytes other than padding after the tar's end: in the layer, but no entry.
    pub trailing: u64,
    pub compression: &'static str,
}

/// Why a walk ended early.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WalkError {
    /// No tar, and no gzip or zstd of one.
    #[error("not a layer: {0}")]
    NotALayer(String),
    /// A compression this does not read.
    #[error("{0}")]
    UnknownFormat(String),
    /// Damaged, and where.
    #[error("{0}")]
    Unreadable(String),
    /// A bound was reached.
    #[error("{0}")]
    TooLarge(String),
    /// The source gave up ([`io::ErrorKind::ConnectionAborted`]).
    #[error("the source was given up")]
    Aborted,
}

/// A multiple of [`BLOCK`], so that headers never lie across two blocks.
const CHUNK: usize = 512 << 10;
/// Blocks in flight between the two threads: one that examines a long file does not stop the other.
const IN_FLIGHT: usize = 24;
/// What an analyzer sees of a file before it decides.
pub const HEAD: usize = 4096;

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Limits { entries: 4_000_000, inflated: 64 << 30, ratio: 200, ratio_floor: 256 << 20, window: 64 << 20, overlap: 64 << 10 }
    }
}

/// Walks a layer. With `hash_stored` the stored bytes are hashed too.
pub fn walk(
    input: impl Read + Send,
    hash_stored: bool,
    limits: &Limits,
    visitor: &mut dyn Visitor,
) -> Result<Walked, WalkError> {
    std::thread::scope(|scope| {
        let (full, blocks) = sync_channel::<Vec<u8>>(IN_FLIGHT);
        let (empty, recycled) = channel();
        let producer = scope.spawn(move || Producer { limits, full, recycled }.run(input, hash_stored));
        let mut stream = Stream { blocks, empty, block: Vec::new(), at: 0, offset: 0 };
        let split = split(&mut stream, limits, visitor);
        // A consumer that gave up lets go of the channel, and the producer of its input.
        drop(stream);
        let produced = producer.join().map_err(|_| WalkError::Unreadable("the decoder failed".into()))?;
        match (produced, split) {
            (Ok(_), Err(Failure::Ended(e) | Failure::Final(e))) => Err(e),
            // Where the producer failed the consumer only saw the end: the cause counts. Where the
            // consumer had given up already its verdict stands.
            (Err(Stopped::Failed(e)), Err(Failure::Ended(_)) | Ok(_)) => Err(e),
            (Err(Stopped::Failed(_) | Stopped::Unwanted), Err(Failure::Final(e))) => Err(e),
            (Err(Stopped::Unwanted), Err(Failure::Ended(e))) => Err(e),
            (Err(Stopped::Unwanted), Ok(_)) => Err(WalkError::Unreadable("the stream was not read to its end".into())),
            (Ok(mut walked), Ok(seen)) => {
                walked.entries = seen.entries;
                walked.trailing = seen.trailing;
                Ok(walked)
            }
        }
    })
}

// === reading and inflating ===

enum Stopped {
    Failed(WalkError),
    /// Nobody takes blocks any more.
    Unwanted,
}

struct Producer<'a> {
    limits: &'a Limits,
    full: SyncSender<Vec<u8>>,
    recycled: Receiver<Vec<u8>>,
}

/// Counts and hashes what is read through it.
struct Stored<R> {
    input: R,
    hash: Option<Context>,
    count: std::rc::Rc<std::cell::Cell<u64>>,
}

impl<R: Read> Read for Stored<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(buffer)?;
        if let Some(hash) = &mut self.hash {
            hash.update(buffer.get(..n).unwrap_or_default());
        }
        self.count.set(self.count.get() + n as u64);
        Ok(n)
    }
}

impl Producer<'_> {
    fn run(self, input: impl Read, hash_stored: bool) -> Result<Walked, Stopped> {
        let count = std::rc::Rc::new(std::cell::Cell::new(0));
        let mut stored = Stored { input, hash: hash_stored.then(|| Context::new(&SHA256)), count: count.clone() };
        // A growing file may give its first bytes one by one.
        let mut magic = [0; 6];
        let known = fill(&mut stored, &mut magic).map_err(|e| Stopped::Failed(input_error(&e, Compression::Plain, 0, 0)))?;
        let magic = magic.get(..known).unwrap_or_default();
        let compression = recognise(magic).map_err(Stopped::Failed)?;
        let mut input = BufReader::with_capacity(256 << 10, io::Cursor::new(magic).chain(stored));
        let mut hash = Context::new(&SHA256);
        let mut inflated = 0_u64;
        {
            let place = |e: io::Error, inflated: u64| Stopped::Failed(input_error(&e, compression, count.get(), inflated));
            let mut reader = inflate::reader(compression, &mut input).map_err(|e| place(e, 0))?;
            loop {
                let mut block = self.recycled.try_recv().unwrap_or_else(|_| vec![0; CHUNK]);
                block.resize(CHUNK, 0);
                let filled = fill(&mut reader, &mut block).map_err(|e| place(e, inflated))?;
                if filled == 0 {
                    break;
                }
                block.truncate(filled);
                hash.update(&block);
                inflated += filled as u64;
                self.bounds(inflated, count.get()).map_err(Stopped::Failed)?;
                let last = filled < CHUNK;
                self.full.send(block).map_err(|_| Stopped::Unwanted)?;
                if last {
                    break;
                }
            }
        }
        // The decoder must have used all there is; more would be bytes no digest of content covers.
        let rest = io::copy(&mut input, &mut io::sink()).map_err(|e| Stopped::Failed(input_error(&e, compression, count.get(), inflated)))?;
        if rest > 0 {
            let detail = format!("{rest} bytes follow the end of the compressed stream");
            return Err(Stopped::Failed(WalkError::Unreadable(detail)));
        }
        let (_, stored) = input.into_inner().into_inner();
        Ok(Walked {
            diff_id: sha256(hash)?,
            compressed: stored.hash.map(sha256).transpose()?,
            stored: count.get(),
            inflated,
            entries: 0,
            trailing: 0,
            compression: compression.as_str(),
        })
    }

    fn bounds(&self, inflated: u64, stored: u64) -> Result<(), WalkError> {
        let l = self.limits;
        if inflated > l.inflated {
            return Err(WalkError::TooLarge(format!("the layer inflates to more than {} bytes", l.inflated)));
        }
        if inflated > l.ratio_floor && inflated / stored.max(1) > l.ratio {
            let detail = format!("{stored} stored bytes inflate to more than {inflated}, over {} to one: a compression bomb", l.ratio);
            return Err(WalkError::TooLarge(detail));
        }
        Ok(())
    }
}

impl Compression {
    fn as_str(self) -> &'static str {
        match self {
            Compression::Plain => "plain",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
        }
    }
}

fn recognise(magic: &[u8]) -> Result<Compression, WalkError> {
    if magic.is_empty() {
        return Err(WalkError::NotALayer("empty".into()));
    }
    inflate::sniff(magic).ok_or_else(|| WalkError::UnknownFormat("compressed with xz or bzip2, which this scanner does not read".into()))
}

fn sha256(hash: Context) -> Result<Digest, Stopped> {
    Digest::from_bytes(Algorithm::Sha256, hash.finish().as_ref()).map_err(|e| Stopped::Failed(WalkError::Unreadable(e.to_string())))
}

fn input_error(e: &io::Error, compression: Compression, stored: u64, inflated: u64) -> WalkError {
    if e.kind() == io::ErrorKind::ConnectionAborted {
        return WalkError::Aborted;
    }
    let what = match e.kind() {
        io::ErrorKind::UnexpectedEof => "ends too early".to_owned(),
        _ => format!("is damaged ({e})"),
    };
    WalkError::Unreadable(format!(
        "the {} stream {what}, near stored byte {stored}, after {inflated} inflated bytes",
        compression.as_str()
    ))
}

/// Reads until the buffer is full or the stream ends.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|r| !r.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

// === splitting the tar ===

struct Seen {
    entries: u64,
    trailing: u64,
}

/// Why splitting stopped.
enum Failure {
    /// The stream ended where more was due; the producer may know why.
    Ended(WalkError),
    Final(WalkError),
}

/// Inflated bytes, block by block.
struct Stream {
    blocks: Receiver<Vec<u8>>,
    empty: Sender<Vec<u8>>,
    block: Vec<u8>,
    at: usize,
    /// Of `block` in the stream.
    offset: u64,
}

impl Stream {
    fn position(&self) -> u64 {
        self.offset + self.at as u64
    }

    /// What is left of the current block; takes the next one when it is used up. Empty at the end.
    fn rest(&mut self) -> &[u8] {
        if self.at >= self.block.len() {
            self.offset += self.block.len() as u64;
            self.at = 0;
            let next = self.blocks.recv().unwrap_or_default();
            let used = std::mem::replace(&mut self.block, next);
            // The producer may be done already.
            let _ = self.empty.send(used);
        }
        self.block.get(self.at..).unwrap_or_default()
    }

    /// Up to `n` bytes of the current block.
    fn take(&mut self, n: u64) -> &[u8] {
        let n = self.rest().len().min(usize::try_from(n).unwrap_or(usize::MAX));
        let start = self.at;
        self.at += n;
        self.block.get(start..start + n).unwrap_or_default()
    }

    fn skip(&mut self, mut n: u64) -> Result<(), Failure> {
        while n > 0 {
            match self.take(n).len() {
                0 => return Err(self.ended("content")),
                taken => n -= taken as u64,
            }
        }
        Ok(())
    }

    /// Appends exactly `n` bytes to `to`.
    fn append(&mut self, n: u64, to: &mut Vec<u8>) -> Result<(), Failure> {
        let mut left = n;
        while left > 0 {
            let piece = self.take(left);
            if piece.is_empty() {
                return Err(self.ended("content"));
            }
            to.extend_from_slice(piece);
            left -= piece.len() as u64;
        }
        Ok(())
    }

    fn ended(&self, within: &str) -> Failure {
        Failure::Ended(WalkError::Unreadable(format!("the tar ends within {within}, at inflated byte {}", self.position())))
    }
}

fn split(stream: &mut Stream, limits: &Limits, visitor: &mut dyn Visitor) -> Result<Seen, Failure> {
    let mut pending = Pending::default();
    let mut scratch = Vec::new();
    let mut seen = Seen { entries: 0, trailing: 0 };
    let mut zeros = 0;
    loop {
        let position = stream.position();
        let at = |detail: String| Failure::Final(WalkError::Unreadable(format!("at inflated byte {position}: {detail}")));
        let mut block = [0; BLOCK];
        let got = stream.take(BLOCK as u64);
        match (got.len(), zeros) {
            // Go reads an archive that just stops after an entry, and one closed by a single zero block.
            (0, _) => break,
            (BLOCK, _) => block.copy_from_slice(got),
            (_, 0) if position == 0 => return Err(Failure::Final(WalkError::NotALayer("shorter than a tar header".into()))),
            _ => return Err(stream.ended("a header")),
        }
        match tar::header(&block, &mut pending) {
            Err(detail) if position == 0 && seen.entries == 0 && !looks_like_tar(&block) => {
                return Err(Failure::Final(WalkError::NotALayer(detail)));
            }
            Err(detail) => return Err(at(detail)),
            Ok(Header::Zero) => {
                zeros += 1;
                if zeros == 2 {
                    break;
                }
                continue;
            }
            Ok(_) if zeros > 0 => return Err(at("an entry follows the end mark".into())),
            Ok(Header::Extension(extension, size)) => {
                scratch.clear();
                stream.append(size, &mut scratch)?;
                stream.skip(padding(size))?;
                pending.take(extension, &scratch).map_err(at)?;
                // Extensions cost entries too, or a layer could consist of nothing else.
                seen.entries += 1;
            }
            Ok(Header::Entry(entry)) => {
                seen.entries += 1;
                content(stream, limits, &entry, visitor, &mut scratch)?;
            }
        }
        if seen.entries > limits.entries {
            return Err(Failure::Final(WalkError::TooLarge(format!("more than {} entries", limits.entries))));
        }
    }
    if !pending.is_empty() {
        return Err(stream.ended("an extension header"));
    }
    // To the stream's end, so that the digest covers all of it.
    loop {
        let rest = stream.rest();
        let length = rest.len();
        if length == 0 {
            break;
        }
        seen.trailing += rest.iter().filter(|b| **b != 0).count() as u64;
        stream.at += length;
    }
    Ok(seen)
}

/// Shows an entry and, where wanted, its content; leaves the stream behind its padding.
fn content(
    stream: &mut Stream,
    limits: &Limits,
    entry: &Entry,
    visitor: &mut dyn Visitor,
    scratch: &mut Vec<u8>,
) -> Result<(), Failure> {
    let size = entry.size;
    if size > limits.inflated {
        return Err(Failure::Final(WalkError::TooLarge(format!("{} says it is {size} bytes long", entry.path))));
    }
    let whole = stream.rest().len() as u64 >= size;
    if size == 0 || whole {
        // The common case: nothing is copied.
        let bytes = if size == 0 { &[] } else { stream.take(size) };
        if visitor.entry(entry, bytes.get(..HEAD).unwrap_or(bytes)) && size > 0 {
            visitor.content(entry, Part { offset: 0, bytes });
        }
        return stream.skip(padding(size));
    }
    scratch.clear();
    stream.append(size.min(HEAD as u64), scratch)?;
    if !visitor.entry(entry, scratch) {
        stream.skip(size - scratch.len() as u64)?;
        return stream.skip(padding(size));
    }
    let window = limits.window.max(HEAD);
    let mut offset = 0_u64;
    loop {
        let left = size - offset - scratch.len() as u64;
        stream.append(left.min((window - scratch.len().min(window)) as u64), scratch)?;
        visitor.content(entry, Part { offset, bytes: scratch });
        if offset + scratch.len() as u64 >= size {
            break;
        }
        let keep = limits.overlap.min(window / 2);
        let gone = scratch.len() - keep.min(scratch.len());
        scratch.drain(..gone);
        offset += gone as u64;
    }
    // A long file's buffer is not kept for the short ones that follow.
    if scratch.capacity() > 4 << 20 {
        *scratch = Vec::new();
    }
    stream.skip(padding(size))
}

fn padding(size: u64) -> u64 {
    (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64
}

/// Whether a block whose header is damaged was meant to be a tar's first.
fn looks_like_tar(block: &[u8; BLOCK]) -> bool {
    &block[257..262] == b"ustar"
}
