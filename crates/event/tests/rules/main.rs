//! The rules the product ships, over events as the kernel would tell them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap here is a failed test, also in what tests share")]

mod build;
mod falco;
mod fields;
mod own;
mod properties;

use jinwu_detect::{RuleSet, Sequences, content};
use jinwu_event::NodeEvent;

/// Everything for node events.
pub(crate) fn shipped() -> RuleSet {
    let (set, warnings) = RuleSet::load(&content::node()).unwrap_or_else(|p| panic!("{p}"));
    assert!(warnings.is_empty(), "{warnings:#?}");
    set
}

/// Names of the rules that hold.
pub(crate) fn held(set: &RuleSet, event: &NodeEvent) -> Vec<String> {
    let mut names = Vec::new();
    set.evaluate(event, |m| names.push(m.rule.name.clone()));
    names
}

/// Names of the sequences that events complete.
pub(crate) fn completed(set: &RuleSet, events: &[NodeEvent]) -> Vec<String> {
    let mut sequences = Sequences::default();
    let mut names = Vec::new();
    for event in events {
        names.extend(sequences.observe(set, event, event.time).into_iter().map(|m| m.sequence.name.clone()));
    }
    names
}
