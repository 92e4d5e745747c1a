//! Events made of a table, and rule sets made of one condition.

use jinwu_detect::field::{Argument, FieldId, Source, resolve};
use jinwu_detect::{Event, FieldValue, RuleFile, RuleSet};
use std::collections::HashMap;

/// A node event whose fields are given by name.
#[derive(Default)]
pub(crate) struct Fake {
    fields: HashMap<(FieldId, String), FieldValue<'static>>,
    kind: Option<String>,
}

impl Fake {
    pub(crate) fn new(fields: &[(&str, FieldValue<'static>)]) -> Self {
        let mut fake = Fake::default();
        for (name, value) in fields {
            let (plain, argument) = match name.split_once('[') {
                Some((plain, rest)) => (plain, Some(rest.trim_end_matches(']'))),
                None => (*name, None),
            };
            let (definition, argument) = resolve(Source::Syscall, plain, argument).unwrap();
            if *name == "evt.type"
                && let FieldValue::Text(kind) = value
            {
                fake.kind = Some(kind.to_string());
            }
            fake.fields.insert((definition.id, format!("{argument:?}")), value.clone());
        }
        fake
    }
}

impl Event for Fake {
    fn source(&self) -> Source {
        Source::Syscall
    }
    fn kind(&self) -> Option<&str> {
        self.kind.as_deref()
    }
    fn time(&self) -> Option<i64> {
        Some(0)
    }
    fn field(&self, field: FieldId, argument: &Argument) -> FieldValue<'_> {
        self.fields.get(&(field, format!("{argument:?}"))).cloned().unwrap_or(FieldValue::Absent)
    }
}

pub(crate) fn text(text: &'static str) -> FieldValue<'static> {
    FieldValue::Text(text.into())
}

/// A file with one rule `r` over node events.
pub(crate) fn rule(condition: &str) -> String {
    format!("- rule: r\n  desc: d\n  condition: {}\n  output: o\n  priority: INFO\n  warn_evttypes: false\n", serde_json::Value::from(condition))
}

pub(crate) fn load(text: &str) -> RuleSet {
    match RuleSet::load(&[RuleFile { name: "t.yaml", text }]) {
        Ok((set, _)) => set,
        Err(problems) => panic!("{problems}"),
    }
}

/// The first problem of files that must not load.
pub(crate) fn refusal(text: &str) -> String {
    match RuleSet::load(&[RuleFile { name: "t.yaml", text }]) {
        Ok(_) => panic!("loaded: {text}"),
        Err(problems) => problems.to_string(),
    }
}

/// Names of the rules that hold.
pub(crate) fn held(set: &RuleSet, event: &impl Event) -> Vec<String> {
    let mut names = Vec::new();
    set.evaluate(event, |m| names.push(m.rule.name.clone()));
    names
}

/// Whether a condition holds.
pub(crate) fn holds(condition: &str, event: &Fake) -> bool {
    !held(&load(&rule(condition)), event).is_empty()
}
