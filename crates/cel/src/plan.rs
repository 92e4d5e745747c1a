//! An expression ready to run: names resolved, types checked, constants made, costs known.

mod calls;
mod formats;
mod literals;
mod macros;
mod names;
mod planner;

pub(crate) use planner::plan;

use crate::cost::Rule;
use crate::library::{Overload, Pattern, Run};
use crate::value::Value;

/// A step of the evaluation.
#[derive(Debug)]
pub(crate) enum Node {
    Constant(Value<'static>),
    Access(Box<Access>),
    And(Vec<Node>),
    Or(Vec<Node>),
    /// Condition, and the two branches.
    Conditional(Box<[Node; 3]>),
    Equal { sides: Box<[Node; 2]>, negated: bool },
    /// Membership in a constant list of scalars; it costs nothing.
    Member { item: Box<Node>, list: Vec<Value<'static>> },
    Call(Box<Call>),
    /// Elements; the flag marks optional ones.
    List(Vec<(Node, bool)>),
    /// Keys and values; the flag marks optional ones.
    Map(Vec<(Node, Node, bool)>),
    Fold(Box<Fold>),
    /// A value under a name, and what is said about it.
    Bind(Box<[Node; 2]>),
    /// `or` and `orValue`: the second side is looked at only when the first has no value.
    Otherwise { sides: Box<[Node; 2]>, unwrap: bool },
    /// `optMap` and `optFlatMap`: what is done with a value that is there.
    IfPresent { sides: Box<[Node; 2]>, flat: bool },
}

/// A variable or value, and the way from it into its depth.
#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) root: Root,
    pub(crate) steps: Vec<Step>,
    /// `has(…)`: whether the last step leads somewhere.
    pub(crate) test: bool,
}

#[derive(Debug)]
pub(crate) enum Root {
    /// A name bound by a comprehension, by its depth.
    Local(usize),
    /// A variable of the environment, by its number in the program.
    Global(usize),
    /// A variable of a group: it costs one more, for the selection.
    Member(usize),
    Node(Node),
}

#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) key: Key,
    pub(crate) optional: bool,
}

#[derive(Debug)]
pub(crate) enum Key {
    Field(Box<str>),
    Constant(Value<'static>),
    Node(Node),
}

/// A function with its arguments.
pub(crate) struct Call {
    pub(crate) arguments: Vec<Node>,
    pub(crate) target: Target,
    pub(crate) rule: Rule,
    /// The pattern argument, when it is constant.
    pub(crate) pattern: Option<Pattern>,
}

pub(crate) enum Target {
    One(Run),
    /// Forms that the arguments choose from when they are known.
    Several(Vec<&'static Overload>),
}

/// Something done with every element of a list or map.
#[derive(Debug)]
pub(crate) struct Fold {
    pub(crate) kind: FoldKind,
    pub(crate) range: Node,
    /// Index or key, and element: two names instead of one.
    pub(crate) pairs: bool,
    /// Which elements count; for `all` and `exists`, what is asked of them.
    pub(crate) condition: Option<Node>,
    /// What is made of an element.
    pub(crate) transform: Option<Node>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum FoldKind {
    All,
    Exists,
    ExistsOne,
    /// `map`, `filter`, `transformList`.
    List,
    /// `transformMap`: same keys, other values.
    Map,
    /// `transformMapEntry`: the transform gives a map of new entries.
    Entries,
}

// === impl Call ===

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("arguments", &self.arguments).field("rule", &self.rule).finish_non_exhaustive()
    }
}
