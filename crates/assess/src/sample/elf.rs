//! The smallest program worth running: a static x86-64 ELF file that writes one line and ends.

const BASE: u64 = 0x40_0000;
const HEADERS: u64 = 120;
const CODE: u64 = 36;

/// A program that prints `line` (at most 4 GiB, in practice a few bytes).
pub(super) fn hello(line: &str) -> Vec<u8> {
    let size = HEADERS + CODE + line.len() as u64;
    let mut out = Vec::with_capacity(size as usize);
    // ELF header (System V ABI, chapter 4): 64-bit, little-endian, executable, x86-64.
    out.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    out.extend_from_slice(&2u16.to_le_bytes());
    out.extend_from_slice(&62u16.to_le_bytes());
    out.extend_from_slice(&1u32.to_le_bytes());
    for word in [BASE + HEADERS, 64, 0] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(&0u32.to_le_bytes());
    for half in [64u16, 56, 1, 64, 0, 0] {
        out.extend_from_slice(&half.to_le_bytes());
    }
    // One segment: the whole file, readable and executable.
    out.extend_from_slice(&1u32.to_le_bytes());
    out.extend_from_slice(&5u32.to_le_bytes());
    for word in [0, BASE, BASE, size, size, 0x1000] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    // write(1, line, length); exit(0)
    out.extend_from_slice(b"\xb8\x01\0\0\0\xbf\x01\0\0\0\x48\xbe");
    out.extend_from_slice(&(BASE + HEADERS + CODE).to_le_bytes());
    out.push(0xba);
    out.extend_from_slice(&(line.len() as u32).to_le_bytes());
    out.extend_from_slice(b"\x0f\x05\xb8\x3c\0\0\0\x31\xff\x0f\x05");
    out.extend_from_slice(line.as_bytes());
    out
}
