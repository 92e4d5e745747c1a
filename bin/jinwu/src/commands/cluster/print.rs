//! What the commands about clusters show.

use super::{Common, Mode, Security, System, Value, escape, output, session};
use crate::output::{say, text, time};
use std::process::ExitCode;

pub(super) async fn list(common: &Common) -> anyhow::Result<ExitCode> {
    let answer = session::open(common, System).await?.get("/clusters").await?;
    if common.json {
        output::json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = answer["clusters"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|c| {
            let gates = c["gates"].as_object().map_or(0, serde_json::Map::len).to_string();
            vec![text(c, "name"), text(c, "default_level"), mode(common, &c["enforcement"]["*"]), gates, time(c["created"].as_i64().unwrap_or(0))]
        })
        .collect();
    let header = match common.lang {
        output::Lang::Zh => ["集群", "等级", "缺省动作", "关口", "登记时间"],
        output::Lang::En => ["cluster", "level", "by default", "gates", "registered"],
    };
    output::table(&header, &rows);
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn show(common: &Common, name: &str) -> anyhow::Result<ExitCode> {
    let answer = session::open(common, Security).await?.get(&format!("/clusters/{}", escape(name))).await?;
    if common.json {
        output::json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    let pick = |zh: &str, en: &str| common.lang.pick(zh, en).to_owned();
    let list = |member: &str| answer[member].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(", ");
    let mut rows = vec![
        vec![pick("集群", "cluster"), text(&answer, "name")],
        vec![pick("缺省等级", "default level"), text(&answer, "default_level")],
        vec![pick("许可的其他仓库", "further registries"), list("registries")],
        vec![pick("可改等级者", "level setters"), list("level_setters")],
        vec![pick("沙箱运行时", "sandboxed runtimes"), list("sandboxed_runtimes")],
    ];
    let members = |value: &Value| value.as_object().cloned().unwrap_or_default();
    for (namespace, set) in members(&answer["enforcement"]) {
        rows.push(vec![format!("{} {namespace}", pick("动作", "enforcement")), mode(common, &set)]);
    }
    for (namespace, policies) in members(&answer["modes"]) {
        for (policy, set) in members(&policies) {
            rows.push(vec![format!("{} {namespace} {policy}", pick("策略", "policy")), mode(common, &set)]);
        }
    }
    for (id, c) in members(&answer["base_platform"]) {
        let approved = c["approver"].as_str().map_or_else(|| pick("待批准", "waits for approval"), str::to_owned);
        rows.push(vec![format!("{} {id}", pick("基础平台", "base platform")), format!("{} {} {approved}", text(&c, "namespace"), text(&c, "digest"))]);
    }
    for (id, b) in members(&answer["blocked"]) {
        rows.push(vec![format!("{} {id}", pick("拒绝", "blocked")), format!("{} → {}", text(&b, "user"), time(b["expires"].as_i64().unwrap_or(0)))]);
    }
    let when = |v: &Value| v.as_i64().filter(|t| *t > 0).map_or_else(|| "-".to_owned(), time);
    let (audit, authorizer) = (&answer["watch"]["audit"], &answer["watch"]["authorizer"]);
    let ok = |v: &Value| if v["canary_ok"] == true { pick("正常", "ok") } else { pick("静默", "silent") };
    rows.push(vec![
        pick("审计流", "audit stream"),
        format!("{} webhook={} file={} {}={}", ok(audit), when(&audit["webhook"]), when(&audit["file"]), pick("最近事件", "last event"), when(&audit["last_event"])),
    ]);
    rows.push(vec![pick("授权", "authoriser"), format!("{} {}={}", ok(authorizer), pick("最近询问", "last asked"), when(&authorizer["asked"]))]);
    for (gate, seen) in members(&answer["gates"]) {
        let status = &seen["status"];
        let current = status["generation"] == answer["generation"];
        let state = if current { pick("最新", "up to date") } else { pick("旧策略包", "an older bundle") };
        rows.push(vec![
            format!("{} {gate}", pick("关口", "gate")),
            format!(
                "{} {} {state} {}={} {}={}",
                text(status, "version"),
                time(seen["seen"].as_i64().unwrap_or(0)),
                pick("已审查", "reviews"),
                text(status, "reviews"),
                pick("待送", "waiting"),
                text(status, "waiting")
            ),
        ]);
    }
    output::table(&["", ""], &rows);
    say!("{}", text(&answer, "verify_key").trim_end());
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn entries(common: &Common, cluster: &str) -> anyhow::Result<ExitCode> {
    let answer = session::open(common, Security).await?.get(&format!("/clusters/{}/entries", escape(cluster))).await?;
    if common.json {
        output::json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = answer["entries"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|e| {
            let ways = e["ways"].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(",");
            let until = e["expires"].as_i64().map(time).unwrap_or_default();
            let place = format!("{}/{}", text(e, "namespace"), text(e, "pod"));
            vec![text(e, "id"), state(common, &text(e, "state")), text(e, "person"), place, ways, text(e, "proposer"), until, text(e, "reason")]
        })
        .collect();
    let header = match common.lang {
        output::Lang::Zh => ["编号", "状态", "进入者", "位置", "方式", "申请人", "到期", "理由"],
        output::Lang::En => ["id", "state", "person", "where", "ways", "proposer", "until", "reason"],
    };
    output::table(&header, &rows);
    Ok(ExitCode::SUCCESS)
}

/// Posts what answers with a secret, and shows it with what to do with it.
pub(super) async fn secret(common: &Common, path: &str, body: &Value) -> anyhow::Result<ExitCode> {
    let answer = session::open(common, System).await?.post(path, body).await?;
    if common.json {
        output::json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    say!("{}", common.lang.pick("密钥(只显示这一次,交给该集群的关口):", "secret (shown this once; for the cluster's gates):"));
    say!("{}", text(&answer, "secret"));
    say!("{}", common.lang.pick("策略包的验证公钥:", "key that verifies bundles:"));
    say!("{}", text(&answer, "verify_key").trim_end());
    Ok(ExitCode::SUCCESS)
}

pub(super) fn mode(common: &Common, value: &Value) -> String {
    let mode = value.as_str().and_then(|m| m.parse::<Mode>().ok());
    mode.map_or(String::new(), |m| common.lang.pick(m.zh(), m.as_str()).to_owned())
}

fn state(common: &Common, state: &str) -> String {
    let zh = match state {
        "proposed" => "待批准",
        "lapsed" => "逾期未批",
        "standing" => "有效",
        "expired" => "已到期",
        "revoked" => "已撤销",
        other => other,
    };
    common.lang.pick(zh, state).to_owned()
}
