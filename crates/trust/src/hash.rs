//! SHA-256 and SM3 side by side: evidence and ledger carry both (DESIGN §5.10).

use sha2::Digest as _;

/// SHA-256 of a byte string (FIPS 180-4).
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    sha2::Sha256::digest(bytes).into()
}

/// SM3 of a byte string (GB/T 32905-2016).
pub fn sm3(bytes: &[u8]) -> [u8; 32] {
    sm3::Sm3::digest(bytes).into()
}

/// Both hashes of the same bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Twin {
    pub sha256: [u8; 32],
    pub sm3: [u8; 32],
}

impl Twin {
    pub const ZERO: Twin = Twin { sha256: [0; 32], sm3: [0; 32] };

    pub fn of(bytes: &[u8]) -> Self {
        Self::of_parts(&[bytes])
    }

    /// Of several parts in order, as if concatenated.
    pub fn of_parts(parts: &[&[u8]]) -> Self {
        let mut a = sha2::Sha256::new();
        let mut b = sm3::Sm3::new();
        for part in parts {
            a.update(part);
            b.update(part);
        }
        Twin { sha256: a.finalize().into(), sm3: b.finalize().into() }
    }
}

impl std::fmt::Debug for Twin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "sha256:{} sm3:{}", hex::encode(self.sha256), hex::encode(self.sm3))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_vectors() {
        // GB/T 32905-2016 appendix A, example 1; FIPS 180-4 "abc".
        assert_eq!(hex::encode(sm3(b"abc")), "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0");
        assert_eq!(hex::encode(sha256(b"abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(Twin::of_parts(&[b"a", b"bc"]), Twin::of(b"abc"));
    }
}
