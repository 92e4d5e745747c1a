//! Kubernetes' named string formats: since 1.31.

use super::{Context, Overload};
use crate::error::{EvaluationError, Outcome};
use crate::types::Signature::{self as S, List, Opaque, Optional, String};
use crate::value::{self, Value};

const FORMAT: S = Opaque("kubernetes.NamedFormat");

/// A format: its name, its check, and the length of the pattern the cost model counts.
struct Format {
    name: &'static str,
    faults: fn(&str) -> Vec<std::string::String>,
    pattern: u64,
}

static FORMATS: [Format; 13] = [
    Format { name: "dns1123Label", faults: dns1123_label, pattern: 30 },
    Format { name: "dns1123Subdomain", faults: dns1123_subdomain, pattern: 60 },
    Format { name: "dns1035Label", faults: dns1035_label, pattern: 30 },
    Format { name: "qualifiedName", faults: qualified_name, pattern: 60 },
    Format { name: "dns1123LabelPrefix", faults: |s| dns1123_label(&as_prefix(s)), pattern: 30 },
    Format { name: "dns1123SubdomainPrefix", faults: |s| dns1123_subdomain(&as_prefix(s)), pattern: 60 },
    Format { name: "dns1035LabelPrefix", faults: |s| dns1035_label(&as_prefix(s)), pattern: 30 },
    Format { name: "labelValue", faults: label_value, pattern: 40 },
    Format { name: "uri", faults: |s| super::url::fault(s).into_iter().collect(), pattern: 1103 },
    Format { name: "uuid", faults: |s| unless(is_uuid(s), "it is no UUID"), pattern: 70 },
    Format { name: "byte", faults: |s| unless(is_base64(s), "it is no base64"), pattern: 84 },
    Format { name: "date", faults: |s| unless(is_date(s), "it is no date such as 2006-01-02"), pattern: 71 },
    Format { name: "datetime", faults: |s| unless(is_datetime(s), "it is no date and time such as 2006-01-02T15:04:05Z"), pattern: 71 },
];

/// `format.dns1123Label()` and its likes.
macro_rules! constants {
    ($($name:literal),*) => {
        [$(Overload::function(concat!("format.", $name), concat!("format.", $name), &[], FORMAT, |_, _| Ok(constant($name))).since(31)),*]
    };
}

static CONSTANTS: [Overload; 13] = constants!(
    "dns1123Label",
    "dns1123Subdomain",
    "dns1035Label",
    "qualifiedName",
    "dns1123LabelPrefix",
    "dns1123SubdomainPrefix",
    "dns1035LabelPrefix",
    "labelValue",
    "uri",
    "uuid",
    "byte",
    "date",
    "datetime"
);

pub(super) static NAMED: &[Overload] = &CONSTANTS;

pub(super) static TABLE: &[Overload] = &[
    Overload::function("format.named", "format-named", &[String], Optional(&FORMAT), named).since(31),
    Overload::method("validate", "format-validate", &[FORMAT, String], Optional(&List(&String)), validate).since(31),
];

/// Length of the pattern a format is counted with.
pub(crate) fn pattern_size(name: &str) -> u64 {
    FORMATS.iter().find(|f| f.name == name).map_or(1, |f| f.pattern)
}

/// Whether a text has a format; `false` for a format that does not exist.
/// Whether a text is a DNS subdomain (RFC 1123), as Kubernetes names most objects.
pub fn is_object_name(text: &str) -> bool {
    is_valid("dns1123Subdomain", text)
}

pub(super) fn is_valid(name: &str, text: &str) -> bool {
    FORMATS.iter().find(|f| f.name == name).is_some_and(|f| (f.faults)(text).is_empty())
}

fn constant<'a>(name: &'static str) -> Value<'a> {
    Value::opaque(value::Opaque::Format(name))
}

fn named<'a>(arguments: &[Value<'a>], _: &mut Context<'_>) -> Outcome<Value<'a>> {
    let [Value::String(name)] = arguments else { return Err(EvaluationError::no_overload()) };
    Ok(FORMATS.iter().find(|f| f.name == name.as_str()).map_or(Value::NONE, |f| Value::some(constant(f.name))))
}

fn validate<'a>(arguments: &[Value<'a>], context: &mut Context<'_>) -> Outcome<Value<'a>> {
    let [Value::Opaque(opaque), Value::String(text)] = arguments else { return Err(EvaluationError::no_overload()) };
    let value::Opaque::Format(name) = opaque.as_ref() else { return Err(EvaluationError::no_overload()) };
    let Some(format) = FORMATS.iter().find(|f| f.name == *name) else { return Err(EvaluationError::no_overload()) };
    context.meter.memory(1024)?;
    let faults = (format.faults)(text.as_str());
    Ok(if faults.is_empty() { Value::NONE } else { Value::some(Value::list(faults.into_iter().map(Value::from).collect())) })
}

fn unless(good: bool, fault: &str) -> Vec<std::string::String> {
    if good { Vec::new() } else { vec![fault.to_owned()] }
}

/// A name that something is appended to: a trailing dash is no fault.
fn as_prefix(name: &str) -> std::string::String {
    match name.strip_suffix('-') {
        Some(before) if !before.is_empty() => {
            let mut shorter: Vec<char> = before.chars().collect();
            shorter.pop();
            shorter.into_iter().chain(['a']).collect()
        }
        _ => name.to_owned(),
    }
}

fn is_label(text: &str) -> bool {
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = text.bytes().next().is_some_and(good) && text.bytes().last().is_some_and(good);
    ends && text.bytes().all(|b| good(b) || b == b'-')
}

fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_label)
}

fn too_long(text: &str, most: usize) -> Option<std::string::String> {
    (text.len() > most).then(|| format!("it has more than {most} characters"))
}

fn dns1123_label(text: &str) -> Vec<std::string::String> {
    let mut faults: Vec<_> = too_long(text, 63).into_iter().collect();
    if !is_label(text) {
        faults.push(if is_subdomain(text) {
            "a label has no dots".into()
        } else {
            "a label has lower-case letters, digits and '-', and begins and ends with a letter or digit".into()
        });
    }
    faults
}

fn dns1123_subdomain(text: &str) -> Vec<std::string::String> {
    let mut faults: Vec<_> = too_long(text, 253).into_iter().collect();
    if !is_subdomain(text) {
        faults.push("a subdomain is labels of lower-case letters, digits and '-', joined by dots".into());
    }
    faults
}

fn dns1035_label(text: &str) -> Vec<std::string::String> {
    let mut faults: Vec<_> = too_long(text, 63).into_iter().collect();
    if !(is_label(text) && text.bytes().next().is_some_and(|b| b.is_ascii_lowercase())) {
        faults.push("a label has lower-case letters, digits and '-', begins with a letter and ends with a letter or digit".into());
    }
    faults
}

fn is_name(text: &str) -> bool {
    let end = |b: u8| b.is_ascii_alphanumeric();
    let ends = text.bytes().next().is_some_and(end) && text.bytes().last().is_some_and(end);
    ends && text.bytes().all(|b| end(b) || matches!(b, b'-' | b'_' | b'.'))
}

const NAME: &str = "has letters, digits, '-', '_' and '.', and begins and ends with a letter or digit";

fn qualified_name(text: &str) -> Vec<std::string::String> {
    let parts: Vec<&str> = text.split('/').collect();
    let (prefix, name) = match parts.as_slice() {
        [name] => (None, *name),
        [prefix, name] => (Some(*prefix), *name),
        _ => return vec!["a qualified name is a name, with a DNS subdomain and '/' before it if need be".into()],
    };
    let mut faults = Vec::new();
    match prefix {
        Some("") => faults.push("the prefix is empty".into()),
        Some(prefix) => faults.extend(dns1123_subdomain(prefix).into_iter().map(|fault| format!("the prefix: {fault}"))),
        None => {}
    }
    if name.is_empty() {
        faults.push("the name is empty".into());
    } else if name.len() > 63 {
        faults.push("the name has more than 63 characters".into());
    }
    if !is_name(name) {
        faults.push(format!("the name {NAME}"));
    }
    faults
}

fn label_value(text: &str) -> Vec<std::string::String> {
    let mut faults: Vec<_> = too_long(text, 63).into_iter().collect();
    if !(text.is_empty() || is_name(text)) {
        faults.push(format!("a label's value is empty or {NAME}"));
    }
    faults
}

fn is_uuid(text: &str) -> bool {
    // Every dash may be left out on its own.
    let mut rest = text;
    for (i, length) in [8usize, 4, 4, 4, 12].into_iter().enumerate() {
        if i > 0 {
            rest = rest.strip_prefix('-').unwrap_or(rest);
        }
        let Some((group, after)) = rest.split_at_checked(length) else { return false };
        if !group.bytes().all(|b| b.is_ascii_hexdigit()) {
            return false;
        }
        rest = after;
    }
    rest.is_empty()
}

fn is_base64(text: &str) -> bool {
    let content = text.trim_end_matches('=');
    !text.is_empty()
        && text.len().is_multiple_of(4)
        && text.len() - content.len() <= 2
        && content.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
}

fn is_date(text: &str) -> bool {
    let shape = text.len() == 10 && text.bytes().enumerate().all(|(i, b)| if i == 4 || i == 7 { b == b'-' } else { b.is_ascii_digit() });
    shape && text.parse::<jiff::civil::Date>().is_ok()
}

fn is_datetime(text: &str) -> bool {
    let lower = text.to_lowercase();
    let mut parts = lower.split('t');
    let (Some(date), Some(time)) = (parts.next(), parts.next()) else { return false };
    is_date(date) && is_time(time)
}

/// `hh:mm:ss`, any one character and digits for a fraction, `z` or an offset.
fn is_time(text: &str) -> bool {
    let two = |s: Option<&str>| s.is_some_and(|s| s.len() == 2 && s.bytes().all(|b| b.is_ascii_digit()));
    let clock = |s: &str| two(s.get(0..2)) && s.get(2..3) == Some(":") && two(s.get(3..5));
    if !clock(text) || text.get(5..6) != Some(":") || !two(text.get(6..8)) {
        return false;
    }
    let in_range = text.get(0..2) <= Some("23") && text.get(3..5) <= Some("59") && text.get(6..8) <= Some("59");
    let rest = text.get(8..).unwrap_or_default();
    let zone = |s: &str| s == "z" || (s.len() == 6 && s.starts_with(['+', '-']) && s.get(1..).is_some_and(clock));
    let mut fraction = rest.chars();
    let separated = fraction.next().is_some_and(|c| c != '\n');
    let digits = fraction.as_str().bytes().take_while(u8::is_ascii_digit).count();
    // An offset's own digits may be taken for a fraction, so every length is tried.
    let with_fraction = separated && (1..=digits).any(|n| fraction.as_str().get(n..).is_some_and(zone));
    in_range && (zone(rest) || with_fraction)
}
