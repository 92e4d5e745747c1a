//! Evaluation with memory: a node's answer for the present event is kept, and so is a field's value.

use crate::event::{Event, FieldValue};
use crate::program::{Node, NodeId, Program};

/// Memory of an evaluation; can be used again for the next.
#[derive(Debug, Default)]
pub struct Scratch {
    answers: Vec<Answer>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Answer {
    #[default]
    Open,
    No,
    Yes,
}

/// One event before one program.
pub(crate) struct Evaluation<'r, 'e, E> {
    program: &'r Program,
    event: &'e E,
    answers: &'r mut Vec<Answer>,
    /// What fields gave, by [`Check::value`](crate::program::Check).
    values: Vec<Option<FieldValue<'e>>>,
}

// === impl Scratch ===

impl Scratch {
    /// Forgets the last event.
    pub(crate) fn begin<'r, 'e, E: Event>(&'r mut self, program: &'r Program, event: &'e E) -> Evaluation<'r, 'e, E>
    where
        'r: 'e,
    {
        self.answers.clear();
        self.answers.resize(program.len(), Answer::Open);
        let mut values = Vec::new();
        values.resize_with(program.values(), || None);
        Evaluation { program, event, answers: &mut self.answers, values }
    }
}

// === impl Evaluation ===

impl<'r: 'e, 'e, E: Event> Evaluation<'r, 'e, E> {
    /// Whether `id` holds. Recursion is as deep as the condition, which the compiler bounds.
    pub(crate) fn holds(&mut self, id: NodeId) -> bool {
        match self.answers.get(id.0 as usize) {
            Some(Answer::Yes) => return true,
            Some(Answer::No) => return false,
            _ => {}
        }
        let answer = match self.program.node(id) {
            None => false,
            Some(Node::Constant(value)) => *value,
            Some(Node::Check(index)) => self.check(*index),
            Some(Node::Not(inner)) => !self.holds(*inner),
            Some(Node::And(parts)) => parts.iter().all(|p| self.holds(*p)),
            Some(Node::Or(parts)) => parts.iter().any(|p| self.holds(*p)),
        };
        if let Some(place) = self.answers.get_mut(id.0 as usize) {
            *place = if answer { Answer::Yes } else { Answer::No };
        }
        answer
    }

    fn check(&mut self, index: u32) -> bool {
        let program: &'r Program = self.program;
        let Some(check) = program.check(index) else { return false };
        let Some(place) = self.values.get_mut(check.value as usize) else { return false };
        let event: &'e E = self.event;
        check.test.holds(place.get_or_insert_with(|| check.left.value(event, false)), event)
    }
}
