//! Ways out of a container, each knocked at and left as it was: files are opened and not written,
//! sockets connected and closed, system calls made with arguments that cannot succeed.
//!
//! One line of JSON a way: `{"way":…,"outcome":"stopped"|"open","detail":…}`, after one line about
//! where this runs. `open` means the attack could have gone on from there.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Files of the host whose opening for writing is an escape: nothing is written.
const WRITABLE: [(&str, &str); 6] = [
    ("core-pattern", "/proc/sys/kernel/core_pattern"),
    ("modprobe-path", "/proc/sys/kernel/modprobe"),
    ("uevent-helper", "/sys/kernel/uevent_helper"),
    ("sysrq", "/proc/sysrq-trigger"),
    ("binfmt", "/proc/sys/fs/binfmt_misc/register"),
    ("host-memory", "/dev/mem"),
];
/// Devices of disks, should one be in here.
const DISKS: [&str; 7] = ["/dev/sda", "/dev/vda", "/dev/xvda", "/dev/nvme0n1", "/dev/dm-0", "/dev/mapper/control", "/dev/loop-control"];
const SOCKETS: [&str; 6] = [
    "/run/containerd/containerd.sock",
    "/var/run/docker.sock",
    "/run/docker.sock",
    "/run/crio/crio.sock",
    "/run/podman/podman.sock",
    "/var/run/cri-dockerd.sock",
];
/// Folders of the host that hold other containers' files and keys.
const FOLDERS: [&str; 4] = ["/var/lib/kubelet/pods", "/var/lib/containerd", "/etc/kubernetes", "/var/lib/etcd"];

pub(crate) fn report() {
    let line = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let status = line("/proc/self/status");
    let of = |key: &str| status.lines().find_map(|l| l.strip_prefix(key)).unwrap_or("?").trim().to_owned();
    println!(
        "{{\"kernel\":{},\"version\":{},\"uid\":{},\"capabilities\":{},\"seccomp\":{},\"no_new_privileges\":{}}}",
        text(&line("/proc/sys/kernel/osrelease")),
        text(&line("/proc/version")),
        text(of("Uid:").split_whitespace().next().unwrap_or("?")),
        text(&of("CapEff:")),
        text(&of("Seccomp:")),
        text(&of("NoNewPrivs:")),
    );
    for (way, path) in WRITABLE {
        tell(way, OpenOptions::new().write(true).open(path).map(|_| format!("{path} can be written")));
    }
    tell("release-agent", release_agent());
    tell("host-disk", DISKS.iter().find_map(|d| OpenOptions::new().read(true).write(true).open(d).ok().map(|_| format!("{d} opens"))).ok_or_else(none));
    tell("kernel-log", File::open("/dev/kmsg").map(|_| "/dev/kmsg opens".to_owned()));
    tell("runtime-socket", SOCKETS.iter().find_map(|s| UnixStream::connect(s).ok().map(|_| format!("{s} answers"))).ok_or_else(none));
    tell("host-folders", FOLDERS.iter().find_map(|f| std::fs::read_dir(f).ok().map(|_| format!("{f} can be listed"))).ok_or_else(none));
    tell("host-processes", host_processes());
    tell("kubelet-read-only-port", kubelet());
}

/// The notify hook of cgroup v1: a writable one runs a program on the host.
fn release_agent() -> io::Result<String> {
    let hierarchies = std::fs::read_dir("/sys/fs/cgroup")?;
    for entry in hierarchies.flatten() {
        let path = entry.path().join("release_agent");
        if OpenOptions::new().write(true).open(&path).is_ok() {
            return Ok(format!("{} can be written", path.display()));
        }
    }
    Err(none())
}

/// Others' processes, the host's init among them, and the way to their files.
fn host_processes() -> io::Result<String> {
    let first = std::fs::read_to_string("/proc/1/comm")?;
    if matches!(first.trim(), "systemd" | "init") || std::fs::read_to_string("/proc/2/comm").is_ok_and(|c| c.trim() == "kthreadd") {
        return Ok(format!("process 1 is the host's {}", first.trim()));
    }
    Err(io::Error::other("only its own processes are seen"))
}

/// The kubelet of the node, where the pod is told its address.
fn kubelet() -> io::Result<String> {
    let address = std::env::var("NODE_ADDRESS").map_err(|_| io::Error::other("NODE_ADDRESS is not set"))?;
    let at = format!("{address}:10255").parse().map_err(io::Error::other)?;
    let mut stream = TcpStream::connect_timeout(&at, Duration::from_secs(3))?;
    io::Write::write_all(&mut stream, b"GET /pods HTTP/1.0\r\n\r\n")?;
    stream.set_read_timeout(Some(Duration::from_secs(3)))?;
    let mut start = [0; 12];
    stream.read_exact(&mut start)?;
    Ok(format!("{at} answers {}", String::from_utf8_lossy(&start)))
}

fn none() -> io::Error {
    io::Error::other("none is there")
}

pub(crate) fn tell(way: &str, found: io::Result<String>) {
    let (outcome, detail) = match found {
        Ok(detail) => ("open", detail),
        Err(error) => ("stopped", error.to_string()),
    };
    println!("{{\"way\":{},\"outcome\":\"{outcome}\",\"detail\":{}}}", text(way), text(&detail));
}

/// A JSON string.
fn text(plain: &str) -> String {
    let mut out = String::from("\"");
    for c in plain.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
