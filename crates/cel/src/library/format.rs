//! `format`: values written by clauses, as version 2 of cel-go's string extension does.

mod clause;

use super::{Context, Overload};
use crate::error::{EvaluationError, Outcome, fail};
use crate::types::Signature::{Dyn, List, String};
use crate::value::Value;
use clause::Clause;

pub(super) static TABLE: &[Overload] =
    &[Overload::method("format", "string_format", &[String, List(&Dyn)], String, format).since(29)];

/// Most digits behind the point.
const MAX_PRECISION: usize = 1000;

fn format<'a>(arguments: &[Value<'a>], context: &mut Context<'_>) -> Outcome<Value<'a>> {
    let [Value::String(template), Value::List(values)] = arguments else { return Err(EvaluationError::no_overload()) };
    let mut written = std::string::String::new();
    let mut rest = template.as_str();
    let mut next = 0usize;
    while let Some((before, after)) = rest.split_once('%') {
        written.push_str(before);
        if let Some(after) = after.strip_prefix('%') {
            written.push('%');
            rest = after;
            continue;
        }
        let Some(value) = values.get(next) else { return fail(format!("index {next} out of range")) };
        let (clause, after) = read(after)?;
        let text = clause.write(&value, context.meter)?;
        context.meter.memory(text.len() as u64)?;
        written.push_str(&text);
        next += 1;
        rest = after;
    }
    written.push_str(rest);
    context.meter.memory(written.len() as u64)?;
    Ok(Value::from(written))
}

/// What a clause takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ClauseKind {
    Text,
    Whole,
    Binary,
    Hexadecimal,
    Floating,
}

/// The clauses of a template, for a check before it is used.
pub(crate) fn clauses(template: &str) -> Outcome<Vec<ClauseKind>> {
    let mut found = Vec::new();
    let mut rest = template;
    while let Some((_, after)) = rest.split_once('%') {
        if let Some(after) = after.strip_prefix('%') {
            rest = after;
            continue;
        }
        let (clause, after) = read(after)?;
        found.push(match clause {
            Clause::Text => ClauseKind::Text,
            Clause::Decimal | Clause::Octal => ClauseKind::Whole,
            Clause::Binary => ClauseKind::Binary,
            Clause::Hexadecimal { .. } => ClauseKind::Hexadecimal,
            Clause::Fixed(_) | Clause::Scientific(_) => ClauseKind::Floating,
        });
        rest = after;
    }
    Ok(found)
}

/// The clause after a `%` and what follows it.
fn read(text: &str) -> Outcome<(Clause, &str)> {
    let (precision, text) = match text.strip_prefix('.') {
        None => (None, text),
        Some(text) => {
            let length = text.bytes().take_while(u8::is_ascii_digit).count();
            let (digits, after) = text.split_at_checked(length).unwrap_or((text, ""));
            match digits.parse::<usize>() {
                Ok(precision) if precision <= MAX_PRECISION => (Some(precision), after),
                _ => return fail(format!("precision of a formatting clause must be 0 to {MAX_PRECISION}")),
            }
        }
    };
    let mut characters = text.chars();
    let Some(kind) = characters.next() else { return fail("unexpected end of string") };
    let precision = precision.unwrap_or(6);
    let clause = match kind {
        's' => Clause::Text,
        'd' => Clause::Decimal,
        'f' => Clause::Fixed(precision),
        'e' => Clause::Scientific(precision),
        'b' => Clause::Binary,
        'x' => Clause::Hexadecimal { upper: false },
        'X' => Clause::Hexadecimal { upper: true },
        'o' => Clause::Octal,
        other => return fail(format!("unrecognized formatting clause \"{other}\"")),
    };
    Ok((clause, characters.as_str()))
}
