//! Exceptions of a rule: fields, comparison operators, rows of values.

use crate::condition::{Check, Expression, Operand, Operator, Right, parse_operand};
use crate::loader::expand::literal;
use crate::problem::{Place, Report};
use crate::yaml::{Node, Value};

/// Most values of one exception.
const MAX_VALUES: usize = 20_000;

/// One named exception. `single`: `fields` was one name, `values` a flat list.
#[derive(Clone, Debug)]
pub(crate) struct Exception {
    pub(crate) place: Place,
    pub(crate) name: String,
    single: bool,
    fields: Vec<String>,
    comparisons: Vec<String>,
    values: Vec<Node>,
}

/// Reads the `exceptions` of a rule.
pub(super) fn read(node: &Node, place: &Place, report: &mut Report) -> Vec<Exception> {
    let Some(entries) = node.list() else {
        report.fail(place, "exceptions is a list of name, fields, comps and values");
        return Vec::new();
    };
    let mut all = Vec::new();
    for entry in entries {
        let at = Place { line: entry.line, ..place.clone() };
        let Some(name) = entry.get("name").and_then(Node::text) else {
            report.fail(&at, "an exception needs a name");
            continue;
        };
        let words = |key: &str| -> Vec<String> {
            match entry.get(key).map(|n| &n.value) {
                Some(Value::List(items)) => items.iter().filter_map(|n| n.text().map(str::to_owned)).collect(),
                Some(Value::Scalar { text, .. }) if !text.is_empty() => vec![text.clone()],
                _ => Vec::new(),
            }
        };
        let values = match entry.get("values").map(|n| &n.value) {
            Some(Value::List(items)) => items.clone(),
            _ => Vec::new(),
        };
        all.push(Exception {
            single: entry.get("fields").is_some_and(|n| n.list().is_none()),
            fields: words("fields"),
            comparisons: words("comps"),
            name: name.to_owned(),
            place: at,
            values,
        });
    }
    all
}

/// Adds `more` to `all`: values to an exception of the same name, or a new exception.
pub(super) fn append(all: &mut Vec<Exception>, more: Vec<Exception>, report: &mut Report) {
    for exception in more {
        match all.iter_mut().find(|e| e.name == exception.name) {
            Some(known) => {
                if !exception.fields.is_empty() && exception.fields != known.fields {
                    report.fail(&exception.place, format!("exception {:?} has other fields: only values can be appended", exception.name));
                }
                known.values.extend(exception.values);
            }
            None => {
                if exception.fields.is_empty() || exception.values.is_empty() {
                    report.fail(&exception.place, format!("exception {:?} is new here and needs fields and values", exception.name));
                }
                all.push(exception);
            }
        }
    }
}

// === impl Exception ===

impl Exception {
    /// What it excepts; `None` when it has no values.
    pub(super) fn expression(&self) -> Result<Option<Expression>, String> {
        if self.fields.is_empty() {
            return Err("fields is missing".into());
        }
        if self.values.len() > MAX_VALUES {
            return Err(format!("more than {MAX_VALUES} values: use a list"));
        }
        let default = if self.single { "in" } else { "=" };
        let mut operators = Vec::new();
        for position in 0..self.fields.len() {
            let spelled = match (self.comparisons.get(position), self.comparisons.is_empty()) {
                (Some(one), _) => one.as_str(),
                (None, true) => default,
                (None, false) => return Err(format!("{} fields, but {} comps", self.fields.len(), self.comparisons.len())),
            };
            operators.push(Operator::named(spelled.trim()).ok_or_else(|| format!("{spelled:?} is not a comparison operator"))?);
        }
        if self.values.is_empty() {
            return Ok(None);
        }
        if self.single {
            return self.check(0, &operators, &Value::List(self.values.clone())).map(Some);
        }
        let mut rows = Vec::new();
        for row in &self.values {
            let cells = row.list().ok_or_else(|| format!("line {}: each row of values is a list of {}", row.line, self.fields.len()))?;
            if cells.len() != self.fields.len() {
                return Err(format!("line {}: {} values for {} fields", row.line, cells.len(), self.fields.len()));
            }
            let mut checks = Vec::new();
            for (position, cell) in cells.iter().enumerate() {
                checks.push(self.check(position, &operators, &cell.value)?);
            }
            rows.push(if checks.len() == 1 { checks.swap_remove(0) } else { Expression::And(checks) });
        }
        Ok(Some(if rows.len() == 1 { rows.swap_remove(0) } else { Expression::Or(rows) }))
    }

    fn check(&self, position: usize, operators: &[Operator], value: &Value) -> Result<Expression, String> {
        let field = self.fields.get(position).map_or("", String::as_str);
        let operator = operators.get(position).copied().unwrap_or(Operator::Equal);
        let (left, used) = parse_operand(field).map_err(|e| e.message)?;
        if used != field.len() || !matches!(left, Operand::Field { .. } | Operand::Transform { .. }) {
            return Err(format!("{field:?} is not a field"));
        }
        let right = if operator == Operator::Exists {
            Right::Nothing
        } else if operator.takes_list() {
            Right::List(match value {
                Value::List(items) => items.iter().filter_map(Node::text).map(literal).collect(),
                // `(a, b)` and names of lists are written as text.
                Value::Scalar { text, .. } => {
                    let inner = text.trim().strip_prefix('(').and_then(|t| t.strip_suffix(')'));
                    inner.map_or_else(|| vec![literal(text)], |t| t.split(',').map(|v| literal(v.trim())).collect())
                }
                Value::Map(_) => return Err("a value is text or a list of texts".into()),
            })
        } else {
            match value {
                Value::Scalar { text, .. } => Right::Value(literal(text)),
                _ => return Err(format!("{} takes one value", operator.name())),
            }
        };
        Ok(Expression::Check(Check { left, operator, quantifier: None, right }))
    }
}
