//! What containers use: by API, in Prometheus' format and on the terminal.

use crate::{Node, status};
use jinwu_lab::Server;
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;

fn told(id: &str, cpu: u64, memory: u64) -> Value {
    json!({
        "id": id, "name": "web", "image": "r/web:1", "namespace": "shop", "pod": "web-0", "started": 1_700_000_000_000_i64, "digest": null,
        "use": {"cpu": cpu, "cpu_limit": 1.5, "memory": memory, "memory_limit": 1 << 30, "oom_kills": 1, "throttled": 4, "pids": 3, "pids_limit": 100,
                "received_bytes": 1000, "sent_bytes": 2000, "host_network": false},
        "processes": [{"pid": 7, "name": "web", "command": format!("web --listen 80 DB_PASSWORD=Xk9{}vQ2z", "#mTq7"), "uid": 0}],
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers_are_measured_and_shown() -> anyhow::Result<()> {
    let server = Server::start()?;
    let security = server.log_in("secadmin").await?;
    let system = server.log_in("sysadmin").await?;
    let node = Node::enrol(&server, &security, "n1").await?;
    let (idle, busy) = ("a0".repeat(32), "b0".repeat(32));
    let mut stat = status();
    for (cpu, memory) in [(0, 100 << 20), (8_000_000_000, 200 << 20)] {
        stat["containers"] = json!([told(&idle, 5, 300 << 20), told(&busy, cpu, memory)]);
        node.send(&server, &[], stat.clone()).await?;
        // The next is of another step of ten seconds.
        tokio::time::sleep(Duration::from_millis(10_100)).await;
    }
    let containers = system.ok("GET", "/nodes/n1/containers", None).await?["containers"].clone();
    let of = |id: &str| containers.as_array().into_iter().flatten().find(|c| c["id"] == id).cloned().unwrap_or_default();
    let busiest = of(&busy);
    assert_eq!((&busiest["use"]["memory"], &busiest["use"]["cpu_limit"], &busiest["pod"]), (&json!(200 << 20), &json!(1.5), &json!("web-0")), "{containers}");
    let cpu = busiest["rates"]["cpu"].as_f64().unwrap_or(-1.0);
    assert!((0.5..0.85).contains(&cpu), "eight seconds of a processor in a little more than ten: {cpu}");
    assert_eq!(of(&idle)["rates"]["cpu"], 0.0);
    assert!(busiest["processes"][0]["command"].as_str().is_some_and(|c| c.starts_with("web --listen 80") && !c.contains("mTq7")), "{busiest}");
    let history = system.ok("GET", &format!("/nodes/n1/containers/{}/history", &busy[..12]), None).await?;
    let memory: Vec<_> = history["history"].as_array().into_iter().flatten().map(|p| p["memory"].clone()).collect();
    assert_eq!(memory, [json!(100 << 20), json!(200 << 20)], "{history}");
    assert_eq!(system.call("GET", "/nodes/n1/containers/ffffffffffff/history", None).await?.status, StatusCode::NOT_FOUND);
    assert_eq!(system.call("GET", "/nodes/nobody/containers", None).await?.status, StatusCode::NOT_FOUND);

    // Prometheus' format, for who may see it.
    let metrics = server.http.get(server.url("/api/v1/metrics")).bearer_auth(&system.token).send().await?;
    assert!(metrics.headers()["content-type"].to_str()?.starts_with("text/plain; version=0.0.4"));
    let text = metrics.text().await?;
    let labels = format!(r#"{{node="n1",namespace="shop",pod="web-0",name="web",image="r/web:1",id="{busy}"}}"#);
    for line in [
        r#"jinwu_node_up{node="n1"} 1"#.to_owned(),
        format!("jinwu_container_cpu_seconds_total{labels} 8"),
        format!("jinwu_container_memory_bytes{labels} {}", 200 << 20),
        format!("jinwu_container_oom_kills_total{labels} 1"),
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap_or_default();
        assert!(name.ends_with('}') && value.parse::<f64>().is_ok(), "{line}");
    }
    assert_eq!(server.http.get(server.url("/api/v1/metrics")).send().await?.status(), StatusCode::UNAUTHORIZED);

    // On the terminal: the busiest first, the biggest first.
    let printed = |arguments: &[&str]| anyhow::Ok(String::from_utf8_lossy(&server.jinwu(arguments)?.stdout).into_owned());
    let by_cpu = printed(&["--lang", "en", "top", "--once"])?;
    let lines: Vec<&str> = by_cpu.lines().collect();
    assert!(lines.len() == 3 && lines[1].contains(&busy[..12]) && lines[1].contains("200M/1.0G") && lines[2].contains(&idle[..12]), "{by_cpu}");
    let by_memory: Value = serde_json::from_str(&printed(&["--json", "top", "--sort", "memory"])?)?;
    assert_eq!((&by_memory[0]["id"], &by_memory[1]["id"]), (&json!(idle), &json!(busy)));
    let nodes = printed(&["--lang", "en", "node", "list"])?;
    assert!(nodes.contains("n1") && nodes.contains("lsm"), "{nodes}");
    // Gone with the node.
    security.ok("DELETE", "/nodes/n1", None).await?;
    assert_eq!(system.ok("GET", "/containers", None).await?["containers"], json!([]));
    Ok(())
}
