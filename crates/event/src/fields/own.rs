//! `jinwu.*`: what Falco does not know.

use super::{evt, number};
use crate::call::Class;
use crate::dns;
use crate::event::NodeEvent;
use crate::names::{S_IFMT, S_ISGID, S_ISUID};
use crate::process::Layer;
use jinwu_detect::FieldValue;
use jinwu_detect::field::SyscallField;

impl NodeEvent {
    pub(super) fn own_field(&self, field: SyscallField) -> Option<FieldValue<'_>> {
        use SyscallField as F;
        let process = &*self.process;
        let file = self.file.as_ref();
        Some(match field {
            F::JinwuRemote => self.socket.as_ref().and_then(|s| s.remote).map_or(FieldValue::Absent, |r| super::owned(r.to_string())),
            F::JinwuVerdict => FieldValue::text(Some(self.verdict.name())),
            F::JinwuOrigin => FieldValue::text(Some(self.origin.name())),
            F::JinwuResult => evt::result(self.result),
            F::JinwuIoUring => FieldValue::Flag(self.io_uring),
            F::JinwuCompat => FieldValue::Flag(self.compat),
            F::JinwuFileCreated => FieldValue::Flag(self.created),
            F::JinwuFileLayer => FieldValue::text(file.map(|f| layer(f.layer))),
            F::JinwuFileType => FieldValue::text(file.and_then(|f| kind(f.mode))),
            F::JinwuFileWritten => file.map_or(FieldValue::Absent, |f| FieldValue::Flag(f.written)),
            F::JinwuProcLayer => FieldValue::text(Some(layer(process.program.layer))),
            F::JinwuProcWritten => FieldValue::Flag(process.program.written),
            F::JinwuProcSetuid => FieldValue::Flag(process.program.mode & (S_ISUID | S_ISGID) != 0),
            F::JinwuProcStdinSocket => FieldValue::Flag(process.stdin_socket),
            F::JinwuProcStdoutSocket => FieldValue::Flag(process.stdout_socket),
            F::JinwuProcParentUid => self.ancestor(1).map_or(FieldValue::Absent, |p| number(p.uid)),
            F::JinwuProcEntered => FieldValue::Flag(self.entered()),
            F::JinwuProcPidNamespace => namespace(process.pid_namespace),
            F::JinwuProcMountNamespace => namespace(process.mount_namespace),
            F::JinwuProcUserNamespace => namespace(process.user_namespace),
            F::JinwuTargetPid => match self.call.class() {
                Class::Trace => self.argument("pid").map_or(FieldValue::Absent, |p| number(i64::from(p as i32))),
                _ => FieldValue::Absent,
            },
            F::JinwuTargetName => FieldValue::text(self.target.as_ref().map(|t| t.name.as_str())),
            F::JinwuTargetExepath => FieldValue::text(self.target.as_ref().and_then(|t| t.program.path.as_deref())),
            F::JinwuDnsName => dns::question(self).map_or(FieldValue::Absent, |q| super::owned(q.name)),
            F::JinwuDnsType => dns::question(self).map_or(FieldValue::Absent, |q| FieldValue::text(Some(q.kind))),
            _ => return None,
        })
    }

    /// The process came into the container from outside: of those in its pid namespace the oldest ancestor is not the
    /// namespace's first process, and what started that one lies in another namespace.
    fn entered(&self) -> bool {
        let space = self.process.pid_namespace;
        if self.container.is_node() || self.container.host_pid == Some(true) || space == 0 {
            return false;
        }
        let mut oldest = &*self.process;
        for ancestor in self.ancestors.iter() {
            if ancestor.pid_namespace != space {
                return ancestor.pid_namespace != 0 && oldest.own_pid != 1;
            }
            oldest = ancestor;
        }
        false
    }
}

fn layer(layer: Layer) -> &'static str {
    match layer {
        Layer::Unknown => "unknown",
        Layer::Lower => "lower",
        Layer::Upper => "upper",
        Layer::Outside => "outside",
        Layer::Memfd => "memfd",
    }
}

fn kind(mode: u32) -> Option<&'static str> {
    Some(match mode & S_IFMT {
        0o100_000 => "regular",
        0o040_000 => "directory",
        0o120_000 => "link",
        0o020_000 => "character",
        0o060_000 => "block",
        0o010_000 => "fifo",
        0o140_000 => "socket",
        _ => return None,
    })
}

/// The number of a namespace; absent where nobody looked.
fn namespace(inode: u32) -> FieldValue<'static> {
    if inode == 0 { FieldValue::Absent } else { number(inode) }
}
