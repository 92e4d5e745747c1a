//! Whatever a record holds, rules take it.

use crate::shipped;
use jinwu_detect::{RuleSet, Sequences};
use jinwu_event::{Call, Container, Head, NodeEvent, Process, Record, Who};
use proptest::prelude::*;
use std::sync::{Arc, LazyLock};

static RULES: LazyLock<RuleSet> = LazyLock::new(shipped);

fn who() -> Who {
    let process = Arc::new(Process { name: "x".into(), started: i64::MIN, env: vec!["KUBERNETES_SERVICE_HOST=::".into(), "=".into()], ..Process::default() });
    Who { process: process.clone(), ancestors: [process.clone(), process].into(), container: Arc::new(Container { id: "é".repeat(20), image: ":/@".into(), ..Container::default() }) }
}

/// Evaluates all rules and sequences and prints what holds.
fn take(event: &NodeEvent) {
    RULES.evaluate(event, |m| assert!(!m.output(event).is_empty()));
    Sequences::default().observe(&RULES, event, event.time);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_record_is_taken(mut bytes in prop::collection::vec(any::<u8>(), Head::SIZE + 160), call in prop::sample::select(Call::ALL), time in any::<i64>()) {
        let layout = Head::layout();
        let at = |name: &str| layout.fields.iter().find(|f| f.name == name).unwrap().offset;
        bytes[at("texts_at")..][..2].copy_from_slice(&(Head::SIZE as u16).to_ne_bytes());
        for text in 0..5 {
            bytes[at("lengths") + 2 * text..][..2].copy_from_slice(&32u16.to_ne_bytes());
        }
        let record = Record::read(&bytes).unwrap();
        take(&NodeEvent::new(&record, call, who(), time, 0, "n".into()));
    }

    #[test]
    fn hostile_texts_are_taken(text in "[/.a-z*é\u{0}\u{202e} |]{0,300}", call in prop::sample::select(Call::ALL), result in any::<i64>()) {
        let mut event = NodeEvent::bare(call, who(), 0, "n".into());
        event.result = result;
        event.args = [u64::MAX; 6];
        event.texts = [Some(text.clone()), Some(text.clone())];
        event.paths = [Some(jinwu_event::event::absolute("/", &text)), Some(text.clone())];
        event.extra = Some(text);
        take(&event);
    }
}
