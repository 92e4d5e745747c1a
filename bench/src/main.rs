//! Measures what `docs/benchmarks.md` promises, beside the peers, in one run.
//!
//! The machine is noisy: whatever is compared runs interleaved (A B C, A B C, …) in the same
//! minutes, and medians with ranges are printed. Nothing here asserts a time.
#![forbid(unsafe_code)]

mod admission;
mod image;
mod intake;
mod jinwu;
mod kubernetes;
mod ledger;
mod load;
mod machine;
mod open_loop;
mod process;
mod registry;
mod scan;
mod servers;
mod table;
mod wire;

use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// 与同类产品并排测量 / measures beside the peers
#[derive(Parser)]
#[command(name = "jinwu-bench")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// 镜像仓库 / the registry
    Registry(registry::Arguments),
    /// 审计账本 / the ledger
    Ledger(ledger::Arguments),
    /// 镜像扫描 / the scanner
    Scan(scan::Arguments),
    /// 准入,经真实的 API server / admission through a real API server
    Admission(admission::Arguments),
    /// 审计事件的接收 / intake of audit events
    Audit(intake::Arguments),
    /// 一律同意的 webhook,供测量 / a webhook that says yes, as a process to measure
    #[command(hide = true)]
    AlwaysAllow { certificates: PathBuf },
    /// 无认证、无扫描的仓库,供测量 / the registry with open seams, as a process to measure
    #[command(hide = true)]
    OpenRegistry {
        root: PathBuf,
        /// Folder of certificates; plain HTTP without.
        #[arg(long)]
        tls: Option<PathBuf>,
    },
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Registry(arguments) => registry::run(&arguments),
        Command::Ledger(arguments) => ledger::run(&arguments),
        Command::Scan(arguments) => scan::run(&arguments),
        Command::Admission(arguments) => admission::run(&arguments),
        Command::Audit(arguments) => intake::run(&arguments),
        Command::AlwaysAllow { certificates } => admission::always_allow(&certificates),
        Command::OpenRegistry { root, tls } => servers::open_registry(&root, tls.as_deref()),
    }
}
