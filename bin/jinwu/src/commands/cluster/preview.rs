//! What gates would refuse of what runs already, before a level is switched to 拦截.

mod owners;

use super::{Common, Security, escape, output, session};
use crate::client::Client;
use crate::output::{say, text};
use anyhow::Context as _;
use http::Method;
use jinwu_cluster::running::{KINDS, Listed, pages};
use owners::Owners;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    name: String,
    /// 等级 1–4;缺省为各命名空间自己的等级 / level 1 to 4; each namespace's own by default
    #[arg(long)]
    level: Option<u8>,
    /// 只看一个命名空间 / one namespace only
    #[arg(long)]
    namespace: Option<String>,
    #[arg(long, env = "KUBECONFIG")]
    kubeconfig: Option<PathBuf>,
}

/// Bytes of objects in one question, and their number; the server takes 1 MiB and 500.
const BATCH: usize = 768 << 10;
const OBJECTS: usize = 200;

/// Policy → workload → what is wrong with it.
type Refused = BTreeMap<String, BTreeMap<String, Vec<Value>>>;

struct Preview<'c> {
    common: &'c Common,
    client: Client,
    path: String,
    level: Option<u8>,
    /// Namespace → its label.
    levels: BTreeMap<String, Value>,
    /// Namespaces themselves, which users' policies select by.
    namespaces: BTreeMap<String, Value>,
    owners: Owners,
    refused: Refused,
    /// What could not be judged, and why.
    unreadable: BTreeMap<String, String>,
    /// Users' policies that cannot be judged without a request, and why.
    unjudged: BTreeSet<String>,
    seen: u64,
}

/// Exit code 0: nothing would be refused; 1: something would, or could not be judged.
pub(super) async fn preview(common: &Common, a: Arguments) -> anyhow::Result<ExitCode> {
    if let Some(level) = a.level {
        anyhow::ensure!((1..=4).contains(&level), "--level {level}:须为 1–4 / must be 1 to 4");
    }
    let kube = jinwu_cluster::connect(a.kubeconfig.as_deref()).await?;
    let client = session::open(common, Security).await?;
    let path = format!("/clusters/{}/preview", escape(&a.name));
    let mut preview = Preview {
        common,
        client,
        path,
        level: a.level,
        levels: BTreeMap::new(),
        namespaces: BTreeMap::new(),
        owners: Owners::default(),
        refused: Refused::new(),
        unreadable: BTreeMap::new(),
        unjudged: BTreeSet::new(),
        seen: 0,
    };
    // An unknown cluster is said before anything is read.
    preview.ask(&[]).await?;
    let namespaces = Listed { group: "", version: "v1", kind: "Namespace", resource: "namespaces", namespaced: false };
    pages(&kube, namespaces, None, async |page| {
        for namespace in page {
            preview.namespaces.insert(text(&namespace["metadata"], "name"), slim(&namespace));
            preview.levels.insert(text(&namespace["metadata"], "name"), namespace["metadata"]["labels"]["jinwu.io/level"].clone());
        }
        Ok(())
    })
    .await
    .context("API server: namespaces")?;
    if let Some(namespace) = &a.namespace {
        anyhow::ensure!(preview.levels.contains_key(namespace), "命名空间不存在:{namespace} / namespace {namespace} does not exist");
    }
    for kind in KINDS {
        if a.namespace.is_some() && !kind.namespaced {
            continue;
        }
        let listed = pages(&kube, kind, a.namespace.as_deref(), async |page| preview.page(kind, page).await).await;
        listed.with_context(|| format!("API server: {}", kind.resource))?;
    }
    preview.show(&a.name)
}

/// A namespace without what nobody selects by.
fn slim(namespace: &Value) -> Value {
    let metadata = &namespace["metadata"];
    json!({
        "metadata": {"name": metadata["name"], "uid": metadata["uid"], "labels": metadata["labels"], "creationTimestamp": metadata["creationTimestamp"]},
        "spec": namespace["spec"], "status": namespace["status"],
    })
}

impl Preview<'_> {
    async fn page(&mut self, kind: Listed, page: Vec<Value>) -> anyhow::Result<()> {
        let (mut batch, mut workloads, mut bytes) = (Vec::new(), Vec::new(), 0);
        for object in page {
            let Some(workload) = self.owners.place(kind.kind, &object) else { continue };
            self.seen += 1;
            let level = self.levels.get(object["metadata"]["namespace"].as_str().unwrap_or_default()).filter(|l| l.is_string());
            let item = json!({
                "group": kind.group, "version": kind.version, "kind": kind.kind, "resource": kind.resource, "level_label": level,
                "namespace_object": self.namespaces.get(object["metadata"]["namespace"].as_str().unwrap_or_default()), "object": object,
            });
            let size = item.to_string().len();
            if size > BATCH {
                self.unreadable.insert(workload, "对象过大 / the object is too large".into());
                continue;
            }
            if bytes + size > BATCH || batch.len() == OBJECTS {
                self.judge(&std::mem::take(&mut batch), &std::mem::take(&mut workloads)).await?;
                bytes = 0;
            }
            bytes += size;
            batch.push(item);
            workloads.push(workload);
        }
        if batch.is_empty() { Ok(()) } else { self.judge(&batch, &workloads).await }
    }

    async fn ask(&self, batch: &[Value]) -> anyhow::Result<Value> {
        self.client.call(Method::POST, &self.path, Some(&json!({"level": self.level, "objects": batch}))).await
    }

    async fn judge(&mut self, batch: &[Value], workloads: &[String]) -> anyhow::Result<()> {
        let answer = self.ask(batch).await?;
        let answers = answer["objects"].as_array().filter(|a| a.len() == batch.len()).context("服务端的应答不全 / the server's answer is not whole")?;
        for (answer, workload) in answers.iter().zip(workloads) {
            if let Some(why) = answer["unreadable"].as_str() {
                self.unreadable.insert(workload.clone(), why.to_owned());
            }
            for why in answer["unjudged"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                self.unjudged.insert(why.to_owned());
            }
            let mut by_policy: BTreeMap<String, Vec<Value>> = BTreeMap::new();
            for violation in answer["violations"].as_array().into_iter().flatten().filter(|v| v["mode"] == "block") {
                let shown = json!({"finding": violation["finding"], "advice": violation["advice"], "clauses": violation["clauses"], "level": answer["level"]});
                by_policy.entry(text(violation, "policy")).or_default().push(shown);
            }
            for (policy, found) in by_policy {
                // What a workload is told needs not be told again of its pods.
                self.refused.entry(policy).or_default().entry(workload.clone()).or_insert(found);
            }
        }
        Ok(())
    }

    fn show(&self, cluster: &str) -> anyhow::Result<ExitCode> {
        let clean = self.refused.is_empty() && self.unreadable.is_empty() && self.unjudged.is_empty();
        let code = if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        if self.common.json {
            output::json(&json!({
                "cluster": cluster, "level": self.level, "objects": self.seen, "refused": self.refused, "unreadable": self.unreadable, "unjudged": self.unjudged, "pods": self.owners.pods(),
            }));
            return Ok(code);
        }
        let lang = self.common.lang;
        for (policy, workloads) in &self.refused {
            say!("{policy} ({})", workloads.len());
            for (workload, found) in workloads {
                let pods = self.owners.pods_of(workload).map(|n| format!("({n} {})", lang.pick("个容器组", "pods"))).unwrap_or_default();
                say!("  {workload}{pods}");
                for one in found.iter().take(5) {
                    say!("    {} → {}", lang.of(&one["finding"]), lang.of(&one["advice"]));
                }
                if found.len() > 5 {
                    say!("    … {}", found.len() - 5);
                }
            }
        }
        for (workload, why) in &self.unreadable {
            say!("{} {workload}: {why}", lang.pick("无法裁决", "cannot be judged"));
        }
        for why in &self.unjudged {
            say!("{} {why}", lang.pick("没有实际请求则无法裁决", "cannot be judged without a request"));
        }
        let workloads: BTreeSet<&String> = self.refused.values().flat_map(BTreeMap::keys).collect();
        let level = self.level.map_or_else(|| lang.pick("各自等级", "own levels").to_owned(), |l| l.to_string());
        say!(
            "{}",
            lang.pick("{1}({2}):查看 {3} 个对象,拦截之下会拒绝其中 {4} 个工作负载", "{1} ({2}): {3} objects looked at; {4} workloads would be refused")
                .replace("{1}", cluster)
                .replace("{2}", &level)
                .replace("{3}", &self.seen.to_string())
                .replace("{4}", &workloads.len().to_string())
        );
        Ok(code)
    }
}
