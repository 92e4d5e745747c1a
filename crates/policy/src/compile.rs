//! Documents compiled and bounded: what a policy can cost is limited when it is loaded.

use crate::PolicyError;
use crate::document::{API_VERSION, Document, KIND, KIND_WORKLOAD, Validation};
use jinwu_cel::{Environment, ObjectType, Program, Type};
use jinwu_model::Text;
use std::collections::BTreeMap;

/// Longest expression accepted, bytes.
pub const MAX_EXPRESSION: usize = 4096;
/// What one expression and all of a policy may cost, in Kubernetes' units. Ten times what the API server
/// allows: a report may have some ten thousand entries, and is judged once for an image, not for every
/// request.
pub const EXPRESSION_COST: u64 = 10 * jinwu_cel::limits::EXPRESSION_COST;
pub const POLICY_COST: u64 = 5 * jinwu_cel::limits::POLICY_COST;

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
    of_document(read(yaml)?, builtin)
}

/// A document whose expressions cannot be used: every image violates it, and it says why.
pub(crate) fn violated(yaml: &str, why: &PolicyError) -> Result<Compiled, PolicyError> {
    let mut document = read(yaml)?;
    document.spec.match_conditions.clear();
    document.spec.variables.clear();
    document.spec.controls.clear();
    document.spec.validations = vec![Validation {
        expression: Some("false".into()),
        each: None,
        message: Some(Text::new(format!("该策略无法求值,请修改或删除:{why}"), format!("this policy cannot be evaluated, change or remove it: {why}"))),
        message_expression: None,
        advice: None,
    }];
    of_document(document, false)
}

fn read(yaml: &str) -> Result<Document, PolicyError> {
    if yaml.len() > 256 << 10 {
        return Err(PolicyError::Yaml(format!("{} bytes are more than 256 KiB", yaml.len())));
    }
    serde_saphyr::from_str(yaml).map_err(|e| PolicyError::Yaml(e.to_string()))
}

fn of_document(document: Document, builtin: bool) -> Result<Compiled, PolicyError> {
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
    let compiler = Compiler { policy: &policy, base: base() };
    let variables = compiler.variables(&document)?;
    let names = variables.iter().map(|(name, _)| name.clone()).collect();
    let environment = compiler.environment(names);
    let one = |place: &str, source: &str| compiler.one(&environment, place, source);
    let mut conditions = Vec::new();
    for c in &document.spec.match_conditions {
        conditions.push(one(&format!("matchConditions {}", c.name), &c.expression)?);
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

/// What every expression may use, beside `variables`.
const KNOWN: [&str; 4] = ["image", "report", "level", "params"];

/// With that declared. Types are found out when it runs: a report's members have none before.
fn base() -> Environment {
    KNOWN.into_iter().fold(Environment::new().unchecked(), |e, name| e.variable(name, Type::Dyn))
}

struct Compiler<'p> {
    policy: &'p str,
    base: Environment,
}

// === impl Compiler ===

impl Compiler<'_> {
    fn environment(&self, variables: Vec<String>) -> Environment {
        let fields = variables.into_iter().map(|name| (name, Type::Dyn)).collect();
        self.base.clone().group("variables", ObjectType { name: "policy.variables".into(), fields })
    }

    /// Variables in their order: each may use those before it.
    fn variables(&self, document: &Document) -> Result<Vec<(String, Program)>, PolicyError> {
        let (mut programs, mut depths) = (Vec::<(String, Program)>::new(), BTreeMap::new());
        for variable in &document.spec.variables {
            let place = format!("variables {}", variable.name);
            if depths.contains_key(&variable.name) {
                return Err(self.refuse(&place, "the name stands twice".into()));
            }
            let environment = self.environment(programs.iter().map(|(name, _)| name.clone()).collect());
            let program = self.one(&environment, &place, &variable.expression)?;
            let depth = crate::variables::depth(&program, &depths).map_err(|detail| self.refuse(&place, detail))?;
            depths.insert(variable.name.clone(), depth);
            programs.push((variable.name.clone(), program));
        }
        Ok(programs)
    }

    fn one(&self, environment: &Environment, place: &str, source: &str) -> Result<Program, PolicyError> {
        if source.len() > MAX_EXPRESSION {
            return Err(self.refuse(place, format!("{} bytes are more than {MAX_EXPRESSION}", source.len())));
        }
        let program = environment.compile(source).map_err(|e| self.refuse(place, e.to_string()))?;
        let unknown = program.variables().find(|name| !KNOWN.contains(name) && !name.starts_with("variables.")).map(str::to_owned);
        match unknown.as_deref() {
            Some("variables") => Err(self.refuse(place, "of variables only those before it may be used, by their names".into())),
            Some(name) => Err(self.refuse(place, format!("{name} is unknown here; image, report, level, params and variables are known"))),
            None => Ok(program),
        }
    }

    fn refuse(&self, place: &str, detail: String) -> PolicyError {
        PolicyError::Expression { policy: self.policy.to_owned(), place: place.to_owned(), detail }
    }
}
