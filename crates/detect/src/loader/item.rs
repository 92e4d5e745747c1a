//! Reading members of items.

use crate::condition::MAX_CONDITION;
use crate::field::Source;
use crate::guidance::Guidance;
use crate::problem::{Place, Report};
use crate::ruleset::Priority;
use crate::yaml::Node;

/// An item being read: its node, its place, and where problems go.
pub(crate) struct Reader<'a> {
    pub(crate) node: &'a Node,
    pub(crate) place: Place,
    /// `rule "X"`, for messages.
    pub(crate) what: String,
}

/// A sequence as written.
pub(crate) struct SequenceItem {
    pub(crate) place: Place,
    pub(crate) name: String,
    pub(crate) desc: String,
    pub(crate) source: Source,
    pub(crate) enabled: bool,
    pub(crate) priority: Priority,
    pub(crate) tags: Vec<String>,
    pub(crate) output: String,
    /// Fields whose values together make the key.
    pub(crate) key: Vec<String>,
    /// Seconds.
    pub(crate) window: u64,
    pub(crate) steps: Vec<StepItem>,
    pub(crate) guidance: Option<Guidance>,
}

/// One step of a sequence as written.
pub(crate) struct StepItem {
    pub(crate) place: Place,
    pub(crate) condition: String,
    pub(crate) count: u32,
    /// Count different values of this field.
    pub(crate) distinct: Option<String>,
    /// Only a value of this field that is new for the key.
    pub(crate) new: Option<String>,
}

// === impl Reader ===

impl Reader<'_> {
    pub(crate) fn fail(&self, line: usize, message: &str, report: &mut Report) {
        report.fail(&Place { line, ..self.place.clone() }, format!("{}: {message}", self.what));
    }

    /// Text of a member; absent or null is `None`, a list or mapping an error.
    pub(crate) fn text(&self, key: &str, report: &mut Report) -> Option<String> {
        let node = self.node.get(key)?;
        match node.text() {
            Some(text) if text.len() <= MAX_CONDITION => Some(text.trim_end().to_owned()),
            Some(text) => {
                self.fail(node.line, &format!("{key} has {} bytes, more than {MAX_CONDITION}", text.len()), report);
                None
            }
            None => {
                self.fail(node.line, &format!("{key} is text"), report);
                None
            }
        }
    }

    /// Text that must be there.
    pub(crate) fn needed(&self, key: &str, report: &mut Report) -> Option<String> {
        let text = self.text(key, report);
        if self.node.get(key).is_none() {
            self.fail(self.place.line, &format!("{key} is missing"), report);
        }
        text
    }

    pub(crate) fn truth(&self, key: &str, default: bool, report: &mut Report) -> bool {
        let Some(node) = self.node.get(key) else { return default };
        node.truth().unwrap_or_else(|| {
            self.fail(node.line, &format!("{key} is true or false"), report);
            default
        })
    }

    pub(crate) fn number(&self, key: &str, default: u32, allowed: std::ops::RangeInclusive<u32>, report: &mut Report) -> u32 {
        let Some(node) = self.node.get(key) else { return default };
        node.text().and_then(|t| t.parse().ok()).filter(|n| allowed.contains(n)).unwrap_or_else(|| {
            self.fail(node.line, &format!("{key} is a number from {} to {}", allowed.start(), allowed.end()), report);
            default
        })
    }

    /// A list of texts; one text counts as a list of one.
    pub(crate) fn words(&self, key: &str, report: &mut Report) -> Vec<String> {
        let Some(node) = self.node.get(key) else { return Vec::new() };
        if node.is_null() {
            return Vec::new();
        }
        if let Some(text) = node.text() {
            return vec![text.to_owned()];
        }
        let mut all = Vec::new();
        for item in node.list().unwrap_or_default() {
            match item.text() {
                Some(text) => all.push(text.to_owned()),
                None => self.fail(item.line, &format!("{key} is a list of texts"), report),
            }
        }
        if node.map().is_some() {
            self.fail(node.line, &format!("{key} is a list of texts"), report);
        }
        all
    }

    pub(crate) fn priority(&self, report: &mut Report) -> Option<Priority> {
        let text = self.text("priority", report)?;
        let priority = Priority::named(&text);
        if priority.is_none() {
            let names: Vec<&str> = Priority::ALL.iter().map(|p| p.as_str()).collect();
            let line = self.node.get("priority").map_or(self.place.line, |n| n.line);
            self.fail(line, &format!("priority {text:?} is not one of {}", names.join(", ")), report);
        }
        priority
    }

    /// Warns about keys that mean nothing here.
    pub(crate) fn known_keys(&self, known: &[&str], report: &mut Report) {
        for (key, _) in self.node.map().unwrap_or_default() {
            let name = key.text().unwrap_or("(not text)");
            if !known.contains(&name) {
                let place = Place { line: key.line, ..self.place.clone() };
                report.warn(&place, format!("{}: key {name:?} is unknown and has no effect; known are {}", self.what, known.join(", ")));
            }
        }
    }
}
