//! Free text without its secrets: audit records, command lines, error messages.

use crate::assignment::{self, Strictness};
use crate::{Scanner, scan, value};
use std::ops::Range;

/// Masking may uncover another form (a masked token inside a quoted password); it settles within
/// a few rounds.
const ROUNDS: usize = 4;

pub(crate) fn mask(scanner: &Scanner, text: &str) -> String {
    let bytes = text.as_bytes();
    if !scanner.rules.text.any(bytes) && !scanner.rules.names.any(bytes) {
        return text.to_owned();
    }
    let mut text = text.to_owned();
    for _ in 0..ROUNDS {
        let spans = spans(scanner, &text);
        if spans.is_empty() {
            break;
        }
        text = replace(&text, &spans);
    }
    text
}

/// Where secrets stand: ascending, disjoint, on character boundaries.
fn spans(scanner: &Scanner, text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    scan::rules(scanner, bytes, true, None, &mut found);
    assignment::in_text(&scanner.rules, bytes, Strictness::Free, &mut found);
    let mut spans: Vec<_> = found
        .into_iter()
        .map(|f| text.floor_char_boundary(f.span.start)..text.ceil_char_boundary(f.span.end))
        .filter(|s| text.get(s.clone()).is_some_and(|t| !t.is_empty() && !value::is_masked(t.as_bytes())))
        .collect();
    spans.sort_by_key(|s| s.start);
    let mut merged: Vec<Range<usize>> = Vec::with_capacity(spans.len());
    for s in spans {
        match merged.last_mut() {
            Some(last) if s.start < last.end => last.end = last.end.max(s.end),
            _ => merged.push(s),
        }
    }
    merged
}

fn replace(text: &str, spans: &[Range<usize>]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for s in spans {
        out.push_str(text.get(at..s.start).unwrap_or_default());
        out.push_str(&value::masked(text.get(s.clone()).unwrap_or_default().as_bytes()));
        at = s.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}
