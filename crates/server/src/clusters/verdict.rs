//! The generation of everything that may change what is known about an image: engines, policies,
//! exceptions, and what projects set.

use super::Clusters;
use crate::app::App;
use jinwu_model::report::Engines;
use jinwu_model::{Mode, PolicyId};
use jinwu_policy::Exception;
use serde::Serialize;
use std::collections::BTreeMap;

/// A generation and how long it holds if nobody changes anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdicts {
    pub generation: String,
    /// Unix milliseconds: the nearest expiry of an exception.
    pub until: Option<i64>,
}

/// The last answer, good for one revision and these engines, and until the nearest expiry.
pub(super) struct Cached {
    revision: u64,
    engines: Engines,
    verdicts: Verdicts,
}

#[derive(Serialize)]
struct Material<'a> {
    engines: &'a Engines,
    policies: &'a str,
    exceptions: Vec<&'a Exception>,
    levels: BTreeMap<String, u8>,
    modes: &'a BTreeMap<String, BTreeMap<PolicyId, Mode>>,
    /// Users' policies for all clusters, where some are about images.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    by_users: BTreeMap<String, String>,
    /// Whose signatures are looked for.
    signers: std::collections::BTreeSet<(String, String)>,
}

/// By what images are judged now.
pub fn present(app: &App) -> Verdicts {
    let clusters: &Clusters = &app.clusters;
    let now = app.now();
    // Before anything is read: a change in between makes the next caller look again.
    let revision = clusters.revision();
    // Those of the workers that run: a scanner that was replaced brings others while we run.
    let engines = app.analyses.engines();
    if let Some(cached) = &*clusters.verdicts.lock()
        && cached.revision == revision
        && cached.engines == engines
        && cached.verdicts.until.is_none_or(|until| now < until)
    {
        return cached.verdicts.clone();
    }
    let exceptions = app.policies.exceptions();
    let standing: Vec<&Exception> = exceptions.iter().filter(|e| e.stands(now) && !e.of_cluster()).collect();
    let until = standing.iter().map(|e| e.expires).min();
    let set = app.policies.set();
    let material = Material {
        engines: &engines,
        policies: set.hash(),
        exceptions: standing,
        levels: app.identity.projects().into_iter().map(|p| (p.name.to_string(), p.level.get())).collect(),
        modes: &app.policies.modes(),
        by_users: clusters.image_texts(),
        signers: clusters.list().into_iter().flat_map(|c| c.base_platform.into_values()).filter(|c| c.approver.is_some()).filter_map(|c| Some((c.digest.to_string(), c.signer?))).collect(),
    };
    let text = serde_json::to_vec(&material).unwrap_or_default();
    let verdicts = Verdicts { generation: hex::encode(&jinwu_trust::sha256(&text)[..16]), until };
    *clusters.verdicts.lock() = Some(Cached { revision, engines, verdicts: verdicts.clone() });
    verdicts
}
