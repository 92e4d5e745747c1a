//! Names of the kernel's numbers, as Falco prints them.

/// Names of set bits, joined by `|`; `0` if none is set.
pub(crate) fn bits(table: &[(u64, &str)], value: u64) -> String {
    let mut text = String::new();
    for (bit, name) in table {
        if value & bit == *bit {
            if !text.is_empty() {
                text.push('|');
            }
            text.push_str(name);
        }
    }
    if text.is_empty() { "0".to_owned() } else { text }
}

fn one(table: &[(u64, &'static str)], value: u64) -> Option<&'static str> {
    table.iter().find(|(v, _)| *v == value).map(|(_, n)| *n)
}

pub(crate) const S_IFMT: u32 = 0o170_000;
pub(crate) const S_IFDIR: u32 = 0o040_000;
pub(crate) const S_ISUID: u32 = 0o4000;
pub(crate) const S_ISGID: u32 = 0o2000;
/// Execution by anybody.
pub(crate) const S_IXUGO: u64 = 0o111;

pub(crate) const O_ACCMODE: u64 = 0o3;
pub(crate) const O_WRONLY: u64 = 0o1;
pub(crate) const O_RDWR: u64 = 0o2;
pub(crate) const O_CREAT: u64 = 0o100;
pub(crate) const O_TRUNC: u64 = 0o1000;
/// Without `O_DIRECTORY`, which belongs to it.
pub(crate) const O_TMPFILE: u64 = 0o20_000_000;
pub(crate) const O_DIRECTORY: u64 = if cfg!(target_arch = "aarch64") { 0o40_000 } else { 0o200_000 };

const OPEN: &[(u64, &str)] = &[
    (0o100, "O_CREAT"),
    (0o200, "O_EXCL"),
    (O_TRUNC, "O_TRUNC"),
    (0o2000, "O_APPEND"),
    (0o4000, "O_NONBLOCK"),
    (0o4_010_000, "O_SYNC"),
    (0o10_000, "O_DSYNC"),
    (if cfg!(target_arch = "aarch64") { 0o200_000 } else { 0o40_000 }, "O_DIRECT"),
    (if cfg!(target_arch = "aarch64") { 0o400_000 } else { 0o100_000 }, "O_LARGEFILE"),
    (O_DIRECTORY, "O_DIRECTORY"),
    (if cfg!(target_arch = "aarch64") { 0o100_000 } else { 0o400_000 }, "O_NOFOLLOW"),
    (0o2_000_000, "O_CLOEXEC"),
    (0o10_000_000, "O_PATH"),
    (O_TMPFILE, "O_TMPFILE"),
];

/// `O_*` of an open call.
pub(crate) fn open(flags: u64) -> String {
    let access = match flags & O_ACCMODE {
        O_WRONLY => "O_WRONLY",
        O_RDWR => "O_RDWR",
        _ => "O_RDONLY",
    };
    match bits(OPEN, flags).as_str() {
        "0" => access.to_owned(),
        rest => format!("{access}|{rest}"),
    }
}

pub(crate) const MODE: &[(u64, &str)] = &[
    (0o1, "S_IXOTH"),
    (0o2, "S_IWOTH"),
    (0o4, "S_IROTH"),
    (0o10, "S_IXGRP"),
    (0o20, "S_IWGRP"),
    (0o40, "S_IRGRP"),
    (0o100, "S_IXUSR"),
    (0o200, "S_IWUSR"),
    (0o400, "S_IRUSR"),
    (0o1000, "S_ISVTX"),
    (S_ISGID as u64, "S_ISGID"),
    (S_ISUID as u64, "S_ISUID"),
];

/// Type and permissions a node of a file system is made with.
pub(crate) fn node(mode: u64) -> String {
    let kind = match (mode as u32) & S_IFMT {
        0o010_000 => "S_IFIFO",
        0o020_000 => "S_IFCHR",
        0o060_000 => "S_IFBLK",
        0o140_000 => "S_IFSOCK",
        _ => "S_IFREG",
    };
    format!("{kind}|{}", bits(MODE, mode))
}

pub(crate) const CLONE: &[(u64, &str)] = &[
    (0x80, "CLONE_NEWTIME"),
    (0x100, "CLONE_VM"),
    (0x200, "CLONE_FS"),
    (0x400, "CLONE_FILES"),
    (0x800, "CLONE_SIGHAND"),
    (0x2000, "CLONE_PTRACE"),
    (0x4000, "CLONE_VFORK"),
    (0x8000, "CLONE_PARENT"),
    (0x1_0000, "CLONE_THREAD"),
    (0x2_0000, "CLONE_NEWNS"),
    (0x4_0000, "CLONE_SYSVSEM"),
    (0x8_0000, "CLONE_SETTLS"),
    (0x10_0000, "CLONE_PARENT_SETTID"),
    (0x20_0000, "CLONE_CHILD_CLEARTID"),
    (0x80_0000, "CLONE_UNTRACED"),
    (0x100_0000, "CLONE_CHILD_SETTID"),
    (0x200_0000, "CLONE_NEWCGROUP"),
    (0x400_0000, "CLONE_NEWUTS"),
    (0x800_0000, "CLONE_NEWIPC"),
    (0x1000_0000, "CLONE_NEWUSER"),
    (0x2000_0000, "CLONE_NEWPID"),
    (0x4000_0000, "CLONE_NEWNET"),
    (0x8000_0000, "CLONE_IO"),
];

pub(crate) const MOUNT: &[(u64, &str)] = &[
    (1, "RDONLY"),
    (2, "NOSUID"),
    (4, "NODEV"),
    (8, "NOEXEC"),
    (16, "SYNCHRONOUS"),
    (32, "REMOUNT"),
    (64, "MANDLOCK"),
    (128, "DIRSYNC"),
    (1024, "NOATIME"),
    (2048, "NODIRATIME"),
    (4096, "BIND"),
    (8192, "MOVE"),
    (16384, "REC"),
    (32768, "SILENT"),
    (1 << 17, "UNBINDABLE"),
    (1 << 18, "PRIVATE"),
    (1 << 19, "SLAVE"),
    (1 << 20, "SHARED"),
    (1 << 21, "RELATIME"),
];

/// `AF_*`
pub(crate) fn family(value: u64) -> Option<&'static str> {
    one(
        &[
            (0, "AF_UNSPEC"),
            (1, "AF_UNIX"),
            (2, "AF_INET"),
            (3, "AF_AX25"),
            (10, "AF_INET6"),
            (15, "AF_KEY"),
            (16, "AF_NETLINK"),
            (17, "AF_PACKET"),
            (21, "AF_RDS"),
            (29, "AF_CAN"),
            (30, "AF_TIPC"),
            (31, "AF_BLUETOOTH"),
            (38, "AF_ALG"),
            (40, "AF_VSOCK"),
            (41, "AF_KCM"),
            (42, "AF_QIPCRTR"),
            (43, "AF_SMC"),
            (44, "AF_XDP"),
        ],
        value,
    )
}

/// `SOCK_*`, without `SOCK_CLOEXEC` and `SOCK_NONBLOCK`.
pub(crate) fn socket(value: u64) -> Option<&'static str> {
    one(&[(1, "SOCK_STREAM"), (2, "SOCK_DGRAM"), (3, "SOCK_RAW"), (4, "SOCK_RDM"), (5, "SOCK_SEQPACKET"), (10, "SOCK_PACKET")], value & 0xf)
}

/// `PTRACE_*`
pub(crate) fn ptrace(value: u64) -> Option<&'static str> {
    one(
        &[
            (0, "PTRACE_TRACEME"),
            (1, "PTRACE_PEEKTEXT"),
            (2, "PTRACE_PEEKDATA"),
            (3, "PTRACE_PEEKUSR"),
            (4, "PTRACE_POKETEXT"),
            (5, "PTRACE_POKEDATA"),
            (6, "PTRACE_POKEUSR"),
            (7, "PTRACE_CONT"),
            (8, "PTRACE_KILL"),
            (9, "PTRACE_SINGLESTEP"),
            (12, "PTRACE_GETREGS"),
            (13, "PTRACE_SETREGS"),
            (14, "PTRACE_GETFPREGS"),
            (15, "PTRACE_SETFPREGS"),
            (16, "PTRACE_ATTACH"),
            (17, "PTRACE_DETACH"),
            (24, "PTRACE_SYSCALL"),
            (0x4200, "PTRACE_SETOPTIONS"),
            (0x4201, "PTRACE_GETEVENTMSG"),
            (0x4202, "PTRACE_GETSIGINFO"),
            (0x4203, "PTRACE_SETSIGINFO"),
            (0x4204, "PTRACE_GETREGSET"),
            (0x4205, "PTRACE_SETREGSET"),
            (0x4206, "PTRACE_SEIZE"),
            (0x4207, "PTRACE_INTERRUPT"),
            (0x4208, "PTRACE_LISTEN"),
        ],
        value,
    )
}

/// `BPF_*`, commands of bpf(2).
pub(crate) fn bpf(value: u64) -> Option<&'static str> {
    const NAMES: &[&str] = &[
        "BPF_MAP_CREATE",
        "BPF_MAP_LOOKUP_ELEM",
        "BPF_MAP_UPDATE_ELEM",
        "BPF_MAP_DELETE_ELEM",
        "BPF_MAP_GET_NEXT_KEY",
        "BPF_PROG_LOAD",
        "BPF_OBJ_PIN",
        "BPF_OBJ_GET",
        "BPF_PROG_ATTACH",
        "BPF_PROG_DETACH",
        "BPF_PROG_TEST_RUN",
        "BPF_PROG_GET_NEXT_ID",
        "BPF_MAP_GET_NEXT_ID",
        "BPF_PROG_GET_FD_BY_ID",
        "BPF_MAP_GET_FD_BY_ID",
        "BPF_OBJ_GET_INFO_BY_FD",
        "BPF_PROG_QUERY",
        "BPF_RAW_TRACEPOINT_OPEN",
        "BPF_BTF_LOAD",
        "BPF_BTF_GET_FD_BY_ID",
        "BPF_TASK_FD_QUERY",
        "BPF_MAP_LOOKUP_AND_DELETE_ELEM",
        "BPF_MAP_FREEZE",
        "BPF_BTF_GET_NEXT_ID",
        "BPF_MAP_LOOKUP_BATCH",
        "BPF_MAP_LOOKUP_AND_DELETE_BATCH",
        "BPF_MAP_UPDATE_BATCH",
        "BPF_MAP_DELETE_BATCH",
        "BPF_LINK_CREATE",
        "BPF_LINK_UPDATE",
        "BPF_LINK_GET_FD_BY_ID",
        "BPF_LINK_GET_NEXT_ID",
        "BPF_ENABLE_STATS",
        "BPF_ITER_CREATE",
        "BPF_LINK_DETACH",
        "BPF_PROG_BIND_MAP",
        "BPF_TOKEN_CREATE",
    ];
    usize::try_from(value).ok().and_then(|v| NAMES.get(v).copied())
}

/// `SIG*`
pub(crate) fn signal(value: u64) -> Option<&'static str> {
    const NAMES: &[&str] = &[
        "SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL", "SIGUSR1", "SIGSEGV", "SIGUSR2", "SIGPIPE", "SIGALRM",
        "SIGTERM", "SIGSTKFLT", "SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH",
        "SIGIO", "SIGPWR", "SIGSYS",
    ];
    usize::try_from(value).ok()?.checked_sub(1).and_then(|v| NAMES.get(v).copied())
}

const CAPABILITIES: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// Capabilities, joined by a blank.
pub(crate) fn capabilities(set: u64) -> String {
    let mut text = String::new();
    for (bit, name) in CAPABILITIES.iter().enumerate() {
        if set >> bit & 1 == 1 {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(name);
        }
    }
    text
}

/// The name of an errno (a positive number).
pub(crate) fn errno(number: i64) -> Option<&'static str> {
    let number = u64::try_from(number).ok()?;
    const FIRST: &[&str] = &[
        "EPERM", "ENOENT", "ESRCH", "EINTR", "EIO", "ENXIO", "E2BIG", "ENOEXEC", "EBADF", "ECHILD", "EAGAIN", "ENOMEM", "EACCES", "EFAULT", "ENOTBLK", "EBUSY",
        "EEXIST", "EXDEV", "ENODEV", "ENOTDIR", "EISDIR", "EINVAL", "ENFILE", "EMFILE", "ENOTTY", "ETXTBSY", "EFBIG", "ENOSPC", "ESPIPE", "EROFS", "EMLINK", "EPIPE",
        "EDOM", "ERANGE", "EDEADLK", "ENAMETOOLONG", "ENOLCK", "ENOSYS", "ENOTEMPTY", "ELOOP",
    ];
    const REST: &[(u64, &str)] = &[
        (61, "ENODATA"),
        (71, "EPROTO"),
        (74, "EBADMSG"),
        (75, "EOVERFLOW"),
        (87, "EUSERS"),
        (88, "ENOTSOCK"),
        (89, "EDESTADDRREQ"),
        (90, "EMSGSIZE"),
        (91, "EPROTOTYPE"),
        (92, "ENOPROTOOPT"),
        (93, "EPROTONOSUPPORT"),
        (94, "ESOCKTNOSUPPORT"),
        (95, "EOPNOTSUPP"),
        (96, "EPFNOSUPPORT"),
        (97, "EAFNOSUPPORT"),
        (98, "EADDRINUSE"),
        (99, "EADDRNOTAVAIL"),
        (100, "ENETDOWN"),
        (101, "ENETUNREACH"),
        (102, "ENETRESET"),
        (103, "ECONNABORTED"),
        (104, "ECONNRESET"),
        (105, "ENOBUFS"),
        (106, "EISCONN"),
        (107, "ENOTCONN"),
        (108, "ESHUTDOWN"),
        (110, "ETIMEDOUT"),
        (111, "ECONNREFUSED"),
        (112, "EHOSTDOWN"),
        (113, "EHOSTUNREACH"),
        (114, "EALREADY"),
        (115, "EINPROGRESS"),
        (116, "ESTALE"),
        (122, "EDQUOT"),
        (125, "ECANCELED"),
        (126, "ENOKEY"),
        (129, "EKEYREJECTED"),
    ];
    let near = usize::try_from(number).ok().and_then(|n| n.checked_sub(1)).and_then(|n| FIRST.get(n).copied());
    near.or_else(|| one(REST, number))
}

/// Services by port, as far as rules speak of them.
pub(crate) fn service(port: u16) -> Option<&'static str> {
    one(
        &[
            (21, "ftp"),
            (22, "ssh"),
            (23, "telnet"),
            (25, "smtp"),
            (53, "domain"),
            (80, "http"),
            (110, "pop3"),
            (123, "ntp"),
            (143, "imap2"),
            (389, "ldap"),
            (443, "https"),
            (636, "ldaps"),
            (993, "imaps"),
            (2049, "nfs"),
            (3306, "mysql"),
            (5432, "postgresql"),
            (6379, "redis"),
            (8080, "http-alt"),
        ],
        u64::from(port),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_headers() {
        assert_eq!(open(O_RDWR | O_TRUNC), "O_RDWR|O_TRUNC");
        assert_eq!(open(0), "O_RDONLY");
        assert_eq!(bits(MODE, 0o4755), "S_IXOTH|S_IROTH|S_IXGRP|S_IRGRP|S_IXUSR|S_IWUSR|S_IRUSR|S_ISUID");
        assert_eq!(capabilities(1 << 21 | 1), "CAP_CHOWN CAP_SYS_ADMIN");
        assert_eq!((errno(2), errno(40), errno(13), errno(115), errno(0)), (Some("ENOENT"), Some("ELOOP"), Some("EACCES"), Some("EINPROGRESS"), None));
        assert_eq!((ptrace(16), bpf(5), family(17), signal(9)), (Some("PTRACE_ATTACH"), Some("BPF_PROG_LOAD"), Some("AF_PACKET"), Some("SIGKILL")));
        assert_eq!(capabilities(1 << 39), "CAP_BPF");
    }
}
