//! Bundles: signed, for one cluster, told at once when something changes.

use crate::Gate;
use jinwu_lab::{Server, now};
use jinwu_model::Mode;
use reqwest::Method;
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_opens_its_own_cluster_and_no_other_does() -> anyhow::Result<()> {
    let server = Server::start()?;
    let system = server.log_in("sysadmin").await?;
    let first = Gate::of_new_cluster(&system, &server, "first").await?;
    let second = Gate::of_new_cluster(&system, &server, "second").await?;
    let bundle = first.newest(&server).await?;
    assert_eq!((bundle.cluster.as_str(), bundle.default_level.get()), ("first", 4));
    assert_eq!(bundle.enforcement.get("*"), Some(&Mode::Alert), "a new cluster only alerts");
    assert!(bundle.own_registries.contains(&server.registry) && bundle.registries.contains(&server.registry), "{:?}", bundle.own_registries);
    assert!((bundle.made - now()).abs() < 60_000);
    assert_eq!(first.newest(&server).await?, bundle, "the same content is the same text");
    assert_eq!(second.newest(&server).await?.cluster, "second");
    assert!(first.bundle(&server, &bundle.generation, 0).await?.is_none());
    assert!(system.call("POST", "/clusters", Some(&json!({"name": "first"}))).await?.status == 409);

    let forged = Gate { secret: "jwg_".to_owned() + &"0".repeat(64), key: first.key.clone() };
    let session = Gate { secret: system.token.clone(), key: first.key.clone() };
    for stranger in [&forged, &session] {
        for (method, path) in [(Method::GET, "/bundle"), (Method::POST, "/images"), (Method::POST, "/records")] {
            let answer = stranger.ask(&server, method, path, Some(&json!({}))).await?;
            assert_eq!(answer.status(), 401, "{path}");
            assert!(answer.text().await?.contains("jinwu cluster secret"));
        }
    }
    assert_eq!(server.http.get(server.url("/gate/v1/bundle")).send().await?.status(), 401);
    assert_eq!(server.call("GET", "/me", Some(&first.secret), None).await?.status, 401, "a cluster's secret is no session");

    // The old secret stands beside the new one until it is ended, then at once, also for who waits with it.
    let rotated = system.ok("POST", "/clusters/first/secret", Some(&json!({}))).await?;
    let renewed = Gate { secret: rotated["secret"].as_str().unwrap_or_default().to_owned(), key: first.key.clone() };
    let until = rotated["former_until"].as_i64().unwrap_or(0) - now();
    assert!((86_000_000..=86_400_000).contains(&until), "{until} ms");
    for gate in [&first, &renewed] {
        assert_eq!(gate.newest(&server).await?.cluster, "first");
    }
    assert_eq!(system.ok("GET", "/clusters/first", None).await?["former_secrets_until"], json!([rotated["former_until"]]));
    let waiting = first.bundle(&server, &bundle.generation, 20);
    let end = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        system.ok("DELETE", "/clusters/first/secret", None).await
    };
    let (waited, ended) = tokio::join!(waiting, end);
    assert!(waited.err().is_some_and(|e| e.to_string().contains("401")));
    assert_eq!(ended?["ended"], 1);
    assert_eq!(renewed.newest(&server).await?.cluster, "first");
    assert_eq!(system.ok("DELETE", "/clusters/first/secret", None).await?["ended"], 0);
    system.ok("DELETE", "/clusters/second", None).await?;
    assert!(second.newest(&server).await.err().is_some_and(|e| e.to_string().contains("401")));

    for _ in 0..60 {
        assert_eq!(server.http.get(server.url("/gate/v1/bundle")).send().await?.status(), 401);
    }
    let audit = server.log_in("auditadmin").await?;
    let denials = audit.records("kind=denial&object=gate").await?;
    assert_eq!(denials.len(), 30, "a flood is counted, not written out");
    assert!(denials.iter().all(|d| d["source"] == "127.0.0.1" && d["outcome"] == "denied"), "{denials:?}");
    let everything = serde_json::to_string(&audit.records("").await?)?;
    for secret in [&first.secret, &second.secret, &renewed.secret] {
        assert!(!everything.contains(secret.as_str()), "a secret is in the ledger");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_waiting_gate_is_told_within_a_second() -> anyhow::Result<()> {
    let server = Server::start()?;
    let system = server.log_in("sysadmin").await?;
    let security = server.log_in("secadmin").await?;
    let gate = Gate::of_new_cluster(&system, &server, "prod").await?;
    let have = gate.newest(&server).await?.generation;
    let changes = [
        ("PUT", "/clusters/prod/enforcement", json!({"namespace": "web", "mode": "拦截"})),
        ("PUT", "/clusters/prod/policies/root-user", json!({"mode": "block"})),
        ("PUT", "/clusters/prod/settings", json!({"registries": ["registry.example.com"], "level_setters": ["group:security"]})),
        ("POST", "/clusters/prod/blocked", json!({"user": "mallory", "reason": "token leaked", "minutes": 10})),
        ("POST", "/policies", json!({"yaml": crate::recheck::NO_ALPINE})),
        ("PUT", "/projects/demo/policies/malware", json!({"mode": "alert"})),
        ("PUT", "/projects/demo/level", json!({"level": 3})),
    ];
    let mut generation = have;
    let mut slowest = Duration::ZERO;
    for (method, path, body) in &changes {
        let changed = async {
            tokio::time::sleep(Duration::from_millis(150)).await;
            let begun = Instant::now();
            security.ok(method, path, Some(body)).await.map(|_| begun)
        };
        let wait = || async {
            let bundle = gate.bundle(&server, &generation, 20).await;
            (bundle, Instant::now())
        };
        let (changed, one, two, three) = tokio::join!(changed, wait(), wait(), wait());
        let begun = changed?;
        let mut generations = vec![];
        for (bundle, at) in [one, two, three] {
            let took = at.duration_since(begun);
            assert!(took < Duration::from_secs(1), "{path}: {took:?}");
            slowest = slowest.max(took);
            generations.push(bundle?.ok_or_else(|| anyhow::anyhow!("{path}: nothing new"))?.generation);
        }
        generations.dedup();
        assert_eq!(generations.len(), 1, "{path}");
        assert_ne!(generations.first(), Some(&generation), "{path}");
        generation = generations.remove(0);
    }
    println!("slowest wake-up of three gates: {slowest:?}");
    let bundle = gate.newest(&server).await?;
    assert_eq!(bundle.enforcement.get("web"), Some(&Mode::Block));
    assert_eq!(bundle.modes.get("*").and_then(|m| m.values().next()), Some(&Mode::Block));
    assert!(bundle.registries.contains(&"registry.example.com".to_owned()) && !bundle.own_registries.contains(&"registry.example.com".to_owned()));
    assert_eq!((bundle.blocked.len(), bundle.policies.len(), bundle.level_setters.len()), (1, 1, 1));
    // A change that is none for this cluster wakes nobody.
    system.ok("POST", "/accounts", Some(&json!({"name": "someone"}))).await?;
    assert!(gate.bundle(&server, &generation, 1).await?.is_none());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_expires_leaves_by_itself() -> anyhow::Result<()> {
    let server = Server::start()?;
    let system = server.log_in("sysadmin").await?;
    let security = server.log_in("secadmin").await?;
    let gate = Gate::of_new_cluster(&system, &server, "prod").await?;
    let before = gate.newest(&server).await?;
    let block = json!({"user": "mallory", "reason": "token leaked", "minutes": 1});
    security.ok("POST", "/clusters/prod/blocked", Some(&block)).await?;
    let blocked = gate.newest(&server).await?;
    let until = blocked.blocked.first().map_or(0, |b| b.expires);
    let mut next = None;
    for _ in 0..3 {
        next = gate.bundle(&server, &blocked.generation, 30).await?;
        if next.is_some() {
            break;
        }
    }
    let (next, late) = (next.ok_or_else(|| anyhow::anyhow!("the block never left"))?, now() - until);
    assert!((0..1000).contains(&late), "{late} ms after the expiry");
    assert!(next.blocked.is_empty());
    assert_eq!(next.generation, before.generation, "as before");
    Ok(())
}
