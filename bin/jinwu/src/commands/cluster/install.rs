//! Installing the gate in a cluster.

use crate::client::escape;
use crate::output::{self, say, text};
use crate::{Common, session};
use anyhow::Context as _;
use http::Method;
use jinwu_cluster::Installation;
use jinwu_cluster::install::{Failure, RIGHTS};
use jinwu_identity::AdminRole::SystemAdministrator as System;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// 集群名;未登记时登记,已登记时更换密钥 / the cluster: registered if it is not, given a new secret if it is
    name: String,
    /// 关口镜像,须带摘要 / image of the gate, with its digest: HOST/REPOSITORY@sha256:…
    #[arg(long)]
    image: String,
    /// 服务端地址;缺省为本安装的地址 / the server, https://HOST:PORT; this installation's by default
    #[arg(long)]
    server: Option<String>,
    /// 连接用的地址,主机名仍按 --server 校验 / address to connect to; the name is still that of --server
    #[arg(long, value_name = "HOST:PORT")]
    server_address: Option<String>,
    #[arg(long, default_value_t = 2)]
    replicas: u16,
    /// 关口服务的 ClusterIP / ClusterIP of the gate's service
    #[arg(long)]
    address: Option<String>,
    /// 拉取关口镜像的凭据(docker 配置文件)/ credential to pull the gate's image: a docker configuration file
    #[arg(long, value_name = "FILE")]
    pull: Option<PathBuf>,
    /// 关口均不应答时的请求:Fail 拒绝,Ignore 放行(容器组控制项仍由原生策略把守)/ requests while no gate answers: Fail refuses, Ignore lets pass (the native policy still holds the controls of pods)
    #[arg(long, value_name = "Fail|Ignore", default_value = "Fail")]
    failure_policy: Failure,
}

pub(super) async fn install(common: &Common, a: Arguments) -> anyhow::Result<ExitCode> {
    say!("{}", prepare(common, a, true).await?.manifest());
    Ok(ExitCode::SUCCESS)
}

/// How what is installed comes to the server, and nodes to its image.
pub(super) struct Way {
    pub(super) url: String,
    /// PEM.
    pub(super) authority: String,
    pub(super) pull_secret: Option<String>,
}

/// `server` is this installation's by default; `pull` is a docker configuration file.
pub(super) fn way(common: &Common, server: Option<String>, pull: Option<PathBuf>) -> anyhow::Result<Way> {
    let read = |path: PathBuf| std::fs::read_to_string(&path).with_context(|| path.display().to_string());
    Ok(Way {
        url: server.map_or_else(|| own_address(common), Ok)?,
        authority: read(common.data.join("tls").join("ca.crt"))?,
        pull_secret: pull.map(read).transpose()?,
    })
}

/// What to install, with a secret of now; without one the cluster is only registered, if it is not.
pub(super) async fn prepare(common: &Common, a: Arguments, with_secret: bool) -> anyhow::Result<Installation> {
    anyhow::ensure!(
        a.image.contains("@sha256:"),
        "--image {}:须带摘要,否则集群冷启动时无从核对 / needs a digest (…@sha256:…): a cluster that starts cold has nobody to ask",
        a.image
    );
    let way = way(common, a.server, a.pull)?;
    let client = session::open(common, System).await?;
    let path = format!("/clusters/{}", escape(&a.name));
    let answer = match client.get(&path).await {
        Ok(_) if with_secret => client.call(Method::POST, &format!("{path}/secret"), Some(&json!({}))).await?,
        Ok(known) => known,
        Err(_) => client.post("/clusters", &json!({"name": a.name})).await?,
    };
    Ok(Installation {
        image: a.image,
        server_url: way.url,
        server_address: a.server_address,
        server_authority: way.authority,
        secret: text(&answer, "secret"),
        verify_key: text(&answer, "verify_key"),
        replicas: a.replicas,
        pull_secret: way.pull_secret,
        cluster_address: a.address,
        failure: a.failure_policy,
    })
}

fn own_address(common: &Common) -> anyhow::Result<String> {
    let path = common.data.join("run").join("server.json");
    let at: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).with_context(|| path.display().to_string())?)?;
    Ok(format!("https://{}", text(&at, "registry")))
}

pub(super) fn rights(common: &Common) -> ExitCode {
    let rows: Vec<Vec<String>> = RIGHTS
        .iter()
        .map(|r| {
            let names = if r.names.is_empty() { String::new() } else { format!(" ({})", r.names.join(", ")) };
            let place = if r.own_namespace { jinwu_cluster::install::NAMESPACE } else { "*" };
            let why = r.why();
            vec![format!("{}{names}", [r.resources, r.paths].concat().join(", ")), r.verbs.join(", "), place.to_owned(), common.lang.pick(&why.zh, &why.en).to_owned()]
        })
        .collect();
    let header = match common.lang {
        output::Lang::Zh => ["资源", "动作", "命名空间", "理由"],
        output::Lang::En => ["resources", "verbs", "namespace", "reason"],
    };
    output::table(&header, &rows);
    ExitCode::SUCCESS
}
