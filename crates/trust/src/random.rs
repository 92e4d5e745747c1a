//! Random values from the operating system.

use rand::TryRngCore;

/// `N` bytes from the kernel's generator. Fails only where the kernel has none, and then nothing
/// secret may be made, so the process ends.
#[expect(clippy::expect_used, reason = "without randomness no secret may be made")]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut out = [0u8; N];
    rand::rngs::OsRng.try_fill_bytes(&mut out).expect("the kernel's random generator answers");
    out
}

/// A password or secret of `length` letters and digits without look-alikes (log2(54) ≈ 5.75 bits each).
pub fn password(length: usize) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789";
    let mut out = String::with_capacity(length);
    while out.len() < length {
        for b in bytes::<32>() {
            // Rejection keeps the distribution even.
            let limit = 256 - 256 % ALPHABET.len();
            if usize::from(b) < limit && out.len() < length {
                out.push(char::from(ALPHABET[usize::from(b) % ALPHABET.len()]));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn passwords_have_the_length_and_differ() {
        let (a, b) = (super::password(24), super::password(24));
        assert_eq!(a.len(), 24);
        assert_ne!(a, b);
    }
}
