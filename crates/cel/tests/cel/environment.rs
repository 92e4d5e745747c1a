//! What is refused before it runs, and where; versions; variables.

use jinwu_cel::{Bindings, Budget, Environment, EvaluationError, ObjectType, Type, Value};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

#[test]
fn refusals_say_where_and_what() {
    let environment = Environment::new().variable("object", Type::Dyn).variable("n", Type::Int).variable("s", Type::String);
    for (source, line, column, wanted) in [
        ("", 1, 1, "ends where a value is expected"),
        ("n +", 1, 4, "ends where a value is expected"),
        ("n + * 2", 1, 5, "found '*'"),
        ("(n", 1, 3, "found the end where ')'"),
        ("n n", 1, 3, "found \"n\""),
        ("'größe' + ö", 1, 11, "character 'ö' has no meaning"),
        ("n\n  + nope", 2, 5, "undeclared reference to 'nope'; known here: n, object, s"),
        ("n & 1", 1, 3, "has no meaning"),
        ("'abc", 1, 1, "no closing quote"),
        ("'a\\q'", 1, 1, "escape sequence \\q is unknown"),
        ("99999999999999999999", 1, 1, "out of range"),
        ("for", 1, 1, "reserved word"),
        ("n + s", 1, 1, "no form of '+' takes (int, string)"),
        ("n == s", 1, 1, "int and string cannot be compared"),
        ("!n", 1, 1, "no form of '!' takes (int)"),
        ("n && true", 1, 1, "a side of && must be bool, not int"),
        ("n ? 1 : 2", 1, 1, "must be bool, not int"),
        ("true ? n : s", 1, 1, "of one type, not int and string"),
        ("[n, s]", 1, 5, "of one type, not int and string"),
        ("s.startsWith(n)", 1, 2, "no form of 'startsWith' takes (string, int); known are (string, string)"),
        ("s.startsWith()", 1, 2, "no form of 'startsWith' takes (string)"),
        ("startsWith(s, s)", 1, 1, "is called as x.startsWith("),
        ("s.quantity()", 1, 2, "is called as quantity(x"),
        ("s.startswith('a')", 1, 2, "did you mean startsWith?"),
        ("nothing(1)", 1, 1, "undeclared reference to function 'nothing'"),
        ("n.field", 1, 2, "type int has no fields"),
        ("n[0]", 1, 2, "type int has no elements"),
        ("[1]['a']", 1, 4, "cannot be indexed by string"),
        ("n.all(x, true)", 1, 2, "int has no elements to go through"),
        ("object.all(x.y, true)", 1, 13, "must be a simple name"),
        ("object.all(a, a, true)", 1, 15, "duplicate variable name: a"),
        ("object.all(x, n)", 1, 15, "must be bool, not int"),
        ("has(object)", 1, 5, "has() takes a field selection"),
        ("s.matches('[')", 1, 2, "the regular expression cannot be read"),
        ("int('x')", 1, 1, "from 'string' to 'int'"),
        ("duration('1d')", 1, 1, "from 'string' to 'google.protobuf.Duration'"),
        ("'%d'.format(['a'])", 1, 14, "does not take string"),
        ("'%d'.format([])", 1, 5, "has 1 clauses and 0 values"),
        ("Pod{name: 'x'}", 1, 1, "have no message types"),
        ("cel.bind(x, 1, x)", 1, 1, "undeclared reference to 'cel'"),
    ] {
        let error = environment.compile(source).expect_err(source);
        assert!(error.message.contains(wanted), "{source}: {error}");
        assert_eq!((error.position.line, error.position.column), (line, column), "{source}: {error}");
        assert!(error.to_string().starts_with(&format!("line {line}, column {column}: ")));
    }
}

#[test]
fn versions_bring_functions() {
    for (since, source) in [
        (31, "format.dns1123Label().validate('a').hasValue()"),
        (32, "[1].all(i, v, i == 0)"),
        (32, "{'a': 1}.transformMap(k, v, v).size() == 1"),
        (33, "isSemver('1.2.3')"),
        (34, "lists.range(3).size() == 3"),
        (34, "[3, 1].sort() == [1, 3]"),
        (34, "[1, 2].sortBy(x, -x) == [2, 1]"),
    ] {
        for minor in 30..=34 {
            let compiled = Environment::new().kubernetes(minor).compile(source);
            assert_eq!(compiled.is_ok(), minor >= since, "1.{minor}: {source}: {:?}", compiled.err());
            if minor < since && !source.contains(".all(") && !source.contains("transform") && !source.contains("sortBy") {
                assert!(compiled.unwrap_err().message.contains(&format!("since Kubernetes 1.{since}")));
            }
        }
    }
    // Versions that are not known count as the nearest one.
    assert!(Environment::new().kubernetes(99).compile("lists.range(1)").is_ok());
    assert!(Environment::new().kubernetes(1).compile("isIP('::1') && sign(quantity('1')) == 1").is_ok());
}

#[test]
fn types_are_known_as_far_as_they_can_be() {
    let request = ObjectType { name: "Request".into(), fields: BTreeMap::from([("name".into(), Type::String), ("dryRun".into(), Type::Bool)]) };
    let environment = Environment::new().variable("object", Type::Dyn).variable("request", Type::Object(Arc::new(request)));
    for (source, wanted) in [
        ("1", "int"),
        ("object", "dyn"),
        ("object.a.b", "dyn"),
        ("request.name", "string"),
        ("request.?name", "optional_type(string)"),
        ("[1, 2]", "list(int)"),
        ("[]", "list(dyn)"),
        ("{'a': [1.0]}", "map(string, list(double))"),
        ("[1, 2].map(x, string(x))", "list(string)"),
        ("object.items.map(x, x.name)", "list(dyn)"),
        ("object.items.filter(x, true)", "list(dyn)"),
        ("{'a': 1}.transformMap(k, v, [v])", "map(string, list(int))"),
        ("optional.of(1).optMap(x, x + 1)", "optional_type(int)"),
        ("optional.of(1).orValue(2)", "int"),
        ("object.a + object.b", "dyn"),
        ("object.a + 'x'", "string"),
        ("object.a == 1 || object.b", "bool"),
        ("quantity('1').add(1)", "kubernetes.Quantity"),
        ("'a,b'.split(',')", "list(string)"),
        ("true ? 1 : dyn('a')", "dyn"),
    ] {
        assert_eq!(environment.compile(source).unwrap().result_type().to_string(), wanted, "{source}");
    }
    let error = environment.compile("request.nam").unwrap_err();
    assert!(error.message.contains("undefined field 'nam' of Request; it has dryRun, name"), "{error}");
}

/// Counts what it is asked for.
struct Counting(RefCell<Vec<String>>);

impl<'a> Bindings<'a> for Counting {
    fn get(&self, name: &str, budget: &mut Budget) -> Option<Result<Value<'a>, EvaluationError>> {
        self.0.borrow_mut().push(name.to_owned());
        match name {
            "fails" => Some(Err(EvaluationError::Failed("no value".into()))),
            "variables.costly" => {
                let program = Environment::new().compile("lists.range(100)").expect("it is a good expression");
                Some(program.evaluate(&[], budget).map(|v| v.into_owned().expect("a list has no borrows")))
            }
            "missing" => None,
            _ => Some(Ok(Value::Int(7))),
        }
    }
}

#[test]
fn variables_are_asked_for_once_and_only_when_needed() {
    let names = ["a", "b", "fails", "missing", "whole.name"];
    let fields = BTreeMap::from([("costly".to_owned(), Type::list(Type::Int)), ("other".to_owned(), Type::Dyn)]);
    let environment = names
        .iter()
        .fold(Environment::new(), |e, name| e.variable(*name, Type::Dyn))
        .group("variables", ObjectType { name: "Variables".into(), fields });
    let asked = |source: &str| {
        let bindings = Counting(RefCell::default());
        let mut budget = Budget::policy();
        let result = environment.compile(source).unwrap().evaluate(&bindings, &mut budget).map(|v| format!("{v:?}"));
        (bindings.0.into_inner(), result, budget)
    };
    assert_eq!(asked("a + a == a * 2").0, ["a"]);
    assert_eq!(asked("a == 7 || b == 7").0, ["a"]);
    assert_eq!(asked("true ? 1 : a").0, Vec::<String>::new());
    assert_eq!(asked("has(variables.other) && variables.other == 7").0, ["variables.other"]);
    assert_eq!(asked("whole.name == 7").0, ["whole.name"]);
    assert_eq!(asked("has(variables.other)").0, Vec::<String>::new());
    assert!(environment.compile("variables.unknown").unwrap_err().message.contains("undefined field 'unknown' of Variables; it has costly, other"));
    assert!(environment.compile("variables['other']").is_err());
    assert_eq!(asked("[1].all(a, a == 1)").0, Vec::<String>::new());
    assert_eq!(asked("fails == 1 || true").1.unwrap(), "Bool(true)");
    assert_eq!(asked("fails == 1").1, Err(EvaluationError::Failed("no value".into())));
    assert!(asked("missing").1.unwrap_err().to_string().contains("no such attribute(s): missing"));
    // What a variable costs is taken from the policy, not from the expression: range 111, size 1, comparison 1,
    // and 2 for the name and the selection.
    let (_, result, budget) = asked("variables.costly.size() == 100");
    assert_eq!((result.unwrap().as_str(), budget.last_cost(), 10_000_000 - budget.remaining()), ("Bool(true)", 4, 115));
}

#[test]
fn programs_and_values_go_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<jinwu_cel::Program>();
    shared::<Value<'_>>();
}

#[test]
fn bindings_extension_is_off_unless_asked_for() {
    let program = Environment::new().with_bindings().compile("cel.bind(x, [1, 2], x + x)").unwrap();
    let value = program.evaluate(&[], &mut Budget::policy()).unwrap();
    assert_eq!(value.to_json().unwrap(), serde_json::json!([1, 2, 1, 2]));
}
