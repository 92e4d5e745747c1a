//! No source text panics; what compiles ends within its budget and has the type that was foretold.

use jinwu_cel::{Budget, Environment, Type, Value, limits};
use proptest::prelude::*;

fn environment() -> Environment {
    Environment::new().variable("object", Type::Dyn).variable("s", Type::String).variable("n", Type::Int).with_bindings()
}

/// Compiles and evaluates; anything but a panic or a cost beyond the budget is fine.
fn run(source: &str) -> Result<(), TestCaseError> {
    let object = serde_json::json!({
        "a": {"b": [1, 2.5, "x", null, true, {"c": "d"}]}, "list": ["u", "v", "w"], "numbers": [3, 1, 2],
        "name": "größer-1", "q": "500m", "ip": "10.0.0.1", "nothing": null
    });
    let bindings = [("object", Value::from(&object)), ("s", Value::from("text-7")), ("n", Value::Int(3))];
    for environment in [environment(), environment().unchecked(), environment().kubernetes(30)] {
        let Ok(program) = environment.compile(source) else { continue };
        let mut budget = Budget::new(200_000, 100_000);
        let result = program.evaluate(&bindings, &mut budget);
        prop_assert!(budget.remaining() <= 200_000);
        if let Ok(value) = result {
            prop_assert!(budget.last_cost() <= 100_000, "{source}");
            let foretold = program.result_type();
            // `or` and `orValue` give back what is no optional, whatever was foretold: so does the API server.
            let loose = matches!(foretold, Type::Dyn | Type::Object(_)) || source.contains(".or");
            prop_assert!(loose || foretold.name() == value.type_name(), "{source}: {foretold} foretold, {} came", value.type_name());
            // The same program gives the same value for the same cost.
            let mut again = Budget::new(200_000, 100_000);
            let second = program.evaluate(&bindings, &mut again).map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(crate::support::show(&second), crate::support::show(&value));
            prop_assert_eq!(again.last_cost(), budget.last_cost());
            let _ = (value.to_json(), value.into_owned());
        }
    }
    Ok(())
}

const TOKENS: &[&str] = &[
    "object", "s", "n", "x", "a", ".", ".?", "[", "]", "[?", "(", ")", "{", "}", ",", ":", "?", "!", "-", "+", "*", "/", "%", "==", "!=", "<",
    ">=", "&&", "||", " in ", "1", "0", "2u", "1.5", "'x'", "\"y\"", "r'\\d'", "b'z'", "'''q'''", "true", "null", "has(", ".all(x,", ".map(x,",
    ".filter(x,", ".exists(i,v,", ".size()", "size(", "string(", "int(", "dyn(", "type(", "optional.of(", ".orValue(", ".matches(", ".format([",
    "quantity(", "ip(", "cidr(", "url(", "semver(", "timestamp(", "duration(", "lists.range(", ".sort()", ".sortBy(x,", ".flatten()", "cel.bind(x,",
    ".split('')", ".join(", "9223372036854775807", "\\", "\u{0}", "é", "`", "//", "\n", "0x", "1e", "in", "for",
];

fn leaf() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("object".to_owned()),
        Just("object.a.b".to_owned()),
        Just("object.list".to_owned()),
        Just("object.numbers".to_owned()),
        Just("object.name".to_owned()),
        Just("object.missing".to_owned()),
        Just("object.q".to_owned()),
        Just("s".to_owned()),
        Just("n".to_owned()),
        Just("x".to_owned()),
        (-5i64..5).prop_map(|n| n.to_string()),
        Just("9223372036854775807".to_owned()),
        Just("3u".to_owned()),
        Just("1.5".to_owned()),
        Just("'1'".to_owned()),
        Just("'ab,c'".to_owned()),
        Just("b'\\xff'".to_owned()),
        Just("[]".to_owned()),
        Just("{}".to_owned()),
        Just("null".to_owned()),
        any::<bool>().prop_map(|b| b.to_string()),
        Just("timestamp(0)".to_owned()),
        Just("duration('90s')".to_owned()),
        Just("optional.none()".to_owned()),
        Just("quantity('1.5Gi')".to_owned()),
        Just("cidr('10.0.0.0/8')".to_owned()),
        Just("lists.range(50)".to_owned()),
    ]
}

const UNARY: &[&str] = &[
    "!", "-", "size", "string", "int", "uint", "double", "bool", "bytes", "dyn", "type", "duration", "timestamp", "optional.of",
    "optional.ofNonZeroValue", "quantity", "isQuantity", "ip", "isIP", "cidr", "url", "isURL", "semver", "isSemver", "strings.quote", "lists.range",
    "format.named", "optional.unwrap",
];
const METHODS: &[&str] = &[
    "size()", "isSorted()", "sum()", "min()", "max()", "sort()", "reverse()", "distinct()", "flatten()", "first()", "last()", "trim()", "lowerAscii()",
    "upperAscii()", "join()", "hasValue()", "value()", "getHours()", "getFullYear()", "getMilliseconds()", "family()", "masked()", "prefixLength()",
    "isInteger()", "asInteger()", "sign()", "getQuery()", "getEscapedPath()", "major()", "unwrapOpt()", "b", "name", "?a",
];
const BINARY: &[&str] = &["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", " in ", "&&", "||"];
const METHODS_OF_TWO: &[&str] = &[
    "startsWith", "endsWith", "contains", "matches", "find", "findAll", "split", "join", "indexOf", "lastIndexOf", "charAt", "substring", "flatten",
    "or", "orValue", "add", "sub", "compareTo", "isLessThan", "containsIP", "containsCIDR", "getHours", "format", "sets.contains",
];
const FOLDS: &[&str] = &["all", "exists", "exists_one", "map", "filter", "sortBy", "optMap", "optFlatMap"];

fn programs() -> impl Strategy<Value = String> {
    leaf().prop_recursive(6, 40, 3, |inner| {
        prop_oneof![
            (prop::sample::select(UNARY), inner.clone()).prop_map(|(f, a)| format!("{f}({a})")),
            (inner.clone(), prop::sample::select(METHODS)).prop_map(|(a, m)| format!("({a}).{m}")),
            (inner.clone(), prop::sample::select(BINARY), inner.clone()).prop_map(|(a, o, b)| format!("({a}{o}{b})")),
            (inner.clone(), prop::sample::select(METHODS_OF_TWO), inner.clone()).prop_map(|(a, m, b)| format!("({a}).{m}({b})")),
            (inner.clone(), prop::sample::select(FOLDS), inner.clone()).prop_map(|(a, f, b)| format!("({a}).{f}(x, {b})")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a})[{b}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a})[?{b}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[{a}, {b}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{{{a}: {b}}}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("cel.bind(x, {a}, {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}).transformMap(x, y, {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("'%s %d %.2f'.format([{a}, {b}, {a}])")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a}).replace({b}, {c})")),
            inner.clone().prop_map(|a| format!("has(({a}).name)")),
            inner.clone().prop_map(|a| format!("dyn({a})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        run(&String::from_utf8_lossy(&bytes))?;
    }

    #[test]
    fn no_soup_of_tokens_panics(tokens in prop::collection::vec(prop::sample::select(TOKENS), 0..40)) {
        run(&tokens.concat())?;
    }

    #[test]
    fn programs_end_within_their_budget(source in programs()) {
        run(&source)?;
    }

    #[test]
    fn no_pattern_panics(pattern in "[\\[\\](){}|*+?.^$\\\\a-cdDwWsSbQE:<>P&~0-9,é-]{0,24}", text in "[a-c0-9é \\n]{0,20}") {
        let source = format!("dyn({text:?}).matches({pattern:?}) || {text:?}.findAll(dyn({pattern:?})).size() > 0");
        if source.len() < limits::MAX_SOURCE {
            run(&source)?;
        }
    }

    #[test]
    fn arguments_of_readers_are_any_text(text in "\\PC{0,40}") {
        let quoted = format!("{text:?}");
        for function in ["isQuantity", "isIP", "isCIDR", "isURL", "isSemver", "duration", "timestamp", "int", "uint", "double", "bool", "bytes", "url"] {
            run(&format!("type({function}({quoted}))"))?;
            run(&format!("{function}(dyn({quoted}))"))?;
        }
        for format in ["uri", "uuid", "byte", "date", "datetime", "qualifiedName", "dns1123LabelPrefix", "labelValue"] {
            run(&format!("format.{format}().validate({quoted}).hasValue()"))?;
        }
        run(&format!("dyn({quoted}).format([1, 'a', 1.5])"))?;
        run(&format!("timestamp(0).getHours({quoted})"))?;
    }
}
