//! Operators and values checked against a field's type, then made into a [`Test`].

use super::{BytesTest, Comparison, Network, Test, TextSet, TextTest};
use crate::condition::{Operator, Quantifier};
use crate::field::Kind;
use crate::glob::{Glob, PathTree};
use aho_corasick::AhoCorasick;
use memchr::memmem::Finder;

/// Size of a compiled regular expression, bytes.
const MAX_REGEX: usize = 1 << 20;
/// `contains` alternatives from here on are searched together.
const TOGETHER: usize = 3;

/// Makes the test of `operator` with `values` for a field of this type.
///
/// # Errors
/// The operator does not fit the type, or a value does not.
pub(crate) fn build(kind: Kind, list: bool, operator: Operator, quantifier: Option<Quantifier>, values: &[String]) -> Result<Test, String> {
    allowed(kind, list, operator)?;
    if let Some(quantifier) = quantifier {
        return quantified(kind, list, operator, quantifier, values);
    }
    if operator == Operator::Exists {
        return Ok(Test::Exists);
    }
    if operator.takes_list() {
        return set(kind, operator, values);
    }
    let [value] = values else {
        return Err(format!("{} takes one value, not {}; use in (…), or anyof (…) after the operator", operator.name(), values.len()));
    };
    match kind {
        Kind::Text => text(operator, value).map(Test::Text),
        Kind::Number => Comparison::of(operator).ok_or_else(|| unfit(operator)).and_then(|c| Ok(Test::Number(c, number(value)?))),
        Kind::Flag => flag(value).map(|f| Test::Flag(f == (operator == Operator::Equal))),
        Kind::Address | Kind::Network => {
            let networks = [network(value)?].into();
            Ok(Test::Networks { networks, negative: operator == Operator::NotEqual })
        }
        Kind::Bytes => bytes(operator, value).map(Test::Bytes),
    }
}

/// Whether a field of this type takes the operator (libsinsp's table).
pub(crate) fn allowed(kind: Kind, list: bool, operator: Operator) -> Result<(), String> {
    use Operator as O;
    let set = matches!(operator, O::In | O::Intersects | O::Exists);
    let equal = matches!(operator, O::Equal | O::NotEqual);
    let order = matches!(operator, O::Less | O::LessOrEqual | O::Greater | O::GreaterOrEqual);
    let good = set
        || !list
            && match kind {
                Kind::Text => !matches!(operator, O::ContainsBytes | O::StartsWithBytes),
                Kind::Number => equal || order,
                Kind::Flag | Kind::Address | Kind::Network => equal,
                Kind::Bytes => {
                    equal || matches!(operator, O::Contains | O::StartsWith | O::EndsWith | O::ContainsBytes | O::StartsWithBytes)
                }
            };
    if good {
        return Ok(());
    }
    let what = match (kind, list) {
        (_, true) => "a field with many values takes in, intersects and exists",
        (Kind::Text, _) => "a text takes no operator of bytes",
        (Kind::Number, _) => "a number takes = != < <= > >= in intersects exists",
        (Kind::Flag, _) => "a truth value takes = != in intersects exists",
        (Kind::Address | Kind::Network, _) => "an address takes = != in intersects exists",
        (Kind::Bytes, _) => "bytes take = != contains startswith endswith bcontains bstartswith in intersects exists",
    };
    Err(format!("{} does not fit: {what}", operator.name()))
}

fn quantified(kind: Kind, list: bool, operator: Operator, quantifier: Quantifier, values: &[String]) -> Result<Test, String> {
    if list {
        return Err("anyof, allof and oneof take fields with one value only".into());
    }
    if quantifier == Quantifier::Any && kind == Kind::Text && values.len() >= TOGETHER {
        match operator {
            Operator::Equal => return set(kind, Operator::In, values),
            Operator::Contains | Operator::ContainsIgnoringCase => {
                let automaton = AhoCorasick::builder().ascii_case_insensitive(operator == Operator::ContainsIgnoringCase).build(values);
                return automaton.map(|a| Test::Text(TextTest::ContainsAny(Box::new(a)))).map_err(|e| format!("too many values: {e}"));
            }
            Operator::StartsWith => {
                return Ok(Test::Text(TextTest::StartsWithAny(values.iter().map(|v| v.as_str().into()).collect())));
            }
            _ => {}
        }
    }
    let tests = values.iter().map(|v| build(kind, list, operator, None, std::slice::from_ref(v))).collect::<Result<Vec<_>, _>>()?;
    Ok(Test::Many(quantifier, tests.into()))
}

fn set(kind: Kind, operator: Operator, values: &[String]) -> Result<Test, String> {
    if operator == Operator::PathPrefix {
        return Ok(Test::Path(PathTree::new(values.iter().map(String::as_str))));
    }
    Ok(match kind {
        Kind::Text => Test::Set { set: TextSet::new(values.iter().map(|v| v.as_str().into())), one: operator == Operator::Intersects },
        Kind::Number => Test::Numbers(values.iter().map(|v| number(v)).collect::<Result<_, _>>()?),
        Kind::Flag => {
            let tests = values.iter().map(|v| flag(v).map(Test::Flag)).collect::<Result<Vec<_>, _>>()?;
            Test::Many(Quantifier::Any, tests.into())
        }
        Kind::Address | Kind::Network => {
            Test::Networks { networks: values.iter().map(|v| network(v)).collect::<Result<_, _>>()?, negative: false }
        }
        Kind::Bytes => Test::Bytes(BytesTest::In(values.iter().map(|v| v.as_bytes().into()).collect())),
    })
}

fn text(operator: Operator, value: &str) -> Result<TextTest, String> {
    if let Some(comparison) = Comparison::of(operator) {
        return Ok(TextTest::Compare(comparison, value.into()));
    }
    Ok(match operator {
        Operator::Contains => TextTest::Contains(Box::new(Finder::new(value).into_owned())),
        Operator::ContainsIgnoringCase => {
            let automaton = AhoCorasick::builder().ascii_case_insensitive(true).build([value]);
            TextTest::ContainsAny(Box::new(automaton.map_err(|e| e.to_string())?))
        }
        Operator::StartsWith => TextTest::StartsWith(value.into()),
        Operator::EndsWith => TextTest::EndsWith(value.into()),
        Operator::Glob => TextTest::Glob(Glob::new(value, false)),
        Operator::GlobIgnoringCase => TextTest::Glob(Glob::new(value, true)),
        Operator::Regex => {
            let regex = regex::RegexBuilder::new(&format!("^(?:{value})$")).size_limit(MAX_REGEX).dfa_size_limit(MAX_REGEX).build();
            TextTest::Regex(Box::new(regex.map_err(|e| format!("{value:?} is not a regular expression: {e}"))?))
        }
        other => return Err(unfit(other)),
    })
}

fn bytes(operator: Operator, value: &str) -> Result<BytesTest, String> {
    Ok(match operator {
        Operator::Equal => BytesTest::Equal(value.as_bytes().into(), true),
        Operator::NotEqual => BytesTest::Equal(value.as_bytes().into(), false),
        Operator::Contains => BytesTest::Contains(Box::new(Finder::new(value).into_owned())),
        Operator::StartsWith => BytesTest::StartsWith(value.as_bytes().into()),
        Operator::EndsWith => BytesTest::EndsWith(value.as_bytes().into()),
        Operator::ContainsBytes => BytesTest::Contains(Box::new(Finder::new(&hexadecimal(value)?).into_owned())),
        Operator::StartsWithBytes => BytesTest::StartsWith(hexadecimal(value)?.into()),
        other => return Err(unfit(other)),
    })
}

fn hexadecimal(text: &str) -> Result<Vec<u8>, String> {
    let digits = text.as_bytes();
    let pairs = digits.chunks(2).map(|pair| std::str::from_utf8(pair).ok().filter(|p| p.len() == 2).and_then(|p| u8::from_str_radix(p, 16).ok()));
    pairs.collect::<Option<Vec<u8>>>().filter(|b| !b.is_empty()).ok_or_else(|| format!("{text:?} is not an even number of hexadecimal digits"))
}

fn number(text: &str) -> Result<i64, String> {
    let unsigned = text.trim_start_matches(['+', '-']);
    let parsed = match unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X")) {
        Some(hex) => i64::from_str_radix(hex, 16).ok().and_then(|n| if text.starts_with('-') { n.checked_neg() } else { Some(n) }),
        // `1e9` is a whole number too.
        None => text.parse().ok().or_else(|| text.parse::<f64>().ok().filter(|f| f.fract() == 0.0 && f.abs() < 9e15).map(|f| f as i64)),
    };
    parsed.ok_or_else(|| format!("{text:?} is not a whole number"))
}

fn flag(text: &str) -> Result<bool, String> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

fn network(text: &str) -> Result<Network, String> {
    Network::parse(text).ok_or_else(|| format!("{text:?} is not an address such as 10.1.2.3 nor a network such as 10.0.0.0/8"))
}

fn unfit(operator: Operator) -> String {
    format!("{} does not fit this field", operator.name())
}
