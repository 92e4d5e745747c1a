//! HTTP/1.1 over a socket, plain or TLS: as little as a load generator can do, so that what is
//! measured is the server.

use anyhow::{Context as _, bail};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Where to connect, and as whom.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    /// The certificate must be for `localhost`.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// Value of `Authorization`.
    pub(crate) authorization: Option<String>,
}

/// One connection, kept alive.
pub(crate) struct Client {
    stream: Stream,
    fixed: String,
    buffer: Vec<u8>,
    /// Unread bytes are `buffer[at..end]`.
    at: usize,
    end: usize,
}

/// What an answer's head says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) length: u64,
    /// Path and query of `Location`.
    pub(crate) location: Option<String>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, Buffered>>),
}

/// rustls asks for 4 KiB at a time; the socket is asked for more.
struct Buffered(BufReader<TcpStream>);

/// Room for answers; bodies are read through it.
const BUFFER: usize = 256 << 10;
/// No answer in this time is a failure.
const PATIENCE: Duration = Duration::from_secs(120);

/// Trusts this CA and nobody else.
pub(crate) fn trusting(ca: &Path) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    let text = std::fs::read(ca).with_context(|| ca.display().to_string())?;
    for certificate in rustls_pemfile::certs(&mut text.as_slice()) {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

// === impl Client ===

impl Client {
    pub(crate) fn connect(endpoint: &Endpoint) -> anyhow::Result<Client> {
        let socket = TcpStream::connect_timeout(&endpoint.address, Duration::from_secs(10)).with_context(|| endpoint.address.to_string())?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let stream = match &endpoint.tls {
            None => Stream::Plain(socket),
            Some(config) => {
                let connection = ClientConnection::new(config.clone(), ServerName::try_from("localhost")?)?;
                Stream::Tls(Box::new(StreamOwned::new(connection, Buffered(BufReader::with_capacity(BUFFER, socket)))))
            }
        };
        let mut fixed = format!("host: localhost:{}\r\n", endpoint.address.port());
        if let Some(value) = &endpoint.authorization {
            fixed.push_str(&format!("authorization: {value}\r\n"));
        }
        Ok(Client { stream, fixed, buffer: vec![0; BUFFER], at: 0, end: 0 })
    }

    /// Sends a request with the parts of its body; reads the answer's head. The answer's body, if
    /// any, is to be taken with [`Client::skip`] or [`Client::body`].
    pub(crate) fn send(&mut self, method: &str, path: &str, headers: &str, body: &[&[u8]]) -> anyhow::Result<Head> {
        let length: usize = body.iter().map(|b| b.len()).sum();
        let mut head = format!("{method} {path} HTTP/1.1\r\n{}{headers}", self.fixed);
        if !matches!(method, "GET" | "HEAD") {
            head.push_str(&format!("content-length: {length}\r\n"));
        }
        head.push_str("\r\n");
        self.stream.write_all(head.as_bytes())?;
        for part in body {
            self.stream.write_all(part)?;
        }
        self.stream.flush()?;
        let mut answer = self.head()?;
        if method == "HEAD" || answer.status == 204 || answer.status == 304 {
            answer.length = 0;
        }
        Ok(answer)
    }

    /// The same with an answer that must have this status; its body is dropped.
    pub(crate) fn expect(&mut self, status: u16, method: &str, path: &str, headers: &str, body: &[&[u8]]) -> anyhow::Result<Head> {
        let head = self.send(method, path, headers, body)?;
        if head.status != status {
            let text = self.body(head.length.min(64 << 10)).unwrap_or_default();
            bail!("{method} {path}: {} instead of {status}: {}", head.status, String::from_utf8_lossy(&text));
        }
        self.skip(head.length)?;
        Ok(head)
    }

    fn head(&mut self) -> anyhow::Result<Head> {
        loop {
            if let Some((head, used)) = parse(&self.buffer[self.at..self.end])? {
                self.at += used;
                return Ok(head);
            }
            if self.at > 0 {
                self.buffer.copy_within(self.at..self.end, 0);
                (self.at, self.end) = (0, self.end - self.at);
            }
            if self.end == self.buffer.len() {
                bail!("an answer's head is longer than {BUFFER} bytes");
            }
            let n = self.stream.read(&mut self.buffer[self.end..])?;
            if n == 0 {
                bail!("the server closed the connection");
            }
            self.end += n;
        }
    }

    /// Takes `n` bytes of a body and drops them.
    pub(crate) fn skip(&mut self, n: u64) -> anyhow::Result<()> {
        let mut left = n.saturating_sub((self.end - self.at) as u64);
        self.at += (n - left) as usize;
        while left > 0 {
            let want = (self.buffer.len() as u64).min(left) as usize;
            let got = self.stream.read(&mut self.buffer[..want])?;
            if got == 0 {
                bail!("the body ended {left} bytes early");
            }
            left -= got as u64;
            (self.at, self.end) = (0, 0);
        }
        Ok(())
    }

    pub(crate) fn body(&mut self, n: u64) -> anyhow::Result<Vec<u8>> {
        let have = (n as usize).min(self.end - self.at);
        let mut out = self.buffer[self.at..self.at + have].to_vec();
        self.at += have;
        out.resize(n as usize, 0);
        self.stream.read_exact(&mut out[have..])?;
        Ok(out)
    }
}

/// Head of an answer and its length in bytes; `None` while it is incomplete.
fn parse(bytes: &[u8]) -> anyhow::Result<Option<(Head, usize)>> {
    let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&bytes[..end]).context("an answer's head is not text")?;
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let status = first.split(' ').nth(1).and_then(|s| s.parse().ok()).with_context(|| format!("status line {first:?}"))?;
    let mut head = Head { status, ..Head::default() };
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            head.length = value.parse().with_context(|| format!("Content-Length {value:?}"))?;
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            bail!("{status} with Transfer-Encoding {value}: only answers of known length are measured");
        } else if name.eq_ignore_ascii_case("location") {
            head.location = Some(path_of(value).to_owned());
        }
    }
    Ok(Some((head, end + 4)))
}

/// What follows scheme and host.
fn path_of(location: &str) -> &str {
    match location.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |i| &rest[i..]),
        None => location,
    }
}

// === impl Stream ===

impl Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(s) => s.read(buffer),
            Stream::Tls(s) => s.read(buffer),
        }
    }

    fn read_exact(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        match self {
            Stream::Plain(s) => s.read_exact(buffer),
            Stream::Tls(s) => s.read_exact(buffer),
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Stream::Plain(s) => s.write_all(bytes),
            Stream::Tls(s) => s.write_all(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(s) => s.flush(),
            Stream::Tls(s) => s.flush(),
        }
    }
}

// === impl Buffered ===

impl Read for Buffered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Buffered {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.get_mut().write(bytes)
    }

    fn write_vectored(&mut self, parts: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.get_mut().write_vectored(parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.get_mut().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        let text = b"HTTP/1.1 202 Accepted\r\nLocation: https://localhost:1/v2/a/blobs/uploads/x?_state=y\r\ncontent-length: 0\r\n\r\nrest";
        let (head, used) = parse(text).unwrap().unwrap();
        assert_eq!(head, Head { status: 202, length: 0, location: Some("/v2/a/blobs/uploads/x?_state=y".into()) });
        assert_eq!(&text[used..], b"rest");
        assert!(parse(b"HTTP/1.1 200 OK\r\n").unwrap().is_none());
        assert!(parse(b"nonsense\r\n\r\n").is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
        assert_eq!(path_of("/v2/x"), "/v2/x");
    }

    proptest::proptest! {
        #[test]
        fn no_answer_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = parse(&bytes);
            let _ = parse(&[b"HTTP/1.1 200 ".as_slice(), &bytes, b"\r\n\r\n"].concat());
        }
    }
}
