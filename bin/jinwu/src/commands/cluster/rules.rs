//! Detection rules over a cluster's audit events.

use super::{Common, Method, Security, act, escape, output, parse, session};
use clap::Subcommand;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Subcommand)]
pub(crate) enum Rules {
    /// 全部规则与模式 / all rules and their modes
    List { cluster: String },
    /// 切换规则或规则组(tag:名称):放行/告警/拦截,或 default / switch a rule, or a group after tag:
    Set { cluster: String, rule: String, mode: String },
    /// 添加或替换规则文件(Falco 格式);名称取自文件名 / add or replace a rule file in Falco's format, named by its file name
    Add { cluster: String, file: PathBuf },
    /// 删除规则文件 / remove a rule file
    Remove { cluster: String, name: String },
}

pub(super) async fn run(common: &Common, command: Rules) -> anyhow::Result<ExitCode> {
    let of = |cluster: &str, list: &str, name: &str| format!("/clusters/{}/{list}/{}", escape(cluster), escape(name));
    let (method, path, body) = match command {
        Rules::List { cluster } => return list(common, &cluster).await,
        Rules::Set { cluster, rule, mode } => (Method::PUT, of(&cluster, "rules", &rule), Some(json!({"mode": parse(&mode)?}))),
        Rules::Add { cluster, file } => {
            let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            let yaml = std::fs::read_to_string(&file).map_err(|e| anyhow::anyhow!("{}: {e}", file.display()))?;
            (Method::PUT, of(&cluster, "rule-files", &name), Some(json!({ "yaml": yaml })))
        }
        Rules::Remove { cluster, name } => (Method::DELETE, of(&cluster, "rule-files", &name), None),
    };
    act(common, Security, method, path, body).await
}

async fn list(common: &Common, cluster: &str) -> anyhow::Result<ExitCode> {
    let answer = session::open(common, Security).await?.get(&format!("/clusters/{}/rules", escape(cluster))).await?;
    if common.json {
        output::json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = answer["rules"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|r| {
            let title = match &r["guidance"]["title"] {
                Value::Null => String::new(),
                title => common.lang.of(title),
            };
            vec![output::text(r, "name"), super::print::mode(common, &r["mode"]), output::text(r, "priority"), title]
        })
        .collect();
    let header = match common.lang {
        output::Lang::Zh => ["规则", "模式", "优先级", "名称"],
        output::Lang::En => ["rule", "mode", "priority", "title"],
    };
    output::table(&header, &rows);
    Ok(ExitCode::SUCCESS)
}
