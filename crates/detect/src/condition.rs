//! Conditions as trees: what the parser reads and the compiler takes.

mod lexer;
mod parser;

pub use parser::{parse, parse_operand};

/// Longest condition, bytes. The longest of Falco's own has 3 KB.
pub const MAX_CONDITION: usize = 64 << 10;
/// Parentheses, transformers and lists inside one another (libsinsp's figure).
pub const MAX_DEPTH: usize = 100;
/// Checks, values and macro names in one condition.
pub const MAX_TERMS: usize = 20_000;

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// At least two.
    And(Vec<Expression>),
    /// At least two.
    Or(Vec<Expression>),
    Not(Box<Expression>),
    /// A macro, by name.
    Macro(String),
    Check(Check),
}

/// One comparison.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Check {
    pub left: Operand,
    pub operator: Operator,
    pub quantifier: Option<Quantifier>,
    pub right: Right,
}

/// Left side, or a right side that is computed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Operand {
    Field { name: String, argument: Option<String> },
    Transform { name: String, arguments: Vec<Operand>, argument: Option<String> },
    /// Inside a transformer.
    Literal(String),
    /// Inside a transformer.
    List(Vec<Operand>),
}

/// Right side.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Right {
    /// Of `exists`.
    Nothing,
    Value(Literal),
    List(Vec<Literal>),
    /// `val(field)` or a transformer.
    Operand(Operand),
}

/// A value as written. Only bare words may be names of lists.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Literal {
    pub text: String,
    pub quoted: bool,
}

/// Comparison operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    Exists,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Contains,
    ContainsIgnoringCase,
    ContainsBytes,
    StartsWith,
    StartsWithBytes,
    EndsWith,
    Glob,
    GlobIgnoringCase,
    Regex,
    In,
    Intersects,
    PathPrefix,
}

/// `anyof`, `allof`, `oneof` after a string operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quantifier {
    Any,
    All,
    One,
}

/// Where parsing stopped and why. `offset` is in bytes from the condition's begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    pub offset: usize,
    pub message: String,
}

// === impl Operator ===

impl Operator {
    /// Words and signs, longest first where one begins another.
    pub(crate) const SPELLED: [(&'static str, Operator); 20] = [
        ("==", Operator::Equal),
        ("=", Operator::Equal),
        ("!=", Operator::NotEqual),
        ("<=", Operator::LessOrEqual),
        ("<", Operator::Less),
        (">=", Operator::GreaterOrEqual),
        (">", Operator::Greater),
        ("exists", Operator::Exists),
        ("glob", Operator::Glob),
        ("iglob", Operator::GlobIgnoringCase),
        ("contains", Operator::Contains),
        ("icontains", Operator::ContainsIgnoringCase),
        ("bcontains", Operator::ContainsBytes),
        ("startswith", Operator::StartsWith),
        ("bstartswith", Operator::StartsWithBytes),
        ("endswith", Operator::EndsWith),
        ("regex", Operator::Regex),
        ("in", Operator::In),
        ("intersects", Operator::Intersects),
        ("pmatch", Operator::PathPrefix),
    ];

    /// As rule files spell it.
    pub fn name(self) -> &'static str {
        Self::SPELLED.iter().rev().find(|(_, o)| *o == self).map_or("", |(n, _)| n)
    }

    pub(crate) fn named(name: &str) -> Option<Operator> {
        Self::SPELLED.iter().find(|(n, _)| *n == name).map(|(_, o)| *o)
    }

    /// Takes a list on its right.
    pub fn takes_list(self) -> bool {
        matches!(self, Operator::In | Operator::Intersects | Operator::PathPrefix)
    }

    /// May be followed by `anyof`, `allof`, `oneof`.
    pub(crate) fn takes_quantifier(self) -> bool {
        !self.takes_list() && self != Operator::Exists
    }
}
