//! How a layer is compressed, told from its first bytes as runtimes do, and its decoder.

use std::io::{self, BufRead, Read};
// For its `std` feature: without it the checksum and copies use no vector instructions.
use zlib_rs as _;

/// A compression every runtime unpacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    Plain,
    /// RFC 1952, any number of members.
    Gzip,
    /// RFC 8878, any number of frames.
    Zstd,
}

/// Largest zstd window, as a power of two: 128 MiB is the format's recommended maximum for decoders.
const ZSTD_WINDOW_LOG: u32 = 27;

/// Reads the magic number. `None` for formats this does not read (xz and bzip2, which some runtimes
/// unpack); `Plain` says only that no compression was recognised.
pub fn sniff(head: &[u8]) -> Option<Compression> {
    match head {
        [0x1f, 0x8b, 8, ..] => Some(Compression::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Compression::Zstd),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] | [b'B', b'Z', b'h', b'1'..=b'9', ..] => None,
        _ => Some(Compression::Plain),
    }
}

/// A reader of the inflated bytes. Truncated or damaged input is an error when it is reached.
pub fn reader<'a, R: BufRead + 'a>(compression: Compression, input: R) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match compression {
        Compression::Plain => Box::new(input),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
    })
}
