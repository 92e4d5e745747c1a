//! Reports and upkeep of the registry.

use crate::output::say;
use crate::client::escape;
use crate::{Common, output, session};
use clap::Subcommand;
use jinwu_identity::AdminRole::{SecurityAdministrator as Security, SystemAdministrator as System};
use serde_json::json;
use std::process::ExitCode;

#[derive(Subcommand)]
pub(crate) enum Registry {
    /// 回收无引用的内容 / collect unreferenced content
    Collect,
    /// 重新校验全部内容 / read and verify all content again
    Scrub,
}

pub(crate) async fn registry(common: &Common, command: Registry) -> anyhow::Result<ExitCode> {
    let client = session::open(common, System).await?;
    let path = match command {
        Registry::Collect => "/registry/collect",
        Registry::Scrub => "/registry/scrub",
    };
    let answer = client.post(path, &json!({})).await?;
    output::json(&answer);
    let damaged = answer["damaged"].as_array().is_some_and(|d| !d.is_empty());
    Ok(if damaged { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

pub(crate) async fn report(common: &Common, image: &str) -> anyhow::Result<ExitCode> {
    let (repository, reference) = match image.split_once('@') {
        Some(parts) => parts,
        None => image.rsplit_once(':').ok_or_else(|| anyhow::anyhow!("{image}: 应为 仓库:标签 或 仓库@摘要 / expected repository:tag or repository@digest"))?,
    };
    let client = session::open(common, Security).await?;
    let answer = client.get(&format!("/report?repository={}&reference={}", escape(repository), escape(reference))).await?;
    if common.json {
        output::json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    let (report, decision, lang) = (&answer["report"], &answer["decision"], common.lang);
    say!("{}: {}", lang.pick("镜像", "image"), output::text(report, "image"));
    say!("{}: {}", lang.pick("系统", "system"), report["os"]["name"].as_str().unwrap_or("-"));
    let day = report["advisories_as_of"].as_str().unwrap_or("-");
    let unknown = report["unknown_packages"].as_array().map_or(0, Vec::len);
    say!("{}: {} ({} {day}, {} {unknown})", lang.pick("覆盖", "coverage"), output::text(&report["coverage"], "state"), lang.pick("数据截至", "data as of"), lang.pick("无数据的软件源", "sources without data"));
    let count = |member: &str| report[member].as_array().map_or(0, Vec::len);
    say!(
        "{}: {}  {}: {}  {}: {}  {}: {}",
        lang.pick("软件包", "packages"),
        count("packages"),
        lang.pick("漏洞", "vulnerabilities"),
        count("vulnerabilities"),
        lang.pick("敏感信息", "secrets"),
        count("secrets"),
        lang.pick("恶意代码", "malware"),
        count("malware"),
    );
    let permit = decision["permit"].as_bool() == Some(true);
    say!("{}: {}", lang.pick("裁决", "decision"), if permit { lang.pick("放行", "permitted") } else { lang.pick("拦截", "refused") });
    let rows: Vec<Vec<String>> = decision["violations"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|v| vec![output::text(v, "policy"), output::text(v, "mode"), lang.of(&v["finding"]), lang.of(&v["advice"])])
        .collect();
    let header = match lang {
        output::Lang::Zh => ["策略", "模式", "发现", "处置"],
        output::Lang::En => ["policy", "mode", "finding", "fix"],
    };
    output::table(&header, &rows);
    Ok(ExitCode::SUCCESS)
}

