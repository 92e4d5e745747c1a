//! What the native policy did while no gate was ready, recorded as the gate records what it does itself.

use crate::class::{Class, text, user};
use crate::intake::fnv;
use crate::record::{clip, id, object, time};
use jinwu_admission::Rules;
use jinwu_admission::answer::{Asked, records_of};
use jinwu_admission::native::{Said, judgement, read_audit};
use jinwu_admission::protocol::Entry;
use jinwu_detect::AuditEvent;
use jinwu_model::{DecisionId, Record};
use serde_json::Value;

/// Member of the records that says who refused.
const BY: (&str, &str) = ("by", "kube-apiserver");

/// What the native policy said about a request that is over; nothing of a dry run, which the gate records neither.
fn said(e: &AuditEvent<'_>) -> Said {
    let dry = text(e.request_uri.as_ref()).split_once('?').is_some_and(|(_, query)| query.split('&').any(|p| p.starts_with("dryRun=")));
    if dry || Class::of(e) == Class::Partial {
        return Said::default();
    }
    read_audit(|key| e.annotation(key))
}

/// The decision that links what is recorded of a request the native policy said something about.
pub(crate) fn decision(e: &AuditEvent<'_>) -> Option<DecisionId> {
    (!said(e).findings.is_empty()).then(|| DecisionId(format!("{}/native", id(e))))
}

/// An alarm for every policy, and an interception of a refusal. The same event gives the same entries.
pub(crate) fn entries(e: &AuditEvent<'_>, rules: &Rules, now: i64) -> Vec<Entry> {
    let said = said(e);
    let Some(decision) = decision(e) else { return Vec::new() };
    let (id, verb) = (decision.0.clone(), text(e.verb.as_ref()));
    let namespace = e.object_ref.as_ref().map_or("", |o| text(o.namespace.as_ref()));
    let judged = judgement(&said, rules, namespace, object(e), decision);
    let operation = if verb == "create" { "create" } else { "update" }.to_owned();
    let sub_resource = e.object_ref.as_ref().map_or("", |o| text(o.subresource.as_ref()));
    let records = records_of(&Asked { user: user(e), operation, sub_resource }, &judged, &rules.bundle.cluster, time(e, now));
    let entry = |record: Record| {
        let what = record.detail.get("policy").and_then(Value::as_str).unwrap_or_default();
        let id = format!("{id}/{:016x}", fnv(&format!("{} {what}", record.action)));
        Entry { id, record: record.from(e.source_address()).with(BY.0, BY.1).with("audit_id", clip(e.audit_id())) }
    };
    records.into_iter().map(entry).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::Intake;
    use jinwu_admission::native::FAILURES;
    use jinwu_admission::protocol::RuleSettings;
    use jinwu_detect::{Scratch, Sequences};
    use jinwu_model::{Kind, Outcome};
    use jinwu_podsecurity::{Control, native_policy};
    use serde_json::json;

    fn rules() -> Rules {
        Rules::new(
            serde_json::from_value(json!({
                "cluster": "lab", "generation": "g", "made": 0, "default_level": 2, "enforcement": {"*": "block"}, "modes": {}, "exceptions": [],
                "grants": [], "policies": [], "registries": [], "own_registries": [], "level_setters": [], "base_platform": [],
                "sandboxed_runtimes": [], "blocked": [], "verdict_generation": "v"
            }))
            .unwrap(),
        )
        .unwrap()
    }

    /// A pod that the native policy refused for one control and alarmed for another.
    fn event(query: &str, stage: &str) -> String {
        let policy = native_policy(&Control::ALL);
        let at = Control::ALL.iter().position(|c| c.id() == "privileged").unwrap();
        let whole = policy["spec"]["validations"][at]["message"].as_str().unwrap();
        let (title, rule) = whole.split_once(": ").unwrap();
        let failure = json!({"message": format!("[jinwu/privileged-container] {title}: c: {rule}"), "policy": "jinwu-pod-security",
            "binding": "jinwu-pod-security", "expressionIndex": at, "validationActions": ["Deny", "Audit"]});
        json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": "a-1", "stage": stage,
            "requestURI": format!("/api/v1/namespaces/web/pods{query}"), "verb": "create", "user": {"username": "mallory", "groups": ["system:authenticated"]},
            "sourceIPs": ["10.1.2.3"], "objectRef": {"resource": "pods", "namespace": "web", "name": "p", "apiVersion": "v1"},
            "responseStatus": {"code": 403, "message": "denied"}, "stageTimestamp": "2026-01-02T03:04:05.000006Z",
            "annotations": {FAILURES: json!([failure, failure]).to_string(), "jinwu-pod-security/alerts": "hostPorts", "jinwu-pod-security/level": "4"}})
        .to_string()
    }

    fn take(text: &str) -> Vec<Entry> {
        let intake = Intake::new(&RuleSettings::default()).unwrap();
        let event = AuditEvent::parse(text.as_bytes()).unwrap();
        intake.take(&event, &mut Sequences::default(), &mut Scratch::default(), 7, &rules()).entries
    }

    #[test]
    fn a_native_refusal_is_recorded_as_the_gate_records_its_own() {
        let all = take(&event("", "ResponseComplete"));
        assert_eq!(all, take(&event("", "ResponseComplete")), "the same event, the same entries");
        assert!(all.iter().all(|e| e.id.len() <= 128), "{all:?}");
        let decision = DecisionId("a-1/ResponseComplete/2026-01-02T03:04:05.000006Z/native".into());
        let request = all.iter().find(|e| e.record.kind == Kind::Cluster).unwrap();
        assert_eq!(request.record.decision.as_ref(), Some(&decision), "the request itself is linked");
        let linked: Vec<&Record> = all.iter().map(|e| &e.record).filter(|r| r.decision.as_ref() == Some(&decision) && r.kind != Kind::Cluster).collect();
        let kinds: Vec<_> = linked.iter().map(|r| (r.kind, r.action.as_str(), r.outcome, r.detail.get("policy").and_then(Value::as_str))).collect();
        assert_eq!(
            kinds,
            [
                (Kind::Alarm, "policy-violated", Outcome::Denied, Some("host-namespaces")),
                (Kind::Alarm, "policy-violated", Outcome::Denied, Some("privileged-container")),
                (Kind::Interception, "admission-refused", Outcome::Denied, None),
            ]
        );
        for record in &linked {
            assert_eq!((record.object.as_str(), record.subject.name.as_str()), ("pod:web/p", "mallory"));
            assert_eq!(record.source.map(|s| s.to_string()).as_deref(), Some("10.1.2.3"));
            assert_eq!((&record.detail["level"], &record.detail["cluster"], &record.detail["operation"]), (&json!(4), &json!("lab"), &json!("create")));
        }
        let [alert, denied, refused] = linked.as_slice() else { panic!("{linked:?}") };
        assert_eq!((&alert.detail["mode"], &denied.detail["mode"]), (&json!("alert"), &json!("block")));
        assert!(denied.detail["findings"][0].as_str().unwrap().ends_with(": c"), "{denied:?}");
        assert!(denied.detail["clauses"].as_array().is_some_and(|c| !c.is_empty()));
        assert_eq!((&refused.detail["policies"], &refused.detail["gate"]), (&json!("privileged-container"), &json!("admission")));
    }

    #[test]
    fn dry_runs_and_earlier_stages_are_not_recorded() {
        for (query, stage) in [("?dryRun=All", "ResponseComplete"), ("?fieldManager=x&dryRun=All", "ResponseComplete"), ("", "RequestReceived")] {
            assert!(take(&event(query, stage)).iter().all(|e| e.record.action != "policy-violated"), "{query} {stage}");
        }
        assert!(take(&event("?x=dryRun", "ResponseComplete")).iter().any(|e| e.record.action == "admission-refused"));
    }

    #[test]
    fn an_alert_alone_is_an_alarm_and_no_interception() {
        let mut alone: Value = serde_json::from_str(&event("", "ResponseComplete")).unwrap();
        alone["annotations"].as_object_mut().unwrap().remove(FAILURES);
        alone["responseStatus"] = json!({"code": 201});
        let all = take(&alone.to_string());
        let made: Vec<_> = all.iter().filter(|e| e.record.detail.contains_key(BY.0)).map(|e| (e.record.action.as_str(), e.record.outcome)).collect();
        assert_eq!(made, [("policy-violated", Outcome::Success)]);
    }
}
