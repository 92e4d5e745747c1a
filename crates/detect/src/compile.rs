//! From trees to programs: lists are put in, names resolved, equal parts joined.

mod event_types;
mod merge;

pub use event_types::EventTypes;

use crate::condition::{Check, Expression, Literal, Operand, Operator, Right};
use crate::field::{CommonField, FieldId, Source};
use crate::loader::{Lists, RuleItem, SequenceItem};
use crate::operand;
use crate::output::Output;
use crate::problem::{Place, Report};
use crate::program::{self, NodeId, Program};
use crate::ruleset::{Rule, RuleSet};
use crate::sequence::{Key, Sequence, Step};
use crate::test;
use std::collections::HashMap;
use std::time::Duration;

/// Values after lists are put in, over all comparisons of a load.
const MAX_VALUES: usize = 2_000_000;
/// A rule for more event types than this is asked too often.
const MANY_TYPES: usize = 100;

/// Compiles rules one after the other.
pub(crate) struct Compiler {
    lists: Lists,
    macros: HashMap<String, (Place, Expression)>,
    /// Macros compiled so far; `None` while on the way, and after a failure.
    compiled: HashMap<(Source, String), Option<NodeId>>,
    programs: [Program; 2],
    rules: Vec<Rule>,
    sequences: Vec<Sequence>,
    values: usize,
}

/// Why a condition does not compile. `unknown` when only a name is unknown.
struct Failure {
    message: String,
    unknown: bool,
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Failure { message, unknown: false }
    }
}

// === impl Compiler ===

impl Compiler {
    pub(crate) fn new(lists: Lists, macros: HashMap<String, (Place, Expression)>) -> Self {
        Compiler {
            lists,
            macros,
            compiled: HashMap::new(),
            programs: [Program::default(), Program::default()],
            rules: Vec::new(),
            sequences: Vec::new(),
            values: 0,
        }
    }

    pub(crate) fn rule(&mut self, item: RuleItem, expression: Expression, report: &mut Report) {
        let source = item.source;
        let condition = match self.condition(source, &expression) {
            Ok(condition) => condition,
            Err(failure) if failure.unknown && item.skip_if_unknown => {
                report.warn(&item.place, format!("rule {:?} is left out: {}", item.name, failure.message));
                return;
            }
            Err(failure) => return report.fail(&item.place, format!("rule {:?}: {}", item.name, failure.message)),
        };
        let output = match Output::compile(source, &item.output) {
            Ok(output) => output,
            Err(message) => return report.fail(&item.place, format!("rule {:?}: output: {message}", item.name)),
        };
        let event_types = self.programs[slot(source)].types(condition);
        if source == Source::Syscall && item.warn_event_types && event_types.count().is_none_or(|n| n > MANY_TYPES) {
            report.warn(&item.place, format!("rule {:?} is not bound to event types: add evt.type in (…) so that it is not asked for every event", item.name));
        }
        if item.desc.trim().is_empty() {
            report.warn(&item.place, format!("rule {:?} has no description", item.name));
        }
        self.rules.push(Rule {
            name: item.name,
            desc: item.desc.trim().to_owned(),
            source,
            priority: item.priority,
            tags: item.tags,
            enabled: item.enabled,
            place: item.place,
            guidance: item.guidance,
            event_types,
            output,
            condition,
        });
    }

    pub(crate) fn sequence(&mut self, item: SequenceItem, conditions: &[Expression], report: &mut Report) {
        let result = self.compile_sequence(&item, conditions);
        match result {
            Ok((steps, key, output)) => self.sequences.push(Sequence {
                name: item.name,
                desc: item.desc.trim().to_owned(),
                source: item.source,
                priority: item.priority,
                tags: item.tags,
                enabled: item.enabled,
                place: item.place,
                guidance: item.guidance,
                window: Duration::from_secs(item.window),
                output,
                key,
                steps,
            }),
            Err(failure) => report.fail(&item.place, format!("sequence {:?}: {}", item.name, failure.message)),
        }
    }

    fn compile_sequence(&mut self, item: &SequenceItem, conditions: &[Expression]) -> Result<(Vec<Step>, Vec<Key>, Output), Failure> {
        let source = item.source;
        let field = |name: &str| -> Result<Key, Failure> {
            let (parsed, used) = crate::condition::parse_operand(name).map_err(|e| Failure::from(e.message))?;
            if used != name.len() {
                return Err(format!("{name:?} is not a field").into());
            }
            Ok(Key { name: name.to_owned(), operand: operand::compile(source, &parsed)?.operand })
        };
        let key = item.key.iter().map(|k| field(k)).collect::<Result<Vec<_>, _>>()?;
        let output = Output::compile(source, &item.output)?;
        let mut steps = Vec::new();
        for (step, condition) in item.steps.iter().zip(conditions) {
            steps.push(Step {
                condition: self.condition(source, condition)?,
                count: step.count,
                distinct: step.distinct.as_deref().map(field).transpose()?,
                new: step.new.as_deref().map(field).transpose()?,
            });
        }
        Ok((steps, key, output))
    }

    /// All rules and sequences, indexed.
    pub(crate) fn finish(self) -> RuleSet {
        let mut set = RuleSet {
            rules: self.rules,
            sequences: self.sequences,
            programs: self.programs,
            by_source: [Vec::new(), Vec::new()],
            by_type: HashMap::new(),
            everything: Vec::new(),
        };
        for (index, rule) in set.rules.iter().enumerate() {
            let index = index as u32;
            if rule.event_types.count() == Some(0) {
                continue;
            }
            set.by_source[slot(rule.source)].push(index);
            match (&rule.event_types, rule.source) {
                (EventTypes::Only(names), Source::Syscall) => {
                    for name in names {
                        set.by_type.entry(name.clone()).or_default().push(index);
                    }
                }
                (_, Source::Syscall) => set.everything.push(index),
                (_, Source::Audit) => {}
            }
        }
        set
    }

    fn condition(&mut self, source: Source, expression: &Expression) -> Result<NodeId, Failure> {
        self.macros_of(source, expression)?;
        let id = self.build(source, expression)?;
        let depth = self.programs[slot(source)].depth(id);
        if depth > program::MAX_DEPTH {
            return Err(format!("macros are nested {depth} deep, more than {}", program::MAX_DEPTH).into());
        }
        Ok(id)
    }

    /// Compiles the macros an expression stands on, deepest first, without recursion.
    fn macros_of(&mut self, source: Source, expression: &Expression) -> Result<(), Failure> {
        let mut pending: Vec<String> = names(expression);
        while let Some(name) = pending.last().cloned() {
            match self.compiled.get(&(source, name.clone())) {
                Some(Some(_)) => {
                    pending.pop();
                    continue;
                }
                Some(None) => {}
                None => {
                    let Some((_, body)) = self.macros.get(&name) else {
                        let hint = if self.lists.expand(&Literal { text: name.clone(), quoted: false }).is_some() { "; it is a list, use field in (…)" } else { "" };
                        return Err(Failure { message: format!("{name} is not a macro that is defined{hint}"), unknown: true });
                    };
                    let inner: Vec<String> = names(body).into_iter().filter(|n| !matches!(self.compiled.get(&(source, n.clone())), Some(Some(_)))).collect();
                    self.compiled.insert((source, name.clone()), None);
                    if let Some(circle) = inner.iter().find(|n| matches!(self.compiled.get(&(source, (*n).clone())), Some(None))) {
                        self.compiled.remove(&(source, name.clone()));
                        return Err(format!("macro {circle} contains itself, by way of {name}, or failed before").into());
                    }
                    pending.extend(inner);
                    continue;
                }
            }
            let Some((place, body)) = self.macros.get(&name).cloned() else { break };
            let built = self.build(source, &body).and_then(|id| {
                let depth = self.programs[slot(source)].depth(id);
                if depth > program::MAX_DEPTH { Err(format!("nested {depth} deep, more than {}", program::MAX_DEPTH).into()) } else { Ok(id) }
            });
            match built {
                Ok(id) => {
                    self.compiled.insert((source, name.clone()), Some(id));
                    pending.pop();
                }
                Err(failure) => {
                    // Forgotten, so that the next rule gets the reason too.
                    for name in pending {
                        if matches!(self.compiled.get(&(source, name.clone())), Some(None)) {
                            self.compiled.remove(&(source, name));
                        }
                    }
                    let Place { file, line } = place;
                    return Err(Failure { message: format!("in macro {name} ({file}:{line}): {}", failure.message), ..failure });
                }
            }
        }
        Ok(())
    }

    fn build(&mut self, source: Source, expression: &Expression) -> Result<NodeId, Failure> {
        let program = slot(source);
        match expression {
            Expression::Macro(name) => match self.compiled.get(&(source, name.clone())) {
                Some(Some(id)) => Ok(*id),
                _ => Err(Failure { message: format!("{name} is not a macro that is defined"), unknown: true }),
            },
            Expression::Not(inner) => {
                let inner = self.build(source, inner)?;
                Ok(self.programs[program].not(inner))
            }
            Expression::And(parts) => {
                let parts = parts.iter().map(|p| self.build(source, p)).collect::<Result<Vec<_>, _>>()?;
                Ok(self.programs[program].and(parts))
            }
            Expression::Or(parts) => {
                let parts = merge::alternatives(parts).iter().map(|p| self.build(source, p)).collect::<Result<Vec<_>, _>>()?;
                Ok(self.programs[program].or(parts))
            }
            Expression::Check(check) => self.check(source, check),
        }
    }

    fn check(&mut self, source: Source, check: &Check) -> Result<NodeId, Failure> {
        let values = self.values_of(check)?;
        self.values += values.len();
        if self.values > MAX_VALUES {
            return Err(format!("more than {MAX_VALUES} values in all conditions together").into());
        }
        let left = operand::compile(source, &check.left).map_err(|message| Failure { message, unknown: true })?;
        let program = &mut self.programs[slot(source)];
        if let Some(value) = constant(&left.operand, check.operator, &values) {
            return Ok(program.constant(value));
        }
        let types = EventTypes::of(&left.operand, check.operator, &values);
        let key = format!("{:?} {:?} {:?} {:?} {values:?}", left.operand, check.operator, check.quantifier, right_key(&check.right));
        let name = describe(&check.left);
        let make = || {
            let test = match &check.right {
                Right::Operand(right) => against(source, &left, check.operator, right)?,
                _ => test::build(left.kind, left.list, check.operator, check.quantifier, &values)?,
            };
            Ok((left.operand, test))
        };
        program.add_check(key, types, make).map_err(|message| format!("{name}: {message}").into())
    }

    /// The right side's values, lists put in.
    fn values_of(&self, check: &Check) -> Result<Vec<String>, Failure> {
        let literals = match &check.right {
            Right::Nothing | Right::Operand(_) => return Ok(Vec::new()),
            Right::Value(literal) => std::slice::from_ref(literal),
            Right::List(literals) => literals.as_slice(),
        };
        let mut values = Vec::new();
        for literal in literals {
            match self.lists.expand(literal) {
                Some(many) => values.extend(many.iter().cloned()),
                None => values.push(literal.text.clone()),
            }
        }
        Ok(values)
    }
}

fn against(source: Source, left: &operand::Typed, operator: Operator, right: &Operand) -> Result<test::Test, String> {
    test::allowed(left.kind, left.list, operator)?;
    let right = operand::compile(source, right)?;
    if !right.movable {
        return Err("this field cannot stand on the right side".into());
    }
    if matches!(operator, Operator::Glob | Operator::GlobIgnoringCase | Operator::Regex) {
        return Err(format!("{} takes a pattern that is written out, not a field", operator.name()));
    }
    if right.kind != left.kind && !right.list {
        return Err(format!("the sides have different types ({:?} and {:?})", left.kind, right.kind));
    }
    Ok(test::Test::Against(operator, right.operand))
}

/// Comparisons that are decided before any event: only exit events exist, and no event is number 0.
fn constant(left: &operand::Compiled, operator: Operator, values: &[String]) -> Option<bool> {
    let operand::Compiled::Field(FieldId::Common(field), _) = left else { return None };
    let wanted = match field {
        CommonField::Direction => "<",
        CommonField::Number if matches!(values, [v] if v == "0") => "",
        _ => return None,
    };
    match operator {
        Operator::Equal | Operator::In => Some(values.iter().any(|v| v == wanted)),
        Operator::NotEqual => Some(!values.iter().any(|v| v == wanted)),
        _ => None,
    }
}

/// Names of the macros in an expression.
fn names(expression: &Expression) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![expression];
    while let Some(one) = open.pop() {
        match one {
            Expression::Macro(name) => found.push(name.clone()),
            Expression::Not(inner) => open.push(inner),
            Expression::And(parts) | Expression::Or(parts) => open.extend(parts),
            Expression::Check(_) => {}
        }
    }
    found
}

fn describe(operand: &Operand) -> String {
    match operand {
        Operand::Field { name, argument: Some(argument) } => format!("{name}[{argument}]"),
        Operand::Field { name, .. } | Operand::Transform { name, .. } => name.clone(),
        Operand::Literal(text) => text.clone(),
        Operand::List(_) => "list".into(),
    }
}

fn right_key(right: &Right) -> Option<&Operand> {
    match right {
        Right::Operand(operand) => Some(operand),
        _ => None,
    }
}

fn slot(source: Source) -> usize {
    match source {
        Source::Syscall => 0,
        Source::Audit => 1,
    }
}
