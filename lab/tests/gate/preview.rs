//! What would be refused of what exists, were everything enforced.

use jinwu_lab::Server;
use serde_json::{Value, json};

fn pod(privileged: bool) -> Value {
    json!({
        "group": "", "version": "v1", "kind": "Pod", "resource": "pods", "level_label": "4",
        "object": {"metadata": {"name": "p", "namespace": "web"}, "spec": {"containers": [{"name": "c", "image": "nginx", "securityContext": {"privileged": privileged}}]}},
    })
}

fn policies(answer: &Value, at: usize) -> Vec<String> {
    let all = answer["objects"][at]["violations"].as_array().cloned().unwrap_or_default();
    all.iter().filter(|v| v["mode"] == "block").filter_map(|v| v["policy"].as_str().map(str::to_owned)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_exists_is_judged_as_if_all_were_enforced() -> anyhow::Result<()> {
    let server = Server::start()?;
    let (system, security) = (server.log_in("sysadmin").await?, server.log_in("secadmin").await?);
    system.ok("POST", "/clusters", Some(&json!({"name": "prod", "level": 1}))).await?;
    let bootstrap = json!({"name": "edit", "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}});
    let role = |metadata: Value| {
        json!({
            "group": "rbac.authorization.k8s.io", "version": "v1", "kind": "ClusterRole", "resource": "clusterroles",
            "object": {"metadata": metadata, "rules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]},
        })
    };
    let unreadable = json!({"group": "", "version": "v1", "kind": "Pod", "resource": "pods", "object": {"spec": {"containers": 1}}});
    let ask = json!({"level": 4, "objects": [pod(true), pod(false), role(json!({"name": "all"})), role(bootstrap), unreadable]});
    let answer = security.ok("POST", "/clusters/prod/preview", Some(&ask)).await?;
    let of = |at| policies(&answer, at);
    assert!(of(0).contains(&"privileged-container".to_owned()) && of(0).contains(&"image-registry".to_owned()), "{answer}");
    assert!(!of(1).contains(&"privileged-container".to_owned()), "{answer}");
    assert_eq!(of(2), ["excessive-permission"], "{answer}");
    assert_eq!(of(3), Vec::<String>::new(), "what the API server itself makes is never refused");
    assert!(answer["objects"][4]["unreadable"].is_string(), "{answer}");
    // Enforcement is alert, and stays so: nothing was changed.
    assert_eq!(security.ok("GET", "/clusters/prod", None).await?["enforcement"], json!({"*": "alert"}));
    // A policy that is switched is switched in the preview too; an exception lifts.
    security.ok("PUT", "/clusters/prod/policies/privileged-container", Some(&json!({"mode": "alert"}))).await?;
    let answer = security.ok("POST", "/clusters/prod/preview", Some(&json!({"objects": [pod(true)]}))).await?;
    assert!(!policies(&answer, 0).contains(&"privileged-container".to_owned()), "{answer}");
    assert_eq!(answer["objects"][0]["level"], 4, "of the namespace");
    let many = json!({"objects": vec![json!({"group": "", "version": "v1", "kind": "Service", "resource": "services", "object": {}}); 501]});
    assert_eq!(security.call("POST", "/clusters/prod/preview", Some(&many)).await?.status, 400);
    assert_eq!(security.call("POST", "/clusters/other/preview", Some(&json!({"objects": []}))).await?.status, 404);
    assert_eq!(system.call("POST", "/clusters/prod/preview", Some(&json!({"objects": []}))).await?.status, 403);
    Ok(())
}

/// As `jinwu cluster preview` asks about a large cluster: 10,000 pods of 100 images, in batches.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_pods_are_judged() -> anyhow::Result<()> {
    let server = Server::start()?;
    let (system, security) = (server.log_in("sysadmin").await?, server.log_in("secadmin").await?);
    system.ok("POST", "/clusters", Some(&json!({"name": "large", "level": 4}))).await?;
    let mut refused = 0;
    for batch in 0..50 {
        let objects: Vec<Value> = (0..200)
            .map(|n| {
                let mut pod = pod(n % 2 == 0);
                pod["object"]["metadata"] = json!({"name": format!("p-{batch}-{n}"), "namespace": format!("team-{}", n % 20)});
                pod["object"]["spec"]["containers"][0]["image"] = json!(format!("{}/open/app-{}:1", server.registry, n % 100));
                pod
            })
            .collect();
        let answer = security.ok("POST", "/clusters/large/preview", Some(&json!({"level": 4, "objects": objects}))).await?;
        assert_eq!(answer["objects"].as_array().map(Vec::len), Some(200));
        refused += (0..200).filter(|n| policies(&answer, *n).contains(&"privileged-container".to_owned())).count();
    }
    assert_eq!(refused, 5_000);
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid()))?;
    let peak: u64 = status.lines().find_map(|l| l.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok()).unwrap_or(u64::MAX);
    assert!(peak < 512 << 10, "{peak} KiB");
    Ok(())
}
