//! What a worker gives up before it reads a byte of an image.
//!
//! * **landlock**: no file system, no TCP at all;
//! * **seccomp**: an allow-list of the system calls that reading descriptors, memory and threads need.
//!   Everything else — socket, connect, execve, ptrace, fork … — kills the process; opening a file is
//!   refused with `EACCES`, because glibc's allocator asks for `/proc/sys/vm/overcommit_memory` when a
//!   thread's heap shrinks and goes on without the answer;
//! * **no new privileges**, not traceable, ends with its parent;
//! * **limits**: no core file, no file grows, few descriptors. Processes need no limit of their own:
//!   the filter admits threads only. Address space has none because rule engines reserve gigabytes
//!   they never touch; the parent watches what is resident.
//!
//! What this kernel cannot do is a warning the parent sees, never silence.

use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetStatus};
use rustix::process::{Resource, Rlimit};
use seccompiler::{BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch};
use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;

/// Descriptors a worker may hold: its socket, standard streams, a layer's file.
const MAX_DESCRIPTORS: u64 = 32;

/// Locks the process in, as far as the kernel can; the calling thread must be the only one. Returns
/// what could not be done, in words; the error is a failure that must not be passed over.
pub fn lock_in() -> Result<Vec<String>, String> {
    let mut warnings = Vec::new();
    let mut attempt = |what: &str, result: Result<(), String>| {
        if let Err(e) = result {
            warnings.push(format!("{what} could not be applied: {e}"));
        }
    };
    let errno = |e: rustix::io::Errno| e.to_string();
    attempt("ending with the parent", rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).map_err(errno));
    attempt(
        "protection from tracing",
        rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable).map_err(errno),
    );
    attempt("no core file", limit(Resource::Core, 0));
    attempt("no file growth", limit(Resource::Fsize, 0));
    attempt("few descriptors", limit(Resource::Nofile, MAX_DESCRIPTORS));
    // Without it neither landlock nor seccomp can be had by an unprivileged process.
    rustix::thread::set_no_new_privs(true).map_err(|e| format!("no_new_privs: {e}"))?;
    attempt("landlock", no_files());
    if let Err(e) = filter_system_calls() {
        warnings.push(format!("seccomp could not be applied: {e}"));
    }
    Ok(warnings)
}

fn limit(resource: Resource, value: u64) -> Result<(), String> {
    rustix::process::setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) }).map_err(|e| e.to_string())
}

/// Takes away every access to files and every TCP port, as far as this kernel's landlock knows them.
pub fn no_files() -> Result<(), String> {
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V5))
        .and_then(|r| r.handle_access(AccessNet::from_all(ABI::V5)))
        .and_then(|r| r.create())
        .map_err(|e| e.to_string())?;
    match ruleset.restrict_self().map_err(|e| e.to_string())?.ruleset {
        RulesetStatus::NotEnforced => Err("this kernel has no landlock".into()),
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
    }
}

/// Three filters, the strictest answer of which counts: an allow-list that kills, one that lets
/// `clone3` (whose flags a filter cannot see) fail, so that threads are made with `clone`, and one that
/// refuses to open files.
fn filter_system_calls() -> Result<(), String> {
    let architecture: TargetArch = std::env::consts::ARCH.try_into().map_err(|e| format!("{e}"))?;
    let build = |rules, otherwise, action| -> Result<BpfProgram, String> {
        let filter = SeccompFilter::new(rules, otherwise, action, architecture).map_err(|e| e.to_string())?;
        filter.try_into().map_err(|e: seccompiler::BackendError| e.to_string())
    };
    let failing = |numbers: &[i64], errno: rustix::io::Errno| {
        let rules: BTreeMap<i64, Vec<SeccompRule>> = numbers.iter().map(|n| (*n, Vec::new())).collect();
        build(rules, SeccompAction::Allow, SeccompAction::Errno(errno.raw_os_error() as u32))
    };
    let clone3 = failing(&[CLONE3], rustix::io::Errno::NOSYS)?;
    let open = failing(&OPEN, rustix::io::Errno::ACCESS)?;
    let allowed = build(allowed()?, SeccompAction::KillProcess, SeccompAction::Allow)?;
    for filter in [clone3, open, allowed] {
        seccompiler::apply_filter(&filter).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// `open` and `openat`.
#[cfg(target_arch = "x86_64")]
const OPEN: [i64; 2] = [2, 257];
#[cfg(target_arch = "aarch64")]
const OPEN: [i64; 1] = [56];

/// `clone3` has one number on all architectures.
const CLONE3: i64 = 435;
const CLONE_THREAD: u64 = 0x0001_0000;
const PR_SET_NAME: u64 = 15;
/// Naming anonymous memory, as newer C libraries do.
const PR_SET_VMA: u64 = 0x5356_4d41;

/// System calls of a reader of descriptors: numbers by architecture (Linux `unistd.h`).
fn allowed() -> Result<BTreeMap<i64, Vec<SeccompRule>>, String> {
    #[cfg(target_arch = "x86_64")]
    const FREE: &[i64] = &[
        0, // read
        1, // write
        3, // close
        5, // fstat
        7, // poll
        8, // lseek
        9, // mmap
        10, // mprotect
        11, // munmap
        12, // brk
        13, // rt_sigaction
        14, // rt_sigprocmask
        15, // rt_sigreturn
        17, // pread64
        20, // writev
        24, // sched_yield
        25, // mremap
        28, // madvise
        35, // nanosleep
        39, // getpid
        44, // sendto
        45, // recvfrom
        47, // recvmsg
        60, // exit
        96, // gettimeofday
        131, // sigaltstack
        186, // gettid
        201, // time
        202, // futex
        204, // sched_getaffinity
        218, // set_tid_address
        219, // restart_syscall
        228, // clock_gettime
        229, // clock_getres
        230, // clock_nanosleep
        231, // exit_group
        234, // tgkill
        273, // set_robust_list
        309, // getcpu
        318, // getrandom
        324, // membarrier
        334, // rseq
        CLONE3,
    ];
    #[cfg(target_arch = "aarch64")]
    const FREE: &[i64] = &[
        57, // close
        62, // lseek
        63, // read
        64, // write
        66, // writev
        67, // pread64
        73, // ppoll
        80, // fstat
        93, // exit
        94, // exit_group
        96, // set_tid_address
        98, // futex
        99, // set_robust_list
        101, // nanosleep
        113, // clock_gettime
        114, // clock_getres
        115, // clock_nanosleep
        123, // sched_getaffinity
        124, // sched_yield
        128, // restart_syscall
        131, // tgkill
        132, // sigaltstack
        134, // rt_sigaction
        135, // rt_sigprocmask
        139, // rt_sigreturn
        168, // getcpu
        169, // gettimeofday
        172, // getpid
        178, // gettid
        206, // sendto
        207, // recvfrom
        212, // recvmsg
        214, // brk
        215, // munmap
        216, // mremap
        222, // mmap
        226, // mprotect
        233, // madvise
        278, // getrandom
        283, // membarrier
        293, // rseq
        CLONE3,
    ];
    #[cfg(target_arch = "x86_64")]
    const CLONE_PRCTL: [i64; 2] = [56, 157];
    #[cfg(target_arch = "aarch64")]
    const CLONE_PRCTL: [i64; 2] = [220, 167];

    // What the other filters fail must not be killed here.
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = FREE.iter().chain(&OPEN).map(|number| (*number, Vec::new())).collect();
    let rule = |argument, length, operator, value| {
        let condition = SeccompCondition::new(argument, length, operator, value).map_err(|e| e.to_string())?;
        SeccompRule::new(vec![condition]).map_err(|e| e.to_string())
    };
    let [clone, prctl] = CLONE_PRCTL;
    // A thread, never a process.
    rules.insert(clone, vec![rule(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(CLONE_THREAD), CLONE_THREAD)?]);
    rules.insert(prctl, vec![
        rule(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, PR_SET_NAME)?,
        rule(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, PR_SET_VMA)?,
    ]);
    Ok(rules)
}

/// Does what a test asks for: dies, hangs, grows, or tries what the sandbox forbids. Exit code 42 tells
/// that it was not stopped, 43 that it was refused; otherwise the process does not come this far.
pub(super) fn fail_on_purpose(failpoint: &str) {
    const NOT_STOPPED: i32 = 42;
    const REFUSED: i32 = 43;
    let refused = match failpoint {
        "abort" => std::process::abort(),
        "hang" => loop {
            std::thread::sleep(std::time::Duration::from_secs(3600));
        },
        "grow" => {
            let mut kept = Vec::new();
            loop {
                kept.push(vec![1_u8; 16 << 20]);
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        }
        "open" => std::fs::File::open("/etc/passwd").is_err(),
        "write" => std::fs::write("/tmp/jinwu-scan-sandbox", b"x").is_err(),
        "connect" => std::net::TcpStream::connect("127.0.0.1:1").is_err(),
        "unix" => UnixStream::connect("/run/nowhere").is_err(),
        "exec" => std::process::Command::new("/bin/true").status().is_err(),
        _ => return,
    };
    std::process::exit(if refused { REFUSED } else { NOT_STOPPED })
}
