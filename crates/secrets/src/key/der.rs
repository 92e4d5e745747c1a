//! Private keys in DER, told by their first members.
//!
//! A reader of tag, length, value with explicit bounds: definite lengths of at most four bytes, no
//! recursion, nothing is copied.

use super::Kind;

/// A cursor over DER.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTETS: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;

/// Bytes that may follow a key in its file (a newline, padding).
const TRAILING: usize = 16;

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// The next element: tag and content.
    pub(super) fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (tag, rest) = self.rest.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(*first), rest),
            0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (digits.iter().fold(0usize, |n, b| n << 8 | usize::from(*b)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.rest = rest;
        Some((*tag, content))
    }

    /// The next element if it has this tag.
    pub(super) fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, content) = self.next()?;
        (found == tag).then_some(content)
    }

    pub(super) fn remaining(&self) -> usize {
        self.rest.len()
    }
}

/// Which private key these bytes are, if the whole of them is one.
pub(super) fn private_key(bytes: &[u8]) -> Option<Kind> {
    let mut file = Reader::new(bytes);
    let body = file.expect(SEQUENCE)?;
    if file.remaining() > TRAILING {
        return None;
    }
    let mut key = Reader::new(body);
    let (tag, first) = key.next()?;
    if tag == SEQUENCE {
        return encrypted(first, key);
    }
    if tag != INTEGER || first.len() != 1 {
        return None;
    }
    let version = *first.first()?;
    match key.next()? {
        // PKCS#8 (RFC 5208, 5958): version, algorithm, octets.
        (SEQUENCE, algorithm) if version <= 1 => {
            Reader::new(algorithm).expect(OID)?;
            (key.expect(OCTETS)?.len() >= 16).then_some(Kind::Pkcs8)
        }
        // SEC1 (RFC 5915): version 1, octets of the field's size.
        (OCTETS, secret) if version == 1 && (16..=66).contains(&secret.len()) => match key.next() {
            None => Some(Kind::Ec),
            Some((0xa0 | 0xa1, _)) => Some(Kind::Ec),
            Some(_) => None,
        },
        // PKCS#1 (RFC 8017): version and eight integers; OpenSSL's DSA: version and five.
        (INTEGER, modulus) if version <= 1 && modulus.len() >= 63 => {
            let mut integers = 1;
            while let Some((tag, _)) = key.next() {
                if tag != INTEGER {
                    // Multi-prime RSA has a sequence at the end.
                    return (tag == SEQUENCE && integers == 8).then_some(Kind::Rsa);
                }
                integers += 1;
                if integers > 8 {
                    return None;
                }
            }
            match integers {
                8 => Some(Kind::Rsa),
                5 => Some(Kind::Dsa),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Encrypted PKCS#8: an algorithm of PKCS#5 or PKCS#12, then octets.
fn encrypted(algorithm: &[u8], mut key: Reader<'_>) -> Option<Kind> {
    // 1.2.840.113549.1.5 (PKCS#5) and 1.2.840.113549.1.12.1 (PKCS#12 PBE).
    const PKCS5: [u8; 8] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05];
    const PKCS12: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x01];
    let oid = Reader::new(algorithm).expect(OID)?;
    if !oid.starts_with(&PKCS5) && !oid.starts_with(&PKCS12) {
        return None;
    }
    (key.expect(OCTETS)?.len() >= 32 && key.remaining() == 0).then_some(Kind::Encrypted)
}
