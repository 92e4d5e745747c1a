//! Users' admission policies about images: `apiGroups: ["jinwu.io"]`, `resources: ["images"]`.
//!
//! Such a policy judges what image policies judge, and when they do: when an image is pushed, when a pod wants it, and
//! again when more is known of it. Its `object` holds what they read: `object.image`, `object.report`, `object.level`,
//! beside `metadata.name`, the repository. It says so by name: `*` is about what Kubernetes has. What an image is does not
//! depend on who asks: `request.userInfo` is empty, and `authorizer` cannot be asked.

use crate::users::{id, rank, violation};
use jinwu_model::{Mode, ProtectionLevel, Text, Violation};
use jinwu_policy::admission_policy::{Action, AdmissionInput, AdmissionPolicies};
use jinwu_policy::{Facts, Scope};
use serde_json::{Value as Json, json};

/// What a rule of such a policy names.
pub const GROUP: &str = "jinwu.io";
pub const RESOURCE: &str = "images";
const VERSION: &str = "v1";
const KIND: &str = "Image";

/// Names of the policies that are about images; one without binding is about nothing.
pub fn about_images(policies: &AdmissionPolicies) -> Vec<&str> {
    policies.described().filter(|p| !p.bindings.is_empty() && p.rules.iter().any(names_images)).map(|p| p.name).collect()
}

/// Whether a rule, in a webhook's shape, names images.
fn names_images(rule: &Json) -> bool {
    let has = |member: &str, word: &str| rule[member].as_array().is_some_and(|list| list.iter().any(|w| w == word));
    has("apiGroups", GROUP) && (has("resources", RESOURCE) || has("resources", "*"))
}

/// A rule as far as Kubernetes has what it names; none: it has nothing of it.
pub(crate) fn of_kubernetes(mut rule: Json) -> Option<Json> {
    if let Some(groups) = rule["apiGroups"].as_array_mut() {
        groups.retain(|g| g != GROUP);
    }
    rule["apiGroups"].as_array().is_some_and(|g| !g.is_empty()).then_some(rule)
}

/// Violations of an image: by default a policy at Deny blocks at every level, one at Warn or Audit alarms. Those in mode
/// allow are among them. Once `stopped`, what is left counts as failed.
pub fn judge(policies: &AdmissionPolicies, facts: &Facts, scope: &Scope<'_>, stopped: &dyn Fn() -> bool) -> Vec<Violation> {
    let wanted = about_images(policies);
    if wanted.is_empty() {
        return Vec::new();
    }
    let (object, name) = document(facts, scope.level);
    let kind = json!({"group": GROUP, "version": VERSION, "kind": KIND});
    let resource = json!({"group": GROUP, "version": VERSION, "resource": RESOURCE});
    let request = json!({
        "operation": "CREATE", "name": name, "kind": kind, "resource": resource, "requestKind": kind, "requestResource": resource,
        "userInfo": {"username": "", "groups": []}, "dryRun": false, "options": {},
    });
    let review = policies.evaluate_those(
        &AdmissionInput {
            operation: "CREATE", group: GROUP, version: VERSION, resource: RESOURCE, subresource: "", name: &name, namespace: "",
            namespace_labels: None, object: &object, old_object: &Json::Null, request: &request, namespace_object: &Json::Null,
            params: &|query| Ok(policies.given().iter().filter(|object| query.selects(object)).collect()),
            params_namespaced: &|version, kind| policies.given_namespaced(version, kind),
            authorizer: None,
        },
        &|policy, _| wanted.contains(&policy),
        stopped,
    );
    let mut all: Vec<Violation> = Vec::new();
    for finding in &review.findings {
        let policy = id(&finding.policy);
        let mode = match (scope.modes.get(&policy).copied().unwrap_or(Mode::Block), finding.action) {
            (Mode::Allow, _) => Mode::Allow,
            (mode, Action::Deny) => mode,
            (_, Action::Warn | Action::Audit) => Mode::Alert,
        };
        let mut made = Violation { advice: advice(), ..violation(policy, mode, None, finding) };
        made.exception = facts.exception(scope.exceptions, &made.policy, &made.evidence, scope.now);
        match all.iter_mut().find(|v| v.policy == made.policy && v.finding == made.finding) {
            Some(known) if rank(&made) > rank(known) => *known = made,
            Some(_) => {}
            None => all.push(made),
        }
    }
    all
}

/// Modes for levels 1 to 4 of the policy these violations are of, before anybody switches it.
pub fn default_modes(violations: &[&Violation]) -> [Mode; 4] {
    let denies = violations.iter().any(|v| v.evidence["action"] == Action::Deny.as_str());
    [if denies { Mode::Block } else { Mode::Alert }; 4]
}

fn advice() -> Text {
    Text::new("按消息更正镜像后重新推送;确需例外时由安全管理员处置", "correct the image as the message says and push it again; where it must be so, the security administrator makes an exception")
}

/// The image as policies see it, and its name.
fn document(facts: &Facts, level: ProtectionLevel) -> (Json, String) {
    let name = facts.image()["repository"].as_str().unwrap_or_default().to_owned();
    let object = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"), "kind": KIND, "metadata": {"name": name},
        "image": facts.image(), "report": facts.report(), "level": level.get(),
    });
    (object, name)
}
