//! Values of fields, asked for by outputs.

use crate::build::event;
use jinwu_detect::{RuleFile, RuleSet};
use serde_json::{Value, json};

/// What a field prints.
fn printed(value: &Value, field: &str) -> String {
    let text = format!("- rule: r\n  desc: d\n  condition: evt.type != none\n  output: \"%{field}\"\n  priority: INFO\n  warn_evttypes: false\n");
    let (set, _) = RuleSet::load(&[RuleFile { name: "t.yaml", text: &text }]).unwrap_or_else(|p| panic!("{p}"));
    let event = event(value);
    let mut out = None;
    set.evaluate(&event, |m| out = Some(m.output(&event)));
    out.unwrap()
}

fn expect(value: &Value, fields: &[(&str, &str)]) {
    for (field, expected) in fields {
        assert_eq!(printed(value, field), *expected, "{field}");
    }
}

#[test]
fn of_an_open_file() {
    let opened = json!({"call": "openat", "path": "up/a.txt", "args": {"dirfd": -100, "flags": "O_RDWR|O_CREAT|O_TRUNC", "mode": "0o755"}, "result": 7, "created": true,
        "file": {"path": "/srv/up/a.txt", "layer": "upper"}, "proc": {"cwd": "/srv"}});
    expect(&opened, &[
        ("fd.num", "7"), ("fd.name", "/srv/up/a.txt"), ("fd.nameraw", "up/a.txt"), ("fd.directory", "/srv/up"), ("fd.filename", "a.txt"), ("fd.type", "file"), ("fd.typechar", "f"),
        ("evt.arg.flags", "O_RDWR|O_CREAT|O_TRUNC|O_F_CREATED|FD_UPPER_LAYER"), ("evt.arg.name", "/srv/up/a.txt"), ("evt.arg.dirfd", "-100"),
        ("evt.arg.mode", "S_IXOTH|S_IROTH|S_IXGRP|S_IRGRP|S_IXUSR|S_IWUSR|S_IRUSR"), ("evt.is_open_read", "true"), ("evt.is_open_write", "true"), ("evt.is_open_exec", "true"),
        ("evt.is_open_create", "true"), ("evt.res", "SUCCESS"), ("evt.rawres", "7"), ("evt.failed", "false"), ("evt.rawarg.flags", "578"), ("fd.is_upper_layer", "true"), ("fd.sip", "<NA>"),
        ("proc.cwd", "/srv/"), ("evt.arg.fd", "<f>/srv/up/a.txt"), ("jinwu.file.layer", "upper"), ("jinwu.file.type", "regular"),
    ]);
    let failed = json!({"call": "open", "path": "/etc/../etc/../etc/none", "args": {"flags": "O_RDONLY"}, "result": -2});
    expect(&failed, &[("fd.num", "-1"), ("fd.name", "/etc/none"), ("fd.typechar", "f"), ("evt.res", "ENOENT"), ("evt.rawres", "-2"), ("evt.failed", "true"), ("fd.nameraw", "/etc/../etc/../etc/none")]);
    let directory = json!({"call": "openat", "path": "/etc", "args": {"flags": "O_RDONLY|O_DIRECTORY"}, "file": {"path": "/etc", "type": "directory"}});
    expect(&directory, &[("fd.typechar", "d"), ("fd.type", "directory"), ("fd.directory", "/")]);
    let link = json!({"call": "openat", "path": "/tmp/l", "args": {"flags": "O_RDONLY"}, "file": {"path": "/etc/shadow"}});
    expect(&link, &[("fd.name", "(/tmp/l,/etc/shadow)"), ("fd.filename", "(l,shadow)")]);
    let denied = json!({"call": "openat", "path": "/bin/x", "args": {"flags": "O_WRONLY"}, "result": -1, "verdict": "denied"});
    expect(&denied, &[("fd.num", "0"), ("evt.res", "SUCCESS"), ("jinwu.verdict", "denied"), ("jinwu.result", "EPERM")]);
}

#[test]
fn of_a_started_program() {
    let started = json!({"call": "execve", "path": "/bin/sh", "proc": {"name": "sh", "exe": "/bin/sh", "args": ["-c", "id"], "env": ["A=1", "HOME=/root"], "tty": 34816, "caps": ["CAP_SETUID", "CAP_SYS_ADMIN"],
        "layer": "upper", "pid": 50, "session": 40, "vpid": 9, "login": 1000, "age": 3}, "parents": [{"name": "bash", "pid": 40, "args": ["-l"]}, {"name": "sshd", "pid": 30}]});
    expect(&started, &[
        ("proc.name", "sh"), ("proc.exe", "/bin/sh"), ("proc.cmdline", "sh -c id"), ("proc.exeline", "/bin/sh -c id"), ("proc.args", "-c id"), ("proc.args[1]", "id"), ("proc.args[9]", "<NA>"), ("proc.cmdnargs", "2"),
        ("proc.env", "A=<removed> HOME=/root"), ("proc.env[A]", "<removed>"), ("proc.aenv[0]", "<removed>"), ("proc.env[HOME]", "/root"), ("proc.env[NONE]", "<NA>"), ("proc.pname", "bash"), ("proc.pcmdline", "bash -l"), ("proc.aname[0]", "sh"), ("proc.aname[2]", "sshd"),
        ("proc.aname[3]", "<NA>"), ("proc.aname", "(bash,sshd)"), ("proc.apid[1]", "40"), ("proc.sname", "bash"), ("proc.loginshellid", "40"), ("proc.tty", "34816"), ("proc.duration", "3000000000"),
        ("proc.vpid", "9"), ("proc.is_exe_upper_layer", "true"), ("evt.arg.flags", "EXE_UPPER_LAYER"), ("thread.cap_effective", "CAP_SETUID CAP_SYS_ADMIN"), ("user.name", "root"), ("user.loginuid", "1000"),
        ("user.loginname", "<NA>"), ("evt.arg.filename", "/bin/sh"), ("evt.arg.exe", "/bin/sh"), ("fd.num", "<NA>"), ("container.id", "0123456789ab"), ("container.image.repository", "registry.example/shop/web"),
        ("container.image.tag", "1"), ("k8s.ns.name", "shop"), ("container.mount.dest[/etc]", "N/A"),
    ]);
    expect(&json!({"call": "execveat", "args": {"flags": 4096}, "proc": {"layer": "memfd"}}), &[("evt.arg.flags", "EXE_FROM_MEMFD"), ("evt.rawarg.flags", "4096")]);
    expect(&json!({"call": "openat", "path": "/run/pipe", "args": {"flags": "O_RDONLY"}, "file": {"path": "/run/pipe", "type": "fifo"}}), &[("fd.typechar", "f"), ("jinwu.file.type", "fifo")]);
    expect(&json!({"call": "execve", "container": null, "parents": []}), &[("container.id", "host"), ("proc.pname", "<NA>"), ("proc.aname", "<NA>"), ("user.loginuid", "-1"), ("proc.args", ""), ("container.name", "host")]);
    let mounts = json!({"call": "execve", "container": {"mounts": ["/proc/sys", "/srv"]}});
    expect(&mounts, &[("container.mount.dest[/proc*]", "/mnt/proc/sys"), ("container.mount.source[1]", "/srv"), ("container.mounts", "/proc/sys:/mnt/proc/sys:rw:true,/srv:/mnt/srv:rw:true")]);
}

#[test]
fn of_sockets() {
    let out = json!({"call": "connect", "args": {"fd": 5}, "socket": {"from": "10.0.0.5:40000", "to": "203.0.113.9:443"}, "result": -115});
    expect(&out, &[
        ("fd.name", "10.0.0.5:40000->203.0.113.9:443"), ("fd.type", "ipv4"), ("fd.typechar", "4"), ("fd.l4proto", "tcp"), ("fd.sip", "203.0.113.9"), ("fd.cip", "10.0.0.5"), ("fd.sport", "443"), ("fd.lport", "40000"),
        ("fd.rport", "443"), ("fd.sockfamily", "ip"), ("fd.num", "5"), ("evt.res", "EINPROGRESS"), ("fd.sip.name", "<NA>"), ("fd.is_server", "false"), ("fd.sproto", "https"), ("fd.directory", "<NA>"), ("jinwu.remote", "203.0.113.9:443"),
    ]);
    let inward = json!({"call": "accept4", "result": 9, "socket": {"from": "[2001:db8::5]:80", "to": "[2001:db8::9]:41000"}});
    expect(&inward, &[("fd.name", "2001:db8::9:41000->2001:db8::5:80"), ("fd.typechar", "6"), ("fd.sip", "2001:db8::5"), ("fd.cip", "2001:db8::9"), ("fd.rip", "2001:db8::9"), ("fd.num", "9")]);
    let unconnected = json!({"call": "sendto", "args": {"fd": 4, "addr": 1}, "socket": {"from": "0.0.0.0:5000", "to": "203.0.113.9:53", "kind": "udp"}});
    expect(&unconnected, &[("fd.connected", "false"), ("fd.name_changed", "true"), ("fd.l4proto", "udp"), ("fd.ip", "203.0.113.9")]);
    let connected = json!({"call": "sendto", "args": {"fd": 4, "addr": 0}, "socket": {"from": "10.0.0.5:5000", "to": "203.0.113.9:53", "kind": "udp"}});
    expect(&connected, &[("fd.connected", "true"), ("fd.name_changed", "false")]);
    let unix = json!({"call": "connect", "socket": {"unix": "/run/a.sock"}});
    expect(&unix, &[("fd.name", "/run/a.sock"), ("fd.typechar", "u"), ("fd.sip", "<NA>"), ("fd.l4proto", "<NA>"), ("fd.sockfamily", "unix")]);
    let api = json!({"call": "connect", "socket": {"from": "10.0.0.5:4000", "to": "10.96.0.1:443"}, "proc": {"env": ["KUBERNETES_SERVICE_HOST=10.96.0.1"]}});
    expect(&api, &[("fd.sip.name", "kubernetes.default.svc.cluster.local"), ("fd.cip.name", "<NA>")]);
}

#[test]
fn of_paths() {
    expect(&json!({"call": "unlinkat", "path": "a", "proc": {"cwd": "/x"}}), &[("fs.path.name", "/x/a"), ("fs.path.nameraw", "a"), ("fs.path.source", "<NA>"), ("evt.abspath", "/x/a")]);
    expect(&json!({"call": "symlinkat", "texts": ["../etc", "l"], "proc": {"cwd": "/x"}}), &[("fs.path.source", "../etc"), ("fs.path.target", "/x/l"), ("fs.path.targetraw", "l"), ("fs.path.name", "<NA>")]);
    expect(&json!({"call": "connect", "socket": {"unix": "/a"}}), &[("fs.path.name", "<NA>"), ("evt.abspath", "<NA>"), ("syscall.type", "connect")]);
    expect(&json!({"call": "execve", "proc": {"age": 5, "pid": 9}, "parents": [{"name": "sh", "age": 7, "vpid": 3}]}), &[("proc.ppid.duration", "7000000000"), ("proc.pvpid", "3"), ("proc.is_pgid_leader", "true"), ("proc.pgid.name", "app"), ("proc.is_exe_lower_layer", "true")]);
}

#[test]
fn of_other_calls() {
    expect(&json!({"call": "renameat2", "texts": ["a", "/b/../c"], "proc": {"cwd": "/x"}}), &[("evt.arg.oldpath", "/x/a"), ("evt.arg.newpath", "/c"), ("fd.name", "<NA>")]);
    expect(&json!({"call": "symlink", "texts": ["../etc", "/tmp/l"]}), &[("evt.arg.target", "../etc"), ("evt.arg.linkpath", "/tmp/l")]);
    expect(&json!({"call": "socket", "args": {"domain": "AF_PACKET", "type": "SOCK_RAW"}, "result": 3}), &[("evt.arg.domain", "AF_PACKET"), ("evt.arg.type", "SOCK_RAW"), ("fd.num", "3")]);
    expect(&json!({"call": "ptrace", "args": {"request": "PTRACE_ATTACH", "pid": 9}, "target": "nginx"}), &[("evt.arg.request", "PTRACE_ATTACH"), ("jinwu.target.pid", "9"), ("jinwu.target.name", "nginx")]);
    expect(&json!({"call": "setuid", "args": {"uid": 0}}), &[("evt.arg.uid", "root"), ("evt.args", "res=0 uid=root")]);
    expect(&json!({"call": "unshare", "args": {"flags": "CLONE_NEWNS|CLONE_NEWUSER"}}), &[("evt.arg.flags", "CLONE_NEWNS|CLONE_NEWUSER")]);
    expect(&json!({"call": "mount", "texts": ["/dev/sda1", "/mnt", "ext4"]}), &[("evt.arg.dev", "/dev/sda1"), ("evt.arg.dir", "/mnt"), ("evt.arg.type", "ext4")]);
    expect(&json!({"call": "mknodat", "path": "/tmp/f", "args": {"mode": "S_IFIFO|0o600"}}), &[("evt.arg.mode", "S_IFIFO|S_IWUSR|S_IRUSR")]);
    expect(&json!({"call": "dns", "dns": "Www.Example.com TXT"}), &[("jinwu.dns.name", "www.example.com"), ("jinwu.dns.type", "TXT"), ("evt.buffer", "<NA>")]);
    expect(&json!({"call": "kill", "args": {"pid": -1, "sig": "SIGKILL"}}), &[("evt.arg.sig", "SIGKILL"), ("evt.arg.pid", "-1"), ("evt.category", "signal")]);
    expect(&json!({"call": "fchmodat", "path": "f", "args": {"mode": "0o4755"}, "proc": {"cwd": "/opt"}}), &[("evt.arg.filename", "/opt/f"), ("evt.arg.mode", "S_IXOTH|S_IROTH|S_IXGRP|S_IRGRP|S_IXUSR|S_IWUSR|S_IRUSR|S_ISUID")]);
    expect(&json!({"call": "dup2", "args": {"oldfd": 5, "newfd": 1}, "result": 1, "socket": {"from": "10.0.0.5:1", "to": "10.0.0.6:2"}}), &[("fd.type", "ipv4"), ("evt.rawres", "1")]);
}

/// Conditions see what outputs do not print.
#[test]
fn secrets_stay_out_of_messages() {
    let value = json!({"call": "execve", "path": "/bin/app", "proc": {"name": "app", "args": ["--password", "hunter2"], "env": ["DB=hunter2"]}});
    for field in ["proc.cmdline", "proc.args", "proc.exeline", "proc.env", "evt.args", "evt.info", "evt.arg.args", "evt.arg.env"] {
        let text = printed(&value, field);
        assert!(text.contains("<removed>") && !text.contains("hunter2"), "{field}: {text}");
    }
    let rule = "- rule: r\n  desc: d\n  condition: evt.type=execve and proc.cmdline contains hunter2 and proc.env[DB]=hunter2\n  output: o\n  priority: INFO\n";
    let (set, _) = RuleSet::load(&[RuleFile { name: "t.yaml", text: rule }]).unwrap();
    assert_eq!(crate::held(&set, &event(&value)), ["r"]);
    let sent = json!({"call": "sendto", "data": "68756e74", "socket": {"from": "10.0.0.5:1", "to": "10.0.0.6:2"}});
    assert_eq!((printed(&sent, "evt.buffer"), printed(&sent, "evt.arg.data")), ("<removed>".into(), "<removed>".into()));
}

/// Who entered from outside, and who belongs.
#[test]
fn of_entry() {
    let entered = |value: Value| printed(&value, "jinwu.proc.entered");
    assert_eq!(entered(json!({"call": "execve", "proc": {"vpid": 30}, "parents": ["containerd-shim"]})), "true");
    assert_eq!(entered(json!({"call": "execve", "proc": {"vpid": 31}, "parents": [{"name": "sh", "vpid": 30}, "containerd-shim"]})), "true");
    assert_eq!(entered(json!({"call": "execve", "proc": {"vpid": 30}, "parents": [{"name": "app", "vpid": 1}, "containerd-shim"]})), "false");
    assert_eq!(entered(json!({"call": "execve", "proc": {"vpid": 1}, "parents": ["containerd-shim"]})), "false");
    assert_eq!(entered(json!({"call": "execve", "proc": {"vpid": 30}, "parents": []})), "false");
    assert_eq!(entered(json!({"call": "execve", "container": null})), "false");
    assert_eq!(entered(json!({"call": "execve", "proc": {"vpid": 30}, "parents": ["containerd-shim"], "container": {"host_pid": true}})), "false");
}
