//! Users' admission policies: given to a cluster or to all, carried by bundles, seen by the preview.

use jinwu_lab::Server;
use serde_json::{Value, json};

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
