//! Rights that were granted and never used, and the smaller roles that are left.

use super::inspect::{Access, warn};
use crate::client::{Client, escape};
use crate::commands::ledger::moment;
use crate::output::{self, say, table};
use crate::{Common, session};
use anyhow::Context as _;
use jinwu_audit::access::window::{Window, window};
use jinwu_audit::access::{ACTION, ANY, Observed, Use};
use jinwu_identity::AdminRole::AuditAdministrator as Audit;
use jinwu_inventory::unused::{Reduction, Used, manifest, reductions, since};
use jinwu_inventory::{Grants, Identity, Subject};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::process::ExitCode;

/// Records of one page.
const PAGE: usize = 2_000;
/// Records read at most: a hundred days of two gates.
const MOST: usize = 100_000;
/// The gate's own rights are partly asked about by the API server itself: `jinwu cluster rights`.
const GATE: &str = "sa:jinwu/jinwu-gate";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// 集群名 / the cluster
    name: String,
    #[command(flatten)]
    access: Access,
    /// 观察窗口的开始:30d、12h、2026-11-01 / from when on: 30d, 12h, 2026-11-01
    #[arg(long, default_value = "30d")]
    since: String,
    /// 仅此主体:user:名称、group:名称、sa:命名空间/名称 / this subject alone
    #[arg(long)]
    subject: Option<String>,
    /// 输出可直接应用的更小的角色与绑定 / print the smaller roles and bindings, ready to apply
    #[arg(long)]
    yaml: bool,
}

/// What the ledger has about the use of rights.
struct History {
    uses: Vec<Used>,
    window: Option<Window>,
}

/// One grant, judged.
struct Judged<'i> {
    subject: Subject,
    reduction: Reduction<'i>,
    /// It was observed for the whole window.
    whole: bool,
}

pub(super) async fn run(common: &Common, a: Arguments) -> anyhow::Result<ExitCode> {
    let from = moment(&a.since)?;
    let only = a.subject.as_deref().map(Subject::parse).transpose().map_err(anyhow::Error::msg)?;
    let history = read(&session::open(common, Audit).await?, &a.name, from).await?;
    let (inventory, not_read) = a.access.read().await?;
    warn(common, &not_read);
    let grants = Grants::new(&inventory);
    let subjects: Vec<Subject> = match only {
        Some(subject) => vec![subject],
        None => grants.subjects().filter(|s| !s.of_platform() && s.to_string() != GATE).cloned().collect(),
    };
    let observed = observed_since(&history, from);
    let mut all = Vec::new();
    for subject in subjects {
        // Kubernetes makes its own grants again at every start.
        for reduction in reductions(&grants, &subject, &history.uses).into_iter().filter(|r| !r.grant.binding.metadata.name.starts_with("system:")) {
            let whole = observed && created(since(&reduction.grant)).is_some_and(|t| t <= from);
            all.push(Judged { subject: subject.clone(), reduction, whole });
        }
    }
    all.retain(|j| !j.reduction.unused.is_empty());
    match (a.yaml, common.json) {
        (true, _) => yaml(&history, &all, from),
        (false, true) => output::json(&json!({"window": shown_window(&history, from), "grants": all.iter().map(shown).collect::<Vec<_>>(), "notRead": not_read})),
        (false, false) => print(common, &history, &all, from),
    }
    Ok(ExitCode::SUCCESS)
}

async fn read(server: &Client, cluster: &str, from: i64) -> anyhow::Result<History> {
    let (mut uses, mut observed, mut dropped) = (HashSet::new(), Vec::new(), Vec::new());
    // A use is told once a day, by UTC: it may have been told before the window began.
    let day = from - from.rem_euclid(86_400_000);
    for record in records(server, &format!("kind=system&since={day}&object={}", escape(&format!("access:{cluster}")))).await? {
        let detail = &record["detail"];
        if record["action"] != ACTION || detail["cluster"] != cluster {
            continue;
        }
        observed.push(serde_json::from_value::<Observed>(detail["observed"].clone()).context("observed")?);
        uses.extend(serde_json::from_value::<Vec<Use>>(detail["uses"].clone()).context("uses")?);
    }
    for record in records(server, &format!("kind=alarm&since={from}&object={}", escape("apiserver:audit"))).await? {
        if record["action"] == "audit-dropped" && record["detail"]["cluster"] == cluster {
            dropped.extend(record["time"].as_i64());
        }
    }
    let now = jiff::Timestamp::now().as_millisecond();
    Ok(History { uses: uses.into_iter().map(used).collect(), window: window(&observed, &dropped, from, now) })
}

async fn records(server: &Client, query: &str) -> anyhow::Result<Vec<Value>> {
    let mut all: Vec<Value> = Vec::new();
    let mut before = String::new();
    loop {
        let answer = server.get(&format!("/ledger?{query}&limit={PAGE}{before}")).await?;
        let page = answer["records"].as_array().cloned().unwrap_or_default();
        let full = page.len() == PAGE;
        all.extend(page);
        anyhow::ensure!(all.len() < MOST, "记录超过 {MOST} 条,缩短 --since / more than {MOST} records: shorten --since");
        match all.last().map(|r| r["seq"].to_string()) {
            Some(seq) if full => before = format!("&before={seq}"),
            _ => return Ok(all),
        }
    }
}

fn used(u: Use) -> Used {
    let (resource, subresource) = u.resource.split_once('/').map_or((u.resource.as_str(), ""), |(r, s)| (r, s));
    let (resource, subresource) = (resource.to_owned(), subresource.to_owned());
    // A name the ledger has masked may be any.
    let plain = u.name.chars().all(|c| c.is_ascii_alphanumeric() || "-._:@".contains(c));
    let name = if plain { u.name } else { ANY.to_owned() };
    Used { who: Identity { user: u.user, groups: u.groups }, verb: u.verb, group: u.group, resource, subresource, namespace: u.namespace, name, path: u.path }
}

/// The window began no later than it was asked for: a gap at its very beginning is a window that is too short.
fn observed_since(history: &History, from: i64) -> bool {
    history.window.as_ref().is_some_and(|w| w.gaps.first().is_none_or(|g| g.0 > from))
}

fn created(time: &str) -> Option<i64> {
    time.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

fn shown_window(history: &History, from: i64) -> Value {
    match &history.window {
        None => json!({"asked": from, "observed": null}),
        Some(w) => json!({"asked": from, "observed": {"from": w.span.0, "to": w.span.1, "gaps": w.gaps}, "whole": observed_since(history, from)}),
    }
}

fn shown(j: &Judged<'_>) -> Value {
    let r = &j.reduction;
    json!({
        "subject": j.subject.to_string(), "binding": r.grant.binding_name(), "role": r.grant.role_name(), "since": since(&r.grant),
        "verdict": if j.whole { "unused" } else { "observed-too-short" }, "unused": r.unused, "untraceable": r.untraceable,
        "smaller": r.smaller.iter().map(manifest).collect::<Vec<_>>(),
    })
}

fn print(common: &Common, history: &History, all: &[Judged<'_>], from: i64) {
    let t = |zh, en| common.lang.pick(zh, en);
    for (zh, en) in window_lines(history, from) {
        say!("{}", common.lang.pick(&zh, &en));
    }
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|j| {
            let r = &j.reduction;
            let verdict = match (j.whole, r.smaller.is_empty()) {
                (false, _) => t("待确认:观察不足", "unconfirmed: not observed long enough"),
                (true, true) => t("从未使用", "never used"),
                (true, false) => t("部分未使用", "used in part"),
            };
            vec![j.subject.to_string(), format!("{} → {}", r.grant.binding_name(), r.grant.role_name()), verdict.to_owned(), r.unused.join("; ")]
        })
        .collect();
    if rows.is_empty() {
        say!("{}", t("没有未使用的权限", "no right is unused"));
        return;
    }
    table(&[t("主体", "subject"), t("授予", "grant"), t("判定", "verdict"), t("未见使用", "not seen used")], &rows);
    say!("{}", t(
        "--yaml 输出更小的角色;不留审计痕迹的权限(escalate、bind、impersonate、kubelet 的接口)原样保留;其他程序以 SubjectAccessReview 询问的权限不可见,应用前请核对",
        "--yaml prints the smaller roles; rights that leave no trace in audit (escalate, bind, impersonate, what kubelets serve) stay as they are; what other programs ask by SubjectAccessReview is not seen: check before you apply",
    ));
}

/// What was observed, in Chinese and English.
fn window_lines(history: &History, from: i64) -> Vec<(String, String)> {
    let Some(w) = &history.window else {
        return vec![("没有任何观察:审计事件没有送达关口(jinwu cluster apiserver)".into(), "nothing was observed: no audit events reach the gate (jinwu cluster apiserver)".into())];
    };
    let at = output::time;
    let mut lines = vec![(format!("观察窗口 {} 至 {}", at(w.span.0), at(w.span.1)), format!("observed from {} to {}", at(w.span.0), at(w.span.1)))];
    lines.extend(w.gaps.iter().map(|(a, b)| (format!("  空档 {} 至 {}:其间的使用不可知", at(*a), at(*b)), format!("  gap {} to {}: what was used then is not known", at(*a), at(*b)))));
    if !observed_since(history, from) {
        lines.push(("观察短于所要求的窗口:不称任何权限为未使用".into(), "observed for less than was asked for: no right is called unused".into()));
    }
    lines
}

/// Role and binding of each grant that can be smaller; comments say the window and what to take away then.
fn yaml(history: &History, all: &[Judged<'_>], from: i64) {
    for (_, line) in window_lines(history, from) {
        say!("# {line}");
    }
    for j in all {
        let r = &j.reduction;
        let binding = r.grant.binding_name();
        if !j.whole {
            say!("# {} by {binding}: not observed long enough", j.subject);
            continue;
        }
        if r.smaller.is_empty() {
            say!("# {} never used {binding}: take it out of the subjects", j.subject);
            continue;
        }
        for object in objects(j) {
            say!("---\n{}", serde_json::to_string_pretty(&object).unwrap_or_default());
        }
        say!("# then take {} out of the subjects of {binding}", j.subject);
    }
}

fn objects(j: &Judged<'_>) -> [Value; 2] {
    let grant = &j.reduction.grant;
    let namespace = &*grant.binding.metadata.namespace;
    let mark = hex(&jinwu_trust::sha256(format!("{} {}", j.subject, grant.binding_name()).as_bytes()));
    let base: String = grant.binding.metadata.name.chars().take(200).collect();
    let name = format!("{base}-used-{mark}");
    let api = "rbac.authorization.k8s.io";
    let kind = if namespace.is_empty() { "ClusterRole" } else { "Role" };
    let mut metadata = json!({"name": name});
    if !namespace.is_empty() {
        metadata["namespace"] = json!(namespace);
    }
    let subject = match &j.subject {
        Subject::User(name) => json!({"kind": "User", "apiGroup": api, "name": name}),
        Subject::Group(name) => json!({"kind": "Group", "apiGroup": api, "name": name}),
        Subject::ServiceAccount { namespace, name } => json!({"kind": "ServiceAccount", "namespace": namespace, "name": name}),
    };
    [
        json!({"apiVersion": format!("{api}/v1"), "kind": kind, "metadata": metadata, "rules": j.reduction.smaller.iter().map(manifest).collect::<Vec<_>>()}),
        json!({"apiVersion": format!("{api}/v1"), "kind": format!("{kind}Binding"), "metadata": metadata,
            "roleRef": {"apiGroup": api, "kind": kind, "name": name}, "subjects": [subject]}),
    ]
}

/// Its first eight hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(4).map(|b| format!("{b:02x}")).collect()
}
