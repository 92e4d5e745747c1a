//! Users' admission policies about images.
#![allow(clippy::unwrap_used)]

use jinwu_admission::images::{about_images, default_modes, judge};
use jinwu_admission::users::registered;
use jinwu_model::report::ImageReport;
use jinwu_model::{Digest, Mode, PolicyId, ProtectionLevel, Violation};
use jinwu_policy::admission_policy::AdmissionPolicies;
use jinwu_policy::{Exception, Facts, ImageFacts, Scope};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn digest() -> Digest {
    format!("sha256:{}", "ab".repeat(32)).parse().unwrap()
}

fn facts() -> Facts {
    let image = ImageFacts { repository: "demo/app".parse().unwrap(), project: "demo".into(), tags: vec!["latest".into()], digest: digest(), media_type: "m".into() };
    Facts::new(&image, &ImageReport::empty(digest())).unwrap()
}

fn policies(groups: &[&str], resources: &[&str], expression: &str, actions: &[&str], bound: bool) -> AdmissionPolicies {
    let rule = json!({"apiGroups": groups, "apiVersions": ["v1"], "operations": ["CREATE"], "resources": resources});
    let policy = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "p"},
        "spec": {"matchConstraints": {"resourceRules": [rule]}, "validations": [{"expression": expression, "message": "no"}]}});
    let binding = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "b"},
        "spec": {"policyName": if bound { "p" } else { "other" }, "validationActions": actions}});
    AdmissionPolicies::load(&format!("{policy}\n---\n{binding}"), 34).unwrap_or_else(|e| panic!("{e}"))
}

fn found(policies: &AdmissionPolicies, modes: &[(&str, Mode)], exceptions: &[Exception]) -> Vec<Violation> {
    let modes: BTreeMap<PolicyId, Mode> = modes.iter().map(|(p, m)| (PolicyId((*p).into()), *m)).collect();
    judge(policies, &facts(), &Scope { level: ProtectionLevel::FOUR, modes: &modes, exceptions, now: 5 }, &|| false)
}

const LATEST: &str = "!object.image.tags.exists(t, t == 'latest') || object.level < 3";

#[test]
fn images_are_judged_by_what_names_them_and_by_nothing_else() {
    let images = policies(&["jinwu.io"], &["images"], LATEST, &["Deny"], true);
    let all = found(&images, &[], &[]);
    assert_eq!(all.iter().map(|v| (v.policy.0.as_str(), v.mode)).collect::<Vec<_>>(), [("admission:p", Mode::Block)]);
    for (groups, resources, bound) in [(&["*"][..], &["*"][..], true), (&[""], &["pods"], true), (&["jinwu.io"], &["other"], true), (&["jinwu.io"], &["images"], false)] {
        let others = policies(groups, resources, "false", &["Deny"], bound);
        assert!(found(&others, &[], &[]).is_empty() && about_images(&others).is_empty(), "{groups:?} {resources:?} {bound}");
    }
    assert_eq!(found(&policies(&["jinwu.io"], &["images"], "true", &["Deny"], true), &[], &[]), []);
    for expression in ["request.userInfo.username == ''", "object.metadata.name == 'demo/app'", "request.name == 'demo/app'", "object.report.secrets.size() == 0", "object.image.project == 'demo'"] {
        assert_eq!(found(&policies(&["jinwu.io"], &["images"], expression, &["Deny"], true), &[], &[]), [], "{expression}");
    }
    // Nobody can be asked about, and what cannot be judged does not pass.
    assert_eq!(found(&policies(&["jinwu.io"], &["images"], "authorizer.path('/x').check('get').allowed()", &["Deny"], true), &[], &[]).len(), 1);
}

#[test]
fn modes_actions_and_exceptions_say_what_comes_of_it() {
    let mode = |actions: &[&str], modes: &[(&str, Mode)]| found(&policies(&["jinwu.io"], &["images"], LATEST, actions, true), modes, &[])[0].mode;
    assert_eq!(mode(&["Deny"], &[("admission:p", Mode::Alert)]), Mode::Alert);
    assert_eq!(mode(&["Warn"], &[]), Mode::Alert);
    assert_eq!(mode(&["Audit"], &[("admission:p", Mode::Block)]), Mode::Alert);
    assert_eq!(mode(&["Deny"], &[("admission:p", Mode::Allow)]), Mode::Allow);
    let deny = policies(&["jinwu.io"], &["images"], LATEST, &["Deny", "Audit"], true);
    let all = found(&deny, &[], &[]);
    assert_eq!((all.len(), default_modes(&all.iter().collect::<Vec<_>>())), (1, [Mode::Block; 4]));
    let warned = found(&policies(&["jinwu.io"], &["images"], LATEST, &["Warn"], true), &[], &[]);
    assert_eq!(default_modes(&warned.iter().collect::<Vec<_>>()), [Mode::Alert; 4]);
    let exception: Exception = serde_json::from_value(json!({"id": "x", "policy": "admission:p", "project": "demo", "reason": "r", "proposer": "a", "approver": "b", "created": 0, "expires": 9})).unwrap();
    assert_eq!(found(&deny, &[], &[exception])[0].exception.as_deref(), Some("x"));
    // What is stopped counts as failed.
    let scope = Scope { level: ProtectionLevel::FOUR, modes: &BTreeMap::new(), exceptions: &[], now: 0 };
    assert_eq!(judge(&policies(&["jinwu.io"], &["images"], "true", &["Deny"], true), &facts(), &scope, &|| true).len(), 1);
}

#[test]
fn webhooks_are_not_asked_about_images() {
    let rules = |groups: &[&str]| registered(&policies(groups, &["images"], "true", &["Deny"], true)).closed;
    assert_eq!(rules(&["jinwu.io"]), Vec::<Value>::new());
    assert_eq!(rules(&["jinwu.io", "example.io"])[0]["apiGroups"], json!(["example.io"]));
}
