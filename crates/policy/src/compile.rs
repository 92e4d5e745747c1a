//! Documents compiled and bounded: what a policy can cost is limited when it is loaded.

use crate::PolicyError;
use crate::document::{API_VERSION, Document, KIND, KIND_WORKLOAD, Validation};
use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use cel::Program;

/// Longest expression accepted, bytes.
pub const MAX_EXPRESSION: usize = 4096;
/// Comprehensions (`filter`, `all`, `map`, …) inside one another: a report has at most some ten
/// thousand entries, so two deep is bounded, three is not.
pub const MAX_NESTING: usize = 2;
/// Comprehensions in one expression altogether.
pub const MAX_COMPREHENSIONS: usize = 16;

pub(crate) struct Compiled {
    pub(crate) document: Document,
    pub(crate) conditions: Vec<Program>,
    pub(crate) variables: Vec<(String, Program)>,
    pub(crate) validations: Vec<CompiledValidation>,
    pub(crate) builtin: bool,
}

pub(crate) struct CompiledValidation {
    pub(crate) source: Validation,
    pub(crate) expression: Option<Program>,
    pub(crate) each: Option<Program>,
    pub(crate) message: Option<Program>,
}

/// Reads and compiles one document.
pub(crate) fn compile(yaml: &str, builtin: bool) -> Result<Compiled, PolicyError> {
    if yaml.len() > 256 << 10 {
        return Err(PolicyError::Yaml(format!("{} bytes are more than 256 KiB", yaml.len())));
    }
    let document: Document = serde_saphyr::from_str(yaml).map_err(|e| PolicyError::Yaml(e.to_string()))?;
    let policy = document.metadata.name.clone();
    let invalid = |detail: String| PolicyError::Invalid { policy: policy.clone(), detail };
    let of_workloads = builtin && document.kind == KIND_WORKLOAD;
    if document.api_version != API_VERSION || (document.kind != KIND && !of_workloads) {
        return Err(invalid(format!(
            "apiVersion and kind must be {API_VERSION} and {KIND}, not {} and {}",
            document.api_version, document.kind
        )));
    }
    let name_good = (1..=63).contains(&policy.len())
        && policy.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && policy.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
    if !name_good {
        return Err(invalid("metadata.name must be 1 to 63 lower-case letters, digits and '-', beginning with a letter".into()));
    }
    if of_workloads != document.spec.validations.is_empty() || of_workloads == document.spec.controls.is_empty() {
        return Err(invalid(format!("{KIND} has validations and no controls, {KIND_WORKLOAD} controls and no validations")));
    }
    if document.spec.validations.len() > 32 || document.spec.variables.len() > 32 {
        return Err(invalid("a policy has 1 to 32 validations and at most 32 variables".into()));
    }
    let one = |place: &str, source: &str| expression(&policy, place, source);
    let mut conditions = Vec::new();
    for c in &document.spec.match_conditions {
        conditions.push(one(&format!("matchConditions {}", c.name), &c.expression)?);
    }
    let mut variables = Vec::new();
    for v in &document.spec.variables {
        variables.push((v.name.clone(), one(&format!("variables {}", v.name), &v.expression)?));
    }
    let mut validations = Vec::new();
    for (i, v) in document.spec.validations.iter().enumerate() {
        let place = |member: &str| format!("validations[{i}].{member}");
        if v.expression.is_none() && v.each.is_none() {
            return Err(invalid(format!("validations[{i}] has neither expression nor each")));
        }
        if v.each.is_some() && v.message.is_none() {
            return Err(invalid(format!("validations[{i}] has each and needs a message with {{members}}")));
        }
        let maybe = |member: &str, source: &Option<String>| source.as_deref().map(|s| one(&place(member), s)).transpose();
        validations.push(CompiledValidation {
            expression: maybe("expression", &v.expression)?,
            each: maybe("each", &v.each)?,
            message: maybe("messageExpression", &v.message_expression)?,
            source: v.clone(),
        });
    }
    Ok(Compiled { document, conditions, variables, validations, builtin })
}

fn expression(policy: &str, place: &str, source: &str) -> Result<Program, PolicyError> {
    let refuse = |detail: String| PolicyError::Expression { policy: policy.to_owned(), place: place.to_owned(), detail };
    if source.len() > MAX_EXPRESSION {
        return Err(refuse(format!("{} bytes are more than {MAX_EXPRESSION}", source.len())));
    }
    if nesting_of(source) > 64 {
        return Err(refuse("brackets are nested more than 64 deep".into()));
    }
    let program = Program::compile(source).map_err(|e| refuse(e.to_string()))?;
    let mut bound = Vec::new();
    let deep = comprehension_depth(program.expression(), &mut bound);
    if deep > MAX_NESTING || bound.len() > MAX_COMPREHENSIONS {
        return Err(refuse(format!(
            "{} list operations, {deep} inside one another; at most {MAX_COMPREHENSIONS} and {MAX_NESTING} are allowed (use variables)",
            bound.len()
        )));
    }
    let known = ["image", "report", "level", "params", "variables"];
    for name in program.references().variables() {
        if !known.contains(&name) && !name.starts_with('@') && !bound.iter().any(|b| b == name) {
            return Err(refuse(format!("{name} is unknown here; image, report, level, params and variables are known")));
        }
    }
    Ok(program)
}

/// Depth of brackets, so that the recursive parser is never fed a tower.
fn nesting_of(source: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    for b in source.bytes() {
        match b {
            b'(' | b'[' | b'{' | b'!' | b'-' | b'?' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// How deep comprehensions stand inside one another; `bound` collects the variables they bind.
fn comprehension_depth(e: &IdedExpr, bound: &mut Vec<String>) -> usize {
    let mut all = |list: &[&IdedExpr]| list.iter().map(|e| comprehension_depth(e, bound)).max().unwrap_or(0);
    match &e.expr {
        Expr::Comprehension(c) => {
            let inner = all(&[&c.accu_init, &c.loop_cond, &c.loop_step, &c.result]);
            let range = all(&[&c.iter_range]);
            bound.push(c.iter_var.clone());
            (inner + 1).max(range)
        }
        Expr::Call(c) => {
            let target = c.target.as_deref().map_or(0, |t| all(&[t]));
            target.max(all(&c.args.iter().collect::<Vec<_>>()))
        }
        Expr::List(l) => all(&l.elements.iter().collect::<Vec<_>>()),
        Expr::Select(s) => all(&[&s.operand]),
        Expr::Map(cel::common::ast::MapExpr { entries }) | Expr::Struct(cel::common::ast::StructExpr { entries, .. }) => entries
            .iter()
            .map(|e| match &e.expr {
                EntryExpr::MapEntry(m) => all(&[&m.key, &m.value]),
                EntryExpr::StructField(f) => all(&[&f.value]),
            })
            .max()
            .unwrap_or(0),
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => 0,
    }
}
