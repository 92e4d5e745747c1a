//! Settings, by option or environment.

use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Config {
    /// 监听地址 / address to listen on
    #[arg(long, env = "JINWU_GATE_LISTEN", default_value = "[::]:8443")]
    pub(crate) listen: SocketAddr,
    /// 数据目录:策略包、镜像裁决、证书、待送审计记录 / bundle, image verdicts, certificate, records on their way
    #[arg(long, env = "JINWU_GATE_DATA", default_value = "/data")]
    pub(crate) data: PathBuf,
    /// 服务端信息目录:url、address、ca.crt、secret、verify.pem / how to reach the server
    #[arg(long, env = "JINWU_GATE_SERVER", default_value = "/etc/jinwu/server")]
    pub(crate) server: PathBuf,
    /// 本关口的名称 / name of this gate
    #[arg(long, env = "JINWU_GATE_NAME", default_value = "gate")]
    pub(crate) name: String,
    /// 本关口自己的镜像,带摘要:服务端不在时仍按最后的裁决放行其重建 / the gate's own image, with its digest: while the server is away its last verdict holds, so that its pods can be made again
    #[arg(long, env = "JINWU_GATE_IMAGE")]
    pub(crate) image: Option<String>,
    /// 集群外运行时的 kubeconfig / kubeconfig, when it runs outside the cluster
    #[arg(long, env = "KUBECONFIG")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// 不连接 API server:不读命名空间,不维护 webhook / no API server: namespaces are not read, webhooks not kept
    #[arg(long)]
    pub(crate) detached: bool,
    /// 证书名称 / names in the certificate
    #[arg(long, env = "JINWU_GATE_NAMES", value_delimiter = ',', default_values = ["jinwu-gate.jinwu.svc", "jinwu-gate.jinwu.svc.cluster.local", "localhost"])]
    pub(crate) names: Vec<String>,
    /// 线程数 / threads
    #[arg(long, env = "JINWU_GATE_THREADS", default_value_t = 2)]
    pub(crate) threads: usize,
    /// 同时处理的请求数;更多的立即以 429 拒绝 / reviews at once; more are refused at once with 429
    #[arg(long, env = "JINWU_GATE_CONCURRENCY", default_value_t = 256)]
    pub(crate) concurrency: usize,
    /// 探针请求的间隔秒数 / seconds between canaries
    #[arg(long, env = "JINWU_GATE_CANARY", default_value_t = 60)]
    pub(crate) canary: u64,
    /// 汇报权限使用情况的间隔秒数 / seconds between reports of which rights are used
    #[arg(long, env = "JINWU_GATE_ACCESS", default_value_t = 300)]
    pub(crate) access: u64,
    /// 等待镜像裁决的毫秒数 / milliseconds to wait for an image verdict
    #[arg(long, env = "JINWU_GATE_PATIENCE", default_value_t = 3000)]
    pub(crate) patience: u64,
}
