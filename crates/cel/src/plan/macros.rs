//! Macros: `has`, the comprehensions, and what binds a name.

use super::names::access;
use super::planner::{Planned, Planner, Planning};
use super::{Access, Fold, FoldKind, Node, Root, Step};
use crate::syntax::{Expression, Kind};
use crate::types::Type;

/// Kubernetes' version that brought comprehensions with two names.
const PAIRS: u8 = 32;
const SORT_BY: u8 = 34;
const OPTIONALS: u8 = 28;

// === impl Planner ===

impl Planner<'_> {
    /// The meaning of a call that is a macro; `None` when it is a function.
    pub(super) fn expand(
        &mut self,
        at: &Expression,
        receiver: Option<&Expression>,
        function: &str,
        arguments: &[Expression],
    ) -> Planning<Option<Planned>> {
        let minor = self.environment.minor;
        let planned = match (receiver, function, arguments) {
            (None, "has", [argument]) => self.has(argument)?,
            (Some(range), "all", [name, condition]) => self.fold(at, range, FoldKind::All, &[name], Some(condition), None)?,
            (Some(range), "exists", [name, condition]) => self.fold(at, range, FoldKind::Exists, &[name], Some(condition), None)?,
            (Some(range), "exists_one", [name, condition]) => {
                self.fold(at, range, FoldKind::ExistsOne, &[name], Some(condition), None)?
            }
            (Some(range), "map", [name, transform]) => self.fold(at, range, FoldKind::List, &[name], None, Some(transform))?,
            (Some(range), "map", [name, condition, transform]) => {
                self.fold(at, range, FoldKind::List, &[name], Some(condition), Some(transform))?
            }
            (Some(range), "filter", [name, condition]) => self.fold(at, range, FoldKind::List, &[name], Some(condition), Some(name))?,
            (Some(range), _, [first, second, rest @ ..]) if minor >= PAIRS && pairs(function, rest.len()).is_some() => {
                let Some(kind) = pairs(function, rest.len()) else { return Ok(None) };
                let (condition, transform) = match (kind, rest) {
                    (FoldKind::All | FoldKind::Exists | FoldKind::ExistsOne, [condition]) => (Some(condition), None),
                    (_, [transform]) => (None, Some(transform)),
                    (_, [condition, transform]) => (Some(condition), Some(transform)),
                    _ => return Ok(None),
                };
                self.fold(at, range, kind, &[first, second], condition, transform)?
            }
            (Some(target), "optMap" | "optFlatMap", [name, body]) if minor >= OPTIONALS => {
                self.if_present(target, name, body, function == "optFlatMap")?
            }
            (Some(range), "sortBy", [name, key]) if minor >= SORT_BY => self.sort_by(at, range, name, key)?,
            (Some(cel), "bind", [name, value, body]) if self.environment.bindings && cel.identifier() == Some("cel") => {
                self.bind(name, value, body)?
            }
            _ => return Ok(None),
        };
        Ok(Some(planned))
    }

    fn has(&mut self, argument: &Expression) -> Planning<Planned> {
        let Kind::Select { operand, field, optional: false } = &argument.kind else {
            return self.error(argument, "has() takes a field selection such as has(object.spec)");
        };
        if self.qualified(argument)?.is_some() {
            return self.error(argument, "has() takes a field selection such as has(object.spec)");
        }
        if self.member(operand, field).is_some() {
            // A variable that is declared is there; finding it is one step into a map that has it.
            let mut map = crate::value::MapBuilder::default();
            map.replace(crate::Key::String(field.as_str().into()), crate::Value::Null);
            let access = Access {
                root: Root::Node(Node::Constant(map.finish())),
                steps: vec![Step { key: super::Key::Field(field.as_str().into()), optional: false }],
                test: true,
            };
            return Ok(Planned { node: Node::Access(Box::new(access)), kind: Type::Bool });
        }
        let mut planned = self.select(argument, operand, field, false)?;
        if let Node::Access(access) = &mut planned.node {
            access.test = true;
        }
        Ok(Planned { node: planned.node, kind: Type::Bool })
    }

    fn name_of(&self, expression: &Expression) -> Planning<String> {
        match expression.identifier() {
            Some(name) => Ok(name.to_owned()),
            None => self.error(expression, "the first argument must be a simple name"),
        }
    }

    fn fold(
        &mut self,
        at: &Expression,
        range: &Expression,
        kind: FoldKind,
        names: &[&Expression],
        condition: Option<&Expression>,
        transform: Option<&Expression>,
    ) -> Planning<Planned> {
        let planned = self.plan(range)?;
        self.fold_over(at, planned, kind, names, condition, transform)
    }

    fn fold_over(
        &mut self,
        at: &Expression,
        range: Planned,
        kind: FoldKind,
        names: &[&Expression],
        condition: Option<&Expression>,
        transform: Option<&Expression>,
    ) -> Planning<Planned> {
        let pairs = names.len() == 2;
        let (first, second) = self.element_types(at, &range.kind, pairs)?;
        let key = first.clone();
        let outside = self.locals.len();
        for (name, kind) in names.iter().zip([first, second]) {
            let name_text = self.name_of(name)?;
            if self.locals.iter().skip(outside).any(|(other, _)| *other == name_text) {
                return self.error(name, format!("duplicate variable name: {name_text}"));
            }
            self.locals.push((name_text, kind));
        }
        let condition = condition.map(|c| self.truth(c, "the condition of a comprehension")).transpose()?;
        let transform = transform.map(|t| self.plan(t)).transpose()?;
        self.locals.truncate(outside);
        let made = transform.as_ref().map_or(Type::Bool, |t| t.kind.clone());
        let result = match kind {
            FoldKind::All | FoldKind::Exists | FoldKind::ExistsOne => Type::Bool,
            FoldKind::List => Type::list(made),
            FoldKind::Map => Type::map(key, made),
            FoldKind::Entries => self.entries_type(at, made)?,
        };
        let fold = Fold { kind, range: range.node, pairs, condition, transform: transform.map(|t| t.node) };
        Ok(Planned { node: Node::Fold(Box::new(fold)), kind: result })
    }

    fn entries_type(&mut self, at: &Expression, made: Type) -> Planning<Type> {
        match self.types.shallow(&made) {
            map @ Type::Map(..) => Ok(map),
            Type::Dyn | Type::Variable(_) => Ok(Type::map(Type::Dyn, Type::Dyn)),
            _ if !self.environment.checked => Ok(Type::Dyn),
            other => self.error(at, format!("transformMapEntry makes maps, not {other}")),
        }
    }

    /// Types of the names a comprehension over this range binds.
    fn element_types(&mut self, at: &Expression, range: &Type, pairs: bool) -> Planning<(Type, Type)> {
        Ok(match self.types.shallow(range) {
            Type::List(element) if pairs => (Type::Int, element.as_ref().clone()),
            Type::List(element) => (element.as_ref().clone(), Type::Dyn),
            Type::Map(key, value) => (key.as_ref().clone(), value.as_ref().clone()),
            Type::Dyn | Type::Variable(_) => (Type::Dyn, Type::Dyn),
            _ if !self.environment.checked => (Type::Dyn, Type::Dyn),
            other => return self.error(at, format!("{other} has no elements to go through; a list or map is needed")),
        })
    }

    fn if_present(&mut self, target: &Expression, name: &Expression, body: &Expression, flat: bool) -> Planning<Planned> {
        let planned = self.plan(target)?;
        let inner = match self.types.shallow(&planned.kind) {
            Type::Optional(inner) => inner.as_ref().clone(),
            Type::Dyn | Type::Variable(_) | Type::Null => Type::Dyn,
            _ if !self.environment.checked => Type::Dyn,
            other => return self.error(target, format!("optMap and optFlatMap are for optional values, not {other}")),
        };
        let name = self.name_of(name)?;
        self.locals.push((name, inner));
        let made = self.plan(body);
        self.locals.pop();
        let made = made?;
        let kind = if flat {
            let wanted = Type::optional(self.types.fresh());
            if !self.agree(&made.kind, &wanted) {
                let found = self.types.resolve(&made.kind);
                return self.error(body, format!("optFlatMap needs an optional value, not {found}"));
            }
            made.kind
        } else {
            Type::optional(made.kind)
        };
        Ok(Planned { node: Node::IfPresent { sides: Box::new([planned.node, made.node]), flat }, kind })
    }

    fn bind(&mut self, name: &Expression, value: &Expression, body: &Expression) -> Planning<Planned> {
        let value = self.plan(value)?;
        let name = self.name_of(name)?;
        self.locals.push((name, value.kind));
        let body = self.plan(body);
        self.locals.pop();
        let body = body?;
        Ok(Planned { node: Node::Bind(Box::new([value.node, body.node])), kind: body.kind })
    }

    /// `range.sortBy(name, key)`: the range under a hidden name, sorted by its keys.
    fn sort_by(&mut self, at: &Expression, range: &Expression, name: &Expression, key: &Expression) -> Planning<Planned> {
        let planned = self.plan(range)?;
        let depth = self.locals.len();
        self.locals.push(("@sorted".into(), planned.kind.clone()));
        let input = || access(Root::Local(depth));
        let ranged = Planned { node: input(), kind: planned.kind.clone() };
        let keys = self.fold_over(at, ranged, FoldKind::List, &[name], None, Some(key));
        let sorted = match keys {
            Ok(keys) => {
                let list = Planned { node: input(), kind: planned.kind.clone() };
                self.function(at, "@sortByAssociatedKeys", true, vec![list, keys])
            }
            Err(error) => Err(error),
        };
        self.locals.pop();
        let sorted = sorted?;
        Ok(Planned { node: Node::Bind(Box::new([planned.node, sorted.node])), kind: sorted.kind })
    }
}

/// The comprehension with two names of that name and number of further arguments.
fn pairs(function: &str, rest: usize) -> Option<FoldKind> {
    Some(match (function, rest) {
        ("all", 1) => FoldKind::All,
        ("exists", 1) => FoldKind::Exists,
        ("exists_one" | "existsOne", 1) => FoldKind::ExistsOne,
        ("transformList", 1 | 2) => FoldKind::List,
        ("transformMap", 1 | 2) => FoldKind::Map,
        ("transformMapEntry", 1 | 2) => FoldKind::Entries,
        _ => return None,
    })
}
