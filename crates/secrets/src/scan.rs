//! The passes over one file or variable.

use crate::assignment::{self, Strictness};
use crate::place::{self, Place};
use crate::rules::{AFTER, AFTER_LONG, BEFORE, Rule, RuleSet};
use crate::{Hit, MAX_HITS, Scanner, key, known, value};
use jinwu_model::Text;
use std::ops::Range;

/// Text larger than this is examined to here only; larger text is data, not configuration.
const MAX_TEXT: usize = 16 << 20;
/// Assignments are looked for in configuration up to this size, bytes.
const MAX_ASSIGNMENTS: usize = 1 << 20;

/// A secret where it stands. Never leaves the crate.
pub(crate) struct Found {
    pub(crate) span: Range<usize>,
    pub(crate) rule: String,
    pub(crate) category: &'static str,
    pub(crate) title: Text,
    pub(crate) variable: Option<String>,
}

pub(crate) fn file(scanner: &Scanner, path: &str, bytes: &[u8]) -> Vec<Hit> {
    if let Some(text) = utf16(bytes) {
        return file(scanner, path, text.as_bytes());
    }
    let place = place::of(path);
    let text = is_text(bytes);
    let mut found = key::whole_file(path, bytes);
    let bounded = if text { bytes.get(..MAX_TEXT).unwrap_or(bytes) } else { bytes };
    rules(scanner, bounded, text, Some((path, place)), &mut found);
    if text {
        known::file(path, bounded, &mut found);
        if matches!(place, Place::Configuration | Place::Shell) && bounded.len() <= MAX_ASSIGNMENTS {
            assignment::in_text(&scanner.rules, bounded, Strictness::File(place), &mut found);
        }
    }
    hits(bytes, found, text)
}

pub(crate) fn variable(scanner: &Scanner, name: &str, value: &str) -> Vec<Hit> {
    let mut found = Vec::new();
    rules(scanner, value.as_bytes(), true, None, &mut found);
    if found.is_empty() {
        // The forms that need their name in front of them: `AWS_SECRET_ACCESS_KEY=…`.
        let joined = format!("{name}={value}");
        let offset = name.len() + 1;
        let mut with_name = Vec::new();
        rules(scanner, joined.as_bytes(), true, None, &mut with_name);
        for mut f in with_name {
            if f.span.start >= offset {
                f.span = f.span.start - offset..f.span.end - offset;
                found.push(f);
            }
        }
    }
    if found.is_empty() {
        assignment::variable(name, value, &mut found);
    }
    let mut hits = hits(value.as_bytes(), found, true);
    for h in &mut hits {
        h.line = None;
        h.variable = Some(name.to_owned());
    }
    hits
}

/// Every rule near its keywords. `place` None: a variable or free text, where every rule applies.
pub(crate) fn rules(scanner: &Scanner, bytes: &[u8], text: bool, file: Option<(&str, Place)>, found: &mut Vec<Found>) {
    let set = &scanner.rules;
    let prefilter = if text { &set.text } else { &set.binary };
    // Where each rule has searched to: windows of neighbouring keywords are searched once.
    let mut searched = vec![0usize; set.rules.len()];
    let path = file.map_or("", |(p, _)| p);
    let mut pem_until = 0;
    prefilter.search(bytes, |owner, at| {
        match owner {
            RuleSet::PEM => {
                if at >= pem_until
                    && let Some((f, end)) = key::pem_at(path, bytes, at)
                {
                    pem_until = end;
                    found.push(f);
                }
            }
            RuleSet::PEM_BASE64 => found.extend(key::encoded_pem_at(bytes, at)),
            owner => {
                let Some(rule) = set.rules.get(owner as usize) else { return true };
                if file.is_some_and(|(_, place)| !rule.scope.covers(place)) {
                    return true;
                }
                if let Some(seen) = searched.get_mut(owner as usize) {
                    rule.search(bytes, at, seen, file.is_none(), found);
                }
            }
        }
        found.len() < MAX_HITS * 4
    });
}

impl Rule {
    /// Tries the expression near a keyword at `at`. `seen` is where this rule's last match ended.
    fn search(&self, bytes: &[u8], at: usize, seen: &mut usize, direct: bool, found: &mut Vec<Found>) {
        if at < *seen {
            return;
        }
        if self.start {
            let bounded = at == 0 || bytes.get(at - 1).is_none_or(|b| !(b.is_ascii_alphanumeric() || *b == b'_'));
            let window = bytes.get(at..(at + AFTER_LONG).min(bytes.len())).unwrap_or_default();
            if bounded && let Some(m) = self.expression.captures(window).and_then(|c| c.get(self.group)) {
                *seen = at + m.end();
                self.accept(bytes, at + m.start()..at + m.end(), direct, found);
            }
            return;
        }
        let (low, high) = if self.long {
            (at.saturating_sub(AFTER), (at + AFTER_LONG).min(bytes.len()))
        } else {
            let (low, high) = (at.saturating_sub(BEFORE), (at + AFTER).min(bytes.len()));
            let before = bytes.get(low..at).unwrap_or_default().iter().rposition(|b| *b == b'\n').map_or(low, |n| low + n + 1);
            let after = bytes.get(at..high).unwrap_or_default().iter().position(|b| *b == b'\n').map_or(high, |n| at + n);
            (before, after)
        };
        if self.need.is_some_and(|n| !bytes.get(at..high).unwrap_or_default().contains(&n)) {
            return;
        }
        let mut from = low.max(*seen);
        while let Some(window) = bytes.get(from..high)
            && let Some(c) = self.expression.captures(window)
            && let (Some(all), Some(m)) = (c.get(0), c.get(self.group))
        {
            self.accept(bytes, from + m.start()..from + m.end(), direct, found);
            from += m.end().max(all.start() + 1);
            *seen = from;
            if from > at {
                break; // what follows belongs to a later keyword
            }
        }
    }

    fn accept(&self, bytes: &[u8], span: Range<usize>, direct: bool, found: &mut Vec<Found>) {
        let Some(secret) = bytes.get(span.clone()) else { return };
        if value::is_masked(secret) || value::entropy(secret) < self.entropy {
            return;
        }
        let text = String::from_utf8_lossy(secret);
        let marked = if direct { value::is_reference(&text) } else { value::is_placeholder(&text) };
        if marked || is_documented(&text) {
            return;
        }
        // A hash in the shape of a version or a repetition is no token.
        if self.category != "connection-string" && self.category != "password" && is_sequence(secret) {
            return;
        }
        if self.category == "connection-string" || self.category == "password" {
            let trimmed = text.trim();
            if !direct && (value::is_word(trimmed) || ["pass", "pw", "pwd", "pass123", "foo", "bar", "test", "hello", "xxx", "port"].contains(&trimmed)) {
                return;
            }
        }
        found.push(Found {
            span,
            rule: self.id.clone(),
            category: category(&self.category),
            title: self.title.clone(),
            variable: None,
        });
    }
}

/// Example values of providers' manuals.
fn is_documented(secret: &str) -> bool {
    secret.ends_with("EXAMPLE") || secret.ends_with("EXAMPLEKEY") || secret.contains("AAAAAAAAAA") || secret.contains("0000000000") || secret.contains("1234567890abcdef")
}

/// `abcdefgh…`, `aaaa…`, `0123…`: half of the neighbours differ by zero or one.
fn is_sequence(secret: &[u8]) -> bool {
    let steps = secret.windows(2).filter(|w| matches!(w, [a, b] if b.wrapping_sub(*a) <= 1)).count();
    secret.len() > 8 && steps * 2 > secret.len()
}

pub(crate) fn category(name: &str) -> &'static str {
    match name {
        "key" => "key",
        "token" => "token",
        "connection-string" => "connection-string",
        _ => "password",
    }
}

/// Sorted, without overlaps (the first that claims a span keeps it, a specific rule before a general
/// one), bounded, with lines.
fn hits(bytes: &[u8], mut found: Vec<Found>, text: bool) -> Vec<Hit> {
    let found = {
        // What names the provider says more than what merely says "password".
        let general = |rule: &str| ["environment-", "configuration-", "command-line-", "authorization-", "curl-", "password-hash"].iter().any(|p| rule.starts_with(p));
        found.sort_by_key(|f| (f.span.start, general(&f.rule), std::cmp::Reverse(f.span.end)));
        let mut kept: Vec<Found> = Vec::new();
        for f in found {
            if kept.last().is_none_or(|k| f.span.start >= k.span.end) {
                kept.push(f);
            }
            if kept.len() >= MAX_HITS {
                break;
            }
        }
        kept
    };
    let (mut line, mut counted) = (1u32, 0usize);
    found
        .into_iter()
        .filter_map(|f| {
            let secret = bytes.get(f.span.clone())?;
            if text {
                let newlines = bytes.get(counted..f.span.start).map_or(0, |b| b.iter().filter(|b| **b == b'\n').count());
                line = line.saturating_add(newlines as u32);
                counted = f.span.start;
            }
            Some(Hit {
                rule: f.rule,
                category: f.category.to_owned(),
                title: f.title,
                line: text.then_some(line),
                variable: f.variable,
                masked: value::masked(secret),
            })
        })
        .collect()
}

/// No NUL in the first eight kibibytes.
fn is_text(bytes: &[u8]) -> bool {
    !bytes.iter().take(8192).any(|b| *b == 0)
}

/// Text with a UTF-16 byte order mark, as PowerShell and editors of Windows write it.
fn utf16(bytes: &[u8]) -> Option<String> {
    let (little, rest) = match bytes {
        [0xff, 0xfe, rest @ ..] => (true, rest),
        [0xfe, 0xff, rest @ ..] => (false, rest),
        _ => return None,
    };
    if rest.len() > 4 << 20 {
        return None;
    }
    let units = rest.chunks_exact(2).map(|c| match c {
        [a, b] if little => u16::from_le_bytes([*a, *b]),
        [a, b] => u16::from_be_bytes([*a, *b]),
        _ => 0,
    });
    Some(char::decode_utf16(units).map(|c| c.unwrap_or('\u{fffd}')).collect())
}
