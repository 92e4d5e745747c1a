//! `proc.*` and `thread.*`.

use super::{filled, number, owned};
use crate::event::NodeEvent;
use crate::names;
use crate::process::{Layer, Process};
use jinwu_detect::FieldValue;
use jinwu_detect::field::{Argument, SyscallField};
use std::borrow::Cow;

/// By their names a login's shell is found.
const SHELLS: &[&str] = &["ash", "bash", "csh", "dash", "fish", "ksh", "sh", "tcsh", "zsh"];

impl NodeEvent {
    pub(super) fn process_field(&self, field: SyscallField, argument: &Argument) -> Option<FieldValue<'_>> {
        use SyscallField as F;
        let process = &*self.process;
        let parent = self.ancestor(1);
        Some(match field {
            F::ProcName => FieldValue::text(Some(process.name.as_str())),
            F::ProcExe => FieldValue::text(Some(process.exe.as_str())),
            F::ProcExepath => FieldValue::text(process.program.path.as_deref()),
            F::ProcCmdline => owned(process.command_line()),
            F::ProcExeline => owned(line(&process.exe, &process.args)),
            F::ProcArgs => match argument {
                Argument::Index(index) => FieldValue::text(process.args.get(*index as usize).map(String::as_str)),
                _ => joined(&process.args),
            },
            F::ProcCmdnargs => number(process.args.len()),
            F::ProcCmdlenargs => number(process.args.iter().map(String::len).sum::<usize>()),
            F::ProcCwd => directory(&process.cwd),
            F::ProcEnv => match argument {
                Argument::Key(key) => FieldValue::text(process.variable(key)),
                _ => joined(&process.env),
            },
            F::ProcPname => FieldValue::text(parent.map(|p| p.name.as_str())),
            F::ProcPexe => FieldValue::text(parent.map(|p| p.exe.as_str())),
            F::ProcPexepath => FieldValue::text(parent.and_then(|p| p.program.path.as_deref())),
            F::ProcPcmdline => parent.map_or(FieldValue::Absent, |p| owned(p.command_line())),
            F::ProcAname => self.ancestors_by(argument, |p| Some(Cow::Borrowed(p.name.as_str()))),
            F::ProcAexe => self.ancestors_by(argument, |p| Some(Cow::Borrowed(p.exe.as_str()))),
            F::ProcAexepath => self.ancestors_by(argument, |p| p.program.path.as_deref().map(Cow::Borrowed)),
            F::ProcAcmdline => self.ancestors_by(argument, |p| Some(Cow::Owned(p.command_line()))),
            F::ProcAenv => self.ancestors_by(argument, |p| Some(Cow::Owned(p.env.join(" ")))),
            F::ProcApid => match argument {
                Argument::Index(index) => self.ancestor(*index as usize).map_or(FieldValue::Absent, |p| number(p.pid)),
                _ => self.ancestors_by(argument, |p| Some(Cow::Owned(p.pid.to_string()))),
            },
            F::ProcPid => number(process.pid),
            F::ProcPpid => number(process.parent),
            F::ProcVpid => number(process.own_pid),
            F::ProcPgid => number(process.group),
            F::ProcVpgid => number(process.own_group),
            F::ProcVpgidName | F::ProcPgidName => FieldValue::text(self.found(process.group).map(|p| p.name.as_str())),
            F::ProcVpgidExe | F::ProcPgidExe => FieldValue::text(self.found(process.group).map(|p| p.exe.as_str())),
            F::ProcVpgidExepath | F::ProcPgidExepath => FieldValue::text(self.found(process.group).and_then(|p| p.program.path.as_deref())),
            F::ProcSid => number(process.session),
            F::ProcSname => FieldValue::text(self.found(process.session).map(|p| p.name.as_str())),
            F::ProcSexe | F::ProcSidExe => FieldValue::text(self.found(process.session).map(|p| p.exe.as_str())),
            F::ProcSexepath | F::ProcSidExepath => FieldValue::text(self.found(process.session).and_then(|p| p.program.path.as_deref())),
            F::ProcPvpid => parent.map_or(FieldValue::Absent, |p| number(p.own_pid)),
            F::ProcPidTs => number(process.started),
            F::ProcPpidTs => parent.map_or(FieldValue::Absent, |p| number(p.started)),
            F::ProcPpidDuration => parent.map_or(FieldValue::Absent, |p| number(self.time.saturating_sub(p.started))),
            F::ProcIsPgidLeader => FieldValue::Flag(process.pid == process.group),
            F::ProcIsSidLeader => FieldValue::Flag(process.own_pid == process.own_session),
            F::ProcIsVpgidLeader => FieldValue::Flag(process.own_pid == process.own_group),
            F::ProcLoginshellid => self.chain().filter(|p| SHELLS.contains(&p.name.as_str())).last().map_or(FieldValue::Absent, |p| number(p.pid)),
            F::ProcTty => number(process.terminal),
            F::ProcDuration => number(self.time.saturating_sub(process.started)),
            F::ProcExeIno => number(process.program.inode),
            F::ProcExeInoCtime => number(process.program_changed),
            F::ProcExeInoMtime => number(process.program_modified),
            F::ProcExeInoCtimeDurationProcStart => {
                let since = process.started.saturating_sub(process.program_changed);
                if process.program_changed > 0 && since >= 0 { number(since) } else { FieldValue::Absent }
            }
            F::ProcIsExeWritable => FieldValue::Flag(process.program_writable),
            F::ProcIsExeUpperLayer => FieldValue::Flag(process.program.layer == Layer::Upper),
            F::ProcIsExeLowerLayer => FieldValue::Flag(process.program.layer == Layer::Lower),
            F::ProcIsExeFromMemfd => FieldValue::Flag(process.program.layer == Layer::Memfd),
            // Nobody tells which process a probe is.
            F::ProcIsContainerHealthcheck | F::ProcIsContainerLivenessProbe | F::ProcIsContainerReadinessProbe => FieldValue::Flag(false),
            F::ThreadCapEffective => owned(names::capabilities(process.effective)),
            F::ThreadCapPermitted => owned(names::capabilities(process.permitted)),
            F::ThreadCapInheritable => owned(names::capabilities(process.inheritable)),
            F::ThreadTid => number(self.tid),
            F::ThreadVtid => if self.tid == process.pid { number(process.own_pid) } else { FieldValue::Absent },
            F::ThreadIsmain => FieldValue::Flag(self.tid == process.pid),
            F::ThreadCgroup | F::ThreadCgroups => FieldValue::Absent,
            _ => return None,
        })
    }

    /// 0 is the process itself, 1 its parent.
    pub(super) fn ancestor(&self, place: usize) -> Option<&Process> {
        if place == 0 { Some(&self.process) } else { self.ancestors.get(place - 1).map(|p| &**p) }
    }

    /// The process and its ancestors, nearest first.
    pub(super) fn chain(&self) -> impl Iterator<Item = &Process> {
        std::iter::once(&*self.process).chain(self.ancestors.iter().map(|p| &**p))
    }

    fn found(&self, pid: u32) -> Option<&Process> {
        self.chain().find(|p| p.pid == pid)
    }

    /// With a position that process, without one any ancestor from the parent on.
    fn ancestors_by<'a>(&'a self, argument: &Argument, value: impl Fn(&'a Process) -> Option<Cow<'a, str>>) -> FieldValue<'a> {
        match argument {
            Argument::Index(index) => FieldValue::text(self.ancestor(*index as usize).and_then(value)),
            _ if self.ancestors.is_empty() => FieldValue::Absent,
            _ => FieldValue::Any(self.ancestors.iter().filter_map(|p| value(p)).collect()),
        }
    }
}

/// Arguments after their program's name.
fn line(first: &str, args: &[String]) -> String {
    let mut text = String::with_capacity(first.len() + args.iter().map(|a| a.len() + 1).sum::<usize>());
    text.push_str(first);
    for arg in args {
        text.push(' ');
        text.push_str(arg);
    }
    text
}

/// Texts with a blank between them; there even if there are none.
fn joined(all: &[String]) -> FieldValue<'_> {
    match all {
        [] => FieldValue::Text(Cow::Borrowed("")),
        [one] => FieldValue::Text(Cow::Borrowed(one)),
        many => owned(many.join(" ")),
    }
}

/// A directory as Falco has it, with a slash at its end.
fn directory(path: &str) -> FieldValue<'_> {
    if path.is_empty() || path.ends_with('/') { filled(path) } else { owned(format!("{path}/")) }
}

// === impl Process ===

impl Process {
    /// The value of an environment variable.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.env.iter().find_map(|e| e.split_once('=').filter(|(n, _)| *n == name).map(|(_, v)| v))
    }
}
