//! Lists of lists, made flat.

use super::collect::{ListItem, Ordered};
use crate::condition::{Literal, parse};
use crate::problem::Report;
use std::collections::HashMap;

/// Most values of one list after expansion.
pub(super) const MAX_VALUES: usize = 100_000;
/// Most values of all lists together after expansion.
pub(super) const MAX_TOTAL: usize = 1_000_000;
/// Lists inside one another.
pub(super) const MAX_NESTING: usize = 32;

/// Every list with its values, no list inside.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    flat: HashMap<String, Vec<String>>,
}

struct Resolver<'a> {
    items: &'a Ordered<ListItem>,
    flat: HashMap<String, Vec<String>>,
    total: usize,
    /// Names on the way to the present list: a list that names itself means the word.
    path: Vec<String>,
}

/// A list item as a value: Falco puts items into conditions as text, so an item in quotes of its
/// own (`'"a b"'`) is a quoted string there.
pub(crate) fn literal(text: &str) -> Literal {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\'') && text.len() > 1 && text.ends_with(*c));
    if quote.is_some()
        && let Ok(crate::condition::Expression::Check(check)) = parse(&format!("a.b = {text}"))
        && let crate::condition::Right::Value(value) = check.right
    {
        return value;
    }
    Literal { text: text.to_owned(), quoted: false }
}

// === impl Lists ===

impl Lists {
    pub(super) fn resolve(items: &Ordered<ListItem>, report: &mut Report) -> Lists {
        let mut resolver = Resolver { items, flat: HashMap::new(), total: 0, path: Vec::new() };
        for (name, item) in items.iter() {
            if let Err(message) = resolver.flatten(name) {
                report.fail(&item.place, format!("list {name:?}: {message}"));
                resolver.path.clear();
            }
        }
        Lists { flat: resolver.flat }
    }

    /// The values that stand for `literal`: a list's, if it is a bare word that names one.
    pub(crate) fn expand<'a>(&'a self, literal: &'a Literal) -> Option<&'a [String]> {
        if literal.quoted { None } else { self.flat.get(&literal.text).map(Vec::as_slice) }
    }
}

// === impl Resolver ===

impl Resolver<'_> {
    fn flatten(&mut self, name: &str) -> Result<(), String> {
        if self.flat.contains_key(name) {
            return Ok(());
        }
        if self.path.len() >= MAX_NESTING {
            return Err(format!("lists are nested more than {MAX_NESTING} deep: {}", self.path.join(" > ")));
        }
        let Some(item) = self.items.get(name) else { return Ok(()) };
        self.path.push(name.to_owned());
        let mut values = Vec::new();
        for text in &item.items {
            let value = literal(text);
            let inner = !value.quoted && self.items.get(&value.text).is_some() && !self.path.contains(&value.text);
            if inner {
                self.flatten(&value.text)?;
                values.extend(self.flat.get(&value.text).into_iter().flatten().cloned());
            } else {
                values.push(value.text);
            }
            if values.len() > MAX_VALUES {
                return Err(format!("more than {MAX_VALUES} values after expansion"));
            }
        }
        self.total += values.len();
        if self.total > MAX_TOTAL {
            return Err(format!("more than {MAX_TOTAL} values in all lists together after expansion"));
        }
        self.path.pop();
        self.flat.insert(name.to_owned(), values);
        Ok(())
    }
}
