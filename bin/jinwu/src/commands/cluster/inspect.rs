//! A cluster as it is, by its kubeconfig alone: what it is made of, who may do what, what breaks a clause.

use crate::output::{say, table};
use crate::{Common, output};
use anyhow::Context as _;
use jinwu_cluster::settings::Look;
use jinwu_cluster::{collect, connect, settings, way};
use jinwu_inventory::rbac::{Paths, Step};
use jinwu_inventory::{Facts, Finding, Grants, Inventory, Kind, NotRead, Request, Subject, inspect as judge};
use jinwu_model::{ClauseId, Text, Verdict};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

/// The way to a cluster.
#[derive(clap::Args, Clone)]
pub(crate) struct Access {
    /// kubeconfig 文件;缺省为 KUBECONFIG,再为 ~/.kube/config / kubeconfig file; KUBECONFIG, then ~/.kube/config by default
    #[arg(long, env = "KUBECONFIG")]
    kubeconfig: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(crate) struct Inspect {
    #[command(flatten)]
    access: Access,
    /// 仅此条款 / this clause alone
    #[arg(long)]
    clause: Option<String>,
    /// 也列出符合项与基础平台 / what conforms too
    #[arg(long)]
    all: bool,
    /// 也查看本机(控制平面的机器或节点,root)上各组件的参数与其配置文件 / look at components of this machine too, their options and files: on a machine of the control plane or a node, as root
    #[arg(long)]
    node_files: bool,
    /// 不向节点的端口发请求 / ask no ports of nodes
    #[arg(long)]
    no_probe: bool,
}

#[derive(clap::Args)]
pub(crate) struct WhoCan {
    #[command(flatten)]
    access: Access,
    verb: String,
    /// 资源[.组][/名称]、资源/子资源,或 / 开头的路径 / RESOURCE[.GROUP][/NAME], RESOURCE/SUBRESOURCE, or a path that begins with /
    resource: String,
    /// 缺省为整个集群 / the whole cluster by default
    #[arg(short, long, default_value = "")]
    namespace: String,
    #[arg(long, default_value = "")]
    subresource: String,
}

#[derive(clap::Args)]
pub(crate) struct Who {
    #[command(flatten)]
    access: Access,
    /// user:名称、group:名称、sa:命名空间/名称 / user:NAME, group:NAME, sa:NAMESPACE/NAME
    subject: String,
}

#[derive(clap::Args)]
pub(crate) struct Whose {
    #[command(flatten)]
    access: Access,
    /// 仅此主体 / this subject alone
    subject: Option<String>,
    /// 包括平台自身的主体 / subjects of the platform itself too
    #[arg(long)]
    all: bool,
}

impl Access {
    fn file(&self) -> Option<PathBuf> {
        let home = || std::env::var_os("HOME").map(|h| PathBuf::from(h).join(".kube/config")).filter(|p| p.is_file());
        self.kubeconfig.clone().or_else(home)
    }

    pub(crate) async fn client(&self) -> anyhow::Result<kube::Client> {
        Ok(connect(self.file().as_deref()).await?)
    }

    async fn way(&self) -> anyhow::Result<kube::Config> {
        Ok(way(self.file().as_deref()).await?)
    }

    pub(crate) async fn read(&self) -> anyhow::Result<(Inventory, Vec<NotRead>)> {
        collect(&self.client().await?).await.context("集群无法读取 / the cluster cannot be read")
    }
}

pub(crate) fn pick(common: &Common, text: &Text) -> String {
    common.lang.pick(&text.zh, &text.en).to_owned()
}

/// What could not be read, on standard error.
pub(crate) fn warn(common: &Common, not_read: &[NotRead]) {
    for n in not_read {
        eprintln!("{}: {}", n.object.as_deref().unwrap_or(n.kind.resource()), pick(common, &n.reason));
    }
}

pub(crate) async fn inspect(common: &Common, args: Inspect) -> anyhow::Result<ExitCode> {
    let clause = args.clause.map(|c| c.parse::<ClauseId>()).transpose().map_err(anyhow::Error::msg)?;
    let (inventory, not_read) = args.access.read().await?;
    let seen = settings(&args.access.way().await?, &inventory, Look { kubelets: true, ports: !args.no_probe, this_machine: args.node_files }).await;
    let findings = judge(&Facts { inventory: &inventory, not_read: &not_read, seen: &seen }, clause.as_ref());
    if common.json {
        output::json(&json!({"version": inventory.version, "notRead": not_read, "findings": findings}));
        return Ok(ExitCode::SUCCESS);
    }
    warn(common, &not_read);
    print(common, &findings, args.all);
    Ok(ExitCode::SUCCESS)
}

fn print(common: &Common, findings: &[Finding], all: bool) {
    let t = |zh, en| common.lang.pick(zh, en);
    let mut shown: Vec<_> = findings.iter().filter(|f| all || f.verdict != Verdict::Conforms).collect();
    shown.sort_by(|a, b| (&a.clause, b.severity, a.check, &a.asset).cmp(&(&b.clause, a.severity, b.check, &b.asset)));
    let rows: Vec<_> = shown
        .iter()
        .map(|f| {
            let verdict = common.lang.pick(f.verdict.zh(), f.verdict.en()).to_owned();
            vec![f.clause.to_string(), verdict, pick(common, &f.severity.text()), f.check.to_owned(), f.asset.clone(), pick(common, &f.actual), pick(common, &f.advice)]
        })
        .collect();
    table(&[t("条款", "clause"), t("判定", "verdict"), t("严重", "severity"), t("检查", "check"), t("对象", "asset"), t("实际", "actual"), t("建议", "advice")], &rows);
    let count = |v: Verdict| findings.iter().filter(|f| f.verdict == v).count();
    say!("{}", t(
        &format!("符合 {},部分符合 {},不符合 {},待确认 {}", count(Verdict::Conforms), count(Verdict::Partial), count(Verdict::Fails), count(Verdict::Unconfirmed)),
        &format!("{} conform, {} in part, {} fail, {} unconfirmed", count(Verdict::Conforms), count(Verdict::Partial), count(Verdict::Fails), count(Verdict::Unconfirmed)),
    ));
}

pub(crate) async fn inventory(common: &Common, access: Access) -> anyhow::Result<ExitCode> {
    let (inventory, not_read) = access.read().await?;
    if common.json {
        output::json(&json!({"inventory": inventory, "notRead": not_read, "bytes": inventory.size()}));
        return Ok(ExitCode::SUCCESS);
    }
    warn(common, &not_read);
    let i = &inventory;
    let mut rows: Vec<_> = [
        (Kind::Node, i.nodes.len()), (Kind::Namespace, i.namespaces.len()), (Kind::Pod, i.pods.len()), (Kind::Service, i.services.len()),
        (Kind::ServiceAccount, i.service_accounts.len()), (Kind::Secret, i.secrets.len()), (Kind::Role, i.roles.len()), (Kind::RoleBinding, i.bindings.len()),
        (Kind::RuntimeClass, i.runtime_classes.len()), (Kind::NetworkPolicy, i.network_policies.len()), (Kind::PodDisruptionBudget, i.pdbs.len()),
        (Kind::HorizontalPodAutoscaler, i.hpas.len()), (Kind::VerticalPodAutoscaler, i.vpas.len()), (Kind::MutatingWebhookConfiguration, i.mutating_webhooks.len()),
        (Kind::ValidatingWebhookConfiguration, i.validating_webhooks.len()), (Kind::ValidatingAdmissionPolicy, i.admission_policies.len()),
        (Kind::CertificateSigningRequest, i.signing_requests.len()),
    ]
    .into_iter()
    .map(|(kind, n)| vec![kind.resource().to_owned(), n.to_string()])
    .collect();
    rows.push(vec!["workloads".into(), i.workloads.len().to_string()]);
    let t = |zh, en| common.lang.pick(zh, en);
    table(&[t("种类", "kind"), t("数量", "count")], &rows);
    say!("{} {}, {} KiB", t("版本", "version"), i.version, i.size() / 1024);
    Ok(ExitCode::SUCCESS)
}

/// A resource as a person writes it.
fn resolve(inventory: &Inventory, args: &WhoCan) -> anyhow::Result<(String, String, String, String)> {
    let (word, mut name) = args.resource.split_once('/').unwrap_or((&args.resource, ""));
    let (word, group) = word.split_once('.').map_or((word, None), |(r, g)| (r, Some(g)));
    let found = inventory.resources.iter().find(|r| {
        !r.resource.contains('/')
            && group.is_none_or(|g| *r.group == *g)
            && (*r.resource == *word || r.kind.eq_ignore_ascii_case(word) || r.short_names.iter().any(|s| **s == *word))
    });
    let (resource, group) = match (found, group) {
        (Some(r), _) => (r.resource.to_string(), r.group.to_string()),
        (None, Some(group)) => (word.to_owned(), group.to_owned()),
        (None, None) if word == "*" => ("*".to_owned(), "*".to_owned()),
        (None, None) => anyhow::bail!("{word}: 集群没有此资源;自定义资源请写 资源.组 / the cluster has no such resource; write RESOURCE.GROUP"),
    };
    let mut subresource = args.subresource.clone();
    if subresource.is_empty() && inventory.resources.iter().any(|r| *r.group == *group && *r.resource == *format!("{resource}/{name}")) {
        subresource = std::mem::take(&mut name).to_owned();
    }
    Ok((group, resource, subresource, name.to_owned()))
}

pub(crate) async fn who_can(common: &Common, args: WhoCan) -> anyhow::Result<ExitCode> {
    let (inventory, not_read) = args.access.read().await?;
    warn(common, &not_read);
    let grants = Grants::new(&inventory);
    let (group, resource, subresource, name);
    let request = if args.resource.starts_with('/') {
        Request::Url { verb: &args.verb, path: &args.resource }
    } else {
        (group, resource, subresource, name) = resolve(&inventory, &args)?;
        Request::Resource { verb: &args.verb, group: &group, resource: &resource, subresource: &subresource, namespace: &args.namespace, name: &name }
    };
    let found = grants.who_can(&request);
    if common.json {
        let list: Vec<Value> = found.iter().map(|(s, why)| json!({"subject": s.to_string(), "by": why.by()})).collect();
        output::json(&json!({"subjects": list, "notRead": not_read}));
    } else {
        let rows: Vec<_> = found.iter().map(|(s, why)| vec![s.to_string(), why.by()]).collect();
        table(&[common.lang.pick("主体", "subject"), common.lang.pick("依据", "by")], &rows);
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn can(common: &Common, args: Who) -> anyhow::Result<ExitCode> {
    let subject = Subject::parse(&args.subject).map_err(anyhow::Error::msg)?;
    let (inventory, not_read) = args.access.read().await?;
    warn(common, &not_read);
    let grants = Grants::new(&inventory);
    let identity = subject.identity();
    let join = |words: &[Box<str>]| words.join(",");
    let mut rows = Vec::new();
    let mut list = Vec::new();
    for grant in grants.of(&identity) {
        for rule in &grant.role.rules {
            let on: Vec<_> = rule
                .resources
                .iter()
                .flat_map(|r| rule.api_groups.iter().map(move |g| if g.is_empty() { r.to_string() } else { format!("{r}.{g}") }))
                .chain(rule.non_resource_urls.iter().map(|u| u.to_string()))
                .collect();
            let by = format!("{} → {}", grant.binding_name(), grant.role_name());
            list.push(json!({"namespace": grant.binding.metadata.namespace, "rule": rule, "by": by}));
            let namespace = if grant.binding.metadata.namespace.is_empty() { "*" } else { &grant.binding.metadata.namespace };
            rows.push(vec![namespace.to_owned(), on.join(" "), join(&rule.resource_names), join(&rule.verbs), by]);
        }
    }
    if common.json {
        output::json(&json!({"user": identity.user, "groups": identity.groups, "rules": list, "notRead": not_read}));
        return Ok(ExitCode::SUCCESS);
    }
    let t = |zh, en| common.lang.pick(zh, en);
    say!("{} {:?}, {} {}", t("用户", "user"), identity.user, t("组", "groups"), identity.groups.join(", "));
    table(&[t("命名空间", "namespace"), t("资源", "resources"), t("名称", "names"), t("动词", "verbs"), t("依据", "by")], &rows);
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn paths(common: &Common, args: Whose) -> anyhow::Result<ExitCode> {
    let only = args.subject.as_deref().map(Subject::parse).transpose().map_err(anyhow::Error::msg)?;
    let (inventory, not_read) = args.access.read().await?;
    warn(common, &not_read);
    let grants = Grants::new(&inventory);
    let paths = Paths::new(&grants);
    let subjects: Vec<_> = match only {
        Some(subject) => vec![subject],
        None => grants.subjects().filter(|s| args.all || !s.of_platform()).cloned().collect(),
    };
    let mut list = Vec::new();
    for subject in subjects {
        for (goal, path) in [(("集群管理员", "cluster-admin"), paths.to_cluster_admin(&subject)), (("节点", "a node"), paths.to_node(&subject))] {
            let Some(path) = path else { continue };
            list.push(json!({"subject": subject.to_string(), "to": goal.1, "steps": path}));
            if !common.json {
                say!("{subject} → {}", common.lang.pick(goal.0, goal.1));
                path.iter().enumerate().for_each(|(n, step)| print_step(common, n + 1, step));
            }
        }
    }
    if common.json {
        output::json(&json!({"paths": list, "notRead": not_read}));
    } else if list.is_empty() {
        say!("{}", common.lang.pick("没有通往集群管理员或节点的路径", "no path to cluster-admin or to a node"));
    }
    Ok(ExitCode::SUCCESS)
}

fn print_step(common: &Common, n: usize, step: &Step) {
    say!("  {n}. {} → {}  ({}; {})", pick(common, &step.how), pick(common, &step.to.text()), step.technique, step.by);
}
