//! Every field of [`SyscallField`] over a [`NodeEvent`], with Falco's meanings.
//!
//! What differs from Falco, and why:
//!
//! - `fd.name`, `fd.directory` and `fd.filename` of a file have two values where the path as given leads elsewhere
//!   (symbolic links): a comparison holds if it holds for one of them, so that a link is no way around a rule.
//! - A call that was held up, or would be, counts as if it had succeeded (`fd.num`, `evt.rawres`, `evt.res`,
//!   `evt.failed`): rules ask for success, and what was prevented must not be silent. `jinwu.verdict` and
//!   `jinwu.result` say what was.
//! - An output prints no values of the environment, no data that was sent, and no passwords of command lines (see
//!   [`mask`]); conditions see them.
//! - `fd.*.name` asks for a name of an address. The only one known is the API server's, from the environment that
//!   Kubernetes gives to containers; every other is absent.

mod container;
mod evt;
mod fd;
mod own;
mod path;
mod process;
mod user;

use crate::event::NodeEvent;
use crate::mask;
use jinwu_detect::field::{Argument, CommonField, FieldId, Source, SyscallField};
use jinwu_detect::{Event, FieldValue};
use std::borrow::Cow;

/// What Falco answers for a name it does not know: a text, so that `!=` holds.
const UNKNOWN: &str = "<NA>";

impl Event for NodeEvent {
    fn source(&self) -> Source {
        Source::Syscall
    }

    fn kind(&self) -> Option<&str> {
        Some(self.call.name())
    }

    fn time(&self) -> Option<i64> {
        Some(self.time)
    }

    fn field(&self, field: FieldId, argument: &Argument) -> FieldValue<'_> {
        match field {
            FieldId::Common(CommonField::Number) => number(self.number.max(1)),
            FieldId::Common(CommonField::Host) => FieldValue::text(Some(&*self.host)),
            FieldId::Common(field) => jinwu_detect::event::common(self, field),
            FieldId::Syscall(field) => self.syscall(field, argument).unwrap_or(FieldValue::Absent),
            FieldId::Audit(_) => FieldValue::Absent,
        }
    }

    fn shown(&self, field: FieldId, argument: &Argument) -> FieldValue<'_> {
        use SyscallField as F;
        let FieldId::Syscall(inner) = field else { return self.field(field, argument) };
        match (inner, argument) {
            (F::ProcEnv, Argument::Key(name)) => FieldValue::text(self.process.variable(name).map(|v| mask::value(name, v))),
            (F::ProcEnv, _) => owned(self.process.env.iter().map(|e| mask::variable(e)).collect::<Vec<_>>().join(" ")),
            // The environment of others, and what was sent, say nothing a message needs.
            (F::ProcAenv | F::EvtBuffer, _) => hidden(self.field(field, argument)),
            (F::EvtArg, Argument::Key(name)) if matches!(&**name, "env" | "data") => hidden(self.field(field, argument)),
            (F::ProcCmdline | F::ProcExeline | F::ProcArgs | F::ProcPcmdline | F::ProcAcmdline | F::EvtArg, _) => masked(self.field(field, argument)),
            (F::EvtArgs | F::EvtInfo, _) => masked(owned(self.arguments(true))),
            _ => self.field(field, argument),
        }
    }
}

/// A text, or alternatives, without what looks like a secret.
fn masked(value: FieldValue<'_>) -> FieldValue<'_> {
    match value {
        FieldValue::Text(text) => FieldValue::Text(Cow::Owned(mask::line(&text).into_owned())),
        FieldValue::Any(all) => FieldValue::Any(all.iter().map(|t| Cow::Owned(mask::line(t).into_owned())).collect()),
        other => other,
    }
}

fn hidden(value: FieldValue<'_>) -> FieldValue<'_> {
    if value == FieldValue::Absent { value } else { FieldValue::text(Some(mask::REMOVED)) }
}

impl NodeEvent {
    /// `None` if no theme knows the field.
    fn syscall(&self, field: SyscallField, argument: &Argument) -> Option<FieldValue<'_>> {
        self.fd_field(field)
            .or_else(|| self.process_field(field, argument))
            .or_else(|| self.evt_field(field, argument))
            .or_else(|| self.own_field(field))
            .or_else(|| self.container_field(field, argument))
            .or_else(|| self.path_field(field))
            .or_else(|| self.user_field(field))
    }

    /// What the call answers, as rules see it: a call that was or would be held up counts as done.
    pub(crate) fn answer(&self) -> i64 {
        use crate::call::Call;
        use crate::record::Verdict;
        match self.verdict {
            Verdict::Passed => self.result,
            _ if self.result >= 0 => self.result,
            _ if matches!(self.call, Call::Dup2 | Call::Dup3) => self.args[1] as i64,
            _ => 0,
        }
    }
}

fn number(value: impl TryInto<i64>) -> FieldValue<'static> {
    FieldValue::Number(value.try_into().unwrap_or(i64::MAX))
}

fn owned<'a>(text: String) -> FieldValue<'a> {
    FieldValue::Text(Cow::Owned(text))
}

fn flag(value: Option<bool>) -> FieldValue<'static> {
    value.map_or(FieldValue::Absent, FieldValue::Flag)
}

/// A text that is there only if it is not empty.
fn filled(text: &str) -> FieldValue<'_> {
    FieldValue::text((!text.is_empty()).then_some(text))
}

fn key(argument: &Argument) -> &str {
    if let Argument::Key(key) = argument { key } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jinwu_detect::field::syscall::names;

    #[test]
    fn every_field_is_answered() {
        let who = crate::Who { process: Default::default(), ancestors: [].into(), container: Default::default() };
        let event = NodeEvent::bare(crate::Call::Openat, who, 0, "n".into());
        for (name, _) in names() {
            let argument = ["NAME", "0"].iter().find_map(|a| jinwu_detect::field::resolve(Source::Syscall, name, Some(a)).ok());
            let (definition, argument) = argument.or_else(|| jinwu_detect::field::resolve(Source::Syscall, name, None).ok()).expect(name);
            let FieldId::Syscall(field) = definition.id else { continue };
            assert!(event.syscall(field, &argument).is_some(), "{name}");
        }
    }
}
