//! The native policy says what the evaluator says: its expressions, evaluated here, on fixtures and made-up
//! pods as the API server shows them (defaults set, no `null`).

use crate::fixture::fixtures;
use crate::generate::Generator;
use jinwu_cel as cel;
use jinwu_cel::{Budget, Environment, ObjectType, Program, Type};
use jinwu_model::Mode;
use jinwu_podsecurity::expressions::{VERSION, faults, parameters};
use jinwu_podsecurity::{Control, Level, Paths, PodTemplate, evaluate, evaluate_control, native_policy};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A policy made ready.
struct Policy {
    condition: Program,
    variables: Vec<(String, Program)>,
    validations: Vec<Program>,
}

/// What an API server asks of a policy.
struct Review {
    kind: &'static str,
    operation: &'static str,
    object: Value,
    old: Value,
    params: Value,
}

type Bound<'r> = Vec<(String, cel::Value<'r>)>;

impl Policy {
    fn new() -> Policy {
        let policy = native_policy(&Control::ALL);
        let list = |name: &str| policy["spec"][name].as_array().unwrap().clone();
        let mut environment = ["object", "oldObject", "params", "request"].into_iter().fold(Environment::new(), |e, name| e.variable(name, Type::Dyn));
        let program = |environment: &Environment, v: &Value| {
            let text = v["expression"].as_str().unwrap();
            environment.compile(text).unwrap_or_else(|e| panic!("{text}: {e}"))
        };
        let condition = program(&environment, &list("matchConditions")[0]);
        let (mut variables, mut fields) = (Vec::new(), BTreeMap::new());
        for variable in list("variables") {
            let name = variable["name"].as_str().unwrap().to_owned();
            let made = program(&environment, &variable);
            fields.insert(name.clone(), made.result_type().clone());
            environment = environment.group("variables", ObjectType { name: "variables".into(), fields: fields.clone() });
            variables.push((name, made));
        }
        let validations = list("validations").iter().map(|v| program(&environment, v)).collect();
        Policy { condition, variables, validations }
    }

    fn matches(&self, review: &Review) -> bool {
        let request = review.request();
        value(&self.condition, &review.bound(&request)).as_bool().unwrap()
    }

    /// Every variable's value, and the validations that fail.
    fn evaluate(&self, review: &Review) -> (Map<String, Value>, Vec<usize>) {
        let request = review.request();
        let mut variables = Map::new();
        for (name, program) in &self.variables {
            let made = value(program, &with(review.bound(&request), &variables));
            variables.insert(name.clone(), made);
        }
        let bound = with(review.bound(&request), &variables);
        let failed = |(_, program): &(usize, &Program)| !value(program, &bound).as_bool().unwrap();
        let failed = self.validations.iter().enumerate().filter(failed).map(|(n, _)| n).collect();
        (variables, failed)
    }
}

impl Review {
    fn request(&self) -> Value {
        json!({"operation": self.operation, "kind": {"kind": self.kind}})
    }

    fn bound<'r>(&'r self, request: &'r Value) -> Bound<'r> {
        [("object", &self.object), ("oldObject", &self.old), ("params", &self.params), ("request", request)]
            .map(|(name, value)| (name.to_owned(), cel::Value::from(value)))
            .to_vec()
    }
}

fn with<'r>(mut bound: Bound<'r>, variables: &'r Map<String, Value>) -> Bound<'r> {
    bound.extend(variables.iter().map(|(name, value)| (format!("variables.{name}"), cel::Value::from(value))));
    bound
}

fn value(program: &Program, bound: &Bound<'_>) -> Value {
    let made = program.evaluate(bound, &mut Budget::policy());
    made.unwrap_or_else(|e| panic!("{e}: {:?}", program.variables().collect::<Vec<_>>())).to_json().unwrap()
}

/// The pod as it stands in the API server: no `null`, names everywhere, a volume without a source is an emptyDir.
fn stored(value: Value) -> Value {
    match value {
        Value::Object(object) => Value::Object(object.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, stored(v))).collect()),
        Value::Array(items) => Value::Array(items.into_iter().filter(|v| !v.is_null()).map(stored).collect()),
        other => other,
    }
}

fn completed(pod: Value) -> Value {
    let mut pod = stored(pod);
    if pod.get("spec").is_none() {
        pod["spec"] = json!({});
    }
    for list in ["containers", "initContainers", "ephemeralContainers", "volumes"] {
        for item in pod["spec"].get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let item = item.as_object_mut().unwrap();
            item.entry("name").or_insert(json!("unnamed"));
            if list == "volumes" && item.len() == 1 {
                item.insert("emptyDir".to_owned(), json!({}));
            }
        }
    }
    if let Some(sysctls) = pod.pointer_mut("/spec/securityContext/sysctls").and_then(Value::as_array_mut) {
        for sysctl in sysctls {
            sysctl.as_object_mut().unwrap().entry("name").or_insert(json!(""));
        }
    }
    pod
}

fn agree(policy: &Policy, kind: &'static str, object: Value, pod: &Value) {
    let text = pod.to_string();
    let parsed = PodTemplate::from_json(&text).unwrap();
    let params = json!({"data": parameters(Level::Restricted, Mode::Block)});
    let review = Review { kind, operation: "CREATE", object, old: Value::Null, params };
    assert!(policy.matches(&review));
    let (variables, failed) = policy.evaluate(&review);
    for control in Control::ALL.into_iter().filter(|c| faults(*c).is_some()) {
        let ours = evaluate_control(control, VERSION, &parsed.metadata, &parsed.spec, &Paths::pod());
        let theirs: BTreeSet<&str> = variables[control.id()].as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect();
        assert_eq!(ours.is_some(), !theirs.is_empty(), "{control} of {pod}");
        if let Some(finding) = ours {
            let named: BTreeSet<&str> = finding.containers.iter().map(String::as_str).collect();
            assert!(named.is_subset(&theirs), "{control} of {pod}: {named:?}, {theirs:?}");
        }
    }
    let blocked = !evaluate(Level::Restricted, VERSION, &parsed.metadata, &parsed.spec).is_empty();
    assert_eq!(blocked, !failed.is_empty(), "{pod}");
}

#[test]
fn the_native_policy_agrees_on_the_fixtures() {
    let policy = Policy::new();
    let mut seen = 0;
    for fixture in fixtures("v0.34.4").into_iter().filter(|f| f.version == VERSION) {
        let pod = completed(fixture.pod);
        agree(&policy, "Pod", pod.clone(), &pod);
        agree(&policy, "Deployment", json!({"spec": {"template": pod}}), &pod);
        agree(&policy, "CronJob", json!({"spec": {"jobTemplate": {"spec": {"template": pod}}}}), &pod);
        agree(&policy, "PodTemplate", json!({"template": pod}), &pod);
        seen += 1;
    }
    assert!(seen > 100, "{seen}");
}

#[test]
fn the_native_policy_agrees_on_made_up_pods() {
    let policy = Policy::new();
    let mut seen = 0;
    for seed in 0..1_500 {
        let pod = Generator::new(seed).pod();
        if PodTemplate::from_json(&pod.to_string()).is_err() || pod.to_string().contains("notYetInvented") {
            continue;
        }
        let pod = completed(pod);
        agree(&policy, "Pod", pod.clone(), &pod);
        seen += 1;
    }
    assert!(seen > 1_000, "{seen}");
}

#[test]
fn modes_decide_what_blocks() {
    let policy = Policy::new();
    let pod = json!({"spec": {"hostPID": true, "containers": [{"name": "a", "image": "i"}]}});
    let failed = |params: Value| {
        let review = Review { kind: "Pod", operation: "CREATE", object: pod.clone(), old: Value::Null, params };
        policy.evaluate(&review).1.len()
    };
    assert_eq!(failed(json!({"data": parameters(Level::Privileged, Mode::Block)})), 0);
    assert_eq!(failed(json!({"data": parameters(Level::Baseline, Mode::Block)})), 1);
    assert_eq!(failed(json!({"data": parameters(Level::Restricted, Mode::Block)})), 5);
    assert_eq!(failed(json!({"data": parameters(Level::Restricted, Mode::Alert)})), 0);
    // What is not said blocks.
    for params in [Value::Null, json!({}), json!({"data": {}}), json!({"data": {"hostNamespaces": "Allow"}})] {
        assert_eq!(failed(params), 5);
    }
}

#[test]
fn updates_that_change_no_pod_do_not_match() {
    let policy = Policy::new();
    let matches = |kind, old: &Value, object: Value| policy.matches(&Review { kind, operation: "UPDATE", object, old: old.clone(), params: Value::Null });
    let pod = json!({"metadata": {}, "spec": {"hostPID": true, "containers": [{"name": "a", "image": "i"}]}, "status": {}});
    let with = |pointer: &str, value: Value| {
        let mut new = pod.clone();
        *new.pointer_mut(pointer).unwrap() = value;
        new
    };
    assert!(!matches("Pod", &pod, with("/metadata", json!({"labels": {"a": "b"}}))));
    assert!(!matches("Pod", &pod, with("/status", json!({"phase": "Running"}))));
    assert!(matches("Pod", &pod, with("/spec/containers/0/image", json!("other"))));
    let deployment = json!({"metadata": {}, "spec": {"replicas": 1, "template": pod}});
    let scaled = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"replicas": 2, "template": pod}});
    assert!(!matches("Deployment", &deployment, scaled));
    assert!(matches("Deployment", &deployment, json!({"spec": {"template": {"spec": {}}}})));
    assert!(matches("ReplicationController", &deployment, json!({"spec": {}})));
}
