//! What a cluster's gates would say of objects that exist already, if everything were enforced: judged by
//! the same rules, exceptions, base platform and knowledge of images as a request is.

use super::{bundle, images};
use crate::app::App;
use jinwu_admission::users::{Asked, Surroundings, evaluate_those};
use jinwu_cel::{Attributes, AuthorizationDecision, Authorizer};
use jinwu_policy::admission_policy::Review;
use parking_lot::Mutex;
use jinwu_admission::{Rules, Scope};
use jinwu_admission::check::{Read, image};
use jinwu_admission::judge::{Judgement, Question, judge};
use jinwu_admission::protocol::{Bundle, ImageAnswer, ImageQuestion, Signed};
use jinwu_admission::review::{GroupVersionKind, GroupVersionResource, Operation, Request, UserInfo};
use jinwu_admission::rules::LEVEL_LABEL;
use jinwu_model::{Decision, DecisionId, Mode, ProtectionLevel};
use serde::Deserialize;
use serde_json::{Value, json};
use serde_json::value::{RawValue, to_raw_value};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Objects in one question.
pub const MAX_OBJECTS: usize = 500;
/// For users' admission policies over one object.
const PATIENCE: Duration = Duration::from_secs(2);

/// An object as the API server has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub resource: String,
    /// Value of its namespace's label `jinwu.io/level`.
    #[serde(default)]
    pub level_label: Option<String>,
    /// Its namespace, which users' admission policies select by and read.
    #[serde(default)]
    pub namespace_object: Value,
    pub object: Value,
}

/// What an object would be refused or warned about, and by which policies that cannot be told, and why.
pub struct Judged {
    pub judgement: Judgement,
    pub unjudged: Vec<String>,
}

/// `Err`: the object cannot be read.
pub type Previewed = Result<Judged, String>;

/// The cluster's rules as they would be if all policies acted as they are switched, at one level
/// everywhere where it is given.
///
/// # Errors
/// The cluster is gone, or its policies do not compile.
pub fn rules(app: &App, cluster: &str) -> Result<Rules, String> {
    let made = bundle::present(app, cluster).ok_or_else(|| format!("cluster {cluster}"))?;
    let signed: Signed = serde_json::from_str(&made.signed).map_err(|e| e.to_string())?;
    let mut bundle: Bundle = serde_json::from_str(&signed.bundle).map_err(|e| e.to_string())?;
    bundle.enforcement = BTreeMap::from([(jinwu_admission::rules::OTHERS.to_owned(), Mode::Block)]);
    Rules::new(bundle).map_err(|e| e.to_string())
}

/// One judgement for each object, in order.
pub async fn judge_all(app: &App, rules: Arc<Rules>, level: Option<ProtectionLevel>, items: Vec<Item>) -> Vec<Previewed> {
    let raw: Vec<Option<Box<RawValue>>> = items.iter().map(|i| to_raw_value(&i.object).ok()).collect();
    let requests: Vec<Request<'_>> = items.iter().zip(&raw).map(|(item, raw)| request(item, raw.as_deref())).collect();
    let reads: Vec<Read<'_>> = requests.iter().map(Read::of).collect();
    let known = about(app, &rules, &reads).await;
    let mut out = Vec::with_capacity(items.len());
    for ((item, request), read) in items.iter().zip(&requests).zip(&reads) {
        let labels = item.level_label.iter().map(|l| (LEVEL_LABEL.to_owned(), l.clone())).collect();
        let mut scope = rules.scope(request.namespace(), Some(&labels));
        scope.level = level.unwrap_or(scope.level);
        if let Read::Unreadable(detail) = read {
            out.push(Err(detail.clone()));
            continue;
        }
        let id = DecisionId(String::new());
        let mut judgement = judge(&Question { request, read, rules: &rules, scope: scope.clone(), images: &known, now: app.now(), id });
        let (by_users, unjudged) = users(&rules, item, request, read, scope, app.now());
        judgement.decision.permit &= by_users.permit;
        judgement.decision.violations.extend(by_users.violations);
        out.push(Ok(Judged { judgement, unjudged }));
        // Many pods take a while: others get their turn.
        tokio::task::yield_now().await;
    }
    out
}

/// What users' admission policies say of an object. Who will ask for it and what parameters there are in
/// the cluster is not known here: policies that depend on it are named instead.
fn users(rules: &Rules, item: &Item, request: &Request<'_>, read: &Read<'_>, scope: Scope, now: i64) -> (Decision, Vec<String>) {
    let policies = &rules.users;
    let asked = Asked::new(json!({
        "operation": "CREATE", "dryRun": true, "name": request.name(), "namespace": request.namespace(), "object": item.object,
        "kind": {"group": item.group, "version": item.version, "kind": item.kind},
        "resource": {"group": item.group, "version": item.version, "resource": item.resource},
        "requestKind": {"group": item.group, "version": item.version, "kind": item.kind},
        "requestResource": {"group": item.group, "version": item.version, "resource": item.resource},
        "userInfo": {"username": request.user_info.username, "groups": []}, "options": {},
    }));
    let labels: Option<BTreeMap<String, String>> = (!item.namespace_object.is_null())
        .then(|| serde_json::from_value(item.namespace_object["metadata"]["labels"].clone()).unwrap_or_default());
    let end = Instant::now() + PATIENCE;
    let missed = Missed::default();
    let missing = |what: String| {
        missed.0.lock().get_or_insert(what);
    };
    let around = Surroundings {
        labels: labels.as_ref(),
        namespace: &item.namespace_object,
        params: &|query| Ok(policies.given().iter().filter(|object| query.selects(object)).collect()),
        params_namespaced: &|version, kind| {
            let known = policies.given_namespaced(version, kind);
            if known.is_none() {
                missing(format!("其参数 {kind} 在集群中 / its parameters ({kind}) are in the cluster"));
            }
            known
        },
        authorizer: Some(&missed),
        stopped: &|| Instant::now() >= end,
    };
    let mut review = Review::default();
    let mut unjudged = Vec::new();
    for policy in policies.described().filter(|p| !p.bindings.is_empty()) {
        let said = evaluate_those(policies, &|name, _| name == policy.name, &asked, &around);
        // What was missing may have been the difference, whichever way the policy fails.
        match missed.0.lock().take() {
            Some(why) => unjudged.push(format!("{}: {why}", jinwu_admission::users::id(policy.name))),
            None => review.findings.extend(said.findings),
        }
    }
    let workload = read.subject(request);
    let judged = jinwu_admission::users::judge(rules, request, workload.as_str(), scope, &review, now, DecisionId(String::new()));
    (judged.judgement.decision, unjudged)
}

/// What an evaluation asked for and did not get.
#[derive(Default)]
struct Missed(Mutex<Option<String>>);

impl Authorizer for Missed {
    fn authorize(&self, _: &Attributes) -> Result<AuthorizationDecision, String> {
        self.0.lock().get_or_insert_with(|| "它询问授权(authorizer)/ it asks the authorizer".to_owned());
        Err("who asks is not known here".into())
    }
}

/// What is known of all their images.
async fn about(app: &App, rules: &Rules, reads: &[Read<'_>]) -> HashMap<String, ImageAnswer> {
    let mut names: Vec<String> = Vec::new();
    for read in reads {
        let Read::Pods { pods, .. } = read else { continue };
        let ours = image::references(pods).into_iter().map(|(_, r)| r).filter(|r| rules.is_allowed_registry(&r.registry));
        names.extend(ours.map(|r| r.full()));
    }
    names.sort();
    names.dedup();
    let asked = names.into_iter().map(|reference| async move {
        let (answer, _) = images::answer(app, &ImageQuestion { reference: reference.clone(), platform: None }).await;
        (reference, answer)
    });
    futures::future::join_all(asked).await.into_iter().collect()
}

/// The request by which the object would be made now.
fn request<'a>(item: &Item, raw: Option<&'a RawValue>) -> Request<'a> {
    let metadata = &item.object["metadata"];
    let text = |name: &str| metadata[name].as_str().map(str::to_owned);
    Request {
        uid: "preview".into(),
        kind: GroupVersionKind { group: item.group.clone(), version: item.version.clone(), kind: item.kind.clone() },
        resource: GroupVersionResource { group: item.group.clone(), version: item.version.clone(), resource: item.resource.clone() },
        sub_resource: None,
        name: text("name"),
        namespace: text("namespace"),
        operation: Operation::Create,
        user_info: UserInfo { username: maker(item).to_owned(), ..UserInfo::default() },
        object: raw,
        old_object: None,
        dry_run: Some(true),
    }
}

/// Who would make it: owners are believed of a controller, and the roles Kubernetes comes with are the API
/// server's own.
fn maker(item: &Item) -> &'static str {
    let metadata = &item.object["metadata"];
    if item.group == "rbac.authorization.k8s.io" && metadata["labels"]["kubernetes.io/bootstrapping"] == "rbac-defaults" {
        return "system:apiserver";
    }
    let owned = metadata["ownerReferences"].as_array().is_some_and(|o| o.iter().any(|r| r["controller"] == true));
    if owned { "system:serviceaccount:kube-system:replicaset-controller" } else { "" }
}
