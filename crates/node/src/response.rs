//! What can be done to a container, and the signed command that orders it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jinwu_trust::{SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What can be done. All but `Kill`, `Stop` and `Snapshot` can be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Response {
    /// What runs and is open, connected, mapped and changed, as evidence.
    Snapshot,
    /// The process that was seen, and what it started.
    Kill,
    /// Every process of the container stands still.
    Pause,
    Resume,
    /// Every process of the container is ended.
    Stop,
    /// No connection but to what is on the list.
    Isolate,
    Release,
}

/// An order to a node. Signed by the server; every member is checked before it is carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// Unique; a node carries it out once.
    pub id: String,
    pub node: String,
    /// Whole id of the container.
    pub container: String,
    pub response: Response,
    /// Process on the node, for `Kill`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    pub reason: String,
    /// Who ordered it.
    pub by: String,
    /// The decision or incident it belongs to.
    pub decision: String,
    /// Unix milliseconds; carried out between the two.
    pub issued: i64,
    pub expires: i64,
}

/// A command as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The command as JSON: what is signed.
    pub command: String,
    /// Signature over it, base64.
    pub signature: String,
}

/// Why an order is not carried out.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    #[error("the order is not signed by the server this node trusts")]
    Foreign,
    #[error("the order cannot be read: {0}")]
    Malformed(String),
    #[error("the order is for node {0}, not for this one")]
    Elsewhere(String),
    #[error("the order expired; its time is from {issued} to {expires}, now is {now} (unix milliseconds); is the node's clock right?")]
    Expired { issued: i64, expires: i64, now: i64 },
    #[error("the order {0} was carried out before")]
    Repeated(String),
}

/// Longest time an order may stand, milliseconds.
pub const LONGEST: i64 = 15 * 60 * 1000;
/// How far two clocks may be apart, milliseconds.
const SKEW: i64 = 60_000;

/// Orders carried out, until they could not be repeated anyway.
#[derive(Debug, Default)]
pub struct Orders {
    done: BTreeMap<String, i64>,
}

// === impl Response ===

impl Response {
    pub const ALL: [Response; 7] = [Response::Snapshot, Response::Kill, Response::Pause, Response::Resume, Response::Stop, Response::Isolate, Response::Release];

    pub fn name(self) -> &'static str {
        match self {
            Response::Snapshot => "snapshot",
            Response::Kill => "kill",
            Response::Pause => "pause",
            Response::Resume => "resume",
            Response::Stop => "stop",
            Response::Isolate => "isolate",
            Response::Release => "release",
        }
    }

    /// What takes it back.
    pub fn reverse(self) -> Option<Response> {
        match self {
            Response::Pause => Some(Response::Resume),
            Response::Isolate => Some(Response::Release),
            _ => None,
        }
    }
}

impl std::str::FromStr for Response {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Response::ALL.into_iter().find(|r| r.name() == text).ok_or_else(|| {
            let known: Vec<_> = Response::ALL.iter().map(|r| r.name()).collect();
            format!("没有名为 {text} 的响应;有:{0} / there is no response {text:?}; there are: {0}", known.join(", "))
        })
    }
}

// === impl Order ===

impl Order {
    pub fn sign(command: &Command, key: &SigningKey) -> Self {
        let command = serde_json::to_string(command).unwrap_or_default();
        Order { signature: BASE64.encode(key.sign(command.as_bytes())), command }
    }
}

// === impl Orders ===

impl Orders {
    /// The command of an order, if it may be carried out at `now` (unix milliseconds). It counts as carried out.
    ///
    /// # Errors
    /// Foreign, unreadable, for another node, out of its time, or repeated.
    pub fn take(&mut self, order: &Order, key: &VerifyingKey, node: &str, now: i64) -> Result<Command, OrderError> {
        let signature: Option<[u8; 64]> = BASE64.decode(&order.signature).ok().and_then(|s| s.try_into().ok());
        if !signature.is_some_and(|s| key.verify(order.command.as_bytes(), &s)) {
            return Err(OrderError::Foreign);
        }
        let command: Command = serde_json::from_str(&order.command).map_err(|e| OrderError::Malformed(e.to_string()))?;
        if command.node != node {
            return Err(OrderError::Elsewhere(command.node));
        }
        if now < command.issued - SKEW || now > command.expires + SKEW || command.expires - command.issued > LONGEST {
            return Err(OrderError::Expired { issued: command.issued, expires: command.expires, now });
        }
        self.done.retain(|_, until| *until >= now);
        if self.done.insert(command.id.clone(), command.expires + 2 * SKEW).is_some() {
            return Err(OrderError::Repeated(command.id));
        }
        Ok(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> Command {
        Command {
            id: "1".into(),
            node: "n1".into(),
            container: "c".into(),
            response: Response::Pause,
            pid: None,
            reason: "r".into(),
            by: "user".into(),
            decision: "d".into(),
            issued: 1_000_000,
            expires: 1_060_000,
        }
    }

    #[test]
    fn an_order_is_carried_out_once_where_and_when_it_says() {
        let (key, other) = (SigningKey::generate(), SigningKey::generate());
        let trusted = key.verifying_key();
        let mut orders = Orders::default();
        let order = Order::sign(&command(), &key);
        assert_eq!(orders.take(&Order::sign(&command(), &other), &trusted, "n1", 1_010_000), Err(OrderError::Foreign));
        assert_eq!(orders.take(&order, &trusted, "n2", 1_010_000), Err(OrderError::Elsewhere("n1".into())));
        assert!(matches!(orders.take(&order, &trusted, "n1", 1_200_000), Err(OrderError::Expired { .. })));
        assert_eq!(orders.take(&order, &trusted, "n1", 1_010_000), Ok(command()));
        assert_eq!(orders.take(&order, &trusted, "n1", 1_010_001), Err(OrderError::Repeated("1".into())));
        let mut changed = order.clone();
        changed.command = changed.command.replace("pause", "stop");
        assert_eq!(orders.take(&changed, &trusted, "n1", 1_010_000), Err(OrderError::Foreign));
        let forever = Command { id: "2".into(), expires: i64::MAX / 2, ..command() };
        assert!(matches!(orders.take(&Order::sign(&forever, &key), &trusted, "n1", 1_010_000), Err(OrderError::Expired { .. })));
    }
}
