//! What is done for each entry of the clause catalogue; one module per family.
//!
//! A step adds answered checks ([`Evidence`]) to a list; the verdict comes from them
//! ([`crate::assessment::verdict`]). An error ends the step; what was found before it stays.

mod access;
mod attack;
mod audit;
mod availability;
mod content;
mod deployment;
mod entry;
mod identity;
mod intrusion;
mod isolation;
mod migration;
mod permission;
mod platform;
mod policy;
mod sensor;
mod tls;

use crate::cluster::Cluster;
use crate::cluster::field::Field;
use crate::evidence::{Evidence, Log, Role};
use crate::ground::Ground;
use crate::target::{As, Target};
use anyhow::{Context as _, bail};
use http::Method;
use jinwu_identity::AdminRole;
use jinwu_cluster::settings::Look;
use jinwu_inventory::{Inventory, NotRead, Seen, Severity};
use jinwu_model::{ClauseId, PolicyId, ProtectionLevel, Text, Verdict};
use jinwu_standard::verdict::Answer;
use serde_json::Value;
use std::collections::BTreeSet;

/// Clauses with steps.
pub const CLAUSES: [&str; 20] = [
    "IA-1", "IA-2", "IA-3", "AC-1", "AC-2", "AC-4", "AC-5", "AU-1", "AU-2", "AU-3", "IP-3", "IP-4", "IP-6", "IP-7", "IP-9", "MC-1", "MC-2", "IM-2", "CC-1", "CC-4",
];

/// Those of them that speak of a cluster alone: without one nothing can be said.
pub const OF_CLUSTERS: [&str; 12] = ["IA-1", "IA-3", "AC-1", "AC-4", "AC-5", "AU-3", "IP-6", "IP-7", "IP-9", "MC-2", "CC-1", "CC-4"];

/// What steps work with.
pub struct Lab<'a> {
    pub(crate) target: &'a Target,
    pub(crate) level: ProtectionLevel,
    ground: Option<&'a Ground<'a>>,
    cluster: Option<&'a Cluster>,
    field: Option<&'a Field<'a>>,
    guards_off: &'a BTreeSet<PolicyId>,
    /// Unix milliseconds at which the assessment began.
    pub(crate) since: i64,
}

/// Carries one catalogue entry out.
pub async fn run(id: &str, lab: &Lab<'_>, out: &mut Vec<Evidence>) -> anyhow::Result<()> {
    match id {
        "IA-1.C1" => platform::mechanism(lab, out).await,
        "IA-1.C2" => platform::secure_protocol(lab, out).await,
        "IA-1.S1" => platform::intrusion(lab, out).await,
        "IA-3.C1" => entry::mechanism(lab, out).await,
        "IA-3.C2" => entry::secure_protocol(lab, out).await,
        "IA-3.S1" => entry::intrusion(lab, out).await,
        "AC-1.C1" => permission::roles(lab, out).await,
        "AC-1.C2" => permission::fine_grained(lab, out).await,
        "AC-1.S1" => permission::matrix(lab, out).await,
        "AC-4.C1" => migration::shown(lab, out).await,
        "AC-4.C2" => migration::compared(lab, out).await,
        "AC-4.S1" => migration::moved(lab, out).await,
        "AC-5.C1" => isolation::runtimes(lab, out).await,
        "AC-5.C2" => isolation::kernels(lab, out).await,
        "AC-5.S1" => isolation::escape_drill(lab, out).await,
        "CC-1.C1" => availability::orchestration(lab, out).await,
        "CC-1.C2" => availability::recovery(lab, out).await,
        "CC-1.C3" => availability::elasticity(lab, out).await,
        "CC-1.S1" => availability::failure_and_load(lab, out).await,
        "IP-6.C1" => deployment::running(lab, out).await,
        "IP-6.C2" => {
            deployment::privileged(lab, out).await?;
            if lab.drills() && !sensor::present(lab, out).await?.is_empty() { sensor::privileged_at_start(lab, out).await } else { Ok(()) }
        }
        "AU-3.C1" => sensor::audited(lab, out).await,
        "AU-3.C2" | "AU-3.S1" => sensor::recorded(lab, out).await,
        "IP-9.C1" => sensor::responded(lab, out).await,
        "IP-9.C2" => sensor::analysed(lab, out).await,
        "MC-2.C1" => sensor::malware_watched(lab, out).await,
        "MC-2.C2" | "MC-2.S1" => sensor::malware_stopped(lab, out).await,
        "CC-4.C1" => sensor::monitored(lab, out).await,
        "CC-4.C2" => sensor::indicators(lab, out).await,
        "CC-4.S1" => sensor::overloaded(lab, out).await,
        "IA-2.C1" => identity::mechanism(lab, out).await,
        "IA-2.C2" => identity::secure_protocol(lab, out).await,
        "IA-2.S1" => identity::intrusion(lab, out).await,
        "AC-2.C1" => access::fine_grained(lab, out).await,
        "AC-2.C2" => access::by_project(lab, out).await,
        "AC-2.S1" => access::roles(lab, out).await,
        "AU-1.C1" | "AU-2.C1" => audit::function(lab, out).await,
        "AU-1.C2" => audit::image_records(lab, out).await,
        "AU-1.S1" => audit::image_use(lab, out).await,
        "AU-2.C2" => audit::platform_records(lab, out).await,
        "AU-2.C3" => policy::switches(lab, out).await,
        "AU-2.S1" => audit::platform_use(lab, out).await,
        "IP-3.C1" => content::secrets(lab, out).await,
        "IP-3.C2" => content::environment(lab, out).await,
        "IP-4.C1" => content::scanned(lab, out).await,
        "IP-4.C2" => content::vulnerable(lab, out).await,
        "IP-7.C1" => intrusion::watched(lab, out).await,
        "IP-7.C2" => {
            intrusion::stopped(lab, out).await?;
            if lab.drills() { sensor::intrusion(lab, out).await } else { Ok(()) }
        }
        "MC-1.C1" => content::malware_engine(lab, out).await,
        "MC-1.C2" => content::malware_stopped(lab, out).await,
        "MC-1.S1" => content::malware_drill(lab, out).await,
        "IM-2.C1" => content::user_defined(lab, out).await,
        "IM-2.C2" => content::user_enforced(lab, out).await,
        "IM-2.S1" => content::root_drill(lab, out).await,
        other => bail!("no step is written for {other}"),
    }
}

// === impl Lab ===

impl<'a> Lab<'a> {
    pub fn new(
        target: &'a Target,
        level: ProtectionLevel,
        ground: Option<&'a Ground<'a>>,
        cluster: Option<&'a Cluster>,
        field: Option<&'a Field<'a>>,
        guards_off: &'a BTreeSet<PolicyId>,
        since: i64,
    ) -> Self {
        Lab { target, level, ground, cluster, field, guards_off, since }
    }

    /// The assessment object of an entry.
    pub(crate) fn object(&self, id: &str) -> Text {
        let at = self.target.registry();
        let clause = id.split_once('.').map_or(id, |(clause, _)| clause);
        if let Some(cluster) = self.cluster.filter(|_| OF_CLUSTERS.contains(&clause)) {
            return Text::new(format!("集群 {}({})", cluster.name, cluster.address()), format!("cluster {} ({})", cluster.name, cluster.address()));
        }
        match clause {
            "AU-2" => Text::new(format!("管理平台 {at}"), format!("management platform {at}")),
            "IP-3" | "IM-2" => Text::new(format!("容器镜像(仓库 {at})"), format!("container images (registry {at})")),
            "IP-4" | "MC-1" => Text::new(format!("容器镜像、容器镜像仓库 {at}"), format!("container images, registry {at}")),
            _ => Text::new(format!("容器镜像仓库 {at}"), format!("image registry {at}")),
        }
    }

    fn log(&self, command: impl Into<String>) -> Log {
        self.target.log(command)
    }

    /// The drill ground; an error where drills are not run.
    fn ground(&self) -> anyhow::Result<&'a Ground<'a>> {
        self.ground.context("no drill ground")
    }

    /// The cluster; an error where none was given.
    fn cluster(&self) -> anyhow::Result<&'a Cluster> {
        self.cluster.context("未给出集群(--kubeconfig) / no cluster was given (--kubeconfig)")
    }

    /// The drills' namespace in the cluster.
    fn field(&self) -> anyhow::Result<&'a Field<'a>> {
        self.cluster()?;
        self.field.context("no drill ground in the cluster")
    }

    /// What the cluster is made of, and what of it could not be read.
    async fn inventory(&self, log: &mut Log) -> anyhow::Result<(Inventory, Vec<NotRead>)> {
        let read = jinwu_cluster::collect(self.cluster()?.client()).await.context("inventory")?;
        log.note(&format!("# {} pods, {} roles, {} bindings read; not read: {:?}", read.0.pods.len(), read.0.roles.len(), read.0.bindings.len(), read.1));
        Ok(read)
    }

    /// Settings of its control plane and kubelets.
    async fn seen(&self, inventory: &Inventory) -> anyhow::Result<Seen> {
        let cluster = self.cluster()?;
        let look = Look { kubelets: true, ports: true, this_machine: cluster.this_machine };
        Ok(jinwu_cluster::settings(cluster.config(), inventory, look).await)
    }

    /// True when any guard is deliberately off.
    fn any_off(&self) -> bool {
        !self.guards_off.is_empty()
    }

    /// True when drills are run.
    fn drills(&self) -> bool {
        self.ground.is_some()
    }

    /// True when this policy's guard is deliberately off.
    fn is_off(&self, policy: &PolicyId) -> bool {
        self.guards_off.contains(policy)
    }

    async fn get(&self, log: &mut Log, role: AdminRole, path: &str) -> anyhow::Result<Value> {
        self.target.act(log, As::Admin(role), Method::GET, path, None).await
    }

    /// Projects the asked level speaks about: those of that level and above, without temporary ones.
    async fn projects(&self, log: &mut Log) -> anyhow::Result<Vec<(String, u64)>> {
        let answer = self.get(log, AdminRole::SecurityAdministrator, "/projects").await?;
        let all = answer["projects"].as_array().context("no list of projects")?;
        Ok(all
            .iter()
            .filter_map(|p| Some((p["name"].as_str()?.to_owned(), p["level"].as_u64()?)))
            .filter(|(name, level)| *level >= u64::from(self.level.get()) && !name.starts_with(crate::ground::LABEL))
            .collect())
    }
}

/// What inspecting the cluster by the inventory found for a clause, one check a piece of evidence.
async fn findings(lab: &Lab<'_>, out: &mut Vec<Evidence>, clause: &str) -> anyhow::Result<()> {
    let mut log = lab.cluster()?.log("inventory");
    let (inventory, not_read) = lab.inventory(&mut log).await?;
    let id: ClauseId = clause.parse().map_err(anyhow::Error::msg)?;
    let seen = lab.seen(&inventory).await?;
    let all = jinwu_inventory::inspect(&jinwu_inventory::Facts { inventory: &inventory, not_read: &not_read, seen: &seen }, Some(&id));
    let mut by_check: Vec<(&str, Vec<&jinwu_inventory::Finding>)> = Vec::new();
    for finding in all.iter().filter(|f| !f.asset.contains(crate::ground::LABEL)) {
        match by_check.iter_mut().find(|(check, _)| *check == finding.check) {
            Some((_, list)) => list.push(finding),
            None => by_check.push((finding.check, vec![finding])),
        }
    }
    for (check, list) in by_check {
        let mut log = lab.cluster()?.log(format!("jinwu cluster inspect --clause {clause} ({check})"));
        let mut shown = Vec::new();
        for finding in &list {
            log.note(&format!("{} {}: {}\n{}", finding.verdict, finding.asset, finding.actual.en, finding.evidence));
            shown.push((format!("{}:{}", finding.asset, finding.actual.zh), format!("{}: {}", finding.asset, finding.actual.en)));
        }
        let answer = match () {
            // A low one is advice.
            () if list.iter().any(|f| matches!(f.verdict, Verdict::Fails | Verdict::Partial) && f.severity >= Severity::Medium) => Answer::Negative,
            () if list.iter().any(|f| f.verdict == Verdict::Unconfirmed) => Answer::Unknown,
            () if list.iter().all(|f| f.verdict == Verdict::NotApplicable) => Answer::NotApplicable,
            () => Answer::Affirmative,
        };
        let (zh, en): (Vec<String>, Vec<String>) = shown.into_iter().take(12).unzip();
        let expected = list.first().map(|f| f.expected.clone()).unwrap_or_default();
        out.push(log.prove(Role::State, expected, Text::new(zh.join(";"), en.join("; ")), answer));
    }
    Ok(())
}

fn t(zh: impl Into<String>, en: impl Into<String>) -> Text {
    Text::new(zh, en)
}

/// The same words in both languages: codes, numbers, names.
fn same(text: impl Into<String>) -> Text {
    let text = text.into();
    Text::new(text.clone(), text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jinwu_standard::catalogue;

    /// One step per entry of the eight clauses: none forgotten, none invented.
    #[test]
    fn clauses_with_steps_are_in_the_catalogue() {
        let source = include_str!("steps.rs");
        for clause in catalogue::clauses() {
            for item in clause.checks.iter().chain(&clause.simulations) {
                let written = source.contains(&format!("\"{}\"", item.id));
                assert_eq!(written, CLAUSES.contains(&clause.id.as_str()), "{}", item.id);
            }
        }
    }
}
