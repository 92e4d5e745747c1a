//! CEL's conformance vectors (module `cel.dev/expr`, `lab/cel-vectors.sh`), read from the folder that
//! the environment variable `JINWU_CEL_VECTORS` names. Every vector passes or stands in
//! `conformance/exempt.txt` with its reason, and what stands there does not pass.

use jinwu_cel::{Budget, Duration, Environment, Timestamp, Type, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use crate::support::show;
use crate::support::textproto::{Field, Message, read};

/// What a vector is called: file, section, name, and a number when the name stands there again.
fn vectors(folder: &str) -> Vec<(String, Message)> {
    let mut found = Vec::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("JINWU_CEL_VECTORS={folder}: {e}")).map(|f| f.expect("the folder can be read").path()).collect();
    files.sort();
    for path in files.iter().filter(|p| p.extension().is_some_and(|e| e == "textproto")) {
        let file = read(&std::fs::read_to_string(path).expect("the file can be read")).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        for section in file.messages("section") {
            for test in section.messages("test") {
                let name = format!("{stem}/{}/{}", section.text("name").unwrap_or_default(), test.text("name").unwrap_or_default()).replace(' ', "_");
                let count = seen.entry(name.clone()).or_default();
                *count += 1;
                let name = if *count > 1 { format!("{name}#{count}") } else { name };
                found.push((name, test.clone()));
            }
        }
    }
    found
}

/// A value as the vectors write it; `None` for messages.
fn value(message: &Message) -> Option<Value<'static>> {
    let (name, field) = message.0.first()?;
    Some(match (name.as_str(), field) {
        ("null_value", _) => Value::Null,
        ("bool_value", Field::Scalar(word)) => Value::Bool(word == "true"),
        ("int64_value", Field::Scalar(word)) => Value::Int(word.parse().ok()?),
        ("uint64_value", Field::Scalar(word)) => Value::Uint(word.parse().ok()?),
        ("double_value", Field::Scalar(word)) => Value::Double(match word.to_ascii_lowercase().as_str() {
            "nan" => f64::NAN,
            "inf" | "infinity" => f64::INFINITY,
            "-inf" | "-infinity" => f64::NEG_INFINITY,
            number => number.parse().ok()?,
        }),
        ("string_value", Field::Text(bytes)) => Value::string(String::from_utf8(bytes.clone()).ok()?),
        ("bytes_value", Field::Text(bytes)) => Value::Bytes(bytes.as_slice().into()),
        ("type_value", Field::Text(bytes)) => Value::Type(String::from_utf8(bytes.clone()).ok()?.into()),
        ("list_value", Field::Message(list)) => Value::list(list.messages("values").map(value).collect::<Option<_>>()?),
        ("map_value", Field::Message(map)) => {
            // A map is made by the program itself: the public way to a map with keys of any type.
            let entries: Option<Vec<String>> =
                map.messages("entries").map(|e| Some(format!("{}: {}", source(e.message("key")?)?, source(e.message("value")?)?))).collect();
            let program = Environment::new().unchecked().compile(&format!("{{{}}}", entries?.join(", "))).ok()?;
            program.evaluate(&[], &mut Budget::policy()).ok()?.into_owned()?
        }
        ("object_value", Field::Message(object)) => {
            let (name, Field::Message(content)) = object.0.first()? else { return None };
            let number = |name: &str| content.scalar(name).map_or(Some(0), |n| n.parse::<i64>().ok());
            let (seconds, nanoseconds) = (number("seconds")?, number("nanos")?);
            if name.ends_with("protobuf.Duration]") {
                Value::Duration(Duration::from_nanoseconds(seconds.checked_mul(1_000_000_000)?.checked_add(nanoseconds)?))
            } else if name.ends_with("protobuf.Timestamp]") {
                Value::Timestamp(Timestamp::from_nanosecond(i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds))?)
            } else {
                return None;
            }
        }
        _ => return None,
    })
}

/// A value as an expression.
fn source(message: &Message) -> Option<String> {
    Some(match value(message)? {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Uint(value) => format!("{value}u"),
        Value::Double(value) if value.is_finite() => format!("{value:?}"),
        Value::String(text) => format!("{:?}", text.as_str()),
        Value::Type(name) => name.to_string(),
        Value::List(_) => {
            let elements: Option<Vec<String>> = message.message("list_value")?.messages("values").map(source).collect();
            format!("[{}]", elements?.join(", "))
        }
        Value::Map(_) => {
            let entries = message.message("map_value")?.messages("entries");
            let entries: Option<Vec<String>> =
                entries.map(|e| Some(format!("{}: {}", source(e.message("key")?)?, source(e.message("value")?)?))).collect();
            format!("{{{}}}", entries?.join(", "))
        }
        _ => return None,
    })
}

/// A type as the vectors write it; `None` for messages.
fn kind(message: &Message) -> Option<Type> {
    let (name, field) = message.0.first()?;
    Some(match (name.as_str(), field) {
        ("primitive", Field::Scalar(word)) => match word.as_str() {
            "BOOL" => Type::Bool,
            "INT64" => Type::Int,
            "UINT64" => Type::Uint,
            "DOUBLE" => Type::Double,
            "STRING" => Type::String,
            "BYTES" => Type::Bytes,
            _ => return None,
        },
        ("well_known", Field::Scalar(word)) => match word.as_str() {
            "TIMESTAMP" => Type::Timestamp,
            "DURATION" => Type::Duration,
            _ => return None,
        },
        ("list_type", Field::Message(list)) => Type::List(Arc::new(list.message("elem_type").map_or(Some(Type::Dyn), kind)?)),
        ("map_type", Field::Message(map)) => Type::Map(
            Arc::new(map.message("key_type").map_or(Some(Type::Dyn), kind)?),
            Arc::new(map.message("value_type").map_or(Some(Type::Dyn), kind)?),
        ),
        ("abstract_type", Field::Message(named)) if named.text("name").as_deref() == Some("optional_type") => {
            Type::Optional(Arc::new(named.message("parameter_types").map_or(Some(Type::Dyn), kind)?))
        }
        ("null", _) => Type::Null,
        ("dyn", _) => Type::Dyn,
        ("type", _) => Type::Type,
        _ => return None,
    })
}

/// Runs a vector; an error says what was wanted and what came.
fn run(test: &Message) -> Result<(), String> {
    let expression = test.text("expr").ok_or("the vector has no expression")?;
    let mut environment = Environment::new().with_bindings();
    if test.scalar("disable_check") == Some("true") {
        environment = environment.unchecked();
    }
    for declaration in test.messages("type_env") {
        let name = declaration.text("name").ok_or("a declaration has no name")?;
        let declared = declaration.message("ident").and_then(|i| i.message("type")).and_then(kind).ok_or("the variable's type is a message")?;
        environment = environment.variable(name, declared);
    }
    let mut bindings = Vec::new();
    for binding in test.messages("bindings") {
        let name = binding.text("key").ok_or("a binding has no key")?;
        let bound = binding.message("value").and_then(|v| v.message("value")).and_then(value).ok_or("the variable's value is a message")?;
        bindings.push((name, bound));
    }
    let wants_error = test.get("eval_error").is_some() || test.get("any_eval_errors").is_some();
    let program = match environment.clone().compile(&expression) {
        Ok(program) => program,
        Err(_) if wants_error => return Ok(()),
        // Kubernetes refuses literals with elements of several types; what is done with such values
        // is asked without the check.
        Err(error) if error.message.contains("must be of one type") && test.get("typed_result").is_none() => {
            environment.unchecked().compile(&expression).map_err(|e| format!("refused: {e}"))?
        }
        Err(error) => return Err(format!("refused: {error}")),
    };
    if let Some(wanted) = test.message("typed_result").and_then(|t| t.message("deduced_type")) {
        let wanted = kind(wanted).ok_or("the wanted type is a message")?;
        if *program.result_type() != wanted {
            return Err(format!("type {} instead of {wanted}", program.result_type()));
        }
    }
    if test.scalar("check_only") == Some("true") {
        return Ok(());
    }
    let wanted = match (test.message("value"), test.message("typed_result").and_then(|t| t.message("result"))) {
        _ if wants_error => None,
        (Some(wanted), _) | (None, Some(wanted)) => Some(show(&value(wanted).ok_or("the wanted value is a message")?)),
        (None, None) => Some("true".into()),
    };
    match (program.evaluate(&bindings, &mut Budget::policy()), wanted) {
        (Ok(value), Some(wanted)) if show(&value) == wanted => Ok(()),
        (Err(_), None) => Ok(()),
        (Ok(value), wanted) => Err(format!("gave {} instead of {}", show(&value), wanted.unwrap_or("an error".into()))),
        (Err(error), _) => Err(format!("failed: {error}")),
    }
}

#[test]
fn every_vector_passes_or_is_exempt() {
    let folder = std::env::var("JINWU_CEL_VECTORS").expect("set JINWU_CEL_VECTORS to the folder that lab/cel-vectors.sh prints");
    let exempt: BTreeSet<&str> = include_str!("../conformance/exempt.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once(' ').unwrap_or_else(|| panic!("{line}: an exempt vector needs a reason")).0)
        .collect();
    let vectors = vectors(&folder);
    let mut faults = Vec::new();
    let mut used = BTreeSet::new();
    for (name, test) in &vectors {
        let listed = exempt.contains(name.as_str());
        if listed {
            used.insert(name.as_str());
        }
        match run(test) {
            Ok(()) if listed => faults.push(format!("{name} passes but is exempt")),
            Err(why) if !listed => faults.push(format!("{name} {:?}: {why}", test.text("expr").unwrap_or_default())),
            _ => {}
        }
    }
    faults.extend(exempt.difference(&used).map(|name| format!("{name} is exempt but no vector")));
    println!("{} vectors, {} pass, {} exempt", vectors.len(), vectors.len() - used.len(), used.len());
    assert!(vectors.len() > 2000, "only {} vectors were read", vectors.len());
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
