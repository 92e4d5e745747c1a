//! The socket of relays: a pull through it stands in the ledger with the address its header names.

use jinwu_lab::{Server, image};
use reqwest::Method;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixStream};

/// A PROXY header of version 2 for a client at `10.200.0.77:4000`.
const BINARY: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\xc8\0\x4d\x0a\xc8\0\x01\x0f\xa0\x15\x43";
const TEXT: &[u8] = b"PROXY TCP4 10.200.0.78 10.200.0.1 4000 5443\r\n";

/// A relay that says `header` before everything it hands on; gives its port.
async fn relay(socket: PathBuf, header: &'static [u8]) -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let socket = socket.clone();
            tokio::spawn(async move {
                let mut server = UnixStream::connect(socket).await?;
                server.write_all(header).await?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await
            });
        }
    });
    Ok(port)
}

/// What comes back when `bytes` are all that is sent, and after how long the server closes.
async fn answer(socket: &Path, bytes: &[u8]) -> anyhow::Result<(Vec<u8>, Duration)> {
    let begun = Instant::now();
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(bytes).await?;
    let mut got = Vec::new();
    // What is closed with bytes unread resets: nothing came all the same.
    let _ = tokio::time::timeout(Duration::from_secs(15), stream.read_to_end(&mut got)).await?;
    Ok((got, begun.elapsed()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_is_recorded_with_the_address_of_the_header() -> anyhow::Result<()> {
    let server = Server::start()?;
    let socket = server.data.join("run").join("ingress.sock");
    assert_eq!(std::fs::metadata(&socket)?.permissions().mode() & 0o777, 0o600);
    let good = image::Image::good(1);
    assert_eq!(server.push("open/relayed", "1", &good).await?.status(), 201);
    for header in [BINARY, TEXT] {
        let port = relay(socket.clone(), header).await?;
        let pulled = server.as_robot(Method::GET, &format!("https://localhost:{port}/v2/open/relayed/manifests/1")).header("x-forwarded-for", "192.0.2.1").send().await?;
        assert_eq!(pulled.status(), 200);
        assert_eq!(pulled.bytes().await?, good.manifest);
        let layer = image::digest(&good.layers[0]);
        let blob = server.as_robot(Method::GET, &format!("https://localhost:{port}/v2/open/relayed/blobs/{layer}")).send().await?;
        assert_eq!(blob.bytes().await?, good.layers[0]);
    }
    let audit = server.log_in("auditadmin").await?;
    let records = audit.records("kind=pull&object=open/relayed").await?;
    let sources: Vec<&str> = records.iter().filter_map(|r| r["source"].as_str()).collect();
    assert!(sources.contains(&"10.200.0.77") && sources.contains(&"10.200.0.78"), "{sources:?}");
    assert!(sources.iter().all(|s| s.starts_with("10.200.0.7")), "nobody pulled but through the relays: {sources:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_right_header_nothing_comes_back_and_it_is_counted() -> anyhow::Result<()> {
    let mut server = Server::start()?;
    let socket = server.data.join("run").join("ingress.sock");
    let local = [&BINARY[..12], b"\x20\0\0\0"].concat();
    for bytes in [&b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"[..], b"GET /v2/ HTTP/1.1\r\nhost: localhost\r\n\r\n", b"PROXY UNKNOWN\r\n", &local] {
        let (got, took) = answer(&socket, bytes).await?;
        assert!(got.is_empty(), "{bytes:?}: {got:?}");
        assert!(took < Duration::from_secs(3), "{bytes:?}: closed at once, not after {took:?}");
    }
    // After a right header TLS is asked for as on the public address.
    let plain = [BINARY, b"GET /v2/ HTTP/1.1\r\nhost: localhost\r\n\r\n"].concat();
    assert!(!answer(&socket, &plain).await?.0.starts_with(b"HTTP/"));
    let (got, took) = answer(&socket, &BINARY[..20]).await?;
    assert!(got.is_empty());
    assert!(took > Duration::from_secs(3) && took < Duration::from_secs(12), "half a header is waited for, but not long: {took:?}");
    let until = Instant::now() + Duration::from_secs(15);
    let told = loop {
        let log = server.log();
        let lines: Vec<String> = log.lines().filter(|l| l.contains("connections of a relay were closed")).map(str::to_owned).collect();
        if !lines.is_empty() {
            break lines;
        }
        anyhow::ensure!(Instant::now() < until, "nothing in the log: {log}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert!(told.len() <= 2, "five closed connections are no five lines: {told:?}");
    // A server that was killed leaves its socket; the next one replaces it.
    server.restart()?;
    let port = relay(socket, BINARY).await?;
    let status = server.as_robot(Method::GET, &format!("https://localhost:{port}/v2/")).send().await?.status();
    assert_eq!(status, 200);
    Ok(())
}
