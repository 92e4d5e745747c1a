//! The C header of the kernel's programs.

use crate::call::Call;
use crate::record::{Head, Origin, Program, Reason, TEXTS, Verdict, flag};
use std::fmt::Write as _;

/// Structures, numbers of calls, flags, origins, verdicts and reasons, as the sensor's programs include them.
pub fn c() -> String {
    let mut text = String::from("/* Made by jinwu-event from its schema. Needs __u8 to __u64. */\n#pragma once\n\n");
    let _ = writeln!(text, "#define TEXTS {TEXTS}");
    for (name, bit, doc) in flag::FLAGS {
        let _ = writeln!(text, "#define FLAG_{name} {bit:#x} /* {} */", doc.trim());
    }
    text.push_str(&Origin::c());
    text.push_str(&Verdict::c());
    text.push_str(&Reason::c());
    for call in Call::ALL {
        let _ = writeln!(text, "#define CALL_{} {}", call.name().to_ascii_uppercase(), *call as u16);
    }
    text.push('\n');
    text.push_str(&Head::layout().c());
    text.push_str(&Program::layout().c());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_aligned_without_gaps() {
        for layout in [Head::layout(), Program::layout()] {
            for field in &layout.fields {
                assert_eq!(field.offset % field.align, 0, "{}.{}", layout.name, field.name);
            }
            assert_eq!(layout.size % 8, 0, "{}", layout.name);
        }
        const { assert!(Head::SIZE <= 256) };
    }
}
