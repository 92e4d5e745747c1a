//! Every rule of ours has an event it fires for, and one that differs in the point that matters; ordinary work is
//! quiet.
//!
//! `cases/own.json`: `negative` is merged over `positive`. `cases/benign.json`: events of ordinary work by what does
//! it. `cases/single.json`: what one program of an attacker does by itself.

use crate::build::{event, merge};
use crate::{completed, held, shipped};
use jinwu_detect::reference::{Language, reference};
use jinwu_detect::{Guidance, RuleSet};
use jinwu_model::Mode;
use serde_json::Value;

pub(crate) fn list(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap()
}

pub(crate) fn word<'a>(case: &'a Value, key: &str) -> &'a str {
    case[key].as_str().unwrap_or_else(|| panic!("{key}: {case}"))
}

fn own(file: &str) -> bool {
    file.starts_with("rules/node/")
}

fn sorted(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut all: Vec<String> = names.collect();
    all.sort();
    all
}

#[test]
fn every_rule_fires_and_is_silent() {
    let set = shipped();
    let (mut covered, mut wrong) = (Vec::new(), Vec::new());
    for case in list(include_str!("cases/own.json")) {
        let rule = word(&case, "rule").to_owned();
        let mut value = case["positive"].clone();
        if !held(&set, &event(&value)).contains(&rule) {
            wrong.push(format!("{rule}: silent"));
        }
        merge(&mut value, &case["negative"]);
        if held(&set, &event(&value)).contains(&rule) {
            wrong.push(format!("{rule}: false alarm"));
        }
        covered.push(rule);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(sorted(covered.into_iter()), sorted(set.rules().iter().filter(|r| own(&r.place.file)).map(|r| r.name.clone())));
}

#[test]
fn every_sequence_completes_and_does_not() {
    let set = shipped();
    let (mut covered, mut wrong) = (Vec::new(), Vec::new());
    for case in list(include_str!("cases/sequences.json")) {
        let name = word(&case, "sequence").to_owned();
        let events = |key: &str| -> Vec<_> {
            case[key].as_array().unwrap().iter().enumerate().map(|(i, v)| {
                let mut event = event(v);
                event.time += i as i64 * 100_000_000;
                event
            }).collect()
        };
        if !completed(&set, &events("positive")).contains(&name) {
            wrong.push(format!("{name}: silent"));
        }
        if completed(&set, &events("negative")).contains(&name) {
            wrong.push(format!("{name}: false alarm"));
        }
        covered.push(name);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(sorted(covered.into_iter()), sorted(set.sequences().iter().map(|s| s.name.clone())));
}

/// Package installs, compilers, databases, web servers, runtimes, cron, log rotation.
#[test]
fn ordinary_work_is_quiet() {
    let set = shipped();
    let loud = |guidance: Option<&Guidance>| guidance.is_none_or(|g| g.mode != Mode::Allow);
    let mut wrong = Vec::new();
    let mut number = 0;
    for work in list(include_str!("cases/benign.json")) {
        let events: Vec<_> = work["events"].as_array().unwrap().iter().map(event).collect();
        number += events.len();
        for (place, event) in events.iter().enumerate() {
            set.evaluate(event, |m| {
                if own(&m.rule.place.file) && loud(m.rule.guidance.as_ref()) {
                    wrong.push(format!("{} {place}: {}", word(&work, "work"), m.output(event)));
                }
            });
        }
        wrong.extend(completed(&set, &events).iter().map(|name| format!("{}: {name}", word(&work, "work"))));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(number >= 100, "{number}");
}

/// One program of an attacker does everything itself and starts no tool: it is seen by what it does, whether it was
/// dropped or belongs to the image, whatever its name.
#[test]
fn a_single_program_is_seen_by_what_it_does() {
    let set = shipped();
    let dropped = serde_json::json!({"path": "/opt/helper", "layer": "upper", "written": true});
    let belongs = serde_json::json!({"path": "/opt/helper", "layer": "lower"});
    let mut wrong = Vec::new();
    for case in list(include_str!("cases/single.json")) {
        for program in [&dropped, &belongs] {
            let events: Vec<_> = case["events"].as_array().unwrap().iter().map(|value| {
                let mut whole = serde_json::json!({"proc": program});
                merge(&mut whole, value);
                event(&whole)
            }).collect();
            let mut names = completed(&set, &events);
            events.iter().for_each(|e| names.extend(held(&set, e)));
            if !names.iter().any(|n| n == word(&case, "rule")) {
                wrong.push(format!("{}: {names:?}", word(&case, "what")));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let started = serde_json::json!({"call": "execve", "proc": dropped});
    assert!(held(&set, &event(&started)).contains(&"Program not of the image".to_owned()));
}

fn guidance(set: &RuleSet) -> Vec<&Guidance> {
    set.rules().iter().map(|r| r.guidance.as_ref().unwrap_or_else(|| panic!("{} says nothing of itself", r.name))).chain(set.sequences().iter().filter_map(|s| s.guidance.as_ref())).collect()
}

#[test]
fn every_rule_is_described_and_in_the_reference() {
    let set = shipped();
    let known: Vec<String> = list(include_str!("../../../../content/standard/clauses.json")).iter().map(|c| word(c, "id").to_owned()).collect();
    let (chinese, english) = (reference(&set, Language::Chinese), reference(&set, Language::English));
    let all = guidance(&set);
    assert_eq!(all.len(), set.rules().len() + set.sequences().len());
    for guidance in all {
        assert!(!guidance.title.zh.is_ascii() && !guidance.advice.zh.is_ascii() && !guidance.description.zh.is_ascii(), "{:?}", guidance.title);
        assert!(chinese.contains(&guidance.title.zh) && chinese.contains(&guidance.advice.zh) && english.contains(&guidance.advice.en), "{:?}", guidance.title);
        for clause in &guidance.clauses {
            assert!(known.iter().any(|k| k == clause.as_str()), "{clause}");
        }
    }
}

/// The pages are made by `crates/detect/examples/reference.rs`.
#[test]
fn the_pages_are_those_of_the_rules() {
    let set = shipped();
    for (language, page) in [
        (Language::Chinese, include_str!("../../../../docs/zh/rules-node.md")),
        (Language::English, include_str!("../../../../docs/en/rules-node.md")),
    ] {
        assert!(reference(&set, language) == page, "the page is old: cargo run -p jinwu-detect --example reference -- node zh|en > docs/…/rules-node.md");
    }
}
