//! Items: lists, macros, appends, overrides, exceptions, switches.

use crate::fake::{Fake, held, load, refusal, rule, text};
use jinwu_detect::{RuleFile, RuleSet, Severity};

fn event(name: &'static str, user: &'static str) -> Fake {
    Fake::new(&[("proc.name", text(name)), ("user.name", text(user)), ("evt.type", text("execve"))])
}

#[test]
fn lists_nest_append_and_stand_for_values() {
    let file = "
- list: shells
  items: [bash, sh]
- list: more
  items: [shells, '\"two words\"', 8080]
- list: shells
  append: true
  items: [zsh]
- list: single
  items: [root]
"
    .to_owned();
    let set = load(&(file.clone() + &rule("proc.name in (more, fish) and user.name=single")));
    for (name, expected) in [("bash", 1), ("zsh", 1), ("two words", 1), ("8080", 1), ("fish", 1), ("more", 0), ("shells", 0)] {
        assert_eq!(held(&set, &event(name, "root")).len(), expected, "{name}");
    }
    assert_eq!(held(&load(&(file.clone() + &rule("proc.name in shells"))), &event("zsh", "x")).len(), 1, "a list without parentheses");
    assert!(refusal(&(file.clone() + &rule("shells and proc.name=a"))).contains("it is a list"));
    assert!(refusal(&(file + &rule("proc.name=shells"))).contains("takes one value"));
    let own = "- list: docker\n  items: [docker, dockerd]\n".to_owned() + &rule("proc.name in (docker)");
    assert_eq!(held(&load(&own), &event("docker", "x")).len(), 1, "a list may hold its own name");
}

#[test]
fn macros_append_and_override() {
    let base = "- macro: m\n  condition: proc.name=a\n".to_owned();
    for change in [
        "- macro: m\n  append: true\n  condition: or proc.name=b\n",
        "- macro: m\n  condition: or proc.name=b\n  override:\n    condition: append\n",
        "- macro: m\n  condition: proc.name in (a, b)\n  override:\n    condition: replace\n",
        "- macro: m\n  condition: proc.name in (a, b)\n",
    ] {
        let set = load(&(base.clone() + change + &rule("m")));
        assert_eq!((held(&set, &event("a", "x")).len(), held(&set, &event("b", "x")).len()), (1, 1), "{change}");
    }
    for (change, reason) in [
        ("- macro: n\n  append: true\n  condition: or proc.name=b\n", "nothing of this name"),
        ("- macro: m\n  append: true\n  condition: or proc.name=b\n  override: {condition: append}\n", "exclude each other"),
        ("- macro: m\n  condition: x\n  override: {condition: append, items: append}\n", "not possible"),
        ("- macro: m\n  condition: x\n  override: {condition: extend}\n", "not possible"),
        ("- macro: m\n", "condition is missing"),
        ("- list: l\n", "items is missing"),
    ] {
        let message = refusal(&(base.clone() + change));
        assert!(message.contains(reason), "{change}: {message}");
        assert!(["t.yaml:3: error", "t.yaml:5: error", "t.yaml:6: error"].iter().any(|s| message.starts_with(s)), "the line is that of the change: {message}");
    }
}

#[test]
fn rules_are_switched_overridden_and_replaced_in_place() {
    let base = rule("proc.name=a") + &rule("proc.name=a").replace("rule: r", "rule: s");
    let set = load(&(base.clone() + "- rule: r\n  enabled: false\n"));
    assert_eq!(held(&set, &event("a", "x")), ["s"]);
    let set = load(&(base.clone() + "- rule: r\n  condition: and user.name=root\n  priority: ERROR\n  tags: [t]\n  override: {condition: append, priority: replace, tags: append}\n"));
    assert_eq!(held(&set, &event("a", "x")), ["s"]);
    assert_eq!(held(&set, &event("a", "root")), ["r", "s"]);
    assert_eq!((set.rules()[0].priority.as_str(), set.rules()[0].tags.as_slice()), ("Error", &["t".to_owned()][..]));
    let set = load(&(base.clone() + &rule("proc.name=b")));
    assert_eq!((held(&set, &event("a", "x")), held(&set, &event("b", "x"))), (vec!["s".to_owned()], vec!["r".to_owned()]));
    assert_eq!(set.rules()[0].name, "r", "replaced, it keeps its place");
    let set = load(&(base.clone() + "- rule: r\n  append: true\n  condition: and user.name=root\n"));
    assert_eq!(held(&set, &event("a", "x")), ["s"]);
    for (change, reason) in [
        ("- rule: r\n  output: o2\n  priority: ERROR\n  override: {output: replace}\n", "must be listed in it"),
        ("- rule: r\n  priority: ERROR\n  override: {priority: append}\n", "not possible"),
        ("- rule: r\n  output: o2\n  override: {output: replace, desc: replace}\n", "has no desc"),
        ("- rule: q\n  append: true\n  condition: and user.name=root\n", "no rule of this name"),
        ("- rule: q\n  condition: proc.name=a\n", "output is missing"),
        ("- rule: q\n  condition: proc.name=a\n  desc: d\n  output: o\n  priority: urgent\n", "not one of Emergency"),
        ("- rule: r\n  condition: ka.verb=get\n  desc: d\n  output: o\n  priority: INFO\n  source: k8s_audit\n", "another source"),
    ] {
        assert!(refusal(&(base.clone() + change)).contains(reason), "{change}: {}", refusal(&(base.clone() + change)));
    }
}

#[test]
fn exceptions() {
    let with = |exceptions: &str| rule("proc.name exists") + "  exceptions:\n" + exceptions;
    let rows = with("    - name: known\n      fields: [proc.name, user.name]\n      comps: [=, startswith]\n      values:\n        - [a, ro]\n        - [b, x]\n");
    let set = load(&rows);
    for (name, user, expected) in [("a", "root", 0), ("a", "x", 1), ("b", "xy", 0), ("c", "root", 1)] {
        assert_eq!(held(&set, &event(name, user)).len(), expected, "{name} {user}");
    }
    let set = load(&(rows.clone() + "- rule: r\n  exceptions:\n    - name: known\n      values:\n        - [c, root]\n  override: {exceptions: append}\n"));
    assert_eq!((held(&set, &event("c", "root")).len(), held(&set, &event("a", "root")).len()), (0, 0));
    let single = with("    - name: names\n      fields: proc.name\n      values: [a, b]\n    - name: empty\n      fields: [user.name]\n");
    let set = load(&single);
    assert_eq!((held(&set, &event("a", "x")).len(), held(&set, &event("c", "x")).len()), (0, 1));
    let lists = "- list: l\n  items: [a, b]\n".to_owned() + &with("    - name: n\n      fields: [proc.name, user.name]\n      comps: [in, in]\n      values:\n        - [(l), [root, admin]]\n");
    let set = load(&lists);
    assert_eq!((held(&set, &event("b", "admin")).len(), held(&set, &event("b", "x")).len()), (0, 1));
    for (exceptions, reason) in [
        ("    - fields: proc.name\n", "needs a name"),
        ("    - name: n\n      fields: [proc.name, user.name]\n      values: [[a]]\n", "1 values for 2 fields"),
        ("    - name: n\n      fields: [proc.name, user.name]\n      comps: [=]\n      values: [[a, b]]\n", "but 1 comps"),
        ("    - name: n\n      fields: [proc.nam]\n      values: [[a]]\n", "not a field"),
        ("    - name: n\n      fields: [proc.name]\n      comps: [like]\n      values: [[a]]\n", "not a comparison operator"),
    ] {
        assert!(refusal(&with(exceptions)).contains(reason), "{exceptions}: {}", refusal(&with(exceptions)));
    }
}

#[test]
fn versions_sources_and_unknown_things() {
    assert!(refusal("- required_engine_version: 0.99.0\n").contains("requires engine version 0.99.0"));
    assert!(refusal("- required_engine_version: soon\n").contains("neither a number nor a version"));
    assert!(refusal("- required_plugin_versions:\n  - name: cloudtrail\n    version: 0.1.0\n").contains("cloudtrail"));
    let file = "- required_engine_version: 15\n- surprise: 1\n".to_owned()
        + &rule("proc.name=a").replace("desc: d", "desc: d\n  colour: red")
        + &rule("ct.name=a").replace("rule: r", "rule: cloud").replace("desc: d", "desc: d\n  source: aws_cloudtrail")
        + "- rule: cloud\n  append: true\n  condition: and x\n"
        + &rule("proc.unheard=a").replace("rule: r", "rule: skipped").replace("desc: d", "desc: d\n  skip-if-unknown-filter: true");
    let (set, warnings) = RuleSet::load(&[RuleFile { name: "t.yaml", text: &file }]).unwrap();
    assert_eq!(set.rules().len(), 1);
    assert!(warnings.iter().all(|w| w.severity == Severity::Warning));
    for part in ["has no effect", "\"colour\" is unknown", "aws_cloudtrail", "proc.unheard"] {
        assert!(warnings.iter().any(|w| w.message.contains(part)), "{part}: {warnings:?}");
    }
    let loose = rule("proc.name=a").replace("  warn_evttypes: false\n", "");
    let (_, warnings) = RuleSet::load(&[RuleFile { name: "t.yaml", text: &loose }]).unwrap();
    assert!(warnings[0].message.contains("not bound to event types"));
}

#[test]
fn files_say_where_they_are_wrong() {
    for (file, start) in [
        ("rule: r\n", "t.yaml:1: error: a rule file is a list"),
        ("- rule: r\n  condition: [\n", "t.yaml:"),
        ("- a: &x 1\n- b: *x\n", "t.yaml:2: error: aliases"),
        ("- just text\n", "t.yaml:1: error: an item is a mapping"),
        ("- rule: r\n  desc: d\n  output: '%ka.nothing'\n  condition: proc.name=a\n  priority: INFO\n", "t.yaml:1: error: rule \"r\": output: ka.nothing is not a field"),
    ] {
        assert!(refusal(file).starts_with(start), "{}", refusal(file));
    }
    assert!(refusal(&"[".repeat(100_000)).contains("t.yaml:"));
    assert!(refusal(&format!("- list: l\n  items: {}{}\n", "[".repeat(20), "]".repeat(20))).contains("nested more than 16 deep"));
}

#[test]
fn only_rules_of_the_event_s_type_are_asked_and_order_is_kept() {
    let file = rule("proc.name=a") // r: every type
        + &rule("evt.type=execve and proc.name=a").replace("rule: r", "rule: exec")
        + &rule("evt.type=open and proc.name=a").replace("rule: r", "rule: open")
        + &rule("not evt.type=open and proc.name=a").replace("rule: r", "rule: notopen");
    let set = load(&file);
    assert_eq!(held(&set, &event("a", "x")), ["r", "exec", "notopen"]);
    assert_eq!(set.event_types(), None);
    let mut set = load(&file);
    assert!(set.set_enabled("r", false) && set.set_enabled("notopen", false) && !set.set_enabled("?", false));
    assert_eq!(set.event_types(), Some(["execve".into(), "open".into()].into()));
    assert_eq!(set.first(&event("a", "x")).map(|r| r.name.as_str()), Some("exec"));
}

/// Lists of lists, and sets of event types kept for every rule: small files that would grow.
#[test]
fn growth_is_bounded() {
    let words: Vec<String> = (0..1000).map(|n| format!("w{n}")).collect();
    let mut file = format!("- list: l0\n  items: [{}]\n", words.join(", "));
    for n in 1..=6 {
        file.push_str(&format!("- list: l{n}\n  items: [{}]\n", vec![format!("l{}", n - 1); 10].join(", ")));
    }
    assert!(refusal(&file).contains("after expansion"), "{}", refusal(&file));
    let many: Vec<String> = (0..50_000).map(|n| format!("t{n}")).collect();
    let mut file = format!("- list: types\n  items: [{}]\n- macro: typed\n  condition: evt.type in (types)\n", many.join(", "));
    for n in 0..2000 {
        file.push_str(&rule(&format!("typed and proc.name=a{n}")).replace("rule: r", &format!("rule: r{n}")));
    }
    let begun = std::time::Instant::now();
    let set = load(&file);
    assert_eq!(set.rules().len(), 2000);
    assert_eq!(held(&set, &Fake::new(&[("evt.type", text("t49999")), ("proc.name", text("a7"))])), ["r7"]);
    assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(RuleSet::load(&vec![RuleFile { name: "t", text: "" }; 300]).is_err());
}

#[test]
fn rules_are_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<RuleSet>();
    fn sent<T: Send>() {}
    sent::<jinwu_detect::AuditEvent<'static>>();
}
