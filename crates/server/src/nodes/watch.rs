//! Sensors under watch: one that is not heard of any more, one that lost events, one whose kernel lets it do less than
//! before. Every change for the worse is an alarm, every change back a record. What was told is kept with the node, so
//! a start of the server neither tells it again nor forgets it.

use super::node::{Node, Told};
use super::{NodeError, Nodes, Seen};
use crate::app::App;
use jinwu_documents::Write;
use jinwu_model::{Kind, Outcome, Record, Subject};
use jinwu_node::protocol::Status;
use std::time::Duration;

/// A sensor reports every ten seconds; after so long without it counts as silent, milliseconds.
pub(crate) const SILENT: i64 = 60_000;
const EVERY: Duration = Duration::from_secs(5);

/// Largest list of capabilities kept, bytes as JSON.
const MOST: usize = 16 << 10;

/// Ways calls are seen and stopped, the best first.
const RUNGS: [&str; 2] = ["lsm", "tracepoint"];

/// Looks at all nodes, for ever.
pub(crate) async fn run(app: App) {
    let begun = app.now();
    loop {
        tokio::time::sleep(EVERY).await;
        let now = app.now();
        for node in app.nodes.list() {
            let last = app.nodes.seen(&node.name).map(|s| s.at);
            // Heard before this server started: it has as long to report as ever.
            let since = last.unwrap_or(begun).max(begun);
            if !node.heard || node.told.silent || now - since <= SILENT {
                continue;
            }
            if let Err(error) = silent(&app, &node, last, now).await {
                tracing::error!(error, node = node.name, "a node's silence could not be recorded");
            }
        }
    }
}

async fn silent(app: &App, node: &Node, last: Option<i64>, now: i64) -> Result<(), String> {
    let record = about(node, Kind::Alarm, "node-silent", now)
        .outcome(Outcome::Failure)
        .with("finding", "节点静默:传感器不再上报 / a node is silent: its sensor does not report any more")
        .with("advice", "在节点上查看 jinwu-agent 是否运行、能否连到服务端 / look on the node whether jinwu-agent runs and reaches the server")
        .with("last", last);
    app.journal.record(vec![record]).await.map_err(|e| e.to_string())?;
    let (of, name) = (app.clone(), node.name.clone());
    let told = tokio::task::spawn_blocking(move || of.nodes.told(&name, |told| told.silent = true)).await;
    told.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
}

fn about(node: &Node, kind: Kind, action: &str, now: i64) -> Record {
    let record = Record::new(now, kind, Subject::system("server"), action, format!("node:{}", node.name)).with("of_node", node.name.as_str());
    if kind == Kind::Alarm { record.with("clauses", vec!["AU-3", "IP-7"]) } else { record }
}

/// What a status makes worth recording, and what is told by it.
pub(crate) fn compare(node: &Node, status: &Status, now: i64) -> (Vec<Record>, Told) {
    let mut told = node.told.clone();
    let mut records = Vec::new();
    if std::mem::take(&mut told.silent) {
        records.push(about(node, Kind::Node, "node-heard", now).with("finding", "恢复上报 / heard again"));
    }
    if status.version.is_empty() {
        // A sensor that is just starting knows nothing of itself.
        return (records, told);
    }
    let alarm = |action: &str, finding: String, advice: &str| {
        about(node, Kind::Alarm, action, now).outcome(Outcome::Failure).with("finding", finding).with("advice", advice.to_owned())
    };
    // A count that is smaller than before is a sensor's that began anew.
    let more = |told: &mut u64, count: u64| {
        let grown = if count < *told { count } else { count - *told };
        *told = count;
        grown
    };
    let (lost, dropped) = (more(&mut told.lost, status.lost), more(&mut told.dropped, status.dropped));
    if lost + dropped > 0 {
        let finding = format!("节点丢失事件 {lost} 条、丢弃遥测 {dropped} 条 / the node lost {lost} events and dropped {dropped} records of telemetry");
        let advice = "节点负荷过高,或长时间连不到服务端 / the node has too much to do, or could not reach the server for long";
        records.push(alarm("node-losses", finding, advice).with("lost", lost).with("dropped", dropped));
    }
    let rung = status.capabilities.get("rung").and_then(|r| r.as_str()).unwrap_or_default();
    if !rung.is_empty() && rung.len() <= 32 && rung != told.rung {
        let place = |rung: &str| RUNGS.iter().position(|r| *r == rung).unwrap_or(RUNGS.len());
        if !told.rung.is_empty() {
            let (before, after) = (told.rung.clone(), rung.to_owned());
            records.push(if place(rung) > place(&told.rung) {
                let finding = format!("节点的能力降低:{before} → {after} / the node can do less than before: {before} → {after}");
                alarm("node-lowered", finding, "查看内核与启动参数是否改变 / look whether the kernel or its command line changed").with("before", before).with("after", after)
            } else {
                about(node, Kind::Node, "node-raised", now).with("before", before).with("after", after)
            });
        }
        rung.clone_into(&mut told.rung);
    }
    (records, told)
}

/// What is kept of a status, within bounds; its containers are with the meters.
fn bound(status: &mut Status) {
    const MANY: usize = 1_000;
    status.containers = Vec::new();
    for list in [&mut status.isolated, &mut status.paused] {
        list.truncate(MANY);
        list.retain(|id| id.len() <= 128);
    }
    for word in [&mut status.version, &mut status.generation] {
        if word.len() > 64 {
            word.clear();
        }
    }
    if status.capabilities.to_string().len() > MOST {
        status.capabilities = serde_json::Value::Null;
    }
}

// === impl Nodes ===

impl Nodes {
    /// A sensor has reported, and what was told by it is on disk.
    ///
    /// # Errors
    /// As of writing.
    pub(crate) fn heard(&self, name: &str, mut status: Status, told: Told, now: i64) -> Result<(), NodeError> {
        bound(&mut status);
        self.seen.lock().insert(name.to_owned(), Seen { at: now, status });
        let current = self.get(name).is_some_and(|n| n.heard && n.told == told);
        if current { Ok(()) } else { self.told(name, |t| *t = told) }
    }

    /// Changes what was told of a node; from now on its silence counts.
    fn told(&self, name: &str, change: impl FnOnce(&mut Told)) -> Result<(), NodeError> {
        let mut state = self.state.write();
        let mut node = state.nodes.get(name).cloned().ok_or_else(|| NodeError::Absent(name.to_owned()))?;
        change(&mut node.told);
        node.heard = true;
        self.store.apply(&[Write::put("node", name, &node)?])?;
        state.nodes.insert(name.to_owned(), node);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status(lost: u64, rung: &str) -> Status {
        Status { version: "1".into(), lost, capabilities: json!({ "rung": rung }), ..Status::default() }
    }

    #[test]
    fn what_is_kept_of_a_status_is_bounded() {
        let long = "x".repeat(100_000);
        let mut status = Status { version: long.clone(), capabilities: json!({ "notes": long }), isolated: vec![long.clone(), "c".into()], ..Status::default() };
        status.containers.push(json!(long));
        bound(&mut status);
        assert!(serde_json::to_string(&status).unwrap().len() < 500);
        assert_eq!(status.isolated, ["c"]);
    }

    #[test]
    fn every_change_for_the_worse_is_told_once() {
        let mut node = Node::new("n1", "", 0);
        let mut look = |status: Status| {
            let (records, told) = compare(&node, &status, 1);
            node.told = told;
            records.iter().map(|r| format!("{} {}", r.kind, r.action)).collect::<Vec<_>>()
        };
        assert!(look(status(0, "lsm")).is_empty());
        assert_eq!(look(status(5, "lsm")), ["alarm node-losses"]);
        assert!(look(status(5, "lsm")).is_empty(), "told once");
        assert_eq!(look(status(2, "lsm")), ["alarm node-losses"], "a sensor that began anew lost two");
        assert_eq!(look(status(2, "tracepoint")), ["alarm node-lowered"]);
        assert!(look(status(2, "tracepoint")).is_empty());
        assert_eq!(look(status(2, "lsm")), ["node node-raised"]);
        node.told.silent = true;
        let (records, told) = compare(&node, &status(2, ""), 1);
        assert_eq!((records[0].action.as_str(), told.silent, told.rung.as_str()), ("node-heard", false, "lsm"));
    }
}
