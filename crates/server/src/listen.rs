//! Listeners: HTTPS for everybody, the same for relays that say who their client is, a root-only local socket for the command line.

mod proxy;

use axum::extract::ConnectInfo;
use axum::extract::Request;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use proxy::Refused;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

/// Connections at once; more wait to be accepted.
const CONNECTIONS: usize = 4096;
/// A client that does not finish its handshake or its request's head in this time is let go.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes read from a TLS socket at once: eight full records.
const RECORDS: usize = 128 << 10;
/// A relay that does not send its header in this time is let go.
const HEADER: Duration = Duration::from_secs(5);
/// How often refused connections of relays are told to the log.
const TOLD: Duration = Duration::from_secs(10);

/// The certificate a client showed, by the SHA-256 of its DER in hexadecimal: a request's extension. That it is one of
/// the listener's authority and not expired was checked; who it stands for is the handler's to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate(pub String);

/// Ends listeners: new connections are no longer taken, running requests finish.
pub type Stop = watch::Receiver<bool>;

async fn stopped(stop: &mut Stop) {
    // The value's guard must not live on across an await.
    drop(stop.wait_for(|s| *s).await);
}

/// Serves `router` over TLS until stopped. A plain-HTTP request fails the handshake and gets nothing.
pub async fn https(listener: TcpListener, tls: Arc<rustls::ServerConfig>, router: axum::Router, mut stop: Stop) {
    let acceptor = TlsAcceptor::from(tls);
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "accept");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = stopped(&mut stop) => return,
        };
        let _ = stream.set_nodelay(true);
        let (acceptor, router, stop) = (acceptor.clone(), router.clone(), stop.clone());
        tokio::spawn(async move {
            let _permit = permit;
            secure(BufReader::with_capacity(RECORDS, stream), &acceptor, router, peer, stop).await;
        });
    }
}

/// TLS, then requests. The stream is buffered: rustls asks for 4 KiB at a time, the socket is asked for several records at once.
async fn secure<S>(stream: BufReader<S>, acceptor: &TlsAcceptor, router: axum::Router, peer: SocketAddr, stop: Stop)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Ok(Ok(stream)) = tokio::time::timeout(PATIENCE, acceptor.accept(stream)).await else { return };
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let shown = shown.map(|leaf| PeerCertificate(hex::encode(jinwu_trust::sha256(leaf))));
    connection(Records { stream, failed: None }, router, Peer { address: Some(peer), shown }, stop).await;
}

/// Who is at the other end: unknown on the local socket.
#[derive(Clone, Default)]
struct Peer {
    address: Option<SocketAddr>,
    shown: Option<PeerCertificate>,
}

/// Serves `router` to relays, on a socket only its owner may open: a connection begins with a PROXY protocol header, whose client
/// is the peer of what follows, and goes on with TLS as on the public address. Without a header it is closed; the log counts those.
pub async fn ingress(path: &Path, tls: Arc<rustls::ServerConfig>, router: axum::Router, mut stop: Stop) -> io::Result<()> {
    let listener = bind(path)?;
    let acceptor = TlsAcceptor::from(tls);
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let refusals = Arc::new(Refusals::default());
    tokio::spawn({
        let (refusals, mut stop) = (refusals.clone(), stop.clone());
        async move {
            while tokio::time::timeout(TOLD, stopped(&mut stop)).await.is_err() {
                refusals.tell();
            }
            refusals.tell();
        }
    });
    tokio::spawn(async move {
        loop {
            let Ok(permit) = room.clone().acquire_owned().await else { return };
            let stream = tokio::select! {
                stream = next(&listener) => stream,
                () = stopped(&mut stop) => return,
            };
            let (acceptor, router, stop, refusals) = (acceptor.clone(), router.clone(), stop.clone(), refusals.clone());
            tokio::spawn(async move {
                let _permit = permit;
                let mut stream = BufReader::with_capacity(RECORDS, stream);
                match tokio::time::timeout(HEADER, proxy::client(&mut stream)).await.unwrap_or(Err(Refused::Late)) {
                    Ok(client) => secure(stream, &acceptor, router, client, stop).await,
                    Err(refused) => refusals.count(refused),
                }
            });
        }
    });
    Ok(())
}

/// Connections that were closed for their header, between two lines of the log.
#[derive(Default)]
struct Refusals(Mutex<(u64, Option<Refused>)>);

impl Refusals {
    fn count(&self, refused: Refused) {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counted = (counted.0 + 1, Some(refused));
    }

    /// How many since the last time, and why the last one.
    fn take(&self) -> Option<(u64, Refused)> {
        let (count, last) = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        last.map(|last| (count, last))
    }

    fn tell(&self) {
        if let Some((count, last)) = self.take() {
            tracing::warn!(count, %last, "connections of a relay were closed; it must send a PROXY protocol header first");
        }
    }
}

/// A TLS stream that gives all the records that have arrived, not one by one: a large body comes in
/// fewer pieces.
struct Records<S> {
    stream: S,
    /// Met after bytes that were still good; the next read tells.
    failed: Option<io::Error>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Records<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(error) = this.failed.take() {
            return Poll::Ready(Err(error));
        }
        let before = buffer.filled().len();
        loop {
            let had = buffer.filled().len();
            match Pin::new(&mut this.stream).poll_read(context, buffer) {
                Poll::Ready(Ok(())) if buffer.filled().len() > had && buffer.remaining() > 0 => {}
                Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
                Poll::Pending if had > before => return Poll::Ready(Ok(())),
                Poll::Ready(Err(error)) if had > before => {
                    this.failed = Some(error);
                    return Poll::Ready(Ok(()));
                }
                other => return other,
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Records<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, context: &mut Context<'_>, parts: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

/// Plain HTTP on an address; exists for measurements of the server without TLS only.
pub async fn plain(listener: TcpListener, router: axum::Router, mut stop: Stop) {
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted { Ok(a) => a, Err(_) => continue },
            () = stopped(&mut stop) => return,
        };
        let _ = stream.set_nodelay(true);
        tokio::spawn(connection(stream, router.clone(), Peer { address: Some(peer), shown: None }, stop.clone()));
    }
}

/// Serves `router` on a socket only its owner may open.
pub async fn local(path: &Path, router: axum::Router, mut stop: Stop) -> io::Result<()> {
    let listener = bind(path)?;
    tokio::spawn(async move {
        loop {
            let stream = tokio::select! {
                stream = next(&listener) => stream,
                () = stopped(&mut stop) => return,
            };
            tokio::spawn(connection(stream, router.clone(), Peer::default(), stop.clone()));
        }
    });
    Ok(())
}

/// A socket only its owner may open, in a folder only its owner may enter; what an ended server left there is replaced.
fn bind(path: &Path) -> io::Result<UnixListener> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))?;
    }
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// The next connection of a local socket.
async fn next(listener: &UnixListener) -> UnixStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::warn!(%error, "accept on a local socket");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection<S>(stream: S, router: axum::Router, peer: Peer, mut stop: Stop)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let mut request: Request = request.map(axum::body::Body::new);
        if let Some(address) = peer.address {
            request.extensions_mut().insert(ConnectInfo(address));
        }
        if let Some(shown) = &peer.shown {
            request.extensions_mut().insert(shown.clone());
        }
        router.clone().oneshot(request)
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(512 << 10);
    // Windows as large as a layer needs on a fast network.
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20)
        .max_concurrent_streams(256)
        .max_send_buf_size(4 << 20)
        .keep_alive_interval(Duration::from_secs(60));
    let serving = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    tokio::select! {
        result = serving.as_mut() => { let _ = result; }
        () = stopped(&mut stop) => {
            serving.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(PATIENCE, serving).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use tokio::io::AsyncReadExt;

    /// Answers reads from a list; then the end.
    struct Script(VecDeque<Poll<io::Result<Vec<u8>>>>);

    impl AsyncRead for Script {
        fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            match self.0.pop_front() {
                None => Poll::Ready(Ok(())),
                Some(Poll::Pending) => {
                    context.waker().wake_by_ref();
                    Poll::Pending
                }
                Some(Poll::Ready(result)) => Poll::Ready(result.map(|bytes| buffer.put_slice(&bytes))),
            }
        }
    }

    #[tokio::test]
    async fn records_that_are_there_come_together_and_nothing_is_lost() {
        let ready = |text: &str| Poll::Ready(Ok(text.as_bytes().to_vec()));
        let broken = Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        let script = Script([ready("ab"), ready("cd"), Poll::Pending, ready("e"), broken].into());
        let mut records = Records { stream: script, failed: None };
        let mut buffer = [0; 16];
        assert_eq!(records.read(&mut buffer).await.unwrap(), 4);
        assert_eq!(&buffer[..4], b"abcd");
        assert_eq!(records.read(&mut buffer).await.unwrap(), 1);
        assert_eq!(records.read(&mut buffer).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(records.read(&mut buffer).await.unwrap(), 0);
    }

    #[test]
    fn refusals_are_counted_until_told() {
        let refusals = Refusals::default();
        assert_eq!(refusals.take(), None);
        for refused in [Refused::Missing, Refused::Ended, Refused::Late] {
            refusals.count(refused);
        }
        assert_eq!(refusals.take(), Some((3, Refused::Late)));
        assert_eq!(refusals.take(), None);
    }
}
