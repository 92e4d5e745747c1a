//! Keeps the native policy in the API server as the bundle has it, and puts it right when it was weakened.
//!
//! It is bound everywhere where the installation wants the webhook of namespaces other than the platform's open on
//! failure, and to the platform alone once that webhook has been closed for [`SPREAD`]; the keeper of the webhooks opens
//! them only once the policy has been bound everywhere as long. So one of the two holds at any moment, whichever replica
//! is first. A webhook that somebody else opened and that is not put right for as long is answered by binding, too.

use crate::keeper::{Keeper, LOOK, SPREAD, Standing, covers, is_closed};
use crate::state::Gate;
use futures::StreamExt;
use jinwu_admission::native::{NAMES, Reach, objects};
use jinwu_cluster::install::{Failure, GATE, NAMESPACE, PLATFORM};
use kube::api::{Api, DynamicObject, ObjectMeta, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, ResourceExt};
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Members that only weaken when they are not empty.
const MUST_BE_EMPTY: [&str; 6] = [
    "/matchConstraints/excludeResourceRules",
    "/matchConstraints/objectSelector",
    "/matchConstraints/namespaceSelector",
    "/matchResources/excludeResourceRules",
    "/matchResources/resourceRules",
    "/matchResources/objectSelector",
];

/// For ever. The gate has rules before this is called.
pub(crate) async fn keep(client: Client, keeper: Arc<Keeper>, gate: Arc<Gate>) {
    let api = |kind: &str| {
        let resource = match kind {
            "ValidatingAdmissionPolicy" => ApiResource::from_gvk_with_plural(&gvk(kind), "validatingadmissionpolicies"),
            _ => ApiResource::from_gvk_with_plural(&gvk(kind), "validatingadmissionpolicybindings"),
        };
        Api::<DynamicObject>::all_with(client.clone(), &resource)
    };
    let (policies, bindings) = (api("ValidatingAdmissionPolicy"), api("ValidatingAdmissionPolicyBinding"));
    let webhooks = Api::<DynamicObject>::all_with(client.clone(), &ApiResource::from_gvk(&gvk("ValidatingWebhookConfiguration")));
    let watch = |api: &Api<DynamicObject>, name: &str| {
        let only = watcher::Config::default().fields(&format!("metadata.name={name}"));
        watcher(api.clone(), only).default_backoff().map(drop).boxed()
    };
    let mut events = futures::stream::select_all([watch(&policies, NAMES[0]), watch(&bindings, NAMES[0]), watch(&bindings, NAMES[1]), watch(&webhooks, GATE)]);
    let mut put: Option<[Value; 3]> = None;
    let mut hook = Hook::begin(&webhooks, &bindings).await;
    loop {
        hook.look(&webhooks).await;
        hook.reach = hook.needs(keeper.failure().await);
        let reach = hook.reach;
        let wanted = wanted(&gate, reach);
        if let Some(wanted) = &wanted {
            match differing(&policies, &bindings, wanted).await {
                Ok(differing) if differing.is_empty() => {
                    keeper.stands(standing(reach));
                    put = Some(wanted.clone());
                }
                Ok(differing) => {
                    // What was as wanted and is not any more was changed by somebody, unless another replica has a newer bundle.
                    let settled = put.as_ref() == Some(wanted);
                    if settled {
                        tokio::time::sleep(SPREAD).await;
                    }
                    hook.look(&webhooks).await;
                    let newer = self::wanted(&gate, hook.needs(keeper.failure().await));
                    if settled && newer.as_ref() != Some(wanted) {
                        continue;
                    }
                    // Until all of it is seen to be there.
                    keeper.stands(Standing::Unknown);
                    let mut changes = Vec::new();
                    for (object, found) in differing {
                        let api = if object["kind"] == "ValidatingAdmissionPolicy" { &policies } else { &bindings };
                        match write(api, &object, found).await {
                            Ok(change) => changes.extend(change),
                            Err(error) => tracing::error!(%error, "the native policy could not be put right"),
                        }
                    }
                    if settled && !changes.is_empty() {
                        keeper.alarm(&gate, &format!("admission-policy:{}", NAMES[0]), &changes).await;
                    }
                    put = Some(wanted.clone());
                }
                Err(error) => {
                    let unavailable = matches!(&error, kube::Error::Api(e) if e.code == 404);
                    keeper.stands(if unavailable { Standing::Unavailable } else { Standing::Unknown });
                    tracing::warn!(%error, "the native policy cannot be read: Kubernetes 1.30 or later has them");
                }
            }
        }
        let next = wait(&gate, &keeper, &hook, wanted.is_some());
        tokio::select! {
            event = events.next() => if event.is_none() { return },
            () = next => {}
        }
    }
}

fn wanted(gate: &Gate, reach: Reach) -> Option<[Value; 3]> {
    gate.rules().map(|rules| objects(&rules, NAMESPACE, GATE, &PLATFORM, reach))
}

fn standing(reach: Reach) -> Standing {
    match reach {
        Reach::Everywhere => Standing::Since(Instant::now()),
        Reach::Platform => Standing::Unknown,
    }
}

/// The webhook as it is seen, and where the policy is bound by it.
struct Hook {
    closed: bool,
    /// Since when it has been seen so.
    since: Instant,
    reach: Reach,
}

impl Hook {
    /// Where the policy is bound to the platform alone already, another gate has waited for it.
    async fn begin(webhooks: &Api<DynamicObject>, bindings: &Api<DynamicObject>) -> Hook {
        let bound = bindings.get_opt(NAMES[0]).await.ok().flatten();
        let operator = bound.as_ref().and_then(|b| b.data.pointer("/spec/matchResources/namespaceSelector/matchExpressions/0/operator"));
        let reach = if operator.is_some_and(|o| o == "DoesNotExist") { Reach::Platform } else { Reach::Everywhere };
        let mut hook = Hook { closed: false, since: Instant::now(), reach };
        hook.look(webhooks).await;
        hook
    }

    async fn look(&mut self, webhooks: &Api<DynamicObject>) {
        let closed = webhooks.get_opt(GATE).await.ok().flatten().is_some_and(|found| is_closed(&found.data));
        if closed != self.closed {
            (self.closed, self.since) = (closed, Instant::now());
        }
    }

    /// Where the policy is needed, if `wanted` is what the webhook is to do; as before until that is certain.
    fn needs(&self, wanted: Failure) -> Reach {
        match (wanted, self.closed) {
            (Failure::Ignore, _) => Reach::Everywhere,
            (Failure::Fail, _) if self.since.elapsed() < SPREAD => self.reach,
            (Failure::Fail, true) => Reach::Platform,
            (Failure::Fail, false) => Reach::Everywhere,
        }
    }
}

/// Until something else is wanted, or it is time for a look.
async fn wait(gate: &Gate, keeper: &Keeper, hook: &Hook, have: bool) {
    let (before, end) = (gate.generation(), Instant::now() + LOOK);
    while Instant::now() < end && gate.generation() == before && have && hook.needs(keeper.known_failure()) == hook.reach {
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

type Found = Option<DynamicObject>;

/// What is not as wanted, with what is there instead.
async fn differing(policies: &Api<DynamicObject>, bindings: &Api<DynamicObject>, wanted: &[Value; 3]) -> Result<Vec<(Value, Found)>, kube::Error> {
    let mut out = Vec::new();
    for object in wanted {
        let api = if object["kind"] == "ValidatingAdmissionPolicy" { policies } else { bindings };
        let found = api.get_opt(object["metadata"]["name"].as_str().unwrap_or_default()).await?;
        if !found.as_ref().is_some_and(|f| is_as_wanted(&f.data["spec"], &object["spec"])) {
            out.push((object.clone(), found));
        }
    }
    Ok(out)
}

fn is_as_wanted(found: &Value, want: &Value) -> bool {
    let empty = |v: &Value| v.is_null() || v.as_object().is_some_and(serde_json::Map::is_empty) || v.as_array().is_some_and(Vec::is_empty);
    let extra = MUST_BE_EMPTY.iter().any(|p| want.pointer(p).is_none_or(empty) && found.pointer(p).is_some_and(|v| !empty(v)));
    covers(found, want) && !extra
}

async fn write(api: &Api<DynamicObject>, want: &Value, found: Found) -> Result<Option<String>, kube::Error> {
    let mut object: DynamicObject = serde_json::from_value(want.clone()).map_err(kube::Error::SerdeError)?;
    let (kind, name) = (want["kind"].as_str().unwrap_or_default(), want["metadata"]["name"].as_str().unwrap_or_default());
    let done = match &found {
        None => api.create(&PostParams::default(), &object).await,
        Some(found) => {
            object.metadata = ObjectMeta { resource_version: found.resource_version(), ..object.metadata };
            api.replace(name, &PostParams::default(), &object).await
        }
    };
    match done {
        Ok(_) if found.is_none() => Ok(Some(format!("{kind}/{name}: 已被删除,已重建 / was deleted, is made again"))),
        Ok(_) => Ok(Some(format!("{kind}/{name}: 被改动,已改回 / was changed, is put right"))),
        // Another replica was first.
        Err(kube::Error::Api(e)) if e.code == 409 => Ok(None),
        Err(e) => Err(e),
    }
}

fn gvk(kind: &str) -> GroupVersionKind {
    GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn it_is_bound_by_what_the_webhook_has_been_for_a_while() {
        let needs = |closed, age, reach, wanted| Hook { closed, since: Instant::now().checked_sub(age).unwrap(), reach }.needs(wanted);
        for reach in [Reach::Platform, Reach::Everywhere] {
            assert_eq!(needs(true, SPREAD, reach, Failure::Fail), Reach::Platform);
            assert_eq!(needs(false, SPREAD, reach, Failure::Fail), Reach::Everywhere);
            assert_eq!(needs(true, SPREAD, reach, Failure::Ignore), Reach::Everywhere);
            assert_eq!(needs(true, Duration::ZERO, reach, Failure::Ignore), Reach::Everywhere);
            for closed in [true, false] {
                assert_eq!(needs(closed, Duration::ZERO, reach, Failure::Fail), reach, "as before until it is certain");
            }
        }
    }

    #[test]
    fn what_weakens_the_policy_is_seen_and_what_the_api_server_adds_is_not() {
        let rules = jinwu_admission::Rules::new(
            serde_json::from_value(json!({
                "cluster": "c", "generation": "g", "made": 0, "default_level": 3, "enforcement": {"*": "block"}, "modes": {}, "exceptions": [],
                "grants": [], "policies": [], "registries": [], "own_registries": [], "level_setters": [], "base_platform": [],
                "sandboxed_runtimes": [], "blocked": [], "verdict_generation": "v"
            }))
            .unwrap(),
        )
        .unwrap();
        assert_eq!(NAMES, jinwu_cluster::install::NATIVE, "the gate has rights to what it keeps");
        let [policy, binding, _] = objects(&rules, NAMESPACE, GATE, &PLATFORM, Reach::Everywhere);
        let mut found = policy["spec"].clone();
        found["matchConstraints"]["namespaceSelector"] = json!({});
        found["matchConstraints"]["resourceRules"][0]["scope"] = json!("*");
        assert!(is_as_wanted(&found, &policy["spec"]));
        for (pointer, value) in [
            ("/failurePolicy", json!("Ignore")),
            ("/validations", json!([])),
            ("/validations/0/expression", json!("true")),
            ("/matchConstraints/namespaceSelector", json!({"matchLabels": {"a": "b"}})),
            ("/matchConditions/0/expression", json!("false")),
        ] {
            let mut weak = found.clone();
            *weak.pointer_mut(pointer).unwrap() = value;
            assert!(!is_as_wanted(&weak, &policy["spec"]), "{pointer}");
        }
        let mut weak = found.clone();
        weak["matchConstraints"]["excludeResourceRules"] = json!([{"resources": ["pods"]}]);
        assert!(!is_as_wanted(&weak, &policy["spec"]));
        let mut weak = binding["spec"].clone();
        assert!(is_as_wanted(&weak, &binding["spec"]));
        weak["validationActions"] = json!(["Audit"]);
        assert!(!is_as_wanted(&weak, &binding["spec"]));
        let mut weak = binding["spec"].clone();
        weak["matchResources"]["resourceRules"] = json!([{"resources": ["secrets"]}]);
        assert!(!is_as_wanted(&weak, &binding["spec"]));
    }
}
