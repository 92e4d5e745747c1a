//! The decision.

use crate::compile::{Compiled, CompiledValidation, EXPRESSION_COST, POLICY_COST};
use crate::exception::Exception;
use crate::facts::Facts;
use crate::message;
use crate::set::PolicySet;
use crate::variables::Made;
use jinwu_cel::{Bindings, Budget, EvaluationError, Value};
use jinwu_model::{Decision, DecisionId, Gate, Mode, PolicyId, ProtectionLevel, Text, Violation};
use std::collections::BTreeMap;

/// A decision keeps at most this many violations of one policy; the last then says how many more.
pub const MAX_VIOLATIONS: usize = 200;

/// Where the decision is made: the level gives default modes, the project may change them.
#[derive(Clone, Debug)]
pub struct Scope<'a> {
    pub level: ProtectionLevel,
    pub modes: &'a BTreeMap<PolicyId, Mode>,
    pub exceptions: &'a [Exception],
    /// Unix milliseconds; exceptions expire by it.
    pub now: i64,
}

/// Judges the facts by every policy of the gate. A policy that cannot be evaluated is violated:
/// what cannot be judged does not pass.
pub fn judge(set: &PolicySet, gate: Gate, scope: &Scope<'_>, facts: &Facts, id: DecisionId) -> Decision {
    let mut decision = Decision { id, gate, permit: true, violations: Vec::new() };
    let mut violations = Vec::new();
    for (name, policy) in set.policies.iter().filter(|(_, p)| p.document.judges_images() && p.document.spec.gates.contains(&gate)) {
        let mode = scope.modes.get(name).copied().unwrap_or_else(|| policy.document.spec.modes.at(scope.level));
        let found = evaluate(policy, facts, scope.level).unwrap_or_else(|error| {
            vec![Found {
                finding: Text::new(format!("策略无法求值:{error}"), format!("the policy cannot be evaluated: {error}")),
                advice: Text::new("请安全管理员检查该策略", "have the security administrator check the policy"),
                evidence: serde_json::Value::Null,
            }]
        });
        let total = found.len();
        for (i, f) in found.into_iter().enumerate() {
            if i + 1 == MAX_VIOLATIONS && total > MAX_VIOLATIONS {
                let more = total - MAX_VIOLATIONS + 1;
                violations.push(violation(name, policy, mode, None, Found {
                    finding: Text::new(format!("另有 {more} 项"), format!("{more} more")),
                    ..f
                }));
                break;
            }
            let exception = facts.exception(scope.exceptions, name, &f.evidence, scope.now);
            violations.push(violation(name, policy, mode, exception, f));
        }
    }
    decision.add(violations);
    decision
}

struct Found {
    finding: Text,
    advice: Text,
    evidence: serde_json::Value,
}

fn violation(name: &PolicyId, policy: &Compiled, mode: Mode, exception: Option<String>, f: Found) -> Violation {
    Violation {
        policy: name.clone(),
        clauses: policy.document.spec.clauses.clone(),
        mode,
        finding: f.finding,
        advice: f.advice,
        exception,
        evidence: f.evidence,
    }
}

/// What the expressions of a policy read.
struct Bound<'p, 'a> {
    facts: &'a Facts,
    level: ProtectionLevel,
    params: &'a serde_json::Value,
    made: Made<'p, 'a>,
}

impl<'a> Bindings<'a> for Bound<'_, 'a> {
    fn get(&self, name: &str, budget: &mut Budget) -> Option<Result<Value<'a>, EvaluationError>> {
        Some(Ok(match name {
            "image" => Value::from(&self.facts.image),
            "report" => Value::from(&self.facts.report),
            "level" => Value::Int(i64::from(self.level.get())),
            "params" => Value::from(self.params),
            variable => return self.made.get(variable.strip_prefix("variables.")?, self, budget),
        }))
    }
}

fn evaluate(policy: &Compiled, facts: &Facts, level: ProtectionLevel) -> Result<Vec<Found>, String> {
    let params = serde_json::to_value(&policy.document.spec.params).map_err(|e| e.to_string())?;
    let bound = Bound { facts, level, params: &params, made: Made::new(&policy.variables) };
    let mut budget = Budget::new(POLICY_COST, EXPRESSION_COST);
    for (program, condition) in policy.conditions.iter().zip(&policy.document.spec.match_conditions) {
        match program.evaluate(&bound, &mut budget).map_err(|e| format!("matchConditions {}: {e}", condition.name))? {
            Value::Bool(true) => {}
            Value::Bool(false) => return Ok(Vec::new()),
            _ => return Err(format!("matchConditions {} gave no truth value", condition.name)),
        }
    }
    let mut found = Vec::new();
    for validation in &policy.validations {
        validate(policy, validation, &bound, &mut budget, &mut found)?;
    }
    Ok(found)
}

fn validate(policy: &Compiled, v: &CompiledValidation, bound: &Bound<'_, '_>, budget: &mut Budget, found: &mut Vec<Found>) -> Result<(), String> {
    if let Some(program) = &v.expression {
        match program.evaluate(bound, budget).map_err(|e| e.to_string())? {
            Value::Bool(true) => return Ok(()),
            Value::Bool(false) => {}
            _ => return Err("a validation gave no truth value".into()),
        }
    }
    let advice = |evidence: &serde_json::Value| {
        let template = v.source.advice.clone().unwrap_or_else(|| policy.document.metadata.description.clone());
        message::fill(&template, evidence)
    };
    if let Some(program) = &v.each {
        let Value::List(list) = program.evaluate(bound, budget).map_err(|e| e.to_string())? else {
            return Err("each did not give a list".into());
        };
        for item in list.iter() {
            let evidence = item.to_json().ok_or("an element of each is not JSON")?;
            let template = v.source.message.clone().unwrap_or_default();
            found.push(Found { finding: message::fill(&template, &evidence), advice: advice(&evidence), evidence });
        }
        return Ok(());
    }
    let finding = match (&v.source.message, &v.message) {
        (Some(text), _) => text.clone(),
        // As in Kubernetes: a message that cannot be made does not change the decision.
        (None, Some(program)) => match program.evaluate(bound, budget) {
            Ok(Value::String(s)) => Text::new(s.as_str(), s.as_str()),
            _ => policy.document.metadata.title.clone(),
        },
        (None, None) => policy.document.metadata.title.clone(),
    };
    found.push(Found { finding, advice: advice(&serde_json::Value::Null), evidence: serde_json::Value::Null });
    Ok(())
}
