//! Running a plan.

mod access;
mod fold;

use crate::cost::{self, Budget, Meter};
use crate::error::{EvaluationError, Outcome, fail};
use crate::library::{Context, Patterns};
use crate::plan::{Call, Node, Root};
use crate::program::Bindings;
use crate::value::{Key, MapBuilder, Value, equal, strictly_equal};

/// State of one evaluation. `'a` is the life of the values, `'e` that of the evaluation.
pub(crate) struct Evaluator<'e, 'a> {
    names: &'e [String],
    bindings: &'e dyn Bindings<'a>,
    budget: &'e mut Budget,
    /// Variables of the environment, once asked for.
    globals: Vec<Option<Value<'a>>>,
    /// Values under names of comprehensions, outermost first.
    locals: Vec<Local<'a>>,
    meter: Meter,
    patterns: Patterns,
    /// What reading values for the first time has cost.
    dues: u64,
}

/// A value under a name of a comprehension.
#[derive(Clone, Debug)]
struct Local<'a> {
    value: Value<'a>,
    /// What reading it for the first time costs: the API server makes some values only then.
    due: u64,
}

// === impl Evaluator ===

impl<'e, 'a> Evaluator<'e, 'a> {
    pub(crate) fn new(names: &'e [String], bindings: &'e dyn Bindings<'a>, budget: &'e mut Budget) -> Self {
        let meter = budget.meter();
        let globals = vec![None; names.len()];
        Evaluator { names, bindings, budget, globals, locals: Vec::new(), meter, patterns: Patterns::default(), dues: 0 }
    }

    pub(crate) fn finish(self) -> Meter {
        self.meter
    }

    /// The value of a node; its cost is counted whether it has one or not.
    pub(crate) fn evaluate(&mut self, node: &Node) -> Outcome<Value<'a>> {
        match node {
            Node::Constant(value) => Ok(value.clone()),
            Node::Access(access) => {
                let value = self.resolve(access);
                // A variable costs one; whether a field is there, or what a conditional chose, only the way.
                if !access.test && !matches!(access.root, Root::Node(Node::Conditional(_))) {
                    self.meter.charge(1)?;
                }
                value
            }
            Node::And(terms) => self.logical(terms, false),
            Node::Or(terms) => self.logical(terms, true),
            Node::Conditional(parts) => self.conditional(parts),
            Node::Equal { sides, negated } => self.equality(sides, *negated),
            Node::Member { item, list } => {
                let item = self.evaluate(item)?;
                for element in list {
                    if equal(element, &item, &mut self.meter)? {
                        return Ok(Value::Bool(true));
                    }
                }
                Ok(Value::Bool(false))
            }
            Node::Call(call) => self.call(call),
            Node::List(elements) => self.list(elements),
            Node::Map(entries) => self.map(entries),
            Node::Fold(fold) => self.fold(fold),
            Node::Bind(parts) => {
                let [value, body] = parts.as_ref();
                let value = self.evaluate(value)?;
                self.under(Local { value, due: 0 }, body)
            }
            Node::Otherwise { sides, unwrap } => self.otherwise(sides, *unwrap),
            Node::IfPresent { sides, flat } => self.if_present(sides, *flat),
        }
    }

    /// The value of a node that stands where the cost model does not count the variable itself.
    pub(super) fn evaluate_inside(&mut self, node: &Node) -> Outcome<Value<'a>> {
        match node {
            Node::Access(access) => self.resolve(access),
            other => self.evaluate(other),
        }
    }

    /// A node with one more name bound.
    fn under(&mut self, local: Local<'a>, body: &Node) -> Outcome<Value<'a>> {
        self.locals.push(local);
        let result = self.evaluate(body);
        self.locals.pop();
        result
    }

    /// `&&` and `||`: the side that decides wins over one that fails, whichever stands first.
    fn logical(&mut self, terms: &[Node], deciding: bool) -> Outcome<Value<'a>> {
        let mut failure = None;
        for term in terms {
            match self.evaluate(term) {
                Ok(Value::Bool(value)) if value == deciding => return Ok(Value::Bool(deciding)),
                Ok(Value::Bool(_)) => {}
                Ok(_) => failure = failure.or_else(|| Some(EvaluationError::no_overload())),
                Err(error) if error.absorbable() => failure = failure.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        failure.map_or(Ok(Value::Bool(!deciding)), Err)
    }

    fn conditional(&mut self, parts: &[Node; 3]) -> Outcome<Value<'a>> {
        let [condition, then, otherwise] = parts;
        match self.evaluate(condition)? {
            Value::Bool(true) => self.evaluate_inside(then),
            Value::Bool(false) => self.evaluate_inside(otherwise),
            _ => Err(EvaluationError::no_overload()),
        }
    }

    /// Both sides of a two-sided node: the second is evaluated, and costs, even when the first fails.
    fn both(&mut self, left: &Node, right: &Node) -> Outcome<[Value<'a>; 2]> {
        let left = self.evaluate(left);
        if let Err(error) = &left
            && !error.absorbable() {
                return left.map(|value| [value, Value::Null]);
            }
        let right = self.evaluate(right);
        match (left, right) {
            (Ok(left), Ok(right)) => Ok([left, right]),
            (Err(_), Err(fatal)) if !fatal.absorbable() => Err(fatal),
            (Err(error), _) | (_, Err(error)) => {
                self.meter.charge(1)?;
                Err(error)
            }
        }
    }

    fn equality(&mut self, sides: &[Node; 2], negated: bool) -> Outcome<Value<'a>> {
        let [left, right] = self.both(&sides[0], &sides[1])?;
        let result = strictly_equal(&left, &right, &mut self.meter);
        self.meter.charge(cost::equality(&left, &right, negated))?;
        match result {
            // What cannot be compared is not equal.
            Err(error) if negated && error.absorbable() => Ok(Value::Bool(true)),
            result => Ok(Value::Bool(result? != negated)),
        }
    }

    fn call(&mut self, call: &Call) -> Outcome<Value<'a>> {
        match call.arguments.as_slice() {
            [] => self.invoke(call, &[]),
            [only] => match self.evaluate(only) {
                Ok(value) => self.invoke(call, &[value]),
                Err(error) => {
                    self.meter.charge(1)?;
                    Err(error)
                }
            },
            [left, right] => {
                let arguments = self.both(left, right)?;
                self.invoke(call, &arguments)
            }
            more => {
                let mut arguments = Vec::with_capacity(more.len());
                for argument in more {
                    arguments.push(self.evaluate(argument)?);
                }
                self.invoke(call, &arguments)
            }
        }
    }

    fn invoke(&mut self, call: &Call, arguments: &[Value<'a>]) -> Outcome<Value<'a>> {
        let mut context = Context { meter: &mut self.meter, patterns: &mut self.patterns, constant: call.pattern.as_ref() };
        let result = call.target.run(arguments, &mut context);
        if let Err(error) = &result
            && !error.absorbable() {
                return result;
            }
        let cost = call.rule.cost(arguments, result.as_ref().ok(), &mut self.meter)?;
        self.meter.charge(cost)?;
        result
    }

    fn list(&mut self, elements: &[(Node, bool)]) -> Outcome<Value<'a>> {
        let mut values = Vec::with_capacity(elements.len());
        for (element, optional) in elements {
            let value = self.evaluate(element)?;
            values.extend(if *optional { given(value)? } else { Some(value) });
        }
        self.meter.elements(values.len() as u64)?;
        self.meter.charge(cost::LIST)?;
        Ok(Value::list(values))
    }

    fn map(&mut self, entries: &[(Node, Node, bool)]) -> Outcome<Value<'a>> {
        let mut map = MapBuilder::default();
        for (key, value, optional) in entries {
            let key = self.evaluate(key)?;
            let value = self.evaluate(value)?;
            let Some(name) = Key::from_value(&key) else { return fail(format!("unsupported key type {}", key.type_name())) };
            let Some(value) = (if *optional { given(value)? } else { Some(value) }) else { continue };
            self.meter.elements(2)?;
            map.replace(name, value);
        }
        self.meter.charge(cost::MAP)?;
        Ok(map.finish())
    }

    fn otherwise(&mut self, sides: &[Node; 2], unwrap: bool) -> Outcome<Value<'a>> {
        let [first, second] = sides;
        match self.evaluate(first)? {
            Value::Optional(Some(inner)) if unwrap => Ok(inner.as_ref().clone()),
            present @ Value::Optional(Some(_)) => Ok(present),
            Value::Optional(None) => self.evaluate(second),
            // What is no optional is there, in the API server's eyes.
            other => Ok(other),
        }
    }

    fn if_present(&mut self, sides: &[Node; 2], flat: bool) -> Outcome<Value<'a>> {
        let [target, body] = sides;
        let before = self.meter.cost().saturating_sub(self.dues);
        let target = self.evaluate(target)?;
        let spent = self.meter.cost().saturating_sub(self.dues).saturating_sub(before);
        // hasValue, and none; or hasValue, then the target once more with its value when that is read.
        match target {
            Value::Optional(None) => {
                self.meter.charge(2)?;
                Ok(Value::NONE)
            }
            Value::Optional(Some(inner)) => {
                self.meter.charge(1)?;
                let made = self.under(Local { value: inner.as_ref().clone(), due: spent.saturating_add(1) }, body)?;
                if flat {
                    return Ok(made);
                }
                self.meter.charge(1)?;
                Ok(Value::some(made))
            }
            _ => Err(EvaluationError::no_overload()),
        }
    }
}

/// What an optional element adds, if anything.
fn given<'a>(value: Value<'a>) -> Outcome<Option<Value<'a>>> {
    match value {
        Value::Optional(None) => Ok(None),
        Value::Optional(Some(inner)) => Ok(Some(inner.as_ref().clone())),
        other => fail(format!("an optional entry cannot be made of a {}", other.type_name())),
    }
}
