//! Falco's own rules: what each action of its event generator should raise, and the rules no action covers.
//!
//! `cases/generator.json` and `cases/uncovered.json`: `negative`, a harmless variant, is merged over `positive`.

use crate::build::{event, merge};
use crate::own::{list, word};
use crate::{held, shipped};
use jinwu_detect::{RuleFile, RuleSet, content};
use jinwu_event::{Call, needed};
use serde_json::Value;
use std::collections::BTreeSet;

/// What Falco leaves to the site: lists and macros an operator fills in, names an address has.
const SITE: &str = "
- list: namespace_scope_network_only_subnet
  items: [walled]
- macro: allowed_containers
  condition: (container.image.repository startswith registry.example/)
- list: miner_domains
  items: [kubernetes.default.svc.cluster.local]
";

fn with_site() -> RuleSet {
    let mut files = content::node();
    files.push(RuleFile { name: "site.yaml", text: SITE });
    let (mut set, _) = RuleSet::load(&files).unwrap_or_else(|p| panic!("{p}"));
    let off: Vec<String> = set.rules().iter().filter(|r| !r.enabled).map(|r| r.name.clone()).collect();
    for name in off {
        set.set_enabled(&name, true);
    }
    set
}

/// Rules that hold wrongly or wrongly do not, and those tried.
fn run(set: &RuleSet, cases: &[Value]) -> (Vec<String>, BTreeSet<String>) {
    let (mut wrong, mut tried) = (Vec::new(), BTreeSet::new());
    for case in cases {
        let rule = word(case, "rule").to_owned();
        let mut value = case["positive"].clone();
        if !held(set, &event(&value)).contains(&rule) {
            wrong.push(format!("{rule}: silent"));
        }
        merge(&mut value, &case["negative"]);
        if held(set, &event(&value)).contains(&rule) {
            wrong.push(format!("{rule}: false alarm"));
        }
        tried.insert(rule);
    }
    (wrong, tried)
}

#[test]
fn every_action_and_every_other_rule() {
    let set = with_site();
    let actions = list(include_str!("cases/generator.json"));
    assert_eq!(actions.len(), 66);
    let (mut wrong, mut tried) = run(&set, &actions);
    let (more, rest) = run(&set, &list(include_str!("cases/uncovered.json")));
    wrong.extend(more);
    assert_eq!(rest.len(), 27);
    tried.extend(rest);
    assert!(wrong.is_empty(), "{wrong:#?}");
    let falco: BTreeSet<String> = set.rules().iter().filter(|r| r.place.file.starts_with("content/rules/falco/")).map(|r| r.name.clone()).collect();
    assert_eq!(falco.len(), 93);
    assert_eq!(tried, falco, "every rule of Falco's has a case");
}

/// An action is named as its rule.
#[test]
fn actions_are_named_as_their_rules() {
    for case in list(include_str!("cases/generator.json")) {
        let plain = |t: &str| t.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
        assert_eq!(plain(word(&case, "action")), plain(word(&case, "rule")));
    }
}

/// Other ways to the same thing: another call, a link, io_uring, a relative path.
#[test]
fn other_ways_are_no_way_around() {
    let set = with_site();
    let read = "Read sensitive file untrusted".to_owned();
    for changes in [
        serde_json::json!({"call": "open"}),
        serde_json::json!({"call": "openat2"}),
        serde_json::json!({"io_uring": true}),
        serde_json::json!({"path": "/tmp/link", "file": {"path": "/etc/shadow"}}),
        serde_json::json!({"path": "../etc/shadow", "proc": {"cwd": "/root"}}),
        serde_json::json!({"path": "/proc/self/root/etc/shadow", "file": {"path": "/etc/shadow"}}),
    ] {
        let mut value = serde_json::json!({"call": "openat", "path": "/etc/shadow", "args": {"flags": "O_RDONLY"}, "proc": {"name": "x"}});
        merge(&mut value, &changes);
        assert!(held(&set, &event(&value)).contains(&read), "{value}");
    }
}

/// What was prevented is not silent, and says so.
#[test]
fn prevented_calls_are_seen_as_attempts() {
    let set = with_site();
    for (verdict, result, expected) in [("passed", -13, false), ("denied", -1, true), ("killed", -13, true), ("alarmed", 5, true), ("alarmed", -2, true)] {
        let value = serde_json::json!({"call": "openat", "path": "/bin/x", "args": {"flags": "O_WRONLY|O_CREAT"}, "result": result, "verdict": verdict});
        assert_eq!(held(&set, &event(&value)).contains(&"Write below binary dir".to_owned()), expected, "{verdict}");
    }
    let dup = serde_json::json!({"call": "dup2", "args": {"oldfd": 5, "newfd": 1}, "result": -1, "verdict": "denied", "socket": {"from": "10.0.0.5:4000", "to": "203.0.113.9:80"}});
    assert!(held(&set, &event(&dup)).contains(&"Redirect STDOUT/STDIN to Network Connection in Container".to_owned()));
}

#[test]
fn calls_to_capture_follow_the_rules() {
    let mut set = shipped();
    let calls = needed(&set);
    for call in [Call::Openat, Call::Openat2, Call::Setns, Call::Bpf, Call::Mount, Call::Dup2, Call::Kill, Call::Sendto, Call::Connect, Call::Execve] {
        assert!(calls.contains(&call), "{call:?}");
    }
    // Only rules that are off ask for what is received.
    assert!(!calls.contains(&Call::Recvfrom) && !calls.contains(&Call::Recvmsg));
    // Only a sequence asks for FIFOs; they are always recorded.
    assert!(calls.contains(&Call::Mknodat));
    set.set_enabled("Java Process Class File Download", true);
    assert!(needed(&set).contains(&Call::Recvfrom));
    set.set_enabled("Java Process Class File Download", false);
    assert!(!needed(&set).contains(&Call::Recvfrom));
}

#[test]
fn all_calls_are_captured_for_a_rule_without_types() {
    let text = "- rule: r\n  desc: d\n  condition: proc.name=x\n  output: o\n  priority: INFO\n  warn_evttypes: false\n";
    let (set, _) = RuleSet::load(&[RuleFile { name: "t.yaml", text }]).unwrap();
    assert_eq!(needed(&set).len(), Call::ALL.len());
}

/// Every event type of the rules is a call.
#[test]
fn event_types_are_calls() {
    for name in with_site().event_types().unwrap() {
        assert!(Call::named(&name).is_some(), "{name}");
    }
}
