//! Conditions as one graph per source: equal parts exist once.
//!
//! Macros are shared, not copied, so a condition costs what its text is long, however often a macro
//! stands in it, and at run time each node is evaluated at most once per event.

use crate::compile::EventTypes;
use crate::operand::Compiled;
use crate::test::Test;
use std::collections::HashMap;

/// Longest way from a condition to its deepest comparison: evaluation recurses as deep.
pub(crate) const MAX_DEPTH: u16 = 400;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct NodeId(pub(crate) u32);

/// A part of a condition. Children have smaller numbers than their parents.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Node {
    Constant(bool),
    Check(u32),
    Not(NodeId),
    And(Box<[NodeId]>),
    Or(Box<[NodeId]>),
}

/// A comparison, compiled.
#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) left: Compiled,
    pub(crate) test: Test,
    /// Which left side it is, among those of the program.
    pub(crate) value: u32,
}

/// All conditions of a source.
#[derive(Debug, Default)]
pub(crate) struct Program {
    nodes: Vec<Node>,
    checks: Vec<Check>,
    facts: Vec<Facts>,
    known: HashMap<Node, NodeId>,
    known_checks: HashMap<String, NodeId>,
    /// Left sides, each once.
    lefts: HashMap<Compiled, u32>,
}

/// What is known of a node before any event: for which event types it can hold, and can fail.
#[derive(Debug)]
struct Facts {
    depth: u16,
    holds: EventTypes,
    fails: EventTypes,
}

// === impl Program ===

impl Program {
    pub(crate) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.0 as usize)
    }

    pub(crate) fn check(&self, index: u32) -> Option<&Check> {
        self.checks.get(index as usize)
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// How many different left sides there are.
    pub(crate) fn values(&self) -> usize {
        self.lefts.len()
    }

    /// Event types the condition can hold for.
    pub(crate) fn types(&self, id: NodeId) -> EventTypes {
        self.facts.get(id.0 as usize).map_or(EventTypes::All, |f| f.holds.clone())
    }

    fn failing(&self, id: NodeId) -> EventTypes {
        self.facts.get(id.0 as usize).map_or(EventTypes::All, |f| f.fails.clone())
    }

    pub(crate) fn depth(&self, id: NodeId) -> u16 {
        self.facts.get(id.0 as usize).map_or(0, |f| f.depth)
    }

    /// The node that is this constant.
    pub(crate) fn constant(&mut self, value: bool) -> NodeId {
        let (holds, fails) = if value { (EventTypes::All, EventTypes::none()) } else { (EventTypes::none(), EventTypes::All) };
        self.add(Node::Constant(value), Facts { depth: 1, holds, fails })
    }

    /// The node of a comparison; `key` says which comparisons are the same.
    pub(crate) fn add_check(&mut self, key: String, types: EventTypes, make: impl FnOnce() -> Result<(Compiled, Test), String>) -> Result<NodeId, String> {
        if let Some(id) = self.known_checks.get(&key) {
            return Ok(*id);
        }
        let (left, test) = make()?;
        let next = self.lefts.len() as u32;
        let value = *self.lefts.entry(left.clone()).or_insert(next);
        let index = self.checks.len() as u32;
        self.checks.push(Check { left, test, value });
        let fails = types.clone().complement();
        let id = self.add(Node::Check(index), Facts { depth: 1, holds: types, fails });
        self.known_checks.insert(key, id);
        Ok(id)
    }

    pub(crate) fn not(&mut self, inner: NodeId) -> NodeId {
        match self.node(inner) {
            Some(Node::Constant(value)) => {
                let value = !value;
                self.constant(value)
            }
            Some(Node::Not(twice)) => *twice,
            _ => {
                let depth = self.depth(inner).saturating_add(1);
                let (holds, fails) = (self.failing(inner), self.types(inner));
                self.add(Node::Not(inner), Facts { depth, holds, fails })
            }
        }
    }

    pub(crate) fn and(&mut self, parts: Vec<NodeId>) -> NodeId {
        self.join(parts, true)
    }

    pub(crate) fn or(&mut self, parts: Vec<NodeId>) -> NodeId {
        self.join(parts, false)
    }

    /// `and` is decided by a false part, `or` by a true one; the other constant means nothing.
    fn join(&mut self, parts: Vec<NodeId>, and: bool) -> NodeId {
        let mut kept = Vec::new();
        for part in parts {
            match self.node(part) {
                Some(Node::Constant(value)) if *value == and => {}
                Some(Node::Constant(_)) => return self.constant(!and),
                Some(Node::And(inner)) if and => kept.extend(inner.iter().copied()),
                Some(Node::Or(inner)) if !and => kept.extend(inner.iter().copied()),
                _ => kept.push(part),
            }
        }
        let mut seen = std::collections::HashSet::new();
        kept.retain(|id| seen.insert(*id));
        match kept.as_slice() {
            [] => self.constant(and),
            [one] => *one,
            many => {
                let depth = many.iter().map(|id| self.depth(*id)).max().unwrap_or(0).saturating_add(1);
                let (holds, fails): (Vec<_>, Vec<_>) = many.iter().map(|id| (self.types(*id), self.failing(*id))).unzip();
                let every = |all: Vec<EventTypes>| all.into_iter().fold(EventTypes::All, EventTypes::intersection);
                let some = |all: Vec<EventTypes>| all.into_iter().fold(EventTypes::none(), EventTypes::union);
                let parts: Box<[NodeId]> = many.into();
                if and {
                    self.add(Node::And(parts), Facts { depth, holds: every(holds), fails: some(fails) })
                } else {
                    self.add(Node::Or(parts), Facts { depth, holds: some(holds), fails: every(fails) })
                }
            }
        }
    }

    fn add(&mut self, node: Node, facts: Facts) -> NodeId {
        if let Some(id) = self.known.get(&node) {
            return *id;
        }
        let id = NodeId(self.nodes.len() as u32);
        self.nodes.push(node.clone());
        self.facts.push(facts);
        self.known.insert(node, id);
        id
    }
}
