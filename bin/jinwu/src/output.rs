//! What people see: one language at a time, tables that a terminal can hold.

use serde_json::Value;
use std::io::Write as _;

/// A line on standard output.
macro_rules! say {
    () => { crate::output::write(format_args!("\n")) };
    ($($part:tt)*) => { crate::output::write(format_args!("{}\n", format_args!($($part)*))) };
}

/// Text on standard output.
macro_rules! put {
    ($($part:tt)*) => { crate::output::write(format_args!($($part)*)) };
}

pub(crate) use {put, say};

/// Writes to standard output. A reader that has gone away (`| head`) ends the program, quietly.
pub(crate) fn write(text: std::fmt::Arguments<'_>) {
    if std::io::stdout().write_fmt(text).is_err() {
        std::process::exit(0);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Lang {
    Zh,
    En,
}

impl Lang {
    /// The text of this language.
    pub(crate) fn pick<'a>(self, zh: &'a str, en: &'a str) -> &'a str {
        match self {
            Lang::Zh => zh,
            Lang::En => en,
        }
    }

    /// The text of this language from a value with members `zh` and `en`.
    pub(crate) fn of(self, value: &Value) -> String {
        let member = self.pick("zh", "en");
        value.get(member).and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

/// Prints JSON with indentation.
pub(crate) fn json(value: &Value) {
    say!("{}", serde_json::to_string_pretty(value).unwrap_or_default());
}

/// Prints rows below a header, columns as wide as their content (a Chinese character is two wide).
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) {
    let mut widths: Vec<usize> = header.iter().map(|h| width(h)).collect();
    for row in rows {
        for (w, cell) in widths.iter_mut().zip(row) {
            *w = (*w).max(width(cell));
        }
    }
    let line = |cells: &[String]| {
        let mut out = String::new();
        for (i, (cell, w)) in cells.iter().zip(&widths).enumerate() {
            out.push_str(cell);
            if i + 1 < cells.len() {
                out.extend(std::iter::repeat_n(' ', w.saturating_sub(width(cell)) + 2));
            }
        }
        say!("{}", out.trim_end());
    };
    line(&header.iter().map(|h| (*h).to_owned()).collect::<Vec<_>>());
    for row in rows {
        line(row);
    }
}

/// Columns a text takes on a terminal.
fn width(text: &str) -> usize {
    text.chars().map(|c| if ('\u{1100}'..='\u{ffe6}').contains(&c) && !('\u{2010}'..='\u{2e7f}').contains(&c) { 2 } else { 1 }).sum()
}

/// A member as text, whatever it is.
pub(crate) fn text(value: &Value, member: &str) -> String {
    match value.get(member) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(s)) => s.clone(),
        Some(other) => other.to_string(),
    }
}

/// Local time of Unix milliseconds.
pub(crate) fn time(milliseconds: i64) -> String {
    jiff::Timestamp::from_millisecond(milliseconds)
        .map(|t| t.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string())
        .unwrap_or_else(|_| milliseconds.to_string())
}
