//! What a container does all day, and what an attacker in it would do; each act says how it ended in a line of JSON.

use crate::escape::tell;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(5);

/// One of each: processes, files, network. `name` tells them from others'.
pub(crate) fn act(name: &str) {
    let folder = Path::new("/tmp");
    let (first, second) = (folder.join(format!("{name}-1")), folder.join(format!("{name}-2")));
    tell("process", Command::new("/proc/self/exe").arg("true").status().map(|s| s.to_string()));
    tell("file-create", std::fs::write(&first, name).map(|()| String::new()));
    tell("file-write", std::fs::OpenOptions::new().append(true).open(&first).and_then(|mut f| f.write_all(b"more")).map(|()| String::new()));
    tell("file-chmod", std::fs::set_permissions(&first, std::fs::Permissions::from_mode(0o600)).map(|()| String::new()));
    tell("file-rename", std::fs::rename(&first, &second).map(|()| String::new()));
    tell("file-delete", std::fs::remove_file(&second).map(|()| String::new()));
    tell("network", network().map(|a| a.to_string()));
    tell("dns", ask(name).map(|a| a.to_string()));
    // What was seen last is not yet told when a container ends at once.
    std::thread::sleep(Duration::from_secs(1));
}

/// Listens, connects to itself, accepts.
fn network() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    listener.accept()?;
    drop(stream);
    Ok(address)
}

/// Asks the container's name server for a name nobody has.
fn ask(name: &str) -> io::Result<SocketAddr> {
    let resolver = std::fs::read_to_string("/etc/resolv.conf")?;
    let server = resolver.lines().find_map(|l| l.strip_prefix("nameserver ")?.trim().parse().ok()).unwrap_or(Ipv4Addr::LOCALHOST.into());
    let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in [name, "test"] {
        message.push(label.len().min(63) as u8);
        message.extend(label.bytes().take(63));
    }
    message.extend([0, 0, 1, 0, 1]);
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let to = SocketAddr::new(server, 53);
    socket.send_to(&message, to)?;
    Ok(to)
}

/// A program that did not come with the image: a copy of this one, started.
pub(crate) fn dropped() {
    let path = "/tmp/dropped";
    let started = std::fs::copy("/proc/self/exe", path)
        .and_then(|_| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)))
        .and_then(|()| Command::new(path).arg("true").status())
        .and_then(|status| if status.success() { Ok(status.to_string()) } else { Err(io::Error::other(status.to_string())) });
    tell("dropped-program", started);
    std::thread::sleep(Duration::from_secs(1));
}

/// Content comes over the network, is written and started: `upload` by who connects to this container, `download` by this
/// container connecting elsewhere. `content` is in hexadecimal digits.
pub(crate) fn spread(way: &str, address: &str, content: &str) {
    let bytes = content.as_bytes().chunks(2).filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect::<Vec<u8>>();
    let got = if way == "upload" { uploaded(address, content) } else { downloaded(address, &bytes) };
    let path = format!("/tmp/{way}.php");
    let started = got
        .and_then(|got| std::fs::write(&path, got))
        .and_then(|()| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)))
        .and_then(|()| Command::new(&path).stdin(Stdio::null()).status())
        .and_then(|status| if status.success() { Ok(status.to_string()) } else { Err(io::Error::other(status.to_string())) });
    tell(way, started);
    std::thread::sleep(Duration::from_secs(2));
}

/// Another process of the container brings it; this one accepts.
fn uploaded(address: &str, content: &str) -> io::Result<Vec<u8>> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 8090))?;
    let mut sender = Command::new("/proc/self/exe").args(["send", &format!("{address}:8090"), content]).spawn()?;
    let (mut stream, _) = listener.accept()?;
    let mut got = Vec::new();
    stream.read_to_end(&mut got)?;
    sender.wait()?;
    Ok(got)
}

fn downloaded(address: &str, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 8091))?;
    let bytes = bytes.to_vec();
    let server = std::thread::spawn(move || -> io::Result<()> { listener.accept()?.0.write_all(&bytes) });
    let mut stream = connect(&format!("{address}:8091"))?;
    let mut got = Vec::new();
    stream.read_to_end(&mut got)?;
    let _ = server.join();
    Ok(got)
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let address = address.parse().map_err(io::Error::other)?;
    TcpStream::connect_timeout(&address, PATIENCE)
}

/// Sends content, in hexadecimal digits, to an address.
pub(crate) fn send(address: &str, content: &str) {
    let bytes: Vec<u8> = content.as_bytes().chunks(2).filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect();
    if let Ok(mut stream) = connect(address) {
        let _ = stream.write_all(&bytes);
    }
}

/// Whether an address answers.
pub(crate) fn call(address: &str) {
    tell("connect", connect(address).map(|_| format!("{address} answers")));
}

/// Works as hard as it may for some seconds.
pub(crate) fn burn(seconds: u64) {
    let begun = Instant::now();
    let mut sum = 0u64;
    while begun.elapsed() < Duration::from_secs(seconds) {
        for i in 0..1_000_000u64 {
            sum = sum.wrapping_mul(31).wrapping_add(i);
        }
    }
    println!("{{\"burnt\":{sum}}}");
}
