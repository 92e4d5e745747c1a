//! The API server's side of a cluster: files, options, and what is lost without them.

use crate::client::escape;
use crate::output::{self, say, text};
use crate::{Common, session};
use anyhow::Context as _;
use http::Method;
use jinwu_cluster::ApiServer;
use jinwu_cluster::apiserver::without;
use jinwu_identity::AdminRole::SystemAdministrator as System;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// 集群名;未登记时登记 / the cluster; registered if it is not
    name: String,
    /// 写入的目录 / folder to write into
    #[arg(long)]
    out: PathBuf,
    /// API server 主机上的目录 / folder on the API server's host
    #[arg(long, default_value = jinwu_cluster::apiserver::FOLDER)]
    folder: String,
    /// 关口服务的 ClusterIP(jinwu cluster install --address)/ ClusterIP of the gate's service
    #[arg(long, default_value = "10.96.0.77")]
    address: String,
}

pub(super) async fn write(common: &Common, a: Arguments) -> anyhow::Result<ExitCode> {
    let client = session::open(common, System).await?;
    let path = format!("/clusters/{}", escape(&a.name));
    if client.get(&path).await.is_err() {
        client.post("/clusters", &json!({"name": a.name})).await?;
    }
    let answer = client.call(Method::POST, &format!("{path}/apiserver"), Some(&json!({}))).await?;
    let side = ApiServer {
        authority: text(&answer, "authority"),
        certificate: text(&answer, "certificate"),
        key: text(&answer, "key"),
        address: a.address,
        folder: a.folder,
    };
    std::fs::create_dir_all(&a.out).with_context(|| a.out.display().to_string())?;
    for file in side.files() {
        jinwu_trust::files::write(&a.out.join(file.name), file.text.as_bytes(), file.mode)?;
    }
    let flags = side.flags();
    if common.json {
        output::json(&json!({
            "files": side.files().iter().map(|f| f.name).collect::<Vec<_>>(),
            "flags": flags.iter().map(|f| json!({"flag": f.flag, "why": f.why})).collect::<Vec<_>>(),
            "without": without(), "until": answer["until"],
        }));
        return Ok(ExitCode::SUCCESS);
    }
    let pick = |zh: &str, en: &str| common.lang.pick(zh, en).to_owned();
    say!("{}", pick("把这些文件放到 API server 主机的目录(仅 root 可读):", "put these files on the API server's host (readable by root alone):"));
    say!("  {} → {}", a.out.display(), side.folder);
    say!("{}", pick("API server 的参数:", "options of the API server:"));
    for f in &flags {
        say!("  {}\n      {}", f.flag, common.lang.pick(&f.why.zh, &f.why.en));
    }
    say!("{}", pick("托管集群不允许时:", "where a managed cluster does not allow them:"));
    for t in without() {
        say!("  - {}", common.lang.pick(&t.zh, &t.en));
    }
    Ok(ExitCode::SUCCESS)
}
