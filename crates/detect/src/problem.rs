//! What is wrong with a rule file: where, what, and what to do.

use std::fmt;

/// Whether a rule file can still be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Loading goes on; the item was skipped or a part of it had no effect.
    Warning,
    /// Nothing of the files is loaded.
    Error,
}

/// One finding of the loader. `line` counts from 1; 0 means the file as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub severity: Severity,
    pub file: String,
    pub line: usize,
    /// What is wrong and what to change.
    pub message: String,
}

/// Why nothing was loaded: at least one of the problems is an error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Problems(pub Vec<Problem>);

/// Where an item stands, shared by what is said about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub file: String,
    pub line: usize,
}

/// Problems kept of one load; more are counted only.
const MOST: usize = 200;

/// Collects problems up to a bound.
#[derive(Debug, Default)]
pub(crate) struct Report {
    problems: Vec<Problem>,
    failed: bool,
}

// === impl Problem ===

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{}:{}: {word}: {}", self.file, self.line, self.message)
    }
}

// === impl Report ===

impl Report {
    pub(crate) fn warn(&mut self, place: &Place, message: impl Into<String>) {
        self.add(Severity::Warning, place, message.into());
    }

    pub(crate) fn fail(&mut self, place: &Place, message: impl Into<String>) {
        self.failed = true;
        self.add(Severity::Error, place, message.into());
    }

    fn add(&mut self, severity: Severity, place: &Place, message: String) {
        let full = self.problems.len() >= MOST;
        // The last places are for errors: warnings must not hide why loading failed.
        if !full || (severity == Severity::Error && self.problems.len() < 2 * MOST) {
            self.problems.push(Problem { severity, file: place.file.clone(), line: place.line, message });
        }
    }

    /// The warnings, or all problems if one is an error.
    pub(crate) fn finish(self) -> Result<Vec<Problem>, Problems> {
        if self.failed { Err(Problems(self.problems)) } else { Ok(self.problems) }
    }

    pub(crate) fn failed(&self) -> bool {
        self.failed
    }
}
