//! Taking Jinwu out of a cluster.

use super::inspect::{Access, pick};
use crate::client::{Client, escape};
use crate::output::{self, say};
use crate::{Common, session};
use http::Method;
use jinwu_cluster::apiserver::take_back;
use jinwu_cluster::uninstall::{Done, uninstall};
use jinwu_identity::AdminRole::SystemAdministrator as System;
use serde_json::{Value, json};
use std::process::ExitCode;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// 集群名 / the cluster
    name: String,
    #[command(flatten)]
    access: Access,
    /// 此后从服务端删除该集群的登记 / then remove the cluster from the server, too
    #[arg(long)]
    forget: bool,
}

pub(super) async fn run(common: &Common, a: Arguments) -> anyhow::Result<ExitCode> {
    let server = session::open(common, System).await?;
    let path = format!("/clusters/{}", escape(&a.name));
    let known = server.get(&path).await.ok();
    let cluster = a.access.client().await?;
    // Nothing happens that is not recorded.
    record(&server, &path, "begin", &[]).await?;
    let mut done = Vec::new();
    let result = uninstall(&cluster, &mut |d| {
        if !common.json {
            print(common, d);
        }
        done.push(d.clone());
    })
    .await;
    let stage = if result.is_ok() { "end" } else { "stopped" };
    record(&server, &path, stage, &done).await?;
    result?;
    if a.forget && known.is_some() {
        server.call(Method::DELETE, &path, None).await?;
    }
    report(common, &done, known.as_ref(), a.forget);
    Ok(ExitCode::SUCCESS)
}

async fn record(server: &Client, path: &str, stage: &str, done: &[Done]) -> anyhow::Result<()> {
    let (removed, kept) = split(done);
    server.post(&format!("{path}/uninstall"), &json!({"stage": stage, "removed": removed, "kept": kept})).await.map(drop)
}

fn split(done: &[Done]) -> (Vec<&str>, Vec<&str>) {
    let removed = done.iter().filter_map(|d| if let Done::Removed(object) = d { Some(object.as_str()) } else { None });
    let kept = done.iter().filter_map(|d| if let Done::Kept(object, _) = d { Some(object.as_str()) } else { None });
    (removed.collect(), kept.collect())
}

fn print(common: &Common, done: &Done) {
    match done {
        Done::Removed(object) => say!("{}  {object}", common.lang.pick("已删除", "removed")),
        Done::Kept(object, why) => say!("{}  {object}: {}", common.lang.pick("未删除", "kept"), pick(common, why)),
    }
}

fn report(common: &Common, done: &[Done], known: Option<&Value>, forgotten: bool) {
    // Times of the last batch and of the last question, unix milliseconds; 0: never.
    let asked = |pointer: &str| known.and_then(|k| k.pointer(pointer)).and_then(Value::as_i64).unwrap_or(0) > 0;
    let attached = asked("/watch/audit/webhook") || asked("/watch/authorizer/asked");
    let steps: Vec<String> = take_back().iter().map(|t| pick(common, t)).collect();
    if common.json {
        let (removed, _) = split(done);
        let kept: Vec<Value> = done.iter().filter_map(|d| if let Done::Kept(object, why) = d { Some(json!({"object": object, "why": why})) } else { None }).collect();
        output::json(&json!({"removed": removed, "kept": kept, "api_server": {"attached": attached, "take_back": take_back()}, "forgotten": forgotten && known.is_some()}));
        return;
    }
    if done.is_empty() {
        say!("{}", common.lang.pick("集群中没有金吾的对象", "nothing of Jinwu's is in the cluster"));
    }
    say!("{}", match attached {
        true => common.lang.pick("API server 仍配置为向关口送审计事件、询问授权,请改回:", "the API server is still set to send audit events to the gate and to ask it who may; take that back:"),
        false => common.lang.pick("若曾按 jinwu cluster apiserver 配置 API server,请改回:", "if the API server was set up by jinwu cluster apiserver, take that back:"),
    });
    for (n, step) in steps.iter().enumerate() {
        say!("  {}. {step}", n + 1);
    }
    if !forgotten && known.is_some() {
        say!("{}", common.lang.pick("服务端仍保留该集群的设置(--forget 一并删除)", "the server keeps the cluster's settings (--forget removes them too)"));
    }
}
