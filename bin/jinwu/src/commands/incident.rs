//! Incidents: what sensors' alarms came to, and how it was dealt with.

use super::people::act;
use crate::client::escape;
use crate::output::{say, text, time};
use crate::{Common, output, session};
use clap::Subcommand;
use http::Method;
use jinwu_identity::AdminRole::SecurityAdministrator as Security;
use serde_json::{Value, json};
use std::process::ExitCode;

#[derive(Subcommand)]
pub(crate) enum Incident {
    /// 全部事件,最近的在前 / all incidents, the latest first
    List {
        /// open、handled 或 closed / open, handled or closed
        #[arg(long)]
        state: Option<String>,
    },
    /// 一个事件与其时间线 / an incident and its timeline
    Show { id: String },
    /// 记事 / a note
    Note {
        id: String,
        text: String,
        /// 同时记为已处置 / it is handled by now
        #[arg(long, conflicts_with = "reopen")]
        handled: bool,
        /// 同时改回未处置 / it is open again
        #[arg(long)]
        reopen: bool,
    },
    /// 结案;四项都须填写 / close; all four must be given
    Close {
        id: String,
        /// 入侵途径 / way of intrusion
        #[arg(long, default_value = "")]
        intrusion: String,
        /// 影响 / impact
        #[arg(long, default_value = "")]
        impact: String,
        /// 恢复 / recovery
        #[arg(long, default_value = "")]
        recovery: String,
        /// 更换的密钥 / exchanged keys
        #[arg(long, default_value = "")]
        keys: String,
    },
}

pub(crate) async fn incident(common: &Common, command: Incident) -> anyhow::Result<ExitCode> {
    let of = |id: &str, rest: &str| format!("/incidents/{}{rest}", escape(id));
    let (path, body) = match command {
        Incident::List { state } => return list(common, state.as_deref()).await,
        Incident::Show { id } => return show(common, &id).await,
        Incident::Note { id, text, handled, reopen } => {
            let state = if handled { Some("handled") } else { reopen.then_some("open") };
            (of(&id, "/notes"), json!({"text": text, "state": state}))
        }
        Incident::Close { id, intrusion, impact, recovery, keys } => {
            (of(&id, "/close"), json!({"intrusion": intrusion, "impact": impact, "recovery": recovery, "keys": keys}))
        }
    };
    act(common, Security, Method::POST, path, Some(body)).await
}

fn state(common: &Common, value: &Value) -> String {
    let state = text(value, "state");
    let zh = match state.as_str() {
        "open" => "未处置",
        "handled" => "已处置",
        "closed" => "已结案",
        other => other,
    };
    common.lang.pick(zh, &state).to_owned()
}

async fn list(common: &Common, wanted: Option<&str>) -> anyhow::Result<ExitCode> {
    let query = wanted.map(|s| format!("?state={}", escape(s))).unwrap_or_default();
    let answer = session::open(common, Security).await?.get(&format!("/incidents{query}")).await?;
    if common.json {
        output::json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = answer["incidents"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|i| {
            let rules = i["rules"].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(", ");
            let at = |member: &str| time(i[member].as_i64().unwrap_or(0));
            vec![text(i, "id"), state(common, i), text(i, "workload"), text(i, "count"), at("first"), at("last"), rules]
        })
        .collect();
    let header = match common.lang {
        output::Lang::Zh => ["编号", "状态", "工作负载", "告警", "首次", "最近", "规则"],
        output::Lang::En => ["id", "state", "workload", "alarms", "first", "last", "rules"],
    };
    output::table(&header, &rows);
    Ok(ExitCode::SUCCESS)
}

async fn show(common: &Common, id: &str) -> anyhow::Result<ExitCode> {
    let answer = session::open(common, Security).await?.get(&format!("/incidents/{}", escape(id))).await?;
    if common.json {
        output::json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    let pick = |zh: &'static str, en: &'static str| common.lang.pick(zh, en);
    say!("{} {} {} ({} {})", text(&answer, "id"), state(common, &answer), text(&answer, "workload"), text(&answer, "count"), pick("条告警", "alarms"));
    let rows: Vec<Vec<String>> = answer["timeline"].as_array().into_iter().flatten().map(|line| row(common, line)).collect();
    output::table(&[pick("时间", "time"), pick("什么", "what"), pick("谁/哪里", "who or where"), pick("内容", "said"), pick("决定", "decision")], &rows);
    if let Some(closing) = answer["closing"].as_object() {
        for (member, zh, en) in [("intrusion", "入侵途径", "way of intrusion"), ("impact", "影响", "impact"), ("recovery", "恢复", "recovery"), ("keys", "更换的密钥", "exchanged keys")] {
            say!("{}: {}", common.lang.pick(zh, en), closing.get(member).and_then(Value::as_str).unwrap_or_default());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A line of the timeline.
fn row(common: &Common, line: &Value) -> Vec<String> {
    let pick = |zh: &str, en: &str| common.lang.pick(zh, en).to_owned();
    let when = time(line["time"].as_i64().unwrap_or(0));
    let place = || format!("{}/{}", text(line, "node"), text(line, "container").chars().take(12).collect::<String>());
    match line["what"].as_str().unwrap_or_default() {
        "alarm" => vec![when, format!("{} {}", pick("告警", "alarm"), text(line, "rule")), place(), text(line, "output"), text(line, "decision")],
        "response" => {
            let done = if line["done"] == true { pick("已执行", "done") } else { pick("未成功", "failed") };
            let said = format!("{done}: {} ({})", text(line, "said"), text(line, "reason"));
            vec![when, format!("{} {}", pick("响应", "response"), text(line, "response")), format!("{} → {}", text(line, "by"), place()), said, text(line, "entry")]
        }
        _ => {
            let to = if line["state"].is_string() { format!(" → {}", state(common, line)) } else { String::new() };
            vec![when, format!("{}{to}", pick("记事", "note")), text(line, "by"), text(line, "text"), String::new()]
        }
    }
}
