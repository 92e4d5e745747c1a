//! A policy compiled: every expression checked against the variables it may use.

use super::document::{self, FailurePolicy, Named, PolicySpec};
use super::types;
use crate::PolicyError;
use jinwu_cel::{Environment, ObjectType, Program, Type};
use std::collections::BTreeMap;

/// Most matchConditions, validations, variables and annotations: the API server's limits where it
/// has any (64 conditions, 20 annotations), a bound where it has none.
const MAX_CONDITIONS: usize = 64;
const MAX_ANNOTATIONS: usize = 20;
const MAX_EXPRESSIONS: usize = 1000;
/// `Unauthorized` is a reason in the API's description, and refused by the API server.
const REASONS: [&str; 3] = ["Forbidden", "Invalid", "RequestEntityTooLarge"];

type Variables = Vec<(String, Program)>;

#[derive(Debug)]
pub(super) struct Policy {
    pub(super) name: String,
    pub(super) spec: PolicySpec,
    pub(super) variables: Variables,
    pub(super) conditions: Vec<Program>,
    pub(super) validations: Vec<Program>,
    /// Beside the validations; `None` where one has none.
    pub(super) messages: Vec<Option<Program>>,
    pub(super) annotations: Vec<Program>,
}

// === impl Policy ===

impl Policy {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether any expression asks `authorizer`.
    pub(super) fn asks_authorizer(&self) -> bool {
        let variables = self.variables.iter().map(|(_, program)| program);
        let all = variables.chain(&self.conditions).chain(&self.validations).chain(&self.annotations).chain(self.messages.iter().flatten());
        all.flat_map(Program::variables).any(|name| name == "authorizer" || name.starts_with("authorizer."))
    }

    /// What an evaluation that fails does; refusing is the default.
    pub(super) fn fails_closed(&self) -> bool {
        self.spec.failure_policy != Some(FailurePolicy::Ignore)
    }

    pub(super) fn compile(policy: document::Policy, minor: u8) -> Result<Policy, PolicyError> {
        let (name, spec) = (policy.metadata.name, policy.spec);
        let invalid = |detail: String| PolicyError::Invalid { policy: name.clone(), detail };
        let Some(constraints) = &spec.match_constraints else { return Err(invalid("spec.matchConstraints is required".into())) };
        if constraints.resource_rules.is_empty() {
            return Err(invalid("spec.matchConstraints.resourceRules is required".into()));
        }
        constraints.check().map_err(invalid)?;
        if spec.validations.is_empty() && spec.audit_annotations.is_empty() {
            return Err(invalid("a policy needs validations or auditAnnotations".into()));
        }
        let counts = [
            ("matchConditions", spec.match_conditions.len(), MAX_CONDITIONS),
            ("auditAnnotations", spec.audit_annotations.len(), MAX_ANNOTATIONS),
            ("variables", spec.variables.len(), MAX_EXPRESSIONS),
            ("validations", spec.validations.len(), MAX_EXPRESSIONS),
        ];
        if let Some((what, count, most)) = counts.iter().find(|(_, count, most)| count > most) {
            return Err(invalid(format!("{count} {what} are more than {most}")));
        }
        check_texts(&spec).map_err(invalid)?;
        if let Some(reason) = spec.validations.iter().filter_map(|v| v.reason.as_deref()).find(|r| !REASONS.contains(r)) {
            return Err(invalid(format!("reason {reason} is unknown; {} are known", REASONS.join(", "))));
        }
        let compiler = Compiler { policy: &name, base: base(&spec, minor) };
        let (variables, fields) = compiler.variables(&spec.variables)?;
        let full = compiler.environment(&fields, true);
        // A message may not ask the authorizer.
        let for_messages = compiler.environment(&fields, false);
        let conditions = each(&spec.match_conditions, |i, c| {
            compiler.one(&full, &format!("matchConditions[{i}] {}", c.name), &c.expression, &[Type::Bool])
        })?;
        let validations = each(&spec.validations, |i, v| compiler.one(&full, &format!("validations[{i}].expression"), &v.expression, &[Type::Bool]))?;
        let messages = each(&spec.validations, |i, v| {
            let written = !v.message_expression.trim().is_empty();
            let place = format!("validations[{i}].messageExpression");
            written.then(|| compiler.one(&for_messages, &place, &v.message_expression, &[Type::String])).transpose()
        })?;
        let annotations = each(&spec.audit_annotations, |i, a| {
            compiler.one(&full, &format!("auditAnnotations[{i}] {}", a.key), &a.value_expression, &[Type::String, Type::Null])
        })?;
        Ok(Policy { variables, conditions, validations, messages, annotations, name: name.clone(), spec })
    }
}

/// What the API server asks of names and texts beside the expressions.
fn check_texts(spec: &PolicySpec) -> Result<(), String> {
    for (i, condition) in spec.match_conditions.iter().enumerate() {
        if condition.name.is_empty() || spec.match_conditions.iter().take(i).any(|other| other.name == condition.name) {
            return Err(format!("matchConditions[{i}]: the name must be given, and no other condition may have it"));
        }
    }
    for (i, annotation) in spec.audit_annotations.iter().enumerate() {
        if annotation.key.is_empty() || spec.audit_annotations.iter().take(i).any(|other| other.key == annotation.key) {
            return Err(format!("auditAnnotations[{i}]: the key must be given, and no other annotation may have it"));
        }
    }
    for (i, validation) in spec.validations.iter().enumerate() {
        if validation.message.contains('\n') || validation.message.contains('\r') {
            return Err(format!("validations[{i}].message must not have line breaks"));
        }
    }
    match &spec.param_kind {
        Some(kind) if kind.api_version.is_empty() || kind.kind.is_empty() => Err("paramKind needs apiVersion and kind".into()),
        _ => Ok(()),
    }
}

fn each<T, R>(items: &[T], compile: impl Fn(usize, &T) -> Result<R, PolicyError>) -> Result<Vec<R>, PolicyError> {
    items.iter().enumerate().map(|(i, item)| compile(i, item)).collect()
}

/// What every expression may use.
fn base(spec: &PolicySpec, minor: u8) -> Environment {
    let environment = Environment::new()
        .kubernetes(minor)
        .variable("object", Type::Dyn)
        .variable("oldObject", Type::Dyn)
        .variable("request", types::request())
        .variable("namespaceObject", types::namespace());
    if spec.param_kind.is_some() { environment.variable("params", Type::Dyn) } else { environment }
}

struct Compiler<'p> {
    policy: &'p str,
    base: Environment,
}

// === impl Compiler ===

impl Compiler<'_> {
    fn environment(&self, variables: &BTreeMap<String, Type>, authorizer: bool) -> Environment {
        let variables = ObjectType { name: "kubernetes.variables".into(), fields: variables.clone() };
        let environment = self.base.clone().group("variables", variables);
        if !authorizer {
            return environment;
        }
        environment
            .variable("authorizer", Type::Opaque("kubernetes.authorization.Authorizer"))
            .variable("authorizer.requestResource", Type::Opaque("kubernetes.authorization.ResourceCheck"))
    }

    /// Variables in their order: each may use those before it.
    fn variables(&self, variables: &[Named]) -> Result<(Variables, BTreeMap<String, Type>), PolicyError> {
        let mut fields = BTreeMap::new();
        let mut depths: BTreeMap<String, usize> = BTreeMap::new();
        let mut programs = Vec::with_capacity(variables.len());
        for variable in variables {
            let place = format!("variables {}", variable.name);
            let good = variable.name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                && variable.name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
            if !good || fields.contains_key(&variable.name) {
                let detail = "the name must be an identifier that no other variable has".into();
                return Err(PolicyError::Expression { policy: self.policy.into(), place, detail });
            }
            let program = self.one(&self.environment(&fields, true), &place, &variable.expression, &[])?;
            let depth = crate::variables::depth(&program, &depths)
                .map_err(|detail| PolicyError::Expression { policy: self.policy.into(), place, detail })?;
            depths.insert(variable.name.clone(), depth);
            fields.insert(variable.name.clone(), program.result_type().clone());
            programs.push((variable.name.clone(), program));
        }
        Ok((programs, fields))
    }

    /// One expression; it must be of one of the types, if any are given.
    fn one(&self, environment: &Environment, place: &str, source: &str, wanted: &[Type]) -> Result<Program, PolicyError> {
        let refuse = |detail: String| PolicyError::Expression { policy: self.policy.into(), place: place.into(), detail };
        let program = environment.compile(source).map_err(|e| refuse(e.to_string()))?;
        if !wanted.is_empty() && !wanted.contains(program.result_type()) {
            let names: Vec<&str> = wanted.iter().map(Type::name).collect();
            return Err(refuse(format!("it must evaluate to {}, not {}", names.join(" or "), program.result_type())));
        }
        Ok(program)
    }
}
