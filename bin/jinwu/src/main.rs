//! `jinwu`: everything an operator types.
//!
//! `serve` runs the server; the other commands speak to it through its root-only local socket, as a
//! named account with that account's role. Being root opens the socket and nothing else: without
//! credentials of an account nothing is answered.
#![forbid(unsafe_code)]

mod client;
mod commands;
mod output;
mod session;

use clap::{Parser, Subcommand};
use output::Lang;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "jinwu", version, about = "金吾:容器安全平台 / container security that proves itself (T/ISEAA 004-2023)")]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(clap::Args, Clone)]
pub(crate) struct Common {
    /// 数据目录 / data folder of the server
    #[arg(long, global = true, env = "JINWU_HOME", default_value = "/var/lib/jinwu")]
    pub(crate) data: PathBuf,
    /// 以哪个账号执行;缺省为该命令所需角色的账号 / account to act as; the one whose role the command needs by default
    #[arg(long = "as", global = true, value_name = "ACCOUNT", env = "JINWU_ACCOUNT")]
    pub(crate) account: Option<String>,
    /// 输出语言 / language of output
    #[arg(long, global = true, value_enum, default_value = "zh", env = "JINWU_LANG")]
    pub(crate) lang: Lang,
    /// 输出 JSON / print JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// 启动服务 / run the server
    Serve(commands::serve::Args),
    /// 地址、证书与仍有效的初始凭据 / addresses, CA, and the initial credentials that still stand
    Info,
    /// 服务状态 / state of the server
    Status,
    /// 登录并保存会话 / log in and keep the session
    Login { name: String },
    /// 退出并删除会话 / log out
    Logout { name: String },
    /// 修改自己的口令 / change one's own password
    Password { name: String },
    /// 签发短期仓库凭据 / issue a short-lived registry credential
    RegistryCredential {
        /// 有效分钟数,最长 720 / minutes, 720 at most
        #[arg(long, default_value_t = 60)]
        minutes: i64,
    },
    /// 账号 / accounts
    #[command(subcommand)]
    Account(commands::people::Account),
    /// 机器人账号 / robot accounts
    #[command(subcommand)]
    Robot(commands::people::Robot),
    /// 授权申请 / grants
    #[command(subcommand)]
    Grant(commands::people::Grant),
    /// 项目 / projects
    #[command(subcommand)]
    Project(commands::people::Project),
    /// 策略 / policies
    #[command(subcommand)]
    Policy(commands::policy::Policy),
    /// 例外 / exceptions
    #[command(subcommand)]
    Exception(commands::policy::Exception),
    /// 集群与其关口 / clusters and their gates
    #[command(subcommand)]
    Cluster(commands::cluster::Cluster),
    /// 节点与其传感器 / nodes and their sensors
    #[command(subcommand)]
    Node(commands::node::Node),
    /// 安全事件 / incidents
    #[command(subcommand)]
    Incident(commands::incident::Incident),
    /// 各节点上容器的资源使用,持续刷新 / what containers of all nodes use, drawn anew all the time
    Top(commands::top::Args),
    /// 镜像扫描报告与裁决 / report and decision of an image
    Report {
        /// 仓库:标签 或 仓库@摘要 / repository:tag or repository@digest
        image: String,
    },
    /// 镜像仓库维护 / registry upkeep
    #[command(subcommand)]
    Registry(commands::registry::Registry),
    /// 审计账本 / the ledger
    #[command(subcommand)]
    Ledger(commands::ledger::Ledger),
    /// 按 33 条款检查与模拟,给出证据与判定 / inspect and drill by the 33 clauses, with evidence and verdicts
    Assess(commands::assess::Args),
    /// 推送一个合格镜像和每项内置策略的不合格镜像 / push a good image and a bad one for every built-in policy
    Demo,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("jinwu: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(cli)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("jinwu: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let common = cli.common;
    match cli.command {
        Command::Serve(args) => commands::serve::run(&common, args).await,
        Command::Info => commands::info::info(&common),
        Command::Status => commands::info::status(&common).await,
        Command::Login { name } => session::login_command(&common, &name).await,
        Command::Logout { name } => session::logout_command(&common, &name).await,
        Command::Password { name } => session::password_command(&common, &name).await,
        Command::RegistryCredential { minutes } => commands::people::credential(&common, minutes).await,
        Command::Account(command) => commands::people::account(&common, command).await,
        Command::Robot(command) => commands::people::robot(&common, command).await,
        Command::Grant(command) => commands::people::grant(&common, command).await,
        Command::Project(command) => commands::people::project(&common, command).await,
        Command::Policy(command) => commands::policy::policy(&common, command).await,
        Command::Exception(command) => commands::policy::exception(&common, command).await,
        Command::Cluster(command) => commands::cluster::cluster(&common, command).await,
        Command::Node(command) => commands::node::node(&common, command).await,
        Command::Incident(command) => commands::incident::incident(&common, command).await,
        Command::Top(args) => commands::top::run(&common, args).await,
        Command::Report { image } => commands::registry::report(&common, &image).await,
        Command::Registry(command) => commands::registry::registry(&common, command).await,
        Command::Ledger(command) => commands::ledger::ledger(&common, command).await,
        Command::Assess(args) => commands::assess::run(&common, args).await,
        Command::Demo => commands::demo::run(&common).await,
    }
}
