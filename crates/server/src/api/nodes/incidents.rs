//! Incidents: gathered from alarms, dealt with by the security administrator.

use super::super::{Answer, ApiError, Call, Endpoint, json};
use super::{READ, WRITE};
use crate::nodes::NodeError;
use crate::nodes::incidents::{Closing, Incident, IncidentState};
use http::Method;
use jinwu_model::Kind;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewNote {
    text: String,
    /// `open` or `handled`; absent: as it was.
    #[serde(default)]
    state: Option<IncidentState>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint { method: Method::GET, path: "/incidents", who: READ, summary: "安全事件,最近的在前 / incidents, the latest first", run: |c| Box::pin(list(c)) },
        Endpoint { method: Method::GET, path: "/incidents/{id}", who: READ, summary: "安全事件与其时间线 / an incident and its timeline", run: |c| Box::pin(show(c)) },
        Endpoint { method: Method::POST, path: "/incidents/{id}/notes", who: WRITE, summary: "记事,可改为已处置 / a note, and handled if so", run: |c| Box::pin(note(c)) },
        Endpoint { method: Method::POST, path: "/incidents/{id}/close", who: WRITE, summary: "结案:须写明入侵途径、影响、恢复、更换的密钥 / close: way of intrusion, impact, recovery and exchanged keys must be written down", run: |c| Box::pin(close(c)) },
    ]
}

// === impl Call ===

impl Call {
    fn incident(&self) -> Result<Incident, ApiError> {
        let id = self.part("id");
        self.app.nodes.incident(&id).ok_or_else(|| NodeError::Absent(id).into())
    }
}

fn brief(incident: &Incident) -> Value {
    json!({
        "id": incident.id, "cluster": incident.cluster, "workload": incident.workload, "state": incident.state,
        "first": incident.first, "last": incident.last, "count": incident.count, "responses": incident.responses.len(),
        "rules": incident.alarms.iter().map(|a| a.rule.as_str()).collect::<std::collections::BTreeSet<_>>(),
    })
}

async fn list(call: Call) -> Answer {
    let wanted = call.query.get("state").map(|s| serde_json::from_value::<IncidentState>(Value::String(s.clone()))).transpose();
    let wanted = wanted.map_err(|_| ApiError::invalid("state 须为 open、handled 或 closed / state must be open, handled or closed"))?;
    let all: Vec<Value> = call.app.nodes.incidents().iter().filter(|i| wanted.is_none_or(|w| w == i.state)).map(brief).collect();
    json(json!({ "incidents": all }))
}

fn view(incident: &Incident) -> Answer {
    let mut view = json(incident)?;
    if let Some(members) = view.as_object_mut() {
        members.insert("timeline".into(), incident.timeline().into());
    }
    Ok(view)
}

async fn show(call: Call) -> Answer {
    view(&call.incident()?)
}

async fn note(call: Call) -> Answer {
    let ask: NewNote = call.read()?;
    let (id, by, state) = (call.incident()?.id, call.who()?.account.name.clone(), ask.state);
    let entry = call.entry(Kind::Incident, "note", &format!("incident:{id}")).with("text", ask.text.as_str()).with("state", json(state)?);
    let changed = call.change(entry, move |app| app.nodes.note(&id, &by, &ask.text, state, app.now())).await?;
    view(&changed)
}

async fn close(call: Call) -> Answer {
    let closing: Closing = call.read()?;
    let (incident, by) = (call.incident()?, call.who()?.account.name.clone());
    let id = incident.id;
    let entry = call
        .entry(Kind::Incident, "close", &format!("incident:{id}"))
        .with("workload", incident.workload)
        .with("alarms", incident.count)
        .with("closing", json(&closing)?);
    let closed = call.change(entry, move |app| app.nodes.close(&id, &by, closing, app.now())).await?;
    view(&closed)
}
