//! The question of a message to a name server (RFC 1035, section 4.1).

use crate::call::Call;
use crate::event::NodeEvent;

const HEADER: usize = 12;
/// Longest name, bytes.
const MAX_NAME: usize = 255;

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// In lower case, without the last dot; what is no letter, digit, `-`, `_` or `.` is `?`.
    pub name: String,
    /// `A`, `AAAA`, `TXT` …; `OTHER` where there is no name for it.
    pub kind: &'static str,
}

/// The first question of an event's message. `None` if it is no question.
pub fn question(event: &NodeEvent) -> Option<Question> {
    if event.call != Call::Dns { None } else { parse(&event.data) }
}

/// The first question of a message, over TCP with its length before it.
pub fn parse(message: &[u8]) -> Option<Question> {
    let tcp = message.get(..2).is_some_and(|l| usize::from(l[0]) << 8 | usize::from(l[1]) == message.len() - 2);
    let message = if tcp { message.get(2..)? } else { message };
    let flags = *message.get(2)?;
    let questions = u16::from_be_bytes(message.get(4..6)?.try_into().ok()?);
    // A standard query, not an answer.
    if flags & 0b1111_1000 != 0 || questions == 0 {
        return None;
    }
    let mut name = String::new();
    let mut at = HEADER;
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        match length {
            0 => break,
            1..=63 => {}
            _ => return None,
        }
        if name.len() + length + 1 > MAX_NAME {
            return None;
        }
        if !name.is_empty() {
            name.push('.');
        }
        name.extend(message.get(at..at + length)?.iter().map(|b| plain(*b)));
        at += length;
    }
    let kind = u16::from_be_bytes(message.get(at..at + 2)?.try_into().ok()?);
    Some(Question { name, kind: type_name(kind) })
}

fn plain(byte: u8) -> char {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte.to_ascii_lowercase()),
        _ => '?',
    }
}

fn type_name(kind: u16) -> &'static str {
    match kind {
        1 => "A",
        2 => "NS",
        5 => "CNAME",
        6 => "SOA",
        10 => "NULL",
        12 => "PTR",
        15 => "MX",
        16 => "TXT",
        28 => "AAAA",
        33 => "SRV",
        64 => "SVCB",
        65 => "HTTPS",
        252 => "AXFR",
        255 => "ANY",
        _ => "OTHER",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x04Pool\x07example\x03org\0\0\x10\0\x01";

    #[test]
    fn questions_are_read_over_both_transports() {
        let wanted = Question { name: "pool.example.org".into(), kind: "TXT" };
        assert_eq!(parse(MESSAGE), Some(wanted.clone()));
        let framed = [&(MESSAGE.len() as u16).to_be_bytes()[..], MESSAGE].concat();
        assert_eq!(parse(&framed), Some(wanted));
    }

    #[test]
    fn what_is_no_question_is_none() {
        let mut answer = MESSAGE.to_vec();
        answer[2] |= 0x80;
        assert_eq!(parse(&answer), None);
        for cut in 0..MESSAGE.len() - 2 {
            assert_eq!(parse(&MESSAGE[..cut]), None, "{cut}");
        }
        // A pointer to itself.
        assert_eq!(parse(b"\0\0\x01\0\0\x01\0\0\0\0\0\0\xc0\x0c\0\x01\0\x01"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..600)) {
            if let Some(question) = parse(&bytes) {
                assert!(question.name.len() <= MAX_NAME);
            }
        }
    }
}
