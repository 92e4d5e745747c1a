//! The API server's side of a cluster, and detection rules over its audit events.

use super::super::{Answer, ApiError, Call, Endpoint, Who, json};
use crate::clusters::ClusterError;
use http::Method;
use jinwu_audit::Intake;
use jinwu_identity::Permission;
use jinwu_model::{Kind, Mode};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetRule {
    /// Absent: as it was shipped.
    #[serde(default)]
    mode: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    /// YAML in Falco's format.
    yaml: String,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    let read = Who::Either(Permission::ClusterRead, Permission::PolicyRead);
    let write = Who::Admin(Permission::ClusterWrite);
    let guard = Who::Admin(Permission::PolicyWrite);
    vec![
        Endpoint { method: Method::POST, path: "/clusters/{cluster}/apiserver", who: write, summary: "签发 API server 作为关口客户端的证书 / a certificate for the API server as the gate's client", run: |c| Box::pin(apiserver(c)) },
        Endpoint { method: Method::GET, path: "/clusters/{cluster}/rules", who: read, summary: "审计事件的检测规则与模式 / detection rules over audit events and their modes", run: |c| Box::pin(list(c)) },
        Endpoint { method: Method::PUT, path: "/clusters/{cluster}/rules/{rule}", who: guard, summary: "切换规则或规则组(tag:名称)/ switch a rule, or a group after tag:", run: |c| Box::pin(switch(c)) },
        Endpoint { method: Method::PUT, path: "/clusters/{cluster}/rule-files/{file}", who: guard, summary: "添加或替换规则文件(Falco 格式)/ add or replace a rule file in Falco's format", run: |c| Box::pin(put(c)) },
        Endpoint { method: Method::DELETE, path: "/clusters/{cluster}/rule-files/{file}", who: guard, summary: "删除规则文件 / remove a rule file", run: |c| Box::pin(remove(c)) },
    ]
}

async fn apiserver(call: Call) -> Answer {
    let name = call.cluster()?.name;
    let entry = call.entry(Kind::Cluster, "apiserver-certificate", &format!("cluster:{name}"));
    let (authority, leaf) = call
        .change(entry, move |app| {
            let authority = app.clusters.authority(&name)?;
            let leaf = authority.client(jinwu_audit::CLIENT_NAME).map_err(|e| ClusterError::Refused(e.to_string()))?;
            Ok::<_, ClusterError>((authority.certificate().to_owned(), leaf))
        })
        .await?;
    json(json!({"authority": authority, "certificate": leaf.certificate, "key": leaf.key, "until": leaf.until * 1000}))
}

async fn list(call: Call) -> Answer {
    let cluster = call.cluster()?;
    let intake = Intake::new(&cluster.rules).map_err(|e| ApiError::invalid(e.to_string()))?;
    json(json!({"rules": intake.rules(), "files": cluster.rules.files.keys().collect::<Vec<_>>(), "modes": cluster.rules.modes}))
}

async fn switch(call: Call) -> Answer {
    let ask: SetRule = call.read()?;
    let mode = ask.mode.map(|m| m.parse::<Mode>()).transpose().map_err(ApiError::invalid)?;
    let (cluster, rule) = (call.cluster()?, call.part("rule"));
    let intake = Intake::new(&cluster.rules).map_err(|e| ApiError::invalid(e.to_string()))?;
    if mode.is_some() && !intake.names(&rule) {
        return Err(ApiError::not_found(&format!("{rule};见 jinwu cluster rules list / see jinwu cluster rules list")));
    }
    let entry = call
        .entry(Kind::Policy, "rule-set", &format!("rule:{rule}"))
        .with("cluster", cluster.name.clone())
        .with("mode", mode.map_or("default", Mode::as_str));
    let before = call.change(entry, move |app| app.clusters.switch_rule(&cluster.name, &rule, mode)).await?;
    json(json!({ "before": before }))
}

async fn put(call: Call) -> Answer {
    let ask: RuleText = call.read()?;
    let (cluster, file) = (call.cluster()?, call.part("file"));
    let mut with = cluster.rules.clone();
    with.files.insert(file.clone(), ask.yaml.clone());
    Intake::new(&with).map_err(|e| ApiError::invalid(format!("规则文件有误,未采用 / the rule file is not taken: {e}")))?;
    let entry = call
        .entry(Kind::Policy, "rules-put", &format!("rules:{file}"))
        .with("cluster", cluster.name.clone())
        .with("sha256", hex::encode(jinwu_trust::sha256(ask.yaml.as_bytes())));
    call.change(entry, move |app| app.clusters.put_rules(&cluster.name, &file, Some(ask.yaml))).await?;
    json(json!({}))
}

async fn remove(call: Call) -> Answer {
    let (cluster, file) = (call.cluster()?, call.part("file"));
    let mut without = cluster.rules.clone();
    without.files.remove(&file);
    Intake::new(&without).map_err(|e| ApiError::invalid(format!("其他文件依赖它 / other files need it: {e}")))?;
    let entry = call.entry(Kind::Policy, "rules-remove", &format!("rules:{file}")).with("cluster", cluster.name.clone());
    call.change(entry, move |app| app.clusters.put_rules(&cluster.name, &file, None)).await?;
    json(json!({}))
}
