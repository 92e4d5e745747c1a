//! Nodes: the security administrator lets them in, says what their sensors do, and orders responses; all
//! administrators see them and what their containers use.

mod incidents;
mod meters;
mod settings;

use super::{Answer, ApiError, Call, Endpoint, Who, json};
use crate::nodes::node::Node;
use crate::nodes::orders::{Asked, Ordered};
use crate::nodes::{NodeError, watch};
use http::{Method, StatusCode};
use jinwu_identity::Permission;
use jinwu_model::{DecisionId, Kind};
use serde::Deserialize;
use serde_json::{Value, json};

/// Who sees nodes and meters: every administrator.
const SEE: Who = Who::Any(&[Permission::ClusterRead, Permission::PolicyRead, Permission::LedgerRead]);
/// Who sees responses, incidents and settings.
const READ: Who = Who::Either(Permission::PolicyRead, Permission::LedgerRead);
const WRITE: Who = Who::Admin(Permission::NodeWrite);

/// Characters of the shortest whole id of a container.
const WHOLE: usize = 32;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewCode {
    node: String,
    #[serde(default)]
    cluster: String,
    /// How long it stands; absent: an hour.
    #[serde(default)]
    minutes: Option<i64>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    let mut all = vec![
        Endpoint { method: Method::GET, path: "/nodes", who: SEE, summary: "节点与其传感器的状态 / nodes and the state of their sensors", run: |c| Box::pin(list(c)) },
        Endpoint { method: Method::GET, path: "/nodes/{node}", who: SEE, summary: "节点的状态与能力 / a node's state and what its kernel can do", run: |c| Box::pin(show(c)) },
        Endpoint { method: Method::DELETE, path: "/nodes/{node}", who: WRITE, summary: "移除节点,其证书立即失效 / remove a node; its certificates end at once", run: |c| Box::pin(remove(c)) },
        Endpoint { method: Method::POST, path: "/node-codes", who: WRITE, summary: "节点登记的一次性登记码,只显示这一次 / a one-time code to enrol a node, shown this once", run: |c| Box::pin(code(c)) },
        Endpoint { method: Method::GET, path: "/nodes/{node}/responses", who: READ, summary: "对节点上容器下达的响应命令与结果 / responses ordered on a node, and what became of them", run: |c| Box::pin(responses(c)) },
        Endpoint { method: Method::POST, path: "/nodes/{node}/containers/{id}/responses", who: WRITE, summary: "对容器下达响应命令 / order a response to a container", run: |c| Box::pin(respond(c)) },
    ];
    all.extend(settings::endpoints());
    all.extend(meters::endpoints());
    all.extend(incidents::endpoints());
    all
}

impl From<NodeError> for ApiError {
    fn from(error: NodeError) -> Self {
        let (status, code) = match &error {
            NodeError::Absent(_) => (StatusCode::NOT_FOUND, "not-found"),
            NodeError::Invalid(_) => (StatusCode::BAD_REQUEST, "invalid"),
            NodeError::Incomplete(_) => (StatusCode::UNPROCESSABLE_ENTITY, "incomplete"),
            NodeError::Refused(_) => (StatusCode::CONFLICT, "refused"),
            NodeError::Credential(_) => (StatusCode::UNAUTHORIZED, "bad-credential"),
            NodeError::Store(detail) => {
                tracing::error!(%detail, "node store");
                (StatusCode::SERVICE_UNAVAILABLE, "storage")
            }
        };
        ApiError::new(status, code, error.to_string())
    }
}

// === impl Call ===

impl Call {
    /// The node of the path.
    fn node(&self) -> Result<Node, ApiError> {
        let name = self.part("node");
        self.app.nodes.get(&name).ok_or_else(|| NodeError::Absent(name).into())
    }
}

fn view(call: &Call, node: &Node) -> Value {
    let now = call.app.now();
    let seen = call.app.nodes.seen(&node.name);
    let status = seen.as_ref().map(|s| &s.status);
    let generation = call.app.nodes.instructions(&node.name, now).0.generation;
    json!({
        "name": node.name,
        "cluster": node.cluster,
        "enrolled": node.enrolled,
        "certificate_until": node.certificates.iter().map(|c| c.until).max(),
        "seen": seen.as_ref().map(|s| s.at),
        "heard": seen.as_ref().is_some_and(|s| now - s.at <= watch::SILENT),
        "version": status.map(|s| s.version.as_str()),
        "current": status.is_some_and(|s| s.generation == generation),
        "rung": node.told.rung,
        "events": status.map(|s| s.events),
        "lost": status.map(|s| s.lost),
        "dropped": status.map(|s| s.dropped),
        "waiting": status.map(|s| s.waiting),
        "containers": call.app.nodes.meters.count(&node.name, now),
        "isolated": status.map(|s| s.isolated.as_slice()),
        "paused": status.map(|s| s.paused.as_slice()),
    })
}

async fn list(call: Call) -> Answer {
    let all: Vec<Value> = call.app.nodes.list().iter().map(|n| view(&call, n)).collect();
    json(json!({"nodes": all, "verify_key": call.app.nodes.verifying_key()}))
}

async fn show(call: Call) -> Answer {
    let node = call.node()?;
    let mut view = view(&call, &node);
    if let Some(members) = view.as_object_mut() {
        let capabilities = call.app.nodes.seen(&node.name).map(|s| s.status.capabilities);
        members.insert("capabilities".into(), json(capabilities)?);
        members.insert("certificates".into(), json(&node.certificates)?);
    }
    Ok(view)
}

async fn remove(call: Call) -> Answer {
    let name = call.part("node");
    let entry = call.entry(Kind::Node, "remove", &format!("node:{name}"));
    call.change(entry, move |app| app.nodes.remove(&name)).await?;
    json(json!({}))
}

async fn code(call: Call) -> Answer {
    let ask: NewCode = call.read()?;
    let minutes = ask.minutes.unwrap_or(60);
    let entry = call.entry(Kind::Node, "code", &format!("node:{}", ask.node)).with("minutes", minutes).with("of_cluster", ask.cluster.as_str());
    let (node, cluster) = (ask.node.clone(), ask.cluster);
    let (code, expires) = call.change(entry, move |app| app.nodes.code(&node, &cluster, minutes, app.now())).await?;
    json(json!({"node": ask.node, "code": code.reveal(), "expires": expires}))
}

fn order_view(ordered: &Ordered, now: i64) -> Value {
    json!({"command": ordered.command, "state": ordered.state(now), "answer": ordered.answer, "reverse": ordered.command.response.reverse().map(|r| r.name())})
}

async fn responses(call: Call) -> Answer {
    let (name, now) = (call.node()?.name, call.app.now());
    json(json!({"responses": call.app.nodes.orders(&name).iter().map(|o| order_view(o, now)).collect::<Vec<_>>()}))
}

async fn respond(call: Call) -> Answer {
    let mut ask: Asked = call.read()?;
    let (node, given, now) = (call.node()?.name, call.part("id"), call.app.now());
    // The beginning of an id names the container the node told of; of one it did not tell of yet the whole id is needed.
    let known = call.app.nodes.meters.find(&node, &given, |c| c.now.id.clone());
    let container = known.or_else(|| (given.len() >= WHOLE).then(|| given.clone())).ok_or_else(|| NodeError::Absent(format!("{node}/{given}")))?;
    ask.decision = ask.decision.or_else(|| call.app.nodes.incident_of(&container));
    let command = ask.command(&node, &container, &call.who()?.account.name, now)?;
    let entry = call
        .entry(Kind::Response, &format!("order-{}", command.response.name()), &format!("node:{node}"))
        .decision(Some(DecisionId(command.decision.clone())))
        .with("order", command.id.as_str())
        .with("of_node", node.as_str())
        .with("of_container", command.container.as_str())
        .with("reason", command.reason.as_str())
        .with("pid", command.pid)
        .with("expires", command.expires);
    let ordered = call.change(entry, move |app| app.nodes.order(command)).await?;
    Ok(order_view(&ordered, now))
}
