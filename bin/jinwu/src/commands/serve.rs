//! `jinwu serve`.

use crate::Common;
use anyhow::Context as _;
use jinwu_server::Config;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// 配置文件(TOML)/ configuration file
    #[arg(long)]
    config: Option<PathBuf>,
    /// 监听地址 / address to listen on
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// 证书中的名称与地址,可重复 / names and addresses in the certificate, repeatable
    #[arg(long = "name")]
    names: Vec<String>,
    /// 安装的保护等级 / protection level of the installation
    #[arg(long)]
    level: Option<u8>,
}

pub(crate) async fn run(common: &Common, args: Args) -> anyhow::Result<ExitCode> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_env("JINWU_LOG").unwrap_or_else(|_| "info".into()))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
    let mut config = match &args.config {
        Some(path) => Config::load(path)?,
        None => Config { data: common.data.clone(), ..Config::default() },
    };
    if let Some(listen) = args.listen {
        config.listen = listen;
    }
    if !args.names.is_empty() {
        config.names = args.names;
    }
    if let Some(level) = args.level {
        config.level = level.try_into().map_err(anyhow::Error::msg)?;
    }
    let server = jinwu_server::start(config).await.context("启动失败 / the server cannot start")?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    server.stop().await;
    Ok(ExitCode::SUCCESS)
}
