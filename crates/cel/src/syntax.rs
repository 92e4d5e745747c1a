//! What an expression says, before anything is known about its names: the tree the parser builds.

mod lexer;
mod literal;
mod parser;

pub(crate) use parser::parse;

/// One node of the tree.
#[derive(Debug)]
pub(crate) struct Expression {
    pub(crate) kind: Kind,
    /// Where it begins, bytes from the start of the source.
    pub(crate) at: usize,
    /// Nodes on the longest way down, itself included; bounded by [`crate::limits::MAX_DEPTH`].
    pub(crate) height: usize,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Literal(Literal),
    /// A name; `absolute` when written with a leading dot.
    Identifier { name: String, absolute: bool },
    /// `operand.field`, or `operand.?field`.
    Select { operand: Box<Expression>, field: String, optional: bool },
    /// `operand[key]`, or `operand[?key]`.
    Index { operand: Box<Expression>, key: Box<Expression>, optional: bool },
    /// A function, method, macro or operator; operators are named `_+_`, `!_` and so on.
    Call { receiver: Option<Box<Expression>>, function: String, arguments: Vec<Expression> },
    /// Elements; the flag marks `[?element]`.
    List(Vec<(Expression, bool)>),
    /// Keys and values; the flag marks `{?key: value}`.
    Map(Vec<(Expression, Expression, bool)>),
    /// `Name{field: value}`: only the name is kept, Kubernetes' policies have no message types.
    Message(String),
    And(Vec<Expression>),
    Or(Vec<Expression>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(String),
    Bytes(Vec<u8>),
}

// === impl Expression ===

impl Expression {
    /// The name written as dotted identifiers (`a.b.c`), if it is nothing else.
    pub(crate) fn dotted(&self) -> Option<String> {
        match &self.kind {
            Kind::Identifier { name, .. } => Some(name.clone()),
            Kind::Select { operand, field, optional: false } => Some(format!("{}.{field}", operand.dotted()?)),
            _ => None,
        }
    }

    /// The plain identifier it is, if it is one.
    pub(crate) fn identifier(&self) -> Option<&str> {
        match &self.kind {
            Kind::Identifier { name, absolute: false } => Some(name),
            _ => None,
        }
    }
}
