//! What a policy or binding is about: rules, selectors, conditions, parameters.

use crate::support::{Case, judge, policy, said};
use serde_json::{Value as Json, json};

#[test]
fn rules_match_as_in_the_api_server() {
    let rule = |more: Json| {
        let mut rule = json!({"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}).as_object().unwrap().clone();
        rule.extend(more.as_object().unwrap().clone());
        Json::Object(rule)
    };
    let pods = |subresource| Case { group: "", resource: "pods", subresource, ..Case::default() };
    let node = || Case { group: "", resource: "nodes", namespace: "", ..Case::default() };
    let namespace = || Case { group: "", resource: "namespaces", namespace: "shop", name: "shop", ..Case::default() };
    let cases: Vec<(Json, Case, bool)> = vec![
        (rule(json!({})), Case::default(), true),
        (rule(json!({})), pods("log"), false),
        (rule(json!({"resources": ["*/*"]})), pods("log"), true),
        (rule(json!({"resources": ["*/*"]})), pods(""), true),
        (rule(json!({"resources": ["pods"]})), pods(""), true),
        (rule(json!({"resources": ["pods"]})), pods("log"), false),
        (rule(json!({"resources": ["pods/*"]})), pods("log"), true),
        (rule(json!({"resources": ["pods/*"]})), pods(""), true),
        (rule(json!({"resources": ["pods/log"]})), pods("log"), true),
        (rule(json!({"resources": ["pods/log"]})), pods("exec"), false),
        (rule(json!({"resources": ["*/log"]})), pods("log"), true),
        (rule(json!({"resources": ["services"]})), pods(""), false),
        (rule(json!({"operations": ["CREATE"]})), Case::default(), true),
        (rule(json!({"operations": ["UPDATE", "DELETE"]})), Case::default(), false),
        (rule(json!({"apiGroups": [""]})), Case::default(), false),
        (rule(json!({"apiGroups": [""]})), pods(""), true),
        (rule(json!({"apiGroups": ["apps", "batch"]})), Case::default(), true),
        (rule(json!({"resourceNames": ["web"]})), Case::default(), true),
        (rule(json!({"resourceNames": ["other"]})), Case::default(), false),
        (rule(json!({"scope": "*"})), node(), true),
        (rule(json!({"scope": "Namespaced"})), node(), false),
        (rule(json!({"scope": "Cluster"})), node(), true),
        (rule(json!({"scope": "Namespaced"})), Case::default(), true),
        (rule(json!({"scope": "Cluster"})), Case::default(), false),
        // A namespace is no thing in a namespace.
        (rule(json!({"scope": "Cluster"})), namespace(), true),
        (rule(json!({"scope": "Namespaced"})), namespace(), false),
        // Another version of the same kind matches, for its objects are equivalent.
        (rule(json!({"apiVersions": ["v1beta1"]})), Case::default(), true),
        (rule(json!({})), Case { group: "admissionregistration.k8s.io", resource: "validatingadmissionpolicies", ..Case::default() }, false),
    ];
    for (i, (rule, case, wanted)) in cases.iter().enumerate() {
        let policies = policy(json!({"matchConstraints": {"resourceRules": [rule]}, "validations": [{"expression": "false"}]}), json!({}));
        assert_eq!(judge(&policies, case).denies(), *wanted, "{i}: {rule}");
    }
    let exact = json!({"matchPolicy": "Exact", "resourceRules": [rule(json!({"apiVersions": ["v1beta1"]}))]});
    let policies = policy(json!({"matchConstraints": exact, "validations": [{"expression": "false"}]}), json!({}));
    assert!(!judge(&policies, &Case::default()).denies());
    let but = json!({"resourceRules": [rule(json!({}))], "excludeResourceRules": [rule(json!({"resourceNames": ["web"]}))]});
    let policies = policy(json!({"matchConstraints": but, "validations": [{"expression": "false"}]}), json!({}));
    assert!(!judge(&policies, &Case::default()).denies());
    assert!(judge(&policies, &Case { name: "other", ..Case::default() }).denies());
}

#[test]
fn selectors_select() {
    let select = |which: &str, selector: Json| {
        policy(json!({"validations": [{"expression": "false"}]}), json!({"matchResources": {which: selector}}))
    };
    let expression = |key: &str, operator: &str, values: Json| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
    for (selector, wanted) in [
        (json!({}), true),
        (json!({"matchLabels": {"environment": "test"}}), true),
        (json!({"matchLabels": {"environment": "production"}}), false),
        (expression("environment", "In", json!(["test", "stage"])), true),
        (expression("environment", "NotIn", json!(["test"])), false),
        (expression("absent", "NotIn", json!(["test"])), true),
        (expression("environment", "Exists", json!([])), true),
        (expression("environment", "DoesNotExist", json!([])), false),
    ] {
        assert_eq!(judge(&select("namespaceSelector", selector.clone()), &Case::default()).denies(), wanted, "{selector}");
    }
    let by_namespace = select("namespaceSelector", json!({"matchLabels": {"environment": "test"}}));
    // Labels that are not known fail what selects by them, and only that.
    let unknown = Case { labels: None, ..Case::default() };
    assert!(said(&judge(&by_namespace, &unknown))[0].contains("labels of namespace shop are not known"));
    assert!(!judge(&by_namespace, &Case { labels: None, resource: "services", ..Case::default() }).denies());
    let by_object = select("objectSelector", json!({"matchLabels": {"app": "web"}}));
    assert!(judge(&by_object, &Case::default()).denies());
    let other = json!({"metadata": {"labels": {"app": "db"}}});
    assert!(!judge(&by_object, &Case { object: other.clone(), ..Case::default() }).denies());
    // As it was counts as well as as it is to be.
    assert!(judge(&by_object, &Case { operation: "UPDATE", object: other, old_object: Case::default().object, ..Case::default() }).denies());
}

#[test]
fn match_conditions_decide_before_validations() {
    let with = |conditions: &[&str], failure: &str| {
        let conditions: Vec<Json> = conditions.iter().enumerate().map(|(i, c)| json!({"name": format!("c{i}"), "expression": c})).collect();
        let policies = policy(json!({"failurePolicy": failure, "matchConditions": conditions, "validations": [{"expression": "false", "message": "no"}]}), json!({}));
        said(&judge(&policies, &Case::default()))
    };
    assert_eq!(with(&["true", "object.spec.replicas == 7"], "Fail"), ["Deny no"]);
    assert_eq!(with(&["true", "object.spec.replicas == 8"], "Fail"), Vec::<String>::new());
    // One that is false wins over one that fails.
    assert_eq!(with(&["object.missing == 1", "false"], "Fail"), Vec::<String>::new());
    assert_eq!(with(&["object.missing == 1", "true"], "Fail"), ["Deny expression 'object.missing == 1' resulted in error: no such key: missing"]);
    assert_eq!(with(&["object.missing == 1", "true"], "Ignore"), Vec::<String>::new());
    // The namespace is not there yet.
    assert_eq!(with(&["namespaceObject == null"], "Fail"), ["Deny no"]);
}

#[test]
fn parameters_are_found_by_name_and_selector() {
    let with = |kind: &str, reference: Json, case: Case| {
        let spec = json!({"paramKind": {"apiVersion": "rules.example.com/v1", "kind": kind},
            "validations": [{"expression": "params == null || object.spec.replicas <= params.maxReplicas", "messageExpression": "'limit ' + string(params.maxReplicas)"}]});
        let binding = if reference.is_null() { json!({}) } else { json!({"paramRef": reference}) };
        said(&judge(&policy(spec, binding), &case))
    };
    let param = |name: &str, namespace: &str, max: i64| {
        let kind = if namespace.is_empty() { "ClusterLimit" } else { "ReplicaLimit" };
        let mut metadata = json!({"name": name, "labels": {"tier": name}});
        if !namespace.is_empty() {
            metadata["namespace"] = json!(namespace);
        }
        json!({"apiVersion": "rules.example.com/v1", "kind": kind, "metadata": metadata, "maxReplicas": max})
    };
    let case = || Case { params: vec![param("a", "shop", 5), param("b", "shop", 6), param("a", "other", 3), param("a", "", 2)], ..Case::default() };
    let by_name = |name: &str| json!({"name": name, "parameterNotFoundAction": "Allow"});
    let denied = "Deny failed to configure binding: ";
    assert_eq!(with("ReplicaLimit", by_name("a"), case()), ["Deny limit 5"]);
    assert_eq!(with("ReplicaLimit", json!({"name": "a", "namespace": "other", "parameterNotFoundAction": "Allow"}), case()), ["Deny limit 3"]);
    assert_eq!(with("ClusterLimit", by_name("a"), case()), ["Deny limit 2"]);
    assert!(with("ClusterLimit", json!({"name": "a", "namespace": "x", "parameterNotFoundAction": "Allow"}), case())[0].starts_with(denied));
    assert_eq!(with("ReplicaLimit", by_name("absent"), case()), Vec::<String>::new());
    assert!(with("ReplicaLimit", json!({"name": "absent", "parameterNotFoundAction": "Deny"}), case())[0].starts_with(denied));
    let all = json!({"selector": {}, "parameterNotFoundAction": "Deny"});
    assert_eq!(with("ReplicaLimit", all, case()), ["Deny limit 5", "Deny limit 6"]);
    let some = json!({"selector": {"matchLabels": {"tier": "b"}}, "parameterNotFoundAction": "Deny"});
    assert_eq!(with("ReplicaLimit", some, case()), ["Deny limit 6"]);
    // A binding without parameters: they are null.
    assert_eq!(with("ReplicaLimit", Json::Null, case()), Vec::<String>::new());
    assert!(with("Nonsense", by_name("a"), case())[0].contains("failed to find resource referenced by paramKind: 'rules.example.com/v1, Kind=Nonsense'"));
    let clustered = Case { namespace: "", ..case() };
    assert!(with("ReplicaLimit", by_name("a"), clustered)[0].starts_with(denied));
}
