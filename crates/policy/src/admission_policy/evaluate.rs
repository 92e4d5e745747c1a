//! A request judged by all policies and bindings.

use super::compile::Policy;
use super::document::{Binding, ValidationAction};
use super::input::AdmissionInput;
use crate::variables::Made;
use super::{Action, AdmissionPolicies, AuditAnnotation, Finding, Review, matching, params};
use jinwu_cel::{Bindings, Budget, EvaluationError, Program, ResourceAttributes, Value, authorizer_value, request_resource_value};
use serde_json::Value as Json;

/// Longest message an expression may make, bytes.
const MAX_MESSAGE: usize = 5 << 10;
/// Longest value of an audit annotation, bytes; longer ones are cut.
const MAX_ANNOTATION: usize = 10 << 10;
/// What the matchConditions of a policy may cost together: a quarter of what its validations may.
const CONDITIONS_COST: u64 = 2_500_000;
const INVALID: &str = "Invalid";

/// What a policy says for one binding and one parameter.
enum Verdict {
    Admits,
    /// The message, and the reason where the policy gives one.
    Denies(String, Option<String>),
    Fails(String),
}

// === impl AdmissionPolicies ===

impl AdmissionPolicies {
    /// What the policies say about a request, in the order of policies, bindings and validations.
    pub fn evaluate(&self, input: &AdmissionInput<'_>) -> Review {
        self.evaluate_those(input, &|_, _| true, &|| false)
    }

    /// The same by those policies alone that `wanted` wants by name and whether they fail closed. Once
    /// `stopped` says so nothing more is evaluated, and what is left counts as failed.
    pub fn evaluate_those(&self, input: &AdmissionInput<'_>, wanted: &dyn Fn(&str, bool) -> bool, stopped: &dyn Fn() -> bool) -> Review {
        let mut review = Review::default();
        if matching::is_exempt(input) {
            return review;
        }
        for policy in self.policies.iter().filter(|p| wanted(&p.name, p.fails_closed())) {
            let constraints = policy.spec.match_constraints.as_ref().map_or(Ok(true), |c| c.matches(input));
            match constraints {
                Ok(true) => self.by_bindings(policy, input, stopped, &mut review),
                Ok(false) => {}
                Err(error) => configuration(policy, None, &error, &mut review),
            }
        }
        review
    }

    fn by_bindings(&self, policy: &Policy, input: &AdmissionInput<'_>, stopped: &dyn Fn() -> bool, review: &mut Review) {
        if let Some(kind) = policy.spec.param_kind.as_ref().filter(|k| (input.params_namespaced)(&k.api_version, &k.kind).is_none()) {
            let (version, kind) = (&kind.api_version, &kind.kind);
            let slash = if version.contains('/') { "" } else { "/" };
            let error = format!("failed to find resource referenced by paramKind: '{slash}{version}, Kind={kind}'");
            configuration(policy, None, &error, review);
            return;
        }
        for binding in self.bindings.iter().filter(|b| b.spec.policy_name == policy.name) {
            let matched = binding.spec.match_resources.as_ref().map_or(Ok(true), |m| m.matches(input));
            let params = match matched {
                Ok(false) => continue,
                Ok(true) => params::collect(policy.spec.param_kind.as_ref(), binding.spec.param_ref.as_ref(), input),
                Err(error) => Err(error),
            };
            match params {
                Ok(params) => {
                    for param in params {
                        if stopped() {
                            configuration(policy, Some(binding), "the time for one request is used up", review);
                            break;
                        }
                        Evaluation { policy, input, param }.review(binding, review);
                    }
                }
                Err(error) => configuration(policy, Some(binding), &error, review),
            }
        }
    }
}

/// A policy or binding that cannot be applied refuses, unless the policy says otherwise.
fn configuration(policy: &Policy, binding: Option<&Binding>, error: &str, review: &mut Review) {
    if policy.fails_closed() {
        let what = if binding.is_some() { "binding" } else { "policy" };
        review.findings.push(Finding {
            policy: policy.name.clone(),
            binding: binding.map(|b| b.metadata.name.clone()).unwrap_or_default(),
            action: Action::Deny,
            message: format!("failed to configure {what}: {error}"),
            reason: INVALID.into(),
        });
    }
}

/// One policy with one parameter over one request.
struct Evaluation<'p, 'a> {
    policy: &'p Policy,
    input: &'p AdmissionInput<'a>,
    param: &'a Json,
}

// === impl Evaluation ===

impl<'a> Evaluation<'_, 'a> {
    fn review(&self, binding: &Binding, review: &mut Review) {
        match self.conditions() {
            Ok(true) => {}
            Ok(false) => return,
            Err(message) => {
                self.report(binding, Verdict::Fails(message), review);
                return;
            }
        }
        match self.validations() {
            Ok(verdicts) => verdicts.into_iter().for_each(|verdict| self.report(binding, verdict, review)),
            Err(message) => self.report(binding, Verdict::Fails(message), review),
        }
        self.annotations(binding, review);
    }

    fn scope(&self, namespace: &'a Json) -> Scope<'_, 'a> {
        Scope { input: self.input, param: self.param, namespace, made: Made::new(&self.policy.variables) }
    }

    /// Whether all matchConditions hold: one that does not decides, whatever else fails.
    fn conditions(&self) -> Result<bool, String> {
        let mut budget = Budget::new(CONDITIONS_COST, jinwu_cel::limits::EXPRESSION_COST);
        let scope = self.scope(&Json::Null);
        let mut failures = Vec::new();
        for (program, condition) in self.policy.conditions.iter().zip(&self.policy.spec.match_conditions) {
            match program.evaluate(&scope, &mut budget) {
                Ok(Value::Bool(false)) => return Ok(false),
                Ok(_) => {}
                Err(error) => failures.push(failed(&condition.expression, &error)),
            }
        }
        match failures.as_slice() {
            [] => Ok(true),
            _ if !self.policy.fails_closed() => Ok(false),
            failures => Err(failures.join(", ")),
        }
    }

    /// What each validation says; an error when the budget is used up, and then nothing is known.
    fn validations(&self) -> Result<Vec<Verdict>, String> {
        let mut budget = Budget::policy();
        let scope = self.scope(self.input.namespace_object);
        let mut results = Vec::with_capacity(self.policy.validations.len());
        for program in &self.policy.validations {
            let result = program.evaluate(&scope, &mut budget);
            if budget.remaining() == 0 {
                return Err("validation failed due to running out of cost budget, no further validation expressions will be run".into());
            }
            results.push(result);
        }
        // Messages are made of variables anew, from what is left of the budget.
        let scope = self.scope(self.input.namespace_object);
        let mut verdicts = Vec::with_capacity(results.len());
        for ((result, message), source) in results.into_iter().zip(&self.policy.messages).zip(&self.policy.spec.validations) {
            let message = message.as_ref().map(|program| made(program, &scope, &mut budget));
            verdicts.push(match (result, message) {
                (Err(error), _) => Verdict::Fails(failed(&source.expression, &error)),
                (Ok(_), Some(Err(error @ EvaluationError::CostExceeded { .. }))) if budget.remaining() == 0 => {
                    Verdict::Fails(format!("failed messageExpression: {error}"))
                }
                (Ok(Value::Bool(true)), _) => Verdict::Admits,
                (Ok(_), message) => {
                    let made = message.and_then(Result::ok).flatten();
                    let written = Some(source.message.trim().to_owned()).filter(|m| !m.is_empty());
                    let message = made.or(written).unwrap_or_else(|| format!("failed expression: {}", source.expression.trim()));
                    Verdict::Denies(message, source.reason.clone())
                }
            });
        }
        Ok(verdicts)
    }

    fn report(&self, binding: &Binding, verdict: Verdict, review: &mut Review) {
        let (message, reason) = match verdict {
            Verdict::Admits => return,
            Verdict::Fails(_) if !self.policy.fails_closed() => return,
            Verdict::Fails(message) => (message, None),
            Verdict::Denies(message, reason) => (message, reason),
        };
        for action in &binding.spec.validation_actions {
            review.findings.push(Finding {
                policy: self.policy.name.clone(),
                binding: binding.metadata.name.clone(),
                action: match action {
                    ValidationAction::Deny => Action::Deny,
                    ValidationAction::Warn => Action::Warn,
                    ValidationAction::Audit => Action::Audit,
                },
                message: message.clone(),
                reason: reason.clone().unwrap_or_else(|| INVALID.into()),
            });
        }
    }

    fn annotations(&self, binding: &Binding, review: &mut Review) {
        let mut budget = Budget::policy();
        let scope = self.scope(self.input.namespace_object);
        for (program, source) in self.policy.annotations.iter().zip(&self.policy.spec.audit_annotations) {
            let value = match program.evaluate(&scope, &mut budget) {
                Ok(Value::String(text)) => shortened(text.as_str().trim(), MAX_ANNOTATION).to_owned(),
                Ok(_) => continue,
                Err(error) => {
                    self.report(binding, Verdict::Fails(failed(&source.value_expression, &error)), review);
                    continue;
                }
            };
            let annotation = AuditAnnotation { key: format!("{}/{}", self.policy.name, source.key), value };
            // Several bindings may say the same.
            if !annotation.value.is_empty() && !review.annotations.contains(&annotation) {
                review.annotations.push(annotation);
            }
        }
    }
}

fn failed(expression: &str, error: &EvaluationError) -> String {
    format!("expression '{}' resulted in error: {error}", expression.trim())
}

/// The longest beginning of a text that has no more bytes.
fn shortened(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or(text)
}

/// The message an expression makes; `None` when it is not fit to be one.
fn made<'a>(program: &Program, scope: &Scope<'_, 'a>, budget: &mut Budget) -> Result<Option<String>, EvaluationError> {
    let value = program.evaluate(scope, budget)?;
    let message = value.as_str().map(str::trim).unwrap_or_default();
    let fit = !message.is_empty() && message.len() <= MAX_MESSAGE && !message.contains('\n');
    Ok(fit.then(|| message.to_owned()))
}

/// The variables of an evaluation. Those of the policy are made when first asked for, and kept.
struct Scope<'p, 'a> {
    input: &'p AdmissionInput<'a>,
    param: &'a Json,
    namespace: &'a Json,
    made: Made<'p, 'a>,
}

// === impl Scope ===

impl<'a> Bindings<'a> for Scope<'_, 'a> {
    fn get(&self, name: &str, budget: &mut Budget) -> Option<Result<Value<'a>, EvaluationError>> {
        let input = self.input;
        Some(Ok(match name {
            "object" => Value::from(input.object),
            "oldObject" => Value::from(input.old_object),
            "request" => Value::from(input.request),
            "namespaceObject" => Value::from(self.namespace),
            "params" => Value::from(self.param),
            "authorizer" => authorizer_value(input.authorizer?),
            "authorizer.requestResource" => request_resource_value(
                input.authorizer?,
                ResourceAttributes {
                    group: input.group.into(),
                    resource: input.resource.into(),
                    subresource: input.subresource.into(),
                    namespace: input.namespace.into(),
                    name: input.name.into(),
                    ..ResourceAttributes::default()
                },
            ),
            variable => return self.made.get(variable.strip_prefix("variables.")?, self, budget),
        }))
    }
}
