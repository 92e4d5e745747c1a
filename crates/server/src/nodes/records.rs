//! Records of nodes on their way to the ledger, each once: see [`crate::intake`].

use super::{incidents, watch};
use crate::app::App;
use crate::intake::{self, BatchError, CLOCKS, Sender, Windows};
use jinwu_ledger::LedgerError;
use jinwu_model::{Kind, Outcome, Record, Subject};
use jinwu_node::protocol::{MAX_BATCH, Status, Taken};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::HashSet;

/// Ids of a node known at once: two batches, the last of which may come again.
const WINDOW: usize = 2 * MAX_BATCH;

/// What a node may write.
pub(crate) const KINDS: [Kind; 8] =
    [Kind::Process, Kind::File, Kind::Network, Kind::Privilege, Kind::Alarm, Kind::Interception, Kind::Response, Kind::Node];

/// A batch as far as it must be understood to take its records one by one.
#[derive(Deserialize)]
pub(crate) struct Batch {
    records: Vec<Box<RawValue>>,
    #[serde(default)]
    status: Option<Box<RawValue>>,
}

/// Records of nodes say by whom they were brought; a gate's name has no colon in it.
pub(super) fn windows() -> Windows {
    Windows::new(WINDOW, |record| record.detail.get("reporter").and_then(|v| v.as_str())?.strip_prefix("node:"))
}

// === impl Batch ===

impl Batch {
    /// Reads a request's body.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, BatchError> {
        let batch: Batch =
            serde_json::from_slice(body).map_err(|e| BatchError::Invalid(format!("请求体不是一批记录 / the body is not a batch of records: {e}")))?;
        if batch.records.len() > MAX_BATCH {
            return Err(BatchError::Invalid(format!(
                "一批最多 {MAX_BATCH} 条记录,收到 {0} 条,分批发送 / {MAX_BATCH} records at most in one batch, this has {0}; send several",
                batch.records.len()
            )));
        }
        Ok(batch)
    }

    /// How the sensor says it is doing; nothing where this version does not understand it.
    fn status(&self) -> Option<Status> {
        self.status.as_ref().and_then(|s| serde_json::from_str(s.get()).inspect_err(|error| tracing::warn!(%error, "a sensor's status cannot be read")).ok())
    }
}

/// What a record says is not this node's to say, or nothing.
fn foreign(app: &App, node: &str, record: &Record, now: i64) -> Option<String> {
    let member = |value: Option<&serde_json::Value>| value.and_then(|v| v.as_str()).map(str::to_owned);
    let container = record.detail.get("container");
    let said = member(record.detail.get("node"));
    // What a sensor says of itself names the node as its object.
    let of_itself = record.kind == Kind::Node && said.is_none() && record.object == node;
    if !of_itself && said.as_deref() != Some(node) {
        return Some(format!("node {node} writes no records of node {:?}", said.unwrap_or_default()));
    }
    let of = member(container.and_then(|c| c.get("node")));
    if of.as_deref().is_some_and(|of| of != node) {
        return Some(format!("node {node} writes no records of a container of node {:?}", of.unwrap_or_default()));
    }
    let id = member(container.and_then(|c| c.get("id"))).unwrap_or_default();
    app.nodes.meters.elsewhere(node, &id, now).then(|| format!("container {id} is on another node, not on {node}"))
}

/// Takes the records that are new. Returns once they are durable.
pub(crate) async fn take(app: &App, node: &str, batch: Batch) -> Result<Taken, BatchError> {
    app.nodes.windows.ready(app.journal.ledger()).await?;
    let now = app.now();
    let window = app.nodes.windows.of(node);
    // One batch of a node at a time: of two copies that arrive together one waits for the other.
    let mut window = window.lock().await;
    let gone = || BatchError::Invalid(format!("节点 {node} 已被移除 / node {node} was removed"));
    let kept = app.nodes.get(node).ok_or_else(gone)?;
    let name = format!("node:{node}");
    let sender = Sender { name: &name, kinds: &KINDS, earliest: kept.enrolled - CLOCKS };
    let (mut ids, mut records, mut gathered) = (Vec::new(), Vec::new(), Vec::new());
    let mut of_this = HashSet::new();
    for raw in &batch.records {
        let (id, mut record) = intake::read(raw.get(), &sender, now);
        let hashed = intake::id_of(&id);
        if !of_this.insert(hashed) {
            continue;
        }
        if record.kind != Kind::System
            && let Some(reason) = foreign(app, node, &record, now)
        {
            record = intake::instead(raw.get(), &name, "foreign-record", reason, now);
        }
        let new = !window.knows(&hashed);
        if incidents::concerns(&record) {
            gathered.push((id.clone(), record.clone(), new));
        }
        if !new {
            continue;
        }
        // Whatever a node says, where its records come from is ours to say.
        record.detail.remove("cluster");
        record.detail.insert("reporter".into(), name.clone().into());
        record.detail.insert("entry".into(), id.into());
        ids.push(hashed);
        records.push(record);
    }
    let taken = Taken { new: records.len() as u64, repeated: (batch.records.len() - records.len()) as u64 };
    let status = batch.status();
    let told = status.as_ref().map(|s| {
        let (own, told) = watch::compare(&kept, s, now);
        records.extend(own);
        told
    });
    if !records.is_empty() {
        app.journal.record_many(records).await?;
        for id in ids {
            window.insert(id);
        }
    }
    follow(app, node, gathered).await?;
    if let (Some(mut status), Some(told)) = (status, told) {
        app.nodes.meters.take(node, std::mem::take(&mut status.containers), now);
        let (of, name) = (app.clone(), node.to_owned());
        blocking(move || of.nodes.heard(&name, status, told, now)).await?;
    }
    Ok(taken)
}

/// What alarms and responses mean for incidents and orders.
async fn follow(app: &App, node: &str, records: Vec<(String, Record, bool)>) -> Result<(), BatchError> {
    if records.is_empty() {
        return Ok(());
    }
    let _gathering = app.nodes.gathering.lock().await;
    let (of, name) = (app.clone(), node.to_owned());
    let gathered = blocking(move || {
        for (entry, record, _) in records.iter().filter(|(_, r, _)| r.kind == Kind::Response) {
            of.nodes.answered(&name, entry, record)?;
        }
        Ok(of.nodes.gather(&name, &records, |text| of.journal.mask(text)))
    })
    .await?;
    let begun: Vec<Record> = gathered.begun().map(|incident| opened(incident, node, app.now())).collect();
    if !begun.is_empty() {
        app.journal.record(begun).await?;
    }
    let of = app.clone();
    blocking(move || of.nodes.keep(gathered)).await
}

fn opened(incident: &incidents::Incident, node: &str, now: i64) -> Record {
    let rules: std::collections::BTreeSet<&str> = incident.alarms.iter().map(|a| a.rule.as_str()).collect();
    Record::new(now, Kind::Incident, Subject::system("server"), "open", format!("incident:{}", incident.id))
        .outcome(Outcome::Success)
        .with("workload", incident.workload.as_str())
        .with("of_node", node)
        .with("rules", rules.into_iter().collect::<Vec<_>>())
        .with("decisions", incident.alarms.iter().map(|a| a.decision.clone()).take(20).collect::<Vec<_>>())
}

/// Off the async threads; a store that cannot be written is told as a ledger that cannot: the node sends again.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, super::NodeError> + Send + 'static) -> Result<T, BatchError> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|e| LedgerError::Unwritable(e.to_string()))?;
    Ok(done.map_err(|e| LedgerError::Unwritable(e.to_string()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_checked() {
        let parse = |text: &str| Batch::parse(text.as_bytes()).map(|b| b.records.len());
        assert_eq!(parse(r#"{"records":[1,{}],"status":{"lost":1,"later":2}}"#).unwrap(), 2);
        for bad in ["", "[]", "{}", r#"{"records":{}}"#] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let many = format!(r#"{{"records":[{}]}}"#, vec!["1"; MAX_BATCH + 1].join(","));
        assert!(parse(&many).unwrap_err().to_string().contains("2000"));
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(s in ".{0,200}") {
            let _ = Batch::parse(s.as_bytes());
        }
    }
}
