//! Sides of a comparison, compiled: a field, or a transformer over fields.

use crate::condition::Operand;
use crate::event::{Event, FieldValue};
use crate::field::{self, Argument, FieldId, Kind, Source};
use base64::Engine as _;
use std::borrow::Cow;

/// Longest text a transformer makes, bytes.
const MAX_TEXT: usize = 64 << 10;
/// Most elements a list of a transformer has.
const MAX_LIST: usize = 1024;

/// A compiled operand.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Compiled {
    Field(FieldId, Argument),
    Literal(Box<str>),
    List(Box<[Compiled]>),
    Transform(Transform, Box<[Compiled]>),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Transform {
    ToLower,
    ToUpper,
    /// Decodes base64.
    Base64,
    /// What follows the last `/`.
    Basename,
    /// Characters of a text, elements of a list.
    Length,
    /// First argument between the elements of the second.
    Join,
    Concat,
    /// `getopt(text, "ab:")[b]`: the value of an option in a command line, empty for a flag.
    Option(Box<str>),
}

/// A compiled operand with its type.
pub(crate) struct Typed {
    pub(crate) operand: Compiled,
    pub(crate) kind: Kind,
    pub(crate) list: bool,
    /// May stand in `val()` and transformers.
    pub(crate) movable: bool,
}

/// Resolves names.
pub(crate) fn compile(source: Source, operand: &Operand) -> Result<Typed, String> {
    match operand {
        Operand::Field { name, argument } => {
            let (definition, argument) = field::resolve(source, name, argument.as_deref())?;
            // With a position, most list fields of the plugin are still lists; the value decides.
            Ok(Typed { operand: Compiled::Field(definition.id, argument), kind: definition.kind, list: definition.list, movable: definition.movable })
        }
        Operand::Literal(text) => Ok(Typed { operand: Compiled::Literal(text.as_str().into()), kind: Kind::Text, list: false, movable: true }),
        Operand::List(items) => {
            let items = items.iter().map(|i| inner(source, i)).collect::<Result<Vec<_>, _>>()?;
            Ok(Typed { operand: Compiled::List(items.into_iter().map(|t| t.operand).collect()), kind: Kind::Text, list: true, movable: true })
        }
        Operand::Transform { name, arguments, argument } => transform(source, name, arguments, argument.as_deref()),
    }
}

fn inner(source: Source, operand: &Operand) -> Result<Typed, String> {
    let typed = compile(source, operand)?;
    if typed.movable { Ok(typed) } else { Err("this field cannot stand in val() or in a transformer".into()) }
}

fn transform(source: Source, name: &str, arguments: &[Operand], argument: Option<&str>) -> Result<Typed, String> {
    let all = arguments.iter().map(|a| inner(source, a)).collect::<Result<Vec<_>, _>>()?;
    let count = |n: usize, usage: &str| if all.len() == n { Ok(()) } else { Err(format!("{name} takes {n} arguments: {usage}")) };
    let list = all.first().is_some_and(|t| t.list);
    let (transform, kind, list) = match name {
        "tolower" => (count(1, "tolower(field)").map(|()| Transform::ToLower)?, Kind::Text, list),
        "toupper" => (count(1, "toupper(field)").map(|()| Transform::ToUpper)?, Kind::Text, list),
        "b64" => (count(1, "b64(field)").map(|()| Transform::Base64)?, Kind::Text, list),
        "basename" => (count(1, "basename(field)").map(|()| Transform::Basename)?, Kind::Text, list),
        "len" => (count(1, "len(field)").map(|()| Transform::Length)?, Kind::Number, false),
        "join" => (count(2, "join(\", \", (field, field))").map(|()| Transform::Join)?, Kind::Text, false),
        "concat" if all.is_empty() => return Err("concat takes at least one argument".into()),
        "concat" => (Transform::Concat, Kind::Text, false),
        "getopt" => {
            count(2, "getopt(field, \"ab:\")[b]")?;
            let option = argument.ok_or("getopt needs the option's letter in brackets: getopt(field, \"ab:\")[b]")?;
            (Transform::Option(option.into()), Kind::Text, false)
        }
        other => return Err(format!("{other} is not a transformer")),
    };
    if argument.is_some() && name != "getopt" {
        return Err(format!("{name} takes no argument in brackets"));
    }
    Ok(Typed { operand: Compiled::Transform(transform, all.into_iter().map(|t| t.operand).collect()), kind, list, movable: true })
}

// === impl Compiled ===

impl Compiled {
    pub(crate) fn value<'e, E: Event>(&'e self, event: &'e E, shown: bool) -> FieldValue<'e> {
        match self {
            Compiled::Field(field, argument) if shown => event.shown(*field, argument),
            Compiled::Field(field, argument) => event.field(*field, argument),
            Compiled::Literal(text) => FieldValue::Text(Cow::Borrowed(text)),
            Compiled::List(items) => FieldValue::list(items.iter().flat_map(|i| texts(i.value(event, shown))).take(MAX_LIST).collect()),
            Compiled::Transform(transform, arguments) => transform.apply(arguments, event, shown),
        }
    }
}

// === impl Transform ===

impl Transform {
    fn apply<'e, E: Event>(&'e self, arguments: &'e [Compiled], event: &'e E, shown: bool) -> FieldValue<'e> {
        let value = |i: usize| arguments.get(i).map_or(FieldValue::Absent, |a| a.value(event, shown));
        match self {
            Transform::ToLower => each(value(0), |t| Some(t.to_ascii_lowercase())),
            Transform::ToUpper => each(value(0), |t| Some(t.to_ascii_uppercase())),
            Transform::Base64 => each(value(0), |t| {
                let bytes = base64::engine::general_purpose::STANDARD.decode(t.trim()).ok()?;
                Some(String::from_utf8_lossy(&bytes).into_owned())
            }),
            Transform::Basename => each(value(0), |t| t.rsplit('/').next().map(str::to_owned)),
            Transform::Length => match value(0) {
                FieldValue::Absent => FieldValue::Absent,
                FieldValue::Bytes(b) => FieldValue::Number(b.len() as i64),
                FieldValue::List(l) | FieldValue::Any(l) => FieldValue::Number(l.len() as i64),
                other => FieldValue::Number(texts(other).first().map_or(0, |t| t.chars().count()) as i64),
            },
            Transform::Join => {
                let Some(separator) = texts(value(0)).into_iter().next() else { return FieldValue::Absent };
                let all = texts(value(1));
                if all.is_empty() { FieldValue::Absent } else { owned(all.join(&separator)) }
            }
            Transform::Concat => {
                let mut out = String::new();
                for position in 0..arguments.len() {
                    let parts = texts(value(position));
                    if parts.is_empty() {
                        return FieldValue::Absent;
                    }
                    out.extend(parts);
                }
                owned(out)
            }
            Transform::Option(letter) => {
                let line = texts(value(0)).join(" ");
                let spec = texts(value(1)).join("");
                option(&line, &spec, letter).map_or(FieldValue::Absent, owned)
            }
        }
    }
}

fn owned<'e>(mut text: String) -> FieldValue<'e> {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    FieldValue::Text(Cow::Owned(text))
}

fn each<'e>(value: FieldValue<'e>, change: impl Fn(&str) -> Option<String>) -> FieldValue<'e> {
    match value {
        FieldValue::List(all) => FieldValue::list(all.iter().filter_map(|t| change(t)).map(Cow::Owned).collect()),
        FieldValue::Any(all) => FieldValue::Any(all.iter().filter_map(|t| change(t)).map(Cow::Owned).collect()),
        FieldValue::Absent => FieldValue::Absent,
        other => texts(other).first().and_then(|t| change(t)).map_or(FieldValue::Absent, owned),
    }
}

/// A value as texts: none when absent, many when a list.
pub(crate) fn texts(value: FieldValue<'_>) -> Vec<Cow<'_, str>> {
    match value {
        FieldValue::Absent => Vec::new(),
        FieldValue::Text(t) => vec![t],
        FieldValue::Bytes(b) => vec![Cow::Owned(String::from_utf8_lossy(&b).into_owned())],
        FieldValue::Flag(f) => vec![Cow::Borrowed(if f { "true" } else { "false" })],
        FieldValue::Number(n) => vec![Cow::Owned(n.to_string())],
        FieldValue::Address(a) => vec![Cow::Owned(a.to_string())],
        FieldValue::List(l) | FieldValue::Any(l) => l,
        FieldValue::Addresses(all) => all.iter().map(|a| Cow::Owned(a.to_string())).collect(),
        FieldValue::Ports(all) => all.iter().map(|a| Cow::Owned(a.to_string())).collect(),
    }
}

/// The value of short option `letter` in a command line, by a specification such as `ab:c`.
fn option(line: &str, spec: &str, letter: &str) -> Option<String> {
    let wanted = letter.chars().next()?;
    let takes_value = |c: char| spec.split_once(c).is_some_and(|(_, after)| after.starts_with(':'));
    let mut words = line.split_ascii_whitespace();
    while let Some(word) = words.next() {
        if word == "--" {
            return None;
        }
        let Some(flags) = word.strip_prefix('-').filter(|f| !f.is_empty() && !f.starts_with('-')) else { continue };
        for (position, flag) in flags.char_indices() {
            let attached = flags.get(position + flag.len_utf8()..).unwrap_or_default();
            if !takes_value(flag) {
                if flag == wanted && spec.contains(flag) {
                    return Some(String::new());
                }
                continue;
            }
            let value = if attached.is_empty() { words.next().unwrap_or_default() } else { attached };
            if flag == wanted {
                return Some(value.to_owned());
            }
            break;
        }
    }
    None
}
