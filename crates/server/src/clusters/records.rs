//! Records of gates on their way to the ledger, each once: see [`crate::intake`].

use crate::app::App;
use crate::intake::{self, BatchError, CLOCKS, Sender, Windows};
use jinwu_admission::protocol::{GATE_KINDS, GateStatus, MAX_BATCH, Taken};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::HashSet;

/// Ids of a cluster known at once, some 10 MB: half a minute of audit events at their fastest, and as many
/// as are read back at a start.
const WINDOW: usize = 200_000;

/// A batch as far as it must be understood to take its records one by one.
#[derive(Deserialize)]
pub(crate) struct Batch {
    gate: String,
    records: Vec<Box<RawValue>>,
    #[serde(default)]
    status: Option<Box<RawValue>>,
}

pub(super) fn windows() -> Windows {
    Windows::new(WINDOW, |record| record.detail.get("cluster").and_then(|v| v.as_str()))
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
        super::cluster::subdomain("gate", &batch.gate).map_err(|e| BatchError::Invalid(e.to_string()))?;
        Ok(batch)
    }

    /// How the gate says it is doing; unknown where this version does not understand it.
    fn status(&self) -> GateStatus {
        self.status.as_ref().and_then(|s| serde_json::from_str(s.get()).ok()).unwrap_or_default()
    }
}

/// Takes the records that are new. Returns once they are durable.
pub(crate) async fn take(app: &App, cluster: &str, batch: Batch) -> Result<Taken, BatchError> {
    let clusters = &app.clusters;
    clusters.windows.ready(app.journal.ledger()).await?;
    let now = app.now();
    let earliest = clusters.get(cluster).map_or(now, |c| c.created) - CLOCKS;
    let name = format!("gate:{}", batch.gate);
    let sender = Sender { name: &name, kinds: &GATE_KINDS, earliest };
    clusters.heard(cluster, &batch.gate, batch.status(), now);
    let window = clusters.windows.of(cluster);
    // One batch of a cluster at a time: of two copies that arrive together one waits for the other.
    let mut window = window.lock().await;
    let (mut ids, mut records) = (Vec::new(), Vec::new());
    let mut of_this = HashSet::new();
    for raw in &batch.records {
        let (id, mut record) = intake::read(raw.get(), &sender, now);
        let hashed = intake::id_of(&id);
        if window.knows(&hashed) || !of_this.insert(hashed) {
            continue;
        }
        // Whatever a gate says, where its records come from is ours to say.
        record.detail.insert("cluster".into(), cluster.into());
        record.detail.insert("reporter".into(), batch.gate.clone().into());
        record.detail.insert("entry".into(), id.into());
        ids.push(hashed);
        records.push(record);
    }
    let taken = Taken { new: records.len() as u64, repeated: (batch.records.len() - records.len()) as u64 };
    if !records.is_empty() {
        app.journal.record_many(records).await?;
        for id in ids {
            window.insert(id);
        }
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_checked() {
        let parse = |text: &str| Batch::parse(text.as_bytes()).map(|b| b.records.len());
        assert_eq!(parse(r#"{"gate":"gate-0","records":[1,{}],"status":{"new":1}}"#).unwrap(), 2, "what a record is decides each by itself");
        for bad in ["", "[]", r#"{"gate":"gate-0"}"#, r#"{"gate":"a b","records":[]}"#, r#"{"gate":"g","records":{}}"#] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let many = format!(r#"{{"gate":"g","records":[{}]}}"#, vec!["1"; MAX_BATCH + 1].join(","));
        assert!(parse(&many).unwrap_err().to_string().contains("2000"));
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(s in ".{0,200}") {
            let _ = Batch::parse(s.as_bytes());
        }
    }
}
