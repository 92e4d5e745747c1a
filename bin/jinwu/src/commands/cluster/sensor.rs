//! Installing the sensor in a cluster.

use super::install::way;
use crate::Common;
use crate::output::say;
use jinwu_cluster::sensor::SensorInstallation;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// 已登记的集群名 / the cluster, as it is registered
    name: String,
    /// 传感器镜像,须带摘要 / image of the sensor, with its digest: HOST/REPOSITORY@sha256:…
    #[arg(long)]
    image: String,
    /// 服务端地址;缺省为本安装的地址 / the server, https://HOST:PORT; this installation's by default
    #[arg(long)]
    server: Option<String>,
    /// 连接用的地址,主机名仍按 --server 校验 / address to connect to; the name is still that of --server
    #[arg(long, value_name = "HOST:PORT")]
    server_address: Option<String>,
    /// 拉取镜像的凭据(docker 配置文件)/ credential to pull the image: a docker configuration file
    #[arg(long, value_name = "FILE")]
    pull: Option<PathBuf>,
}

pub(super) fn print(common: &Common, a: Arguments) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(a.image.contains("@sha256:"), "--image {}:须带摘要 / needs a digest (…@sha256:…)", a.image);
    let way = way(common, a.server, a.pull)?;
    let installation = SensorInstallation {
        cluster: a.name,
        image: a.image,
        server_url: way.url,
        server_address: a.server_address,
        server_authority: way.authority,
        pull_secret: way.pull_secret,
    };
    say!("{}", installation.manifest());
    Ok(ExitCode::SUCCESS)
}
