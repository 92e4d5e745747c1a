//! The API server's own answers: every expression of `golden/expressions.txt` was evaluated with the
//! CEL environment of k8s.io/apiserver 0.34.4 (`lab/cel-golden.sh`); the same value, the same kind of
//! failure and the same cost are wanted here.

use jinwu_cel::{
    Attributes, AuthorizationDecision, AuthorizationTarget, Authorizer, Budget, Environment, Type, Value, authorizer_value,
};
use crate::support::show;

#[derive(Debug, PartialEq)]
enum Answer {
    Refused,
    Failed(u64),
    Given(String, u64),
}

/// Expressions whose answers differ on purpose, with the reason. An entry that does not differ any
/// more is a fault.
const DIFFERENT: &[(&str, &str)] = &[
    ("{[1]: 2}", "a key of a type that no lookup finds is refused when it is compiled"),
    ("{1.5: 2}", "a key of a type that no lookup finds is refused when it is compiled"),
    (r#"timestamp("9999-12-31T23:59:59Z").getDate("Europe/Berlin")"#, "civil time ends with year 9999"),
];

struct Rules;

impl Authorizer for Rules {
    fn authorize(&self, attributes: &Attributes) -> Result<AuthorizationDecision, String> {
        let (resource, namespace) = match &attributes.target {
            AuthorizationTarget::Resource(resource) => (resource.resource.as_str(), resource.namespace.as_str()),
            AuthorizationTarget::Path(_) => ("", ""),
        };
        if resource == "broken" {
            return Err("broken".into());
        }
        if attributes.verb == "get" && (attributes.service_account.is_none() || namespace == "default") {
            return Ok(AuthorizationDecision { allowed: true, reason: "may read".into() });
        }
        Ok(AuthorizationDecision::default())
    }
}

fn ours(environment: &Environment, object: &serde_json::Value, expression: &str) -> (Answer, String) {
    let program = match environment.compile(expression) {
        Ok(program) => program,
        Err(error) => return (Answer::Refused, error.to_string()),
    };
    let mut budget = Budget::policy();
    let result = program.evaluate(&[("object", Value::from(object)), ("authorizer", authorizer_value(&Rules))], &mut budget);
    match result {
        Ok(value) => (Answer::Given(show(&value), budget.last_cost()), String::new()),
        Err(error) => (Answer::Failed(budget.last_cost()), error.to_string()),
    }
}

#[test]
fn every_answer_is_the_api_servers() {
    let object: serde_json::Value = serde_json::from_str(include_str!("../golden/object.json")).unwrap();
    let environment =
        Environment::new().variable("object", Type::Dyn).variable("authorizer", Type::Opaque("kubernetes.authorization.Authorizer"));
    let mut faults = Vec::new();
    let mut count = 0;
    for line in include_str!("../golden/kubernetes-1.34.jsonl").lines() {
        let golden: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| golden[name].as_str().unwrap_or_default().to_owned();
        let (expression, cost) = (text("expression"), golden["cost"].as_u64().unwrap());
        let theirs = match text("outcome").as_str() {
            "refused" => Answer::Refused,
            "error" => Answer::Failed(cost),
            _ => Answer::Given(text("value"), cost),
        };
        let (mut mine, detail) = ours(&environment, &object, &expression);
        // What a failed evaluation cost is known to differ: the API server looks at the remaining
        // arguments of some calls after one has failed. Beyond the limit both say so.
        if let (Answer::Failed(mine), Answer::Failed(theirs)) = (&mut mine, &theirs)
            && (*mine > 1_000_000) == (*theirs > 1_000_000)
        {
            *mine = *theirs;
        }
        count += 1;
        let expected_to_differ = DIFFERENT.iter().any(|(known, _)| *known == expression);
        if (mine == theirs) == expected_to_differ {
            faults.push(format!("{expression}\n    theirs {theirs:?} {}\n    ours   {mine:?} {detail}", text("detail")));
        }
    }
    assert!(count > 800, "only {count} expressions were read");
    assert!(faults.is_empty(), "{} of {count} answers differ:\n{}", faults.len(), faults.join("\n"));
}
