//! What containers use (CC-4).

use super::super::{Answer, Call, Endpoint, json};
use super::SEE;
use crate::nodes::meters::Container;
use crate::nodes::{NodeError, prometheus};
use http::Method;
use serde_json::{Value, json};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint { method: Method::GET, path: "/containers", who: SEE, summary: "全部节点上容器的资源使用 / what containers of all nodes use", run: |c| Box::pin(all(c)) },
        Endpoint { method: Method::GET, path: "/nodes/{node}/containers", who: SEE, summary: "节点上容器的资源使用与进程 / what a node's containers use, and their processes", run: |c| Box::pin(of_node(c)) },
        Endpoint { method: Method::GET, path: "/nodes/{node}/containers/{id}/history", who: SEE, summary: "容器一天内的资源使用 / what a container used within a day", run: |c| Box::pin(history(c)) },
        Endpoint { method: Method::GET, path: "/metrics", who: SEE, summary: "Prometheus 格式的节点与容器指标 / nodes and containers in Prometheus' format", run: |c| Box::pin(metrics(c)) },
    ]
}

async fn all(call: Call) -> Answer {
    let now = call.app.now();
    json(json!({"time": now, "containers": call.app.nodes.meters.list(None, now, |c| c.view(now))}))
}

/// With the container's processes; a command line may hold a secret.
fn whole(call: &Call, container: &Container, now: i64) -> Value {
    let mut view = container.view(now);
    let mut processes = Value::Array(container.now.processes.clone());
    call.app.journal.mask_value(&mut processes);
    if let Some(members) = view.as_object_mut() {
        members.insert("processes".into(), processes);
    }
    view
}

async fn of_node(call: Call) -> Answer {
    let (node, now) = (call.node()?.name, call.app.now());
    // Copied first: masking takes a while, and sensors report meanwhile.
    let found: Vec<Container> = call.app.nodes.meters.list(Some(&node), now, Container::clone);
    json(json!({"time": now, "containers": found.iter().map(|c| whole(&call, c, now)).collect::<Vec<_>>()}))
}

async fn history(call: Call) -> Answer {
    let (node, id, now) = (call.node()?.name, call.part("id"), call.app.now());
    let found = call.app.nodes.meters.find(&node, &id, Container::clone).ok_or(NodeError::Absent(id))?;
    let mut view = whole(&call, &found, now);
    if let Some(members) = view.as_object_mut() {
        members.insert("history".into(), found.history());
    }
    Ok(view)
}

async fn metrics(call: Call) -> Answer {
    Ok(Value::String(prometheus::text(&call.app)))
}
