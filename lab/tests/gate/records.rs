//! Records of gates: durable before the answer, each once, whatever dies in between.

use crate::Gate;
use jinwu_lab::{Server, now};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// So many that a server does not get through them before it is killed.
const BATCHES: usize = 600;

fn entry(id: &str, time: i64) -> Value {
    json!({"id": id, "record": {
        "time": time, "kind": "admission", "subject": {"kind": "user", "name": "system:serviceaccount:ci:deployer"},
        "action": "create", "object": format!("pod:web/{id}"), "source": "10.1.2.3", "outcome": "denied",
        "detail": {"policy": "privileged-container", "cluster": "another"},
    }})
}

fn batch(gate: &str, records: &[Value]) -> Value {
    json!({"gate": gate, "records": records, "status": {
        "version": "0.1.0", "generation": "g", "waiting": 3, "reviews": 10, "refused": 1,
    }})
}

async fn send(gate: &Gate, server: &Server, batch: &Value) -> anyhow::Result<(u64, u64)> {
    let answer = gate.ask(server, Method::POST, "/records", Some(batch)).await?;
    anyhow::ensure!(answer.status() == 200, "{} {}", answer.status(), answer.text().await?);
    let taken: Value = answer.json().await?;
    Ok((taken["new"].as_u64().unwrap_or(0), taken["repeated"].as_u64().unwrap_or(0)))
}

/// How often each entry of a kind of record stands in the ledger, by its id.
pub(crate) async fn in_ledger(server: &Server, token: &str, kind: &str) -> anyhow::Result<BTreeMap<String, usize>> {
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
    let gate = Gate::of_new_cluster(&server.log_in("sysadmin").await?, &server, "prod").await?;
    let audit = server.log_in("auditadmin").await?.token;
    let batches: Vec<Value> = (0..BATCHES)
        .map(|b| {
            let records: Vec<Value> = (0..50).map(|r| entry(&format!("0193f3c2-{b:04}-7000-8000-{r:012}/ResponseComplete"), now())).collect();
            batch(&format!("jinwu-gate-{}", b % 2), &records)
        })
        .collect();
    assert_eq!(send(&gate, &server, &batches[0]).await?, (50, 0));
    assert_eq!(send(&gate, &server, &batches[0]).await?, (0, 50), "the same again");
    server.kill();
    server.restart()?;
    assert_eq!(send(&gate, &server, &batches[0]).await?, (0, 50), "known after kill -9, from the ledger");
    let mut answered = 1;
    for round in 0..3 {
        // Killed somewhere in the middle: of what was sent, some was answered, some durable only.
        let (pid, delay) = (server.pid(), Duration::from_millis(25 + 35 * round));
        let killer = std::thread::spawn(move || {
            std::thread::sleep(delay);
            let pid = rustix::process::Pid::from_raw(pid as i32);
            pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::KILL))
        });
        while answered < batches.len() && send(&gate, &server, &batches[answered]).await.is_ok() {
            answered += 1;
        }
        let _ = killer.join();
        assert!(answered < batches.len(), "killed too late to interrupt anything");
        server.restart()?;
        let counts = in_ledger(&server, &audit, "admission").await?;
        for sent in batches.iter().take(answered).flat_map(|b| b["records"].as_array().into_iter().flatten()) {
            let id = sent["id"].as_str().unwrap_or_default();
            assert_eq!(counts.get(id), Some(&1), "round {round}: {id} was answered");
        }
    }
    for (n, batch) in batches.iter().enumerate() {
        let (new, repeated) = send(&gate, &server, batch).await?;
        assert_eq!(new + repeated, 50, "batch {n}");
    }
    let counts = in_ledger(&server, &audit, "admission").await?;
    assert_eq!(counts.len(), BATCHES * 50);
    assert!(counts.values().all(|n| *n == 1), "{:?}", counts.iter().find(|(_, n)| **n != 1));
    println!("answered before the last kill: {answered} of {}", batches.len());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bad_record_stops_no_other() -> anyhow::Result<()> {
    let server = Server::start()?;
    let system = server.log_in("sysadmin").await?;
    let gate = Gate::of_new_cluster(&system, &server, "prod").await?;
    let audit = server.log_in("auditadmin").await?;
    let secret = format!("DB_PASSWORD=Xk9{}vQ2z", "#mTq7");
    let mut masked = entry("masked", now());
    masked["record"]["detail"]["command"] = json!(["sh", "-c", secret]);
    let mut future = entry("future", now() + 3600 * 1000);
    future["record"]["object"] = json!("o".repeat(5000));
    let mut forged = entry("forged", now());
    forged["record"]["kind"] = json!("login");
    let records = [entry("good", now() - 1000), json!({"id": "broken", "record": {"time": "yesterday"}}), json!(7), masked, future, forged, entry("good", now())];
    assert_eq!(send(&gate, &server, &batch("jinwu-gate-0", &records)).await?, (6, 1), "an id twice in one batch counts once");
    let taken = audit.records("kind=admission").await?;
    assert_eq!(taken.len(), 3, "{taken:?}");
    assert!(taken.iter().all(|r| r["detail"]["cluster"] == "prod" && r["detail"]["reporter"] == "jinwu-gate-0" && r["source"] == "10.1.2.3"), "{taken:?}");
    assert!(!serde_json::to_string(&taken)?.contains("mTq7"), "a secret is in the ledger");
    let by_id = |id: &str| taken.iter().find(|r| r["detail"]["entry"] == id).cloned().unwrap_or_default();
    assert!((by_id("future")["time"].as_i64().unwrap_or(0) - now()).abs() < 60_000, "a time to come is replaced by ours");
    assert!(by_id("future")["detail"]["claimed_time"].as_i64().unwrap_or(0) > now() + 1000 * 1000);
    assert_eq!(by_id("future")["object"].as_str().map(str::len), Some(1024));
    let unreadable = audit.records("kind=system&object=gate:jinwu-gate-0").await?;
    let reasons: Vec<_> = unreadable.iter().filter_map(|r| r["detail"]["reason"].as_str()).collect();
    assert_eq!(reasons.len(), 3, "{unreadable:?}");
    assert!(reasons.iter().any(|r| r.contains("login")), "{reasons:?}");
    assert!(audit.records("kind=login&subject=deployer").await?.is_empty(), "a gate writes no logins");

    let cluster = system.ok("GET", "/clusters/prod", None).await?;
    assert_eq!(cluster["gates"]["jinwu-gate-0"]["status"]["waiting"], 3, "{cluster}");
    let many: Vec<Value> = (0..2001).map(|n| entry(&n.to_string(), now())).collect();
    for (bad, status) in [
        (json!({"gate": "g", "records": 1}), 400),
        (json!({"gate": "Not A Pod", "records": []}), 400),
        (batch("g", &many), 400),
        (json!({"gate": "g", "records": ["x".repeat(17 << 20)]}), 413),
    ] {
        let answer = gate.ask(&server, Method::POST, "/records", Some(&bad)).await?;
        assert_eq!(answer.status(), status);
        let body: Value = answer.json().await?;
        assert!(body["error"]["message"].as_str().is_some_and(|m| m.len() > 20), "{body}");
    }
    let full: Vec<Value> = (0..2000).map(|n| entry(&format!("full-{n}"), now())).collect();
    let begun = Instant::now();
    assert_eq!(send(&gate, &server, &batch("g", &full)).await?, (2000, 0));
    println!("a full batch of 2000 records, durable and masked: {:?}", begun.elapsed());
    Ok(())
}
