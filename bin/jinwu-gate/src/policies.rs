//! The webhooks of users' ValidatingAdmissionPolicies.

use crate::admit::{Failure, conclude, shed};
use crate::params::Snapshot;
use crate::state::{Gate, now};
use bytes::Bytes;
use jinwu_admission::check::Read;
use jinwu_admission::review::{Request, Review, UserInfo};
use jinwu_admission::users::{self, Asked, Surroundings, Which};
use jinwu_admission::Rules;
use jinwu_cel::{Attributes, AuthorizationDecision, AuthorizationTarget, Authorizer};
use jinwu_model::DecisionId;
use jinwu_policy::admission_policy::{ParamQuery, Review as Said};
use k8s_openapi::api::authorization::v1::{
    FieldSelectorAttributes, LabelSelectorAttributes, NonResourceAttributes, ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// For one request; the API server waits five seconds.
const TIME: Duration = Duration::from_secs(4);
/// For one question to the API server.
const PATIENCE: Duration = Duration::from_secs(1);
/// Different questions about one request.
const MAX_QUESTIONS: usize = 50;

/// `/policies/closed` and `/policies/open`.
pub(crate) async fn validating(gate: &Gate, which: Which, body: Bytes) -> Result<Vec<u8>, Failure> {
    let review = Review::parse(&body).map_err(Failure::Bad)?;
    let request = &review.request;
    let end = Instant::now() + TIME;
    gate.count.reviews.fetch_add(1, Ordering::Relaxed);
    let Ok(_room) = gate.room.try_acquire() else { return Ok(shed(gate, request)) };
    let rules = gate.rules().ok_or(Failure::NotReady)?;
    let around = Around::of(gate, request, end).await;
    let Some(Heard { said, labels }) = around.hear(gate, &rules, which, &body).await? else { return Ok(shed(gate, request)) };
    let scope = rules.scope(request.namespace(), labels.as_ref());
    let workload = Read::of(request).subject(request);
    let id = DecisionId(uuid::Uuid::now_v7().to_string());
    let users = users::judge(&rules, request, workload.as_str(), scope, &said, now(), id);
    Ok(conclude(gate, &rules, request, &users.judgement, None, users.response(request)).await)
}

/// What all policies say of an object that is there already. Nobody asks: `authorizer` cannot be asked.
///
/// # Errors
/// There is no answer; none: too much is judged at once.
pub(crate) async fn ask_of_running(gate: &Gate, rules: &Arc<Rules>, request: &Request<'_>, body: &Bytes, end: Instant) -> Result<Option<Heard>, Failure> {
    let around = Around { authorizer: None, ..Around::of(gate, request, end).await };
    around.hear(gate, rules, Which::All, body).await
}

/// What policies say, and the labels of the namespace they said it by.
pub(crate) struct Heard {
    pub(crate) said: Said,
    pub(crate) labels: Option<BTreeMap<String, String>>,
}

/// What a request is judged beside itself.
struct Around {
    labels: Option<BTreeMap<String, String>>,
    namespace: Json,
    params: Snapshot,
    authorizer: Option<Asker>,
    end: Instant,
}

// === impl Around ===

impl Around {
    async fn of(gate: &Gate, request: &Request<'_>, end: Instant) -> Around {
        let namespace = gate.namespaces.get(request.namespace()).await;
        let labels = namespace.as_ref().map(|n| n.metadata.labels.clone().unwrap_or_default());
        let about_itself = request.kind.group.is_empty() && request.kind.kind == "Namespace";
        let namespace = namespace.filter(|_| !about_itself).map(|n| namespace_object(&n)).unwrap_or_default();
        let authorizer = gate.client.as_ref().map(|client| Asker {
            api: Api::all(client.clone()),
            handle: Handle::current(),
            user: request.user_info.clone(),
            end,
            known: Mutex::default(),
        });
        Around { labels, namespace, params: gate.params.snapshot().await, authorizer, end }
    }

    /// None: too much is judged at once.
    async fn hear(self, gate: &Gate, rules: &Arc<Rules>, which: Which, body: &Bytes) -> Result<Option<Heard>, Failure> {
        let asked = Asked::parse(body).map_err(Failure::Bad)?;
        let Ok(Ok(_turn)) = tokio::time::timeout(TIME, gate.thinking.acquire()).await else { return Ok(None) };
        let (labels, rules) = (self.labels.clone(), rules.clone());
        let said = tokio::task::spawn_blocking(move || self.evaluate(&rules, which, &asked)).await.map_err(|e| Failure::Broken(e.to_string()))?;
        Ok(Some(Heard { said, labels }))
    }

    fn evaluate(&self, rules: &Rules, which: Which, asked: &Asked) -> Said {
        let users = &rules.users;
        let params = |query: &ParamQuery<'_>| {
            if users.gives(query.api_version, query.kind) {
                return Ok(users.given().iter().filter(|object| query.selects(object)).collect());
            }
            self.params.find(query)
        };
        let params_namespaced = |version: &str, kind: &str| users.given_namespaced(version, kind).or_else(|| self.params.namespaced(version, kind));
        let around = Surroundings {
            labels: self.labels.as_ref(),
            namespace: &self.namespace,
            params: &params,
            params_namespaced: &params_namespaced,
            authorizer: self.authorizer.as_ref().map(|a| a as &dyn Authorizer),
            stopped: &|| Instant::now() >= self.end,
        };
        users::evaluate(users, which, asked, &around)
    }
}

/// The members the API server lets policies see.
fn namespace_object(namespace: &k8s_openapi::api::core::v1::Namespace) -> Json {
    const SHOWN: [&str; 12] = [
        "name", "generateName", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp",
        "deletionGracePeriodSeconds", "labels", "annotations", "finalizers",
    ];
    let whole = serde_json::to_value(namespace).unwrap_or_default();
    let metadata = whole["metadata"].as_object().into_iter().flatten().filter(|(name, _)| SHOWN.contains(&name.as_str()));
    let metadata: serde_json::Map<String, Json> = metadata.map(|(name, value)| (name.clone(), value.clone())).collect();
    let member = |name: &str| whole.get(name).cloned().unwrap_or_else(|| json!({}));
    json!({"metadata": metadata, "spec": member("spec"), "status": member("status")})
}

/// Asks the API server who may; each question once.
struct Asker {
    api: Api<SubjectAccessReview>,
    handle: Handle,
    user: UserInfo,
    end: Instant,
    known: Mutex<Vec<(Attributes, Answer)>>,
}

type Answer = Result<AuthorizationDecision, String>;

impl Authorizer for Asker {
    fn authorize(&self, attributes: &Attributes) -> Answer {
        let mut known = self.known.lock();
        if let Some((_, answer)) = known.iter().find(|(asked, _)| asked == attributes) {
            return answer.clone();
        }
        if known.len() >= MAX_QUESTIONS {
            return Err(format!("more than {MAX_QUESTIONS} different questions about one request"));
        }
        let left = PATIENCE.min(self.end.saturating_duration_since(Instant::now()));
        let review = SubjectAccessReview { spec: question(&self.user, attributes), ..SubjectAccessReview::default() };
        let asked = self.handle.block_on(async { tokio::time::timeout(left, self.api.create(&PostParams::default(), &review)).await });
        let answer = match asked {
            Ok(Ok(review)) => decision(review),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the API server did not answer in time".to_owned()),
        };
        known.push((attributes.clone(), answer.clone()));
        answer
    }
}

fn decision(review: SubjectAccessReview) -> Answer {
    let status = review.status.unwrap_or_default();
    match status.evaluation_error {
        Some(error) if !status.allowed && !error.is_empty() => Err(error),
        _ => Ok(AuthorizationDecision { allowed: status.allowed, reason: status.reason.unwrap_or_default() }),
    }
}

fn question(user: &UserInfo, attributes: &Attributes) -> SubjectAccessReviewSpec {
    let some = |text: &str| Some(text.to_owned()).filter(|t| !t.is_empty());
    let mut spec = match &attributes.service_account {
        Some((namespace, name)) => SubjectAccessReviewSpec {
            user: Some(format!("system:serviceaccount:{namespace}:{name}")),
            groups: Some(vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{namespace}")]),
            ..SubjectAccessReviewSpec::default()
        },
        None => SubjectAccessReviewSpec {
            user: some(&user.username),
            groups: Some(user.groups.clone()),
            uid: some(&user.uid),
            extra: Some(user.extra.clone()).filter(|e| !e.is_empty()),
            ..SubjectAccessReviewSpec::default()
        },
    };
    match &attributes.target {
        AuthorizationTarget::Path(path) => {
            spec.non_resource_attributes = Some(NonResourceAttributes { path: some(path), verb: some(&attributes.verb) });
        }
        AuthorizationTarget::Resource(resource) => {
            spec.resource_attributes = Some(ResourceAttributes {
                group: some(&resource.group),
                version: some("*"),
                resource: some(&resource.resource),
                subresource: some(&resource.subresource),
                namespace: some(&resource.namespace),
                name: some(&resource.name),
                verb: some(&attributes.verb),
                field_selector: some(&resource.field_selector).map(|raw| FieldSelectorAttributes { raw_selector: Some(raw), requirements: None }),
                label_selector: some(&resource.label_selector).map(|raw| LabelSelectorAttributes { raw_selector: Some(raw), requirements: None }),
            });
        }
    }
    spec
}
