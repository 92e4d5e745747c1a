//! Changes of clusters, each written before it counts.

use super::cluster::{Cluster, Component, Settings};
use super::entry::{EntryRequest, MAX_REQUESTS, MAX_WAITING};
use super::kept::Kept;
use super::{ClusterError, Clusters, MAX_CLUSTERS};
use jinwu_admission::protocol::BlockedSubject;
use jinwu_documents::Write;
use jinwu_model::{Masked, Mode, PolicyId, ProtectionLevel};
use jinwu_trust::{Authority, TrustError};

impl Clusters {
    /// Registers a cluster; the secret is told this once.
    pub fn create(&self, name: &str, level: ProtectionLevel, now: i64) -> Result<(Cluster, Masked), ClusterError> {
        let mut state = self.state.write();
        if state.clusters.contains_key(name) {
            return Err(ClusterError::Refused(format!("集群已存在:{name} / cluster {name} exists already")));
        }
        if state.clusters.len() >= MAX_CLUSTERS {
            return Err(ClusterError::Refused(format!("最多 {MAX_CLUSTERS} 个集群 / {MAX_CLUSTERS} clusters at most")));
        }
        let (kept, secret) = Kept::new(Cluster::new(name, level, now)?);
        self.store.apply(&[Write::put("cluster", name, &kept)?])?;
        let cluster = kept.cluster.clone();
        state.clusters.insert(name.to_owned(), kept);
        Ok((cluster, Masked::new(secret)))
    }

    /// A new secret, and until when the old one stands (Unix milliseconds): gates read theirs anew in time.
    pub fn new_secret(&self, name: &str, now: i64) -> Result<(Masked, i64), ClusterError> {
        let mut state = self.state.write();
        let old = state.clusters.get(name).ok_or_else(|| ClusterError::Unknown(name.to_owned()))?;
        let (kept, secret, until) = old.renewed(now);
        self.store.apply(&[Write::put("cluster", name, &kept)?])?;
        state.clusters.insert(name.to_owned(), kept);
        Ok((Masked::new(secret), until))
    }

    /// Ends former secrets at once; gives how many there were.
    pub fn end_former_secrets(&self, name: &str, now: i64) -> Result<usize, ClusterError> {
        let mut state = self.state.write();
        let old = state.clusters.get(name).ok_or_else(|| ClusterError::Unknown(name.to_owned()))?;
        let (kept, ended) = old.alone(now);
        self.store.apply(&[Write::put("cluster", name, &kept)?])?;
        state.clusters.insert(name.to_owned(), kept);
        Ok(ended)
    }

    /// The cluster's authority, made now if it has none yet.
    pub fn authority(&self, name: &str) -> Result<Authority, ClusterError> {
        let unusable = |e: TrustError| ClusterError::Refused(format!("集群 {name} 的证书机构不可用 / the authority of cluster {name} cannot be used: {e}"));
        let mut state = self.state.write();
        let kept = state.clusters.get(name).ok_or_else(|| ClusterError::Unknown(name.to_owned()))?;
        if let Some(authority) = kept.authority() {
            return authority.map_err(unusable);
        }
        let (kept, made) = kept.with_authority().map_err(unusable)?;
        self.store.apply(&[Write::put("cluster", name, &kept)?])?;
        state.clusters.insert(name.to_owned(), kept);
        Ok(made)
    }

    pub fn switch_rule(&self, name: &str, rule: &str, mode: Option<Mode>) -> Result<Option<Mode>, ClusterError> {
        self.update(name, |c| c.switch_rule(rule, mode))
    }

    pub fn put_rules(&self, name: &str, file: &str, text: Option<String>) -> Result<(), ClusterError> {
        self.update(name, |c| c.put_rules(file, text))
    }

    /// Forgets a cluster and all that belongs to it; its gates are no longer answered.
    pub fn remove(&self, name: &str) -> Result<(), ClusterError> {
        let mut state = self.state.write();
        if !state.clusters.contains_key(name) {
            return Err(ClusterError::Unknown(name.to_owned()));
        }
        let mut writes = vec![Write::remove("cluster", name)];
        writes.extend(state.entries.values().filter(|e| e.cluster == name).map(|e| Write::remove("entry", &e.id)));
        writes.extend(state.seen.iter().filter(|(_, s)| s.cluster == name).map(|(id, _)| Write::remove("image", id)));
        self.store.apply(&writes)?;
        state.clusters.remove(name);
        state.entries.retain(|_, e| e.cluster != name);
        state.seen.retain(|_, s| s.cluster != name);
        drop(state);
        self.bundles.lock().remove(name);
        self.gates.lock().remove(name);
        self.windows.forget(name);
        Ok(())
    }

    /// Its gates were taken out on purpose: until one reports again their silence says nothing.
    pub fn left(&self, name: &str) -> Result<(), ClusterError> {
        let mut state = self.state.write();
        let mut kept = state.clusters.get(name).cloned().ok_or_else(|| ClusterError::Unknown(name.to_owned()))?;
        kept.heard = false;
        self.store.apply(&[Write::put("cluster", name, &kept)?])?;
        state.clusters.insert(name.to_owned(), kept);
        drop(state);
        self.gates.lock().remove(name);
        Ok(())
    }

    pub(super) fn update<T>(&self, name: &str, change: impl FnOnce(&mut Cluster) -> Result<T, ClusterError>) -> Result<T, ClusterError> {
        let mut state = self.state.write();
        let mut kept = state.clusters.get(name).cloned().ok_or_else(|| ClusterError::Unknown(name.to_owned()))?;
        let result = change(&mut kept.cluster)?;
        self.store.apply(&[Write::put("cluster", name, &kept)?])?;
        state.clusters.insert(name.to_owned(), kept);
        Ok(result)
    }

    pub fn enforce(&self, name: &str, namespace: &str, mode: Option<Mode>) -> Result<Option<Mode>, ClusterError> {
        self.update(name, |c| c.enforce(namespace, mode))
    }

    /// Whether the policy exists is the caller's to ask.
    pub fn switch(&self, name: &str, namespace: &str, policy: &PolicyId, mode: Option<Mode>) -> Result<Option<Mode>, ClusterError> {
        self.update(name, |c| c.switch(namespace, policy, mode))
    }

    pub fn set(&self, name: &str, settings: Settings) -> Result<Cluster, ClusterError> {
        self.update(name, |c| {
            c.set(settings)?;
            Ok(c.clone())
        })
    }

    pub fn propose_component(&self, name: &str, component: Component) -> Result<Component, ClusterError> {
        self.update(name, |c| {
            c.propose_component(component.clone())?;
            Ok(component)
        })
    }

    pub fn approve_component(&self, name: &str, id: &str, approver: &str) -> Result<Component, ClusterError> {
        self.update(name, |c| c.approve_component(id, approver))
    }

    pub fn remove_component(&self, name: &str, id: &str) -> Result<Component, ClusterError> {
        self.update(name, |c| c.base_platform.remove(id).ok_or_else(|| ClusterError::Absent(id.to_owned())))
    }

    pub fn block(&self, name: &str, subject: BlockedSubject, now: i64) -> Result<BlockedSubject, ClusterError> {
        self.update(name, |c| {
            c.block(subject.clone(), now)?;
            Ok(subject)
        })
    }

    pub fn unblock(&self, name: &str, id: &str) -> Result<BlockedSubject, ClusterError> {
        self.update(name, |c| c.blocked.remove(id).ok_or_else(|| ClusterError::Absent(id.to_owned())))
    }

    /// Takes a request; it opens nothing until somebody else approves it.
    pub fn propose_entry(&self, request: EntryRequest, now: i64) -> Result<EntryRequest, ClusterError> {
        request.check()?;
        let mut state = self.state.write();
        if !state.clusters.contains_key(&request.cluster) {
            return Err(ClusterError::Unknown(request.cluster));
        }
        let of_cluster = || state.entries.values().filter(|e| e.cluster == request.cluster);
        let forgotten: Vec<String> = of_cluster().filter(|e| e.forgotten(now)).map(|e| e.id.clone()).collect();
        let waiting = of_cluster().filter(|e| e.proposer == request.proposer && e.state(now) == super::entry::EntryState::Proposed).count();
        if waiting >= MAX_WAITING || of_cluster().count() - forgotten.len() >= MAX_REQUESTS {
            return Err(ClusterError::Refused(format!(
                "待批申请过多(每人最多 {MAX_WAITING} 项,每个集群最多 {MAX_REQUESTS} 项),先撤销不用的 / too many requests ({MAX_WAITING} waiting of one person, {MAX_REQUESTS} in a cluster at most); revoke some first"
            )));
        }
        let mut writes = vec![Write::put("entry", &request.id, &request)?];
        writes.extend(forgotten.iter().map(|id| Write::remove("entry", id)));
        self.store.apply(&writes)?;
        state.entries.retain(|id, _| !forgotten.contains(id));
        state.entries.insert(request.id.clone(), request.clone());
        Ok(request)
    }

    fn update_entry(&self, cluster: &str, id: &str, change: impl FnOnce(&mut EntryRequest) -> Result<(), ClusterError>) -> Result<EntryRequest, ClusterError> {
        let mut state = self.state.write();
        let mut entry = state.entries.get(id).filter(|e| e.cluster == cluster).cloned().ok_or_else(|| ClusterError::Absent(id.to_owned()))?;
        change(&mut entry)?;
        self.store.apply(&[Write::put("entry", id, &entry)?])?;
        state.entries.insert(id.to_owned(), entry.clone());
        Ok(entry)
    }

    pub fn approve_entry(&self, cluster: &str, id: &str, approver: &str, now: i64) -> Result<EntryRequest, ClusterError> {
        self.update_entry(cluster, id, |e| e.approve(approver, now))
    }

    /// Ends a request or what it gave. Whether `by` may is the caller's to ask.
    pub fn revoke_entry(&self, cluster: &str, id: &str, by: &str, now: i64) -> Result<EntryRequest, ClusterError> {
        self.update_entry(cluster, id, |e| {
            if e.revoked.is_none() {
                e.revoked = Some(now);
                e.revoked_by = Some(by.to_owned());
            }
            Ok(())
        })
    }
}
