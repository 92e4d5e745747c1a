//! Nothing a file or a client writes makes the engine panic or run on.

use crate::audit::event;
use crate::cases::shipped;
use crate::fake::{held, load, rule};
use jinwu_detect::audit::batch;
use jinwu_detect::condition::parse;
use jinwu_detect::{AuditEvent, RuleFile, RuleSet, Sequences};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Pieces that make something almost valid.
fn pieces(all: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(all), 0..40).prop_map(|v| v.concat())
}

const CONDITION: &[&str] = &[
    "ka.verb", "ka.user.groups", "jevt.value", "[", "]", "[/a/0]", "(", ")", " and ", " or ", "not ", "=", "!=", " in ", " pmatch ", " glob ", "\"", "'", "\\", ",",
    " anyof ", " exists", "a", "*", "val(", "tolower(", "join(", "é", " ", "\n", "%", "0x1", " intersects ", "jinwu.source.net", "10.0.0.0/8",
];
const FILE: &[&str] = &[
    "- rule: r\n", "- macro: m\n", "- list: l\n", "  items: [a, l]\n", "  condition: ka.verb=get\n", "  condition: m and m\n", "  desc: d\n", "  output: '%ka.verb %'\n",
    "  priority: INFO\n", "  source: k8s_audit\n", "  append: true\n", "  override: {condition: append}\n", "  exceptions: [{name: e, fields: ka.verb, values: [get]}]\n",
    "- sequence: s\n", "  key: [ka.verb]\n", "  window: 60s\n", "  steps: [{condition: m, count: 2}]\n", "  jinwu: {title: x}\n", "- required_engine_version: 0.99\n", "  enabled: ~\n", "?", "{", "&a ", "*a\n", "---\n", "|\n",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn conditions_never_panic(any in ".{0,200}", made in pieces(CONDITION)) {
        let _ = parse(&any);
        let file = rule(&made).replace("desc: d", "desc: d\n  source: k8s_audit");
        if let Ok((set, _)) = RuleSet::load(&[RuleFile { name: "t", text: &file }]) {
            let text = event(json!({})).to_string();
            held(&set, &AuditEvent::parse(text.as_bytes()).unwrap());
        }
    }

    #[test]
    fn files_never_panic(any in ".{0,300}", made in pieces(FILE)) {
        let _ = RuleSet::load(&[RuleFile { name: "a", text: &any }, RuleFile { name: "b", text: &made }]);
        let _ = RuleSet::load(&[RuleFile { name: "b", text: &made }]);
    }

    #[test]
    fn outputs_never_panic_and_stay_one_line(template in "[%a-z.\\[\\]0-9() *]{0,60}", name in ".{0,80}") {
        let file = rule("ka.verb exists").replace("desc: d", "desc: d\n  source: k8s_audit").replace("output: o", &format!("output: {}", json!(template + "%ka.user.name")));
        if let Ok((set, _)) = RuleSet::load(&[RuleFile { name: "t", text: &file }]) {
            let text = event(json!({"user": {"username": name}})).to_string();
            let event = AuditEvent::parse(text.as_bytes()).unwrap();
            set.evaluate(&event, |m| assert!(!m.output(&event).contains(['\n', '\u{1b}'])));
        }
    }

    #[test]
    fn bytes_are_no_event_or_one(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..900, flip in 0usize..900, with in any::<u8>()) {
        let _ = (AuditEvent::parse(&bytes).map(|e| e.masked()), batch(&bytes).map(|b| b.len()));
        let mut text = event(json!({"requestObject": {"spec": {"containers": [{"image": "a"}]}}})).to_string().into_bytes();
        let length = text.len();
        text[flip % length] = with;
        for part in [&text[..], &text[..cut % length]] {
            if let Ok(event) = AuditEvent::parse(part) {
                let _ = (event.masked(), event.timestamp(), event.source_address());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Wherever a secret's content stands in request and response, it is not stored.
    #[test]
    fn contents_of_secrets_are_not_stored(content in "[a-zA-Z0-9]{16,40}", key in "[a-z.]{1,12}", place in 0usize..6, verb in prop::sample::select(vec!["create", "update", "patch", "list"])) {
        let own = json!({"kind": "Secret", "metadata": {"name": "s", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": format!("{{\"data\":\"{content}\"}}")}}, "data": {&key: &content}, "stringData": {&key: &content}});
        let object = match place {
            0 => own,
            1 => json!({"kind": "SecretList", "items": [own]}),
            2 => json!({"kind": "List", "items": [own]}),
            3 => json!([{"op": "add", "path": format!("/data/{key}"), "value": content}]),
            4 => json!({"data": {&key: &content}}),
            _ => json!({"kind": "Table", "rows": [{"object": own}]}),
        };
        let text = event(json!({"verb": verb, "objectRef": {"resource": "secrets"}, "requestObject": object, "responseObject": object})).to_string();
        let event = AuditEvent::parse(text.as_bytes()).unwrap();
        prop_assert!(!event.masked().to_string().contains(&content));
    }
}

/// A value of any shape where objects are expected.
fn shape() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), any::<i64>().prop_map(Value::from), "[a-z*/:.@]{0,8}".prop_map(Value::from)];
    let key = prop::sample::select(vec!["spec", "containers", "metadata", "labels", "rules", "verbs", "webhooks", "subjects", "template", "volumes", "hostPath", "data", "items", "image", "path", "value", "request"]);
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from), prop::collection::vec((key.clone(), inner), 0..4).prop_map(|v| v.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())]
    })
}

#[test]
fn objects_of_any_shape_are_evaluated() {
    let set = shipped();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() });
    let resources = ["secrets", "pods", "clusterroles", "services", "certificatesigningrequests", "validatingwebhookconfigurations"];
    let outcome = runner.run(&(shape(), shape(), 0usize..6), |(request, response, resource)| {
        let mut value = event(json!({"objectRef": {"resource": resources[resource]}}));
        value["requestObject"] = request;
        value["responseObject"] = response;
        let text = value.to_string();
        let event = AuditEvent::parse(text.as_bytes()).unwrap();
        set.evaluate(&event, |m| assert!(m.output(&event).len() < 17_000));
        Sequences::default().observe(&set, &event, 0);
        event.masked();
        Ok(())
    });
    outcome.unwrap();
}

/// What a hostile rule and a hostile event cost together: both at their limits.
#[test]
fn evaluation_is_bounded() {
    let terms: Vec<String> = (0..2000).map(|n| format!("ka.uri glob '*a*a*{n}*b'")).collect();
    let set = load(&rule(&terms.join(" or ")).replace("desc: d", "desc: d\n  source: k8s_audit"));
    let text = event(json!({"requestURI": "a".repeat(10_000)})).to_string();
    let event = AuditEvent::parse(text.as_bytes()).unwrap();
    let begun = Instant::now();
    assert!(held(&set, &event).is_empty());
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

/// The budget is 80 µs an event, parsing included; the bound here leaves room for a busy machine.
#[test]
fn events_are_fast() {
    let set = shipped();
    let containers: Vec<Value> = (0..3).map(|n| json!({"name": format!("c{n}"), "image": "registry.example.com/shop/web:1.2", "env": vec![json!({"name": "A_NAME", "value": "some value of usual length"}); 12], "resources": {"limits": {"cpu": "1", "memory": "512Mi"}}})).collect();
    let pod = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "web", "labels": {"app": "web"}}, "spec": {"containers": containers}});
    let texts: Vec<String> = [
        json!({"requestObject": pod, "responseObject": pod}),
        json!({"verb": "list", "responseStatus": {"code": 200}}),
        json!({"verb": "get", "objectRef": {"resource": "configmaps"}, "responseStatus": {"code": 200}}),
        json!({"verb": "update", "objectRef": {"resource": "leases"}, "user": {"username": "system:node:n1"}, "responseStatus": {"code": 200}, "requestObject": {"spec": {"holderIdentity": "n1"}}}),
    ]
    .into_iter()
    .map(|c| event(c).to_string())
    .collect();
    let (mut scratch, mut state, mut found) = (jinwu_detect::Scratch::default(), Sequences::default(), 0usize);
    let rounds = 500;
    let begun = Instant::now();
    for round in 0..rounds {
        for text in &texts {
            let event = AuditEvent::parse(text.as_bytes()).unwrap();
            set.evaluate_with(&event, &mut scratch, |m| found += usize::from(!m.output(&event).is_empty()));
            found += state.observe_with(&set, &event, round, &mut scratch).len();
        }
    }
    let each = begun.elapsed() / (rounds as u32 * texts.len() as u32);
    println!("{} rules, {} sequences: {each:?} an event ({found} hits, events of {:?} bytes)", set.rules().len(), set.sequences().len(), texts.iter().map(String::len).collect::<Vec<_>>());
    assert!(each < Duration::from_micros(800), "{each:?}");
}
