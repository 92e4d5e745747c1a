//! What sensors are told to do: for all nodes (scope `*`), or for one.

use super::super::{Answer, ApiError, Call, Endpoint, json};
use super::{READ, WRITE};
use crate::nodes::NodeError;
use crate::nodes::settings::{ALL, Members};
use http::Method;
use jinwu_model::{Kind, Mode};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetMode {
    /// 放行, 告警 or 拦截, in either language. Absent: back to what holds without it.
    #[serde(default)]
    mode: Option<String>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint { method: Method::GET, path: "/node-settings/{scope}", who: READ, summary: "传感器的设置:全部节点(*)或一个节点 / settings of sensors, of all nodes (*) or of one", run: |c| Box::pin(show(c)) },
        Endpoint { method: Method::PUT, path: "/node-settings/{scope}", who: WRITE, summary: "替换传感器的设置 / replace settings of sensors", run: |c| Box::pin(put(c)) },
        Endpoint { method: Method::PUT, path: "/node-settings/{scope}/modes/{name}", who: WRITE, summary: "切换规则、规则组(tag:名称)或 drift、privileged、malware 的模式 / switch a rule, a group after tag:, or drift, privileged, malware", run: |c| Box::pin(switch(c)) },
    ]
}

// === impl Call ===

impl Call {
    fn scope(&self) -> Result<String, ApiError> {
        let scope = self.part("scope");
        let known = scope == ALL || self.app.nodes.get(&scope).is_some();
        known.then_some(scope.clone()).ok_or_else(|| NodeError::Absent(scope).into())
    }
}

async fn show(call: Call) -> Answer {
    let scope = call.scope()?;
    json(json!({"set": call.app.nodes.members(&scope), "effective": call.app.nodes.settings(&scope)}))
}

/// Rule files are long: records name them by their hash.
fn told(members: &Members) -> Value {
    let mut shown = members.clone();
    if let Some(Value::Object(files)) = shown.get_mut("files") {
        for text in files.values_mut() {
            let hash = hex::encode(jinwu_trust::sha256(text.as_str().unwrap_or_default().as_bytes()));
            *text = format!("sha256:{hash}").into();
        }
    }
    Value::Object(shown)
}

async fn put(call: Call) -> Answer {
    let members: Members = call.read()?;
    let scope = call.scope()?;
    let before = call.app.nodes.members(&scope);
    let entry = call
        .entry(Kind::Policy, "node-settings", &format!("node-settings:{scope}"))
        .with("before", told(&before))
        .with("after", told(&members));
    let before = call.change(entry, move |app| app.nodes.put_settings(&scope, members)).await?;
    json(json!({ "before": before }))
}

async fn switch(call: Call) -> Answer {
    let ask: SetMode = call.read()?;
    let mode = ask.mode.map(|m| m.parse::<Mode>()).transpose().map_err(ApiError::invalid)?;
    let (scope, name) = (call.scope()?, call.part("name"));
    let of = |members: &Members| members.get(&name).or_else(|| members.get("modes")?.get(&name)).cloned().unwrap_or(Value::Null);
    let before = of(&call.app.nodes.members(&scope));
    let entry = call
        .entry(Kind::Policy, "node-mode", &format!("rule:{name}"))
        .with("scope", scope.as_str())
        .with("before", before.clone())
        .with("after", mode.map_or("default", Mode::as_str));
    call.change(entry, move |app| app.nodes.put_mode(&scope, &name, mode)).await?;
    json(json!({ "before": before }))
}
