//! Permission passports: taken, kept, compared.

use super::inspect::{Access, pick, warn};
use crate::output::say;
use crate::{Common, output};
use anyhow::Context as _;
use clap::Subcommand;
use jinwu_inventory::Grants;
use jinwu_inventory::passport::{Passport as Content, compare, passport as take};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Subcommand)]
pub(crate) enum Passport {
    /// 取容器组的权限护照 / take the passport of a pod
    Take {
        #[command(flatten)]
        access: Access,
        /// 命名空间/容器组 / NAMESPACE/POD
        pod: String,
        /// 存入文件 / keep it in this file
        #[arg(long, value_name = "FILE")]
        save: Option<PathBuf>,
    },
    /// 比较两份护照;不同则以 1 退出 / compare two passports; exits with 1 if they differ
    Compare { before: PathBuf, after: PathBuf },
}

/// A passport with its digest.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// SHA-256 of the canonical JSON.
    digest: String,
    passport: Content,
}

pub(crate) async fn passport(common: &Common, command: Passport) -> anyhow::Result<ExitCode> {
    match command {
        Passport::Take { access, pod, save } => {
            let (namespace, name) = pod.split_once('/').with_context(|| format!("{pod}: 应为 命名空间/容器组 / expected NAMESPACE/POD"))?;
            let (inventory, not_read) = access.read().await?;
            warn(common, &not_read);
            anyhow::ensure!(not_read.is_empty(), "未能全部读取,护照将不完整 / not everything could be read: the passport would be incomplete");
            let grants = Grants::new(&inventory);
            let found = inventory.pod_named(namespace, name).with_context(|| format!("{pod}: 没有此容器组 / no such pod"))?;
            let content = take(&grants, found);
            let kept = Kept { digest: digest(&content), passport: content };
            let text = serde_json::to_string_pretty(&kept)?;
            match save {
                Some(path) => {
                    std::fs::write(&path, text).with_context(|| path.display().to_string())?;
                    say!("{}  {}", kept.digest, path.display());
                }
                None => say!("{text}"),
            }
            Ok(ExitCode::SUCCESS)
        }
        Passport::Compare { before, after } => {
            let (before, after) = (read(&before)?, read(&after)?);
            let differences = compare(&before, &after);
            if common.json {
                output::json(&json!({"equal": differences.is_empty(), "before": digest(&before), "after": digest(&after), "differences": differences}));
            } else if differences.is_empty() {
                say!("{}  {}", common.lang.pick("权限相同", "the same permissions"), digest(&before));
            } else {
                differences.iter().for_each(|d| say!("{}: {}", d.member, pick(common, &d.text)));
            }
            Ok(if differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

fn digest(content: &Content) -> String {
    let hash = jinwu_trust::sha256(content.canonical().as_bytes());
    format!("sha256:{}", hash.iter().map(|b| format!("{b:02x}")).collect::<String>())
}

/// A kept passport whose digest still holds.
fn read(path: &Path) -> anyhow::Result<Content> {
    let name = path.display();
    let text = std::fs::read(path).with_context(|| name.to_string())?;
    let kept: Kept = serde_json::from_slice(&text).with_context(|| format!("{name}: 不是护照 / no passport"))?;
    anyhow::ensure!(kept.digest == digest(&kept.passport), "{name}: 内容与摘要不符,已被改动 / the content does not match its digest: it was changed");
    Ok(kept.passport)
}
