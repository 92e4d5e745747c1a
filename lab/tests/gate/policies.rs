//! Users' admission policies: given to a cluster or to all, carried by bundles, seen by the preview.

use crate::Gate;
use jinwu_admission::protocol::{ImageFinding, Knowledge};
use jinwu_lab::{Server, image::Image};
use jinwu_model::Mode;
use serde_json::{Value, json};
use std::time::Duration;

const POLICY: &str = "apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: owned}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [services]}]}
  validations: [{expression: \"has(object.metadata.labels) && has(object.metadata.labels.owner)\", message: a service has an owner}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: owned-everywhere}
spec: {policyName: owned, validationActions: [Deny]}
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_policies_are_given_switched_and_taken_back() -> anyhow::Result<()> {
    let server = Server::start()?;
    let (system, security) = (server.log_in("sysadmin").await?, server.log_in("secadmin").await?);
    system.ok("POST", "/clusters", Some(&json!({"name": "prod", "level": 1}))).await?;
    let body = json!({"yaml": POLICY});
    assert_eq!(system.call("PUT", "/clusters/prod/admission-files/a.yaml", Some(&body)).await?.status, 403);
    let before = security.ok("GET", "/clusters/prod", None).await?["generation"].clone();
    security.ok("PUT", "/clusters/*/admission-files/a.yaml", Some(&body)).await?;
    assert_ne!(security.ok("GET", "/clusters/prod", None).await?["generation"], before, "a new bundle");
    let bad = json!({"yaml": POLICY.replace("has(object.metadata.labels.owner)", "nope")});
    let refused = security.call("PUT", "/clusters/prod/admission-files/b.yaml", Some(&bad)).await?;
    assert_eq!(refused.status, 400);
    let listed = security.ok("GET", "/clusters/prod/admission-policies", None).await?;
    assert_eq!((&listed["policies"][0]["id"], &listed["files"][0]["cluster"]), (&json!("admission:owned"), &json!("*")), "{listed}");
    let service = json!({"group": "", "version": "v1", "kind": "Service", "resource": "services", "object": {"metadata": {"name": "s", "namespace": "web"}, "spec": {}}});
    let found = async || -> anyhow::Result<Vec<Value>> {
        let answer = security.ok("POST", "/clusters/prod/preview", Some(&json!({"objects": [service]}))).await?;
        let all = answer["objects"][0]["violations"].as_array().cloned().unwrap_or_default();
        Ok(all.into_iter().filter(|v| v["policy"] == "admission:owned").collect())
    };
    assert_eq!(found().await?.first().map(|v| v["mode"].clone()), Some(json!("block")));
    security.ok("PUT", "/clusters/prod/policies/admission:owned", Some(&json!({"mode": "allow", "namespace": "web"}))).await?;
    assert_eq!(found().await?, Vec::<Value>::new());
    assert_eq!(security.call("PUT", "/clusters/prod/policies/admission:other", Some(&json!({"mode": "alert"}))).await?.status, 404);
    let exception = |policy: &str| json!({"policy": policy, "namespace": "web", "workload": "service/s", "cluster": "prod", "reason": "old", "days": 3});
    system.ok("POST", "/exceptions", Some(&exception("admission:owned"))).await?;
    assert_eq!(system.call("POST", "/exceptions", Some(&exception("admission:other"))).await?.status, 404);
    security.ok("DELETE", "/clusters/*/admission-files/a.yaml", None).await?;
    assert_eq!(security.call("GET", "/clusters/prod/admission-files/a.yaml", None).await?.status, 404);
    security.ok("PUT", "/clusters/prod/policies/admission:owned", Some(&json!({"namespace": "web"}))).await?;
    Ok(())
}

/// Fails open, and asks who asks; only where the namespace wants it.
const ASKING: &str = "apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: asking}
spec:
  failurePolicy: Ignore
  matchConstraints: {resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [services]}]}
  matchConditions: [{name: named, expression: \"object.metadata.name == 'asked'\"}]
  validations: [{expression: \"authorizer.group('').resource('services').check('escalate').allowed()\"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: asking-everywhere}
spec: {policyName: asking, validationActions: [Deny]}
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_depends_on_who_asks_is_unknown_to_the_preview_however_it_fails() -> anyhow::Result<()> {
    let server = Server::start()?;
    let (system, security) = (server.log_in("sysadmin").await?, server.log_in("secadmin").await?);
    system.ok("POST", "/clusters", Some(&json!({"name": "prod", "level": 1}))).await?;
    security.ok("PUT", "/clusters/prod/admission-files/a.yaml", Some(&json!({"yaml": ASKING}))).await?;
    let service = |name: &str| json!({"group": "", "version": "v1", "kind": "Service", "resource": "services", "object": {"metadata": {"name": name, "namespace": "web"}, "spec": {}}});
    let answer = security.ok("POST", "/clusters/prod/preview", Some(&json!({"objects": [service("asked"), service("other")]}))).await?;
    let unjudged = answer["objects"][0]["unjudged"].as_array().cloned().unwrap_or_default();
    assert!(unjudged.len() == 1 && unjudged[0].as_str().is_some_and(|u| u.starts_with("admission:asking: ") && u.contains("authorizer")), "{answer}");
    assert_eq!(answer["objects"][1]["unjudged"].as_array().map_or(0, Vec::len), 0, "what it is not about is judged: {answer}");
    Ok(())
}

/// About images and about pods, in one file.
const BOTH: &str = "apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-alpine}
spec:
  matchConstraints:
    resourceRules:
    - {apiGroups: [jinwu.io], apiVersions: [v1], operations: [CREATE], resources: [images]}
    - {apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}
  variables:
  - {name: image, expression: \"request.resource.group == 'jinwu.io'\"}
  validations:
  - {expression: \"!variables.image || object.report.os.id != 'alpine'\", messageExpression: \"object.metadata.name + ' is Alpine'\"}
  - {expression: \"variables.image || object.spec.containers.all(c, !c.image.contains('alpine'))\", message: a container is Alpine}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-alpine-anywhere}
spec: {policyName: no-alpine, validationActions: [Deny]}
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_file_judges_images_at_push_pods_at_admission_and_what_runs() -> anyhow::Result<()> {
    let server = Server::start()?;
    let (system, security, audit) = (server.log_in("sysadmin").await?, server.log_in("secadmin").await?, server.log_in("auditadmin").await?);
    let gate = Gate::of_new_cluster(&system, &server, "prod").await?;
    assert_eq!(server.push("demo/runs", "1", &Image::good(81)).await?.status(), 201);
    let findings = async || -> anyhow::Result<Vec<ImageFinding>> {
        match gate.image(&server, "demo/runs:1", Some("linux/amd64")).await?.knowledge {
            Knowledge::Judged { findings, .. } => Ok(findings),
            Knowledge::Unknown { why } => anyhow::bail!("{why}"),
        }
    };
    assert_eq!(findings().await?, []);
    // What was asked is kept a moment after the answer.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let body = json!({"yaml": BOTH});
    let of_one = security.call("PUT", "/clusters/prod/admission-files/both.yaml", Some(&body)).await?;
    assert!(of_one.status == 400 && of_one.body.to_string().contains("for cluster '*'"), "{of_one:?}");
    security.ok("PUT", "/clusters/*/admission-files/both.yaml", Some(&body)).await?;

    // At push.
    let refused = server.push("demo/new", "1", &Image::good(82)).await?;
    assert_eq!(refused.status(), 403);
    let said = refused.text().await?;
    assert!(said.contains("admission:no-alpine") && said.contains("demo/new is Alpine"), "{said}");
    let records = async |path: &str| -> anyhow::Result<Vec<Value>> { Ok(audit.ok("GET", path, None).await?["records"].as_array().cloned().unwrap_or_default()) };
    let interceptions = records("/ledger?kind=interception&object=demo/new").await?;
    assert_eq!(interceptions.iter().map(|r| (&r["action"], &r["detail"]["policies"])).collect::<Vec<_>>(), [(&json!("push-refused"), &json!(["admission:no-alpine"]))]);
    let alarms = records("/ledger?kind=alarm&object=demo/new").await?;
    assert_eq!(alarms.iter().map(|r| (&r["action"], &r["decision"])).collect::<Vec<_>>(), [(&json!("policy-violated"), &interceptions[0]["decision"])]);

    // At admission: the verdict of an image that is there, and pods.
    let found = findings().await?;
    assert_eq!(found.iter().map(|f| (f.policy.0.as_str(), f.modes)).collect::<Vec<_>>(), [("admission:no-alpine", [Mode::Block; 4])]);
    let pod = json!({"group": "", "version": "v1", "kind": "Pod", "resource": "pods", "object": {"metadata": {"name": "p", "namespace": "web"}, "spec": {"containers": [{"name": "c", "image": "x/alpine:3"}]}}});
    let preview = security.ok("POST", "/clusters/prod/preview", Some(&json!({"objects": [pod]}))).await?;
    assert!(preview["objects"][0]["violations"].as_array().is_some_and(|all| all.iter().any(|v| v["policy"] == "admission:no-alpine" && v["mode"] == "block")), "{preview}");

    // What runs.
    let mut changed = vec![];
    for _ in 0..100 {
        changed = records("/ledger?kind=alarm&object=demo/runs").await?;
        if !changed.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(changed.iter().map(|r| (&r["action"], &r["detail"]["policy"])).collect::<Vec<_>>(), [(&json!("verdict-changed"), &json!("admission:no-alpine"))]);

    // Switched and lifted as any other.
    security.ok("PUT", "/projects/demo/policies/admission:no-alpine", Some(&json!({"mode": "alert"}))).await?;
    assert_eq!(server.push("demo/new", "1", &Image::good(82)).await?.status(), 201);
    security.ok("PUT", "/projects/demo/policies/admission:no-alpine", Some(&json!({}))).await?;
    assert_eq!(server.push("demo/new", "2", &Image::good(83)).await?.status(), 403);
    let asked = system.ok("POST", "/exceptions", Some(&json!({"policy": "admission:no-alpine", "repository": "demo/new", "reason": "until the base is changed", "days": 3}))).await?;
    let id = asked["id"].as_str().unwrap_or_default().to_owned();
    security.ok("POST", &format!("/exceptions/{id}/approve"), Some(&json!({}))).await?;
    assert_eq!(server.push("demo/new", "2", &Image::good(83)).await?.status(), 201);
    assert_eq!(security.call("PUT", "/projects/demo/policies/admission:other", Some(&json!({"mode": "alert"}))).await?.status, 404);
    security.ok("DELETE", "/clusters/*/admission-files/both.yaml", None).await?;
    assert_eq!(server.push("demo/other", "1", &Image::good(84)).await?.status(), 201);
    assert_eq!(findings().await?, []);
    Ok(())
}
