//! Regular expressions: Go's syntax (RE2) carried over to this machine's engine.

use crate::cost::Meter;
use crate::error::{EvaluationError, Outcome};
use crate::limits::PATTERN_SIZE;
use regex::{Regex, RegexBuilder};
use std::collections::BTreeMap;

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(crate) struct Pattern(Regex);

/// Patterns compiled while an expression runs, so that a loop compiles each once.
#[derive(Debug, Default)]
pub(crate) struct Patterns {
    compiled: BTreeMap<String, Pattern>,
}

/// Patterns kept; more are compiled again.
const KEPT: usize = 64;
/// Steps a compilation counts for, so that a loop over patterns stays bounded.
const COMPILATION: u64 = 200_000;
/// Most repetitions Go's engine takes.
const MAX_REPETITION: u32 = 1000;

// === impl Pattern ===

impl Pattern {
    /// Compiles; an error says what is wrong.
    pub(crate) fn compile(pattern: &str) -> Result<Pattern, String> {
        let carried = carry_over(pattern)?;
        let built = RegexBuilder::new(&carried).size_limit(PATTERN_SIZE).dfa_size_limit(PATTERN_SIZE).nest_limit(200).build();
        built.map(Pattern).map_err(|e| match e {
            regex::Error::CompiledTooBig(limit) => format!("the pattern needs more than {limit} bytes"),
            other => other.to_string().lines().last().unwrap_or_default().trim().to_owned(),
        })
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    pub(crate) fn find<'t>(&self, text: &'t str) -> Option<&'t str> {
        self.0.find(text).map(|m| m.as_str())
    }

    pub(crate) fn find_all<'t>(&'t self, text: &'t str) -> impl Iterator<Item = &'t str> {
        self.0.find_iter(text).map(|m| m.as_str())
    }
}

// === impl Patterns ===

impl Patterns {
    pub(crate) fn get(&mut self, pattern: &str, meter: &mut Meter) -> Outcome<Pattern> {
        if let Some(found) = self.compiled.get(pattern) {
            return Ok(found.clone());
        }
        meter.work(COMPILATION)?;
        let compiled = Pattern::compile(pattern).map_err(|e| EvaluationError::failed(format!("illegal regular expression: {e}")))?;
        if self.compiled.len() >= KEPT {
            self.compiled.clear();
        }
        self.compiled.insert(pattern.to_owned(), compiled.clone());
        Ok(compiled)
    }
}

/// Rewrites what the two engines read differently: `\d`, `\w`, `\s`, `\b` are ASCII in Go; `\Q…\E`,
/// `\C` and bare braces exist there; set operations, comments and other flags do not.
fn carry_over(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut rest = pattern.chars();
    let mut class = false;
    while let Some(c) = rest.next() {
        match c {
            '\\' => escape(&mut rest, class, &mut out)?,
            '[' if !class => {
                class = true;
                out.push('[');
                if rest.as_str().starts_with('^') {
                    rest.next();
                    out.push('^');
                }
                if rest.as_str().starts_with(']') {
                    rest.next();
                    out.push_str("\\]");
                }
            }
            '[' if rest.as_str().starts_with(':') => match rest.as_str().find(":]") {
                Some(end) => {
                    out.push('[');
                    out.extend(rest.by_ref().take(end + 2));
                }
                None => out.push_str("\\["),
            },
            '[' => out.push_str("\\["),
            ']' if class => {
                class = false;
                out.push(']');
            }
            '&' | '~' if class => {
                out.push('\\');
                out.push(c);
            }
            '(' if !class && rest.as_str().starts_with('?') => {
                flags(rest.as_str())?;
                out.push('(');
            }
            '{' if !class => match repetition(rest.as_str())? {
                Some(()) => out.push('{'),
                None => out.push_str("\\{"),
            },
            '}' if class => out.push_str("\\}"),
            c => out.push(c),
        }
    }
    Ok(out)
}

fn escape(rest: &mut std::str::Chars<'_>, class: bool, out: &mut String) -> Result<(), String> {
    let c = rest.next().ok_or("the pattern ends in a backslash")?;
    match (c, class) {
        ('d', true) => out.push_str("0-9"),
        ('d', false) => out.push_str("[0-9]"),
        ('D', _) => out.push_str("[^0-9]"),
        ('w', true) => out.push_str("0-9A-Za-z_"),
        ('w', false) => out.push_str("[0-9A-Za-z_]"),
        ('W', _) => out.push_str("[^0-9A-Za-z_]"),
        ('s', true) => out.push_str("\\t\\n\\x0c\\r "),
        ('s', false) => out.push_str("[\\t\\n\\x0c\\r ]"),
        ('S', _) => out.push_str("[^\\t\\n\\x0c\\r ]"),
        ('b', false) => out.push_str("(?-u:\\b)"),
        ('Q', _) => {
            let (literal, after) = rest.as_str().split_once("\\E").unwrap_or((rest.as_str(), ""));
            out.push_str(&regex::escape(literal));
            *rest = after.chars();
        }
        ('1'..='9' | 'c' | 'G' | 'K' | 'X' | 'Z' | 'R' | 'h' | 'H' | 'V' | 'N' | 'u' | 'U' | 'k' | 'g' | '<' | '>', _) => {
            return Err(format!("invalid escape sequence \\{c}"));
        }
        (c, _) => {
            out.push('\\');
            out.push(c);
        }
    }
    Ok(())
}

/// What may stand after `(`: groups with a name, and the flags `i`, `m`, `s`, `U`.
fn flags(after: &str) -> Result<(), String> {
    let after = after.get(1..).unwrap_or_default();
    if after.starts_with("P<") || (after.starts_with('<') && !after.starts_with("<=") && !after.starts_with("<!")) {
        return Ok(());
    }
    let written: String = after.chars().take_while(|c| !matches!(c, ':' | ')')).collect();
    if written.chars().all(|c| matches!(c, 'i' | 'm' | 's' | 'U' | '-')) {
        Ok(())
    } else {
        Err(format!("invalid or unsupported syntax (?{written}"))
    }
}

/// Whether `{` begins a repetition; otherwise it stands for itself.
fn repetition(after: &str) -> Result<Option<()>, String> {
    let Some((inside, _)) = after.split_once('}') else { return Ok(None) };
    let (low, high) = inside.split_once(',').map_or((inside, None), |(l, h)| (l, Some(h)));
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(low) || high.is_some_and(|h| !h.is_empty() && !digits(h)) {
        return Ok(None);
    }
    let small = |s: &str| s.is_empty() || s.parse::<u32>().is_ok_and(|n| n <= MAX_REPETITION);
    if small(low) && high.is_none_or(small) { Ok(Some(())) } else { Err(format!("invalid repeat count {{{inside}}}")) }
}
