//! A record of the sensor's programs in the kernel: a fixed head, for a started program what it runs as, and texts.

use crate::layout::layout;

/// Most texts of a record. Of a call: its first two paths or texts (0, 1), the directories they are relative to (2,
/// 3), a third text (2, of a mount) or the beginning of its data (3), and the path of its file or Unix socket (4). Of a started program: the name it
/// was started by (0), its arguments (1) and environment (3), each ended by a zero byte, its working directory (2),
/// the program's path (4).
pub const TEXTS: usize = 5;

layout! {
    /// Head of every record.
    Head = "record" {
        /// Nanoseconds since boot, suspended time included.
        time: u64,
        /// Id of the cgroup (v2) the task is in.
        cgroup: u64,
        /// When the process started, nanoseconds since boot: with `pid` it names a process for good.
        started: u64,
        /// What the call answers; a negative errno where it failed or was denied.
        result: i64,
        /// The call's arguments as they are.
        args: [u64; 6],
        /// Inode of the file the call is about.
        inode: u64,
        /// Device of that file as the kernel encodes it (major << 20 | minor).
        device: u32,
        /// Mode and type of that file.
        mode: u32,
        /// Process id on the node.
        pid: u32,
        /// Thread id on the node.
        tid: u32,
        /// Process id of the parent on the node.
        parent: u32,
        /// Effective user id, of the node's user namespace.
        uid: u32,
        /// Effective group id.
        gid: u32,
        /// What else is known: FLAG_*.
        flags: u32,
        /// How many equal ones came before it within the window and were not sent.
        repeat: u32,
        /// Process id in its own pid namespace.
        own_pid: u32,
        /// Policy of the container that decided, if one did.
        policy: u32,
        /// Rule of that policy; 0 if it was none of its rules by itself.
        rule: u32,
        /// Which call: CALL_*.
        call: u16,
        /// Where texts begin.
        texts_at: u16,
        /// Local port of the socket.
        local_port: u16,
        /// Remote port of the socket.
        remote_port: u16,
        /// Lengths of the texts, in order; 0: not there.
        lengths: [u16; TEXTS],
        /// Which hook saw it: ORIGIN_*.
        origin: u8,
        /// Address family of the socket.
        family: u8,
        /// Type of the socket (stream, datagram, raw).
        socket: u8,
        /// Protocol of the socket.
        protocol: u8,
        /// How it was held up: VERDICT_*.
        verdict: u8,
        /// Why it was held up: REASON_*.
        reason: u8,
        /// Name of the thread.
        comm: [u8; 16],
        /// Local address; the first four bytes for IPv4.
        local: [u8; 16],
        /// Remote address.
        remote: [u8; 16],
    }
}

layout! {
    /// After the head of a started program: what it runs as.
    Program = "program" {
        /// Effective capabilities.
        effective: u64,
        /// Permitted capabilities.
        permitted: u64,
        /// Inheritable capabilities.
        inheritable: u64,
        /// Change of the program file's inode, nanoseconds since 1970.
        changed: u64,
        /// Change of the program file's content, nanoseconds since 1970.
        modified: u64,
        /// Login uid; all bits set if there was no login.
        login: u32,
        /// Terminal as the kernel numbers it; 0 for none.
        terminal: u32,
        /// Session.
        session: u32,
        /// Process group.
        group: u32,
        /// Process group in its own pid namespace.
        own_group: u32,
        /// Session in its own pid namespace.
        own_session: u32,
        /// Inode of the pid namespace.
        pid_namespace: u32,
        /// Inode of the mount namespace.
        mount_namespace: u32,
        /// Inode of the user namespace.
        user_namespace: u32,
        /// Inode of the network namespace.
        network_namespace: u32,
    }
}

macro_rules! flags {
    ($($(#[doc = $doc:literal])+ $name:ident = $bit:expr;)*) => {
        $($(#[doc = $doc])+ pub const $name: u32 = 1 << $bit;)*
        pub(crate) const FLAGS: &[(&str, u32, &str)] = &[$((stringify!($name), 1 << $bit, concat!($($doc),+))),*];
    };
}

/// Bits of [`Head::flags`].
pub mod flag {
    flags! {
        /// `inode`, `device` and `mode` are of a file.
        FILE = 0;
        /// The socket's members are set.
        SOCKET = 1;
        /// The file lies in the upper layer of an overlay.
        UPPER = 2;
        /// The file lies in a lower layer of an overlay.
        LOWER = 3;
        /// The file has no name anywhere (memfd).
        MEMFD = 4;
        /// The program may be written by who runs it.
        WRITABLE = 5;
        /// Standard input is a network socket.
        STDIN_SOCKET = 6;
        /// Standard output or error is a network socket.
        STDOUT_SOCKET = 7;
        /// By a 32-bit call.
        COMPAT = 8;
        /// By io_uring.
        IO_URING = 9;
        /// The file was made by this call.
        CREATED = 10;
        /// The file was written since it came into the upper layer.
        WRITTEN = 11;
        /// Texts were longer than a record holds.
        CUT = 12;
        /// The task is a kernel thread.
        KERNEL = 13;
        /// The file is in neither layer of the container's own overlay: a volume, tmpfs or another file system.
        OUTSIDE = 14;
        /// The program is run by an interpreter (`#!`).
        SCRIPT = 15;
    }
}

macro_rules! names {
    ($(#[doc = $about:literal])+ $type:ident $prefix:literal { $($(#[doc = $doc:literal])+ $variant:ident = $number:literal $name:literal,)* }) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $type {
            $($(#[doc = $doc])+ $variant = $number,)*
        }

        impl $type {
            pub const ALL: &[$type] = &[$($type::$variant,)*];

            pub fn name(self) -> &'static str {
                match self { $($type::$variant => $name,)* }
            }

            /// By its number in a record.
            pub fn of(number: u8) -> Option<Self> {
                match number { $($number => Some($type::$variant),)* _ => None }
            }

            pub(crate) fn c() -> String {
                [$(format!("#define {}_{} {}\n", $prefix, $name.to_ascii_uppercase().replace('-', "_"), $number)),*].concat()
            }
        }
    };
}

names! {
    /// Which hook saw it.
    Origin "ORIGIN" {
        /// Scheduler's tracepoints.
        Scheduler = 0 "scheduler",
        /// Tracepoint at the end of a system call.
        Syscall = 1 "syscall",
        /// Security hook.
        Lsm = 2 "lsm",
        /// A cgroup's network hook.
        Cgroup = 3 "cgroup",
        /// Another tracepoint.
        Tracepoint = 4 "tracepoint",
        /// fanotify.
        Fanotify = 5 "fanotify",
        /// gVisor's own event stream.
        Gvisor = 6 "gvisor",
        /// Found by looking, not by an event.
        Scan = 7 "scan",
    }
}

names! {
    /// How a call was held up.
    Verdict "VERDICT" {
        /// It was not.
        Passed = 0 "passed",
        /// The kernel refused it: no effect.
        Denied = 1 "denied",
        /// The process was killed; what the call did before stays.
        Killed = 2 "killed",
        /// It would have been denied were the policy at block.
        Alarmed = 3 "alarmed",
    }
}

names! {
    /// Why a call was held up.
    Reason "REASON" {
        /// It was not.
        None = 0 "none",
        /// Code that did not come with the image.
        Drift = 1 "drift",
        /// A script that did not come with the image, given to an interpreter.
        Script = 2 "script",
        /// Nobody has looked at the file yet.
        Held = 3 "held",
        /// The file is known to be malicious.
        Malicious = 4 "malicious",
        /// Started as user 0 where that is not permitted.
        Root = 5 "root",
        /// Started with capabilities of a privileged container where that is not permitted.
        Privileged = 6 "privileged",
        /// A rule of the policy names the file.
        File = 7 "file",
        /// A rule of the policy names the address.
        Address = 8 "address",
        /// The policy refuses the operation altogether.
        Operation = 9 "operation",
        /// It was against the agent itself.
        Guard = 10 "guard",
    }
}

/// A record, taken apart. Texts are bytes as the kernel has them.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    pub head: Head,
    pub program: Option<Program>,
    texts: [&'a [u8]; TEXTS],
}

// === impl Record ===

impl<'a> Record<'a> {
    /// `None` if `bytes` are no record.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let head = Head::read(bytes)?;
        let at = usize::from(head.texts_at);
        let program = match at {
            Head::SIZE => None,
            _ if at == Head::SIZE + Program::SIZE => Some(Program::read(bytes.get(Head::SIZE..)?)?),
            _ => return None,
        };
        let mut texts = [&[][..]; TEXTS];
        let mut from = at;
        for (text, length) in texts.iter_mut().zip(head.lengths) {
            let end = from + usize::from(length);
            *text = bytes.get(from..end)?;
            from = end;
        }
        Some(Record { head, program, texts })
    }

    /// The text at `index`; none if it is empty.
    pub fn text(&self, index: usize) -> Option<&'a [u8]> {
        self.texts.get(index).copied().filter(|t| !t.is_empty())
    }

    pub fn has(&self, flag: u32) -> bool {
        self.head.flags & flag != 0
    }
}
