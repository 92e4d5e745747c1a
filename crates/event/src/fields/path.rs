//! `fs.path.*` and `evt.abspath`: the paths of a call, whatever it calls them.

use crate::call::Call;
use crate::event::NodeEvent;
use jinwu_detect::FieldValue;
use jinwu_detect::field::SyscallField;

/// What a call's first two texts are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// One path.
    One,
    /// The first is made to be, or pointed at by, the second.
    Two,
    None,
}

impl NodeEvent {
    pub(super) fn path_field(&self, field: SyscallField) -> Option<FieldValue<'_>> {
        use SyscallField as F;
        let shape = shape(self.call);
        let raw = |wanted: Shape, index: usize| FieldValue::text(if shape == wanted { self.texts.get(index).and_then(Option::as_deref) } else { None });
        let whole = |wanted: Shape, index: usize| match self.paths.get(index).and_then(Option::as_deref) {
            Some(path) if shape == wanted => FieldValue::text(Some(path)),
            _ => raw(wanted, index),
        };
        Some(match field {
            F::FsPathName => whole(Shape::One, 0),
            F::FsPathNameraw => raw(Shape::One, 0),
            F::FsPathSource => whole(Shape::Two, 0),
            F::FsPathSourceraw => raw(Shape::Two, 0),
            F::FsPathTarget => whole(Shape::Two, 1),
            F::FsPathTargetraw => raw(Shape::Two, 1),
            F::EvtAbspath => FieldValue::text(self.paths[0].as_deref().or(self.paths[1].as_deref())),
            _ => return None,
        })
    }
}

fn shape(call: Call) -> Shape {
    use Call::*;
    match call {
        Rename | Renameat | Renameat2 | Link | Linkat | Symlink | Symlinkat | Mount | MoveMount | PivotRoot => Shape::Two,
        _ if call.parameters().iter().any(|p| matches!(p.input, crate::call::Input::Path | crate::call::Input::PathAt(_))) => Shape::One,
        _ => Shape::None,
    }
}
