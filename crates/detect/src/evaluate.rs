//! Evaluation with memory: a node's answer for the present event is kept.

use crate::event::Event;
use crate::program::{Node, NodeId, Program};

/// Answers for the present event; can be used again for the next.
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

// === impl Scratch ===

impl Scratch {
    /// Forgets the last event.
    pub(crate) fn begin(&mut self, program: &Program) {
        self.answers.clear();
        self.answers.resize(program.len(), Answer::Open);
    }

    /// Whether `id` holds. Recursion is as deep as the condition, which the compiler bounds.
    pub(crate) fn holds<E: Event>(&mut self, program: &Program, id: NodeId, event: &E) -> bool {
        match self.answers.get(id.0 as usize) {
            Some(Answer::Yes) => return true,
            Some(Answer::No) => return false,
            _ => {}
        }
        let answer = match program.node(id) {
            None => false,
            Some(Node::Constant(value)) => *value,
            Some(Node::Check(index)) => program.check(*index).is_some_and(|c| c.test.holds(&c.left.value(event, false), event)),
            Some(Node::Not(inner)) => !self.holds(program, *inner, event),
            Some(Node::And(parts)) => parts.iter().all(|p| self.holds(program, *p, event)),
            Some(Node::Or(parts)) => parts.iter().any(|p| self.holds(program, *p, event)),
        };
        if let Some(place) = self.answers.get_mut(id.0 as usize) {
            *place = if answer { Answer::Yes } else { Answer::No };
        }
        answer
    }
}
