//! Records of nodes: durable before the answer, each once, only of the node's own, and what its silence and losses mean.

use crate::{Node, client, entry, status};
use jinwu_lab::{Server, now};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// So many that a server does not get through them before it is killed.
const BATCHES: usize = 600;

/// How often each entry of a kind of record stands in the ledger, by its id.
async fn in_ledger(server: &Server, token: &str, kind: &str) -> anyhow::Result<BTreeMap<String, usize>> {
    let mut counts = BTreeMap::new();
    let mut before = String::new();
    loop {
        let answer = server.call("GET", &format!("/ledger?kind={kind}&limit=10000{before}"), Some(token), None).await?;
        let records = answer.body["records"].as_array().cloned().unwrap_or_default();
        for record in &records {
            *counts.entry(record["detail"]["entry"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        }
        match records.last() {
            Some(last) if records.len() == 10_000 => before = format!("&before={}", last["seq"]),
            _ => return Ok(counts),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn durable_and_once_across_kill_9() -> anyhow::Result<()> {
    let mut server = Server::start()?;
    let audit = server.log_in("auditadmin").await?.token;
    let mut node = Node::enrol(&server, &server.log_in("secadmin").await?, "n1").await?;
    let batches: Vec<Vec<Value>> =
        (0..BATCHES).map(|b| (0..50).map(|r| entry("n1", &format!("n1-{b:x}-{r:x}"), "process", "exec", json!({}))).collect()).collect();
    assert_eq!(node.send(&server, &batches[0], status()).await?, (50, 0));
    assert_eq!(node.send(&server, &batches[0], status()).await?, (0, 50), "the same again");
    server.kill();
    server.restart()?;
    node.http = client(&server, &node.key, &node.enrolled.certificate)?;
    assert_eq!(node.send(&server, &batches[0], status()).await?, (0, 50), "known after kill -9, from the ledger");
    let mut answered = 1;
    for round in 0..3 {
        // Killed somewhere in the middle: of what was sent, some was answered, some durable only.
        let (pid, delay) = (server.pid(), Duration::from_millis(25 + 35 * round));
        let killer = std::thread::spawn(move || {
            std::thread::sleep(delay);
            let pid = rustix::process::Pid::from_raw(pid as i32);
            pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::KILL))
        });
        while answered < batches.len() && node.send(&server, &batches[answered], status()).await.is_ok() {
            answered += 1;
        }
        let _ = killer.join();
        assert!(answered < batches.len(), "killed too late to interrupt anything");
        server.restart()?;
        node.http = client(&server, &node.key, &node.enrolled.certificate)?;
        let counts = in_ledger(&server, &audit, "process").await?;
        for sent in batches.iter().take(answered).flatten() {
            let id = sent["id"].as_str().unwrap_or_default();
            assert_eq!(counts.get(id), Some(&1), "round {round}: {id} was answered");
        }
        // As a sensor does: what was not answered comes again first.
        let (new, repeated) = node.send(&server, &batches[answered], status()).await?;
        assert_eq!(new + repeated, 50);
        answered += 1;
    }
    for batch in batches.iter().skip(answered) {
        assert_eq!(node.send(&server, batch, status()).await?, (50, 0));
    }
    let counts = in_ledger(&server, &audit, "process").await?;
    assert_eq!(counts.len(), BATCHES * 50);
    assert!(counts.values().all(|n| *n == 1), "{:?}", counts.iter().find(|(_, n)| **n != 1));
    println!("answered before the last kill: {answered} of {}", batches.len());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_writes_for_itself_alone() -> anyhow::Result<()> {
    let server = Server::start()?;
    let security = server.log_in("secadmin").await?;
    let audit = server.log_in("auditadmin").await?;
    let (n1, n2) = (Node::enrol(&server, &security, "n1").await?, Node::enrol(&server, &security, "n2").await?);
    let others = "d1".repeat(32);
    let mut with_container = status();
    with_container["containers"] = json!([{"id": others, "name": "db", "use": {}}]);
    n2.send(&server, &[], with_container).await?;
    let foreign_container = json!({"container": {"id": "c0".repeat(32), "node": "n2"}});
    let records = [
        entry("n1", "own", "process", "exec", json!({"cluster": "prod", "reporter": "gate-0", "entry": "forged"})),
        entry("n2", "other-node", "process", "exec", json!({})),
        entry("n1", "other-container", "file", "write", foreign_container),
        entry("n1", "others-container", "network", "connect", json!({"container": {"id": others, "node": "n1"}})),
        entry("n1", "forged-login", "login", "login", json!({})),
        json!({"id": "nodeless", "record": {"time": now(), "kind": "file", "subject": {"kind": "system", "name": "x"}, "action": "write", "object": "o", "outcome": "success"}}),
        json!({"id": "itself", "record": {"time": now(), "kind": "node", "subject": {"kind": "system", "name": "agent"}, "action": "start", "object": "n1", "outcome": "success"}}),
        json!(7),
        json!({"id": "broken", "record": {"time": "yesterday"}}),
    ];
    assert_eq!(n1.send(&server, &records, status()).await?, (9, 0));
    assert_eq!(n1.send(&server, &records, status()).await?, (0, 9), "replayed");
    let own = audit.records("kind=process").await?;
    assert_eq!(own.len(), 1, "{own:?}");
    assert_eq!((&own[0]["detail"]["reporter"], &own[0]["detail"]["entry"], &own[0]["detail"]["cluster"]), (&json!("node:n1"), &json!("own"), &Value::Null));
    for kind in ["file", "network", "login&subject=0@shop"] {
        assert!(audit.records(&format!("kind={kind}")).await?.is_empty(), "{kind}");
    }
    assert_eq!(audit.records("kind=node&object=n1").await?.iter().filter(|r| r["action"] == "start").count(), 1);
    let instead = audit.records("kind=system&object=node:n1").await?;
    let of = |action: &str| instead.iter().filter(|r| r["action"] == action).map(|r| r["detail"]["entry"].as_str().unwrap_or_default()).collect::<Vec<_>>();
    let mut foreign = of("foreign-record");
    foreign.sort_unstable();
    assert_eq!(foreign, ["nodeless", "other-container", "other-node", "others-container"]);
    assert_eq!(of("unreadable-record").len(), 3, "{instead:?}");
    assert!(instead.iter().all(|r| r["detail"]["reason"].as_str().is_some_and(|t| t.len() > 10) && r["detail"]["text"].is_string()));
    let many: Vec<Value> = (0..2001).map(Value::from).collect();
    for (bad, code) in [(json!({"records": 1}), 400), (json!({"records": many}), 400), (json!({"records": ["x".repeat(17 << 20)]}), 413)] {
        assert_eq!(n1.ask(&server, Method::POST, "/records", Some(&bad)).await?.status(), code);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_losses_and_a_lower_rung_are_alarms() -> anyhow::Result<()> {
    let server = Server::start()?;
    let security = server.log_in("secadmin").await?;
    let audit = server.log_in("auditadmin").await?;
    let node = Node::enrol(&server, &security, "n1").await?;
    let _never_heard = Node::enrol(&server, &security, "n2").await?;
    let told = |lost: u64, rung: &str| json!({"version": "1", "lost": lost, "capabilities": {"rung": rung}});
    for (lost, rung) in [(0, "lsm"), (3, "lsm"), (3, "lsm"), (3, "tracepoint")] {
        node.send(&server, &[], told(lost, rung)).await?;
    }
    let last = Instant::now();
    let actions = async || anyhow::Ok(audit.records("kind=alarm").await?.iter().map(|r| format!("{} {}", r["action"], r["object"])).collect::<Vec<_>>());
    assert_eq!(actions().await?, [r#""node-lowered" "node:n1""#, r#""node-losses" "node:n1""#]);
    assert_eq!(security.ok("GET", "/nodes/n1", None).await?["heard"], true);
    let mut found = actions().await?;
    while found.len() == 2 && last.elapsed() < Duration::from_secs(90) {
        tokio::time::sleep(Duration::from_secs(1)).await;
        found = actions().await?;
    }
    assert_eq!(found.first().map(String::as_str), Some(r#""node-silent" "node:n1""#), "{found:?}");
    assert!((55..80).contains(&last.elapsed().as_secs()), "{:?}", last.elapsed());
    assert_eq!(security.ok("GET", "/nodes/n1", None).await?["heard"], false);
    node.send(&server, &[], told(3, "tracepoint")).await?;
    let back = audit.records("kind=node&object=node:n1").await?;
    assert_eq!(back.iter().filter(|r| r["action"] == "node-heard").count(), 1, "{back:?}");
    assert_eq!(actions().await?.len(), 3, "and nothing of a node that never reported");
    Ok(())
}
