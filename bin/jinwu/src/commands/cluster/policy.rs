//! Users' ValidatingAdmissionPolicies in the gates of a cluster.

use super::{Common, Method, Security, act, escape, output, session};
use crate::output::{say, text};
use anyhow::Context as _;
use clap::Subcommand;
use jinwu_cluster::install::{ParamRight, param_rights};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Subcommand)]
pub(crate) enum Policy {
    /// 添加或替换策略文件;集群 '*' 为全部集群;名称取自文件名 / add or replace a file of policies, named by its file name; cluster '*' is all
    Add { cluster: String, file: PathBuf },
    /// 策略、绑定、参数与模式 / policies, bindings, parameters and modes
    List { cluster: String },
    /// 一个策略文件的原文 / a file of policies as it was given
    Show { cluster: String, name: String },
    /// 删除策略文件 / remove a file of policies
    Remove { cluster: String, name: String },
    /// 打印关口读取集群中参数所需的权限,交给 kubectl apply -f - / print the rights the gate needs to read parameters in the cluster, for kubectl apply -f -
    Rights {
        cluster: String,
        #[arg(long, env = "KUBECONFIG")]
        kubeconfig: Option<PathBuf>,
    },
}

pub(super) async fn run(common: &Common, command: Policy) -> anyhow::Result<ExitCode> {
    match command {
        Policy::Add { cluster, file } => add(common, &cluster, file).await,
        Policy::List { cluster } => list(common, &cluster).await,
        Policy::Show { cluster, name } => show(common, &cluster, &name).await,
        Policy::Remove { cluster, name } => act(common, Security, Method::DELETE, file_path(&cluster, &name), None).await,
        Policy::Rights { cluster, kubeconfig } => rights(common, &cluster, kubeconfig).await,
    }
}

fn file_path(cluster: &str, name: &str) -> String {
    format!("/clusters/{}/admission-files/{}", escape(cluster), escape(name))
}

async fn add(common: &Common, cluster: &str, file: PathBuf) -> anyhow::Result<ExitCode> {
    let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let yaml = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let body = json!({ "yaml": yaml });
    let answer = session::open(common, Security).await?.call(Method::PUT, &file_path(cluster, &name), Some(&body)).await?;
    if common.json {
        output::json(&answer);
    } else {
        notice(common, cluster, &answer);
    }
    Ok(ExitCode::SUCCESS)
}

async fn policies(common: &Common, cluster: &str) -> anyhow::Result<Value> {
    session::open(common, Security).await?.get(&format!("/clusters/{}/admission-policies", escape(cluster))).await
}

async fn show(common: &Common, cluster: &str, name: &str) -> anyhow::Result<ExitCode> {
    let answer = session::open(common, Security).await?.get(&file_path(cluster, name)).await?;
    if common.json {
        output::json(&answer);
    } else {
        say!("{}", text(&answer, "yaml").trim_end());
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(common: &Common, cluster: &str) -> anyhow::Result<ExitCode> {
    let answer = policies(common, cluster).await?;
    if common.json {
        output::json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    let words = |v: &Value| v.as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(", ");
    let rows: Vec<Vec<String>> = each(&answer["policies"])
        .map(|entry| {
            let policy = &entry["policy"];
            let on_error = if policy["fails_closed"] == true { common.lang.pick("拒绝", "refuses") } else { common.lang.pick("放行", "lets pass") };
            let modes = entry["modes"].as_object().into_iter().flatten().map(|(n, m)| format!("{n}={}", super::print::mode(common, m))).collect::<Vec<_>>();
            vec![text(entry, "id"), words(&policy["bindings"]), words(&policy["param_kind"]), on_error.to_owned(), modes.join(" ")]
        })
        .collect();
    let header = match common.lang {
        output::Lang::Zh => ["策略", "绑定", "参数类型", "求值出错时", "模式"],
        output::Lang::En => ["policy", "bindings", "parameters", "on error", "modes"],
    };
    output::table(&header, &rows);
    let files: Vec<Vec<String>> = each(&answer["files"]).map(|f| vec![text(f, "name"), text(f, "cluster")]).collect();
    let header = match common.lang {
        output::Lang::Zh => ["文件", "集群"],
        output::Lang::En => ["file", "cluster"],
    };
    output::table(&header, &files);
    notice(common, cluster, &answer);
    Ok(ExitCode::SUCCESS)
}

fn each(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// What has no effect or lacks something.
fn notice(common: &Common, cluster: &str, answer: &Value) {
    let lang = common.lang;
    for policy in each(&answer["unbound"]).filter_map(Value::as_str) {
        say!("{} {policy}", lang.pick("策略没有绑定,不起作用:", "no binding, so it has no effect:"));
    }
    for binding in each(&answer["dangling"]).filter_map(Value::as_str) {
        say!("{} {binding}", lang.pick("绑定的策略不在其中,不起作用:", "the binding's policy is not among these, so it has no effect:"));
    }
    for source in each(&answer["params"]["wanted"]) {
        let (kind, namespace, name) = (text(source, "kind"), text(source, "namespace"), text(source, "name"));
        let or_all = |text: String| if text.is_empty() { "*".to_owned() } else { text };
        say!(
            "{} {kind} {}/{} {}",
            lang.pick("参数由关口在集群中读取:", "parameters the gate reads in the cluster:"),
            or_all(namespace),
            or_all(name),
            lang.pick("(所需权限:jinwu cluster policy rights {1})", "(the rights it needs: jinwu cluster policy rights {1})").replace("{1}", cluster)
        );
    }
    for (gate, faults) in answer["unreadable"].as_object().into_iter().flatten() {
        for fault in each(faults).filter_map(Value::as_str) {
            say!("{} {gate}: {fault}", lang.pick("参数读不到:", "parameters cannot be read:"));
        }
    }
}

/// Which resource a kind is, the cluster says.
async fn rights(common: &Common, cluster: &str, kubeconfig: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let answer = policies(common, cluster).await?;
    let wanted: Vec<&Value> = each(&answer["params"]["wanted"]).collect();
    anyhow::ensure!(!wanted.is_empty(), "没有需要在集群中读取的参数 / there are no parameters to be read in the cluster");
    let kube = jinwu_cluster::connect(kubeconfig.as_deref()).await?;
    let mut rights = Vec::new();
    for source in wanted {
        let (version, kind) = (text(source, "api_version"), text(source, "kind"));
        let found = jinwu_cluster::resource_of(&kube, &version, &kind).await.context("API server")?;
        let Some((group, resource, namespaced)) = found else {
            eprintln!("{kind} ({version}): {}", common.lang.pick("集群中没有这一类型,略去;其策略无法求值", "the cluster has no such kind: left out; its policies cannot be evaluated"));
            continue;
        };
        let namespace = Some(text(source, "namespace")).filter(|n| namespaced && !n.is_empty());
        rights.push(ParamRight { group, resource, namespace, name: Some(text(source, "name")).filter(|n| !n.is_empty()) });
    }
    for object in param_rights(&rights) {
        say!("---\n{}", serde_json::to_string_pretty(&object)?);
    }
    Ok(ExitCode::SUCCESS)
}
