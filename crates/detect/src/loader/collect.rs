//! Items merged in the order of their files: definitions, appends, overrides, switches.

use super::exception;
use super::item::Reader;
use super::{MAX_ITEMS, MAX_SEQUENCES, MacroItem, RuleItem, SequenceItem, StepItem, version};
use crate::field::Source;
use crate::guidance::Guidance;
use crate::problem::{Place, Report};
use crate::ruleset::Priority;
use crate::yaml::Node;
use std::collections::{HashMap, HashSet};

/// Named things in the order of their first definition.
pub(crate) struct Ordered<T> {
    order: Vec<(String, T)>,
    index: HashMap<String, usize>,
}

/// A list with everything appended to it.
pub(crate) struct ListItem {
    pub(crate) place: Place,
    pub(crate) items: Vec<String>,
}

/// All items of all files.
#[derive(Default)]
pub(crate) struct Collected {
    pub(crate) lists: Ordered<ListItem>,
    pub(crate) macros: Ordered<MacroItem>,
    pub(crate) rules: Ordered<RuleItem>,
    pub(crate) sequences: Ordered<SequenceItem>,
    /// Rules left out because of their source: appending to them is no error.
    skipped: HashSet<String>,
}

/// How an item relates to what was defined before.
struct Change {
    append: bool,
    /// Key → append (true) or replace (false).
    overrides: Option<HashMap<String, bool>>,
}

const LIST_KEYS: &[&str] = &["list", "items", "append", "override"];
const MACRO_KEYS: &[&str] = &["macro", "condition", "append", "override"];
const RULE_KEYS: &[&str] = &[
    "rule", "condition", "output", "desc", "priority", "source", "enabled", "tags", "exceptions", "capture", "capture_duration",
    "warn_evttypes", "skip-if-unknown-filter", "override", "append", "jinwu",
];
const SEQUENCE_KEYS: &[&str] =
    &["sequence", "desc", "source", "enabled", "priority", "tags", "output", "key", "window", "steps", "jinwu"];
const APPENDABLE: &[&str] = &["condition", "output", "desc", "tags", "exceptions"];
const REPLACEABLE: &[&str] = &["priority", "capture", "capture_duration", "enabled", "warn_evttypes", "skip-if-unknown-filter", "jinwu"];

// === impl Collected ===

impl Collected {
    pub(super) fn add(&mut self, node: &Node, place: &Place, report: &mut Report) {
        let reader = |what: &str, name: &str| Reader { node, place: place.clone(), what: format!("{what} {name:?}") };
        if node.map().is_none() {
            return report.fail(place, "an item is a mapping that begins with - rule:, - macro: or - list:");
        }
        if let Some(wanted) = node.get("required_engine_version") {
            return version::engine(wanted, place, report);
        }
        if let Some(wanted) = node.get("required_plugin_versions") {
            return version::plugins(wanted, place, report);
        }
        for (kind, many) in [("rule", self.rules.len()), ("macro", self.macros.len()), ("list", self.lists.len()), ("sequence", self.sequences.len())] {
            let Some(name) = node.get(kind) else { continue };
            let Some(name) = name.text().filter(|n| !n.trim().is_empty() && n.len() <= 256) else {
                return report.fail(place, format!("the name of a {kind} is a text of 1 to 256 bytes"));
            };
            let most = if kind == "sequence" { MAX_SEQUENCES } else { MAX_ITEMS };
            if many >= most {
                return report.fail(place, format!("more than {most} items of kind {kind}"));
            }
            let reader = reader(kind, name);
            return match kind {
                "rule" => self.add_rule(name, &reader, report),
                "macro" => self.add_macro(name, &reader, report),
                "list" => self.add_list(name, &reader, report),
                _ => self.add_sequence(name, &reader, report),
            };
        }
        report.warn(place, "this item is neither rule, macro, list nor sequence and has no effect");
    }

    fn add_list(&mut self, name: &str, reader: &Reader<'_>, report: &mut Report) {
        reader.known_keys(LIST_KEYS, report);
        let Some(change) = Change::read(reader, &["items"], &["items"], report) else { return };
        if reader.node.get("items").is_none() {
            return reader.fail(reader.place.line, "items is missing", report);
        }
        let items = reader.words("items", report);
        match (change.appends("items"), self.lists.get_mut(name)) {
            (true, Some(list)) => list.items.extend(items),
            (true, None) => reader.fail(reader.place.line, "nothing of this name was defined before, so nothing can be appended", report),
            (false, _) => self.lists.put(name, ListItem { place: reader.place.clone(), items }),
        }
    }

    fn add_macro(&mut self, name: &str, reader: &Reader<'_>, report: &mut Report) {
        reader.known_keys(MACRO_KEYS, report);
        let Some(change) = Change::read(reader, &["condition"], &["condition"], report) else { return };
        let Some(condition) = reader.needed("condition", report) else { return };
        match (change.appends("condition"), self.macros.get_mut(name)) {
            (true, Some(known)) => append_text(&mut known.condition, &condition),
            (true, None) => reader.fail(reader.place.line, "nothing of this name was defined before, so nothing can be appended", report),
            (false, _) => self.macros.put(name, MacroItem { place: reader.place.clone(), condition }),
        }
    }

    fn add_rule(&mut self, name: &str, reader: &Reader<'_>, report: &mut Report) {
        reader.known_keys(RULE_KEYS, report);
        let both: Vec<&str> = APPENDABLE.iter().chain(REPLACEABLE).copied().collect();
        let Some(change) = Change::read(reader, APPENDABLE, &both, report) else { return };
        let keys: Vec<&str> = reader.node.map().unwrap_or_default().iter().filter_map(|(k, _)| k.text()).collect();
        let switch = keys.iter().all(|k| ["rule", "enabled"].contains(k)) && keys.len() == 2;
        if !change.append && change.overrides.is_none() && !switch {
            return self.define_rule(name, reader, report);
        }
        let Some(rule) = self.rules.get_mut(name) else {
            if !self.skipped.contains(name) {
                reader.fail(reader.place.line, "no rule of this name was defined before; define it, or correct the name", report);
            }
            return;
        };
        if switch {
            rule.enabled = reader.truth("enabled", rule.enabled, report);
            return;
        }
        for key in keys.iter().copied().filter(|k| both.contains(k)) {
            change_rule(rule, key, change.appends(key), reader, report);
        }
    }

    fn define_rule(&mut self, name: &str, reader: &Reader<'_>, report: &mut Report) {
        let source = reader.text("source", report).unwrap_or_else(|| Source::Syscall.name().into());
        let Some(source) = Source::named(&source) else {
            self.skipped.insert(name.to_owned());
            return report.warn(&reader.place, format!("{}: events of source {source} do not exist here; the rule is left out", reader.what));
        };
        if self.rules.get(name).is_some_and(|known| known.source != source) {
            return reader.fail(reader.place.line, "the rule was defined before with another source: give this one another name", report);
        }
        let (condition, output) = (reader.needed("condition", report), reader.needed("output", report));
        let (desc, priority) = (reader.needed("desc", report), reader.needed("priority", report).and_then(|_| reader.priority(report)));
        let (Some(condition), Some(output), Some(desc), Some(priority)) = (condition, output, desc, priority) else { return };
        let exceptions = reader.node.get("exceptions").filter(|n| !n.is_null());
        let mut rule = RuleItem {
            place: reader.place.clone(),
            name: name.to_owned(),
            condition,
            output,
            desc,
            priority,
            source,
            enabled: reader.truth("enabled", true, report),
            tags: reader.words("tags", report),
            exceptions: exceptions.map(|n| exception::read(n, &reader.place, report)).unwrap_or_default(),
            warn_event_types: reader.truth("warn_evttypes", true, report),
            skip_if_unknown: reader.truth("skip-if-unknown-filter", false, report),
            guidance: None,
        };
        rule.guidance = Guidance::read(reader, &rule.desc, report);
        self.rules.put(name, rule);
    }

    fn add_sequence(&mut self, name: &str, reader: &Reader<'_>, report: &mut Report) {
        reader.known_keys(SEQUENCE_KEYS, report);
        let source = reader.text("source", report).unwrap_or_else(|| Source::Audit.name().into());
        let Some(source) = Source::named(&source) else {
            return reader.fail(reader.place.line, "source is syscall or k8s_audit", report);
        };
        let window = reader.text("window", report).as_deref().and_then(seconds);
        let Some(window) = window else {
            return reader.fail(reader.place.line, "window is a duration of 1s to 7d such as 60s, 10m, 24h", report);
        };
        let nodes = reader.node.get("steps").and_then(Node::list).unwrap_or_default();
        if nodes.is_empty() || nodes.len() > crate::sequence::MAX_STEPS {
            return reader.fail(reader.place.line, &format!("steps is a list of 1 to {} conditions", crate::sequence::MAX_STEPS), report);
        }
        let mut steps = Vec::new();
        for (position, node) in nodes.iter().enumerate() {
            let place = Place { line: node.line, ..reader.place.clone() };
            let step = Reader { node, place: place.clone(), what: format!("{}, step {}", reader.what, position + 1) };
            step.known_keys(&["condition", "count", "distinct", "new"], report);
            let Some(condition) = step.needed("condition", report) else { return };
            let count = step.number("count", 1, 1..=crate::sequence::MAX_COUNT, report);
            steps.push(StepItem { place, condition, count, distinct: step.text("distinct", report), new: step.text("new", report) });
        }
        if steps.iter().all(|s| s.count == 1 && s.new.is_none()) && steps.len() == 1 {
            return reader.fail(reader.place.line, "one step that needs one event is a rule: write it as one", report);
        }
        let key = reader.words("key", report);
        if key.is_empty() || key.len() > 4 {
            return reader.fail(reader.place.line, "key is a list of 1 to 4 fields", report);
        }
        let (desc, output) = (reader.needed("desc", report), reader.needed("output", report));
        let priority = reader.needed("priority", report).and_then(|_| reader.priority(report));
        let (Some(desc), Some(output), Some(priority)) = (desc, output, priority) else { return };
        let guidance = Guidance::read(reader, &desc, report);
        let (enabled, tags) = (reader.truth("enabled", true, report), reader.words("tags", report));
        let (place, name_) = (reader.place.clone(), name.to_owned());
        self.sequences.put(name, SequenceItem { place, name: name_, desc, source, enabled, priority, tags, output, key, window, steps, guidance });
    }
}

fn change_rule(rule: &mut RuleItem, key: &str, append: bool, reader: &Reader<'_>, report: &mut Report) {
    let text = |report: &mut Report| reader.needed(key, report);
    let change = |old: &mut String, new: Option<String>| match new {
        Some(new) if append => append_text(old, &new),
        Some(new) => *old = new,
        None => {}
    };
    match key {
        "condition" => change(&mut rule.condition, text(report)),
        "output" => change(&mut rule.output, text(report)),
        "desc" => change(&mut rule.desc, text(report)),
        "tags" => {
            let tags = reader.words(key, report);
            if append { rule.tags.extend(tags) } else { rule.tags = tags }
        }
        "exceptions" => {
            let more = reader.node.get(key).map(|n| exception::read(n, &reader.place, report)).unwrap_or_default();
            if append { exception::append(&mut rule.exceptions, more, report) } else { rule.exceptions = more }
        }
        "priority" => rule.priority = reader.priority(report).unwrap_or(Priority::Debug),
        "enabled" => rule.enabled = reader.truth(key, rule.enabled, report),
        "warn_evttypes" => rule.warn_event_types = reader.truth(key, rule.warn_event_types, report),
        "skip-if-unknown-filter" => rule.skip_if_unknown = reader.truth(key, rule.skip_if_unknown, report),
        "jinwu" => rule.guidance = Guidance::read(reader, &rule.desc, report),
        _ => {}
    }
}

fn append_text(old: &mut String, new: &str) {
    old.push(' ');
    old.push_str(new);
}

fn seconds(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..)? {
        "s" | "" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit).filter(|s| (1..=7 * 86_400).contains(s))
}

// === impl Change ===

impl Change {
    /// `append` and `override` of an item; `None` when they contradict each other.
    fn read(reader: &Reader<'_>, appendable: &[&str], known: &[&str], report: &mut Report) -> Option<Change> {
        let append = reader.truth("append", false, report);
        let Some(node) = reader.node.get("override") else { return Some(Change { append, overrides: None }) };
        if append {
            reader.fail(node.line, "append: true and override exclude each other: keep override", report);
            return None;
        }
        let mut overrides = HashMap::new();
        for (key, value) in node.map().unwrap_or_default() {
            let (name, how) = (key.text().unwrap_or_default(), value.text().unwrap_or_default());
            if !known.contains(&name) || (how == "append" && !appendable.contains(&name)) || !["append", "replace"].contains(&how) {
                let message = format!("override {name:?}: {how:?} is not possible; append takes {}, replace {}", appendable.join(", "), known.join(", "));
                reader.fail(key.line, &message, report);
                return None;
            }
            if reader.node.get(name).is_none() {
                reader.fail(key.line, &format!("override names {name:?}, but the item has no {name}"), report);
                return None;
            }
            overrides.insert(name.to_owned(), how == "append");
        }
        if overrides.is_empty() {
            reader.fail(node.line, "override is a mapping of keys to append or replace", report);
            return None;
        }
        for (key, _) in reader.node.map().unwrap_or_default() {
            let name = key.text().unwrap_or_default();
            if known.contains(&name) && !overrides.contains_key(name) {
                reader.fail(key.line, &format!("{name} stands beside override and must be listed in it"), report);
                return None;
            }
        }
        Some(Change { append, overrides: Some(overrides) })
    }

    fn appends(&self, key: &str) -> bool {
        self.overrides.as_ref().map_or(self.append, |o| o.get(key).copied().unwrap_or(false))
    }
}

// === impl Ordered ===

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Ordered { order: Vec::new(), index: HashMap::new() }
    }
}

impl<T> Ordered<T> {
    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&T> {
        self.index.get(name).and_then(|i| self.order.get(*i)).map(|(_, t)| t)
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        self.index.get(name).and_then(|i| self.order.get_mut(*i)).map(|(_, t)| t)
    }

    /// Defines, or replaces in its place.
    pub(crate) fn put(&mut self, name: &str, thing: T) {
        match self.get_mut(name) {
            Some(known) => *known = thing,
            None => {
                self.index.insert(name.to_owned(), self.order.len());
                self.order.push((name.to_owned(), thing));
            }
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &T)> {
        self.order.iter().map(|(n, t)| (n, t))
    }

    pub(crate) fn into_iter(self) -> impl Iterator<Item = (String, T)> {
        self.order.into_iter()
    }
}
