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
    let forms = masked_forms(text);
    let mut spans: Vec<_> = found
        .into_iter()
        .map(|f| text.floor_char_boundary(f.span.start)..text.ceil_char_boundary(f.span.end))
        .filter(|s| text.get(s.clone()).is_some_and(|t| !t.is_empty() && !value::is_masked(t.as_bytes())))
        .flat_map(|s| outside(s, &forms))
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

/// Where masked forms stand: at most two characters, asterisks, a length in brackets. They are left
/// alone, whatever a rule makes of their parts: masking what is masked would never end.
fn masked_forms(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut forms: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    while let Some(begin) = bytes.get(at..).and_then(|rest| rest.iter().position(|b| *b == b'*')).map(|i| at + i) {
        let run = |from: usize, wanted: fn(&u8) -> bool| bytes.get(from..).map_or(0, |rest| rest.iter().take_while(|b| wanted(b)).count());
        let stars = run(begin, |b| *b == b'*');
        let open = begin + stars;
        let digits = if bytes.get(open) == Some(&b'(') { run(open + 1, u8::is_ascii_digit) } else { 0 };
        at = open.max(begin + 1);
        if stars >= 3 && digits > 0 && bytes.get(open + 1 + digits) == Some(&b')') {
            let before = forms.last().map_or(0, |f| f.end);
            let shown = text.get(before..begin).map_or(0, |t| t.chars().rev().take(2).map(char::len_utf8).sum());
            at = open + digits + 2;
            forms.push(begin - shown..at);
        }
    }
    forms
}

/// The parts of a span that no masked form covers.
fn outside(span: Range<usize>, forms: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut out = Vec::new();
    let mut from = span.start;
    for form in forms.iter().filter(|f| f.start < span.end && f.end > span.start) {
        if from < form.start {
            out.push(from..form.start);
        }
        from = from.max(form.end);
    }
    if from < span.end {
        out.push(from..span.end);
    }
    out
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
