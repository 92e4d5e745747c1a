//! Operations, files and addresses a policy names.

use crate::ask::{Ask, Told};
use crate::world::{Agent, Container, Report, node};
use anyhow::Result;
use jinwu_event::record::flag;
use jinwu_sensor::enforce::{AddressRule, ContainerPolicy, FileRule, Mode, Operation, Policy, Target};
use std::net::UdpSocket;
use std::time::Duration;

const PORT: u16 = 7777;

fn file(id: u32, target: Target, block: &[Operation]) -> FileRule {
    FileRule { id, target, block: block.to_vec(), alarm: vec![] }
}

fn policy() -> Policy {
    use Operation::*;
    let address = |id, operation, mode| AddressRule { id, operation, address: "127.0.0.0".parse().expect("an address"), prefix: 8, port: PORT, mode };
    Policy {
        block: vec![UserNamespace],
        alarm: vec![Jit],
        files: vec![
            file(1, Target::Below("/etc".into()), &[Read, Write, Create, Unlink, Rename, Mkdir, Link, Chmod, Chown]),
            file(2, Target::Path("/etc/hostname".into()), &[]),
            file(3, Target::Path("/bin/forbidden".into()), &[Exec]),
        ],
        addresses: vec![
            AddressRule { id: 8, operation: Send, address: "127.0.0.2".parse().expect("an address"), prefix: 32, port: 0, mode: Mode::Block },
            address(4, Connect, Mode::Block),
            address(5, Send, Mode::Block),
            address(6, Bind, Mode::Block),
        ],
    }
}

/// Name, try, how it looks afterwards if nothing was done, rule.
type Effect = (&'static str, &'static str, fn(&Container) -> bool, u32);

const DENIED: &[Effect] = &[
    ("unlink", "unlink /etc/passwd", |c| c.at("/etc/passwd").exists(), 1),
    ("rename", "rename /etc/passwd /tmp/passwd", |c| c.at("/etc/passwd").exists() && !c.at("/tmp/passwd").exists(), 1),
    ("rename onto it", "and 3 copy /bin/script /tmp/other rename /tmp/other /etc/passwd", |c| size(c, "/etc/passwd") < 64, 1),
    ("mkdir", "mkdir /etc/new", |c| !c.at("/etc/new").exists(), 1),
    ("mkdir by a 32-bit call", "mkdir32 /etc/new32", |c| !c.at("/etc/new32").exists(), 1),
    ("chmod", "chmod /etc/passwd", |c| mode(c, "/etc/passwd") == 0o644, 1),
    ("chown", "chown /etc/passwd", |c| owner(c, "/etc/passwd") == 0, 1),
    ("link", "link /etc/passwd /tmp/linked", |c| !c.at("/tmp/linked").exists(), 1),
    ("symlink", "symlink /tmp/x /etc/link", |c| c.at("/etc/link").symlink_metadata().is_err(), 1),
    ("create", "create /etc/made", |c| !c.at("/etc/made").exists(), 1),
    ("write", "append /etc/passwd", |c| size(c, "/etc/passwd") == 16, 1),
    ("truncate", "truncate /etc/passwd", |c| size(c, "/etc/passwd") == 16, 1),
    ("read", "open /etc/passwd", |_| true, 1),
    ("read by a bind mount elsewhere", "mounted /etc /mnt open /mnt/passwd", |_| true, 1),
    ("unlink after chroot", "chroot /etc unlink /passwd", |c| c.at("/etc/passwd").exists(), 1),
    ("unlink in namespaces of its own", "apart 0x20020000 unlink /etc/passwd", |c| c.at("/etc/passwd").exists(), 1),
    ("open by io_uring", "ring open /etc/passwd", |_| true, 1),
    ("open by a worker of io_uring", "ring async /etc/passwd", |_| true, 1),
    ("unlink by io_uring", "ring unlink /etc/passwd", |c| c.at("/etc/passwd").exists(), 1),
    ("exec", "exec /bin/forbidden hello", |_| true, 3),
    ("connect", "tcp 127.0.0.1 7777", |_| true, 4),
    ("connect by the first data", "fastopen 127.0.0.1 7777", |_| true, 4),
    ("sendto", "udp 127.0.0.1 7777", |_| true, 5),
    ("a datagram of a connected socket", "udp-connected 127.0.0.1 7777", |_| true, 4),
    ("a datagram of a connected socket where connecting is permitted", "udp-connected 127.0.0.2 7779", |_| true, 8),
    ("bind", "bind 127.0.0.1 7777", |_| true, 6),
];

const PERMITTED: &[(&str, &str)] = &[
    ("the exception", "open /etc/hostname"),
    ("a name that begins alike", "mkdir /etcetera"),
    ("another program", "exec /bin/act hello"),
    ("another file", "and 3 copy /bin/script /tmp/free unlink /tmp/free"),
    ("another port", "udp 127.0.0.1 7778"),
    ("a package manager's work", "and 3 copy /bin/act /tmp/tool and 2 chmod /tmp/tool rename /tmp/tool /usr/tool"),
];

fn size(c: &Container, path: &str) -> u64 {
    std::fs::metadata(c.at(path)).map_or(u64::MAX, |m| m.len())
}

fn mode(c: &Container, path: &str) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(c.at(path)).map_or(0, |m| m.permissions().mode() & 0o777)
}

fn owner(c: &Container, path: &str) -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(c.at(path)).map_or(u32::MAX, |m| m.uid())
}

pub(crate) fn run(agent: &mut Agent, report: &mut Report) -> Result<()> {
    let container = Container::new("rules")?;
    agent.tell(&Ask::Policy(1, policy()))?;
    container.put(agent, &ContainerPolicy { policy: 1, ..ContainerPolicy::default() })?;
    container.exec("/bin/act hello")?;
    let receiver = UdpSocket::bind(("127.0.0.1", PORT))?;
    receiver.set_read_timeout(Some(Duration::from_millis(100)))?;
    let listener = std::net::TcpListener::bind(("127.0.0.1", PORT))?;
    listener.set_nonblocking(true)?;
    agent.records()?;
    for (name, try_, untouched, rule) in DENIED {
        let outcome = container.run(try_)?;
        let records = agent.records()?;
        let told = records.iter().any(|r| r.verdict == "denied" && r.policy == 1 && r.rule == *rule && r.cgroup == container.id && r.result == -1);
        report.check(&format!("refused without effect: {name}"), outcome.refused() && untouched(&container) && told, &(outcome, told, &records));
    }
    report.check("no datagram left", receiver.recv(&mut [0; 8]).is_err(), &"one came");
    report.check("no connection was begun", listener.accept().is_err(), &"one came");
    for (name, try_) in PERMITTED {
        let outcome = container.run(try_)?;
        report.check(&format!("permitted: {name}"), outcome.went(), &outcome);
    }
    names(agent, report, &container)?;
    io_uring(agent, report)?;
    escape(agent, report, &container)?;
    change(agent, report, &container)
}

/// A record names what was called, and with what.
fn names(agent: &mut Agent, report: &mut Report, container: &Container) -> Result<()> {
    let tell = |agent: &mut Agent, try_: &str, which: &dyn Fn(&Told) -> bool| -> Result<bool> {
        agent.records()?;
        container.run(try_)?;
        Ok(agent.records()?.iter().any(which))
    };
    let unlink = tell(agent, "unlink /etc/passwd", &|r| r.call == "unlink" && r.texts[0] == "/etc/passwd" && r.reason == "file")?;
    report.check("a denial tells call, file and reason", unlink, &"another record");
    let send = tell(agent, "udp 127.0.0.1 7777", &|r| r.call == "sendto" && r.remote == PORT && r.reason == "address")?;
    report.check("a denial tells the address", send, &"another record");
    let compat = tell(agent, "mkdir32 /etc/new32", &|r| r.call == "mkdir" && r.flags & flag::COMPAT != 0)?;
    report.check("a 32-bit call is seen as one", compat, &"another record");
    let passed = tell(agent, "mkdir /tmp/seen", &|r| r.call == "mkdir" && r.verdict == "passed" && r.texts[0] == "/tmp/seen" && r.result == 0)?;
    report.check("what is permitted is told too", passed, &"no record");
    let alarm = tell(agent, "jit", &|r| r.call == "mprotect" && r.verdict == "alarmed" && r.reason == "operation")?;
    report.check("memory made executable is told, not refused", alarm, &"no record");
    Ok(())
}

fn io_uring(agent: &mut Agent, report: &mut Report) -> Result<()> {
    let container = Container::new("ring")?;
    container.put(agent, &ContainerPolicy::default())?;
    agent.records()?;
    let outcome = container.run("ring async /etc/passwd")?;
    let records = agent.records()?;
    let opened = records.iter().any(|r| r.call == "open" && r.flags & flag::IO_URING != 0 && r.texts[0] == "/etc/passwd" && r.cgroup == container.id);
    report.check("io_uring: an open is seen", outcome.went() && opened, &(outcome, &records));
    report.check("io_uring: a ring is seen when it is made", records.iter().any(|r| r.call == "io_uring_setup"), &records);
    Ok(())
}

/// Nothing a process does to itself takes it out of its container.
fn escape(agent: &mut Agent, report: &mut Report, container: &Container) -> Result<()> {
    for (name, try_) in [
        ("a mount namespace", "apart 0x20000 unlink /etc/passwd"),
        ("a pid namespace", "apart 0x20000000 unlink /etc/passwd"),
        ("mount and pid namespaces", "apart 0x20020000 unlink /etc/passwd"),
    ] {
        let outcome = container.run(try_)?;
        report.check(&format!("no escape: {name}"), outcome.refused() && container.at("/etc/passwd").exists(), &outcome);
    }
    let user = container.run("userns")?;
    let (told, missing) = (agent.records()?.iter().any(|r| r.call == "unshare" && r.verdict == "denied"), agent.missing.contains("userns"));
    report.check("no escape: a user namespace is refused", missing || user.refused() && told, &(user, told));
    let sub = container.cgroup.join("sub");
    std::fs::create_dir(&sub)?;
    let below = node(&format!("enter {} {} exec /bin/act unlink /etc/passwd", sub.display(), container.root.display()))?;
    report.check("no escape: a cgroup below its own", below.refused(), &below);
    std::fs::create_dir_all("/sys/fs/cgroup/nobody")?;
    let left = container.run("mounted cgroup2 /mnt join /mnt/nobody unlink /etc/passwd")?;
    report.check("no escape: out of its cgroup", left.refused(), &left);
    let other = Container::new("mounts")?;
    agent.tell(&Ask::Policy(3, Policy { block: vec![Operation::Mount], ..Policy::default() }))?;
    other.put(agent, &ContainerPolicy { policy: 3, ..ContainerPolicy::default() })?;
    let mount = other.run("mount /mnt")?;
    report.check("no escape: a mount is refused once the container runs", mount.refused(), &mount);
    Ok(())
}

/// Another policy in the place of one.
fn change(agent: &mut Agent, report: &mut Report, container: &Container) -> Result<()> {
    let less = Policy { files: policy().files.into_iter().filter(|r| r.id == 3).collect(), ..Policy::default() };
    agent.tell(&Ask::Policy(1, less))?;
    let (open, exec) = (container.run("open /etc/passwd")?, container.exec("/bin/forbidden hello")?);
    report.check("a changed policy: what went from it is permitted, what stayed is refused", open.went() && exec.refused(), &(open, exec));
    agent.tell(&Ask::RemoveContainer(container.id))?;
    let exec = container.exec("/bin/forbidden hello")?;
    report.check("a container without its policy is free", exec.went(), &exec);
    Ok(())
}
