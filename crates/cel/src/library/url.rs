//! URLs, read as Go's `net/url` reads them.

mod parse;

pub(crate) use parse::Url;

use super::{Context, Overload};
use crate::error::{EvaluationError, Outcome, fail};
use crate::types::Signature::{self as S, Bool, List, Map, Opaque, String};
use crate::value::{self, Key, MapBuilder, Value};

const URL: S = Opaque("kubernetes.URL");

pub(super) static TABLE: &[Overload] = &[
    Overload::function("url", "string_to_url", &[String], URL, url),
    Overload::function("isURL", "is_url_string", &[String], Bool, is_url),
    Overload::method("getScheme", "url_get_scheme", &[URL], String, scheme),
    Overload::method("getHost", "url_get_host", &[URL], String, host),
    Overload::method("getHostname", "url_get_hostname", &[URL], String, hostname),
    Overload::method("getPort", "url_get_port", &[URL], String, port),
    Overload::method("getEscapedPath", "url_get_escaped_path", &[URL], String, path),
    Overload::method("getQuery", "url_get_query", &[URL], Map(&String, &List(&String)), query),
];

fn the<'v>(arguments: &'v [Value<'_>]) -> Outcome<&'v Url> {
    match arguments {
        [Value::Opaque(opaque)] => match opaque.as_ref() {
            value::Opaque::Url(url) => Ok(url),
            _ => Err(EvaluationError::no_overload()),
        },
        _ => Err(EvaluationError::no_overload()),
    }
}

fn url<'a>(arguments: &[Value<'a>], context: &mut Context<'_>) -> Outcome<Value<'a>> {
    let [Value::String(text)] = arguments else { return Err(EvaluationError::no_overload()) };
    context.meter.memory(text.as_str().len() as u64 * 3)?;
    match parse::request(text.as_str()).and_then(|_| parse::reference(text.as_str())) {
        Ok(url) => Ok(Value::opaque(value::Opaque::Url(url))),
        Err(why) => fail(format!("URL parse error during conversion from string: {why}")),
    }
}

fn is_url<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    let [Value::String(text)] = arguments else { return Err(EvaluationError::no_overload()) };
    Ok(Value::Bool(parse::request(text.as_str()).is_ok()))
}

fn scheme<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    Ok(Value::string(the(arguments)?.scheme.as_str()))
}

fn host<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    Ok(Value::string(the(arguments)?.host.as_str()))
}

fn hostname<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    Ok(Value::string(the(arguments)?.hostname()))
}

fn port<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    Ok(Value::string(the(arguments)?.port()))
}

fn path<'a>(arguments: &[Value<'a>], context: &mut Context<'_>) -> Outcome<Value<'a>> {
    let path = the(arguments)?.escaped_path();
    context.meter.memory(path.len() as u64)?;
    Ok(Value::from(path))
}

fn query<'a>(arguments: &[Value<'a>], context: &mut Context<'_>) -> Outcome<Value<'a>> {
    let mut by_name: std::collections::BTreeMap<std::string::String, Vec<Value<'a>>> = std::collections::BTreeMap::new();
    for (name, content) in the(arguments)?.query_pairs() {
        context.meter.elements(2)?;
        context.meter.memory((name.len() + content.len()) as u64)?;
        by_name.entry(name).or_default().push(Value::from(content));
    }
    let mut map = MapBuilder::default();
    for (name, contents) in by_name {
        map.insert(Key::String(name.into()), Value::list(contents));
    }
    Ok(map.finish())
}

/// What keeps a text from being a URI, for the named format.
pub(super) fn fault(text: &str) -> Option<std::string::String> {
    parse::request(text).err()
}
