//! Who may change what gates are told: two people where a door opens.

use crate::Gate;
use jinwu_lab::{Server, program};
use serde_json::{Value, json};

fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entering_takes_two_people_and_ends() -> anyhow::Result<()> {
    let server = Server::start()?;
    let system = server.log_in("sysadmin").await?;
    let security = server.log_in("secadmin").await?;
    let gate = Gate::of_new_cluster(&system, &server, "prod").await?;
    let mut people = vec![];
    for name in ["li", "wang"] {
        let made = system.ok("POST", "/accounts", Some(&json!({ "name": name }))).await?;
        people.push(server.log_in_as(name, &text(&made, "password"), &text(&made, "totp")).await?);
    }
    let (li, wang) = (&people[0], &people[1]);
    let ask = |person: Value| json!({"person": person, "namespace": "web", "pod": "web-*", "ways": ["exec"], "reason": "stuck queue", "minutes": 30});
    let asked = li.ok("POST", "/clusters/prod/entries", Some(&ask(Value::Null))).await?;
    assert_eq!((text(&asked, "state").as_str(), text(&asked, "person").as_str()), ("proposed", "li"));
    let id = text(&asked, "id");
    let path = |id: &str| format!("/clusters/prod/entries/{id}");
    assert!(gate.newest(&server).await?.grants.is_empty(), "a request opens nothing");
    for stranger in [li, wang, &system] {
        assert_eq!(stranger.call("POST", &(path(&id) + "/approve"), None).await?.status, 403);
    }
    assert_eq!(wang.ok("GET", "/clusters/prod/entries", None).await?["entries"], json!([]), "not theirs to see");
    assert_eq!(wang.call("DELETE", &path(&id), None).await?.status, 404, "nor to end");
    assert_eq!(system.ok("GET", "/clusters/prod/entries", None).await?["entries"].as_array().map(Vec::len), Some(1));
    assert_eq!(system.call("DELETE", &path(&id), None).await?.status, 404, "who sees it cannot end it for that");
    security.ok("POST", &(path(&id) + "/approve"), None).await?;
    let bundle = gate.newest(&server).await?;
    let grant = bundle.grants.first().cloned().ok_or_else(|| anyhow::anyhow!("no grant"))?;
    assert_eq!((grant.person.as_str(), grant.approver.as_str(), grant.expires - grant.not_before), ("li", "secadmin", 30 * 60_000));
    assert_eq!(security.call("POST", &(path(&id) + "/approve"), None).await?.status, 409, "once");
    li.ok("DELETE", &path(&id), None).await?;
    assert!(gate.newest(&server).await?.grants.is_empty(), "who asked may end it");

    // Neither who asked nor who enters approves, however Kubernetes spells them.
    for (asks, person) in [(&security, json!("li")), (li, json!("secadmin")), (li, json!("oidc:SecAdmin"))] {
        let id = text(&asks.ok("POST", "/clusters/prod/entries", Some(&ask(person))).await?, "id");
        let answer = security.call("POST", &(path(&id) + "/approve"), None).await?;
        assert_eq!(answer.status, 409, "{answer:?}");
    }
    assert!(gate.newest(&server).await?.grants.is_empty());
    let bad = |f: &dyn Fn(&mut Value)| {
        let mut body = ask(Value::Null);
        f(&mut body);
        body
    };
    for body in [
        bad(&|b| b["minutes"] = json!(481)),
        bad(&|b| b["ways"] = json!(["ssh"])),
        bad(&|b| b["namespace"] = json!("*")),
        bad(&|b| b["reason"] = json!(" ")),
        bad(&|b| b["more"] = json!(1)),
    ] {
        assert_eq!(li.call("POST", "/clusters/prod/entries", Some(&body)).await?.status, 400, "{body}");
    }
    assert_eq!(li.call("POST", "/clusters/none/entries", Some(&ask(Value::Null))).await?.status, 404);
    let audit = server.log_in("auditadmin").await?;
    let records = audit.records("kind=entry").await?;
    let done = |action: &str, outcome: &str| records.iter().filter(|r| r["action"] == action && r["outcome"] == outcome).count();
    assert_eq!((done("propose", "success"), done("approve", "success"), done("approve", "failure"), done("revoke", "success")), (4, 1, 4, 1));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn base_platform_and_exceptions_take_two_people() -> anyhow::Result<()> {
    let server = Server::start()?;
    let system = server.log_in("sysadmin").await?;
    let security = server.log_in("secadmin").await?;
    let gate = Gate::of_new_cluster(&system, &server, "prod").await?;
    let digest = format!("sha256:{}", "0a".repeat(32));
    let component = json!({"namespace": "kube-system", "digest": digest, "signer": gate.key.to_pem(), "reason": "network plugin"});
    let own = text(&security.ok("POST", "/clusters/prod/base-platform", Some(&component)).await?, "id");
    let approve = |id: &str| format!("/clusters/prod/base-platform/{id}/approve");
    assert_eq!(security.call("POST", &approve(&own), None).await?.status, 409, "nobody approves their own");
    let id = text(&system.ok("POST", "/clusters/prod/base-platform", Some(&component)).await?, "id");
    assert_eq!(system.call("POST", &approve(&id), None).await?.status, 403);
    assert!(gate.newest(&server).await?.base_platform.is_empty());
    security.ok("POST", &approve(&id), None).await?;
    let bundle = gate.newest(&server).await?;
    assert_eq!(bundle.base_platform.len(), 1);
    assert_eq!((bundle.base_platform[0].namespace.as_str(), bundle.base_platform[0].approver.as_str()), ("kube-system", "secadmin"));
    security.ok("DELETE", &format!("/clusters/prod/base-platform/{id}"), None).await?;
    assert!(gate.newest(&server).await?.base_platform.is_empty());
    let unsigned = json!({"namespace": "kube-system", "digest": digest, "signer": "no key", "reason": "r"});
    assert_eq!(system.call("POST", "/clusters/prod/base-platform", Some(&unsigned)).await?.status, 400);

    let propose = async |body: &Value| system.call("POST", "/exceptions", Some(body)).await;
    let base = json!({"policy": "privileged-container", "reason": "driver", "days": 7});
    let with = |more: Value| {
        let mut body = base.clone();
        if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
            body.extend(more.clone());
        }
        body
    };
    for (bad, status) in [
        (json!({}), 409),
        (json!({"repository": "demo/app"}), 409),
        (json!({"workload": "deployment/web"}), 409),
        (json!({"namespace": "web", "project": "demo"}), 409),
        (json!({"namespace": "Web"}), 400),
        (json!({"namespace": "web", "workload": "web"}), 400),
    ] {
        let answer = propose(&with(bad.clone())).await?;
        assert_eq!(answer.status, status, "{bad}: {answer:?}");
    }
    let id = text(&propose(&with(json!({"namespace": "web", "workload": "daemonset/driver", "cluster": "prod"}))).await?.body, "id");
    let other = text(&propose(&with(json!({"namespace": "web", "cluster": "elsewhere"}))).await?.body, "id");
    assert!(gate.newest(&server).await?.exceptions.is_empty(), "a proposal lifts nothing");
    for id in [&id, &other] {
        security.ok("POST", &format!("/exceptions/{id}/approve"), None).await?;
    }
    let exceptions = gate.newest(&server).await?.exceptions;
    assert_eq!(exceptions.iter().map(|e| (e.id.as_str(), e.workload.as_deref())).collect::<Vec<_>>(), [(id.as_str(), Some("daemonset/driver"))]);
    system.ok("DELETE", "/clusters/prod", None).await?;
    let gate = Gate::of_new_cluster(&system, &server, "prod").await?;
    assert!(gate.newest(&server).await?.exceptions.is_empty(), "a new cluster of the name inherits nothing");
    assert_eq!(system.ok("GET", "/exceptions", None).await?["exceptions"].as_array().map(Vec::len), Some(1), "those of others stay");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_does_the_same() -> anyhow::Result<()> {
    let server = Server::start()?;
    let run = |arguments: &[&str]| -> anyhow::Result<String> {
        let output = server.jinwu(arguments)?;
        anyhow::ensure!(output.status.success(), "{arguments:?}: {}", program::said(&output));
        Ok(program::said(&output))
    };
    let made: Value = serde_json::from_str(&run(&["--json", "cluster", "add", "prod", "--level", "3"])?)?;
    let pem = server.folder().join("key.pem");
    std::fs::write(&pem, text(&made, "verify_key"))?;
    let gate = Gate { secret: text(&made, "secret"), key: jinwu_trust::VerifyingKey::load(&pem)? };
    run(&["cluster", "enforce", "prod", "拦截", "--namespace", "web"])?;
    run(&["cluster", "switch", "prod", "root-user", "alert"])?;
    run(&["cluster", "set", "prod", "--registry", "registry.example.com", "--level-setter", "group:security"])?;
    let entry: Value = serde_json::from_str(&run(&[
        "--json", "cluster", "enter", "web/web-0", "--way", "exec", "--way", "attach", "--person", "li", "--reason", "look",
    ])?)?;
    run(&["cluster", "approve", "prod", &text(&entry, "id")])?;
    let node: Value = serde_json::from_str(&run(&["--json", "cluster", "enter", "node/worker-1", "--cluster", "prod", "--way", "proxy", "--reason", "kubelet"])?)?;
    assert_eq!((text(&node, "namespace").as_str(), text(&node, "pod").as_str(), text(&node, "person").as_str()), ("", "worker-1", "sysadmin"));
    run(&["cluster", "block", "prod", "mallory", "--reason", "leaked", "--minutes", "5"])?;
    let digest = format!("sha256:{}", "0a".repeat(32));
    let base: Value = serde_json::from_str(&run(&["--json", "cluster", "base", "propose", "prod", "--namespace", "kube-system", "--digest", &digest, "--reason", "cni"])?)?;
    run(&["cluster", "base", "approve", "prod", &text(&base, "id")])?;
    let bundle = gate.newest(&server).await?;
    assert_eq!((bundle.default_level.get(), bundle.grants.len(), bundle.blocked.len(), bundle.base_platform.len()), (3, 1, 1, 1));
    assert_eq!((bundle.grants[0].namespace.as_str(), bundle.grants[0].pod.as_str()), ("web", "web-0"));
    assert_eq!(bundle.grants[0].ways, ["exec", "attach"]);
    assert_eq!(bundle.level_setters, ["group:security"]);
    assert!(run(&["cluster", "list"])?.contains("prod"));
    let shown = run(&["cluster", "show", "prod"])?;
    for part in ["拦截", "root-user", "registry.example.com", "mallory", "BEGIN PUBLIC KEY"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(run(&["--lang", "en", "cluster", "entries", "prod"])?.contains("standing"));
    run(&["cluster", "revoke", "prod", &text(&entry, "id")])?;
    run(&["cluster", "unblock", "prod", &bundle.blocked[0].id])?;
    run(&["cluster", "base", "remove", "prod", &text(&base, "id")])?;
    let renewed: Value = serde_json::from_str(&run(&["--json", "cluster", "secret", "prod"])?)?;
    let gate = Gate { secret: text(&renewed, "secret"), key: gate.key };
    let bundle = gate.newest(&server).await?;
    assert_eq!((bundle.grants.len(), bundle.blocked.len(), bundle.base_platform.len()), (0, 0, 0));
    run(&["cluster", "add", "second"])?;
    let which = server.jinwu(&["cluster", "enter", "web/web-0", "--reason", "look"])?;
    assert!(!which.status.success() && program::said(&which).contains("name the cluster"), "{}", program::said(&which));
    run(&["cluster", "remove", "prod"])?;
    assert!(!run(&["cluster", "list"])?.contains("prod"));
    assert_eq!(server.jinwu(&["cluster", "add", "No Name"])?.status.code(), Some(2));
    Ok(())
}
