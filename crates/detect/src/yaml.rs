//! YAML as a bounded tree whose nodes know their line.
//!
//! Scalars stay text as written (`0x10`, `1.10`, `yes`): the rule language decides what they mean.
//! Aliases are refused: no rule file needs them, and they are how a small file becomes a large one.

use granit_parser::{Event, Options, Parser, ScalarStyle};

/// Largest rule file, bytes. Falco's largest is 95 KB.
pub const MAX_FILE: usize = 4 << 20;
/// Mappings and lists inside one another.
pub const MAX_DEPTH: usize = 16;
/// Nodes (scalars, lists, mappings) of one file.
pub const MAX_NODES: usize = 400_000;

/// A node and the line it begins on, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub line: usize,
    pub value: Value,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Text; `plain` when written without quotes or block marks.
    Scalar { text: String, plain: bool },
    List(Vec<Node>),
    /// In order of writing; keys may repeat.
    Map(Vec<(Node, Node)>),
}

/// A list or mapping that is not closed yet.
enum Open {
    List(usize, Vec<Node>),
    Map(usize, Vec<(Node, Node)>, Option<Node>),
}

/// Reads the first document of `text`; `None` when there is none.
///
/// # Errors
/// The line and what is wrong: syntax, or a limit of this module.
pub fn parse(text: &str) -> Result<Option<Node>, (usize, String)> {
    if text.len() > MAX_FILE {
        return Err((0, format!("the file has {} bytes, more than {MAX_FILE}: split it", text.len())));
    }
    let mut options = Options::default();
    options.flow_nesting_limit = options.flow_nesting_limit.min(2 * MAX_DEPTH);
    options.block_nesting_limit = options.block_nesting_limit.min(2 * MAX_DEPTH);
    let mut open: Vec<Open> = Vec::new();
    let mut nodes = 0usize;
    let mut root = None;
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) = next.map_err(|e| (e.marker().line(), format!("not valid YAML: {}", bounded(&e.to_string()))))?;
        let line = span.start.line();
        let done = match event {
            Event::Scalar(text, style, ..) => {
                Node { line, value: Value::Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain } }
            }
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                if open.len() >= MAX_DEPTH {
                    return Err((line, format!("lists and mappings are nested more than {MAX_DEPTH} deep")));
                }
                open.push(match event {
                    Event::SequenceStart(..) => Open::List(line, Vec::new()),
                    _ => Open::Map(line, Vec::new(), None),
                });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(line, items)) => Node { line, value: Value::List(items) },
                Some(Open::Map(line, entries, _)) => Node { line, value: Value::Map(entries) },
                None => continue,
            },
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                return Err((line, "aliases (*name) are not accepted in rule files: write the value out".into()));
            }
            Event::DocumentStart(..) if root.is_some() => {
                return Err((line, "a rule file is one document: remove what follows ---, or make it a file of its own".into()));
            }
            _ => continue,
        };
        nodes += 1;
        if nodes > MAX_NODES {
            return Err((line, format!("the file has more than {MAX_NODES} values: split it")));
        }
        match open.last_mut() {
            Some(Open::List(_, items)) => items.push(done),
            Some(Open::Map(_, entries, key)) => match key.take() {
                None => *key = Some(done),
                Some(k) => entries.push((k, done)),
            },
            None => root = Some(done),
        }
    }
    Ok(root)
}

fn bounded(message: &str) -> String {
    message.chars().take(300).collect()
}

// === impl Node ===

impl Node {
    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The elements of a list.
    pub fn list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// The entries of a mapping.
    pub fn map(&self) -> Option<&[(Node, Node)]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value of a key; of repeated keys the last.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.map()?.iter().rev().find(|(k, _)| k.text() == Some(key)).map(|(_, v)| v)
    }

    /// Nothing written: `key:`, `~` or `null`.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// A truth value as YAML 1.1 and 1.2 spell it.
    pub fn truth(&self) -> Option<bool> {
        match self.text()?.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Some(true),
            "false" | "no" | "off" => Some(false),
            _ => None,
        }
    }
}
