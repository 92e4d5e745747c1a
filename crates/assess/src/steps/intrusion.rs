//! IP-7: attacks on the platform are seen and stopped, by what the API server tells of its requests.

use super::{Lab, same, t};
use crate::cluster::{Who, message};
use crate::evidence::{Evidence, Role, whether};
use crate::target::As;
use crate::target::registry::escape;
use crate::trail;
use http::Method;
use jinwu_identity::AdminRole::SecurityAdministrator as Security;
use jinwu_standard::verdict::Answer;
use serde_json::{Value, json};
use std::time::Duration;

/// Longest from an act to its consequence: the API server hands events on within seconds.
const REACH: Duration = Duration::from_secs(20);

/// IP-7.C1: the platform is watched; containers themselves are by a sensor.
pub(super) async fn watched(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    stream(lab, out).await?;
    let cluster = lab.cluster()?;
    let mut log = lab.log(format!("GET /api/v1/clusters/{}/rules", cluster.name));
    let answer = lab.get(&mut log, Security, &format!("/clusters/{}/rules", escape(&cluster.name))).await?;
    let all: Vec<&Value> = answer["rules"].as_array().into_iter().flatten().collect();
    let on = all.iter().filter(|r| r["mode"] != "allow").count();
    out.push(log.prove(
        Role::State,
        t("有针对管理平台攻击行为的检测规则在用", "detection rules for attacks on the platform are in use"),
        t(format!("{} 条规则,启用 {on}", all.len()), format!("{} rules, {on} switched on", all.len())),
        whether(on > 0),
    ));
    super::sensor::seeing(lab, out).await.map(drop)
}

/// The audit stream and the authoriser answer canaries.
pub(super) async fn stream(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let cluster = lab.cluster()?;
    let mut log = lab.log(format!("GET /api/v1/clusters/{} (watch)", cluster.name));
    let shown = lab.get(&mut log, Security, &format!("/clusters/{}", escape(&cluster.name))).await?;
    for (what, zh, en) in [
        ("audit", "API server 的审计事件到达金吾(以金丝雀请求验证)", "the API server's audit events reach Jinwu (proved by canary requests)"),
        ("authorizer", "API server 在授权时询问金吾(以金丝雀请求验证)", "the API server asks Jinwu when it authorises (proved by canary requests)"),
    ] {
        let log = lab.log(format!("GET /api/v1/clusters/{} (watch.{what})", cluster.name));
        let state = &shown["watch"][what];
        out.push(log.prove(Role::State, t(zh, en), same(state.to_string()), whether(state["canary_ok"] == true)));
    }
    Ok(())
}

/// IP-7.C2: a stolen token does what it was not given for; its next request is refused.
pub(super) async fn stopped(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    if !lab.drills() {
        return stream(lab, out).await;
    }
    let field = lab.field()?;
    let clusters = format!("/clusters/{}", escape(&field.cluster.name));
    let (user, rule) = (format!("system:serviceaccount:{}:stolen", field.namespace), format!("Drill {}", field.namespace));
    let mut log = field.cluster.log("prepare: an account that may read secrets, a rule at block");
    field.make(&mut log, "serviceaccounts", &json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "stolen"}})).await?;
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "stolen"},
        "rules": [{"apiGroups": [""], "resources": ["secrets", "configmaps"], "verbs": ["get", "list", "create"]}]});
    field.make(&mut log, "roles", &role).await?;
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "stolen"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "stolen"},
        "subjects": [{"kind": "ServiceAccount", "name": "stolen", "namespace": field.namespace}]});
    field.make(&mut log, "rolebindings", &binding).await?;
    let token = field.token(&mut log, "stolen").await?;
    let yaml = format!(
        "- rule: {rule}\n  desc: a drill's account lists secrets\n  condition: ka.user.name = \"{user}\" and ka.verb = list and ka.target.resource = secrets\n  output: secrets listed (user=%ka.user.name)\n  priority: CRITICAL\n  source: k8s_audit\n  tags: [assess]\n"
    );
    let file = format!("{clusters}/rule-files/{}", escape(&format!("{}.yaml", field.namespace)));
    lab.target.act(&mut log, As::Admin(Security), Method::PUT, &file, Some(&json!({ "yaml": yaml }))).await?;
    let switch = format!("{clusters}/rules/{}", escape(&rule));
    lab.target.act(&mut log, As::Admin(Security), Method::PUT, &switch, Some(&json!({"mode": "block"}))).await?;
    let result = attacked(lab, out, &token, &user, &rule).await;
    let mut log = lab.log("end of the rule");
    lab.target.act(&mut log, As::Admin(Security), Method::PUT, &switch, Some(&json!({"mode": null}))).await?;
    lab.target.act(&mut log, As::Admin(Security), Method::DELETE, &file, None).await?;
    result
}

async fn attacked(lab: &Lab<'_>, out: &mut Vec<Evidence>, token: &str, user: &str, rule: &str) -> anyhow::Result<()> {
    let field = lab.field()?;
    let clusters = format!("/clusters/{}", escape(&field.cluster.name));
    let (secrets, maps) = (field.at("secrets"), field.at("configmaps"));
    // Gates need a moment to have the rule.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut log = field.cluster.log("list secrets with the stolen token; then ask again");
    let first = field.cluster.ask(&mut log, Who::Token(token), Method::GET, &secrets, None).await?;
    let begun = tokio::time::Instant::now();
    let refused = loop {
        let mut quiet = field.cluster.log("");
        let reply = field.cluster.ask(&mut quiet, Who::Token(token), Method::GET, &maps, None).await?;
        if reply.status == 403 || begun.elapsed() > REACH {
            log.note(&format!("> GET {maps} after {:.1} s\n< {}{}", begun.elapsed().as_secs_f64(), reply.status, reply.peek()));
            break reply;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    let took = begun.elapsed().as_secs_f64();
    let said = message(&refused);
    let by_us = refused.status == 403 && said.contains("jinwu");
    out.push(log.prove(
        Role::Attack,
        t("被盗令牌列出机密后,该主体随后的请求被拒绝(403,金吾)", "after the stolen token listed secrets, that subject's requests are refused (403, by jinwu)"),
        t(format!("首个请求 {},{took:.1} 秒后 {} {said}", first.status, refused.status), format!("first request {}, after {took:.1} s {} {said}", first.status, refused.status)),
        if first.status == 200 { whether(by_us) } else { Answer::Unknown },
    ));
    let mut log = field.cluster.log("create a configmap with the stolen token");
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "by-the-stolen-token"}});
    let write = field.cluster.ask(&mut log, Who::Token(token), Method::POST, &maps, Some(&map)).await?;
    out.push(log.prove(Role::Attack, t("其写操作同样被拒绝(403)", "what it writes is refused too (403)"), same(format!("{} {}", write.status, message(&write))), whether(write.status == 403)));

    let query = format!("since={}&subject={}&limit=500", lab.since, escape(user));
    let mut log = lab.log(format!("GET /api/v1/ledger?{query}"));
    let pair = |rs: &[Value]| {
        let alarm = rs.iter().find(|r| r["kind"] == "alarm" && r["detail"].to_string().contains(rule))?.clone();
        rs.iter().find(|r| r["kind"] == "interception" && r["action"] == "subject-blocked" && r["decision"] == alarm["decision"]).map(|i| (alarm.clone(), i.clone()))
    };
    let records = trail::find(lab.target, &mut log, &query, |rs| pair(rs).is_some()).await?;
    let found = pair(&records);
    out.push(log.prove(
        Role::Trace,
        t("告警与拦截记录,同一裁决,含主体、来源地址与所用规则", "alarm and interception, one decision, with subject, source address and rule"),
        match &found {
            Some((alarm, _)) => same(trail::line(alarm)),
            None => t(format!("{} 条记录,未配对", records.len()), format!("{} records, no pair", records.len())),
        },
        whether(found.as_ref().is_some_and(|(alarm, _)| alarm["source"].is_string())),
    ));
    let mut log = lab.log("end the block; ask again");
    let shown = lab.get(&mut log, Security, &clusters).await?;
    let ids: Vec<String> = shown["blocked"].as_object().into_iter().flatten().filter(|(_, b)| b["user"] == user).map(|(id, _)| id.clone()).collect();
    for id in &ids {
        lab.target.act(&mut log, As::Admin(Security), Method::DELETE, &format!("{clusters}/blocked/{}", escape(id)), None).await?;
    }
    let begun = tokio::time::Instant::now();
    let again = loop {
        let reply = field.cluster.ask(&mut log, Who::Token(token), Method::GET, &maps, None).await?;
        if reply.status == 200 || begun.elapsed() > REACH {
            break reply;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    out.push(log.prove(
        Role::Control,
        t("对照:解除阻断后同一请求又被接受(200)", "control: with the block ended the same request is served again (200)"),
        same(again.status.to_string()),
        whether(again.status == 200),
    ));
    Ok(())
}

/// AU-2.S1 in a cluster: objects are made, changed and destroyed; each act is found.
pub(super) async fn platform_use(lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    let field = lab.field()?;
    let mut log = field.cluster.log("create, patch and delete: configmap, secret, serviceaccount, role, networkpolicy");
    let named = |api: &str, kind: &str, more: Value| {
        let mut object = json!({"apiVersion": api, "kind": kind, "metadata": {"name": "audited"}});
        if let (Some(object), Some(more)) = (object.as_object_mut(), more.as_object()) {
            object.extend(more.clone());
        }
        object
    };
    let secret = jinwu_trust::random::password(24);
    let objects = [
        ("configmaps", named("v1", "ConfigMap", json!({"data": {"a": "b"}}))),
        ("secrets", named("v1", "Secret", json!({"stringData": {"password": secret}}))),
        ("serviceaccounts", named("v1", "ServiceAccount", json!({}))),
        ("roles", named("rbac.authorization.k8s.io/v1", "Role", json!({"rules": []}))),
        ("networkpolicies", named("networking.k8s.io/v1", "NetworkPolicy", json!({"spec": {"podSelector": {"matchLabels": {"app": "nothing"}}}}))),
    ];
    let mut deeds: Vec<(&str, String)> = Vec::new();
    for (resource, object) in &objects {
        field.make(&mut log, resource, object).await?;
        let path = field.at(&format!("{resource}/audited"));
        field.cluster.act(&mut log, Who::Operator, Method::PATCH, &path, Some(&json!({"metadata": {"labels": {"changed": "yes"}}}))).await?;
        field.drop(&mut log, resource, "audited").await?;
        let kind = if *resource == "networkpolicies" { "networkpolicy" } else { resource.trim_end_matches('s') };
        deeds.extend(["create", "patch", "delete"].map(|verb| (verb, format!("{kind}:{}/audited", field.namespace))));
    }
    out.push(log.prove(
        Role::Control,
        t("创建、更新、销毁操作确已发生", "the creations, changes and destructions did happen"),
        t(format!("{} 项操作", deeds.len()), format!("{} acts", deeds.len())),
        Answer::Affirmative,
    ));
    let query = format!("kind=cluster&since={}&subject={}&limit=2000", lab.since, escape(&field.cluster.operator));
    let mut log = lab.log(format!("GET /api/v1/ledger?{query}"));
    let is = |r: &Value, (verb, object): &(&str, String)| {
        trail::is_complete(r) && r["action"] == *verb && r["object"] == object.as_str() && r["source"].is_string() && r["outcome"] == "success" && r["detail"]["cluster"] == field.cluster.name.as_str()
    };
    let records = trail::find(lab.target, &mut log, &query, |rs| deeds.iter().all(|d| rs.iter().any(|r| is(r, d)))).await?;
    let missing: Vec<String> = deeds.iter().filter(|d| !records.iter().any(|r| is(r, d))).map(|(v, o)| format!("{v} {o}")).collect();
    out.push(log.prove(
        Role::Trace,
        t(format!("集群中每项操作均有记录(时间、主体 {}、客体、来源地址、结果)", field.cluster.operator), format!("every act in the cluster is recorded (time, subject {}, object, source address, result)", field.cluster.operator)),
        if missing.is_empty() { t(format!("{} 条均找到", deeds.len()), format!("all {} found", deeds.len())) } else { same(format!("missing: {}", missing.join("; "))) },
        whether(missing.is_empty()),
    ));
    let mut log = lab.log("GET /api/v1/ledger (the secret's content)");
    let all = trail::find(lab.target, &mut lab.log(""), &query, |_| true).await?;
    let leaked = all.iter().any(|r| r.to_string().contains(&secret));
    log.note(&format!("# {} records looked through", all.len()));
    out.push(log.prove(Role::State, t("机密的内容不在记录中", "the secret's content is in no record"), if leaked { t("在", "it is") } else { t("不在", "it is not") }, whether(!leaked)));
    Ok(())
}
