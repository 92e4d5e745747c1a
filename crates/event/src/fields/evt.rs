//! `evt.*`.

use super::{flag, key, number, owned};
use crate::call::{Call, Class, Input, Parameter};
use crate::event::NodeEvent;
use crate::names;
use crate::process::Layer;
use jinwu_detect::FieldValue;
use jinwu_detect::field::{Argument, SyscallField};
use std::borrow::Cow;
use std::fmt::Write as _;

/// Arguments of a started program that are no parameters of the call.
const PROGRAM: &[&str] = &[
    "exe", "args", "tid", "pid", "ptid", "cwd", "comm", "env", "tty", "vpgid", "loginuid", "flags", "cap_inheritable", "cap_permitted", "cap_effective", "exe_ino",
    "uid", "trusted_exepath", "pgid", "gid",
];

impl NodeEvent {
    pub(super) fn evt_field(&self, field: SyscallField, argument: &Argument) -> Option<FieldValue<'_>> {
        use SyscallField as F;
        Some(match field {
            F::EvtType | F::SyscallType => FieldValue::text(Some(self.call.name())),
            F::EvtCategory => FieldValue::text(Some(category(self.call))),
            F::EvtCount => number(self.count),
            F::EvtCpu => FieldValue::Absent,
            F::EvtArg => self.arg(key(argument)),
            F::EvtRawarg => match key(argument) {
                "res" | "fd" if self.argument(key(argument)).is_none() => number(self.answer()),
                name => self.argument(name).map_or(FieldValue::Absent, |a| number(a as i64)),
            },
            F::EvtArgs | F::EvtInfo => owned(self.arguments(false)),
            F::EvtBuffer => {
                if self.data.is_empty() || self.call == Call::Dns { FieldValue::Absent } else { FieldValue::Bytes(Cow::Borrowed(&self.data)) }
            }
            F::EvtRawres => number(self.answer()),
            F::EvtRes => result(self.answer()),
            F::EvtFailed => FieldValue::Flag(self.answer() < 0),
            F::EvtIsIo => FieldValue::Flag(matches!(self.call, Call::Sendto | Call::Sendmsg | Call::Sendmmsg | Call::Recvfrom | Call::Recvmsg)),
            F::EvtIsOpenRead => FieldValue::Flag(self.open_flags().is_some_and(|f| f & names::O_ACCMODE != names::O_WRONLY)),
            F::EvtIsOpenWrite => FieldValue::Flag(self.open_flags().is_some_and(|f| f & names::O_ACCMODE != 0)),
            F::EvtIsOpenExec => FieldValue::Flag(self.open_mode() & names::S_IXUGO != 0),
            F::EvtIsOpenCreate => flag(self.open_flags().map(|_| self.created)),
            _ => return None,
        })
    }

    /// `O_*` of a call that opens a file.
    pub(super) fn open_flags(&self) -> Option<u64> {
        match self.call {
            Call::Open | Call::Openat | Call::OpenByHandleAt => self.argument("flags"),
            Call::Openat2 => Some(self.args[2]),
            Call::Creat => Some(names::O_WRONLY | names::O_CREAT | names::O_TRUNC),
            _ => None,
        }
    }

    /// Permissions a file is made with; 0 where none is made.
    fn open_mode(&self) -> u64 {
        let makes = self.open_flags().is_some_and(|f| f & (names::O_CREAT | names::O_TMPFILE) != 0);
        match self.call {
            Call::Openat2 if makes => self.args[3],
            _ if makes => self.argument("mode").unwrap_or(0),
            _ => 0,
        }
    }

    fn starts(&self) -> bool {
        matches!(self.call, Call::Execve | Call::Execveat)
    }

    /// One argument as it prints.
    fn arg(&self, name: &str) -> FieldValue<'_> {
        // What Falco has by this name is about the program, not the call's own argument.
        if name == "flags" && self.starts() {
            return owned(program_flags(self));
        }
        if let Some(parameter) = self.call.parameter(name) {
            return self.parameter(parameter);
        }
        match name {
            "res" => match self.answer() {
                failed @ ..0 => result(failed),
                value => owned(value.to_string()),
            },
            "fd" => self.descriptor().map_or(FieldValue::Absent, |n| self.described(n)),
            "flags" | "mode" if self.open_flags().is_some() => match name {
                "mode" => owned(names::bits(names::MODE, self.open_mode())),
                _ => owned(self.flags()),
            },
            "dev" => self.file.as_ref().map_or(FieldValue::Absent, |f| owned(format!("{:x}", f.device))),
            "ino" => self.file.as_ref().map_or(FieldValue::Absent, |f| owned(f.inode.to_string())),
            "tuple" | "addr" if self.socket.is_some() => self.socket_name(),
            "data" if !self.data.is_empty() => owned(String::from_utf8_lossy(&self.data).into_owned()),
            _ if self.starts() => self.program_arg(name),
            _ => FieldValue::Absent,
        }
    }

    fn parameter(&self, parameter: &Parameter) -> FieldValue<'_> {
        let raw = self.args.get(usize::from(parameter.place)).copied().unwrap_or(0);
        match parameter.input {
            Input::Path | Input::PathAt(_) | Input::Text => {
                let Some(place) = self.call.text_of(parameter.place) else { return FieldValue::Absent };
                let given = self.texts.get(place).unwrap_or(&self.extra).as_deref();
                FieldValue::text(self.paths.get(place).and_then(Option::as_deref).or(given))
            }
            Input::Fd => self.described(i64::from(raw as i32)),
            Input::OpenFlags | Input::OpenHow => owned(self.flags()),
            Input::Mode if self.open_flags().is_some() => owned(names::bits(names::MODE, self.open_mode())),
            Input::Mode if matches!(self.call, Call::Mknod | Call::Mknodat) => owned(names::node(raw)),
            Input::Mode => owned(names::bits(names::MODE, raw)),
            Input::Domain => named(names::family(raw), raw),
            Input::SocketType => named(names::socket(raw), raw),
            Input::CloneFlags => owned(names::bits(names::CLONE, raw)),
            Input::MountFlags => owned(names::bits(names::MOUNT, raw)),
            Input::PtraceRequest => named(names::ptrace(raw), raw),
            Input::BpfCommand => named(names::bpf(raw), raw),
            Input::Signal => named(names::signal(raw), raw),
            Input::Id => self.id(raw as u32),
            Input::Address if self.socket.is_some() => self.socket_name(),
            Input::Buffer | Input::Message if !self.data.is_empty() => owned(String::from_utf8_lossy(&self.data).into_owned()),
            Input::Number if matches!(parameter.name, "pid" | "tid") || parameter.name.ends_with("fd") => owned((raw as i32).to_string()),
            Input::Number => owned((raw as i64).to_string()),
            Input::Address | Input::Buffer | Input::Message | Input::Bits => owned(format!("{raw:#x}")),
        }
    }

    /// Flags of an open call and of what it opened.
    fn flags(&self) -> String {
        let mut text = names::open(self.open_flags().unwrap_or(0));
        if self.created {
            text.push_str("|O_F_CREATED");
        }
        match self.file.as_ref().map(|f| f.layer) {
            Some(Layer::Upper) => text.push_str("|FD_UPPER_LAYER"),
            Some(Layer::Lower) => text.push_str("|FD_LOWER_LAYER"),
            _ => {}
        }
        text
    }

    /// A user or group id by its name, where it is the process's own or root's.
    fn id(&self, id: u32) -> FieldValue<'_> {
        match &self.process.user {
            Some(name) if id == self.process.uid => FieldValue::text(Some(&**name)),
            _ if id == 0 => FieldValue::text(Some("root")),
            _ => owned((id as i32).to_string()),
        }
    }

    fn program_arg(&self, name: &str) -> FieldValue<'_> {
        let process = &*self.process;
        match name {
            "exe" => FieldValue::text(Some(process.exe.as_str())),
            "args" => owned(process.args.join(" ")),
            "env" => owned(process.env.join(" ")),
            "comm" => FieldValue::text(Some(process.name.as_str())),
            "cwd" => FieldValue::text(Some(process.cwd.as_str())),
            "trusted_exepath" => FieldValue::text(process.program.path.as_deref()),
            "cap_effective" => owned(names::capabilities(process.effective)),
            "cap_permitted" => owned(names::capabilities(process.permitted)),
            "cap_inheritable" => owned(names::capabilities(process.inheritable)),
            "tid" => owned(self.tid.to_string()),
            "pid" => owned(process.pid.to_string()),
            "ptid" => owned(process.parent.to_string()),
            "pgid" => owned(process.group.to_string()),
            "vpgid" => owned(process.own_group.to_string()),
            "tty" => owned(process.terminal.to_string()),
            "uid" => self.id(process.uid),
            "gid" => owned(process.gid.to_string()),
            "loginuid" => owned(process.login.map_or(-1, i64::from).to_string()),
            "exe_ino" => owned(process.program.inode.to_string()),
            _ => FieldValue::Absent,
        }
    }

    /// `name=value`, with a blank between them; for a message without environment and data.
    pub(super) fn arguments(&self, message: bool) -> String {
        let first = if self.call.capture().returns_fd { "fd" } else { "res" };
        let program: &[&str] = if self.starts() { PROGRAM } else { &[] };
        let all = std::iter::once(first).chain(self.call.parameters().iter().map(|p| p.name)).chain(program.iter().copied().filter(|n| self.call.parameter(n).is_none()));
        let mut text = String::new();
        for name in all.filter(|n| !message || !matches!(*n, "env" | "data" | "message")) {
            if let FieldValue::Text(value) = self.arg(name) {
                // Writing to a String does not fail.
                let _ = write!(text, "{}{name}={value}", if text.is_empty() { "" } else { " " });
            }
        }
        text
    }
}

/// `SUCCESS`, or the name of an errno.
pub(super) fn result(value: i64) -> FieldValue<'static> {
    if value >= 0 {
        return FieldValue::text(Some("SUCCESS"));
    }
    let errno = value.saturating_neg();
    match names::errno(errno) {
        Some(name) => FieldValue::text(Some(name)),
        None => owned(format!("E{errno}")),
    }
}

fn named(name: Option<&'static str>, raw: u64) -> FieldValue<'static> {
    name.map_or_else(|| owned(raw.to_string()), |n| FieldValue::text(Some(n)))
}

fn program_flags(event: &NodeEvent) -> String {
    let process = &*event.process;
    let mut all = Vec::new();
    if process.program_writable {
        all.push("EXE_WRITABLE");
    }
    match process.program.layer {
        Layer::Upper => all.push("EXE_UPPER_LAYER"),
        Layer::Lower => all.push("EXE_LOWER_LAYER"),
        Layer::Memfd => all.push("EXE_FROM_MEMFD"),
        Layer::Unknown | Layer::Outside => {}
    }
    all.join("|")
}

fn category(call: Call) -> &'static str {
    match call.class() {
        Class::Process => "process",
        Class::File | Class::FileChange => "file",
        Class::Network => "net",
        Class::Credential => "user",
        Class::Namespace | Class::Kernel => "system",
        Class::Trace => "signal",
    }
}
