//! No text given for policies and no request panics or runs on: what loads is evaluated within bounds.

use crate::support::{Case, judge_those};
use jinwu_policy::admission_policy::AdmissionPolicies;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// For one policy over one request, debug build and a busy machine counted.
const PATIENCE: Duration = Duration::from_secs(30);

/// Expressions that read everything a request has, some of which fail, cost too much or do not compile.
const EXPRESSIONS: &[&str] = &[
    "true",
    "false",
    "object.spec.replicas <= 5",
    "object.a.b.c == oldObject.a",
    "has(object.metadata.labels) && object.metadata.labels.all(k, k != object.metadata.labels[k])",
    "object.?spec[?'x'].orValue(1) == 1",
    "params.max > 1",
    "variables.v == 1",
    "variables.list.exists(x, variables.list.exists(y, x == y))",
    "request.userInfo.groups.exists(g, g == 'x')",
    "namespaceObject.metadata.name.startsWith('a')",
    "authorizer.requestResource.check('get').allowed()",
    "lists.range(2000).all(a, lists.range(2000).all(b, a + b >= 0))",
    "quantity(object.spec.memory).isLessThan(quantity('1Gi'))",
    "object.spec.text.matches('(a+)+$')",
    "object == oldObject",
    "string(object.spec)",
    "[object, oldObject, params].map(x, x)",
    "null",
    "'text\\n' + object.metadata.name",
    "1 +",
    "nope",
    "dyn(object)",
];

fn json_value() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        any::<f64>().prop_map(|f| json!(f)),
        ".{0,12}".prop_map(Json::from),
        Just(json!("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!")),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
            prop::collection::btree_map(key(), inner, 0..6).prop_map(|m| json!(m)),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![select(vec!["metadata", "labels", "name", "spec", "replicas", "a", "b", "c", "x", "memory", "text", "max"]).prop_map(str::to_owned), ".{0,6}"]
}

fn expression() -> impl Strategy<Value = String> {
    prop_oneof![8 => select(EXPRESSIONS).prop_map(str::to_owned), 1 => ".{0,30}"]
}

fn strings(of: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(select(of).prop_map(str::to_owned), 0..3)
}

fn selector() -> impl Strategy<Value = Json> {
    let one = (select(&["In", "NotIn", "Exists", "DoesNotExist", "Near"][..]), strings(&["web", "test", ""])).prop_map(|(operator, values)| json!({"key": "app", "operator": operator, "values": values}));
    prop_oneof![
        Just(json!({})),
        Just(json!({"matchLabels": {"app": "web"}})),
        prop::collection::vec(one, 0..3).prop_map(|all| json!({"matchExpressions": all})),
    ]
}

fn rule() -> impl Strategy<Value = Json> {
    (
        strings(&["*", "CREATE", "UPDATE", "DELETE", "READ"]),
        strings(&["*", "apps", ""]),
        strings(&["*", "v1", "v2"]),
        strings(&["*", "*/*", "deployments", "deployments/*", "deployments/scale", "*/scale", "/", ""]),
        select(&["*", "Namespaced", "Cluster"][..]),
    )
        .prop_map(|(operations, groups, versions, resources, scope)| {
            json!({"operations": operations, "apiGroups": groups, "apiVersions": versions, "resources": resources, "scope": scope})
        })
}

fn policy() -> impl Strategy<Value = Json> {
    let validation = (expression(), expression()).prop_map(|(expression, message)| json!({"expression": expression, "messageExpression": message}));
    (
        prop::collection::vec(rule(), 0..3),
        selector(),
        prop::collection::vec(validation, 0..4),
        prop::collection::vec(expression(), 0..3),
        select(&["Fail", "Ignore"][..]),
        any::<bool>(),
    )
        .prop_map(|(rules, selector, validations, more, failure, params)| {
            let listed = json!({"resourceRules": rules, "objectSelector": selector});
            let any = json!({"resourceRules": [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"]}]});
            let mut spec = json!({
                "matchConstraints": if more.is_empty() { listed } else { any }, "validations": validations, "failurePolicy": failure,
                "matchConditions": more.iter().enumerate().map(|(i, e)| json!({"name": format!("c{i}"), "expression": e})).collect::<Vec<_>>(),
                "variables": [{"name": "v", "expression": "object.spec"}, {"name": "list", "expression": "lists.range(400)"}],
                "auditAnnotations": more.iter().enumerate().map(|(i, e)| json!({"key": format!("k{i}"), "valueExpression": format!("string({e})")})).collect::<Vec<_>>(),
            });
            if params {
                spec["paramKind"] = json!({"apiVersion": "rules.example.com/v1", "kind": "ReplicaLimit"});
            }
            json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "p"}, "spec": spec})
        })
}

fn binding() -> impl Strategy<Value = Json> {
    (strings(&["Deny", "Warn", "Audit"]), selector(), any::<bool>()).prop_map(|(actions, selector, params)| {
        let mut spec = json!({"policyName": "p", "validationActions": actions, "matchResources": {"namespaceSelector": selector}});
        if params {
            spec["paramRef"] = json!({"selector": {}, "parameterNotFoundAction": "Deny"});
        }
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "b"}, "spec": spec})
    })
}

/// Loads, and evaluates what loads.
fn run(text: &str, object: &Json, old_object: &Json, param: &Json, labels: bool) -> Result<(), TestCaseError> {
    let begun = Instant::now();
    let Ok(policies) = AdmissionPolicies::load(text, 34) else { return Ok(()) };
    for operation in ["CREATE", "DELETE"] {
        let case = Case {
            operation,
            object: object.clone(),
            old_object: old_object.clone(),
            params: vec![json!({"apiVersion": "rules.example.com/v1", "kind": "ReplicaLimit", "metadata": {"name": "x", "namespace": "shop"}, "max": param})],
            labels: labels.then(BTreeMap::new),
            ..Case::default()
        };
        let first = judge_those(&policies, &case, &|_, _| true, &|| false);
        prop_assert_eq!(&judge_those(&policies, &case, &|_, _| true, &|| false), &first, "the same question, the same answer");
    }
    prop_assert!(begun.elapsed() < PATIENCE, "{:?}: {}", begun.elapsed(), text);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(text in "\\PC{0,400}", lines in prop::collection::vec(select(LINES), 0..20)) {
        let _ = AdmissionPolicies::load(&text, 34);
        let _ = AdmissionPolicies::load(&lines.join("\n"), 34);
    }

    #[test]
    fn what_loads_is_evaluated_within_bounds(
        policy in policy(), bindings in binding(), object in json_value(), old in json_value(), param in json_value(), labels in any::<bool>(),
    ) {
        run(&format!("{policy}\n---\n{bindings}"), &object, &old, &param, labels)?;
    }

    #[test]
    fn a_document_changed_anywhere_is_read_or_refused(policy in policy(), other in json_value(), which in any::<prop::sample::Index>()) {
        let mut policy = policy;
        let mut places = Vec::new();
        pointers(&policy, String::new(), &mut places);
        let place = which.get(&places).clone();
        if let Some(member) = policy.pointer_mut(&place) {
            *member = other;
        }
        run(&policy.to_string(), &json!({}), &Json::Null, &Json::Null, true)?;
    }
}

const LINES: &[&str] = &[
    "---", "apiVersion: admissionregistration.k8s.io/v1", "kind: ValidatingAdmissionPolicy", "kind: ValidatingAdmissionPolicyBinding", "kind: List",
    "metadata: {name: a}", "spec:", "  validations: [{expression: 'true'}]", "  paramKind: &a {apiVersion: v1, kind: ConfigMap}", "  x: *a",
    "  <<: *a", "items:", "- &b [*b]", "? ", "!!binary x", "\t", "  matchConstraints: {resourceRules: []}", "%YAML 1.2", "...", "|",
];

fn pointers(value: &Json, at: String, out: &mut Vec<String>) {
    match value {
        Json::Object(map) => map.iter().for_each(|(key, value)| pointers(value, format!("{at}/{key}"), out)),
        Json::Array(list) => list.iter().enumerate().for_each(|(i, value)| pointers(value, format!("{at}/{i}"), out)),
        _ => {}
    }
    out.push(at);
}

#[test]
fn a_tower_of_brackets_or_aliases_is_refused_in_time() {
    let begun = Instant::now();
    for text in [
        "[".repeat(100_000),
        "{a: ".repeat(50_000),
        format!("a: &a [x]\n{}", (0..40).map(|i| format!("b{i}: &b{i} [*a, *a]\n")).collect::<String>()),
        format!("l0: &l0 [x,x,x,x,x,x,x,x,x]\n{}", (1..12).map(|i| format!("l{i}: &l{i} [{}]\n", vec![format!("*l{}", i - 1); 9].join(","))).collect::<String>()),
        "---\na: 1\n".repeat(5_000),
    ] {
        let _ = AdmissionPolicies::load(&text, 34);
    }
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
}
