//! Why an expression is refused, and why its evaluation fails.

use std::fmt;

/// A place in a source text, both counted from one; columns are characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

/// An expression that is refused before it runs: where, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{position}: {message}")]
pub struct CompileError {
    pub position: Position,
    pub message: String,
}

/// An evaluation without a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// The expression has no value for this input (no such key, overflow, wrong type …). `&&` and
    /// `||` absorb it when the other side decides.
    #[error("{0}")]
    Failed(Box<str>),
    /// The expression costs more than it may. Nothing absorbs it.
    #[error("operation cancelled: actual cost limit exceeded")]
    CostExceeded { limit: u64 },
    /// The expression takes more steps or memory than it may. Nothing absorbs it.
    #[error("operation cancelled: {0}")]
    LimitExceeded(&'static str),
}

/// What an evaluation step gives.
pub(crate) type Outcome<T> = Result<T, EvaluationError>;

// === impl Position ===

impl Position {
    pub(crate) fn of(source: &str, at: usize) -> Position {
        let before = source.get(..at).unwrap_or(source);
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Position { line, column }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

// === impl EvaluationError ===

impl EvaluationError {
    pub(crate) fn failed(message: impl Into<String>) -> EvaluationError {
        EvaluationError::Failed(message.into().into_boxed_str())
    }

    /// The arguments are of types the function does not know.
    pub(crate) fn no_overload() -> EvaluationError {
        EvaluationError::Failed("no such overload".into())
    }

    /// Whether `&&`, `||` and the comprehensions built on them may absorb it.
    pub(crate) fn absorbable(&self) -> bool {
        matches!(self, EvaluationError::Failed(_))
    }
}

/// Shorthand for a failure that a caller returns.
pub(crate) fn fail<T>(message: impl Into<String>) -> Outcome<T> {
    Err(EvaluationError::failed(message))
}
