//! The characters of a condition: blanks, words, names, quoted strings.

use super::{MAX_TERMS, SyntaxError};

/// A position in a condition that moves forward.
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    terms: usize,
}

/// Characters that end a bare value.
fn ends_value(c: char) -> bool {
    blank(c) || matches!(c, '(' | ')' | '"' | '\'' | '=' | ',')
}

fn blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{8}' | '\r' | '\n')
}

// === impl Lexer ===

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Lexer { text, at: 0, terms: 0 }
    }

    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn done(&self) -> bool {
        self.rest().is_empty()
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn back_to(&mut self, at: usize) {
        self.at = at;
    }

    pub(super) fn error<T>(&self, message: impl Into<String>) -> Result<T, SyntaxError> {
        Err(SyntaxError { offset: self.at, message: message.into() })
    }

    /// What stands here, for messages.
    pub(super) fn here(&self) -> String {
        let rest = self.rest();
        if rest.is_empty() { "the end".into() } else { format!("{:?}", rest.chars().take(24).collect::<String>()) }
    }

    /// Counts a term, so that one condition stays bounded.
    pub(super) fn term(&mut self) -> Result<(), SyntaxError> {
        self.terms += 1;
        if self.terms > MAX_TERMS {
            return self.error(format!("a condition has at most {MAX_TERMS} terms: move lists of values into list items"));
        }
        Ok(())
    }

    /// Skips blanks; whether there were any.
    pub(super) fn blanks(&mut self) -> bool {
        let rest = self.rest();
        let skipped = rest.len() - rest.trim_start_matches(blank).len();
        self.at += skipped;
        skipped > 0
    }

    /// Takes these characters if they stand here.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    /// Takes a word that is followed by a blank, by one of `after`, or by the end.
    pub(super) fn word(&mut self, word: &str, after: &[char]) -> bool {
        let good = self
            .rest()
            .strip_prefix(word)
            .is_some_and(|r| r.chars().next().is_none_or(|c| blank(c) || after.contains(&c)));
        if good {
            self.at += word.len();
        }
        good
    }

    /// `[a-zA-Z][a-zA-Z0-9_]*(\.[a-zA-Z0-9_]+)*`, as long as it goes; empty when there is none.
    pub(super) fn name(&mut self) -> &'a str {
        let rest = self.rest();
        if !rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return "";
        }
        let mut end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.')).unwrap_or(rest.len());
        while rest.get(..end).is_some_and(|n| n.ends_with('.')) {
            end -= 1;
        }
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    /// A bare value; empty when none stands here.
    pub(super) fn bare(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(ends_value).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    /// A quoted string, if one begins here.
    pub(super) fn quoted(&mut self) -> Result<Option<String>, SyntaxError> {
        let Some(quote) = self.rest().chars().next().filter(|c| matches!(c, '"' | '\'')) else { return Ok(None) };
        let mut out = String::new();
        let mut characters = self.rest().char_indices().skip(1);
        while let Some((i, c)) = characters.next() {
            if c == quote {
                self.at += i + 1;
                return Ok(Some(out));
            }
            if c != '\\' {
                out.push(c);
                continue;
            }
            match characters.next().map(|(_, c)| c) {
                Some('b') => out.push('\u{8}'),
                Some('f') => out.push('\u{c}'),
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some('t') => out.push('\t'),
                // Old rules rely on a backslash before a blank standing for itself.
                Some(' ') => out.push_str("\\ "),
                Some(c @ ('\\' | '/' | '"' | '\'')) => out.push(c),
                Some('x') => {
                    let hex: String = characters.by_ref().take(2).map(|(_, c)| c).collect();
                    let Some(byte) = u8::from_str_radix(&hex, 16).ok().filter(|b| b.is_ascii()) else {
                        return self.error("\\x is followed by two hexadecimal digits up to 7f");
                    };
                    out.push(char::from(byte));
                }
                Some(other) => return self.error(format!("\\{other} is not an escape; write \\\\ for a backslash")),
                None => break,
            }
        }
        self.error(format!("the string is not closed: {quote} is missing"))
    }

    /// The argument in brackets after a name, if one begins here.
    pub(super) fn argument(&mut self) -> Result<Option<String>, SyntaxError> {
        if !self.take("[") {
            return Ok(None);
        }
        if let Some(text) = self.quoted()? {
            return if self.take("]") { Ok(Some(text)) } else { self.error("] is missing after the argument") };
        }
        let Some(end) = self.rest().find(']') else { return self.error("] is missing after the argument") };
        let text = self.rest().get(..end).unwrap_or_default().to_owned();
        self.at += end + 1;
        Ok(Some(text))
    }
}
