//! `jinwu assess`: inspections and drills against the running server.

use crate::output::{put, say};
use crate::{Common, output, session};
use anyhow::Context as _;
use jinwu_assess::render::Language;
use jinwu_assess::{Assessment, Connection, Options, Target};
use jinwu_identity::AdminRole;
use jinwu_model::{PolicyId, ProtectionLevel};
use serde_json::Value;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// 按哪一等级评估,1 至 4 / protection level to assess at, 1 to 4
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=4))]
    level: u8,
    /// 输出形式 / form of the output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// 只做检查,不做模拟,不改动任何东西 / inspections only: no drill, nothing is changed
    #[arg(long)]
    inspections_only: bool,
    /// 将证据、记录与校验和写入该空目录 / write evidence, record and checksums into this empty folder
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// 只评估这些条款,可重复 / only these clauses, repeatable
    #[arg(long = "clause", value_name = "ID")]
    only: Vec<String>,
    /// 一并评估该集群:其 kubeconfig / assess this cluster as well: its kubeconfig
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// 该集群登记的名称;只有一个时可省略 / the name it is registered by; may be left out where there is one
    #[arg(long, requires = "kubeconfig")]
    cluster: Option<String>,
    /// 本机是该集群控制平面的机器:也检查本机各组件的参数与配置文件(root)/ this is a machine of its control plane: components that run here are inspected too, their options and files, as root
    #[arg(long, requires = "kubeconfig")]
    node_files: bool,
    /// 在演练项目中故意关闭的策略,可重复;用于验证演练确会失败 / leave this policy off in the drill project, repeatable: proves that drills can fail
    #[arg(long = "guard-off", value_name = "POLICY")]
    guards_off: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Table,
    Json,
    Markdown,
}

pub(crate) async fn run(common: &Common, args: Args) -> anyhow::Result<ExitCode> {
    if let Some(unknown) = args.only.iter().find(|id| !jinwu_assess::is_clause(id)) {
        anyhow::bail!("没有条款 {unknown},条款形如 IP-6 / there is no clause {unknown}; clauses look like IP-6");
    }
    let mut target = Target::connect(connection(common).await?).await?;
    let cluster = match &args.kubeconfig {
        Some(file) => {
            let mut cluster = target.cluster(args.cluster.as_deref(), file).await?;
            cluster.this_machine = args.node_files;
            Some(cluster)
        }
        None => None,
    };
    let level = ProtectionLevel::try_from(args.level).map_err(anyhow::Error::msg)?;
    let guards_off = args.guards_off.into_iter().map(PolicyId).collect();
    let options = Options { level, drills: !args.inspections_only, only: args.only.into_iter().collect(), guards_off };
    let watched = std::io::stderr().is_terminal();
    let progress = |step: &str| {
        if watched {
            eprint!("\r\x1b[K{step}");
        }
    };
    let assessment = jinwu_assess::run(&target, cluster.as_ref(), &options, interrupted(), progress).await?;
    if watched {
        eprint!("\r\x1b[K");
    }
    if let Some(dir) = &args.output {
        jinwu_assess::store::write(dir, &assessment).with_context(|| format!("证据无法写入 / evidence cannot be written to {}", dir.display()))?;
    }
    register(common, &assessment).await?;
    print(common, if common.json { Format::Json } else { args.format }, &assessment)?;
    Ok(ExitCode::SUCCESS)
}

fn print(common: &Common, format: Format, assessment: &Assessment) -> anyhow::Result<()> {
    let language = match common.lang {
        output::Lang::Zh => Language::Chinese,
        output::Lang::En => Language::English,
    };
    match format {
        Format::Json => say!("{}", serde_json::to_string_pretty(assessment)?),
        Format::Markdown => put!("{}", jinwu_assess::render::markdown(assessment, language)),
        Format::Table => put!("{}", jinwu_assess::render::wall(assessment, language, std::io::stdout().is_terminal())),
    }
    Ok(())
}

/// The ledger remembers that an assessment was made, what it came to, and the hashes of the whole.
async fn register(common: &Common, assessment: &Assessment) -> anyhow::Result<()> {
    let bytes = serde_json::to_vec(assessment)?;
    let verdicts: serde_json::Map<String, Value> = assessment
        .clauses
        .iter()
        .map(|c| Ok((c.id.to_string(), serde_json::to_value(c.verdict)?)))
        .collect::<anyhow::Result<_>>()?;
    let body = serde_json::json!({
        "level": assessment.level, "drills": assessment.drills, "verdicts": verdicts,
        "sha256": hex(&jinwu_trust::sha256(&bytes)), "sm3": hex(&jinwu_trust::sm3(&bytes)),
    });
    let common = Common { account: None, ..common.clone() };
    session::open(&common, AdminRole::SecurityAdministrator).await?.post("/assessments", &body).await?;
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Address and CA as the server left them, sessions of the three administrators.
async fn connection(common: &Common) -> anyhow::Result<Connection> {
    // Three roles are needed: one named account cannot be all of them.
    let common = Common { account: None, ..common.clone() };
    let token = async |role| {
        let client = session::open(&common, role).await?;
        client.token.context("the session has no token")
    };
    Ok(Connection {
        registry: address(&common)?,
        ca: std::fs::read(ca(&common)).with_context(|| ca(&common).display().to_string())?,
        system: token(AdminRole::SystemAdministrator).await?,
        security: token(AdminRole::SecurityAdministrator).await?,
        audit: token(AdminRole::AuditAdministrator).await?,
    })
}

/// `host:port` of the running server.
pub(super) fn address(common: &Common) -> anyhow::Result<String> {
    let path = common.data.join("run").join("server.json");
    let text = std::fs::read(&path).with_context(|| format!("{0} 不存在:服务未运行 / {0} is missing: no server has run here", path.display()))?;
    let at: Value = serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
    at["registry"].as_str().map(str::to_owned).with_context(|| format!("{}: no member registry", path.display()))
}

/// The installation's CA certificate.
pub(super) fn ca(common: &Common) -> PathBuf {
    common.data.join("tls").join("ca.crt")
}

/// Ctrl-C or a termination: the assessment then cleans up and reports what it has.
async fn interrupted() {
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        result = tokio::signal::ctrl_c() => if result.is_err() { std::future::pending::<()>().await },
        () = terminated => {}
    }
}
