//! What validations say: failures, messages, variables.

use crate::support::{Case, judge, policy, said};
use jinwu_policy::admission_policy::Action;
use serde_json::{Value as Json, json};

#[test]
fn failures_follow_the_failure_policy() {
    let failing = json!([{"expression": "object.spec.missing == 1"}, {"expression": "false", "message": "no"}]);
    let closed = policy(json!({"validations": failing}), json!({}));
    let messages = said(&judge(&closed, &Case::default()));
    assert_eq!(messages, ["Deny expression 'object.spec.missing == 1' resulted in error: no such key: missing", "Deny no"]);
    let open = policy(json!({"failurePolicy": "Ignore", "validations": failing}), json!({}));
    assert_eq!(said(&judge(&open, &Case::default())), ["Deny no"]);
    let warned = policy(json!({"validations": failing}), json!({"validationActions": ["Warn"]}));
    let review = judge(&warned, &Case::default());
    assert!(!review.denies() && review.findings.iter().all(|f| f.action == Action::Warn) && review.findings.len() == 2);
    // Without somebody to ask, what asks fails.
    let asking = policy(json!({"validations": [{"expression": "authorizer.requestResource.check('breakglass').allowed()"}]}), json!({}));
    assert_eq!(judge(&asking, &Case::default()).findings, []);
    assert!(judge(&asking, &Case { authorizer: false, ..Case::default() }).denies());
    assert!(judge(&asking, &Case { namespace: "other", ..Case::default() }).denies());
}

#[test]
fn messages_fall_back() {
    let message = |expression: &str, written: &str| {
        let validation = json!({"expression": " object.spec.replicas == 1 ", "message": written, "messageExpression": expression});
        said(&judge(&policy(json!({"validations": [validation]}), json!({})), &Case::default())).remove(0)
    };
    assert_eq!(message("'made of ' + string(object.spec.replicas)", "written"), "Deny made of 7");
    assert_eq!(message("'  made  '", "written"), "Deny made");
    for unfit in ["''", "'  '", "'two\\nlines'", "'x'.replace('x', 'yyyyyyyyyyyyyyyyyyyyyyyy') + 'z'.replace('', string(object.missing))",
        "lists.range(600).map(x, '0123456789').join()"] {
        assert_eq!(message(unfit, " written "), "Deny written", "{unfit}");
        assert_eq!(message(unfit, ""), "Deny failed expression: object.spec.replicas == 1", "{unfit}");
    }
    assert_eq!(message("", ""), "Deny failed expression: object.spec.replicas == 1");
    // A line break at an end is trimmed before it counts.
    assert_eq!(message("'made\\n'", "written"), "Deny made");
}

#[test]
fn variables_are_made_once_in_order_and_when_needed() {
    let policies = policy(
        json!({"variables": [
            {"name": "failing", "expression": "object.missing"},
            {"name": "names", "expression": "object.spec.template.spec.containers.map(c, c.name)"},
            {"name": "first", "expression": "variables.names[0]"}],
            "validations": [
                {"expression": "variables.first == 'web' && size(variables.names) == 1"},
                {"expression": "variables.first == 'web' || variables.failing == 1"},
                {"expression": "has(variables.failing)"},
                {"expression": "variables.failing == 1"}]}),
        json!({}),
    );
    assert_eq!(said(&judge(&policies, &Case::default())), ["Deny expression 'variables.failing == 1' resulted in error: no such key: missing"]);
    // A costly variable counts once for all validations.
    let costly = |times: usize| {
        let validations: Vec<Json> = (0..times).map(|_| json!({"expression": "variables.many > 0"})).collect();
        policy(json!({"variables": [{"name": "many", "expression": "lists.range(400000).size()"}], "validations": validations}), json!({}))
    };
    assert_eq!(judge(&costly(50), &Case::default()).findings, []);
    // Without the variable it would be used up.
    let validations: Vec<Json> = (0..50).map(|_| json!({"expression": "lists.range(400000).size() > 0"})).collect();
    let review = judge(&policy(json!({"validations": validations}), json!({})), &Case::default());
    assert_eq!(review.findings.len(), 1);
    assert!(review.findings[0].message.contains("out of cost budget"), "{review:?}");
}

#[test]
fn the_deepest_variables_are_no_stack() {
    let mut variables = vec![json!({"name": "v0", "expression": "[1].map(x, x)"})];
    for i in 1..160 {
        variables.push(json!({"name": format!("v{i}"), "expression": format!("[variables.v{}]", i - 1)}));
    }
    let validation = "variables.v159 == variables.v159";
    let policies = policy(json!({"variables": variables, "validations": [{"expression": validation}]}), json!({}));
    assert_eq!(judge(&policies, &Case::default()).findings, []);
    // Comprehensions take most room each.
    let nested = |inner: &str| format!("{}{inner}{}", "[0].map(x, ".repeat(240), ")".repeat(240));
    let variables = json!([{"name": "a", "expression": nested("0")}, {"name": "b", "expression": nested("variables.a")}]);
    let policies = policy(json!({"variables": variables, "validations": [{"expression": "dyn(variables.b) != dyn(1)"}]}), json!({}));
    assert_eq!(judge(&policies, &Case::default()).findings, []);
}
