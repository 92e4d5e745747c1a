//! The gate in a Kubernetes cluster.
//!
//! It answers the API server's webhooks by the bundle it last had from the server, whether the server
//! answers or not, and keeps every record on disk until the server has it. Two or more run at once;
//! each decides by itself.
#![forbid(unsafe_code)]

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
mod serve;
mod server;
mod spool;
mod state;
mod sync;
mod tail;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use config::Config;

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
}

fn main() -> anyhow::Result<()> {
    let command = Arguments::parse().command;
    let config = match &command {
        Command::Serve(config) | Command::Tail { config, .. } => config.clone(),
    };
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_env("JINWU_LOG").unwrap_or_else(|_| "info,kube=warn".into()))
        .with_writer(std::io::stderr)
        .init();
    rustls::crypto::aws_lc_rs::default_provider().install_default().map_err(|_| anyhow::anyhow!("two cryptography providers"))?;
    tokio::runtime::Builder::new_multi_thread().worker_threads(config.threads.clamp(1, 16)).enable_all().build().context("runtime")?.block_on(async {
        match command {
            Command::Serve(_) => serve::run(config).await,
            Command::Tail { file, .. } => serve::tail(config, file).await,
        }
    })
}
