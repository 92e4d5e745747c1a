//! Users' ValidatingAdmissionPolicies: texts for one cluster, and texts for all.

use super::cluster::{ALL_OTHERS, subdomain};
use super::{ClusterError, Clusters};
use jinwu_admission::{images, users};
use jinwu_documents::Write;
use jinwu_model::PolicyId;
use jinwu_policy::admission_policy::AdmissionPolicies;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Texts of one cluster, those for all counted, and their bytes together: a bundle must fit a secret.
const MAX_FILES: usize = 64;
const MAX_BYTES: usize = 512 << 10;

pub type Texts = BTreeMap<String, String>;

// === impl Clusters ===

impl Clusters {
    /// The texts a cluster's gates have: one of its own stands before one of the same name for all.
    /// `*`: those for all.
    pub fn admission(&self, cluster: &str) -> Texts {
        let state = self.state.read();
        let mut all = state.shared.clone();
        all.extend(state.clusters.get(cluster).map(|k| k.cluster.admission.clone()).unwrap_or_default());
        all
    }

    /// The texts given for a cluster itself, or for all.
    pub fn admission_given(&self, cluster: &str) -> Texts {
        let state = self.state.read();
        match cluster {
            ALL_OTHERS => state.shared.clone(),
            _ => state.clusters.get(cluster).map(|k| k.cluster.admission.clone()).unwrap_or_default(),
        }
    }

    /// Whether some cluster has a user's policy of this id.
    pub fn has_admission_policy(&self, id: &PolicyId) -> bool {
        let Some(name) = id.0.strip_prefix(users::PREFIX) else { return false };
        let mut names = self.state.read().clusters.keys().cloned().collect::<Vec<_>>();
        names.push(ALL_OTHERS.to_owned());
        names.iter().map(|cluster| self.admission(cluster)).collect::<BTreeSet<_>>().iter().any(|texts| users::load(texts).is_ok_and(|p| p.has(name)))
    }

    /// Users' policies for all clusters, among them those about images; compiled once for the same texts.
    ///
    /// # Errors
    /// What was stored does not compile with this version: nothing can be judged by it.
    pub fn image_policies(&self) -> Result<Arc<AdmissionPolicies>, String> {
        let texts = self.state.read().shared.clone();
        let mut last = self.image_policies.lock();
        if let Some((of, policies)) = &*last
            && *of == texts
        {
            return Ok(policies.clone());
        }
        let policies = Arc::new(users::load(&texts)?);
        *last = Some((texts, policies.clone()));
        Ok(policies)
    }

    /// Whether a user's policy of this id judges images.
    pub fn judges_images(&self, id: &PolicyId) -> bool {
        self.image_policies().is_ok_and(|policies| images::about_images(&policies).iter().any(|name| users::id(name) == *id))
    }

    /// What verdicts of images depend on: the texts for all clusters, if some policy in them is about images.
    pub fn image_texts(&self) -> Texts {
        let about = self.image_policies().map_or(true, |policies| !images::about_images(&policies).is_empty());
        if about { self.state.read().shared.clone() } else { Texts::new() }
    }

    /// Adds, replaces or (`None`) removes a text of a cluster, or of all (`*`); gives what its gates then
    /// have. Nothing is taken that some cluster's policies do not compile with.
    pub fn put_admission(&self, cluster: &str, file: &str, text: Option<String>) -> Result<AdmissionPolicies, ClusterError> {
        subdomain("name", file)?;
        let _turn = self.changing_admission.lock();
        let mut given = self.admission_given(cluster);
        match &text {
            Some(text) => drop(given.insert(file.to_owned(), text.clone())),
            None => drop(given.remove(file).ok_or_else(|| ClusterError::Absent(file.to_owned()))?),
        }
        let policies = self.check(cluster, &given)?;
        if cluster != ALL_OTHERS {
            for_all(text.as_deref())?;
        }
        if cluster == ALL_OTHERS {
            let mut state = self.state.write();
            let write = match &text {
                Some(text) => Write::put("admission", file, text)?,
                None => Write::remove("admission", file),
            };
            self.store.apply(&[write])?;
            state.shared = given;
        } else {
            self.update(cluster, |c| {
                c.admission = given;
                Ok(())
            })?;
        }
        Ok(policies)
    }

    /// Compiles what every cluster concerned would have.
    fn check(&self, cluster: &str, given: &Texts) -> Result<AdmissionPolicies, ClusterError> {
        let concerned: BTreeMap<String, Texts> = {
            let state = self.state.read();
            if cluster != ALL_OTHERS && !state.clusters.contains_key(cluster) {
                return Err(ClusterError::Unknown(cluster.to_owned()));
            }
            let (shared, own) = if cluster == ALL_OTHERS { (given, None) } else { (&state.shared, Some(given)) };
            let of = state.clusters.iter().filter(|(name, _)| own.is_none() || *name == cluster);
            let mut all: BTreeMap<String, Texts> = of
                .map(|(name, kept)| {
                    let mut texts = shared.clone();
                    texts.extend(own.unwrap_or(&kept.cluster.admission).clone());
                    (name.clone(), texts)
                })
                .collect();
            all.entry(cluster.to_owned()).or_insert_with(|| shared.clone());
            all
        };
        let mut done: BTreeSet<&Texts> = BTreeSet::new();
        let mut own = AdmissionPolicies::default();
        for (name, texts) in &concerned {
            if !done.insert(texts) && name != cluster {
                continue;
            }
            let policies = compile(name, texts)?;
            if name == cluster {
                own = policies;
            }
        }
        Ok(own)
    }
}

/// A push is of no cluster: what is about images is given for all.
fn for_all(text: Option<&str>) -> Result<(), ClusterError> {
    let policies = text.map(|t| users::load(&Texts::from([(String::new(), t.to_owned())]))).transpose().map_err(ClusterError::Invalid)?;
    match policies.as_ref().and_then(|p| images::about_images(p).first().map(|n| (*n).to_owned())) {
        None => Ok(()),
        Some(name) => Err(ClusterError::Invalid(format!(
            "策略 {name} 裁决镜像(jinwu.io/images),推送不属于任何集群:以集群 '*' 添加 / policy {name} judges images (jinwu.io/images) and a push is of no cluster: add it for cluster '*'"
        ))),
    }
}

fn compile(cluster: &str, texts: &Texts) -> Result<AdmissionPolicies, ClusterError> {
    let bytes: usize = texts.values().map(String::len).sum();
    if texts.len() > MAX_FILES || bytes > MAX_BYTES {
        return Err(ClusterError::Refused(format!(
            "集群 {cluster} 的准入策略文件最多 {MAX_FILES} 个、共 {MAX_BYTES} 字节 / cluster {cluster}: {MAX_FILES} files of admission policies, {MAX_BYTES} bytes together at most"
        )));
    }
    users::load(texts).map_err(|e| ClusterError::Invalid(format!("准入策略未采用(集群 {cluster})/ the admission policies are not taken (cluster {cluster}): {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jinwu_model::ProtectionLevel;

    fn text(policy: &str) -> String {
        format!(
            "{{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicy, metadata: {{name: {policy}}}, spec: {{matchConstraints: {{resourceRules: [{{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}}]}}, validations: [{{expression: 'true'}}]}}}}"
        )
    }

    #[test]
    fn texts_are_of_one_cluster_or_of_all_and_agree() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clusters.db");
        let open = || Clusters::open(&path, jinwu_trust::SigningKey::generate()).unwrap();
        let clusters = open();
        for name in ["a", "b"] {
            clusters.create(name, ProtectionLevel::FOUR, 0).unwrap();
        }
        assert_eq!(clusters.put_admission("a", "own.yaml", Some(text("one"))).unwrap().len().0, 1);
        assert!(matches!(clusters.put_admission("c", "own.yaml", Some(text("one"))), Err(ClusterError::Unknown(_))));
        let twice = clusters.put_admission("*", "all.yaml", Some(text("one"))).unwrap_err().to_string();
        assert!(twice.contains("cluster a") && twice.contains("the name stands twice"), "{twice}");
        assert_eq!(clusters.put_admission("*", "all.yaml", Some(text("two"))).unwrap().len().0, 1);
        assert!(clusters.put_admission("a", "bad.yaml", Some("kind: [".into())).is_err());
        assert!(clusters.put_admission("a", "Bad name", Some(text("x"))).is_err());
        drop(clusters);
        let clusters = open();
        assert_eq!(clusters.admission("a").into_keys().collect::<Vec<_>>(), ["all.yaml", "own.yaml"]);
        assert_eq!(clusters.admission("b").into_keys().collect::<Vec<_>>(), ["all.yaml"]);
        assert!(clusters.has_admission_policy(&users::id("one")) && !clusters.has_admission_policy(&users::id("three")));
        clusters.put_admission("*", "all.yaml", None).unwrap();
        assert!(matches!(clusters.put_admission("*", "all.yaml", None), Err(ClusterError::Absent(_))));
        assert_eq!(clusters.admission("b").len(), 0);
        let large = format!("# {}", "x".repeat(MAX_BYTES));
        assert!(matches!(clusters.put_admission("a", "large.yaml", Some(large)), Err(ClusterError::Refused(_))));
    }
}
