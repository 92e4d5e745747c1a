//! Sequences over events with times.

use crate::audit::event;
use crate::cases::shipped;
use crate::fake::{load, refusal};
use jinwu_detect::{AuditEvent, Event, RuleSet, Sequences};
use serde_json::{Value, json};

const SECOND: i64 = 1_000_000_000;

fn feed(state: &mut Sequences, set: &RuleSet, at: i64, changes: Value) -> Vec<String> {
    let text = event(changes).to_string();
    let event = AuditEvent::parse(text.as_bytes()).unwrap();
    state.observe(set, &event, at * SECOND).into_iter().map(|m| m.sequence.name.clone()).collect()
}

fn refused(user: &str, name: usize) -> Value {
    json!({"verb": "get", "user": {"username": user}, "objectRef": {"resource": "secrets", "name": format!("s{name}")}, "responseStatus": {"code": 403}})
}

#[test]
fn counts_by_key_within_a_window() {
    let set = shipped();
    let mut state = Sequences::default();
    for at in 0..4 {
        assert!(feed(&mut state, &set, at, refused("eve", 1)).is_empty());
    }
    assert!(feed(&mut state, &set, 4, refused("mallory", 1)).is_empty(), "another subject");
    assert_eq!(feed(&mut state, &set, 5, refused("eve", 1)), ["Secrets enumerated"]);
    for at in 6..60 {
        assert!(feed(&mut state, &set, at, refused("eve", 1)).is_empty(), "quiet for one window");
    }
    let again: usize = (66..80).map(|at| feed(&mut state, &set, at, refused("eve", 1)).len()).sum();
    assert_eq!(again, 1, "then once more");
    let mut slow = Sequences::default();
    assert!((0..20).all(|n| feed(&mut slow, &set, n * 30, refused("eve", 1)).is_empty()), "too slow");
}

#[test]
fn counts_different_values_only() {
    let set = shipped();
    let read = |name: usize| json!({"verb": "get", "objectRef": {"resource": "secrets", "name": format!("s{name}")}, "responseStatus": {"code": 200}});
    let mut state = Sequences::default();
    assert!((0..100).all(|n| feed(&mut state, &set, n, read(1)).is_empty()));
    let found: Vec<String> = (2..21).flat_map(|n| feed(&mut state, &set, 100 + n as i64, read(n))).collect();
    assert_eq!(found, ["Secrets read in bulk"]);
}

#[test]
fn a_stolen_token_is_seen_across_a_restart() {
    let set = shipped();
    let by = |address: &str, verb: &str, resource: &str| {
        json!({"verb": verb, "user": {"username": "system:serviceaccount:shop:web"}, "sourceIPs": [address], "objectRef": {"resource": resource}, "responseStatus": {"code": 200}})
    };
    let mut state = Sequences::default();
    for at in 0..5 {
        assert!(feed(&mut state, &set, at, by("10.0.0.9", "list", "secrets")).is_empty(), "its usual address");
    }
    assert!(feed(&mut state, &set, 10, by("10.0.0.66", "get", "pods")).is_empty());
    let stored = serde_json::to_string(&state).unwrap();
    let mut state: Sequences = serde_json::from_str(&stored).unwrap();
    assert!(feed(&mut state, &set, 20, by("10.0.0.66", "list", "secrets")).is_empty());
    assert_eq!(feed(&mut state, &set, 30, by("10.0.0.66", "create", "rolebindings")), ["Token stolen and used"]);
    // The same, but the last step comes too late.
    let mut state: Sequences = serde_json::from_str(&stored).unwrap();
    assert!(feed(&mut state, &set, 20, by("10.0.0.66", "list", "secrets")).is_empty());
    assert!(feed(&mut state, &set, 700, by("10.0.0.66", "create", "rolebindings")).is_empty());
}

#[test]
fn permissions_asked_in_a_burst() {
    let set = shipped();
    let ask = json!({"verb": "create", "objectRef": {"resource": "selfsubjectaccessreviews"}, "responseStatus": {"code": 201}});
    let mut state = Sequences::default();
    let found: Vec<String> = (0..12).flat_map(|n| feed(&mut state, &set, n, ask.clone())).collect();
    assert_eq!(found, ["Permissions enumerated"]);
    let system = json!({"user": {"username": "system:node:n1"}, "verb": "create", "objectRef": {"resource": "selfsubjectaccessreviews"}});
    assert!((0..50).all(|n| feed(&mut state, &set, n, system.clone()).is_empty()));
}

#[test]
fn memory_is_bounded_and_forgets() {
    let set = load("- sequence: s\n  desc: d\n  key: [ka.user.name]\n  window: 60s\n  steps:\n    - condition: ka.verb=get\n      count: 2\n  output: o\n  priority: INFO\n");
    let mut state = Sequences::default();
    for n in 0..20_000 {
        feed(&mut state, &set, n, json!({"verb": "get", "user": {"username": format!("u{n}")}}));
    }
    assert!(state.keys() <= 8192 && state.evicted() > 0, "{} {}", state.keys(), state.evicted());
    assert_eq!(feed(&mut state, &set, 20_000, json!({"verb": "get", "user": {"username": "u19999"}})), ["s"], "the newest are kept");
    state.expire(&set, 30_000 * SECOND);
    assert_eq!(state.keys(), 0);
    assert!(feed(&mut state, &set, 1, json!({"verb": "get", "user": null})).is_empty(), "no key, no count");
}

#[test]
fn files_with_faults_are_refused() {
    let base = "- sequence: s\n  desc: d\n  key: [ka.user.name]\n  window: 60s\n  steps:\n    - condition: ka.verb=get\n      count: 2\n  output: o\n  priority: INFO\n";
    for (from, to, reason) in [
        ("60s", "0s", "window is a duration"),
        ("60s", "90d", "window is a duration"),
        ("[ka.user.name]", "[ka.nobody]", "not a field"),
        ("[ka.user.name]", "[]", "1 to 4 fields"),
        ("count: 2", "count: 201", "from 1 to 200"),
        ("count: 2", "count: 1", "is a rule"),
        ("ka.verb=get", "ka.verb", "expected an operator"),
        ("  output: o\n", "", "output is missing"),
    ] {
        assert!(refusal(&base.replace(from, to)).contains(reason), "{to}: {}", refusal(&base.replace(from, to)));
    }
    let event = event(json!({})).to_string();
    assert!(AuditEvent::parse(event.as_bytes()).unwrap().time().is_some());
}
