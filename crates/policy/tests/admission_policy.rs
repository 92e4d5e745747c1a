//! ValidatingAdmissionPolicy: documents as users have them, judged as the API server judges.

use jinwu_cel::{Attributes, AuthorizationDecision, AuthorizationTarget, Authorizer};
use jinwu_policy::admission_policy::{Action, AdmissionInput, AdmissionPolicies, ParamQuery, Review};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// A request with everything it is judged by, to be changed by a test.
struct Case {
    operation: &'static str,
    group: &'static str,
    version: &'static str,
    resource: &'static str,
    subresource: &'static str,
    name: &'static str,
    namespace: &'static str,
    labels: Option<BTreeMap<String, String>>,
    object: Json,
    old_object: Json,
    params: Vec<Json>,
    authorizer: bool,
}

impl Default for Case {
    fn default() -> Self {
        Case {
            operation: "CREATE",
            group: "apps",
            version: "v1",
            resource: "deployments",
            subresource: "",
            name: "web",
            namespace: "shop",
            labels: Some(BTreeMap::from([("environment".into(), "test".into())])),
            object: json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "labels": {"app": "web"}},
                "spec": {"replicas": 7, "template": {"spec": {"containers": [{"name": "web", "image": "registry.example/web:1"}]}}}}),
            old_object: Json::Null,
            params: Vec::new(),
            authorizer: true,
        }
    }
}

struct Rules;

impl Authorizer for Rules {
    fn authorize(&self, attributes: &Attributes) -> Result<AuthorizationDecision, String> {
        let AuthorizationTarget::Resource(resource) = &attributes.target else { return Err("no paths".into()) };
        let allowed = resource.resource == "deployments" && resource.namespace == "shop" && attributes.verb == "breakglass";
        Ok(AuthorizationDecision { allowed, reason: String::new() })
    }
}

fn judge(policies: &AdmissionPolicies, case: &Case) -> Review {
    let request = json!({"operation": case.operation, "name": case.name, "namespace": case.namespace, "dryRun": false,
        "kind": {"group": case.group, "version": case.version, "kind": "Deployment"},
        "userInfo": {"username": "alice", "groups": ["developers"]}});
    let namespace_object = json!({"metadata": {"name": case.namespace, "labels": case.labels}});
    let params = |query: &ParamQuery<'_>| Ok(case.params.iter().filter(|p| query.selects(p)).collect());
    policies.evaluate(&AdmissionInput {
        operation: case.operation,
        group: case.group,
        version: case.version,
        resource: case.resource,
        subresource: case.subresource,
        name: case.name,
        namespace: case.namespace,
        namespace_labels: case.labels.as_ref(),
        object: &case.object,
        old_object: &case.old_object,
        request: &request,
        namespace_object: &namespace_object,
        params: &params,
        params_namespaced: &|_, kind| match kind {
            "ReplicaLimit" => Some(true),
            "ClusterLimit" => Some(false),
            _ => None,
        },
        authorizer: if case.authorizer { Some(&Rules) } else { None },
    })
}

fn load(yaml: &str) -> AdmissionPolicies {
    AdmissionPolicies::load(yaml, 34).unwrap_or_else(|e| panic!("{e}\n{yaml}"))
}

/// A policy over deployments with this spec beside matchConstraints, and a binding with this one.
fn policy(spec: Json, binding: Json) -> AdmissionPolicies {
    let merged = |mut base: Json, more: Json| {
        if let (Json::Object(base), Json::Object(more)) = (&mut base, more) {
            base.extend(more);
        }
        base
    };
    let rules = json!({"matchConstraints": {"resourceRules": [
        {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["deployments"]}]}});
    let policy = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "p"},
        "spec": merged(rules, spec)});
    let binding = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "b"},
        "spec": merged(json!({"policyName": "p", "validationActions": ["Deny"]}), binding)});
    load(&format!("{policy}\n---\n{binding}"))
}

/// What a review says: action and message, one line each.
fn said(review: &Review) -> Vec<String> {
    review.findings.iter().map(|f| format!("{:?} {}", f.action, f.message)).collect()
}

/// The example of Kubernetes' own documentation, in shape.
const LIMIT: &str = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: replica-limit.example.com
  labels: {team: platform}
spec:
  failurePolicy: Fail
  paramKind:
    apiVersion: rules.example.com/v1
    kind: ReplicaLimit
  matchConstraints:
    resourceRules:
    - apiGroups:   ["apps"]
      apiVersions: ["v1"]
      operations:  ["CREATE", "UPDATE"]
      resources:   ["deployments"]
  matchConditions:
  - name: not-the-operator
    expression: '!("operators" in request.userInfo.groups)'
  variables:
  - name: replicas
    expression: object.spec.?replicas.orValue(1)
  validations:
  - expression: variables.replicas <= params.maxReplicas
    messageExpression: "'at most ' + string(params.maxReplicas) + ' replicas, not ' + string(variables.replicas)"
    reason: Forbidden
  - expression: "object.spec.template.spec.containers.all(c, c.image.startsWith('registry.example/'))"
    message: images come from registry.example
  auditAnnotations:
  - key: replicas
    valueExpression: "variables.replicas > 5 ? 'many: ' + string(variables.replicas) : ''"
---
# a document of another kind is passed over
apiVersion: v1
kind: ConfigMap
metadata: {name: other}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: replica-limit-test.example.com
spec:
  policyName: replica-limit.example.com
  validationActions: [Deny, Audit]
  paramRef:
    name: test-limit
    parameterNotFoundAction: Deny
  matchResources:
    namespaceSelector:
      matchLabels:
        environment: test
"#;

fn limit(max: i64) -> Json {
    json!({"apiVersion": "rules.example.com/v1", "kind": "ReplicaLimit", "metadata": {"name": "test-limit", "namespace": "shop"}, "maxReplicas": max})
}

#[test]
fn a_users_policy_loads_as_it_is() {
    let policies = load(LIMIT);
    assert_eq!(policies.len(), (1, 1));
    let review = judge(&policies, &Case { params: vec![limit(5)], ..Case::default() });
    assert_eq!(said(&review), ["Deny at most 5 replicas, not 7", "Audit at most 5 replicas, not 7"]);
    let first = &review.findings[0];
    assert_eq!((first.policy.as_str(), first.binding.as_str(), first.reason.as_str()), ("replica-limit.example.com", "replica-limit-test.example.com", "Forbidden"));
    assert!(review.denies());
    assert_eq!(review.annotations.len(), 1);
    assert_eq!((review.annotations[0].key.as_str(), review.annotations[0].value.as_str()), ("replica-limit.example.com/replicas", "many: 7"));
    assert_eq!(judge(&policies, &Case { params: vec![limit(9)], ..Case::default() }).findings, []);
    let mut foreign = Case { params: vec![limit(5)], ..Case::default() };
    foreign.object["spec"]["replicas"] = json!(2);
    foreign.object["spec"]["template"]["spec"]["containers"][0]["image"] = json!("docker.io/x");
    let review = judge(&policies, &foreign);
    assert_eq!(said(&review), ["Deny images come from registry.example", "Audit images come from registry.example"]);
    assert_eq!((review.findings[0].reason.as_str(), review.annotations.len()), ("Invalid", 0));
    // Another namespace is not bound.
    let elsewhere = Case { labels: Some(BTreeMap::new()), ..Case::default() };
    assert_eq!(judge(&policies, &elsewhere), Review::default());
    // No parameter: the binding says Deny.
    assert!(said(&judge(&policies, &Case::default()))[0].starts_with("Deny failed to configure binding: no params found"));
}

#[test]
fn lists_are_read_and_bindings_without_policy_named() {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "lonely"},
         "spec": {"policyName": "nowhere", "validationActions": ["Warn"]}}]});
    let policies = load(&list.to_string());
    assert_eq!((policies.len(), policies.is_empty()), ((0, 1), true));
    assert_eq!(policies.dangling().collect::<Vec<_>>(), ["lonely"]);
}

#[test]
fn what_the_api_server_would_not_store_is_refused() {
    let rules = json!({"resourceRules": [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}]});
    let validation = json!([{"expression": "true"}]);
    let spec = |more: Json| {
        let mut spec = json!({"matchConstraints": rules, "validations": validation}).as_object().unwrap().clone();
        spec.extend(more.as_object().unwrap().clone());
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "p"}, "spec": spec})
    };
    let binding = |spec: Json| {
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "b"}, "spec": spec})
    };
    let long: Vec<Json> = (0..300)
        .map(|i| json!({"name": format!("v{i}"), "expression": if i == 0 { "[1]".into() } else { format!("dyn([dyn([variables.v{}])])", i - 1) }}))
        .collect();
    for (document, wanted) in [
        (spec(json!({"validations": [{"expression": "object.spec.x"}]})), "validations[0].expression: it must evaluate to bool, not dyn"),
        (spec(json!({"validations": [{"expression": "nope"}]})), "validations[0].expression: line 1, column 1: undeclared reference to 'nope'"),
        (spec(json!({"validations": [{"expression": "params.x == 1"}]})), "undeclared reference to 'params'"),
        (spec(json!({"validations": [{"expression": "request.nope == ''"}]})), "undefined field 'nope'"),
        (spec(json!({"validations": [{"expression": "true", "messageExpression": "1"}]})), "messageExpression: it must evaluate to string, not int"),
        (spec(json!({"validations": [{"expression": "true", "messageExpression": "authorizer.path('/x').check('get').reason()"}]})), "undeclared reference to 'authorizer'"),
        (spec(json!({"validations": [{"expression": "true", "reason": "Because"}]})), "reason Because is unknown"),
        (spec(json!({"validations": []})), "needs validations or auditAnnotations"),
        (spec(json!({"matchConstraints": {}})), "resourceRules is required"),
        (spec(json!({"matchConstraints": {"resourceRules": [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["READ"], "resources": ["*"]}]}})), "operation READ is unknown"),
        (spec(json!({"matchConstraints": {"resourceRules": [{"apiGroups": ["*"], "operations": ["*"], "resources": ["*"]}]}})), "a rule needs"),
        (spec(json!({"matchConditions": [{"name": "c", "expression": "object"}]})), "matchConditions[0] c: it must evaluate to bool"),
        (spec(json!({"auditAnnotations": [{"key": "k", "valueExpression": "1"}]})), "auditAnnotations[0] k: it must evaluate to string or null_type"),
        (spec(json!({"variables": [{"name": "a", "expression": "variables.b"}, {"name": "b", "expression": "1"}]})), "undefined field 'b'"),
        (spec(json!({"variables": [{"name": "a", "expression": "1"}, {"name": "a", "expression": "1"}]})), "that no other variable has"),
        (spec(json!({"variables": [{"name": "a-b", "expression": "1"}]})), "the name must be an identifier"),
        (spec(json!({"variables": long})), "deep, more than 500"),
        (spec(json!({"unknownField": 1})), "unknown field"),
        (binding(json!({"policyName": "p", "validationActions": []})), "needs at least one of Deny, Warn and Audit"),
        (binding(json!({"policyName": "p", "validationActions": ["Deny", "Warn"]})), "both Deny and Warn"),
        (binding(json!({"policyName": "p", "validationActions": ["Deny"], "paramRef": {"parameterNotFoundAction": "Deny"}})), "either name or selector"),
        (binding(json!({"policyName": "p", "validationActions": ["Deny"], "paramRef": {"name": "x"}})), "needs parameterNotFoundAction"),
        (binding(json!({"policyName": "p", "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchExpressions": [{"key": "k", "operator": "In"}]}}})), "matchExpressions k: In needs values"),
    ] {
        let error = AdmissionPolicies::load(&document.to_string(), 34).expect_err(wanted).to_string();
        assert!(error.contains(wanted), "wanted {wanted}\n   got {error}");
    }
    let twice = format!("{0}\n---\n{0}", spec(json!({})));
    assert!(AdmissionPolicies::load(&twice, 34).unwrap_err().to_string().contains("the name stands twice"));
    assert!(AdmissionPolicies::load("a: [", 34).is_err());
    // A function of a later version is not there in an earlier.
    let newer = spec(json!({"validations": [{"expression": "isSemver('1.2.3')"}]})).to_string();
    assert!(AdmissionPolicies::load(&newer, 34).is_ok());
    assert!(AdmissionPolicies::load(&newer, 32).unwrap_err().to_string().contains("since Kubernetes 1.33"));
}

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
fn failures_follow_the_failure_policy() {
    let failing = json!([{"expression": "object.spec.missing == 1"}, {"expression": "false", "message": "no"}]);
    let closed = policy(json!({"validations": failing}), json!({}));
    let messages = said(&judge(&closed, &Case::default()));
    assert_eq!(messages, ["Deny expression 'object.spec.missing == 1' failed: no such key: missing", "Deny no"]);
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
    assert_eq!(with(&["object.missing == 1", "true"], "Fail"), ["Deny expression 'object.missing == 1' failed: no such key: missing"]);
    assert_eq!(with(&["object.missing == 1", "true"], "Ignore"), Vec::<String>::new());
    // The namespace is not there yet.
    assert_eq!(with(&["namespaceObject == null"], "Fail"), ["Deny no"]);
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
    assert_eq!(said(&judge(&policies, &Case::default())), ["Deny expression 'variables.failing == 1' failed: no such key: missing"]);
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
    assert!(review.findings[0].message.contains("cost budget of the policy is used up"), "{review:?}");
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
    assert!(with("Nonsense", by_name("a"), case())[0].contains("paramKind Nonsense of rules.example.com/v1 is not known"));
    let clustered = Case { namespace: "", ..case() };
    assert!(with("ReplicaLimit", by_name("a"), clustered)[0].starts_with(denied));
}

#[test]
fn every_binding_speaks_for_itself() {
    let mut yaml = LIMIT.replace("name: test-limit", "name: absent").replace("parameterNotFoundAction: Deny", "parameterNotFoundAction: Allow");
    for (name, action, limit) in [("strict", "Deny", "strict-limit"), ("soft", "Warn", "soft-limit")] {
        yaml.push_str(&format!(
            "---\napiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\nmetadata: {{name: {name}}}\nspec:\n  policyName: replica-limit.example.com\n  validationActions: [{action}]\n  paramRef: {{name: {limit}, parameterNotFoundAction: Deny}}\n"
        ));
    }
    let named = |name: &str, max: i64| {
        let mut param = limit(max);
        param["metadata"]["name"] = json!(name);
        param
    };
    let review = judge(&load(&yaml), &Case { params: vec![named("strict-limit", 6), named("soft-limit", 3)], ..Case::default() });
    let found: Vec<_> = review.findings.iter().map(|f| (f.binding.as_str(), f.action, f.message.as_str())).collect();
    assert_eq!(found, [("strict", Action::Deny, "at most 6 replicas, not 7"), ("soft", Action::Warn, "at most 3 replicas, not 7")]);
    // The same annotation is made once.
    assert_eq!(review.annotations.len(), 1);
}
