//! Policies and exceptions.

use crate::client::escape;
use crate::{Common, output, session};
use clap::Subcommand;
use http::Method;
use jinwu_identity::AdminRole::{SecurityAdministrator as Security, SystemAdministrator as System};
use jinwu_model::Mode;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Subcommand)]
pub(crate) enum Policy {
    /// 全部策略,或项目内的模式 / all policies, or their modes in a project
    List {
        #[arg(long)]
        project: Option<String>,
    },
    /// 切换模式:放行/告警/拦截,或 default / switch: allow, alert, block, or default
    Set { project: String, policy: String, mode: String },
    /// 检查策略文件 / check a policy file
    Check { file: PathBuf },
    /// 添加或替换自定义策略 / add or replace a custom policy
    Add { file: PathBuf },
    /// 删除自定义策略 / remove a custom policy
    Remove { policy: String },
}

#[derive(Subcommand)]
pub(crate) enum Exception {
    List,
    /// 申请例外 / propose an exception
    Propose {
        policy: String,
        #[arg(long)]
        digest: Option<String>,
        #[arg(long)]
        repository: Option<String>,
        #[arg(long)]
        project: Option<String>,
        /// 仅在集群的此命名空间 / only in this namespace of clusters
        #[arg(long)]
        namespace: Option<String>,
        /// 仅此工作负载,如 deployment/web / only this workload
        #[arg(long)]
        workload: Option<String>,
        /// 仅此集群 / only this cluster
        #[arg(long)]
        cluster: Option<String>,
        /// 仅限此发现(CVE、规则、变量)/ only this finding
        #[arg(long)]
        finding: Option<String>,
        #[arg(long)]
        reason: String,
        #[arg(long, default_value_t = 30)]
        days: i64,
    },
    Approve { id: String },
    Remove { id: String },
}

pub(crate) async fn policy(common: &Common, command: Policy) -> anyhow::Result<ExitCode> {
    let client = session::open(common, Security).await?;
    let lang = common.lang;
    let answer = match command {
        Policy::List { project } => {
            let path = project.as_ref().map_or("/policies".to_owned(), |p| format!("/projects/{}/policies", escape(p)));
            let answer = client.get(&path).await?;
            if common.json {
                output::json(&answer);
                return Ok(ExitCode::SUCCESS);
            }
            let rows = answer["policies"].as_array().into_iter().flatten().map(|p| row(common, p, project.is_some())).collect::<Vec<_>>();
            let header = match (lang, project.is_some()) {
                (output::Lang::Zh, true) => ["策略", "条款", "模式", "缺省", "名称"],
                (output::Lang::Zh, false) => ["策略", "条款", "一至四级缺省", "内置", "名称"],
                (output::Lang::En, true) => ["policy", "clauses", "mode", "default", "title"],
                (output::Lang::En, false) => ["policy", "clauses", "defaults 1-4", "built in", "title"],
            };
            output::table(&header, &rows);
            return Ok(ExitCode::SUCCESS);
        }
        Policy::Set { project, policy, mode } => {
            let mode = if mode == "default" { None } else { Some(mode.parse::<Mode>().map_err(anyhow::Error::msg)?) };
            client.call(Method::PUT, &format!("/projects/{}/policies/{}", escape(&project), escape(&policy)), Some(&json!({ "mode": mode }))).await?
        }
        Policy::Check { file } => client.post("/policies/check", &json!({"yaml": std::fs::read_to_string(file)?})).await?,
        Policy::Add { file } => client.post("/policies", &json!({"yaml": std::fs::read_to_string(file)?})).await?,
        Policy::Remove { policy } => client.call(Method::DELETE, &format!("/policies/{}", escape(&policy)), None).await?,
    };
    output::json(&answer);
    Ok(ExitCode::SUCCESS)
}

fn row(common: &Common, policy: &Value, in_project: bool) -> Vec<String> {
    let mode = |value: &Value| {
        let mode = value.as_str().and_then(|m| m.parse::<Mode>().ok());
        mode.map_or(String::new(), |m| common.lang.pick(m.zh(), m.as_str()).to_owned())
    };
    let clauses = policy["clauses"].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(",");
    let (third, fourth) = if in_project {
        (mode(&policy["mode"]), mode(&policy["default"]))
    } else {
        (["1", "2", "3", "4"].map(|l| mode(&policy["modes"][l])).join("/"), output::text(policy, "builtin"))
    };
    vec![output::text(policy, "id"), clauses, third, fourth, common.lang.of(&policy["title"])]
}

pub(crate) async fn exception(common: &Common, command: Exception) -> anyhow::Result<ExitCode> {
    let answer = match command {
        Exception::List => session::open(common, Security).await?.get("/exceptions").await?,
        Exception::Propose { policy, digest, repository, project, namespace, workload, cluster, finding, reason, days } => {
            let body = json!({
                "policy": policy, "digest": digest, "repository": repository, "project": project,
                "namespace": namespace, "workload": workload, "cluster": cluster, "finding": finding, "reason": reason, "days": days,
            });
            session::open(common, System).await?.post("/exceptions", &body).await?
        }
        Exception::Approve { id } => session::open(common, Security).await?.post(&format!("/exceptions/{}/approve", escape(&id)), &json!({})).await?,
        Exception::Remove { id } => {
            session::open(common, Security).await?.call(Method::DELETE, &format!("/exceptions/{}", escape(&id)), None).await?
        }
    };
    output::json(&answer);
    Ok(ExitCode::SUCCESS)
}
