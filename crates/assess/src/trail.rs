//! The ledger as the audit administrator sees it.

use crate::evidence::Log;
use crate::target::{As, Target};
use http::Method;
use jinwu_identity::AdminRole::AuditAdministrator;
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

/// Looks for records until `enough` of them are there or the target's patience ends; newest first.
pub async fn find(target: &Target, log: &mut Log, query: &str, enough: impl Fn(&[Value]) -> bool) -> anyhow::Result<Vec<Value>> {
    let begun = tokio::time::Instant::now();
    loop {
        let answer = target.act(log, As::Admin(AuditAdministrator), Method::GET, &format!("/ledger?{query}"), None).await?;
        let records = answer["records"].as_array().cloned().unwrap_or_default();
        if enough(&records) || begun.elapsed() >= target.patience {
            return Ok(records);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// What the records of one decision have to say.
#[derive(Clone, Debug)]
pub struct Expect<'a> {
    pub decision: &'a str,
    pub policy: &'a str,
    pub subject: &'a str,
    pub object: &'a str,
    pub source: IpAddr,
    /// True after a refusal: an interception and the denied push stand beside the alarm.
    pub refused: bool,
}

/// What is missing or wrong, in words; empty when all is there. Pure.
pub fn missing(records: &[Value], expect: &Expect<'_>) -> Vec<String> {
    let mut out = Vec::new();
    let of = |kind: &str| records.iter().filter(|r| r["kind"] == kind).collect::<Vec<_>>();
    let alarms = of("alarm");
    let policies: BTreeSet<&str> = alarms.iter().filter_map(|r| r["detail"]["policy"].as_str()).collect();
    if !policies.contains(expect.policy) {
        out.push(format!("no alarm for policy {}", expect.policy));
    }
    let pushes = of("push");
    if expect.refused {
        let interceptions = of("interception");
        if !interceptions.iter().any(|r| r["detail"]["policies"].as_array().is_some_and(|p| p.iter().any(|p| p == expect.policy))) {
            out.push(format!("no interception by policy {}", expect.policy));
        }
        if !pushes.iter().any(|r| r["outcome"] == "denied") {
            out.push("no denied push".to_owned());
        }
    } else if !pushes.iter().any(|r| r["outcome"] == "success") {
        out.push("no successful push".to_owned());
    }
    for record in records.iter().filter(|r| ["alarm", "interception", "push"].iter().any(|k| r["kind"] == *k)) {
        let kind = record["kind"].as_str().unwrap_or_default();
        let mut differs = |what: &str, is: &Value, should: &str| {
            if is.as_str() != Some(should) {
                out.push(format!("{kind}: {what} is {is}, not {should}"));
            }
        };
        differs("decision", &record["decision"], expect.decision);
        differs("subject", &record["subject"]["name"], expect.subject);
        differs("object", &record["object"], expect.object);
        differs("source", &record["source"], &expect.source.to_string());
    }
    out
}

/// What is missing of a cluster gate's refusal, in words: alarm and interception by `policy`, of this
/// cluster and subject. Pure.
pub fn missing_of_gate(records: &[Value], cluster: &str, policy: &str, subject: &str) -> Vec<String> {
    let is = |r: &&Value, kind: &str| r["kind"] == kind && r["detail"]["cluster"] == cluster && r["subject"]["name"] == subject && r["outcome"] == "denied";
    let mut out = Vec::new();
    if !records.iter().any(|r| is(&r, "alarm") && r["detail"]["policy"] == policy) {
        out.push(format!("no alarm for policy {policy} by {subject}"));
    }
    let named = |r: &Value| r["detail"]["policies"].as_str().is_some_and(|p| p.split(',').any(|p| p == policy));
    if !records.iter().any(|r| is(&r, "interception") && named(r)) {
        out.push(format!("no interception by policy {policy} of {subject}"));
    }
    out
}

/// A record has time, kind, subject, object and result, as the audit clauses want them.
pub fn is_complete(record: &Value) -> bool {
    record["time"].as_i64().is_some_and(|t| t > 0)
        && ["kind", "action", "object", "outcome"].iter().all(|m| record[*m].as_str().is_some_and(|t| !t.is_empty()))
        && record["subject"]["kind"].as_str().is_some()
}

/// One line per record, for people.
pub fn line(record: &Value) -> String {
    let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    let time = record["time"].as_i64().and_then(|t| jiff::Timestamp::from_millisecond(t).ok()).map(|t| t.to_string()).unwrap_or_default();
    format!(
        "#{} {time} {} {}:{} {} {} {} {}",
        record["seq"],
        text(&record["kind"]),
        text(&record["subject"]["kind"]),
        text(&record["subject"]["name"]),
        text(&record["action"]),
        text(&record["object"]),
        text(&record["source"]),
        text(&record["outcome"]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(kind: &str, outcome: &str, detail: Value) -> Value {
        json!({"seq": 1, "time": 1, "kind": kind, "subject": {"kind": "robot", "name": "r"}, "action": "a", "object": "p/x:t",
               "source": "127.0.0.1", "outcome": outcome, "decision": "d", "detail": detail})
    }

    fn expect() -> Expect<'static> {
        Expect { decision: "d", policy: "malware", subject: "r", object: "p/x:t", source: [127, 0, 0, 1].into(), refused: true }
    }

    #[test]
    fn a_refusal_leaves_three_linked_records() {
        let all = vec![
            record("alarm", "denied", json!({"policy": "malware"})),
            record("interception", "denied", json!({"policies": ["malware"]})),
            record("push", "denied", json!({})),
        ];
        assert_eq!(missing(&all, &expect()), Vec::<String>::new());
        for absent in 0..3 {
            let mut some = all.clone();
            some.remove(absent);
            assert_eq!(missing(&some, &expect()).len(), 1, "without {absent}");
        }
        assert_eq!(missing(&[], &expect()).len(), 3);
    }

    #[test]
    fn a_wrong_source_or_decision_is_seen() {
        let mut all = vec![
            record("alarm", "denied", json!({"policy": "malware"})),
            record("interception", "denied", json!({"policies": ["malware"]})),
            record("push", "denied", json!({})),
        ];
        all[0]["source"] = json!("10.0.0.1");
        all[1]["decision"] = json!("other");
        all[2]["subject"]["name"] = json!("someone");
        let faults = missing(&all, &expect());
        assert_eq!(faults.len(), 3, "{faults:?}");
        let elsewhere = Expect { policy: "root-user", ..expect() };
        assert!(missing(&all, &elsewhere).len() > 3);
    }

    #[test]
    fn an_alert_has_no_interception() {
        let all = vec![record("alarm", "success", json!({"policy": "malware"})), record("push", "success", json!({}))];
        assert_eq!(missing(&all, &Expect { refused: false, ..expect() }), Vec::<String>::new());
        assert!(!missing(&all, &expect()).is_empty());
    }

    #[test]
    fn a_gate_leaves_alarm_and_interception() {
        let mut all = vec![
            record("alarm", "denied", json!({"policy": "privileged-user", "cluster": "c"})),
            record("interception", "denied", json!({"policies": "host-path,privileged-user", "cluster": "c"})),
        ];
        assert_eq!(missing_of_gate(&all, "c", "privileged-user", "r"), Vec::<String>::new());
        assert_eq!(missing_of_gate(&all, "other", "privileged-user", "r").len(), 2);
        assert_eq!(missing_of_gate(&all, "c", "privileged", "r").len(), 2);
        all[1]["outcome"] = json!("success");
        assert_eq!(missing_of_gate(&all, "c", "privileged-user", "r").len(), 1);
    }

    #[test]
    fn complete_records() {
        assert!(is_complete(&record("push", "success", json!({}))));
        let mut without = record("push", "success", json!({}));
        without["object"] = json!("");
        assert!(!is_complete(&without));
    }
}
