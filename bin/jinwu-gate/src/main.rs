//! The gate in a Kubernetes cluster.
//!
//! It answers the API server's webhooks by the bundle it last had from the server, whether the server
//! answers or not, and keeps every record on disk until the server has it. Two or more run at once;
//! each decides by itself.
#![forbid(unsafe_code)]

mod access;
mod admit;
mod audit;
mod authorize;
mod blocks;
mod canary;
mod certificate;
mod config;
mod images;
mod keeper;
mod names;
mod native;
mod params;
mod policies;
mod running;
mod serve;
mod server;
mod siblings;
mod spool;
mod state;
mod sync;
mod tail;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use config::Config;
use jinwu_cluster::uninstall::Done;

#[derive(Parser)]
#[command(name = "jinwu-gate", version, about = "金吾集群关口 / the gate of Jinwu in a Kubernetes cluster")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// 应答 API server 的 webhook / answer the API server's webhooks
    Serve(Config),
    /// 读取 API server 的审计日志文件 / read the API server's audit log file
    Tail {
        /// --audit-log-path 的文件(JSON)/ the file of --audit-log-path, JSON
        #[arg(long)]
        file: std::path::PathBuf,
        #[command(flatten)]
        config: Config,
    },
    /// 卸载之前:移除 webhook 与原生策略,并收回关口重建它们的权限 / before uninstalling: takes away webhooks and native policy, and the gates' right to make them again
    Remove {
        #[arg(long, env = "KUBECONFIG")]
        kubeconfig: Option<std::path::PathBuf>,
    },
}

fn main() -> anyhow::Result<()> {
    let command = Arguments::parse().command;
    let threads = match &command {
        Command::Serve(config) | Command::Tail { config, .. } => config.threads.clamp(1, 16),
        Command::Remove { .. } => 1,
    };
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_env("JINWU_LOG").unwrap_or_else(|_| "info,kube=warn".into()))
        .with_writer(std::io::stderr)
        .init();
    rustls::crypto::aws_lc_rs::default_provider().install_default().map_err(|_| anyhow::anyhow!("two cryptography providers"))?;
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().context("runtime")?.block_on(async {
        match command {
            Command::Serve(config) => serve::run(config).await,
            Command::Tail { file, config } => serve::tail(config, file).await,
            Command::Remove { kubeconfig } => remove(kubeconfig.as_deref()).await,
        }
    })
}

async fn remove(kubeconfig: Option<&std::path::Path>) -> anyhow::Result<()> {
    let client = jinwu_cluster::connect(kubeconfig).await?;
    for done in jinwu_cluster::uninstall::unguard(&client).await? {
        match done {
            Done::Removed(object) => tracing::info!(object, "removed"),
            Done::Kept(object, why) => tracing::warn!(object, why = why.en, "kept"),
        }
    }
    Ok(())
}
