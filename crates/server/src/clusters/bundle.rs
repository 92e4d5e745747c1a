//! Everything a gate decides by, signed. What expires leaves by itself: the bundle says until when it
//! holds, and whoever waits for the next one is woken then.

use super::cluster::Cluster;
use super::entry::EntryRequest;
use super::verdict;
use crate::app::App;
use jinwu_admission::protocol::{Bundle, SIGNED_AS, Signed, WorkloadException};
use jinwu_model::PolicyId;
use jinwu_policy::{Exception, PolicySet};
use jinwu_trust::SigningKey;
use std::sync::Arc;

/// A signed bundle.
#[derive(Debug)]
pub struct Made {
    pub generation: String,
    /// JSON of a [`Signed`].
    pub signed: String,
    /// Unix milliseconds: then something in it expires.
    pub until: Option<i64>,
    revision: u64,
}

/// What a bundle is made of.
struct Material<'a> {
    cluster: &'a Cluster,
    entries: &'a [EntryRequest],
    exceptions: &'a [Exception],
    set: &'a PolicySet,
    custom: Vec<String>,
    own_registries: Vec<String>,
    verdicts: &'a verdict::Verdicts,
    authority: String,
    admission: super::admission::Texts,
    now: i64,
}

/// The bundle of a cluster now; `None` where the cluster is gone.
pub fn present(app: &App, cluster: &str) -> Option<Arc<Made>> {
    let clusters = &app.clusters;
    let now = app.now();
    // Before anything is read: a change in between makes the next caller look again.
    let revision = clusters.revision();
    let old = clusters.bundles.lock().get(cluster).cloned();
    if let Some(made) = &old
        && made.revision == revision
        && made.until.is_none_or(|until| now < until)
    {
        return Some(made.clone());
    }
    let found = clusters.get(cluster)?;
    let (bundle, until) = compose(Material {
        cluster: &found,
        entries: &clusters.entries(cluster),
        exceptions: &app.policies.exceptions(),
        set: &app.policies.set(),
        custom: app.policies.custom(),
        own_registries: app.own_registries(),
        verdicts: &verdict::present(app),
        authority: clusters.authority(cluster).map(|a| a.certificate().to_owned()).unwrap_or_default(),
        admission: clusters.admission(cluster),
        now,
    });
    // The same content keeps its time and signature.
    let signed = match &old {
        Some(old) if old.generation == bundle.generation => old.signed.clone(),
        _ => sign(&clusters.key, &bundle),
    };
    let made = Arc::new(Made { generation: bundle.generation, signed, until, revision });
    clusters.bundles.lock().insert(cluster.to_owned(), made.clone());
    Some(made)
}

fn sign(key: &SigningKey, bundle: &Bundle) -> String {
    let text = serde_json::to_string(bundle).unwrap_or_default();
    let signature = hex::encode(key.sign(format!("{SIGNED_AS}{text}").as_bytes()));
    serde_json::to_string(&Signed { bundle: text, signature }).unwrap_or_default()
}

fn compose(m: Material<'_>) -> (Bundle, Option<i64>) {
    let mut expiries: Vec<i64> = m.verdicts.until.into_iter().collect();
    let grants: Vec<_> = m.entries.iter().filter_map(|e| e.grant(m.now)).collect();
    expiries.extend(grants.iter().map(|g| g.expires));
    let blocked: Vec<_> = m.cluster.blocked.values().filter(|b| m.now < b.expires).cloned().collect();
    expiries.extend(blocked.iter().map(|b| b.expires));
    let exceptions: Vec<_> = m.exceptions.iter().filter(|e| e.stands(m.now)).filter_map(|e| of_workloads(e, &m.cluster.name, m.set)).collect();
    expiries.extend(exceptions.iter().map(|e| e.expires));
    let mut modes = m.cluster.modes.clone();
    // A custom policy that is gone leaves its modes behind.
    modes.values_mut().for_each(|of| of.retain(|policy, _| m.set.get(policy).is_some() || is_users(policy)));
    modes.retain(|_, of| !of.is_empty());
    let mut registries = m.own_registries.clone();
    registries.extend(m.cluster.registries.iter().filter(|r| !m.own_registries.contains(r)).cloned());
    let mut bundle = Bundle {
        cluster: m.cluster.name.clone(),
        generation: String::new(),
        made: 0,
        default_level: m.cluster.default_level,
        enforcement: m.cluster.enforcement.clone(),
        modes,
        exceptions,
        grants,
        policies: m.custom,
        registries,
        own_registries: m.own_registries,
        level_setters: m.cluster.level_setters.clone(),
        base_platform: m.cluster.base_platform.values().filter_map(super::cluster::Component::approved).collect(),
        sandboxed_runtimes: m.cluster.sandboxed_runtimes.clone(),
        blocked,
        verdict_generation: m.verdicts.generation.clone(),
        authority: m.authority,
        rules: m.cluster.rules.clone(),
        admission: m.admission,
    };
    let text = serde_json::to_vec(&bundle).unwrap_or_default();
    bundle.generation = hex::encode(&jinwu_trust::sha256(&text)[..16]);
    bundle.made = m.now;
    (bundle, expiries.into_iter().min())
}

/// An exception as the gate of this cluster honours it. Those of images are in the answers about
/// images already.
fn of_workloads(exception: &Exception, cluster: &str, set: &PolicySet) -> Option<WorkloadException> {
    if exception.cluster.as_ref().is_some_and(|c| c != cluster) {
        return None;
    }
    let judges_images = !is_users(&exception.policy) && set.get(&exception.policy)?.judges_images();
    (exception.of_cluster() || !judges_images).then(|| WorkloadException {
        id: exception.id.clone(),
        policy: exception.policy.clone(),
        namespace: exception.namespace.clone(),
        workload: exception.workload.clone(),
        digest: exception.digest.clone(),
        expires: exception.expires,
    })
}

fn is_users(policy: &PolicyId) -> bool {
    policy.0.starts_with(jinwu_admission::users::PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jinwu_admission::protocol::BlockedSubject;
    use jinwu_model::{Digest, ProtectionLevel};

    fn digest() -> Digest {
        format!("sha256:{}", "ab".repeat(32)).parse().unwrap()
    }

    fn exception(f: &dyn Fn(&mut Exception)) -> Exception {
        let mut e = Exception {
            id: "x-1".into(),
            policy: PolicyId("privileged-container".into()),
            digest: None,
            repository: None,
            project: None,
            namespace: Some("web".into()),
            workload: None,
            cluster: None,
            finding: None,
            reason: "r".into(),
            proposer: "a".into(),
            approver: Some("b".into()),
            created: 0,
            expires: 5000,
        };
        f(&mut e);
        e
    }

    fn made(cluster: &Cluster, entries: &[EntryRequest], exceptions: &[Exception], now: i64) -> (Bundle, Option<i64>) {
        compose(Material {
            cluster,
            entries,
            exceptions,
            set: &PolicySet::load([]).unwrap(),
            custom: vec![],
            own_registries: vec!["localhost:5443".into()],
            verdicts: &verdict::Verdicts { generation: "v".into(), until: None },
            authority: String::new(),
            admission: super::super::admission::Texts::new(),
            now,
        })
    }

    #[test]
    fn what_expires_leaves_and_the_generation_says_so() {
        let mut cluster = Cluster::new("prod", ProtectionLevel::FOUR, 0).unwrap();
        let block = BlockedSubject { id: "b".into(), user: "u".into(), credential: None, reason: "r".into(), expires: 3000 };
        cluster.block(block, 0).unwrap();
        let all = [exception(&|_| {})];
        let (first, until) = made(&cluster, &[], &all, 1000);
        assert_eq!((first.blocked.len(), first.exceptions.len(), until), (1, 1, Some(3000)));
        assert_eq!(made(&cluster, &[], &all, 2999).0.generation, first.generation, "time alone changes nothing");
        let (second, until) = made(&cluster, &[], &all, 3000);
        assert_eq!((second.blocked.len(), second.exceptions.len(), until), (0, 1, Some(5000)));
        let (third, until) = made(&cluster, &[], &all, 5000);
        assert_eq!((third.exceptions.len(), until), (0, None));
        assert!(first.generation != second.generation && second.generation != third.generation);
        assert_eq!(first.registries, ["localhost:5443"]);
    }

    #[test]
    fn exceptions_go_to_the_gates_they_are_for() {
        let cluster = Cluster::new("prod", ProtectionLevel::FOUR, 0).unwrap();
        let travels = |f: &dyn Fn(&mut Exception)| made(&cluster, &[], &[exception(f)], 1).0.exceptions.len() == 1;
        assert!(travels(&|e| e.cluster = Some("prod".into())));
        assert!(!travels(&|e| e.cluster = Some("other".into())));
        assert!(!travels(&|e| e.approver = None), "a proposal lifts nothing");
        let by_digest = |e: &mut Exception| {
            e.namespace = None;
            e.digest = Some(digest());
        };
        assert!(travels(&by_digest), "no image is judged by a workload policy: its gate honours the digest");
        assert!(!travels(&|e| {
            by_digest(e);
            e.policy = PolicyId("root-user".into());
        }), "an image's exception is in the answer about the image");
    }

    #[test]
    fn a_signature_is_of_these_bytes() {
        let key = SigningKey::generate();
        let (bundle, _) = made(&Cluster::new("prod", ProtectionLevel::TWO, 0).unwrap(), &[], &[], 1);
        let signed: Signed = serde_json::from_str(&sign(&key, &bundle)).unwrap();
        let signature = hex::decode(&signed.signature).unwrap();
        assert!(key.verifying_key().verify(format!("{SIGNED_AS}{}", signed.bundle).as_bytes(), &signature));
        assert!(!key.verifying_key().verify(signed.bundle.as_bytes(), &signature), "no other signed text passes for a bundle");
        assert_eq!(serde_json::from_str::<Bundle>(&signed.bundle).unwrap(), bundle);
    }
}
