//! The PROXY protocol: who is behind a relay, said in the first bytes of a connection.
//!
//! Read from the HAProxy specification "The PROXY protocol, versions 1 & 2" (§2.1 and §2.2). Only what carries an address of a
//! TCP client is taken: version 1 `TCP4` and `TCP6`, version 2 `PROXY` over TCP with IPv4 or IPv6. A relay that has no client
//! to speak of (`UNKNOWN`, `LOCAL`, `UNSPEC`) has no business here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::io::{AsyncRead, AsyncReadExt};

/// First bytes of version 2.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line of version 1, its end included.
const LINE: usize = 107;
/// What a version 2 header may hold after its fixed 16 bytes: addresses and additional values, which are skipped.
const REST: usize = 2048;

/// Why a connection does not get past its header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("it ended inside its PROXY protocol header")]
    Ended,
    #[error("it did not finish its PROXY protocol header in time")]
    Late,
    #[error("it does not begin with a PROXY protocol header")]
    Missing,
    #[error("its PROXY protocol header is malformed: {0}")]
    Malformed(&'static str),
    #[error("its PROXY protocol header names no TCP client")]
    NoClient,
}

/// Reads the header and nothing after it; gives the address of the client it names.
///
/// The stream is read in small steps: give it a buffered one. How long it may take is the caller's to bound.
pub(super) async fn client<S: AsyncRead + Unpin>(stream: &mut S) -> Result<SocketAddr, Refused> {
    match byte(stream).await? {
        b'P' => line(stream).await,
        first if first == SIGNATURE[0] => binary(stream).await,
        _ => Err(Refused::Missing),
    }
}

async fn byte<S: AsyncRead + Unpin>(stream: &mut S) -> Result<u8, Refused> {
    stream.read_u8().await.map_err(|_| Refused::Ended)
}

/// Version 1, its `P` read.
async fn line<S: AsyncRead + Unpin>(stream: &mut S) -> Result<SocketAddr, Refused> {
    let mut text = vec![b'P'];
    for expected in &b"PROXY "[1..] {
        let next = byte(stream).await?;
        if next != *expected {
            return Err(Refused::Missing);
        }
        text.push(next);
    }
    while !text.ends_with(b"\r\n") {
        if text.len() == LINE {
            return Err(Refused::Malformed("a line of more than 107 bytes"));
        }
        text.push(byte(stream).await?);
    }
    text.truncate(text.len() - 2);
    let text = String::from_utf8(text).map_err(|_| Refused::Malformed("a line that is no text"))?;
    let words: Vec<&str> = text.split(' ').collect();
    let [_, family, source, destination, source_port, destination_port] = words[..] else {
        return Err(if words.get(1) == Some(&"UNKNOWN") { Refused::NoClient } else { Refused::Malformed("a line of another number of words") });
    };
    let source = SocketAddr::new(address(family, source)?, port(source_port)?);
    address(family, destination)?;
    port(destination_port)?;
    Ok(source)
}

fn address(family: &str, text: &str) -> Result<IpAddr, Refused> {
    let parsed = match family {
        "TCP4" => text.parse().map(IpAddr::V4),
        "TCP6" => text.parse().map(IpAddr::V6),
        _ => return Err(Refused::NoClient),
    };
    parsed.map_err(|_| Refused::Malformed("an address that is none of its family"))
}

/// Digits only, and none to spare: `+5` and `05` parse as numbers, but no relay writes them.
fn port(text: &str) -> Result<u16, Refused> {
    let plain = text.bytes().all(|c| c.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain).ok_or(Refused::Malformed("a port that is no port"))
}

/// Version 2, its first byte read.
async fn binary<S: AsyncRead + Unpin>(stream: &mut S) -> Result<SocketAddr, Refused> {
    for expected in &SIGNATURE[1..] {
        if byte(stream).await? != *expected {
            return Err(Refused::Missing);
        }
    }
    let (version, family) = (byte(stream).await?, byte(stream).await?);
    let length = usize::from(stream.read_u16().await.map_err(|_| Refused::Ended)?);
    match version {
        0x21 => {}
        0x20 => return Err(Refused::NoClient),
        _ => return Err(Refused::Malformed("a version or command that is not known")),
    }
    if length > REST {
        return Err(Refused::Malformed("more than 2,048 bytes of addresses and values"));
    }
    let mut rest = vec![0; length];
    stream.read_exact(&mut rest).await.map_err(|_| Refused::Ended)?;
    let short = Refused::Malformed("too short for the addresses of its family");
    match family {
        0x11 => match rest.get(..12) {
            Some(&[a, b, c, d, _, _, _, _, high, low, _, _]) => Ok(SocketAddr::from((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])))),
            _ => Err(short),
        },
        0x21 => match (rest.first_chunk::<16>(), rest.get(32..36)) {
            (Some(source), Some(&[high, low, _, _])) => Ok(SocketAddr::from((Ipv6Addr::from(*source), u16::from_be_bytes([high, low])))),
            _ => Err(short),
        },
        _ => Err(Refused::NoClient),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads a header and what is left after it.
    fn read(bytes: &[u8]) -> (Result<SocketAddr, Refused>, Vec<u8>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut rest = bytes;
        let read = runtime.block_on(client(&mut rest));
        (read, rest.to_vec())
    }

    fn second(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    #[test]
    fn both_versions_name_the_client_and_leave_the_rest() {
        let four = [10, 200, 0, 11, 10, 200, 0, 1, 0x9c, 0x40, 0x15, 0x67];
        let mut six = [0; 36];
        six[0] = 0xfd;
        six[15] = 7;
        six[33] = 80;
        for (header, expected) in [
            (second(0x21, 0x11, &four), "10.200.0.11:40000"),
            (second(0x21, 0x11, &[&four[..], b"\x03\0\x04abcd"].concat()), "10.200.0.11:40000"),
            (second(0x21, 0x21, &six), "[fd00::7]:80"),
            (b"PROXY TCP4 10.200.0.11 10.200.0.1 40000 5443\r\n".to_vec(), "10.200.0.11:40000"),
            (b"PROXY TCP6 fd00::7 fd00::1 80 443\r\n".to_vec(), "[fd00::7]:80"),
        ] {
            let (read, rest) = read(&[&header[..], b"\x16\x03\x01"].concat());
            assert_eq!(read.map(|a| a.to_string()), Ok(expected.to_owned()));
            assert_eq!(rest, b"\x16\x03\x01", "the first bytes of TLS are still there");
            for end in 0..header.len() {
                assert_eq!(super::tests::read(&header[..end]).0, Err(Refused::Ended), "{end} of {expected}");
            }
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for bytes in [&b"\x16\x03\x01\x02\0\x01"[..], b"GET / HTTP/1.1\r\n", b"PUT / HTTP", b"\r\n\r\n\0\r\nQUIX", b"PROXY\tTCP4 "] {
            assert_eq!(read(bytes).0, Err(Refused::Missing), "{bytes:?}");
        }
        for bytes in [
            second(0x20, 0, &[]),
            second(0x21, 0, &[]),
            second(0x21, 0x12, &[0; 12]),
            second(0x21, 0x31, &[0; 216]),
            b"PROXY UNKNOWN\r\n".to_vec(),
            b"PROXY UDP4 1.1.1.1 1.1.1.1 1 1\r\n".to_vec(),
        ] {
            assert_eq!(read(&bytes).0, Err(Refused::NoClient), "{bytes:?}");
        }
        for bytes in [
            second(0x11, 0x11, &[0; 12]),
            second(0x22, 0x11, &[0; 12]),
            second(0x21, 0x11, &[0; 11]),
            second(0x21, 0x21, &[0; 35]),
            second(0x21, 0x11, &[0; REST + 1]),
            b"PROXY TCP4 10.200.0.11 10.200.0.1 40000\r\n".to_vec(),
            b"PROXY TCP4 10.200.0.11 10.200.0.1 40000 5443 \r\n".to_vec(),
            b"PROXY TCP4 10.200.0.11 10.200.0.1 40000 65536\r\n".to_vec(),
            b"PROXY TCP4 10.200.0.11 10.200.0.1 +4000 5443\r\n".to_vec(),
            b"PROXY TCP4 10.200.0.11 10.200.0.1 04000 5443\r\n".to_vec(),
            b"PROXY TCP4 fd00::7 10.200.0.1 40000 5443\r\n".to_vec(),
            b"PROXY TCP6 fd00::7 10.200.0.1 40000 5443\r\n".to_vec(),
            b"PROXY \xff\r\n".to_vec(),
            [b"PROXY TCP4 ".to_vec(), vec![b'1'; 200]].concat(),
        ] {
            assert!(matches!(read(&bytes).0, Err(Refused::Malformed(_))), "{:?}", String::from_utf8_lossy(&bytes));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn no_bytes_are_too_much(head in prop::sample::select(vec![&b""[..], b"PROXY TCP4 ", &SIGNATURE]), tail in prop::collection::vec(any::<u8>(), 0..300)) {
            let bytes = [head, &tail].concat();
            let (read, rest) = read(&bytes);
            prop_assert!(rest.len() <= bytes.len());
            if read.is_ok() {
                prop_assert!(!head.is_empty() || bytes.starts_with(b"PROXY ") || bytes.starts_with(&SIGNATURE));
            }
        }

        #[test]
        fn what_a_relay_writes_is_read_back(address in any::<[u8; 4]>(), port in any::<u16>(), after in prop::collection::vec(any::<u8>(), 0..40)) {
            let expected = SocketAddr::from((address, port));
            let old = format!("PROXY TCP4 {} 127.0.0.1 {port} 1\r\n", expected.ip());
            let new = second(0x21, 0x11, &[&address[..], &[127, 0, 0, 1], &port.to_be_bytes(), &[0, 1]].concat());
            for header in [old.as_bytes(), &new] {
                prop_assert_eq!(read(&[header, &after].concat()), (Ok(expected), after.clone()));
            }
        }
    }
}
