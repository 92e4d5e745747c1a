//! Tar headers, read the way Go's `archive/tar` reads them, since that is what runtimes unpack with:
//! a stream two readers split differently could hide a file from one of them.
//!
//! POSIX ustar, star and GNU prefixes, GNU long names, PAX records. Sparse files are refused: no
//! image builder writes them, and their content is not what stands in the stream.

use crate::path::{self, MAX_PATH};

/// Size of a header and the unit of padding.
pub const BLOCK: usize = 512;
/// Longest PAX header or GNU long name, as in Go.
pub const MAX_EXTENSION: u64 = 1 << 20;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    File,
    Directory,
    Symlink,
    HardLink,
    /// Character or block device with its numbers.
    Device { major: u64, minor: u64 },
    Fifo,
    /// A type no runtime unpacks, by its flag; its bytes are in the layer all the same.
    Other(u8),
}

/// An entry as tar says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Normalised ([`path::normalise`]); empty for the root itself.
    pub path: String,
    pub kind: Kind,
    /// Permission bits, `0o7777`.
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    /// Bytes of content that follow.
    pub size: u64,
    /// Target as written (symbolic link) or normalised (hard link).
    pub link: Option<String>,
}

/// What a whiteout entry removes (OCI image-spec, "Representing Changes").
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whiteout {
    /// This path, of lower layers.
    Remove(String),
    /// All that lower layers have in this directory.
    Opaque(String),
}

/// What a 512-byte block turned out to be.
#[derive(Debug)]
pub(crate) enum Header {
    /// All zero: the end, if another follows.
    Zero,
    Entry(Entry),
    /// PAX records or a GNU long name or link of this many bytes follow.
    Extension(Extension, u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extension {
    Pax,
    /// Global PAX records: runtimes ignore them.
    PaxGlobal,
    GnuName,
    GnuLink,
}

/// What extension headers said about the next entry.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pax: Pax,
    gnu_name: Option<Vec<u8>>,
    gnu_link: Option<Vec<u8>>,
}

#[derive(Debug, Default)]
struct Pax {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
}

// === impl Entry ===

impl Entry {
    /// What this entry removes, if it is a whiteout. Its name must not be taken for a file's.
    pub fn whiteout(&self) -> Option<Whiteout> {
        let (directory, name) = path::split(&self.path);
        if name == path::OPAQUE {
            return Some(Whiteout::Opaque(directory.to_owned()));
        }
        let hidden = name.strip_prefix(path::WHITEOUT)?;
        // `.wh..wh.` begins the names of AUFS' own bookkeeping, which runtimes skip.
        if hidden.starts_with(path::WHITEOUT) || hidden.is_empty() || hidden == "." || hidden == ".." {
            return None;
        }
        Some(Whiteout::Remove(path::join(directory, hidden)))
    }
}

// === impl Pending ===

impl Pending {
    /// Takes in the content of an extension header.
    pub(crate) fn take(&mut self, extension: Extension, content: &[u8]) -> Result<(), String> {
        match extension {
            // As in Go, the last of several PAX headers counts alone.
            Extension::Pax => self.pax = pax(content)?,
            Extension::PaxGlobal => drop(pax(content)?),
            Extension::GnuName => self.gnu_name = Some(until_nul(content).to_vec()),
            Extension::GnuLink => self.gnu_link = Some(until_nul(content).to_vec()),
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        let p = &self.pax;
        self.gnu_name.is_none()
            && self.gnu_link.is_none()
            && p.path.is_none()
            && p.link.is_none()
            && p.size.is_none()
            && p.uid.is_none()
            && p.gid.is_none()
    }
}

// === reading ===

/// Reads one header block; what extension headers said before it is used up.
pub(crate) fn header(block: &[u8; BLOCK], pending: &mut Pending) -> Result<Header, String> {
    if block.iter().all(|b| *b == 0) {
        return Ok(Header::Zero);
    }
    checksum(block)?;
    let flag = block[156];
    let size = number(&block[124..136]).ok_or("size is not a number")?;
    let extension = match flag {
        b'x' => Some(Extension::Pax),
        b'g' => Some(Extension::PaxGlobal),
        b'L' => Some(Extension::GnuName),
        b'K' => Some(Extension::GnuLink),
        _ => None,
    };
    if let Some(extension) = extension {
        return if size > MAX_EXTENSION {
            Err(format!("extension header of {size} bytes, at most {MAX_EXTENSION} are allowed"))
        } else {
            Ok(Header::Extension(extension, size))
        };
    }
    if flag == b'S' {
        return Err("sparse file: its content cannot be examined".into());
    }
    let pending = std::mem::take(pending);
    let raw_name = match pending.gnu_name.or(pending.pax.path) {
        Some(name) => name,
        None => name(block),
    };
    let raw_link = pending.gnu_link.or(pending.pax.link).unwrap_or_else(|| until_nul(&block[157..257]).to_vec());
    if raw_name.len() > MAX_PATH || raw_link.len() > MAX_PATH {
        return Err(format!("path longer than {MAX_PATH} bytes"));
    }
    let field = |range: std::ops::Range<usize>, what: &str| number(&block[range]).ok_or(format!("{what} is not a number"));
    let kind = match flag {
        0 if raw_name.ends_with(b"/") => Kind::Directory,
        0 | b'0' | b'7' => Kind::File,
        b'1' => Kind::HardLink,
        b'2' => Kind::Symlink,
        b'3' | b'4' => Kind::Device { major: field(329..337, "device number")?, minor: field(337..345, "device number")? },
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        other => Kind::Other(other),
    };
    let size = match flag {
        // Header-only types: a size there is ignored, as in Go.
        b'1'..=b'6' => 0,
        _ => pending.pax.size.unwrap_or(size),
    };
    let link = match kind {
        Kind::Symlink => Some(path::text(&raw_link)),
        Kind::HardLink => Some(path::normalise(&raw_link)),
        _ => None,
    };
    Ok(Header::Entry(Entry {
        path: path::normalise(&raw_name),
        kind,
        mode: (field(100..108, "mode")? & 0o7777) as u32,
        uid: pending.pax.uid.map_or_else(|| field(108..116, "uid"), Ok)?,
        gid: pending.pax.gid.map_or_else(|| field(116..124, "gid"), Ok)?,
        size,
        link,
    }))
}

/// Name field and, where the format has one, prefix.
fn name(block: &[u8; BLOCK]) -> Vec<u8> {
    let name = until_nul(&block[..100]);
    let posix = &block[257..263] == b"ustar\0";
    let star = posix && &block[508..512] == b"tar\0";
    let prefix: &[u8] = match (star, posix) {
        (true, _) => until_nul(&block[345..476]),
        (_, true) => until_nul(&block[345..500]),
        _ => b"",
    };
    if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|b| *b == 0).next().unwrap_or_default()
}

/// Sum of all bytes with the checksum field as spaces; old programs summed signed bytes.
fn checksum(block: &[u8; BLOCK]) -> Result<(), String> {
    let stated = octal(&block[148..156]).ok_or("header checksum is not a number: not a tar header, or damaged")?;
    let (mut unsigned, mut signed) = (0_i64, 0_i64);
    for (at, byte) in block.iter().enumerate() {
        let byte = if (148..156).contains(&at) { b' ' } else { *byte };
        unsigned += i64::from(byte);
        signed += i64::from(byte as i8);
    }
    match i64::try_from(stated) {
        Ok(s) if s == unsigned || s == signed => Ok(()),
        _ => Err(format!("header checksum is {stated:o}, the block sums to {unsigned:o}: not a tar header, or damaged")),
    }
}

/// Octal digits between spaces and NULs; empty is 0.
fn octal(field: &[u8]) -> Option<u64> {
    let is_pad = |b: &u8| *b == b' ' || *b == 0;
    let start = field.iter().position(|b| !is_pad(b)).unwrap_or(field.len());
    let end = field.iter().rposition(|b| !is_pad(b)).map_or(start, |at| at + 1);
    let mut value: u64 = 0;
    for byte in until_nul(field.get(start..end)?) {
        let digit = byte.checked_sub(b'0').filter(|d| *d < 8)?;
        value = value.checked_mul(8)?.checked_add(u64::from(digit))?;
    }
    Some(value)
}

/// Octal, or big-endian base 256 when the top bit is set. Negative and oversized numbers are none.
fn number(field: &[u8]) -> Option<u64> {
    let (first, rest) = field.split_first()?;
    if first & 0x80 == 0 {
        return octal(field);
    }
    if first & 0x40 != 0 {
        return None;
    }
    rest.iter().try_fold(u64::from(first & 0x3f), |value, byte| {
        value.checked_mul(256).map(|v| v | u64::from(*byte)).filter(|v| *v <= i64::MAX as u64)
    })
}

/// PAX records, `LENGTH KEY=VALUE\n` each.
fn pax(mut content: &[u8]) -> Result<Pax, String> {
    let mut out = Pax::default();
    while !content.is_empty() {
        let damaged = || "damaged PAX record".to_owned();
        let space = content.iter().take(20).position(|b| *b == b' ').ok_or_else(damaged)?;
        let length: usize = content.get(..space).and_then(|d| std::str::from_utf8(d).ok()).and_then(|d| d.parse().ok()).ok_or_else(damaged)?;
        let record = content.get(space + 1..length).ok_or_else(damaged)?;
        content = content.get(length..).unwrap_or_default();
        let record = record.strip_suffix(b"\n").ok_or_else(damaged)?;
        let equals = record.iter().position(|b| *b == b'=').ok_or_else(damaged)?;
        let (key, value) = (record.get(..equals).unwrap_or_default(), record.get(equals + 1..).unwrap_or_default());
        let decimal = || std::str::from_utf8(value).ok().and_then(|v| v.parse::<u64>().ok()).filter(|v| *v <= i64::MAX as u64);
        match key {
            // An empty value takes the header's own.
            b"path" => out.path = Some(value.to_vec()).filter(|v| !v.is_empty()),
            b"linkpath" => out.link = Some(value.to_vec()).filter(|v| !v.is_empty()),
            b"size" if !value.is_empty() => out.size = Some(decimal().ok_or("PAX size is not a number")?),
            b"uid" if !value.is_empty() => out.uid = Some(decimal().ok_or("PAX uid is not a number")?),
            b"gid" if !value.is_empty() => out.gid = Some(decimal().ok_or("PAX gid is not a number")?),
            key if key.starts_with(b"GNU.sparse.") => return Err("sparse file: its content cannot be examined".into()),
            _ => {}
        }
        if matches!(key, b"path" | b"linkpath") && value.contains(&0) {
            return Err("NUL in a PAX path".into());
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(octal(b"0000644\0"), Some(0o644));
        assert_eq!(octal(b"   644 \0"), Some(0o644));
        assert_eq!(octal(b"\0\0\0"), Some(0));
        assert_eq!(octal(b"0x8"), None);
        assert_eq!(number(b"\x80\0\0\0\0\0\0\0\0\0\x01\0"), Some(256));
        assert_eq!(number(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), None);
        assert_eq!(number(b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), None);
    }

    #[test]
    fn pax_records() {
        let p = pax(b"12 path=abc\n11 size=22\n9 a=\xff\xff\n").err();
        assert!(p.is_some(), "a wrong length is damage");
        let p = pax(b"12 path=abc\n11 size=22\n").unwrap();
        assert_eq!((p.path.as_deref(), p.size), (Some(&b"abc"[..]), Some(22)));
        assert!(pax(b"22 GNU.sparse.major=1\n").unwrap_err().contains("sparse"));
        assert!(pax(b"99999999999999999999 a=b\n").is_err());
        assert!(pax(b"3 a\n").is_err());
    }

    #[test]
    fn whiteouts() {
        let entry = |path: &str| Entry { path: path.into(), kind: Kind::File, mode: 0, uid: 0, gid: 0, size: 0, link: None };
        assert_eq!(entry("a/.wh.b").whiteout(), Some(Whiteout::Remove("a/b".into())));
        assert_eq!(entry(".wh.b").whiteout(), Some(Whiteout::Remove("b".into())));
        assert_eq!(entry("a/.wh..wh..opq").whiteout(), Some(Whiteout::Opaque("a".into())));
        assert_eq!(entry("a/.wh..wh.plnk").whiteout(), None);
        assert_eq!(entry("a/.wh.").whiteout(), None);
        assert_eq!(entry("a/b.wh.c").whiteout(), None);
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, BLOCK), flag in proptest::num::u8::ANY, text in proptest::collection::vec(proptest::num::u8::ANY, 0..100)) {
            let mut block: [u8; BLOCK] = bytes.try_into().unwrap();
            block[156] = flag;
            // A right checksum lets the rest of the header be read.
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            let mut pending = Pending::default();
            let _ = pending.take(Extension::Pax, &text);
            let _ = header(&block, &mut pending);
        }
    }
}
