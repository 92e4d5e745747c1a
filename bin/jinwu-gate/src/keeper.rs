//! What the gate keeps in its cluster: its certificate, the last bundle, its webhooks.
//!
//! Everything is written with the version it was read at, so replicas that do the same at once do not
//! undo each other. A webhook that was changed or deleted is put right and recorded: the API server
//! lets no webhook see that itself.

use crate::admit::entries;
use crate::certificate;
use crate::server::Server;
use crate::state::{Gate, now};
use anyhow::Context as _;
use base64::Engine as _;
use futures::StreamExt;
use jinwu_admission::protocol::{ImageAnswer, Signed};
use jinwu_cluster::install::{BUNDLE_SECRET, FAILURE_MEMBER, Failure, GATE, NAMESPACE, POLICIES, PolicyRules, TLS_SECRET, webhooks};
use jinwu_model::{Kind, Outcome, Record, Subject};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DynamicObject, ObjectMeta, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, ResourceExt};
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Files that make up the certificate; `ca.key` is of gates that made their own authority.
const FILES: [&str; 5] = ["ca.crt", "ca.key", "server.crt", "server.key", "server.stamp"];

/// Between two looks at what the gate keeps in the cluster, where nothing is heard of.
pub(crate) const LOOK: Duration = Duration::from_secs(15);
/// How long a bundle may take to reach one replica after another.
pub(crate) const SPREAD: Duration = Duration::from_secs(2);

/// How soon what the operator has set anew is seen.
const SOON: Duration = Duration::from_secs(1);
/// How long the webhooks wait for the native policy to hold, before they are left as they are.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Keeper {
    client: Client,
    secrets: Api<Secret>,
    folder: PathBuf,
    names: Vec<String>,
    server: Arc<Server>,
    /// What the installation wants, and the version of the Secret that says so.
    wanted: Mutex<Option<(String, Failure)>>,
    standing: Mutex<Standing>,
}

/// Whether the native policy holds in all namespaces, so that the webhooks may be opened on failure.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Standing {
    #[default]
    Unknown,
    /// Since then it has been seen bound everywhere.
    Since(Instant),
    /// The API server has no such policies.
    Unavailable,
}

impl Keeper {
    pub(crate) fn new(client: Client, folder: PathBuf, names: Vec<String>, server: Arc<Server>) -> Self {
        let secrets = Api::namespaced(client.clone(), NAMESPACE);
        Keeper { secrets, client, folder, names, server, wanted: Mutex::default(), standing: Mutex::default() }
    }

    /// The certificate that all replicas share: the cluster's if it is good and of this authority
    /// (empty: of any), else a new one by the server. Gives its files and whether they are other than
    /// before.
    pub(crate) async fn certificate(&self, authority: &str) -> anyhow::Result<(jinwu_trust::tls::Certificates, bool)> {
        let before = std::fs::read(self.folder.join("server.crt")).ok();
        for _ in 0..5 {
            let secret = self.secrets.get(TLS_SECRET).await.with_context(|| format!("secret {NAMESPACE}/{TLS_SECRET}: install again with jinwu cluster install"))?;
            let data = secret.data.clone().unwrap_or_default();
            std::fs::create_dir_all(&self.folder)?;
            for name in FILES {
                let path = self.folder.join(name);
                match data.get(name) {
                    Some(bytes) => jinwu_trust::files::write(&path, &bytes.0, 0o600)?,
                    None => drop(std::fs::remove_file(&path)),
                }
            }
            if !certificate::is_good(&self.folder, &self.names, authority) {
                certificate::ask(&self.server, &self.folder, &self.names).await.context("certificate")?;
            }
            let made = certificate::files_of(&self.folder);
            let now: BTreeMap<String, Vec<u8>> = FILES.iter().filter_map(|n| Some(((*n).to_owned(), std::fs::read(self.folder.join(n)).ok()?))).collect();
            let same = now.len() == data.len() && now.iter().all(|(name, bytes)| data.get(name).is_some_and(|d| d.0 == *bytes));
            let kept = if same { Ok(()) } else { self.replace(secret, now).await };
            match kept {
                Ok(()) => {
                    let changed = std::fs::read(&made.chain).ok() != before;
                    return Ok((made, changed));
                }
                // Another replica was first: take what it made.
                Err(kube::Error::Api(e)) if e.code == 409 => tokio::time::sleep(Duration::from_millis(200)).await,
                Err(e) => return Err(e.into()),
            }
        }
        anyhow::bail!("secret {NAMESPACE}/{TLS_SECRET} changes all the time")
    }

    async fn replace(&self, secret: Secret, data: BTreeMap<String, Vec<u8>>) -> Result<(), kube::Error> {
        let name = secret.name_any();
        let secret = Secret { data: Some(data.into_iter().map(|(k, v)| (k, k8s_openapi::ByteString(v))).collect()), ..secret };
        self.secrets.replace(&name, &PostParams::default(), &secret).await.map(drop)
    }

    /// The bundle of a cluster whose gates all begin anew while the server is away.
    pub(crate) async fn bundle(&self) -> Option<Signed> {
        let secret = self.secrets.get(BUNDLE_SECRET).await.ok()?;
        serde_json::from_slice(&secret.data?.get("bundle.json")?.0).ok()
    }

    pub(crate) async fn keep_bundle(&self, signed: &Signed) {
        let text = serde_json::to_string(signed).unwrap_or_default();
        if text.len() > 900 << 10 {
            tracing::warn!(bytes = text.len(), "the bundle is too large for a secret: it is kept on disk alone");
            return;
        }
        let patch = serde_json::json!({"stringData": {"bundle.json": text}});
        if let Err(error) = self.secrets.patch(BUNDLE_SECRET, &PatchParams::default(), &Patch::Merge(patch)).await {
            tracing::warn!(%error, "the bundle could not be kept in the cluster");
        }
    }

    /// What some gate was told about its own image.
    pub(crate) async fn own_image(&self) -> Option<ImageAnswer> {
        let secret = self.secrets.get(BUNDLE_SECRET).await.ok()?;
        serde_json::from_slice(&secret.data?.get("own-image.json")?.0).ok()
    }

    pub(crate) async fn keep_own_image(&self, answer: &ImageAnswer) {
        let patch = serde_json::json!({"stringData": {"own-image.json": serde_json::to_string(answer).unwrap_or_default()}});
        if let Err(error) = self.secrets.patch(BUNDLE_SECRET, &PatchParams::default(), &Patch::Merge(patch)).await {
            tracing::warn!(%error, "the verdict of the gate's own image could not be kept in the cluster");
        }
    }

    /// Watches the webhooks and puts them right, for ever.
    pub(crate) async fn keep_webhooks(self: Arc<Self>, gate: Arc<Gate>) {
        let [validating, mutating] = ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"].map(|kind| {
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind));
            Api::<DynamicObject>::all_with(self.client.clone(), &resource)
        });
        let only = watcher::Config::default().fields(&format!("metadata.name={GATE}"));
        let mut events = futures::stream::select(
            watcher(validating.clone(), only.clone()).default_backoff().map(|e| e.map(drop)),
            watcher(mutating.clone(), only).default_backoff().map(|e| e.map(drop)),
        )
        .boxed();
        // What was put by this gate already, and only then is a difference somebody's doing; what the operator has set
        // anew is not.
        let mut put: Option<(Failure, PolicyRules)> = None;
        loop {
            let failure = self.safely(self.failure().await, put.as_ref().map(|p| p.0), &validating).await;
            let wanted = (failure, policy_rules(&gate));
            let settled = put.as_ref() == Some(&wanted);
            match self.put_right([&validating, &mutating], &wanted, || settled && policy_rules(&gate) == wanted.1).await {
                Ok(changes) => {
                    if settled && !changes.is_empty() {
                        self.alarm(&gate, &format!("webhook:{GATE}"), &changes).await;
                    }
                    put = Some(wanted);
                }
                Err(error) => tracing::error!(error = format!("{error:#}"), "the webhooks could not be put right"),
            }
            let event = tokio::select! {
                event = events.next() => event,
                () = self.until_look(&gate, put.as_ref()) => continue,
            };
            match event {
                Some(Err(error)) => {
                    tracing::warn!(%error, "watch of the webhooks");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                Some(Ok(())) => {}
                None => return,
            }
        }
    }

    /// What the installation wants while no gate answers: the same for all replicas, whichever version they are
    /// of. What it was before where it cannot be read.
    pub(crate) async fn failure(&self) -> Failure {
        let before = self.wanted.lock().clone();
        match self.read_failure(before.as_ref()).await {
            Ok(Some(now)) => {
                let failure = now.1;
                *self.wanted.lock() = Some(now);
                failure
            }
            Ok(None) => before.map(|b| b.1).unwrap_or_default(),
            Err(error) => {
                tracing::warn!(%error, "secret {BUNDLE_SECRET}");
                before.map(|b| b.1).unwrap_or_default()
            }
        }
    }

    /// The same as it was last read.
    pub(crate) fn known_failure(&self) -> Failure {
        self.wanted.lock().as_ref().map(|w| w.1).unwrap_or_default()
    }

    /// None: it is still the one of before. The Secret also holds the bundle, which need not be read each time.
    async fn read_failure(&self, before: Option<&(String, Failure)>) -> Result<Option<(String, Failure)>, kube::Error> {
        let version = self.secrets.get_metadata(BUNDLE_SECRET).await?.resource_version();
        if before.is_some_and(|(b, _)| Some(b) == version.as_ref()) {
            return Ok(None);
        }
        let secret = self.secrets.get(BUNDLE_SECRET).await?;
        let failure = failure_of(secret.data.as_ref().and_then(|d| d.get(FAILURE_MEMBER)).map(|v| v.0.as_slice()));
        Ok(Some((secret.resource_version().unwrap_or_default(), failure)))
    }

    /// `wanted` as soon as it is safe: webhooks are opened only once the native policy holds what they let pass. Where it
    /// does not come to that they stay as they are.
    async fn safely(&self, wanted: Failure, put: Option<Failure>, validating: &Api<DynamicObject>) -> Failure {
        if wanted == Failure::Fail || put == Some(Failure::Ignore) {
            return wanted;
        }
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end && self.failure().await == Failure::Ignore {
            match *self.standing.lock() {
                Standing::Since(since) if since.elapsed() >= SPREAD => return Failure::Ignore,
                Standing::Unavailable => return Failure::Ignore,
                Standing::Since(_) | Standing::Unknown => {}
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        tracing::warn!("the webhooks stay as they are on failure: the native policy does not hold everywhere yet");
        let found = validating.get_opt(GATE).await.ok().flatten();
        if found.is_some_and(|f| f.data.pointer("/webhooks/0/failurePolicy") == Some(&Value::from(Failure::Ignore.as_str()))) { Failure::Ignore } else { Failure::Fail }
    }

    pub(crate) fn stands(&self, bound: Standing) {
        let mut standing = self.standing.lock();
        match (*standing, bound) {
            (Standing::Since(_), Standing::Since(_)) => {}
            (_, bound) => *standing = bound,
        }
    }

    /// Until something else is wanted, or it is time for a look.
    async fn until_look(&self, gate: &Gate, put: Option<&(Failure, PolicyRules)>) {
        let (mut before, mut asked, end) = (gate.generation(), Instant::now(), Instant::now() + LOOK);
        while Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(250)).await;
            let now = gate.generation();
            if now != before && put.map(|p| &p.1) != Some(&policy_rules(gate)) {
                return;
            }
            before = now;
            if asked.elapsed() >= SOON {
                asked = Instant::now();
                let failure = self.failure().await;
                if put.is_none_or(|p| p.0 != failure) {
                    return;
                }
            }
        }
    }

    /// Puts right what is not as wanted. `settled` says whether it was, and nothing else is wanted meanwhile: then another
    /// replica may just be ahead with a newer bundle, and gets a moment's grace.
    async fn put_right(&self, apis: [&Api<DynamicObject>; 2], wanted: &(Failure, PolicyRules), settled: impl Fn() -> bool) -> anyhow::Result<Vec<String>> {
        let authority = base64::engine::general_purpose::STANDARD.encode(std::fs::read(self.folder.join("ca.crt"))?);
        let mut changes = Vec::new();
        let (was_settled, mut waited) = (settled(), false);
        for (want, api) in webhooks(&authority, wanted.0, &wanted.1).iter().zip(apis) {
            let kind = want.get("kind").and_then(Value::as_str).unwrap_or_default();
            match api.get_opt(GATE).await? {
                None => {
                    let object: DynamicObject = serde_json::from_value(want.clone())?;
                    match api.create(&PostParams::default(), &object).await {
                        Ok(_) => changes.push(format!("{kind}: 已被删除,已重建 / was deleted, is made again")),
                        Err(kube::Error::Api(e)) if e.code == 409 => {}
                        Err(e) => return Err(e.into()),
                    }
                }
                Some(found) => {
                    let differs = differences(&found.data["webhooks"], &want["webhooks"]);
                    if differs.is_empty() {
                        continue;
                    }
                    if was_settled && !std::mem::replace(&mut waited, true) && only_policies(&differs) {
                        tokio::time::sleep(SPREAD).await;
                        if !settled() {
                            return Ok(Vec::new());
                        }
                    }
                    let mut object: DynamicObject = serde_json::from_value(want.clone())?;
                    object.metadata = ObjectMeta { resource_version: found.metadata.resource_version.clone(), ..object.metadata };
                    match api.replace(GATE, &PostParams::default(), &object).await {
                        Ok(_) => changes.push(format!("{kind}: {} 被改动,已改回 / was changed, is put right", differs.join(", "))),
                        Err(kube::Error::Api(e)) if e.code == 409 => {}
                        Err(e) => return Err(e.into()),
                    }
                }
            }
        }
        Ok(changes)
    }

    /// Records that something of the gate's was tampered with.
    pub(crate) async fn alarm(&self, gate: &Gate, object: &str, changes: &[String]) {
        let cluster = gate.cluster();
        let records = changes.iter().map(|change| {
            Record::new(now(), Kind::Alarm, Subject::system("jinwu-gate"), "gate-tampered", object)
                .outcome(Outcome::Success)
                .with("cluster", cluster.clone())
                .with("finding", change.clone())
                .with("clauses", vec!["IP-6", "IP-7"])
        });
        tracing::warn!(object, ?changes, "what was tampered with was put right");
        if let Err(error) = gate.spool.append(&entries(records.collect())).await {
            tracing::error!(error, "an alarm could not be recorded");
        }
    }
}

/// Whether a validating configuration refuses, outside the platform, what no gate answers: the webhook is there and as
/// it must be.
pub(crate) fn is_closed(found: &Value) -> bool {
    let [mut want, _] = webhooks("", Failure::Fail, &PolicyRules::default());
    let Some(hook) = want.pointer_mut("/webhooks/0") else { return false };
    hook.as_object_mut().map(|h| h.remove("clientConfig"));
    let first = found.pointer("/webhooks/0").cloned().unwrap_or_default();
    differences(&Value::from(vec![first]), &Value::from(vec![hook.clone()])).is_empty()
}

/// Rules of users' policies in the bundle of now.
fn policy_rules(gate: &Gate) -> PolicyRules {
    let registered = gate.rules().map(|rules| jinwu_admission::users::registered(&rules.users)).unwrap_or_default();
    PolicyRules { closed: registered.closed, open: registered.open }
}

/// Whether a newer bundle of another replica may be all there is to a difference.
fn only_policies(differs: &[String]) -> bool {
    differs.iter().all(|d| d.contains(POLICIES) || d.starts_with("webhooks ("))
}

/// Closed, unless the installation says otherwise in so many words.
fn failure_of(member: Option<&[u8]>) -> Failure {
    member.and_then(|v| std::str::from_utf8(v).ok()).and_then(|v| v.trim().parse().ok()).unwrap_or_default()
}

/// Members of the webhooks that are not as they must be. What the API server adds does not count.
fn differences(found: &Value, want: &Value) -> Vec<String> {
    let list = |v: &Value| v.as_array().cloned().unwrap_or_default();
    let (found, want) = (list(found), list(want));
    let mut out = Vec::new();
    if found.len() != want.len() {
        out.push(format!("webhooks ({} ≠ {})", found.len(), want.len()));
    }
    for (have, must) in found.iter().zip(&want) {
        let Some(members) = must.as_object() else { continue };
        for (name, value) in members {
            if !covers(&have[name], value) {
                out.push(format!("{}.{name}", must["name"].as_str().unwrap_or_default()));
            }
        }
        for name in ["namespaceSelector", "objectSelector", "matchConditions"] {
            let empty = |v: &Value| v.is_null() || v.as_object().is_some_and(serde_json::Map::is_empty) || v.as_array().is_some_and(Vec::is_empty);
            // A selector that must select everything, and does not.
            if empty(&must[name]) && !empty(&have[name]) {
                out.push(format!("{}.{name}", must["name"].as_str().unwrap_or_default()));
            }
        }
    }
    out.dedup();
    out
}

/// Whether `have` is `want`, but for members that only `have` has.
pub(crate) fn covers(have: &Value, want: &Value) -> bool {
    match (have, want) {
        (Value::Object(have), Value::Object(want)) => want.iter().all(|(k, v)| have.get(k).is_some_and(|h| covers(h, v)) || (v.as_object().is_some_and(serde_json::Map::is_empty) && !have.contains_key(k))),
        (Value::Array(have), Value::Array(want)) => have.len() == want.len() && have.iter().zip(want).all(|(h, w)| covers(h, w)),
        (have, want) => have == want || (have.is_null() && want.as_object().is_some_and(serde_json::Map::is_empty)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_weakens_a_webhook_is_seen_and_what_the_api_server_adds_is_not() {
        let [want, _] = webhooks("Y2E=", Failure::Fail, &PolicyRules::default());
        let mut found = want["webhooks"].clone();
        found[0]["clientConfig"]["service"]["extra"] = "x".into();
        found[0]["rules"][0]["added"] = 1.into();
        assert!(differences(&found, &want["webhooks"]).is_empty());
        for (pointer, value) in [
            ("/0/failurePolicy", serde_json::json!("Ignore")),
            ("/0/namespaceSelector", serde_json::json!({})),
            ("/0/objectSelector", serde_json::json!({"matchLabels": {"skip": "no"}})),
            ("/0/rules", serde_json::json!([])),
            ("/0/rules/0/operations", serde_json::json!(["DELETE"])),
            ("/0/clientConfig/caBundle", serde_json::json!("b3RoZXI=")),
            ("/0/clientConfig/service/name", serde_json::json!("other")),
            ("/0/timeoutSeconds", serde_json::json!(1)),
            ("/0/matchPolicy", serde_json::json!("Exact")),
        ] {
            let mut weak = found.clone();
            *weak.pointer_mut(pointer).unwrap() = value;
            assert!(!differences(&weak, &want["webhooks"]).is_empty(), "{pointer}");
        }
        let mut weak = found.clone();
        weak[0]["matchConditions"] = serde_json::json!([{"name": "never", "expression": "false"}]);
        assert!(!differences(&weak, &want["webhooks"]).is_empty(), "matchConditions");
        weak = serde_json::json!([]);
        assert!(!differences(&weak, &want["webhooks"]).is_empty(), "no webhooks");
    }

    #[test]
    fn only_a_whole_webhook_is_closed() {
        let at = |failure| webhooks("Y2E=", failure, &PolicyRules::default())[0].clone();
        assert!(is_closed(&at(Failure::Fail)));
        assert!(!is_closed(&at(Failure::Ignore)));
        assert!(!is_closed(&Value::Null));
        let mut weak = at(Failure::Fail);
        weak["webhooks"][0]["matchConditions"] = serde_json::json!([{"name": "never", "expression": "false"}]);
        assert!(!is_closed(&weak));
        weak = at(Failure::Fail);
        weak["webhooks"][0]["namespaceSelector"] = serde_json::json!({"matchLabels": {"a": "b"}});
        assert!(!is_closed(&weak));
    }

    #[test]
    fn only_the_word_itself_opens_the_webhooks_on_failure() {
        for (member, want) in [(None, Failure::Fail), (Some("Fail"), Failure::Fail), (Some("ignore"), Failure::Fail), (Some("Ignore\n"), Failure::Ignore)] {
            assert_eq!(failure_of(member.map(str::as_bytes)), want, "{member:?}");
        }
    }
}
