//! `user.*` and `group.*`.

use super::{UNKNOWN, number};
use crate::event::NodeEvent;
use jinwu_detect::FieldValue;
use jinwu_detect::field::SyscallField;

impl NodeEvent {
    pub(super) fn user_field(&self, field: SyscallField) -> Option<FieldValue<'_>> {
        use SyscallField as F;
        let process = &*self.process;
        Some(match field {
            F::UserUid => number(process.uid),
            F::UserName => named(process.user.as_deref(), process.uid),
            F::UserLoginuid => process.login.map_or(FieldValue::Number(-1), number),
            F::UserLoginname => named(process.login_name.as_deref(), process.login.unwrap_or(u32::MAX)),
            F::GroupGid => number(process.gid),
            F::GroupName => named(process.group_name.as_deref(), process.gid),
            F::UserHomedir | F::UserShell => FieldValue::Absent,
            _ => return None,
        })
    }
}

fn named(name: Option<&str>, id: u32) -> FieldValue<'_> {
    FieldValue::text(Some(name.unwrap_or(if id == 0 { "root" } else { UNKNOWN })))
}
