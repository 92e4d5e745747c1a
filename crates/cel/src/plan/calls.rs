//! Functions: which one is meant, whether the arguments fit, what it costs.

use super::planner::{Planned, Planner, Planning};
use super::{Call, Node, Target};
use crate::cost::{Meter, Rule};
use crate::library::{self, Context, Overload, Pattern, Patterns};
use crate::syntax::Expression;
use crate::types::Type;
use crate::value::Value;

/// Conversions of constants are made when the expression is compiled.
const CONVERSIONS: [&str; 10] = ["bool", "bytes", "double", "duration", "dyn", "int", "string", "timestamp", "type", "uint"];

// === impl Planner ===

impl Planner<'_> {
    pub(super) fn call(
        &mut self,
        at: &Expression,
        receiver: Option<&Expression>,
        function: &str,
        arguments: &[Expression],
    ) -> Planning<Planned> {
        if let Some(expanded) = self.expand(at, receiver, function, arguments)? {
            return Ok(expanded);
        }
        // `strings.quote(x)` is a function of that whole name, not a method of `strings`.
        if let Some(name) = receiver.filter(|r| !self.shadowed(r)).and_then(Expression::dotted) {
            let whole = format!("{name}.{function}");
            if library::overloads(&whole).iter().any(|o| !o.member) {
                let planned = self.all(arguments)?;
                return self.function(at, &whole, false, planned);
            }
        }
        if let (Some(receiver), "format") = (receiver, function) {
            return self.format(at, receiver, arguments);
        }
        let mut planned = Vec::with_capacity(arguments.len() + 1);
        if let Some(receiver) = receiver {
            planned.push(self.plan(receiver)?);
        }
        planned.extend(self.all(arguments)?);
        match function {
            "_?_:_" => self.conditional(at, planned),
            "_==_" | "_!=_" => self.equality(at, planned, function == "_!=_"),
            _ => self.function(at, function, receiver.is_some(), planned),
        }
    }

    fn all(&mut self, arguments: &[Expression]) -> Planning<Vec<Planned>> {
        arguments.iter().map(|argument| self.plan(argument)).collect()
    }

    fn conditional(&mut self, at: &Expression, planned: Vec<Planned>) -> Planning<Planned> {
        let Ok([condition, then, otherwise]) = <[Planned; 3]>::try_from(planned) else {
            return self.error(at, "a conditional has three parts");
        };
        if !self.agree(&condition.kind, &Type::Bool) {
            let found = self.types.resolve(&condition.kind);
            return self.error(at, format!("the condition before '?' must be bool, not {found}"));
        }
        let kind = if self.environment.checked {
            match self.types.join(&then.kind, &otherwise.kind) {
                Some(kind) => kind,
                None => {
                    let (a, b) = (self.types.resolve(&then.kind), self.types.resolve(&otherwise.kind));
                    return self.error(at, format!("both branches of a conditional must be of one type, not {a} and {b}"));
                }
            }
        } else {
            Type::Dyn
        };
        Ok(Planned { node: Node::Conditional(Box::new([condition.node, then.node, otherwise.node])), kind })
    }

    fn equality(&mut self, at: &Expression, planned: Vec<Planned>, negated: bool) -> Planning<Planned> {
        let Ok([left, right]) = <[Planned; 2]>::try_from(planned) else { return self.error(at, "a comparison has two sides") };
        if !self.agree(&left.kind, &right.kind) {
            let (a, b) = (self.types.resolve(&left.kind), self.types.resolve(&right.kind));
            return self.error(at, format!("{a} and {b} cannot be compared; write dyn(…) where that is meant"));
        }
        Ok(Planned { node: Node::Equal { sides: Box::new([left.node, right.node]), negated }, kind: Type::Bool })
    }

    /// Forms of a function this environment has.
    pub(super) fn forms(&self, function: &str, member: bool) -> impl Iterator<Item = &'static Overload> + use<> {
        let minor = self.environment.minor;
        library::overloads(function).iter().copied().filter(move |o| o.member == member && o.since <= minor)
    }

    pub(super) fn function(&mut self, at: &Expression, function: &str, member: bool, planned: Vec<Planned>) -> Planning<Planned> {
        let forms: Vec<&'static Overload> = self.forms(function, member).collect();
        if forms.is_empty() && self.environment.checked {
            return self.unknown(at, function, member);
        }
        let (nodes, kinds): (Vec<Node>, Vec<Type>) = planned.into_iter().map(|p| (p.node, p.kind)).unzip();
        let (fitting, kind) = self.fitting(&forms, &kinds);
        if fitting.is_empty() && self.environment.checked {
            let found: Vec<String> = kinds.iter().map(|k| self.types.resolve(k).to_string()).collect();
            let known: Vec<String> = forms.iter().take(8).map(|o| signature(o)).collect();
            return self.error(at, format!("no form of {} takes ({}); known are {}", shown(function), found.join(", "), known.join(", ")));
        }
        if let ("@in", [only], [_, Node::Constant(Value::List(list))]) = (function, fitting.as_slice(), nodes.as_slice()) {
            let list: Vec<Value<'static>> = list.iter().collect();
            if only.id == "in_list" && list.iter().all(is_scalar) {
                return Ok(Planned { node: membership(nodes, list), kind: Type::Bool });
            }
        }
        if matches!(function, "or" | "orValue") {
            if let Ok(sides) = <[Node; 2]>::try_from(nodes) {
                return Ok(Planned { node: Node::Otherwise { sides: Box::new(sides), unwrap: function == "orValue" }, kind });
            }
            return self.error(at, "or and orValue take one argument");
        }
        let call = self.bound(at, function, nodes, fitting)?;
        let folded = CONVERSIONS.contains(&function) && matches!(call.arguments.as_slice(), [Node::Constant(_)]);
        let node = if folded { Node::Constant(self.made_now(at, &call)?) } else { Node::Call(Box::new(call)) };
        Ok(Planned { node, kind })
    }

    /// Forms whose parameters the arguments fit, and the type of the result.
    fn fitting(&mut self, forms: &[&'static Overload], kinds: &[Type]) -> (Vec<&'static Overload>, Type) {
        if !self.environment.checked {
            return (forms.iter().copied().filter(|o| o.parameters.len() == kinds.len()).collect(), Type::Dyn);
        }
        let mut fitting = Vec::new();
        let mut result: Option<Type> = None;
        for form in forms {
            let base = self.types.parameters();
            if !self.types.fits(kinds, form.parameters, base) {
                continue;
            }
            fitting.push(*form);
            let kind = self.types.filled(&form.result.instantiate(base));
            result = Some(match result {
                None => kind,
                Some(before) if before == kind => before,
                Some(_) => Type::Dyn,
            });
        }
        (fitting, result.unwrap_or(Type::Dyn))
    }

    fn bound(&self, at: &Expression, function: &str, arguments: Vec<Node>, fitting: Vec<&'static Overload>) -> Planning<Call> {
        let only = match fitting.as_slice() {
            [only] => Some(only.id),
            _ => None,
        };
        let rule = Rule::of(function, only);
        let pattern = match (function, arguments.get(1)) {
            ("matches" | "find" | "findAll", Some(Node::Constant(Value::String(text)))) => match Pattern::compile(text.as_str()) {
                Ok(pattern) => Some(pattern),
                Err(why) => return self.error(at, format!("the regular expression cannot be read: {why}")),
            },
            _ => None,
        };
        let target = match fitting.split_first() {
            Some((first, rest)) if rest.iter().all(|o| std::ptr::fn_addr_eq(o.run, first.run)) => Target::One(first.run),
            _ => Target::Several(fitting),
        };
        Ok(Call { arguments, target, rule, pattern })
    }

    /// The value of a conversion whose argument is constant.
    fn made_now(&self, at: &Expression, call: &Call) -> Planning<Value<'static>> {
        let [Node::Constant(argument)] = call.arguments.as_slice() else { return self.error(at, "the argument is not constant") };
        let arguments = [argument.clone()];
        let mut meter = Meter::of_compilation();
        let mut context = Context { meter: &mut meter, patterns: &mut Patterns::default(), constant: None };
        call.target.run(&arguments, &mut context).or_else(|e| self.error(at, e.to_string()))
    }

    fn unknown<T>(&self, at: &Expression, function: &str, member: bool) -> Planning<T> {
        let minor = self.environment.minor;
        let other_version = library::overloads(function).iter().filter(|o| o.member == member).map(|o| o.since).min();
        if let Some(since) = other_version.filter(|since| *since > minor) {
            return self.error(at, format!("function '{function}' is known since Kubernetes 1.{since}; this environment is 1.{minor}"));
        }
        if library::overloads(function).iter().any(|o| o.since <= minor) {
            let how = if member { format!("{function}(x, …)") } else { format!("x.{function}(…)") };
            return self.error(at, format!("function '{function}' is called as {how}"));
        }
        let near: Vec<&str> = library::names(minor).filter(|name| is_near(name, function)).take(4).collect();
        let hint = if near.is_empty() { String::new() } else { format!("; did you mean {}?", near.join(" or ")) };
        self.error(at, format!("undeclared reference to function '{function}'{hint}"))
    }
}

fn is_scalar(value: &Value<'_>) -> bool {
    matches!(value, Value::Bool(_) | Value::Int(_) | Value::Uint(_) | Value::Double(_) | Value::String(_))
}

/// `item in [constants]`; nothing is in an empty list.
fn membership(nodes: Vec<Node>, list: Vec<Value<'static>>) -> Node {
    match nodes.into_iter().next() {
        Some(item) if !list.is_empty() => Node::Member { item: Box::new(item), list },
        _ => Node::Constant(Value::Bool(false)),
    }
}

/// Whether a name is another's in different case, or begins or ends as it.
fn is_near(name: &str, written: &str) -> bool {
    let (name, written) = (name.to_ascii_lowercase(), written.to_ascii_lowercase());
    written.len() > 2 && !name.starts_with(['_', '@', '!', '-']) && (name.contains(&written) || written.contains(&name))
}

fn shown(function: &str) -> String {
    match function {
        "@in" => "'in'".into(),
        operator => format!("'{}'", operator.trim_matches('_')),
    }
}

fn signature(overload: &Overload) -> String {
    let parameters: Vec<String> = overload.parameters.iter().map(|p| p.instantiate(0).to_string()).collect();
    format!("({})", parameters.join(", "))
}

// === impl Target ===

impl Target {
    pub(crate) fn run<'a>(&self, arguments: &[Value<'a>], context: &mut Context<'_>) -> crate::error::Outcome<Value<'a>> {
        match self {
            Target::One(run) => run(arguments, context),
            Target::Several(forms) => match forms.iter().find(|form| form.accepts(arguments)) {
                Some(form) => (form.run)(arguments, context),
                None => Err(crate::error::EvaluationError::no_overload()),
            },
        }
    }
}
