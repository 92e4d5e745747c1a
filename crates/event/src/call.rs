//! Calls a sensor sees, by their names in Falco's rules, and what of each is captured. The same table fills the
//! map by which the kernel's program reads a call's arguments.

/// What an argument of a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A path, relative to the working directory.
    Path,
    /// A path, relative to the directory that the argument at this place is open on.
    PathAt(u8),
    /// An open file or socket the call is about.
    Fd,
    /// Another open file, as a number.
    Number,
    /// A socket address, its length in the next argument.
    Address,
    /// A message header (`struct msghdr`).
    Message,
    /// Bytes, their number in the next argument.
    Buffer,
    /// `O_*`, in the structure `open_how` if it is a pointer.
    OpenFlags,
    /// `struct open_how`. In a record its flags stand in its place, its mode in the next argument's.
    OpenHow,
    /// `S_I*`.
    Mode,
    /// `AF_*`.
    Domain,
    /// `SOCK_*`.
    SocketType,
    /// `CLONE_*`.
    CloneFlags,
    /// `MS_*`.
    MountFlags,
    /// `PTRACE_*`.
    PtraceRequest,
    /// `BPF_*`.
    BpfCommand,
    /// A signal.
    Signal,
    /// A user or group id.
    Id,
    /// A text that is no path (a module's parameters, a name).
    Text,
    /// Bits without names.
    Bits,
}

/// An argument: name, place among the call's arguments, meaning.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    pub name: &'static str,
    pub place: u8,
    pub input: Input,
}

/// What a call does, by which it is recorded whatever rules are loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Programs start and end.
    Process,
    /// Files are opened.
    File,
    /// Files come, change and go.
    FileChange,
    /// Connections and sockets.
    Network,
    /// Users, groups, capabilities.
    Credential,
    /// Namespaces and mounts.
    Namespace,
    /// The kernel itself: modules, bpf, io_uring, kexec.
    Kernel,
    /// Other processes' memory and signals.
    Trace,
}

macro_rules! calls {
    ($($(#[doc = $doc:literal])* $variant:ident = $number:literal $name:literal $class:ident ($x86:tt, $arm:tt) { $($parameter:literal $input:expr, $place:literal;)* })*) => {
        /// A call, by its name in Falco's rules.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[repr(u16)]
        pub enum Call {
            $(#[doc = $name] $(#[doc = $doc])* $variant = $number,)*
        }

        impl Call {
            pub const ALL: &[Call] = &[$(Call::$variant,)*];

            /// As `evt.type` has it.
            pub fn name(self) -> &'static str {
                match self { $(Call::$variant => $name,)* }
            }

            /// By its number in a record.
            pub fn of(number: u16) -> Option<Call> {
                match number { $($number => Some(Call::$variant),)* _ => None }
            }

            pub fn class(self) -> Class {
                match self { $(Call::$variant => Class::$class,)* }
            }

            pub fn parameters(self) -> &'static [Parameter] {
                use Input::*;
                match self {
                    $(Call::$variant => &[$(Parameter { name: $parameter, place: $place, input: $input },)*],)*
                }
            }

            /// Number of the system call on `x86_64`, if it is one.
            pub fn x86_64(self) -> Option<u16> {
                match self { $(Call::$variant => number!($x86),)* }
            }

            /// Number of the system call on `aarch64`, if it is one.
            pub fn aarch64(self) -> Option<u16> {
                match self { $(Call::$variant => number!($arm),)* }
            }
        }
    };
}

macro_rules! number {
    (_) => {
        None
    };
    ($number:literal) => {
        Some($number)
    };
}

calls! {
    Execve = 1 "execve" Process (59, 221) { "filename" Path, 0; }
    Execveat = 2 "execveat" Process (322, 281) { "filename" PathAt(0), 1; "flags" Bits, 4; }
    Clone = 3 "clone" Process (_, _) {}
    Procexit = 4 "procexit" Process (_, _) {}
    Open = 10 "open" File (2, _) { "name" Path, 0; "flags" OpenFlags, 1; "mode" Mode, 2; }
    Openat = 11 "openat" File (257, 56) { "dirfd" Number, 0; "name" PathAt(0), 1; "flags" OpenFlags, 2; "mode" Mode, 3; }
    Openat2 = 12 "openat2" File (437, 437) { "dirfd" Number, 0; "name" PathAt(0), 1; "flags" OpenHow, 2; }
    Creat = 13 "creat" File (85, _) { "name" Path, 0; "mode" Mode, 1; }
    OpenByHandleAt = 14 "open_by_handle_at" File (304, 265) { "mountfd" Number, 0; "flags" OpenFlags, 2; }
    Rename = 20 "rename" FileChange (82, _) { "oldpath" Path, 0; "newpath" Path, 1; }
    Renameat = 21 "renameat" FileChange (264, 38) { "olddirfd" Number, 0; "oldpath" PathAt(0), 1; "newdirfd" Number, 2; "newpath" PathAt(2), 3; }
    Renameat2 = 22 "renameat2" FileChange (316, 276) { "olddirfd" Number, 0; "oldpath" PathAt(0), 1; "newdirfd" Number, 2; "newpath" PathAt(2), 3; "flags" Bits, 4; }
    Unlink = 23 "unlink" FileChange (87, _) { "path" Path, 0; }
    Unlinkat = 24 "unlinkat" FileChange (263, 35) { "dirfd" Number, 0; "name" PathAt(0), 1; "flags" Bits, 2; }
    Rmdir = 25 "rmdir" FileChange (84, _) { "path" Path, 0; }
    Mkdir = 26 "mkdir" FileChange (83, _) { "path" Path, 0; "mode" Mode, 1; }
    Mkdirat = 27 "mkdirat" FileChange (258, 34) { "dirfd" Number, 0; "path" PathAt(0), 1; "mode" Mode, 2; }
    Symlink = 28 "symlink" FileChange (88, _) { "target" Text, 0; "linkpath" Path, 1; }
    Symlinkat = 29 "symlinkat" FileChange (266, 36) { "target" Text, 0; "linkdirfd" Number, 1; "linkpath" PathAt(1), 2; }
    Link = 30 "link" FileChange (86, _) { "oldpath" Path, 0; "newpath" Path, 1; }
    Linkat = 31 "linkat" FileChange (265, 37) { "olddir" Number, 0; "oldpath" PathAt(0), 1; "newdir" Number, 2; "newpath" PathAt(2), 3; "flags" Bits, 4; }
    Chmod = 32 "chmod" FileChange (90, _) { "filename" Path, 0; "mode" Mode, 1; }
    Fchmod = 33 "fchmod" FileChange (91, 52) { "fd" Fd, 0; "mode" Mode, 1; }
    Fchmodat = 34 "fchmodat" FileChange (268, 53) { "dirfd" Number, 0; "filename" PathAt(0), 1; "mode" Mode, 2; }
    Fchmodat2 = 35 "fchmodat2" FileChange (452, 452) { "dirfd" Number, 0; "filename" PathAt(0), 1; "mode" Mode, 2; "flags" Bits, 3; }
    Chown = 36 "chown" FileChange (92, _) { "path" Path, 0; "uid" Id, 1; "gid" Id, 2; }
    Lchown = 37 "lchown" FileChange (94, _) { "path" Path, 0; "uid" Id, 1; "gid" Id, 2; }
    Fchown = 38 "fchown" FileChange (93, 55) { "fd" Fd, 0; "uid" Id, 1; "gid" Id, 2; }
    Fchownat = 39 "fchownat" FileChange (260, 54) { "dirfd" Number, 0; "pathname" PathAt(0), 1; "uid" Id, 2; "gid" Id, 3; "flags" Bits, 4; }
    Truncate = 40 "truncate" FileChange (76, 45) { "path" Path, 0; "length" Number, 1; }
    Ftruncate = 41 "ftruncate" FileChange (77, 46) { "fd" Fd, 0; "length" Number, 1; }
    Mknod = 42 "mknod" FileChange (133, _) { "path" Path, 0; "mode" Mode, 1; "dev" Number, 2; }
    Mknodat = 43 "mknodat" FileChange (259, 33) { "dirfd" Number, 0; "path" PathAt(0), 1; "mode" Mode, 2; "dev" Number, 3; }
    Setxattr = 44 "setxattr" FileChange (188, 5) { "path" Path, 0; "name" Text, 1; }
    Fsetxattr = 45 "fsetxattr" FileChange (190, 7) { "fd" Fd, 0; "name" Text, 1; }
    /// Last close of a file that was written.
    Written = 46 "written" FileChange (_, _) {}
    Socket = 60 "socket" Network (41, 198) { "domain" Domain, 0; "type" SocketType, 1; "proto" Number, 2; }
    Connect = 61 "connect" Network (42, 203) { "fd" Fd, 0; "addr" Address, 1; }
    Accept = 62 "accept" Network (43, 202) {}
    Accept4 = 63 "accept4" Network (288, 242) { "flags" SocketType, 3; }
    Listen = 64 "listen" Network (50, 201) { "fd" Fd, 0; "backlog" Number, 1; }
    Bind = 65 "bind" Network (49, 200) { "fd" Fd, 0; "addr" Address, 1; }
    Sendto = 66 "sendto" Network (44, 206) { "fd" Fd, 0; "data" Buffer, 1; "size" Number, 2; "addr" Address, 4; }
    Sendmsg = 67 "sendmsg" Network (46, 211) { "fd" Fd, 0; "message" Message, 1; }
    Sendmmsg = 68 "sendmmsg" Network (307, 269) { "fd" Fd, 0; "message" Message, 1; }
    Recvfrom = 69 "recvfrom" Network (45, 207) { "fd" Fd, 0; "data" Buffer, 1; "size" Number, 2; }
    Recvmsg = 70 "recvmsg" Network (47, 212) { "fd" Fd, 0; "message" Message, 1; }
    Dup = 71 "dup" Network (32, 23) { "oldfd" Fd, 0; }
    Dup2 = 72 "dup2" Network (33, _) { "oldfd" Fd, 0; "newfd" Number, 1; }
    Dup3 = 73 "dup3" Network (292, 24) { "oldfd" Fd, 0; "newfd" Number, 1; "flags" OpenFlags, 2; }
    /// A question to a name server, read from the message.
    Dns = 74 "dns" Network (_, _) {}
    Setuid = 80 "setuid" Credential (105, 146) { "uid" Id, 0; }
    Setgid = 81 "setgid" Credential (106, 144) { "gid" Id, 0; }
    Setreuid = 82 "setreuid" Credential (113, 145) { "ruid" Id, 0; "euid" Id, 1; }
    Setregid = 83 "setregid" Credential (114, 143) { "rgid" Id, 0; "egid" Id, 1; }
    Setresuid = 84 "setresuid" Credential (117, 147) { "ruid" Id, 0; "euid" Id, 1; "suid" Id, 2; }
    Setresgid = 85 "setresgid" Credential (119, 149) { "rgid" Id, 0; "egid" Id, 1; "sgid" Id, 2; }
    Capset = 86 "capset" Credential (126, 91) {}
    Keyctl = 87 "keyctl" Credential (250, 219) { "option" Number, 0; }
    Setns = 100 "setns" Namespace (308, 268) { "fd" Fd, 0; "nstype" CloneFlags, 1; }
    Unshare = 101 "unshare" Namespace (272, 97) { "flags" CloneFlags, 0; }
    Mount = 102 "mount" Namespace (165, 40) { "dev" Text, 0; "dir" Path, 1; "type" Text, 2; "flags" MountFlags, 3; }
    Umount2 = 103 "umount2" Namespace (166, 39) { "name" Path, 0; "flags" Bits, 1; }
    PivotRoot = 104 "pivot_root" Namespace (155, 41) { "new" Path, 0; "old" Path, 1; }
    Chroot = 105 "chroot" Namespace (161, 51) { "path" Path, 0; }
    MoveMount = 106 "move_mount" Namespace (429, 429) { "fromfd" Number, 0; "from" PathAt(0), 1; "tofd" Number, 2; "to" PathAt(2), 3; }
    Fsopen = 107 "fsopen" Namespace (430, 430) { "type" Text, 0; }
    InitModule = 120 "init_module" Kernel (175, 105) { "length" Number, 1; "uargs" Text, 2; }
    FinitModule = 121 "finit_module" Kernel (313, 273) { "fd" Fd, 0; "uargs" Text, 1; "flags" Bits, 2; }
    DeleteModule = 122 "delete_module" Kernel (176, 106) { "name" Text, 0; }
    Bpf = 123 "bpf" Kernel (321, 280) { "cmd" BpfCommand, 0; }
    Userfaultfd = 124 "userfaultfd" Kernel (323, 282) { "flags" Bits, 0; }
    IoUringSetup = 125 "io_uring_setup" Kernel (425, 425) { "entries" Number, 0; }
    PerfEventOpen = 126 "perf_event_open" Kernel (298, 241) {}
    KexecLoad = 127 "kexec_load" Kernel (246, 104) {}
    KexecFileLoad = 128 "kexec_file_load" Kernel (320, 294) { "fd" Fd, 0; }
    MemfdCreate = 129 "memfd_create" Kernel (319, 279) { "name" Text, 0; "flags" Bits, 1; }
    ClockSettime = 130 "clock_settime" Kernel (227, 112) { "clock" Number, 0; }
    Mmap = 131 "mmap" Kernel (_, _) { "prot" Bits, 2; "flags" Bits, 3; }
    Mprotect = 132 "mprotect" Kernel (_, _) { "prot" Bits, 2; }
    Ptrace = 140 "ptrace" Trace (101, 117) { "request" PtraceRequest, 0; "pid" Number, 1; }
    ProcessVmReadv = 141 "process_vm_readv" Trace (310, 270) { "pid" Number, 0; }
    ProcessVmWritev = 142 "process_vm_writev" Trace (311, 271) { "pid" Number, 0; }
    Kill = 143 "kill" Trace (62, 129) { "pid" Number, 0; "sig" Signal, 1; }
    Tgkill = 144 "tgkill" Trace (234, 131) { "pid" Number, 0; "tid" Number, 1; "sig" Signal, 2; }
    /// A cgroup comes; its path is text 0.
    CgroupMkdir = 150 "cgroup_mkdir" Namespace (_, _) { "path" Text, 0; }
    CgroupRmdir = 151 "cgroup_rmdir" Namespace (_, _) { "path" Text, 0; }
    PidfdGetfd = 145 "pidfd_getfd" Trace (438, 438) { "pidfd" Number, 0; "fd" Number, 1; }
}

/// How the kernel's program reads a call: places of arguments, 255 for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capture {
    pub call: Call,
    /// The first two paths or texts.
    pub texts: [u8; 2],
    /// The directories they are relative to.
    pub directories: [u8; 2],
    /// A third text. In a record it stands where the first one's directory would, which is a text without one then.
    pub extra: u8,
    /// The open file or socket.
    pub fd: u8,
    /// The call answers an open file or socket.
    pub returns_fd: bool,
    pub address: u8,
    pub buffer: u8,
    pub message: u8,
    /// Where `struct open_how` is.
    pub open_how: u8,
}

/// No argument.
pub const NONE: u8 = 255;

// === impl Call ===

impl Call {
    pub fn named(name: &str) -> Option<Call> {
        Call::ALL.iter().copied().find(|c| c.name() == name)
    }

    /// Where an argument by this name stands.
    pub fn parameter(self, name: &str) -> Option<&'static Parameter> {
        self.parameters().iter().find(|p| p.name == name)
    }

    /// Which text of an event is the path or text of the parameter at `place`: 0 and 1 the call's first two, 2 the third.
    pub fn text_of(self, place: u8) -> Option<usize> {
        let capture = self.capture();
        capture.texts.iter().chain([&capture.extra]).position(|t| *t == place)
    }

    /// Always captured, whatever rules are loaded. Of opened files those are recorded that are made or written.
    pub fn always(self) -> bool {
        use Call::*;
        matches!(self.class(), Class::Process | Class::FileChange) || matches!(self, Open | Openat | Openat2 | Creat | OpenByHandleAt | Connect | Accept | Accept4 | Listen | Bind | Dns)
    }

    pub fn capture(self) -> Capture {
        let mut capture = Capture {
            call: self,
            texts: [NONE; 2],
            directories: [NONE; 2],
            extra: NONE,
            fd: NONE,
            returns_fd: matches!(self, Call::Open | Call::Openat | Call::Openat2 | Call::Creat | Call::OpenByHandleAt | Call::Accept | Call::Accept4 | Call::Socket),
            address: NONE,
            buffer: NONE,
            message: NONE,
            open_how: NONE,
        };
        let mut next = 0;
        for parameter in self.parameters() {
            match parameter.input {
                Input::Path | Input::Text | Input::PathAt(_) => {
                    if let (Some(text), Some(directory)) = (capture.texts.get_mut(next), capture.directories.get_mut(next)) {
                        *text = parameter.place;
                        *directory = if let Input::PathAt(at) = parameter.input { at } else { NONE };
                        next += 1;
                    } else {
                        capture.extra = parameter.place;
                    }
                }
                Input::Fd => capture.fd = parameter.place,
                Input::Address => capture.address = parameter.place,
                Input::Buffer => capture.buffer = parameter.place,
                Input::Message => capture.message = parameter.place,
                Input::OpenHow => capture.open_how = parameter.place,
                _ => {}
            }
        }
        capture
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_different() {
        let mut names: Vec<_> = Call::ALL.iter().map(|c| c.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Call::ALL.len());
        for numbers in [Call::x86_64, Call::aarch64] {
            let mut all: Vec<_> = Call::ALL.iter().filter_map(|c| numbers(*c)).collect();
            let before = all.len();
            all.sort_unstable();
            all.dedup();
            assert_eq!(all.len(), before);
        }
    }

    #[test]
    fn captures_follow_the_parameters() {
        let capture = Call::Renameat2.capture();
        assert_eq!((capture.texts, capture.directories), ([1, 3], [0, 2]));
        assert_eq!(Call::Symlinkat.capture().directories, [NONE, 1]);
        assert_eq!(Call::Dup2.capture().fd, 0);
        assert_eq!(Call::Renameat.text_of(3), Some(1));
        assert_eq!((Call::Mount.capture().extra, Call::Mount.text_of(2)), (2, Some(2)));
        for call in Call::ALL {
            // The third text needs the place of the first one's directory.
            let capture = call.capture();
            assert!(capture.extra == NONE || capture.directories[0] == NONE, "{}", call.name());
        }
    }
}
