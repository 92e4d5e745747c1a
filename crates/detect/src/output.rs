//! Outputs of rules: text with fields in it.

use crate::condition::parse_operand;
use crate::event::Event;
use crate::field::Source;
use crate::operand::{self, Compiled, texts};
use std::fmt::Write as _;

/// Longest formatted output, bytes.
pub const MAX_OUTPUT: usize = 16 << 10;
/// Longest text of one field in it, bytes.
pub const MAX_FIELD: usize = 2 << 10;
/// Fields of one output.
const MAX_FIELDS: usize = 128;

/// An output, parsed.
#[derive(Debug)]
pub(crate) struct Output {
    segments: Vec<Segment>,
    template: String,
}

#[derive(Debug)]
enum Segment {
    Text(String),
    /// The operand and the least width.
    Field(Compiled, usize),
}

// === impl Output ===

impl Output {
    pub(crate) fn compile(source: Source, template: &str) -> Result<Output, String> {
        // A leading * asks that absent fields print as <NA>; they always do.
        let mut rest = template.trim().trim_start_matches('*');
        let mut segments = Vec::new();
        let mut text = String::new();
        while let Some((before, after)) = rest.split_once('%') {
            text.push_str(before);
            rest = after;
            if let Some(after) = rest.strip_prefix('%') {
                text.push('%');
                rest = after;
                continue;
            }
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (width, field) = rest.split_at(digits.min(3));
            match parse_operand(field) {
                Ok((parsed, used)) => {
                    let compiled = operand::compile(source, &parsed)?.operand;
                    if !text.is_empty() {
                        segments.push(Segment::Text(std::mem::take(&mut text)));
                    }
                    segments.push(Segment::Field(compiled, width.parse().unwrap_or(0)));
                    rest = field.get(used..).unwrap_or_default();
                }
                Err(_) => text.push('%'),
            }
            if segments.len() > 2 * MAX_FIELDS {
                return Err(format!("more than {MAX_FIELDS} fields"));
            }
        }
        text.push_str(rest);
        if !text.is_empty() {
            segments.push(Segment::Text(text));
        }
        Ok(Output { segments, template: template.trim().to_owned() })
    }

    pub(crate) fn template(&self) -> &str {
        &self.template
    }

    pub(crate) fn format<E: Event>(&self, event: &E) -> String {
        let mut out = String::new();
        for segment in &self.segments {
            if out.len() >= MAX_OUTPUT {
                break;
            }
            match segment {
                Segment::Text(text) => escape(&mut out, text, MAX_OUTPUT),
                Segment::Field(operand, width) => {
                    let begin = out.len();
                    let value = operand.value(event, true);
                    let listed = matches!(value, crate::event::FieldValue::List(_) | crate::event::FieldValue::Any(_));
                    let all = texts(value);
                    match all.as_slice() {
                        [] => out.push_str("<NA>"),
                        [one] if !listed => escape(&mut out, one, MAX_FIELD),
                        many => list(&mut out, many),
                    }
                    for _ in out.len() - begin..*width {
                        out.push(' ');
                    }
                }
            }
        }
        cut(&mut out, MAX_OUTPUT);
        out
    }
}

/// `(a,b,c)`, as Falco prints lists.
fn list(out: &mut String, items: &[std::borrow::Cow<'_, str>]) {
    let begin = out.len();
    out.push('(');
    for (position, item) in items.iter().enumerate() {
        if out.len() - begin > MAX_FIELD {
            out.push('…');
            break;
        }
        if position > 0 {
            out.push(',');
        }
        escape(out, item, MAX_FIELD);
    }
    out.push(')');
}

/// Appends at most `most` bytes, control characters and direction marks written out: an output is
/// one line, and reads as it is stored.
fn escape(out: &mut String, text: &str, most: usize) {
    let begin = out.len();
    for c in text.chars() {
        if out.len() - begin >= most {
            out.push('…');
            return;
        }
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}') => {
                // Writing to a String does not fail.
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
}

fn cut(text: &mut String, most: usize) {
    if text.len() <= most {
        return;
    }
    let mut end = most.saturating_sub('…'.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text.push('…');
}
