//! Key stores that hold a private key. Trust stores (certificates only) are no hit.

use super::Kind;
use super::der::{INTEGER, OCTETS, OID, Reader, SEQUENCE};

/// Entries of a Java key store walked at most.
const MAX_ENTRIES: u32 = 10_000;

/// 1.2.840.113549.1.7.1: PKCS#7 data.
const DATA: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
/// 1.2.840.113549.1.12.10.1: PKCS#12 bags; 1 is a key, 2 a shrouded key.
const BAG: [u8; 10] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x0a, 0x01];

/// PKCS#12 (RFC 7292): version 3, an authenticated safe of contents; keys stand in a content that
/// is not itself encrypted, so their bags can be seen without the password.
pub(super) fn pkcs12(bytes: &[u8]) -> Option<Kind> {
    let mut pfx = Reader::new(Reader::new(bytes).expect(SEQUENCE)?);
    if pfx.expect(INTEGER)? != [3] {
        return None;
    }
    let safe = data(pfx.expect(SEQUENCE)?)?;
    let mut contents = Reader::new(Reader::new(safe).expect(SEQUENCE)?);
    for _ in 0..64 {
        let Some(info) = contents.expect(SEQUENCE) else { break };
        let Some(plain) = data(info) else { continue };
        let mut bags = Reader::new(Reader::new(plain).expect(SEQUENCE)?);
        for _ in 0..1024 {
            let Some(bag) = bags.expect(SEQUENCE) else { break };
            let oid = Reader::new(bag).expect(OID)?;
            if oid.strip_prefix(&BAG).is_some_and(|kind| matches!(kind, [1 | 2])) {
                return Some(Kind::Pkcs12);
            }
        }
    }
    None
}

/// The octets of a ContentInfo of type data.
fn data(info: &[u8]) -> Option<&[u8]> {
    let mut info = Reader::new(info);
    if info.expect(OID)? != DATA {
        return None;
    }
    Reader::new(info.expect(0xa0)?).expect(OCTETS)
}

/// JKS and JCEKS: entries with tag 1 (private key) or 3 (secret key, JCEKS).
pub(super) fn java(bytes: &[u8]) -> Option<Kind> {
    let mut at = Cursor { rest: bytes.get(4..)? };
    let version = at.u32()?;
    if !(1..=2).contains(&version) {
        return None;
    }
    let entries = at.u32()?.min(MAX_ENTRIES);
    for _ in 0..entries {
        match at.u32()? {
            1 | 3 => return Some(Kind::Java),
            2 => {
                let alias = at.u16()?;
                at.skip(usize::from(alias) + 8)?;
                if version == 2 {
                    let kind = at.u16()?;
                    at.skip(usize::from(kind))?;
                }
                let certificate = at.u32()?;
                at.skip(certificate as usize)?;
            }
            _ => return None,
        }
    }
    None
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl Cursor<'_> {
    fn skip(&mut self, n: usize) -> Option<()> {
        self.rest = self.rest.get(n..)?;
        Some(())
    }

    fn u16(&mut self) -> Option<u16> {
        let (head, rest) = self.rest.split_first_chunk::<2>()?;
        self.rest = rest;
        Some(u16::from_be_bytes(*head))
    }

    fn u32(&mut self) -> Option<u32> {
        let (head, rest) = self.rest.split_first_chunk::<4>()?;
        self.rest = rest;
        Some(u32::from_be_bytes(*head))
    }
}
