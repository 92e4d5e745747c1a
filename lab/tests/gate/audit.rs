//! Audit events by webhook and by file, with a real gate before a real server: each change once in the
//! ledger, whatever is killed on the way.

use crate::records::in_ledger;
use crate::process::Process;
use anyhow::Context as _;
use jinwu_lab::Server;
use serde_json::{Value, json};
use std::io::Write as _;
use std::time::{Duration, Instant};

/// A creation as the API server tells of it.
fn event(n: usize) -> Value {
    let at = "2026-01-01T00:00:00.000000Z";
    json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": format!("0193f3c2-0000-7000-8000-{n:012}"), "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/web/configmaps", "verb": "create", "user": {"username": "ann", "groups": ["system:authenticated"]},
        "sourceIPs": ["192.0.2.7"], "objectRef": {"resource": "configmaps", "namespace": "web", "name": format!("c{n}"), "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 201}, "requestReceivedTimestamp": at, "stageTimestamp": at,
    })
}

fn list(events: impl Iterator<Item = Value>) -> String {
    json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": events.collect::<Vec<_>>()}).to_string()
}

/// Waits until the ledger has this many different events of this test, and wants each once.
async fn each_once(server: &Server, token: &str, events: usize) -> anyhow::Result<()> {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let mut counts = in_ledger(server, token, "cluster").await?;
        counts.retain(|id, _| id.contains("0193f3c2-0000-7000-8000-"));
        if counts.len() >= events {
            anyhow::ensure!(counts.len() == events, "{} events instead of {events}", counts.len());
            let twice: Vec<_> = counts.iter().filter(|(_, n)| **n != 1).collect();
            anyhow::ensure!(twice.is_empty(), "twice: {twice:?}");
            return Ok(());
        }
        anyhow::ensure!(Instant::now() < until, "{} of {events} events are in the ledger", counts.len());
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_webhook_across_kill_9_of_gate_and_server() -> anyhow::Result<()> {
    const BATCHES: usize = 60;
    const EACH: usize = 100;
    let mut server = Server::start()?;
    let token = server.log_in("auditadmin").await?.token;
    let mut gate = Process::start(&server, "gate", None)?;
    let (client, url) = (gate.client(true)?, gate.url("/audit"));
    let done = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let sender = {
        let done = done.clone();
        tokio::spawn(async move {
            for batch in 0..BATCHES {
                let body = list((batch * EACH..(batch + 1) * EACH).map(event));
                // As the API server: until it is taken.
                while !client.post(&url).body(body.clone()).send().await.is_ok_and(|a| a.status().is_success()) {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                done.store(batch + 1, std::sync::atomic::Ordering::Relaxed);
            }
        })
    };
    for (n, (kill_gate, kill_server)) in [(true, false), (false, true), (true, true)].into_iter().enumerate() {
        while done.load(std::sync::atomic::Ordering::Relaxed) < (n + 1) * BATCHES / 4 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        if kill_gate {
            gate.kill();
        }
        if kill_server {
            server.restart()?;
        }
        // Its way is read anew within seconds; at once if it begins anew.
        std::fs::write(gate.folder.join("way").join("url"), server.url(""))?;
        if kill_gate {
            gate.restart(&server)?;
        }
    }
    tokio::time::timeout(Duration::from_secs(60), sender).await.context("not every batch was taken")??;
    each_once(&server, &token, BATCHES * EACH).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_across_rotation_kill_9_and_a_line_in_two_halves() -> anyhow::Result<()> {
    let server = Server::start()?;
    let token = server.log_in("auditadmin").await?.token;
    let folder = server.folder().join("audit");
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("audit.jsonl");
    let append = |text: &str| -> anyhow::Result<()> { Ok(std::fs::OpenOptions::new().create(true).append(true).open(&file)?.write_all(text.as_bytes())?) };
    let lines = |from: usize, to: usize| (from..to).map(|n| format!("{}\n", event(n))).collect::<String>();
    append(&lines(0, 500))?;
    let mut gate = Process::start(&server, "tail", Some(&file))?;
    each_once(&server, &token, 500).await?;
    for round in 1..=4 {
        let first = round * 500;
        append(&lines(first, first + 200))?;
        if round % 2 == 0 {
            gate.kill();
        }
        // Half a line, the file renamed under the writer, the other half, and a new file.
        let whole = lines(first + 200, first + 201);
        let (half, rest) = whole.split_at(whole.len() / 2);
        append(half)?;
        let renamed = folder.join(format!("audit-{round}.jsonl"));
        std::fs::rename(&file, &renamed)?;
        std::fs::OpenOptions::new().append(true).open(&renamed)?.write_all(rest.as_bytes())?;
        append(&lines(first + 201, first + 500))?;
        if round % 2 == 0 {
            gate.restart(&server)?;
        }
        each_once(&server, &token, first + 500).await?;
    }
    // A file that cannot be read as events is said, and what follows is read on.
    append("not JSON\n\0\0\n{\"kind\":\"Event\"}\n")?;
    append(&lines(2500, 2510))?;
    each_once(&server, &token, 2510).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_audit_event_is_refused_and_harms_nobody() -> anyhow::Result<()> {
    let server = Server::start()?;
    let token = server.log_in("auditadmin").await?.token;
    let mut gate = Process::start(&server, "gate", None)?;
    let (known, unknown, url) = (gate.client(true)?, gate.client(false)?, gate.url("/audit"));
    let until = Instant::now() + Duration::from_secs(30);
    while known.post(&url).body(list(std::iter::once(event(0)))).send().await.map_or(0, |a| a.status().as_u16()) != 200 {
        anyhow::ensure!(Instant::now() < until, "the gate does not answer");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let answer = unknown.post(&url).body(list(std::iter::once(event(1)))).send().await?;
    assert_eq!(answer.status(), 401, "whoever has no certificate says nothing");
    assert!(answer.text().await?.contains("certificate"));
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    for (body, what) in [
        (String::new(), "nothing"),
        ("{".to_owned(), "half"),
        (deep, "nested"),
        ("x".repeat(40 << 20), "huge"),
        (json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v2", "items": []}).to_string(), "another version"),
        (json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": {}}).to_string(), "no list"),
    ] {
        // A body too long may be cut off while it is sent.
        if let Ok(answer) = known.post(&url).body(body).send().await {
            assert!(answer.status().is_client_error(), "{what}: {}", answer.status());
            assert!(!answer.text().await?.is_empty(), "{what}: says why");
        }
        assert!(gate.is_alive(), "{what}: the gate has ended");
    }
    // One that is broken among good ones stops no other, and is told of.
    let mut mixed: Vec<Value> = (1..10).map(event).collect();
    mixed.insert(3, json!({"auditID": 7, "user": "x", "stage": []}));
    assert_eq!(known.post(&url).body(list(mixed.into_iter())).send().await?.status(), 200);
    each_once(&server, &token, 10).await?;
    let alarms = server.call("GET", "/ledger?kind=alarm&object=audit:event", Some(&token), None).await?;
    assert_eq!(alarms.body["records"].as_array().map_or(0, Vec::len), 1, "{}", alarms.body);
    Ok(())
}
