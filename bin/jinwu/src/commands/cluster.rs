//! Clusters: registering them, how strongly their gates act, leave to enter containers.

mod apiserver;
mod chart;
mod inspect;
mod install;
mod preview;
mod passport;
mod policy;
mod print;
mod rules;
mod sensor;
mod standby;
mod uninstall;
mod unused;

use super::people::act;
use crate::client::escape;
use crate::{Common, output, session};
use clap::Subcommand;
use http::Method;
use jinwu_identity::AdminRole::{SecurityAdministrator as Security, SystemAdministrator as System};
use jinwu_model::Mode;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Subcommand)]
pub(crate) enum Cluster {
    /// 全部集群 / all clusters
    List,
    /// 登记集群;密钥只显示这一次 / register a cluster; its secret is shown this once
    Add {
        name: String,
        /// 未标等级的命名空间的等级;缺省为安装的等级 / level of namespaces that name none
        #[arg(long)]
        level: Option<u8>,
    },
    /// 设置、关口与基础平台 / settings, gates, base platform
    Show { name: String },
    /// 删除集群;其关口不再得到应答 / remove a cluster; its gates are answered no more
    Remove { name: String },
    /// 更换密钥;旧密钥再有效 24 小时,供关口改用新密钥 / a new secret; the old one stands 24 h longer, until gates have the new one
    Secret {
        name: String,
        /// 不签发新密钥,旧密钥立即失效 / issue none; former secrets end at once
        #[arg(long)]
        now: bool,
    },
    /// 策略最强的动作:放行/告警/拦截,或 default(仅命名空间)/ the strongest any policy may act: allow, alert, block, or default
    Enforce {
        cluster: String,
        mode: String,
        /// 缺省为所有其他命名空间 / all other namespaces by default
        #[arg(long)]
        namespace: Option<String>,
    },
    /// 切换策略:放行/告警/拦截,或 default / switch a policy: allow, alert, block, or default
    Switch {
        cluster: String,
        policy: String,
        mode: String,
        #[arg(long)]
        namespace: Option<String>,
    },
    /// 许可的仓库、可改等级者、沙箱运行时;每项给出即整体替换 / registries, level setters, sandboxed runtimes; a list given replaces the old one
    Set {
        cluster: String,
        #[arg(long)]
        level: Option<u8>,
        #[arg(long = "registry", value_name = "HOST[:PORT]")]
        registries: Option<Vec<String>>,
        /// 用户名,或 group:组名 / a user name, or group:NAME
        #[arg(long = "level-setter", value_name = "USER")]
        level_setters: Option<Vec<String>>,
        #[arg(long = "runtime", value_name = "CLASS")]
        sandboxed_runtimes: Option<Vec<String>>,
    },
    /// 申请进入容器 / ask for leave to enter a container
    Enter {
        /// 命名空间/容器组(可以 * 结尾)、命名空间/service/服务、node/节点 / namespace/pod ('*' for any ending), namespace/service/name, node/name
        place: String,
        /// 只有一个集群时可省略 / may be left out where there is one cluster
        #[arg(long, default_value = "-")]
        cluster: String,
        /// exec、attach、portforward、debug、proxy
        #[arg(long = "way", default_values_t = ["exec".to_owned()])]
        ways: Vec<String>,
        /// Kubernetes 用户名;缺省为申请账号 / user name in Kubernetes; the account's by default
        #[arg(long)]
        person: Option<String>,
        #[arg(long)]
        reason: String,
        /// 批准后有效分钟数,最长 480 / minutes it holds once approved, 480 at most
        #[arg(long, default_value_t = 60)]
        minutes: i64,
    },
    /// 进入容器的申请 / requests to enter containers
    Entries { cluster: String },
    /// 批准进入容器(安全管理员)/ give leave to enter
    Approve { cluster: String, id: String },
    /// 撤销进入容器的申请或许可 / end a request or what it gave
    Revoke { cluster: String, id: String },
    /// 暂时拒绝某用户的全部请求 / refuse all requests of a user for a time
    Block {
        cluster: String,
        user: String,
        /// 仅此凭据(令牌的 jti)/ only this credential (a token's jti)
        #[arg(long)]
        credential: Option<String>,
        #[arg(long)]
        reason: String,
        #[arg(long, default_value_t = 60)]
        minutes: i64,
    },
    /// 解除拒绝 / end a block
    Unblock { cluster: String, id: String },
    /// 基础平台组件 / components of the base platform
    #[command(subcommand)]
    Base(Base),
    /// 打印安装关口的清单,交给 kubectl apply -f - / print the manifests of the gate, for kubectl apply -f -
    Install(install::Arguments),
    /// 打印安装节点传感器的清单,交给 kubectl apply -f - / print the manifests of the nodes' sensor, for kubectl apply -f -
    Sensor(sensor::Arguments),
    /// 写出安装关口的 Helm chart,与 install 的对象相同 / write a Helm chart of the gate: the objects of install
    Chart(chart::Arguments),
    /// 从集群中移除金吾的一切,可中断后重来 / take everything of Jinwu's out of a cluster; may be interrupted and begun anew
    Uninstall(uninstall::Arguments),
    /// 预演:列出拦截之下会被拒绝的在用工作负载;有则退出码为 1 / what of the running workloads would be refused; exit code 1 if any
    Preview(preview::Arguments),
    /// 按 kubeconfig 检查集群,只读,不安装任何东西 / inspect a cluster by its kubeconfig: read only, nothing installed
    Inspect(inspect::Inspect),
    /// 集群由什么组成 / what a cluster is made of
    Inventory(inspect::Access),
    /// 谁可以对资源做某事 / who may do something with a resource
    WhoCan(inspect::WhoCan),
    /// 主体的有效权限 / the effective rights of a subject
    Can(inspect::Who),
    /// 通往集群管理员或节点的最短路径 / shortest paths to cluster-admin or to a node
    Paths(inspect::Whose),
    /// 授予而从未使用的权限,与更小的角色 / rights granted and never used, and the smaller roles
    Unused(unused::Arguments),
    /// 容器组的权限护照 / permission passports of pods
    #[command(subcommand)]
    Passport(passport::Passport),
    /// 写出 API server 一侧的文件,打印应加的参数与理由 / write the files of the API server's side, print the options and why
    Apiserver(apiserver::Arguments),
    /// 审计事件的检测规则 / detection rules over audit events
    #[command(subcommand)]
    Rules(rules::Rules),
    /// 用户的 ValidatingAdmissionPolicy,由关口执行 / users' ValidatingAdmissionPolicies, held by the gates
    #[command(subcommand)]
    Policy(policy::Policy),
    /// 应急:打印在所有命名空间绑定原生策略的清单,打开 webhook 之前应用 / in an emergency: print what binds the native policy in all namespaces, to be applied before webhooks are opened
    Standby(standby::Arguments),
    /// 关口在集群中需要的权限与理由 / the rights a gate needs in a cluster, and why
    Rights,
}

#[derive(Subcommand)]
pub(crate) enum Base {
    /// 申请(系统管理员)/ propose
    Propose {
        cluster: String,
        #[arg(long)]
        namespace: String,
        #[arg(long)]
        digest: String,
        /// 镜像签名公钥的 PEM 文件 / PEM file of the public key its image is signed with
        #[arg(long)]
        signer: Option<PathBuf>,
        #[arg(long)]
        reason: String,
    },
    /// 批准(安全管理员,不得为申请人)/ approve; not by who proposed
    Approve { cluster: String, id: String },
    /// 移除(安全管理员)/ remove
    Remove { cluster: String, id: String },
}

pub(crate) async fn cluster(common: &Common, command: Cluster) -> anyhow::Result<ExitCode> {
    let of = |name: &str, rest: &str| format!("/clusters/{}{rest}", escape(name));
    let one = |name: &str, list: &str, id: &str, rest: &str| format!("/clusters/{}/{list}/{}{rest}", escape(name), escape(id));
    let (role, method, path, body) = match command {
        Cluster::List => return print::list(common).await,
        Cluster::Show { name } => return print::show(common, &name).await,
        Cluster::Entries { cluster } => return print::entries(common, &cluster).await,
        Cluster::Add { name, level } => return print::secret(common, "/clusters", &json!({"name": name, "level": level})).await,
        Cluster::Secret { name, now: true } => (System, Method::DELETE, of(&name, "/secret"), None),
        Cluster::Secret { name, now: false } => return print::secret(common, &of(&name, "/secret"), &json!({})).await,
        Cluster::Base(command) => return base(common, command).await,
        Cluster::Install(arguments) => return install::install(common, arguments).await,
        Cluster::Sensor(arguments) => return sensor::print(common, arguments),
        Cluster::Chart(arguments) => return chart::write(common, arguments).await,
        Cluster::Unused(arguments) => return unused::run(common, arguments).await,
        Cluster::Uninstall(arguments) => return uninstall::run(common, arguments).await,
        Cluster::Preview(arguments) => return preview::preview(common, arguments).await,
        Cluster::Apiserver(arguments) => return apiserver::write(common, arguments).await,
        Cluster::Rules(command) => return rules::run(common, command).await,
        Cluster::Policy(command) => return policy::run(common, command).await,
        Cluster::Standby(arguments) => return standby::print(common, arguments).await,
        Cluster::Rights => return Ok(install::rights(common)),
        Cluster::Inspect(args) => return inspect::inspect(common, args).await,
        Cluster::Inventory(access) => return inspect::inventory(common, access).await,
        Cluster::WhoCan(args) => return inspect::who_can(common, args).await,
        Cluster::Can(args) => return inspect::can(common, args).await,
        Cluster::Passport(command) => return passport::passport(common, command).await,
        Cluster::Paths(args) => return inspect::paths(common, args).await,
        Cluster::Remove { name } => (System, Method::DELETE, of(&name, ""), None),
        Cluster::Enforce { cluster, mode, namespace } => {
            (Security, Method::PUT, of(&cluster, "/enforcement"), Some(json!({"namespace": namespace, "mode": parse(&mode)?})))
        }
        Cluster::Switch { cluster, policy, mode, namespace } => {
            (Security, Method::PUT, one(&cluster, "policies", &policy, ""), Some(json!({"namespace": namespace, "mode": parse(&mode)?})))
        }
        Cluster::Set { cluster, level, registries, level_setters, sandboxed_runtimes } => {
            let body = json!({
                "default_level": level, "registries": registries, "level_setters": level_setters, "sandboxed_runtimes": sandboxed_runtimes,
            });
            (Security, Method::PUT, of(&cluster, "/settings"), Some(body))
        }
        Cluster::Enter { place, cluster, ways, person, reason, minutes } => {
            let (namespace, pod) = place.split_once('/').ok_or_else(|| anyhow::anyhow!("{place}: 应为 命名空间/容器组 或 node/节点 / expected namespace/pod or node/name"))?;
            // Nodes have no namespace.
            let namespace = if namespace == "node" { "" } else { namespace };
            let body = json!({"person": person, "namespace": namespace, "pod": pod, "ways": ways, "reason": reason, "minutes": minutes});
            (System, Method::POST, of(&cluster, "/entries"), Some(body))
        }
        Cluster::Approve { cluster, id } => (Security, Method::POST, one(&cluster, "entries", &id, "/approve"), None),
        Cluster::Revoke { cluster, id } => (Security, Method::DELETE, one(&cluster, "entries", &id, ""), None),
        Cluster::Block { cluster, user, credential, reason, minutes } => {
            let body = json!({"user": user, "credential": credential, "reason": reason, "minutes": minutes});
            (Security, Method::POST, of(&cluster, "/blocked"), Some(body))
        }
        Cluster::Unblock { cluster, id } => (Security, Method::DELETE, one(&cluster, "blocked", &id, ""), None),
    };
    act(common, role, method, path, body).await
}

async fn base(common: &Common, command: Base) -> anyhow::Result<ExitCode> {
    let of = |cluster: &str, rest: &str| format!("/clusters/{}/base-platform{rest}", escape(cluster));
    let (role, method, path, body) = match command {
        Base::Propose { cluster, namespace, digest, signer, reason } => {
            let signer = signer.map(std::fs::read_to_string).transpose()?;
            let body = json!({"namespace": namespace, "digest": digest, "signer": signer, "reason": reason});
            (System, Method::POST, of(&cluster, ""), Some(body))
        }
        Base::Approve { cluster, id } => (Security, Method::POST, of(&cluster, &format!("/{}/approve", escape(&id))), None),
        Base::Remove { cluster, id } => (Security, Method::DELETE, of(&cluster, &format!("/{}", escape(&id))), None),
    };
    act(common, role, method, path, body).await
}

/// A mode's word in either language; `default` is none.
fn parse(mode: &str) -> anyhow::Result<Option<Mode>> {
    if mode == "default" { Ok(None) } else { Ok(Some(mode.parse::<Mode>().map_err(anyhow::Error::msg)?)) }
}
