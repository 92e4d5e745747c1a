//! Silence is news: a gate that is not heard of any more, an audit stream that brings no canaries, an
//! authoriser that is not asked. [`State`] is what the API shows and `assess` reads; every change for
//! the worse is an alarm, every change back a record.

use super::GateSeen;
use crate::app::App;
use jinwu_model::{Kind, Outcome, Record, Subject};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// A gate reports every ten seconds; after so long without it counts as silent, milliseconds.
pub const SILENT: i64 = 3 * 60_000;
/// A canary is sent every minute; after so long without one coming back the stream counts as silent.
pub const QUIET: i64 = 4 * 60_000;
/// A silent gate is forgotten after a day.
const FORGOTTEN: i64 = 24 * 3_600_000;
const EVERY: Duration = Duration::from_secs(10);

/// What is known of a cluster's audit stream and authoriser. Times are unix milliseconds, 0 is never.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct State {
    pub audit: Audit,
    pub authorizer: Authorizer,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// Last batch of the API server's webhook; last line of its log, read by `jinwu-gate tail`.
    pub webhook: i64,
    pub file: i64,
    /// Time of the newest event.
    pub last_event: i64,
    /// Events taken and not recorded one by one, by the gates that are heard.
    pub events: u64,
    pub folded: u64,
    /// When the newest canary that came back was sent.
    pub canary: i64,
    /// A canary came back within [`QUIET`].
    pub canary_ok: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Authorizer {
    /// When the API server last asked us about a canary.
    pub asked: i64,
    pub canary_ok: bool,
}

/// What was alarmed already, by cluster.
#[derive(Default)]
struct Told {
    /// Gate → it is silent.
    gates: HashMap<(String, String), bool>,
    /// Cluster and stream → it is silent; absent until it was first judged.
    streams: HashMap<(String, &'static str), bool>,
}

// === impl State ===

impl State {
    /// From what the cluster's gates say of themselves.
    pub fn of(gates: &BTreeMap<String, GateSeen>, now: i64) -> State {
        let newest = |f: fn(&GateSeen) -> i64| gates.values().map(f).max().unwrap_or(0);
        let canary = newest(|g| g.status.watch.canary);
        let asked = newest(|g| g.status.watch.authorizer);
        State {
            audit: Audit {
                webhook: newest(|g| g.status.watch.webhook),
                file: newest(|g| g.status.watch.file),
                last_event: newest(|g| g.status.watch.event),
                events: gates.values().map(|g| g.status.watch.events).sum(),
                folded: gates.values().map(|g| g.status.watch.folded).sum(),
                canary,
                canary_ok: canary > 0 && now - canary < QUIET,
            },
            authorizer: Authorizer { asked, canary_ok: asked > 0 && now - asked < QUIET },
        }
    }
}

/// Looks at all clusters, for ever.
pub(crate) async fn run(app: App) {
    let begun = app.now();
    let mut told = Told::default();
    loop {
        tokio::time::sleep(EVERY).await;
        let now = app.now();
        let mut records = Vec::new();
        for name in app.clusters.heard_once() {
            let gates = app.clusters.gates(&name);
            told.look(&name, &gates, begun, now, &mut records);
            for (gate, seen) in &gates {
                if now - seen.seen > FORGOTTEN {
                    app.clusters.forget_gate(&name, gate);
                    told.gates.remove(&(name.clone(), gate.clone()));
                }
            }
        }
        if !records.is_empty()
            && let Err(error) = app.journal.record(records).await
        {
            tracing::error!(%error, "silence could not be recorded");
        }
    }
}

// === impl Told ===

impl Told {
    fn look(&mut self, cluster: &str, gates: &BTreeMap<String, GateSeen>, begun: i64, now: i64, records: &mut Vec<Record>) {
        for (gate, seen) in gates {
            let silent = now - seen.seen > SILENT;
            let before = self.gates.insert((cluster.to_owned(), gate.clone()), silent).unwrap_or(false);
            if silent != before {
                records.push(record(cluster, "gate", &format!("gate:{cluster}/{gate}"), silent, seen.seen, now));
            }
        }
        // None at all, although there was one before this server started.
        let none = gates.values().all(|g| now - g.seen > SILENT);
        if gates.is_empty() && now - begun > SILENT {
            self.stream(cluster, "gates", none, 0, now, records);
        } else if !none {
            self.stream(cluster, "gates", false, now, now, records);
            // A stream is judged once a gate had time to send canaries.
            let sends = gates.values().any(|g| g.status.watch.canary_sent > 0 && now - g.status.watch.canary_sent < QUIET);
            if sends && now - begun > QUIET {
                let state = State::of(gates, now);
                self.stream(cluster, "audit", !state.audit.canary_ok, state.audit.canary, now, records);
                self.stream(cluster, "authorizer", !state.authorizer.canary_ok, state.authorizer.asked, now, records);
            }
        }
    }

    fn stream(&mut self, cluster: &str, what: &'static str, silent: bool, last: i64, now: i64, records: &mut Vec<Record>) {
        let before = self.streams.insert((cluster.to_owned(), what), silent).unwrap_or(false);
        if silent != before {
            records.push(record(cluster, what, &format!("cluster:{cluster}"), silent, last, now));
        }
    }
}

fn record(cluster: &str, what: &str, object: &str, silent: bool, last: i64, now: i64) -> Record {
    let (zh, en, advice) = match what {
        "audit" => ("审计流静默:关口的探针请求没有出现在审计事件中", "the audit stream is silent: canaries of the gate do not appear in it", "jinwu cluster apiserver"),
        "authorizer" => ("授权静默:API server 没有就探针请求询问关口", "the authoriser is silent: the API server does not ask the gate about canaries", "jinwu cluster apiserver"),
        "gates" => ("集群没有任何关口应答", "no gate of the cluster is heard", "kubectl -n jinwu get pods"),
        _ => ("关口静默", "a gate is silent", "kubectl -n jinwu get pods"),
    };
    let action = if what == "gates" { "gate" } else { what };
    let (kind, word) = if silent { (Kind::Alarm, "silent") } else { (Kind::Cluster, "heard") };
    Record::new(now, kind, Subject::system("server"), format!("{action}-{word}"), object)
        .outcome(if silent { Outcome::Failure } else { Outcome::Success })
        .with("cluster", cluster)
        .with("finding", if silent { format!("{zh} / {en}") } else { "恢复 / heard again".to_owned() })
        .with("advice", advice)
        .with("last", last)
        .with("clauses", vec!["AU-2", "IP-7"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use jinwu_admission::protocol::{GateStatus, WatchStatus};

    fn gates(seen: i64, sent: i64, back: i64) -> BTreeMap<String, GateSeen> {
        let watch = WatchStatus { canary_sent: sent, canary: back, authorizer: back, ..WatchStatus::default() };
        BTreeMap::from([("g-0".into(), GateSeen { seen, status: GateStatus { watch, ..GateStatus::default() } })])
    }

    fn actions(told: &mut Told, gates: &BTreeMap<String, GateSeen>, now: i64) -> Vec<String> {
        let mut records = Vec::new();
        told.look("prod", gates, 0, now, &mut records);
        records.iter().map(|r| format!("{} {}", r.kind, r.action)).collect()
    }

    #[test]
    fn silence_is_told_once_and_so_is_its_end() {
        let mut told = Told::default();
        let t = 10 * QUIET;
        assert!(actions(&mut told, &gates(t, t, t), t).is_empty(), "all is well");
        let later = t + QUIET;
        assert_eq!(actions(&mut told, &gates(later, later, t), later), ["alarm audit-silent", "alarm authorizer-silent"]);
        assert!(actions(&mut told, &gates(later, later, t), later + 1).is_empty(), "told once");
        assert_eq!(actions(&mut told, &gates(later, later, later), later), ["cluster audit-heard", "cluster authorizer-heard"]);
        assert_eq!(actions(&mut told, &gates(later, later, later), later + SILENT + 1), ["alarm gate-silent"]);
        assert_eq!(actions(&mut told, &BTreeMap::new(), later + SILENT + 2), ["alarm gate-silent"], "nobody is left");
    }

    #[test]
    fn a_tail_alone_sends_no_canaries_and_is_not_judged_by_them() {
        let mut told = Told::default();
        assert!(actions(&mut told, &gates(10 * QUIET, 0, 0), 10 * QUIET).is_empty());
    }
}
