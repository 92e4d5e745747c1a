//! The authorisation webhook: refuses subjects that are blocked, has no opinion on others.

use crate::admit::entries;
use crate::state::{Gate, now};
use jinwu_admission::answer::subject;
use jinwu_admission::protocol::BlockedSubject;
use jinwu_model::{DecisionId, Kind, Outcome, Record};
use serde::Deserialize;
use std::collections::BTreeMap;

const API_VERSION: &str = "authorization.k8s.io/v1";
const KIND: &str = "SubjectAccessReview";
/// Where the API server puts the id of a bound token.
const CREDENTIAL: &str = "authentication.kubernetes.io/credential-id";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review {
    api_version: String,
    kind: String,
    spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(default)]
    user: String,
    #[serde(default)]
    extra: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    resource_attributes: Option<Resource>,
    #[serde(default)]
    non_resource_attributes: Option<Path>,
}

#[derive(Default, Deserialize)]
struct Resource {
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    verb: String,
    #[serde(default)]
    resource: String,
    #[serde(default)]
    name: String,
}

#[derive(Default, Deserialize)]
struct Path {
    #[serde(default)]
    path: String,
    #[serde(default)]
    verb: String,
}

/// Answers a SubjectAccessReview.
///
/// # Errors
/// The body is none; the API server then asks its next authoriser.
pub(crate) async fn review(gate: &Gate, body: &[u8]) -> Result<Vec<u8>, String> {
    let review: Review = serde_json::from_slice(body).map_err(|e| format!("not a {KIND}: {e}"))?;
    if review.api_version != API_VERSION || review.kind != KIND {
        return Err(format!("{} {} is not {API_VERSION} {KIND}", review.api_version, review.kind).chars().take(200).collect());
    }
    if is_canary(&review.spec) {
        let status = serde_json::json!({"allowed": false, "denied": true, "reason": crate::canary::ANSWERED});
        return Ok(serde_json::json!({"apiVersion": API_VERSION, "kind": KIND, "status": status}).to_string().into_bytes());
    }
    let status = match blocked(gate, &review.spec) {
        Some(block) => {
            record(gate, &review.spec, &block).await;
            let reason = format!("金吾:该主体已被阻断({}) / jinwu: this subject is blocked ({}): {}", block.id, block.id, block.reason);
            serde_json::json!({"allowed": false, "denied": true, "reason": reason})
        }
        None => serde_json::json!({"allowed": false, "denied": false}),
    };
    Ok(serde_json::json!({"apiVersion": API_VERSION, "kind": KIND, "status": status}).to_string().into_bytes())
}

fn blocked(gate: &Gate, spec: &Spec) -> Option<BlockedSubject> {
    let credentials = spec.extra.get(CREDENTIAL).map_or(&[][..], Vec::as_slice);
    if let Some(block) = gate.blocks.refusing(&spec.user, credentials) {
        return Some(block);
    }
    gate.rules()?.blocked(&spec.user, credentials, now()).cloned()
}

/// A gate asks for nothing, to see whether we are asked about it.
fn is_canary(spec: &Spec) -> bool {
    spec.user == jinwu_audit::GATE_USER && spec.non_resource_attributes.as_ref().is_some_and(|p| p.path.starts_with(jinwu_audit::CANARY))
}

/// The refusal stands whether it can be recorded or not.
async fn record(gate: &Gate, spec: &Spec, block: &BlockedSubject) {
    let (verb, object) = match (&spec.resource_attributes, &spec.non_resource_attributes) {
        (Some(r), _) => (r.verb.as_str(), format!("{}:{}{}{}", r.resource, r.namespace, if r.namespace.is_empty() { "" } else { "/" }, r.name)),
        (_, Some(p)) => (p.verb.as_str(), format!("path:{}", p.path)),
        _ => ("", "?".into()),
    };
    let record = Record::new(now(), Kind::Interception, subject(&spec.user), "request-refused", object)
        .outcome(Outcome::Denied)
        .decision(Some(DecisionId(uuid::Uuid::now_v7().to_string())))
        .with("gate", "api")
        .with("cluster", gate.cluster())
        .with("verb", verb)
        .with("block", block.id.clone())
        .with("reason", block.reason.clone());
    if let Err(error) = gate.spool.append(&entries(vec![record])).await {
        tracing::error!(error, "a refusal could not be recorded");
    }
}
