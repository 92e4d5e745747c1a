//! Parameters of users' policies, watched as far as bindings name them and the gate's rights reach.

use futures::StreamExt;
use jinwu_policy::admission_policy::{ParamQuery, ParamSource};
use kube::Client;
use kube::api::{Api, DynamicObject};
use kube::runtime::watcher::{self, Event};
use parking_lot::{Mutex, RwLock};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::AbortHandle;

/// After what could not be read, before it is tried again.
const PAUSE: Duration = Duration::from_secs(2);
/// Longest wait for parameters that were never read, for one request.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Most objects of one source that are kept.
const MAX_OBJECTS: usize = 5_000;

pub(crate) struct Params {
    client: Option<Client>,
    watched: Mutex<BTreeMap<ParamSource, Watched>>,
}

struct Watched {
    state: Arc<RwLock<State>>,
    task: AbortHandle,
}

/// What is known of one source.
#[derive(Clone, Default)]
struct State {
    /// None until it was read once.
    objects: Option<Arc<Vec<Json>>>,
    /// None: the kind is not known.
    namespaced: Option<bool>,
    fault: Option<String>,
}

/// What is known of all of them at one time.
pub(crate) struct Snapshot(Vec<(ParamSource, State)>);

// === impl Params ===

impl Params {
    pub(crate) fn new(client: Option<Client>) -> Self {
        Params { client, watched: Mutex::default() }
    }

    /// Watches what is wanted, and nothing else any more.
    pub(crate) fn follow(&self, wanted: &BTreeSet<ParamSource>) {
        let Some(client) = &self.client else { return };
        let mut watched = self.watched.lock();
        watched.retain(|source, of| {
            let keep = wanted.contains(source);
            if !keep {
                of.task.abort();
            }
            keep
        });
        for source in wanted {
            watched.entry(source.clone()).or_insert_with(|| {
                let state = Arc::new(RwLock::new(State::default()));
                let task = tokio::spawn(watch(client.clone(), source.clone(), state.clone())).abort_handle();
                Watched { state, task }
            });
        }
    }

    /// What cannot be read, and why.
    pub(crate) fn unreadable(&self) -> Vec<String> {
        self.watched.lock().iter().filter_map(|(source, of)| Some(format!("{}: {}", shown(source), of.state.read().fault.clone()?))).collect()
    }

    /// What is known now; what was just begun gets a moment to be read.
    pub(crate) async fn snapshot(&self) -> Snapshot {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let all: Vec<_> = self.watched.lock().iter().map(|(source, of)| (source.clone(), of.state.read().clone())).collect();
            let begun = all.iter().any(|(_, state)| state.objects.is_none() && state.fault.is_none());
            if !begun || tokio::time::Instant::now() >= end {
                return Snapshot(all);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

// === impl Snapshot ===

impl Snapshot {
    /// The objects a query selects.
    pub(crate) fn find(&self, query: &ParamQuery<'_>) -> Result<Vec<&Json>, String> {
        let mut why = format!("params of {} {} are not watched", query.api_version, query.kind);
        for (source, state) in self.0.iter().filter(|(source, _)| source.covers(query)) {
            match (&state.objects, &state.fault) {
                (Some(objects), _) => return Ok(objects.iter().filter(|object| query.selects(object)).collect()),
                (None, Some(fault)) => why = format!("{} cannot be read by the gate: {fault}; jinwu cluster policy rights prints the rights it needs", shown(source)),
                (None, None) => why = format!("{} was not read yet", shown(source)),
            }
        }
        Err(why)
    }

    pub(crate) fn namespaced(&self, api_version: &str, kind: &str) -> Option<bool> {
        self.0.iter().filter(|(source, _)| source.api_version == api_version && source.kind == kind).find_map(|(_, state)| state.namespaced)
    }
}

fn shown(source: &ParamSource) -> String {
    let place = if source.namespace.is_empty() { "*" } else { &source.namespace };
    let name = if source.name.is_empty() { "*" } else { &source.name };
    format!("{} {} {place}/{name}", source.api_version, source.kind)
}

/// For ever, until it is aborted.
async fn watch(client: Client, source: ParamSource, state: Arc<RwLock<State>>) {
    loop {
        let fault = match api(&client, &source).await {
            Ok((api, namespaced)) => {
                state.write().namespaced = Some(namespaced);
                follow(&api, &source, &state).await
            }
            Err(fault) => fault,
        };
        if state.read().fault.as_ref() != Some(&fault) {
            tracing::warn!(source = shown(&source), fault, "parameters of users' policies cannot be read");
        }
        state.write().fault = Some(fault);
        tokio::time::sleep(PAUSE).await;
    }
}

async fn api(client: &Client, source: &ParamSource) -> Result<(Api<DynamicObject>, bool), String> {
    let (resource, namespaced) = jinwu_cluster::kind(client, &source.api_version, &source.kind).await.map_err(|e| e.to_string())?;
    let api = match (namespaced, source.namespace.as_str()) {
        (true, namespace) if !namespace.is_empty() => Api::namespaced_with(client.clone(), namespace, &resource),
        _ => Api::all_with(client.clone(), &resource),
    };
    Ok((api, namespaced))
}

/// Follows the objects until something goes wrong; says what.
async fn follow(api: &Api<DynamicObject>, source: &ParamSource, state: &RwLock<State>) -> String {
    let mut config = watcher::Config::default();
    if !source.name.is_empty() {
        config = config.fields(&format!("metadata.name={}", source.name));
    }
    let mut events = pin!(watcher::watcher(api.clone(), config));
    let (mut objects, mut listed) = (BTreeMap::new(), false);
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => {
                objects.clear();
                listed = false;
            }
            Ok(Event::InitApply(object) | Event::Apply(object)) => drop(objects.insert(key(&object), json(source, object))),
            Ok(Event::Delete(object)) => drop(objects.remove(&key(&object))),
            Ok(Event::InitDone) => listed = true,
            Err(error) => return error.to_string(),
        }
        if objects.len() > MAX_OBJECTS {
            return format!("there are more than {MAX_OBJECTS}");
        }
        if listed {
            let mut state = state.write();
            state.objects = Some(Arc::new(objects.values().cloned().collect()));
            state.fault = None;
        }
    }
    "the watch ended".into()
}

fn key(object: &DynamicObject) -> (String, String) {
    (object.metadata.namespace.clone().unwrap_or_default(), object.metadata.name.clone().unwrap_or_default())
}

/// As expressions read it: items of lists do not name their kind themselves.
fn json(source: &ParamSource, object: DynamicObject) -> Json {
    let mut json = serde_json::to_value(object).unwrap_or_default();
    json["apiVersion"] = source.api_version.clone().into();
    json["kind"] = source.kind.clone().into();
    json
}
