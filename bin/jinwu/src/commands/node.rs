//! Nodes: letting them in, what their sensors do, responses.

use super::people::act;
use crate::client::escape;
use crate::output::{say, text, time};
use crate::{Common, output, session};
use anyhow::Context as _;
use clap::Subcommand;
use http::Method;
use jinwu_identity::AdminRole::SecurityAdministrator as Security;
use jinwu_model::Mode;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Subcommand)]
pub(crate) enum Node {
    /// 全部节点与其传感器 / all nodes and their sensors
    List,
    /// 一个节点:状态、能力、证书 / a node: state, what its kernel can do, certificates
    Show { node: String },
    /// 签发一次性登记码,只显示这一次 / issue a one-time code to enrol a node, shown this once
    Code {
        node: String,
        /// 有效期,如 30m、1h,最长 24h / how long it stands, such as 30m or 1h, 24h at most
        #[arg(long, default_value = "1h", value_parser = minutes)]
        valid: i64,
        /// 节点所属集群 / cluster the node belongs to
        #[arg(long, default_value = "")]
        cluster: String,
    },
    /// 移除节点,其证书立即失效 / remove a node; its certificates end at once
    Remove { node: String },
    /// 查看设置,或以 JSON 文件替换 / show settings, or replace them by a JSON file
    Settings {
        /// 一个节点;缺省为全部节点 / one node; all nodes by default
        #[arg(long, default_value = "*")]
        node: String,
        /// 新设置的 JSON 文件 / JSON file of the new settings
        #[arg(long)]
        file: Option<PathBuf>,
    },
    /// 切换规则、规则组(tag:名称)或 drift、privileged、malware:放行/告警/拦截,或 default / switch a rule, a group after tag:, or drift, privileged, malware
    Mode {
        name: String,
        mode: String,
        /// 一个节点;缺省为全部节点 / one node; all nodes by default
        #[arg(long, default_value = "*")]
        node: String,
    },
    /// 节点上的容器与资源使用 / a node's containers and what they use
    Containers { node: String },
    /// 对容器下达响应:snapshot、kill、pause、resume、stop、isolate、release / order a response to a container
    Respond {
        node: String,
        /// 容器编号,或其前八位以上 / the container's id, or its first eight characters or more
        container: String,
        response: String,
        #[arg(long)]
        reason: String,
        /// 节点上的进程号,用于 kill / the process's number on the node, for kill
        #[arg(long)]
        pid: Option<u32>,
        /// 所属决定或事件;缺省为该容器最近的事件 / decision or incident it belongs to; the container's newest incident by default
        #[arg(long)]
        decision: Option<String>,
    },
    /// 下达过的响应与结果 / responses that were ordered, and what became of them
    Responses { node: String },
}

/// `30m`, `1h`, or minutes.
fn minutes(text: &str) -> Result<i64, String> {
    let (number, unit) = match text.strip_suffix('h') {
        Some(hours) => (hours, 60),
        None => (text.strip_suffix('m').unwrap_or(text), 1),
    };
    let wrong = || format!("{text:?}: 应形如 30m 或 1h / expected something like 30m or 1h");
    number.parse::<i64>().ok().and_then(|n| n.checked_mul(unit)).filter(|n| *n > 0).ok_or_else(wrong)
}

pub(crate) async fn node(common: &Common, command: Node) -> anyhow::Result<ExitCode> {
    let scope = |scope: &str, rest: &str| format!("/node-settings/{}{rest}", escape(scope));
    let (method, path, body) = match command {
        Node::List => return list(common).await,
        Node::Show { node } => return show(common, &node).await,
        Node::Code { node, valid, cluster } => return code(common, &json!({"node": node, "minutes": valid, "cluster": cluster})).await,
        Node::Containers { node } => return super::top::once(common, Some(&node)).await,
        Node::Responses { node } => return responses(common, &node).await,
        Node::Settings { node, file: None } => {
            output::json(&session::open(common, Security).await?.get(&scope(&node, "")).await?);
            return Ok(ExitCode::SUCCESS);
        }
        Node::Remove { node } => (Method::DELETE, format!("/nodes/{}", escape(&node)), None),
        Node::Settings { node, file: Some(file) } => {
            let given = std::fs::read(&file).with_context(|| file.display().to_string())?;
            let members: Value = serde_json::from_slice(&given).with_context(|| format!("{}: 不是 JSON / is not JSON", file.display()))?;
            (Method::PUT, scope(&node, ""), Some(members))
        }
        Node::Mode { name, mode, node } => {
            let mode = if mode == "default" { None } else { Some(mode.parse::<Mode>().map_err(anyhow::Error::msg)?) };
            (Method::PUT, scope(&node, &format!("/modes/{}", escape(&name))), Some(json!({ "mode": mode })))
        }
        Node::Respond { node, container, response, reason, pid, decision } => {
            let body = json!({"response": response, "reason": reason, "pid": pid, "decision": decision});
            (Method::POST, format!("/nodes/{}/containers/{}/responses", escape(&node), escape(&container)), Some(body))
        }
    };
    act(common, Security, method, path, body).await
}

async fn list(common: &Common) -> anyhow::Result<ExitCode> {
    let answer = session::open(common, Security).await?.get("/nodes").await?;
    if common.json {
        output::json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = answer["nodes"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|n| {
            let settings = if n["current"] == true { common.lang.pick("最新", "up to date") } else { common.lang.pick("较旧", "older") };
            let cells = ["version", "rung", "containers", "events", "lost", "waiting"].map(|m| text(n, m));
            let mut row = vec![text(n, "name"), text(n, "cluster"), heard(common, n), settings.to_owned()];
            row.extend(cells);
            row
        })
        .collect();
    let header = match common.lang {
        output::Lang::Zh => ["节点", "集群", "上报", "设置", "版本", "能力", "容器", "事件", "丢失", "待送"],
        output::Lang::En => ["node", "cluster", "heard", "settings", "version", "rung", "containers", "events", "lost", "waiting"],
    };
    output::table(&header, &rows);
    Ok(ExitCode::SUCCESS)
}

/// When a node was heard, and whether that is too long ago.
fn heard(common: &Common, node: &Value) -> String {
    let at = node["seen"].as_i64().map_or_else(|| "-".to_owned(), time);
    if node["heard"] == true { at } else { format!("{} {at}", common.lang.pick("静默", "silent")) }
}

async fn show(common: &Common, node: &str) -> anyhow::Result<ExitCode> {
    let answer = session::open(common, Security).await?.get(&format!("/nodes/{}", escape(node))).await?;
    if common.json {
        output::json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    let pick = |zh: &str, en: &str| common.lang.pick(zh, en).to_owned();
    let names = |member: &str| answer[member].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(", ");
    let when = |member: &str| answer[member].as_i64().map_or_else(|| "-".to_owned(), time);
    let mut rows = vec![
        vec![pick("节点", "node"), text(&answer, "name")],
        vec![pick("集群", "cluster"), text(&answer, "cluster")],
        vec![pick("登记", "enrolled"), when("enrolled")],
        vec![pick("证书至", "certificate until"), when("certificate_until")],
        vec![pick("上报", "heard"), heard(common, &answer)],
        vec![pick("版本", "version"), text(&answer, "version")],
        vec![pick("能力", "rung"), text(&answer, "rung")],
        vec![pick("容器", "containers"), text(&answer, "containers")],
        vec![pick("已隔离", "isolated"), names("isolated")],
        vec![pick("已暂停", "paused"), names("paused")],
    ];
    for note in answer["capabilities"]["notes"].as_array().into_iter().flatten() {
        let can = if note["can"] == true { pick("能", "can") } else { pick("不能", "cannot") };
        rows.push(vec![format!("{can} {}", text(note, "what")), text(note, "why")]);
    }
    output::table(&["", ""], &rows);
    Ok(ExitCode::SUCCESS)
}

async fn code(common: &Common, body: &Value) -> anyhow::Result<ExitCode> {
    let answer = session::open(common, Security).await?.post("/node-codes", body).await?;
    if common.json {
        output::json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    let until = time(answer["expires"].as_i64().unwrap_or(0));
    match common.lang {
        output::Lang::Zh => say!("节点 {} 的登记码(只显示这一次,用一次,{until} 前有效):", text(&answer, "node")),
        output::Lang::En => say!("code of node {} (shown this once, good once, until {until}):", text(&answer, "node")),
    }
    say!("{}", text(&answer, "code"));
    Ok(ExitCode::SUCCESS)
}

async fn responses(common: &Common, node: &str) -> anyhow::Result<ExitCode> {
    let answer = session::open(common, Security).await?.get(&format!("/nodes/{}/responses", escape(node))).await?;
    if common.json {
        output::json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = answer["responses"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|r| {
            let c = &r["command"];
            let container: String = text(c, "container").chars().take(12).collect();
            let when = time(c["issued"].as_i64().unwrap_or(0));
            vec![text(c, "id"), when, text(c, "response"), container, state(common, &text(r, "state")), text(c, "by"), text(c, "reason"), text(&r["answer"], "said")]
        })
        .collect();
    let header = match common.lang {
        output::Lang::Zh => ["编号", "时间", "响应", "容器", "状态", "下达者", "理由", "结果"],
        output::Lang::En => ["id", "time", "response", "container", "state", "by", "reason", "said"],
    };
    output::table(&header, &rows);
    Ok(ExitCode::SUCCESS)
}

fn state(common: &Common, state: &str) -> String {
    let zh = match state {
        "open" => "待执行",
        "done" => "已执行",
        "failed" => "未成功",
        "expired" => "已过期",
        other => other,
    };
    common.lang.pick(zh, state).to_owned()
}
