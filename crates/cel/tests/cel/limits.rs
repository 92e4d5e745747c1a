//! What is hostile ends early: sources that are too large or too deep, values that grow, loops.

use jinwu_cel::{Budget, Environment, EvaluationError, Type, Value, limits};
use std::time::{Duration, Instant};

fn environment() -> Environment {
    Environment::new().variable("object", Type::Dyn).with_bindings()
}

fn evaluate(source: &str, object: &serde_json::Value) -> Result<String, EvaluationError> {
    let program = environment().compile(source).unwrap_or_else(|e| panic!("{source}: {e}"));
    program.evaluate(&[("object", Value::from(object))], &mut Budget::policy()).map(|v| format!("{v:?}"))
}

/// Evaluates what must be cut off, and soon.
fn cut_off(source: &str, object: &serde_json::Value) -> EvaluationError {
    let begin = Instant::now();
    let error = evaluate(source, object).expect_err(source);
    let shown: String = source.chars().take(80).collect();
    assert!(!matches!(error, EvaluationError::Failed(_)), "{shown}: {error}");
    assert!(begin.elapsed() < Duration::from_secs(3), "{shown}: {:?}", begin.elapsed());
    error
}

#[test]
fn sources_have_bounds() {
    let refused = |source: String, wanted: &str| {
        let error = environment().compile(&source).expect_err(wanted);
        assert!(error.message.contains(wanted), "{error}");
    };
    refused("1".repeat(limits::MAX_SOURCE + 1), "more than an expression may have");
    for (open, close) in [("(", ")"), ("[", "]"), ("{1:", "}"), ("!(", ")"), ("-(", ")"), ("has(", ".x)"), ("size([", "])"), ("[0].map(x,", ")")] {
        let deep = limits::MAX_DEPTH + 1;
        refused(format!("{}1{}", open.repeat(deep), close.repeat(deep)), "nested more than");
    }
    refused(format!("object{}", ".a".repeat(300)), "nested more than");
    refused(format!("object{}", "[0]".repeat(300)), "nested more than");
    refused(format!("1{}", "+1".repeat(300)), "nested more than");
    refused("true ? 1 : ".repeat(300) + "1", "nested more than");
    refused(format!("[{}]", "1,".repeat(limits::MAX_NODES + 1)), "more than 20000 parts");
    refused("(".repeat(50_000), "nested more than");
    refused("{".repeat(50_000), "nested more than");
    // Long is not deep: a thousand terms are fine, and as many signs before one.
    assert!(environment().compile(&vec!["true"; 1000].join(" && ")).is_ok());
    assert!(environment().compile(&format!("{}true", "!".repeat(50_000))).is_ok());
    assert!(environment().compile(&format!("{}1", "-".repeat(50_000))).is_ok());
}

#[test]
fn the_deepest_source_is_evaluated() {
    let null = serde_json::Value::Null;
    for (open, close) in [("[", "]"), ("-(", ")"), ("size([", "])"), ("[1].map(x,", ")"), ("cel.bind(x, 1, ", ")"), ("true ? (", ") : 1")] {
        let deep = 120;
        let source = format!("{}1{}", open.repeat(deep), close.repeat(deep));
        assert!(evaluate(&source, &null).is_ok(), "{open}");
    }
}

#[test]
fn loops_end_by_cost() {
    let null = serde_json::Value::Null;
    for source in [
        "lists.range(1000).all(a, lists.range(1000).all(b, lists.range(1000).all(c, a + b + c >= 0)))",
        "lists.range(10000).exists(a, lists.range(10000).exists(b, a + b < 0))",
        "lists.range(10000).map(a, lists.range(10000).map(b, [a, b]))",
        "lists.range(2000).distinct()",
        "lists.range(2000).map(a, string(a)).sortBy(a, a)",
        "sets.contains(lists.range(5000), lists.range(5000))",
        "lists.range(30000).exists(x, 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'.matches('(a|a|a|a|a|a|a|a|a|a|a|a)*b'))",
        "[1].map(y, lists.range(100000)).all(x, x.map(y, y).map(y, y).map(y, y).map(y, y).map(y, y).size() > 0)",
    ] {
        assert!(matches!(cut_off(source, &null), EvaluationError::CostExceeded { limit: limits::EXPRESSION_COST }), "{source}");
    }
    // A false side does not excuse what was cut off.
    cut_off("lists.range(10000).map(a, lists.range(10000).map(b, a)).size() > 0 || true", &null);
}

#[test]
fn values_that_grow_end_by_cost_or_memory() {
    let null = serde_json::Value::Null;
    let mut doubled = "x".to_owned();
    for _ in 0..60 {
        doubled = format!("cel.bind(x, x + x, {doubled})");
    }
    cut_off(&format!("cel.bind(x, 'abcdefgh', {doubled}.size())"), &null);
    let mut replaced = "x".to_owned();
    for _ in 0..30 {
        replaced = format!("cel.bind(x, x.replace('', x), {replaced})");
    }
    cut_off(&format!("cel.bind(x, 'abcdefgh', {replaced}.size())"), &null);
    let mut listed = "x".to_owned();
    for _ in 0..60 {
        listed = format!("cel.bind(x, x + x, {listed})");
    }
    cut_off(&format!("cel.bind(x, [1, 2, 3], {listed}.size())"), &null);
    cut_off("lists.range(9223372036854775807)", &null);
    cut_off("lists.range(100000).map(x, '%.1000f'.format([1.0])).join()", &null);
    cut_off("lists.range(30000).map(x, lists.range(30000)).flatten().size()", &null);
    assert!(evaluate("'%.100000f'.format([dyn(1.0)] + [])", &null).is_err());
}

#[test]
fn cheap_work_on_large_inputs_ends() {
    let large: serde_json::Value = serde_json::json!({"a": (0..20_000).map(|i| serde_json::json!({"n": i, "s": "text"})).collect::<Vec<_>>()});
    // Comparing costs little in Kubernetes' model, however large the sides are.
    cut_off("lists.range(10000).all(i, object == object)", &large);
    cut_off("lists.range(10000).all(i, object in [object])", &large);
    // A pattern made at run time is compiled at run time.
    cut_off("lists.range(1000).exists(i, 'x'.matches('^y[0-9]{' + string(i) + '}'))", &large);
}

#[test]
fn deep_values_are_no_stack() {
    let mut deep = serde_json::json!(1);
    for _ in 0..2_000 {
        deep = serde_json::json!([deep]);
    }
    let object = serde_json::json!({"a": deep, "b": deep});
    cut_off("object.a == object.b", &object);
    cut_off("[object.a].indexOf(object.b) == 0", &object);
    cut_off("'%s'.format([object])", &object);
    assert_eq!(Value::from(&object).to_json(), None);
}

#[test]
fn a_budget_is_shared_by_the_expressions_of_a_policy() {
    let program = environment().compile("lists.range(100000).size() > 0").unwrap();
    let mut budget = Budget::policy();
    let mut evaluated = 0;
    while program.evaluate(&[("object", Value::Null)], &mut budget).is_ok() {
        evaluated += 1;
        assert!(evaluated < 1000);
    }
    // 100,012 each: the range and its list, and the size and comparison.
    assert_eq!(evaluated, 99, "{budget:?}");
    assert_eq!(budget.remaining(), 0);
    let mut small = Budget::new(50, 10);
    assert!(environment().compile("1 + 1 == 2").unwrap().evaluate(&[], &mut small).is_ok());
    assert_eq!((small.last_cost(), small.remaining()), (2, 48));
    let error = environment().compile("lists.range(5)").unwrap().evaluate(&[], &mut small).unwrap_err();
    assert_eq!(error, EvaluationError::CostExceeded { limit: 10 });
}
