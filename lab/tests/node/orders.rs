//! Settings and orders on their way to a node.

use crate::{Node, entry, status};
use anyhow::Context as _;
use jinwu_lab::{Server, now};
use jinwu_model::Mode;
use jinwu_node::response::{OrderError, Orders, Response};
use jinwu_trust::VerifyingKey;
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// One of the shipped rules.
const RULE: &str = "Terminal shell in container";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_reach_waiting_nodes_at_once_and_are_recorded() -> anyhow::Result<()> {
    let server = Server::start()?;
    let security = server.log_in("secadmin").await?;
    let audit = server.log_in("auditadmin").await?;
    let (n1, n2) = (Node::enrol(&server, &security, "n1").await?, Node::enrol(&server, &security, "n2").await?);
    let first = n1.instructions(&server, "", 0).await?.context("it has none")?;
    assert_eq!((first.settings.drift, first.orders.len()), (Mode::Alert, 0));
    assert!(n1.instructions(&server, &first.generation, 1).await?.is_none(), "nothing new");
    let begun = Instant::now();
    let (newer, set) = tokio::join!(n1.instructions(&server, &first.generation, 20), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        security.ok("PUT", "/node-settings/*", Some(&json!({"drift": "拦截", "modes": {RULE: "block", "tag:network": "告警"}}))).await
    });
    set?;
    let newer = newer?.context("not told")?;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!((newer.settings.drift, newer.settings.modes[RULE], newer.settings.modes["tag:network"]), (Mode::Block, Mode::Block, Mode::Alert));
    security.ok("PUT", &format!("/node-settings/n1/modes/{}", RULE.replace(' ', "%20")), Some(&json!({"mode": "放行"}))).await?;
    security.ok("PUT", "/node-settings/n1/modes/drift", Some(&json!({"mode": "alert"}))).await?;
    let of = async |node: &Node| anyhow::Ok(node.instructions(&server, "", 0).await?.map(|i| (i.settings.drift, i.settings.modes[RULE])));
    assert_eq!(of(&n1).await?, Some((Mode::Alert, Mode::Allow)));
    assert_eq!(of(&n2).await?, Some((Mode::Block, Mode::Block)));
    security.ok("PUT", "/node-settings/n1/modes/drift", Some(&json!({"mode": null}))).await?;
    assert_eq!(of(&n1).await?, Some((Mode::Block, Mode::Allow)), "back to what holds for all");
    let shown = audit.ok("GET", "/node-settings/n1", None).await?;
    assert_eq!((&shown["set"]["modes"][RULE], &shown["effective"]["drift"]), (&json!("allow"), &json!("block")));
    let records = audit.records("kind=policy&outcome=success").await?;
    let change = records.iter().find(|r| r["action"] == "node-settings").cloned().unwrap_or_default();
    assert_eq!((&change["detail"]["before"], &change["detail"]["after"]["drift"]), (&json!({}), &json!("拦截")), "{change}");
    let switched = records.iter().filter(|r| r["action"] == "node-mode").map(|r| (r["detail"]["before"].clone(), r["detail"]["after"].clone())).collect::<Vec<_>>();
    assert_eq!(switched, [(json!("alert"), json!("default")), (Value::Null, json!("alert")), (Value::Null, json!("allow"))]);
    for bad in [json!({"drifted": "block"}), json!({"drift": "maybe"}), json!({"isolated_may_reach": ["everything"]}), json!([1]), json!({"scopes": [{"most": "x"}]}), json!({"modes": {"No such rule": "block"}}), json!({"files": {"mine.yaml": "- rule: Mine\n  condition: evt.type = nonsense and (\n"}})] {
        let answer = security.call("PUT", "/node-settings/*", Some(&bad)).await?;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad}: {answer:?}");
    }
    assert_eq!(security.call("PUT", "/node-settings/nobody", Some(&json!({}))).await?.status, StatusCode::NOT_FOUND);
    assert_eq!(security.call("PUT", "/node-settings/*/modes/tag:nothing-has-this", Some(&json!({"mode": "block"}))).await?.status, StatusCode::BAD_REQUEST);
    assert_eq!(of(&n1).await?, Some((Mode::Block, Mode::Allow)), "what did not fit changed nothing");
    let mine = "- rule: Mine\n  desc: d\n  condition: evt.type = execve and proc.name = nc\n  output: o\n  priority: WARNING\n";
    security.ok("PUT", "/node-settings/n1", Some(&json!({"files": {"mine.yaml": mine}, "modes": {"Mine": "block"}}))).await?;
    assert_eq!(n1.instructions(&server, "", 0).await?.map(|i| i.settings.modes["Mine"]), Some(Mode::Block), "a rule of the user's own");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_signed_and_stands_until_it_is_answered() -> anyhow::Result<()> {
    let mut server = Server::start()?;
    let whole = "ab".repeat(32);
    let (mut n1, n2, id) = {
        let security = server.log_in("secadmin").await?;
        let (n1, n2) = (Node::enrol(&server, &security, "n1").await?, Node::enrol(&server, &security, "n2").await?);
        let mut told = status();
        told["containers"] = json!([{"id": whole, "name": "web", "use": {}}]);
        n1.send(&server, &[], told).await?;
        let path = |id: &str| format!("/nodes/n1/containers/{id}/responses");
        for (id, bad, code) in [
            ("abababababab", json!({"response": "explode", "reason": "r"}), 400),
            ("abababababab", json!({"response": "pause", "reason": " "}), 400),
            ("abababababab", json!({"response": "kill", "reason": "r"}), 400),
            ("abababababab", json!({"response": "pause", "reason": "r", "pid": 7}), 400),
            ("abababababab", json!({"response": "pause", "reason": "r", "minutes": 16}), 400),
            ("abababababab", json!({"response": "pause"}), 400),
            ("ffffffffffff", json!({"response": "pause", "reason": "r"}), 404),
        ] {
            let answer = security.call("POST", &path(id), Some(&bad)).await?;
            assert_eq!(answer.status, code, "{bad}: {answer:?}");
        }
        let generation = n1.instructions(&server, "", 0).await?.map(|i| i.generation).unwrap_or_default();
        let ordering = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            security.ok("POST", &path("abababababab"), Some(&json!({"response": "isolate", "reason": "reverse shell", "decision": "n1-1-1"}))).await
        };
        let (told, ordered) = tokio::join!(n1.instructions(&server, &generation, 20), ordering);
        let (told, ordered) = (told?.context("not told")?, ordered?);
        assert_eq!((&ordered["state"], &ordered["reverse"], &ordered["command"]["container"]), (&json!("open"), &json!("release"), &json!(whole)));
        assert_eq!(told.orders.len(), 1);
        assert!(n2.instructions(&server, "", 0).await?.is_some_and(|i| i.orders.is_empty()), "another node is told nothing");
        (n1, n2, ordered["command"]["id"].as_str().unwrap_or_default().to_owned())
    };
    // It survives a kill, and is what a sensor accepts, once and on its node alone.
    server.kill();
    server.restart()?;
    n1.http = crate::client(&server, &n1.key, &n1.enrolled.certificate)?;
    let security = server.log_in("secadmin").await?;
    let audit = server.log_in("auditadmin").await?;
    let told = n1.instructions(&server, "", 0).await?.context("not told")?;
    let key = VerifyingKey::from_pem(&n1.enrolled.key).ok_or_else(|| anyhow::anyhow!("no key"))?;
    let mut orders = Orders::default();
    assert!(matches!(orders.take(&told.orders[0], &key, "n2", now()), Err(OrderError::Elsewhere(_))));
    let command = orders.take(&told.orders[0], &key, "n1", now())?;
    assert_eq!((command.response, command.reason.as_str(), command.by.as_str(), command.decision.as_str()), (Response::Isolate, "reverse shell", "secadmin", "n1-1-1"));
    assert!(command.expires - command.issued <= 15 * 60_000 && command.container == whole);
    assert!(matches!(orders.take(&told.orders[0], &key, "n1", now()), Err(OrderError::Repeated(_))));
    let requested = audit.records("kind=response&decision=n1-1-1").await?;
    assert_eq!(requested.iter().map(|r| r["outcome"].clone()).collect::<Vec<_>>(), ["success", "requested"], "{requested:?}");
    // Another node's answer is none; this one's is, and ends it.
    let answer = |node: &str| {
        let mut answer = entry(node, &format!("{id}/response"), "response", "isolate", json!({"reason": "reverse shell", "said": "3 links"}));
        answer["record"]["subject"] = json!({"kind": "user", "name": "secadmin"});
        answer["record"]["decision"] = json!("n1-1-1");
        answer
    };
    let n2 = Node { http: crate::client(&server, &n2.key, &n2.enrolled.certificate)?, ..n2 };
    n2.send(&server, &[answer("n2")], status()).await?;
    let state = async || anyhow::Ok(security.ok("GET", "/nodes/n1/responses", None).await?["responses"][0].clone());
    assert_eq!(state().await?["state"], "open");
    n1.send(&server, &[answer("n1")], status()).await?;
    let done = state().await?;
    assert_eq!((&done["state"], &done["answer"]["said"]), (&json!("done"), &json!("3 links")), "{done}");
    assert!(n1.instructions(&server, "", 0).await?.is_some_and(|i| i.orders.is_empty()), "no order is left");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_nobody_answers_expires() -> anyhow::Result<()> {
    let server = Server::start()?;
    let security = server.log_in("secadmin").await?;
    let n1 = Node::enrol(&server, &security, "n1").await?;
    let path = format!("/nodes/n1/containers/{}/responses", "cd".repeat(32));
    security.ok("POST", &path, Some(&json!({"response": "stop", "reason": "miner", "minutes": 1}))).await?;
    let told = n1.instructions(&server, "", 0).await?.context("not told")?;
    assert_eq!(told.orders.len(), 1);
    let begun = Instant::now();
    let mut after = None;
    while after.is_none() && begun.elapsed() < Duration::from_secs(75) {
        after = n1.instructions(&server, &told.generation, 30).await?;
    }
    assert!(after.is_some_and(|i| i.orders.is_empty()), "it is gone by itself");
    assert!((50..70).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    assert_eq!(security.ok("GET", "/nodes/n1/responses", None).await?["responses"][0]["state"], "expired");
    Ok(())
}
