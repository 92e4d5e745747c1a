//! What the security administrator sets: modes by project, custom policies, exceptions.

use jinwu_documents::{Store, Write};
use jinwu_model::{Mode, PolicyId, ProjectName};
use jinwu_policy::{Exception, PolicySet};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Why a change is refused.
#[derive(Debug, thiserror::Error)]
pub enum PolicyStoreError {
    #[error("策略不存在:{0} / policy {0} does not exist")]
    UnknownPolicy(PolicyId),
    #[error("例外不存在:{0} / exception {0} does not exist")]
    UnknownException(String),
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Policy(#[from] jinwu_policy::PolicyError),
    #[error("policy store: {0}")]
    Store(#[from] jinwu_documents::DocumentError),
}

pub struct Policies {
    inner: RwLock<Inner>,
}

struct Inner {
    store: Store,
    set: Arc<PolicySet>,
    custom: BTreeMap<String, String>,
    /// Project → policy → mode.
    modes: BTreeMap<String, BTreeMap<PolicyId, Mode>>,
    exceptions: BTreeMap<String, Exception>,
    /// Rises with every change.
    generation: u64,
}

/// Everything a decision in one project depends on.
pub struct Snapshot {
    pub set: Arc<PolicySet>,
    pub modes: BTreeMap<PolicyId, Mode>,
    pub exceptions: Vec<Exception>,
    pub generation: u64,
}

/// With what is stored; a document that this version cannot use is violated by everything, not left out, and
/// does not keep the server from coming up.
fn load(custom: &BTreeMap<String, String>) -> Result<PolicySet, PolicyStoreError> {
    let (set, unusable) = PolicySet::load_kept(custom.values().map(String::as_str))?;
    for error in unusable {
        tracing::error!(%error, "a custom policy cannot be used any more: every image violates it until it is changed or removed");
    }
    Ok(set)
}

impl Policies {
    pub fn open(path: &Path) -> Result<Self, PolicyStoreError> {
        let store = Store::open(path)?;
        let custom: BTreeMap<String, String> = store.load("policy")?;
        let set = Arc::new(load(&custom)?);
        let inner = Inner { modes: store.load("modes")?, exceptions: store.load("exception")?, custom, set, store, generation: 1 };
        Ok(Policies { inner: RwLock::new(inner) })
    }

    pub fn snapshot(&self, project: &ProjectName) -> Snapshot {
        let inner = self.inner.read();
        Snapshot {
            set: inner.set.clone(),
            modes: inner.modes.get(project.as_str()).cloned().unwrap_or_default(),
            exceptions: inner.exceptions.values().cloned().collect(),
            generation: inner.generation,
        }
    }

    pub fn set(&self) -> Arc<PolicySet> {
        self.inner.read().set.clone()
    }

    /// Custom policies as they were given.
    pub fn custom(&self) -> Vec<String> {
        self.inner.read().custom.values().cloned().collect()
    }

    pub fn modes(&self) -> BTreeMap<String, BTreeMap<PolicyId, Mode>> {
        self.inner.read().modes.clone()
    }

    /// Switches a policy in a project; `None` goes back to the level's default. Gives what it was. `of_users` says that
    /// it is a user's admission policy.
    pub fn switch(&self, project: &ProjectName, policy: &PolicyId, mode: Option<Mode>, of_users: bool) -> Result<Option<Mode>, PolicyStoreError> {
        let mut inner = self.inner.write();
        if !of_users && inner.set.get(policy).is_none() {
            return Err(PolicyStoreError::UnknownPolicy(policy.clone()));
        }
        let mut modes = inner.modes.get(project.as_str()).cloned().unwrap_or_default();
        let before = match mode {
            Some(mode) => modes.insert(policy.clone(), mode),
            None => modes.remove(policy),
        };
        inner.store.apply(&[Write::put("modes", project.as_str(), &modes)?])?;
        inner.modes.insert(project.as_str().to_owned(), modes);
        inner.generation += 1;
        Ok(before)
    }

    /// A project that is gone leaves no modes behind for one of its name.
    pub fn forget_project(&self, project: &ProjectName) -> Result<(), PolicyStoreError> {
        let mut inner = self.inner.write();
        inner.store.apply(&[Write::remove("modes", project.as_str())])?;
        inner.modes.remove(project.as_str());
        inner.generation += 1;
        Ok(())
    }

    /// A cluster that is gone leaves no exceptions behind for one of its name.
    pub fn forget_cluster(&self, cluster: &str) -> Result<(), PolicyStoreError> {
        let mut inner = self.inner.write();
        let of = |e: &Exception| e.cluster.as_deref() == Some(cluster);
        let gone: Vec<Write> = inner.exceptions.values().filter(|e| of(e)).map(|e| Write::remove("exception", &e.id)).collect();
        inner.store.apply(&gone)?;
        inner.exceptions.retain(|_, e| !of(e));
        inner.generation += 1;
        Ok(())
    }

    /// Adds a custom policy, or replaces one of the same name.
    pub fn put_custom(&self, yaml: &str) -> Result<String, PolicyStoreError> {
        let name = PolicySet::check(yaml)?.metadata.name;
        let mut inner = self.inner.write();
        let mut custom = inner.custom.clone();
        custom.insert(name.clone(), yaml.to_owned());
        let set = load(&custom)?;
        inner.store.apply(&[Write::put("policy", &name, &yaml)?])?;
        inner.custom = custom;
        inner.set = Arc::new(set);
        inner.generation += 1;
        Ok(name)
    }

    pub fn remove_custom(&self, name: &str) -> Result<(), PolicyStoreError> {
        let mut inner = self.inner.write();
        let mut custom = inner.custom.clone();
        if custom.remove(name).is_none() {
            return Err(PolicyStoreError::Refused(format!(
                "{name} 不是自定义策略;内置策略只能切换模式 / {name} is no custom policy; built-in ones can be switched, not removed"
            )));
        }
        let set = load(&custom)?;
        inner.store.apply(&[Write::remove("policy", name)])?;
        inner.custom = custom;
        inner.set = Arc::new(set);
        inner.generation += 1;
        Ok(())
    }

    pub fn exceptions(&self) -> Vec<Exception> {
        self.inner.read().exceptions.values().cloned().collect()
    }

    /// Stores a proposal: it lifts nothing until somebody else approves it. `about_images` says of a user's admission
    /// policy that it judges images.
    pub fn propose_exception(&self, exception: Exception, about_images: bool) -> Result<Exception, PolicyStoreError> {
        let mut inner = self.inner.write();
        // Whether a cluster has a user's admission policy is the caller's to ask.
        let of_users = exception.policy.0.starts_with(jinwu_admission::users::PREFIX);
        if !of_users && inner.set.get(&exception.policy).is_none() {
            return Err(PolicyStoreError::UnknownPolicy(exception.policy));
        }
        let of_image = exception.repository.is_some() || exception.project.is_some() || exception.finding.is_some();
        if exception.of_cluster() && of_image {
            return Err(PolicyStoreError::Refused(
                "namespace、workload、cluster 只能与 digest 合用 / namespace, workload and cluster go with digest only".into(),
            ));
        }
        let judges_images = (of_users && about_images) || inner.set.get(&exception.policy).is_some_and(jinwu_policy::Document::judges_images);
        if !judges_images && of_image {
            return Err(PolicyStoreError::Refused(
                "该策略约束集群中的工作负载,例外范围须为 namespace、workload 或 digest / this policy judges workloads of clusters: scope the exception by namespace, workload or digest".into(),
            ));
        }
        if exception.workload.is_some() && exception.namespace.is_none() {
            return Err(PolicyStoreError::Refused("workload 须同时给出 namespace / a workload needs its namespace".into()));
        }
        let image = exception.digest.is_some() || exception.repository.is_some() || exception.project.is_some();
        let unscoped = !image && exception.namespace.is_none();
        if unscoped || exception.reason.trim().is_empty() || exception.expires <= exception.created {
            return Err(PolicyStoreError::Refused(
                "例外须有范围(digest、repository、project 或 namespace)、理由和将来的到期时间 / an exception needs a scope (digest, repository, project or namespace), a reason and an expiry to come".into(),
            ));
        }
        if exception.expires - exception.created > 366 * 24 * 3600 * 1000 {
            return Err(PolicyStoreError::Refused("例外最长一年 / an exception lasts a year at most".into()));
        }
        inner.store.apply(&[Write::put("exception", &exception.id, &exception)?])?;
        inner.exceptions.insert(exception.id.clone(), exception.clone());
        inner.generation += 1;
        Ok(exception)
    }

    pub fn approve_exception(&self, id: &str, approver: &str) -> Result<Exception, PolicyStoreError> {
        let mut inner = self.inner.write();
        let mut exception = inner.exceptions.get(id).cloned().ok_or_else(|| PolicyStoreError::UnknownException(id.into()))?;
        if exception.proposer == approver {
            return Err(PolicyStoreError::Refused("申请人不得审批自己的例外 / who proposed an exception cannot approve it".into()));
        }
        exception.approver = Some(approver.to_owned());
        inner.store.apply(&[Write::put("exception", id, &exception)?])?;
        inner.exceptions.insert(id.to_owned(), exception.clone());
        inner.generation += 1;
        Ok(exception)
    }

    pub fn remove_exception(&self, id: &str) -> Result<Exception, PolicyStoreError> {
        let mut inner = self.inner.write();
        inner.store.apply(&[Write::remove("exception", id)])?;
        inner.generation += 1;
        inner.exceptions.remove(id).ok_or_else(|| PolicyStoreError::UnknownException(id.into()))
    }
}
