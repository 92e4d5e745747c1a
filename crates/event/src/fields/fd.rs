//! `fd.*`.

use super::{flag, number, owned};
use crate::call::Call;
use crate::event::{AF_INET, AF_INET6, AF_UNIX, NodeEvent, Socket};
use crate::names::{self, O_DIRECTORY, S_IFDIR, S_IFMT};
use crate::process::Layer;
use jinwu_detect::FieldValue;
use jinwu_detect::field::SyscallField;
use std::borrow::Cow;
use std::net::SocketAddr;

const SOCK_STREAM: u8 = 1;
const SOCK_DGRAM: u8 = 2;
const SOCK_RAW: u8 = 3;
const API_SERVER: &str = "kubernetes.default.svc.cluster.local";
/// Ports from here on are given to clients (Linux's default range).
const EPHEMERAL: u16 = 32768;

/// What a file descriptor is open on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    File,
    Directory,
    Pipe,
    Memory,
    Bpf,
    Ipv4,
    Ipv6,
    Unix,
    OtherSocket,
}

impl NodeEvent {
    pub(super) fn fd_field(&self, field: SyscallField) -> Option<FieldValue<'_>> {
        use SyscallField as F;
        let file = self.file.as_ref();
        Some(match field {
            F::FdNum => self.descriptor().map_or(FieldValue::Absent, FieldValue::Number),
            F::FdType => FieldValue::text(self.fd_type().and_then(Type::name)),
            F::FdTypechar => FieldValue::text(self.fd_type().and_then(Type::letter)),
            F::FdName => self.fd_name(),
            F::FdNameraw => FieldValue::text(if self.opens() { self.texts[0].as_deref() } else { None }),
            F::FdDirectory => self.file_name(|n| n.rfind('/').map(|at| if at == 0 { "/" } else { n.get(..at).unwrap_or_default() })),
            F::FdFilename => self.file_name(|n| n.rsplit('/').next()),
            F::FdDev => file.map_or(FieldValue::Absent, |f| number(encoded(f.device))),
            F::FdDevMajor => file.map_or(FieldValue::Absent, |f| number(f.device >> 20)),
            F::FdDevMinor => file.map_or(FieldValue::Absent, |f| number(f.device & 0xf_ffff)),
            F::FdIno => file.map_or(FieldValue::Absent, |f| number(f.inode)),
            F::FdIsUpperLayer => flag(file.map(|f| f.layer == Layer::Upper)),
            F::FdIsLowerLayer => flag(file.map(|f| f.layer == Layer::Lower)),
            F::FdUid => self.descriptor().map_or(FieldValue::Absent, |n| owned(format!("{}{n}", self.process.pid))),
            F::FdContainername => match self.fd_name() {
                FieldValue::Text(name) => owned(format!("{}:{name}", self.container.short_id())),
                _ => FieldValue::Absent,
            },
            _ => return self.socket_field(field),
        })
    }

    fn socket_field(&self, field: SyscallField) -> Option<FieldValue<'_>> {
        use SyscallField as F;
        let socket = self.socket.as_ref();
        let local = socket.and_then(|s| s.local);
        let remote = socket.and_then(|s| s.remote);
        let (client, server) = if self.is_server() { (remote, local) } else { (local, remote) };
        Some(match field {
            F::FdSockfamily => FieldValue::text(socket.and_then(Socket::layer)),
            F::FdL4proto => FieldValue::text(socket.and_then(Socket::transport)),
            F::FdIsServer => flag(socket.map(|_| self.is_server())),
            F::FdConnected => flag(socket.map(|s| self.connected(s))),
            F::FdNameChanged => flag(socket.map(|s| self.names_peer(s))),
            F::FdIp | F::FdNet => match self.ends() {
                (Some(a), Some(b)) => FieldValue::Addresses([a.ip(), b.ip()]),
                (Some(a), None) | (None, Some(a)) => FieldValue::Address(a.ip()),
                (None, None) => FieldValue::Absent,
            },
            F::FdPort => match (local, remote) {
                (Some(a), Some(b)) => FieldValue::Ports([a.port().into(), b.port().into()]),
                (Some(a), None) | (None, Some(a)) => number(a.port()),
                (None, None) => FieldValue::Absent,
            },
            F::FdProto => FieldValue::text(server.and_then(|a| names::service(a.port()))),
            F::FdLip | F::FdLnet => ip(local),
            F::FdRip | F::FdRnet => ip(remote),
            F::FdCip | F::FdCnet => ip(client),
            F::FdSip | F::FdSnet => ip(server),
            F::FdLport => port(local),
            F::FdRport => port(remote),
            F::FdCport => port(client),
            F::FdSport => port(server),
            F::FdLproto => FieldValue::text(local.and_then(|a| names::service(a.port()))),
            F::FdRproto => FieldValue::text(remote.and_then(|a| names::service(a.port()))),
            F::FdCproto => FieldValue::text(client.and_then(|a| names::service(a.port()))),
            F::FdSproto => FieldValue::text(server.and_then(|a| names::service(a.port()))),
            F::FdLipName => self.name_of(local),
            F::FdRipName => self.name_of(remote),
            F::FdCipName => self.name_of(client),
            F::FdSipName => self.name_of(server),
            _ => return None,
        })
    }

    /// The number of the open file; -1 where none could be opened.
    pub(super) fn descriptor(&self) -> Option<i64> {
        let makes = matches!(self.call, Call::Bpf | Call::MemfdCreate | Call::Userfaultfd | Call::IoUringSetup | Call::PerfEventOpen | Call::PidfdGetfd);
        if makes || self.call.capture().returns_fd { Some(self.answer().max(-1)) } else { self.fd() }
    }

    /// A number of an open file as an argument prints it: with what it is open on.
    pub(super) fn described(&self, descriptor: i64) -> FieldValue<'_> {
        match (self.fd_type().and_then(Type::letter), self.fd_name()) {
            (Some(letter), FieldValue::Text(name)) if descriptor >= 0 => owned(format!("<{letter}>{name}")),
            _ => owned(descriptor.to_string()),
        }
    }

    fn opens(&self) -> bool {
        self.open_flags().is_some()
    }

    fn fd_type(&self) -> Option<Type> {
        if let Some(socket) = &self.socket {
            return Some(match socket.family {
                AF_INET => Type::Ipv4,
                AF_INET6 => Type::Ipv6,
                AF_UNIX => Type::Unix,
                _ => Type::OtherSocket,
            });
        }
        match self.call {
            Call::Bpf => return Some(Type::Bpf),
            Call::MemfdCreate => return Some(Type::Memory),
            _ => {}
        }
        let asks_directory = self.open_flags().is_some_and(|f| f & O_DIRECTORY != 0);
        match self.file.as_ref() {
            Some(file) if file.layer == Layer::Memfd && !self.opens() => Some(Type::Memory),
            Some(file) if file.mode & S_IFMT == S_IFDIR => Some(Type::Directory),
            Some(file) if file.mode & S_IFMT == 0o010_000 && !self.opens() => Some(Type::Pipe),
            _ if asks_directory => Some(Type::Directory),
            _ if self.opens() => Some(Type::File),
            Some(_) if self.about_file() => Some(Type::File),
            _ => None,
        }
    }

    /// The call has an open file, not only a path.
    fn about_file(&self) -> bool {
        self.call == Call::Written || self.call.capture().fd != crate::call::NONE
    }

    fn fd_name(&self) -> FieldValue<'_> {
        match self.fd_type() {
            Some(Type::Ipv4 | Type::Ipv6 | Type::Unix | Type::OtherSocket) => self.socket_name(),
            Some(Type::Memory) => FieldValue::text(self.texts[0].as_deref().or(self.file.as_ref().and_then(|f| f.path.as_deref()))),
            Some(_) => self.file_name(Some),
            None => FieldValue::Absent,
        }
    }

    /// Something of the file's name: as given and, if it leads elsewhere, as the kernel found it.
    fn file_name<'a>(&'a self, part: impl Fn(&'a str) -> Option<&'a str>) -> FieldValue<'a> {
        if self.socket.is_some() || self.fd_type().is_none() {
            return FieldValue::Absent;
        }
        let given = if self.opens() { self.paths[0].as_deref() } else { None };
        let found = self.file.as_ref().and_then(|f| f.path.as_deref());
        match (given.and_then(&part), found.and_then(&part)) {
            (Some(a), Some(b)) if a != b => FieldValue::Any(vec![Cow::Borrowed(a), Cow::Borrowed(b)]),
            (a, b) => FieldValue::text(a.or(b)),
        }
    }

    /// `client:port->server:port`, or one end; the path of a Unix socket.
    pub(super) fn socket_name(&self) -> FieldValue<'_> {
        let Some(socket) = &self.socket else { return FieldValue::Absent };
        if socket.family == AF_UNIX {
            return FieldValue::text(socket.path.as_deref());
        }
        let (from, to) = if self.is_server() { (socket.remote, socket.local) } else { (socket.local, socket.remote) };
        match (from, to) {
            (Some(from), Some(to)) => owned(format!("{}->{}", end(from), end(to))),
            (Some(one), None) | (None, Some(one)) => owned(end(one)),
            (None, None) => FieldValue::Absent,
        }
    }

    /// Both ends; one that is any address is left out where the other is known.
    fn ends(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        let Some(socket) = &self.socket else { return (None, None) };
        match socket.local {
            Some(local) if local.ip().is_unspecified() && socket.remote.is_some() => (None, socket.remote),
            local => (local, socket.remote),
        }
    }

    /// The process is the one that is connected to. Where the call does not say so, the lower port is the server's.
    fn is_server(&self) -> bool {
        match self.call {
            Call::Accept | Call::Accept4 | Call::Listen | Call::Bind => true,
            Call::Connect => false,
            _ => match self.socket.as_ref().map(|s| (s.local, s.remote)) {
                Some((Some(local), Some(remote))) => local.port() != 0 && local.port() < remote.port() && local.port() < EPHEMERAL,
                Some((Some(_), None)) => true,
                _ => false,
            },
        }
    }

    /// The socket has a fixed peer.
    fn connected(&self, socket: &Socket) -> bool {
        match self.call {
            Call::Connect | Call::Accept | Call::Accept4 => self.answer() >= 0 || self.answer() == -115,
            Call::Listen | Call::Bind | Call::Socket => false,
            _ => socket.remote.is_some() && !self.names_peer(socket),
        }
    }

    /// The call itself names the peer of a socket without a fixed one.
    fn names_peer(&self, socket: &Socket) -> bool {
        if socket.kind != SOCK_DGRAM && socket.kind != SOCK_RAW {
            return false;
        }
        match self.call {
            Call::Sendto | Call::Recvfrom => self.args[4] != 0,
            // A connected socket has an address of its own.
            Call::Sendmsg | Call::Sendmmsg | Call::Recvmsg => socket.local.is_none_or(|l| l.ip().is_unspecified()),
            _ => false,
        }
    }

    /// The name of an address. The API server's is what Kubernetes tells a container in its environment.
    fn name_of(&self, address: Option<SocketAddr>) -> FieldValue<'_> {
        let told = |name: &str| self.process.variable(name);
        let host = told("KUBERNETES_SERVICE_HOST").and_then(|h| h.parse().ok());
        match address {
            Some(address) if host == Some(address.ip()) => FieldValue::text(Some(API_SERVER)),
            _ => FieldValue::Absent,
        }
    }
}

fn ip(address: Option<SocketAddr>) -> FieldValue<'static> {
    address.map_or(FieldValue::Absent, |a| FieldValue::Address(a.ip()))
}

fn port(address: Option<SocketAddr>) -> FieldValue<'static> {
    address.map_or(FieldValue::Absent, |a| number(a.port()))
}

fn end(address: SocketAddr) -> String {
    format!("{}:{}", address.ip(), address.port())
}

/// The kernel's device number as programs see it.
fn encoded(device: u32) -> u32 {
    let (major, minor) = (device >> 20, device & 0xf_ffff);
    minor & 0xff | major << 8 | (minor & !0xff) << 12
}

// === impl Type ===

impl Type {
    fn name(self) -> Option<&'static str> {
        Some(match self {
            Type::File => "file",
            Type::Directory => "directory",
            Type::Pipe => "pipe",
            Type::Memory => "memfd",
            Type::Bpf => "bpf",
            Type::Ipv4 => "ipv4",
            Type::Ipv6 => "ipv6",
            Type::Unix => "unix",
            Type::OtherSocket => return None,
        })
    }

    fn letter(self) -> Option<&'static str> {
        Some(match self {
            Type::File => "f",
            Type::Directory => "d",
            Type::Pipe => "p",
            Type::Memory => "m",
            Type::Bpf => "b",
            Type::Ipv4 => "4",
            Type::Ipv6 => "6",
            Type::Unix => "u",
            Type::OtherSocket => return None,
        })
    }
}

// === impl Socket ===

impl Socket {
    fn layer(&self) -> Option<&'static str> {
        match self.family {
            AF_INET | AF_INET6 => Some("ip"),
            AF_UNIX => Some("unix"),
            _ => None,
        }
    }

    fn transport(&self) -> Option<&'static str> {
        if !matches!(self.family, AF_INET | AF_INET6) {
            return None;
        }
        match (self.protocol, self.kind) {
            (6, _) | (0, SOCK_STREAM) => Some("tcp"),
            (17, _) | (0, SOCK_DGRAM) => Some("udp"),
            (1 | 58, _) => Some("icmp"),
            (132, _) => Some("sctp"),
            (_, SOCK_RAW) => Some("raw"),
            _ => None,
        }
    }
}
