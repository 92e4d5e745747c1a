//! Writing the Helm chart.

use super::install::{self, prepare};
use crate::output::{self, say};
use crate::Common;
use anyhow::Context as _;
use jinwu_cluster::chart::{CHART, chart, command, secrets};
use jinwu_trust::files;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    install: install::Arguments,
    /// 写入的目录:jinwu-gate/ 与 secret.yaml / folder to write into: jinwu-gate/ and secret.yaml
    #[arg(long)]
    output: PathBuf,
    /// 不签发密钥:使用命名空间 jinwu 中已有的 Secret(secret.existing)/ issue no secret: one that exists in the namespace jinwu is used (secret.existing)
    #[arg(long)]
    no_secret: bool,
}

pub(super) async fn write(common: &Common, a: Arguments) -> anyhow::Result<ExitCode> {
    let folder = a.output.join(CHART);
    make_way(&folder)?;
    let installation = prepare(common, a.install, !a.no_secret).await?;
    for file in chart(&installation, env!("CARGO_PKG_VERSION")) {
        let path = folder.join(&file.path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
        }
        files::write(&path, file.text.as_bytes(), 0o644).with_context(|| path.display().to_string())?;
    }
    let secret = a.output.join("secret.yaml");
    if !a.no_secret {
        files::write(&secret, secrets(&installation).as_bytes(), 0o600).with_context(|| secret.display().to_string())?;
    }
    let (chart, secret) = (folder.display().to_string(), secret.display().to_string());
    let command = command(&chart, &secret);
    if common.json {
        output::json(&json!({"chart": chart, "secret": (!a.no_secret).then_some(secret), "command": command}));
    } else {
        say!("{command}");
    }
    Ok(ExitCode::SUCCESS)
}

/// A chart of before makes way, whole; anything else stays and is told.
fn make_way(folder: &Path) -> anyhow::Result<()> {
    let about = std::fs::read_to_string(folder.join("Chart.yaml")).unwrap_or_default();
    let ours = about.lines().any(|l| l == format!("name: {CHART}"));
    let empty = std::fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none());
    anyhow::ensure!(
        ours || empty,
        "{0} 已有内容且不是此 chart:另选目录 / {0} holds something that is not this chart: choose another folder",
        folder.display()
    );
    let templates = folder.join("templates");
    if templates.is_dir() {
        std::fs::remove_dir_all(&templates).with_context(|| templates.display().to_string())?;
    }
    Ok(())
}
