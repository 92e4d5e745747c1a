//! Which calls the security hooks tell beside what they refuse. Where they do, no tracepoint at the end of system calls
//! is needed for them.

use anyhow::Result;
use jinwu_event::Call;
use libbpf_rs::{MapCore, MapFlags};
use std::collections::BTreeSet;

/// A hook's own call, and the first and last of the calls by which it may be named (by number in a record): `CALLS` of
/// `lsm.bpf.h`.
const FAMILIES: &[(Call, Call, Call)] = &[
    (Call::Unlink, Call::Unlink, Call::Unlinkat),
    (Call::Rmdir, Call::Unlinkat, Call::Rmdir),
    (Call::Mkdir, Call::Mkdir, Call::Mkdirat),
    (Call::Mknod, Call::Mknod, Call::Mknodat),
    (Call::Symlink, Call::Symlink, Call::Symlinkat),
    (Call::Link, Call::Link, Call::Linkat),
    (Call::Rename, Call::Rename, Call::Renameat2),
    (Call::Chmod, Call::Chmod, Call::Fchmodat2),
    (Call::Chown, Call::Chown, Call::Fchownat),
    (Call::Truncate, Call::Truncate, Call::Ftruncate),
    (Call::Setxattr, Call::Setxattr, Call::Fsetxattr),
    (Call::Chroot, Call::Chroot, Call::Chroot),
    (Call::Open, Call::Open, Call::OpenByHandleAt),
    (Call::FinitModule, Call::FinitModule, Call::FinitModule),
    (Call::InitModule, Call::InitModule, Call::InitModule),
    (Call::Mount, Call::Mount, Call::Mount),
    (Call::MoveMount, Call::MoveMount, Call::MoveMount),
    (Call::Umount2, Call::Umount2, Call::Umount2),
    (Call::PivotRoot, Call::PivotRoot, Call::PivotRoot),
    (Call::Ptrace, Call::Ptrace, Call::ProcessVmWritev),
    (Call::Kill, Call::Kill, Call::Tgkill),
    (Call::Bpf, Call::Bpf, Call::Bpf),
    (Call::Setuid, Call::Setuid, Call::Setresuid),
    (Call::Setgid, Call::Setgid, Call::Setresgid),
    (Call::Socket, Call::Socket, Call::Socket),
    (Call::Connect, Call::Connect, Call::Connect),
    (Call::Bind, Call::Bind, Call::Bind),
    (Call::Sendto, Call::Sendto, Call::Sendmmsg),
    (Call::Listen, Call::Listen, Call::Listen),
    (Call::Accept, Call::Accept, Call::Accept4),
    (Call::PerfEventOpen, Call::PerfEventOpen, Call::PerfEventOpen),
    (Call::IoUringSetup, Call::IoUringSetup, Call::IoUringSetup),
];

/// Whether a hook tells this call. Those it does not (`dup2`, `setns`, `memfd_create`, …) need the tracepoint.
///
/// A result is 0 or `-EPERM`: hooks come before a call's end, so that a call that fails for another reason is told as
/// one that went, and an open file has no number yet.
pub fn seen(call: Call) -> bool {
    matches!(call, Call::Mmap | Call::Mprotect) || FAMILIES.iter().any(|f| belongs(call, f))
}

fn belongs(call: Call, (own, first, last): &(Call, Call, Call)) -> bool {
    call == *own || (*first as u16..=*last as u16).contains(&(call as u16))
}

/// Has the hooks tell these calls of containers and of the node's own processes, equal ones within a second once where
/// that is said by `fold`.
///
/// # Errors
/// When the kernel's table cannot be written.
pub fn observe(wants: &impl MapCore, container: &BTreeSet<Call>, node: &BTreeSet<Call>, fold: impl Fn(Call) -> bool) -> Result<()> {
    let alone = [Call::Mmap, Call::Mprotect].map(|c| (c, c, c));
    for family in FAMILIES.iter().chain(&alone) {
        let wanted = |calls: &BTreeSet<Call>| u8::from(calls.iter().any(|c| belongs(*c, family)));
        let value = [wanted(container), wanted(node), u8::from(fold(family.0)), 0];
        wants.update(&u32::from(family.0 as u16).to_ne_bytes(), &value, MapFlags::ANY)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOOKS: &str = include_str!("../../bpf/lsm.bpf.h");

    fn named(name: &str) -> Call {
        Call::named(&name.trim().trim_start_matches("CALL_").to_lowercase()).unwrap()
    }

    #[test]
    fn families_are_those_of_the_hooks() {
        let hooks: BTreeSet<_> = HOOKS
            .split("CALLS(CALL_")
            .skip(1)
            .filter_map(|rest| {
                let calls: Vec<&str> = rest.split(')').next()?.split(',').collect();
                // Those that are for a verdict alone are never told.
                (calls.len() == 3 && calls[1].trim() != "0").then(|| (named(calls[0]) as u16, named(calls[1]) as u16, named(calls[2]) as u16))
            })
            .collect();
        // The only one that is refused and not observed: other namespaces are made without it.
        let refused = (Call::Unshare as u16, Call::Unshare as u16, Call::Unshare as u16);
        let table: BTreeSet<_> = FAMILIES.iter().map(|(a, b, c)| (*a as u16, *b as u16, *c as u16)).chain([refused]).collect();
        assert_eq!(hooks, table);
    }

    #[test]
    fn no_hook_is_loaded_unasked() {
        let sections: Vec<&str> = HOOKS.split("SEC(\"").skip(1).collect();
        assert!(sections.len() > 30);
        for section in sections {
            assert!(section.starts_with('?'), "{}", section.lines().next().unwrap_or_default());
        }
    }

    #[test]
    fn what_a_hook_may_be_called_is_seen() {
        for call in [Call::Openat2, Call::Renameat2, Call::Unlinkat, Call::Sendmsg, Call::Setresuid, Call::ProcessVmReadv, Call::Mprotect] {
            assert!(seen(call), "{}", call.name());
        }
        for call in [Call::Dup2, Call::Setns, Call::MemfdCreate, Call::Recvfrom, Call::Execve] {
            assert!(!seen(call), "{}", call.name());
        }
    }
}
