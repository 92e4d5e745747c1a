//! From the tree that was written to the one that runs.

use super::{Access, Node, Root, Step};
use crate::environment::Environment;
use crate::error::{CompileError, Position};
use crate::syntax::{Expression, Kind};
use crate::types::{Substitution, Type};
use crate::value::is_key;

/// A node and the type of its value.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) node: Node,
    pub(super) kind: Type,
}

/// State of one compilation.
pub(super) struct Planner<'e> {
    pub(super) environment: &'e Environment,
    source: &'e str,
    /// Names bound by comprehensions around, innermost last.
    pub(super) locals: Vec<(String, Type)>,
    /// Variables the program uses, by number.
    pub(super) globals: Vec<String>,
    pub(super) types: Substitution,
    /// Types that must be the same in the end, and where.
    pub(super) alike: Vec<(usize, Type, Type)>,
    /// Calls of `format` around.
    pub(super) mixed: usize,
}

pub(super) type Planning<T> = Result<T, CompileError>;

/// The node, the type of its value, and the variables it reads.
pub(crate) fn plan(environment: &Environment, source: &str, expression: &Expression) -> Planning<(Node, Type, Vec<String>)> {
    let mut planner = Planner { environment, source, locals: Vec::new(), globals: Vec::new(), types: Substitution::default(), alike: Vec::new(), mixed: 0 };
    let planned = planner.plan(expression)?;
    planner.settle()?;
    // Without a check types are guesses.
    let kind = if environment.checked { planner.types.resolve(&planned.kind) } else { Type::Dyn };
    Ok((planned.node, kind, planner.globals))
}

// === impl Planner ===

impl Planner<'_> {
    pub(super) fn error<T>(&self, at: &Expression, message: impl Into<String>) -> Planning<T> {
        Err(CompileError { position: Position::of(self.source, at.at), message: message.into() })
    }

    /// Elements of one literal must be of one type, to the letter.
    fn settle(&self) -> Planning<()> {
        for (at, first, other) in &self.alike {
            let (first, other) = (self.types.resolve(first), self.types.resolve(other));
            if first != other {
                let message = format!("elements of a list or map must be of one type, not {first} and {other}; write dyn(…) around each where that is meant");
                return Err(CompileError { position: Position::of(self.source, *at), message });
            }
        }
        Ok(())
    }

    pub(super) fn plan(&mut self, expression: &Expression) -> Planning<Planned> {
        match &expression.kind {
            Kind::Literal(literal) => Ok(self.literal(literal)),
            Kind::Identifier { name, absolute } => self.identifier(expression, name, *absolute),
            Kind::Select { operand, field, optional } => match self.qualified(expression)? {
                Some(planned) => Ok(planned),
                None => self.select(expression, operand, field, *optional),
            },
            Kind::Index { operand, key, optional } => self.index(expression, operand, key, *optional),
            Kind::Call { receiver, function, arguments } => self.call(expression, receiver.as_deref(), function, arguments),
            Kind::List(elements) => self.list(elements),
            Kind::Map(entries) => self.map(entries),
            Kind::Message(name) => self.error(expression, format!("{name}{{…}}: Kubernetes' policies have no message types; write a map {{\"field\": value}}")),
            Kind::And(terms) => Ok(Planned { node: Node::And(self.terms(terms, "&&")?), kind: Type::Bool }),
            Kind::Or(terms) => Ok(Planned { node: Node::Or(self.terms(terms, "||")?), kind: Type::Bool }),
        }
    }

    fn terms(&mut self, terms: &[Expression], operator: &str) -> Planning<Vec<Node>> {
        let mut nodes = Vec::with_capacity(terms.len());
        for term in terms {
            nodes.push(self.truth(term, &format!("a side of {operator}"))?);
        }
        Ok(nodes)
    }

    /// Plans what must be a truth value.
    pub(super) fn truth(&mut self, expression: &Expression, what: &str) -> Planning<Node> {
        let planned = self.plan(expression)?;
        if !self.agree(&planned.kind, &Type::Bool) {
            let found = self.types.resolve(&planned.kind);
            return self.error(expression, format!("{what} must be bool, not {found}"));
        }
        Ok(planned.node)
    }

    /// Whether the types agree; always so when nothing is checked.
    pub(super) fn agree(&mut self, from: &Type, to: &Type) -> bool {
        !self.environment.checked || self.types.agree(from, to)
    }

    /// `operand.field`.
    pub(super) fn select(&mut self, at: &Expression, operand: &Expression, field: &str, optional: bool) -> Planning<Planned> {
        if let Some(member) = self.member(operand, field).filter(|_| !optional) {
            return Ok(member);
        }
        let operand = self.plan(operand)?;
        let kind = self.field_type(at, &operand.kind, field)?;
        let kind = if optional && !matches!(kind, Type::Optional(_)) { Type::optional(kind) } else { kind };
        Ok(Planned { node: extended(operand.node, Step { key: super::Key::Field(field.into()), optional }), kind })
    }

    fn field_type(&mut self, at: &Expression, operand: &Type, field: &str) -> Planning<Type> {
        Ok(match self.types.shallow(operand) {
            Type::Map(_, value) => value.as_ref().clone(),
            Type::Dyn | Type::Variable(_) => Type::Dyn,
            Type::Optional(inner) => match self.field_type(at, &inner, field)? {
                already @ Type::Optional(_) => already,
                other => Type::optional(other),
            },
            Type::Object(object) => match object.fields.get(field) {
                Some(kind) => kind.clone(),
                None => {
                    let known: Vec<&str> = object.fields.keys().map(String::as_str).collect();
                    return self.error(at, format!("undefined field '{field}' of {}; it has {}", object.name, known.join(", ")));
                }
            },
            _ if !self.environment.checked => Type::Dyn,
            other => return self.error(at, format!("type {other} has no fields")),
        })
    }

    fn index(&mut self, at: &Expression, operand: &Expression, key: &Expression, optional: bool) -> Planning<Planned> {
        let operand = self.plan(operand)?;
        let key_at = key;
        let key = self.plan(key)?;
        let kind = self.element_type(at, &operand.kind, &key.kind)?;
        // Of a dynamic value it is not known whether it is optional already.
        let known = !matches!(self.types.shallow(&operand.kind), Type::Dyn | Type::Variable(_));
        let kind = if optional && known && !matches!(kind, Type::Optional(_)) { Type::optional(kind) } else { kind };
        let key = match key.node {
            Node::Constant(value) if !is_key(&value) && self.environment.checked => {
                return self.error(key_at, format!("nothing can be found by a {}", value.type_name()));
            }
            Node::Constant(value) => super::Key::Constant(value),
            node => super::Key::Node(node),
        };
        Ok(Planned { node: extended(operand.node, Step { key, optional }), kind })
    }

    fn element_type(&mut self, at: &Expression, operand: &Type, key: &Type) -> Planning<Type> {
        let operand = self.types.shallow(operand);
        let (wanted, element) = match &operand {
            Type::List(element) => (Type::Int, element.as_ref().clone()),
            Type::Map(key, value) => (key.as_ref().clone(), value.as_ref().clone()),
            Type::Dyn | Type::Variable(_) | Type::Null => (Type::Dyn, Type::Dyn),
            Type::Optional(inner) => {
                let element = self.element_type(at, inner, key)?;
                return Ok(if matches!(element, Type::Optional(_)) { element } else { Type::optional(element) });
            }
            // A typed object is a map underneath, but the API server's types have no index.
            other if self.environment.checked => return self.error(at, format!("type {other} has no elements")),
            _ => (Type::Dyn, Type::Dyn),
        };
        if !self.agree(key, &wanted) {
            let (found, operand) = (self.types.resolve(key), self.types.resolve(&operand));
            return self.error(at, format!("{operand} cannot be indexed by {found}"));
        }
        Ok(element)
    }
}

/// The way into a value made one step longer.
fn extended(node: Node, step: Step) -> Node {
    match node {
        Node::Access(mut access) if !access.test => {
            access.steps.push(step);
            Node::Access(access)
        }
        other => Node::Access(Box::new(Access { root: Root::Node(other), steps: vec![step], test: false })),
    }
}
