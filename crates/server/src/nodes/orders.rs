//! Orders on their way to a node, and what became of them.

use super::{NodeError, Nodes};
use jinwu_documents::Write;
use jinwu_model::{Outcome, Record};
use jinwu_node::protocol::Instructions;
use jinwu_node::response::{Command, Order, Response};
use serde::{Deserialize, Serialize};

/// An order and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ordered {
    pub command: Command,
    /// What the node said when it had carried it out, or why it had not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answered>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// Unix milliseconds, by the node's clock.
    pub time: i64,
    pub done: bool,
    pub said: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderState {
    /// On its way.
    Open,
    Done,
    Failed,
    /// Nothing was heard of it in its time.
    Expired,
}

/// What is asked for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    pub response: String,
    pub reason: String,
    /// Process on the node, for `kill`.
    #[serde(default)]
    pub pid: Option<u32>,
    /// The decision or incident it belongs to; absent: the newest incident of the container, or none.
    #[serde(default)]
    pub decision: Option<String>,
    /// Minutes it stands; absent: the longest.
    #[serde(default)]
    pub minutes: Option<i64>,
}

/// Orders of one node that are open at once, and those remembered.
const MAX_OPEN: usize = 200;
const MAX_KEPT: usize = 1_000;
/// Milliseconds an order that is over is still shown; the ledger keeps it.
const SHOWN: i64 = 7 * 24 * 3_600_000;

// === impl Ordered ===

impl Ordered {
    pub fn state(&self, now: i64) -> OrderState {
        match &self.answer {
            Some(answer) if answer.done => OrderState::Done,
            Some(_) => OrderState::Failed,
            None if now < self.command.expires => OrderState::Open,
            None => OrderState::Expired,
        }
    }
}

// === impl Asked ===

impl Asked {
    /// The command it asks for.
    ///
    /// # Errors
    /// What does not fit.
    pub fn command(&self, node: &str, container: &str, by: &str, now: i64) -> Result<Command, NodeError> {
        let response: Response = self.response.parse().map_err(NodeError::Invalid)?;
        super::incidents::text("reason", &self.reason, 500)?;
        if container.is_empty() || container.len() > 128 || !container.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b)) {
            return Err(NodeError::Invalid(format!("容器编号不符:{container:?} / this is no container's id")));
        }
        match (response, self.pid) {
            (Response::Kill, None | Some(0)) => {
                return Err(NodeError::Invalid("kill 须指明 pid(节点上的进程号)/ kill needs pid, the process's number on the node".into()));
            }
            (Response::Kill, Some(_)) | (_, None) => {}
            (_, Some(_)) => return Err(NodeError::Invalid("pid 只用于 kill / pid is for kill alone".into())),
        }
        let longest = jinwu_node::response::LONGEST / 60_000;
        let minutes = self.minutes.unwrap_or(longest);
        if !(1..=longest).contains(&minutes) {
            return Err(NodeError::Invalid(format!("minutes 须为 1–{longest} / minutes must be 1 to {longest}")));
        }
        if self.decision.as_ref().is_some_and(|d| d.is_empty() || d.len() > 200) {
            return Err(NodeError::Invalid("decision 须为 1–200 个字符 / decision must be 1 to 200 characters".into()));
        }
        let id = format!("o-{}", hex::encode(jinwu_trust::random::bytes::<8>()));
        Ok(Command {
            decision: self.decision.clone().unwrap_or_else(|| id.clone()),
            id,
            node: node.to_owned(),
            container: container.to_owned(),
            response,
            pid: self.pid,
            reason: self.reason.clone(),
            by: by.to_owned(),
            issued: now,
            expires: now + minutes * 60_000,
        })
    }
}

// === impl Nodes ===

impl Nodes {
    /// Takes an order; the node has it with its next instructions.
    ///
    /// # Errors
    /// There is no such node, or too many of its orders are open.
    pub fn order(&self, command: Command) -> Result<Ordered, NodeError> {
        let mut state = self.state.write();
        if !state.nodes.contains_key(&command.node) {
            return Err(NodeError::Absent(command.node));
        }
        let now = command.issued;
        let mut of_node: Vec<(i64, String, bool)> = state
            .orders
            .values()
            .filter(|o| o.command.node == command.node)
            .map(|o| (o.command.issued, o.command.id.clone(), o.state(now) == OrderState::Open))
            .collect();
        if of_node.iter().filter(|(_, _, open)| *open).count() >= MAX_OPEN {
            return Err(NodeError::Refused(format!("节点 {} 待执行的命令已达 {MAX_OPEN} 条 / node {0} has {MAX_OPEN} open orders already", command.node)));
        }
        of_node.sort();
        let over = of_node.len().saturating_sub(MAX_KEPT - 1);
        let forgotten: Vec<String> =
            of_node.into_iter().filter(|(_, _, open)| !open).enumerate().filter(|(n, (issued, _, _))| *n < over || now - issued > SHOWN).map(|(_, (_, id, _))| id).collect();
        let ordered = Ordered { command, answer: None };
        let mut writes = vec![Write::put("order", &ordered.command.id, &ordered)?];
        writes.extend(forgotten.iter().map(|id| Write::remove("order", id)));
        self.store.apply(&writes)?;
        state.orders.retain(|id, _| !forgotten.contains(id));
        state.orders.insert(ordered.command.id.clone(), ordered.clone());
        drop(state);
        self.changed();
        Ok(ordered)
    }

    /// Orders of a node, newest first.
    pub fn orders(&self, node: &str) -> Vec<Ordered> {
        let mut found: Vec<_> = self.state.read().orders.values().filter(|o| o.command.node == node).cloned().collect();
        found.sort_by_key(|o| std::cmp::Reverse(o.command.issued));
        found
    }

    /// A record of a response came back: the order it answers is over. `entry` is the record's own name, `ORDER/response`.
    ///
    /// # Errors
    /// As of writing.
    pub(crate) fn answered(&self, node: &str, entry: &str, record: &Record) -> Result<(), NodeError> {
        let Some(id) = entry.strip_suffix("/response") else { return Ok(()) };
        let mut state = self.state.write();
        let Some(mut ordered) = state.orders.get(id).filter(|o| o.command.node == node && o.answer.is_none()).cloned() else { return Ok(()) };
        let said = record.detail.get("said").and_then(|v| v.as_str()).unwrap_or_default();
        ordered.answer = Some(Answered { time: record.time, done: record.outcome == Outcome::Success, said: said.chars().take(1_000).collect() });
        self.store.apply(&[Write::put("order", id, &ordered)?])?;
        state.orders.insert(id.to_owned(), ordered);
        drop(state);
        self.changed();
        Ok(())
    }

    /// What a node is to do now, and when the first of its orders expires (Unix milliseconds).
    pub fn instructions(&self, node: &str, now: i64) -> (Instructions, Option<i64>) {
        let settings = self.settings(node);
        let open: Vec<Command> =
            self.orders(node).into_iter().rev().filter(|o| o.state(now) == OrderState::Open).map(|o| o.command).collect();
        let mut text = serde_json::to_vec(&settings).unwrap_or_default();
        open.iter().for_each(|c| text.extend(format!("\0{}", c.id).into_bytes()));
        let generation = hex::encode(&jinwu_trust::sha256(&text)[..8]);
        let until = open.iter().map(|c| c.expires).min();
        let orders = open.iter().map(|c| Order::sign(c, &self.key)).collect();
        (Instructions { generation, settings, orders }, until)
    }
}
