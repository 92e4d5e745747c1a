//! `jinwu-scan`: scans container images, alone or as the registry's sandboxed worker.
//!
//! The command line reads manifests and configurations itself and leaves everything inside layers to
//! worker processes of the same binary, exactly as the server does.
#![forbid(unsafe_code)]

mod command;
mod engines;
mod output;
mod source;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// 扫描容器镜像:软件包漏洞、密钥、恶意代码、配置 / scans container images: vulnerabilities, secrets, malware, configuration
#[derive(Parser)]
#[command(name = "jinwu-scan", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// 扫描一个镜像 / scan one image: a reference, an OCI layout (directory or tar), a docker-save archive, a root file system
    Image(Box<command::ImageArguments>),
    /// 漏洞数据库 / the advisory database
    Db {
        #[command(subcommand)]
        command: Db,
    },
    /// 沙箱工作进程(由服务启动,描述符 0 为套接字)/ sandboxed worker, started by others with a socket as descriptor 0
    #[command(hide = true)]
    Worker,
}

#[derive(Subcommand)]
enum Db {
    /// 数据世代与覆盖范围 / generation and coverage
    Info,
}

/// 0 passed, 1 refused by policy, 2 could not scan or wrong usage (clap's own code for usage is 2 too).
fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Worker => jinwu_scan::worker::run(engines::load).map(|()| ExitCode::SUCCESS),
        Command::Db { command: Db::Info } => command::database_info().map(|()| ExitCode::SUCCESS),
        Command::Image(arguments) => command::image(&arguments),
    };
    result.unwrap_or_else(|error| {
        eprintln!("jinwu-scan: {error}");
        ExitCode::from(2)
    })
}
