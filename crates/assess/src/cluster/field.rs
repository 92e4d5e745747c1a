//! Where drills in a cluster are done: a namespace of their own at the asked level, where policies act
//! at full strength whatever holds elsewhere, removed at the end with everything in it.

use super::manifest::{ACCOUNT, PULL, pod, spec};
use super::{Cluster, Who, items, message, name_of};
use crate::evidence::Log;
use crate::ground::{Ground, LABEL, now};
use crate::sample;
use crate::target::registry::escape;
use crate::target::{As, Reply, Target};
use anyhow::{Context as _, bail};
use base64::Engine as _;
use http::Method;
use jinwu_identity::AdminRole::{SecurityAdministrator as Security, SystemAdministrator as System};
use jinwu_model::{Mode, PolicyId, ProtectionLevel};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// The namespace and what was made for it.
pub struct Field<'t> {
    pub(crate) cluster: &'t Cluster,
    target: &'t Target,
    /// The namespace.
    pub namespace: String,
    /// Requests to enter containers, to be ended.
    entries: Mutex<Vec<String>>,
    /// Switches of policies in the namespace, to be taken back.
    switched: Mutex<BTreeSet<String>>,
    probe: Mutex<String>,
    off: BTreeSet<PolicyId>,
}

/// Longest wait for a change of policy to reach the gates.
const REACH: Duration = Duration::from_secs(20);
/// Longest wait for a pod: its image has to be pulled first.
pub const START: Duration = Duration::from_secs(60);
/// Namespaces of assessments that were killed are removed after this time, milliseconds.
const STALE: i64 = 2 * 3600 * 1000;
/// The pod that drills enter.
pub const HOST: &str = "target";

impl<'t> Field<'t> {
    /// Names only; nothing is made yet.
    pub fn new(cluster: &'t Cluster, target: &'t Target, ground: &Ground<'_>, off: &BTreeSet<PolicyId>) -> Self {
        Field {
            cluster,
            target,
            namespace: format!("{}-k", ground.prefix()),
            entries: Mutex::default(),
            switched: Mutex::default(),
            probe: Mutex::default(),
            off: off.clone(),
        }
    }

    /// Makes namespace, account, pull secret, the probe's image and a pod of it, and has policies act
    /// there at full strength.
    pub async fn prepare(&self, log: &mut Log, level: ProtectionLevel, ground: &Ground<'_>) -> anyhow::Result<()> {
        self.sweep(log).await;
        let probe = sample::probe();
        let repository = format!("{}/probe", ground.own);
        ground.remember(&repository, &probe.image.digest.to_string());
        let pushed = ground.ci()?.push(log, &repository, "1", &probe.image).await?;
        if pushed.status != 201 {
            bail!("演练程序的镜像被拒绝 / the image of the drills' program was refused: {} {}", pushed.status, pushed.text());
        }
        *self.probe.lock() = format!("{}/{repository}@{}", self.target.registry(), probe.image.digest);
        let known = self.show(log).await?;
        let default = known["default_level"].as_u64().unwrap_or(0);
        let mut labels = json!({"app.kubernetes.io/managed-by": "jinwu-assess", "jinwu.io/assessment": ground.prefix()});
        if default != u64::from(level.get()) {
            labels["jinwu.io/level"] = json!(level.to_string());
        }
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace, "labels": labels}});
        self.cluster.act(log, Who::Operator, Method::POST, "/api/v1/namespaces", Some(&namespace)).await?;
        self.enforce(log, Some(Mode::Block)).await?;
        for policy in &self.off {
            self.switch(log, &policy.0, Some(Mode::Allow)).await?;
        }
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT}});
        self.make(log, "serviceaccounts", &account).await?;
        let login = base64::engine::general_purpose::STANDARD.encode(format!("{}:{}", ground.ci_name(), ground.ci_secret()));
        self.target.mask.learn(&login);
        let mut auths = serde_json::Map::new();
        auths.insert(self.target.registry().to_owned(), json!({ "auth": login }));
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson", "metadata": {"name": PULL},
            "stringData": {".dockerconfigjson": json!({ "auths": auths }).to_string()}});
        self.target.mask.learn(&base64::engine::general_purpose::STANDARD.encode(json!({ "auths": auths }).to_string()));
        self.make(log, "secrets", &secret).await?;
        self.guard_is_up(log).await?;
        self.make(log, "pods", &pod(HOST, spec(&self.probe(), &["serve"]))).await?;
        self.running(log, HOST).await.map(drop)
    }

    /// The probe's image, by digest, in Jinwu's registry.
    pub fn probe(&self) -> String {
        self.probe.lock().clone()
    }

    fn path(&self, resource: &str) -> String {
        let group = match resource.split('/').next().unwrap_or_default() {
            "deployments" | "statefulsets" => "/apis/apps/v1",
            "horizontalpodautoscalers" => "/apis/autoscaling/v2",
            "roles" | "rolebindings" => "/apis/rbac.authorization.k8s.io/v1",
            "networkpolicies" => "/apis/networking.k8s.io/v1",
            _ => "/api/v1",
        };
        format!("{group}/namespaces/{}/{resource}", self.namespace)
    }

    /// Path of a resource in the namespace: `pods`, `pods/x/log`.
    pub fn at(&self, resource: &str) -> String {
        self.path(resource)
    }

    /// Creates an object here; an error when it is refused.
    pub async fn make(&self, log: &mut Log, resource: &str, object: &Value) -> anyhow::Result<Value> {
        self.cluster.act(log, Who::Operator, Method::POST, &self.path(resource), Some(object)).await
    }

    /// Tries to create an object here, for real or only to see.
    pub async fn attempt(&self, log: &mut Log, who: Who<'_>, resource: &str, object: &Value, dry: bool) -> anyhow::Result<Reply> {
        let path = format!("{}{}", self.path(resource), if dry { "?dryRun=All" } else { "" });
        self.cluster.ask(log, who, Method::POST, &path, Some(object)).await
    }

    /// Removes what an attack made, if it did.
    pub async fn drop(&self, log: &mut Log, resource: &str, name: &str) -> anyhow::Result<()> {
        let path = format!("{}?gracePeriodSeconds=0", self.path(&format!("{resource}/{name}")));
        self.cluster.ask(log, Who::Operator, Method::DELETE, &path, None).await.map(drop)
    }

    /// Waits until a pod runs and its containers are ready.
    pub async fn running(&self, log: &mut Log, name: &str) -> anyhow::Result<Value> {
        let path = self.path(&format!("pods/{name}"));
        let found = self.cluster.until(log, &path, START, is_ready).await?;
        found.with_context(|| format!("容器组 {name} 未能运行 / pod {name} did not come to run; its image must be pullable from every node"))
    }

    /// A token of a service account of this namespace, good for ten minutes.
    pub async fn token(&self, log: &mut Log, account: &str) -> anyhow::Result<String> {
        let ask = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}});
        let made = self.cluster.act(log, Who::Operator, Method::POST, &self.path(&format!("serviceaccounts/{account}/token")), Some(&ask)).await?;
        made["status"]["token"].as_str().map(str::to_owned).context("the TokenRequest gave no token")
    }

    /// What the server knows of the cluster.
    pub async fn show(&self, log: &mut Log) -> anyhow::Result<Value> {
        self.target.act(log, As::Admin(Security), Method::GET, &format!("/clusters/{}", escape(&self.cluster.name)), None).await
    }

    /// The strongest any policy may act here; `None` is what holds elsewhere.
    pub async fn enforce(&self, log: &mut Log, mode: Option<Mode>) -> anyhow::Result<()> {
        let body = json!({"namespace": self.namespace, "mode": mode.map(Mode::as_str)});
        let path = format!("/clusters/{}/enforcement", escape(&self.cluster.name));
        self.target.act(log, As::Admin(Security), Method::PUT, &path, Some(&body)).await.map(drop)
    }

    /// Switches a policy here; `None` is the level's default.
    pub async fn switch(&self, log: &mut Log, policy: &str, mode: Option<Mode>) -> anyhow::Result<()> {
        if mode.is_some() {
            self.switched.lock().insert(policy.to_owned());
        }
        let body = json!({"namespace": self.namespace, "mode": mode.map(Mode::as_str)});
        let path = format!("/clusters/{}/policies/{}", escape(&self.cluster.name), escape(policy));
        self.target.act(log, As::Admin(Security), Method::PUT, &path, Some(&body)).await.map(drop)
    }

    /// With the whole guard of this namespace off; on again whatever `work` came to.
    pub async fn unguarded<T>(&self, log: &mut Log, work: impl AsyncFnOnce(&mut Log) -> anyhow::Result<T>) -> anyhow::Result<T> {
        self.enforce(log, Some(Mode::Allow)).await?;
        let reached = self.gates_say(log, true).await;
        let result = match reached {
            Ok(()) => work(log).await,
            Err(error) => Err(error),
        };
        self.enforce(log, Some(Mode::Block)).await?;
        self.guard_is_up(log).await?;
        result
    }

    /// Waits until every gate refuses what has to be refused here.
    async fn guard_is_up(&self, log: &mut Log) -> anyhow::Result<()> {
        if self.off.is_empty() {
            return self.gates_say(log, false).await;
        }
        // What they refuse then depends on which guards are off: only time can tell.
        tokio::time::sleep(Duration::from_secs(3)).await;
        Ok(())
    }

    /// Waits until a pod in the host's namespaces is let in, or refused, several times in a row: each gate
    /// hears of a change by itself.
    async fn gates_say(&self, log: &mut Log, permit: bool) -> anyhow::Result<()> {
        let mut attack = spec(&self.probe(), &["true"]);
        attack["hostPID"] = json!(true);
        let attack = pod("is-the-guard-up", attack);
        let begun = tokio::time::Instant::now();
        let mut in_a_row = 0;
        while in_a_row < 6 {
            let mut quiet = self.cluster.log("");
            let reply = self.attempt(&mut quiet, Who::Operator, "pods", &attack, true).await?;
            in_a_row = if (reply.status == 201) == permit { in_a_row + 1 } else { 0 };
            if begun.elapsed() > REACH {
                let said = format!("{} {}", reply.status, message(&reply));
                bail!("关口在 20 秒内未按新策略裁决 / the gates did not act by the new policy within 20 s: {said}");
            }
            tokio::time::sleep(Duration::from_millis(if in_a_row > 0 { 30 } else { 200 })).await;
        }
        log.note(&format!("# gates {} ({:.1} s)", if permit { "permit" } else { "refuse" }, begun.elapsed().as_secs_f64()));
        Ok(())
    }

    /// Asks for leave to enter a container here and has it approved by somebody else; the request's id.
    pub async fn leave(&self, log: &mut Log, person: &str, pod: &str, ways: &[&str], minutes: i64, approve: bool) -> anyhow::Result<String> {
        let ask = json!({"person": person, "namespace": self.namespace, "pod": pod, "ways": ways, "minutes": minutes, "reason": "assessment drill, ended at its end"});
        let path = format!("/clusters/{}/entries", escape(&self.cluster.name));
        let asked = self.target.act(log, As::Admin(System), Method::POST, &path, Some(&ask)).await?;
        let id = asked["id"].as_str().context("the request to enter has no id")?.to_owned();
        self.entries.lock().push(id.clone());
        if approve {
            self.target.act(log, As::Admin(Security), Method::POST, &format!("{path}/{}/approve", escape(&id)), None).await?;
        }
        Ok(id)
    }

    /// Ends a request to enter, or what it gave.
    pub async fn end_leave(&self, log: &mut Log, id: &str) -> anyhow::Result<()> {
        let path = format!("/clusters/{}/entries/{}", escape(&self.cluster.name), escape(id));
        self.target.act(log, As::Admin(Security), Method::DELETE, &path, None).await?;
        self.entries.lock().retain(|e| e != id);
        Ok(())
    }

    /// Removes everything; gives what could not be removed, in words.
    pub async fn clear(&self, log: &mut Log) -> Vec<String> {
        let mut left = Vec::new();
        let entries = std::mem::take(&mut *self.entries.lock());
        for id in entries {
            if let Err(error) = self.end_leave(log, &id).await {
                left.push(format!("entry {id}: {error:#}"));
            }
        }
        match self.cluster.ask(log, Who::Operator, Method::DELETE, &format!("/api/v1/namespaces/{}", self.namespace), None).await {
            Ok(reply) if reply.status < 300 || reply.status == 404 => {}
            Ok(reply) => left.push(format!("namespace {}: {} {}", self.namespace, reply.status, message(&reply))),
            Err(error) => left.push(format!("namespace {}: {error:#}", self.namespace)),
        }
        let switched = std::mem::take(&mut *self.switched.lock());
        for policy in switched {
            if let Err(error) = self.switch(log, &policy, None).await {
                left.push(format!("policy {policy} in {}: {error:#}", self.namespace));
            }
        }
        if let Err(error) = self.enforce(log, None).await {
            left.push(format!("enforcement in {}: {error:#}", self.namespace));
        }
        left
    }

    /// Namespaces an assessment that was killed long ago left behind.
    async fn sweep(&self, log: &mut Log) {
        let path = "/api/v1/namespaces?labelSelector=app.kubernetes.io/managed-by%3Djinwu-assess";
        let Ok(found) = self.cluster.act(log, Who::Operator, Method::GET, path, None).await else { return };
        for namespace in items(&found) {
            let made = namespace["metadata"]["creationTimestamp"].as_str().and_then(|t| t.parse::<jiff::Timestamp>().ok());
            let stale = made.is_some_and(|t| now() - t.as_millisecond() > STALE);
            let name = name_of(namespace);
            if stale && name.starts_with(LABEL) {
                let _ = self.cluster.ask(log, Who::Operator, Method::DELETE, &format!("/api/v1/namespaces/{name}"), None).await;
            }
        }
    }
}

/// A pod runs and every container of it is ready.
pub fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    pod["metadata"]["deletionTimestamp"].is_null() && conditions.into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] == "True")
}
