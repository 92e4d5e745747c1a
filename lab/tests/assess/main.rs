//! `assess` and `demo` as an operator runs them, against the product as delivered.

use jinwu_lab::{Server, program};
use serde_json::Value;

const SERVED: [&str; 8] = ["IA-2", "AC-2", "AU-1", "AU-2", "IP-3", "IP-4", "MC-1", "IM-2"];

fn assess(server: &Server, arguments: &[&str]) -> anyhow::Result<Value> {
    let output = server.jinwu(&[&["assess", "--format", "json"], arguments].concat())?;
    anyhow::ensure!(output.status.success(), "{}", program::said(&output));
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn verdict<'a>(assessment: &'a Value, clause: &str) -> &'a str {
    assessment["clauses"].as_array().into_iter().flatten().find(|c| c["id"] == clause).and_then(|c| c["verdict"].as_str()).unwrap_or("missing")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_served_clauses_hold_the_rest_is_open_and_nothing_is_left_behind() -> anyhow::Result<()> {
    let server = Server::start()?;
    let assessment = assess(&server, &["--level", "4"])?;
    let clauses = assessment["clauses"].as_array().cloned().unwrap_or_default();
    assert_eq!(clauses.len(), 33);
    for clause in &clauses {
        let id = clause["id"].as_str().unwrap_or_default();
        let expected = if SERVED.contains(&id) { "符合" } else { "待确认" };
        assert_eq!(clause["verdict"], expected, "{id}: {clause}");
        for step in clause["steps"].as_array().into_iter().flatten() {
            for evidence in step["evidence"].as_array().into_iter().flatten() {
                assert!(evidence["sha256"].as_str().is_some_and(|h| h.len() == 64) && evidence["sm3"].as_str().is_some_and(|h| h.len() == 64), "{id}: {evidence}");
            }
        }
    }
    let text = assessment.to_string();
    for secret in server.initial.accounts.iter().map(|a| a.password.as_str()).chain([server.robot().1]) {
        assert!(!text.contains(secret), "a credential stands in the evidence");
    }
    let sys = server.log_in("sysadmin").await?;
    let projects = sys.ok("GET", "/projects", None).await?;
    let names: Vec<&str> = projects["projects"].as_array().into_iter().flatten().filter_map(|p| p["name"].as_str()).collect();
    assert_eq!(names, ["demo", "open"], "the drills' project is gone");
    let robots = sys.ok("GET", "/robots", None).await?;
    let live: Vec<&Value> = robots["robots"].as_array().into_iter().flatten().filter(|r| r["name"] != "demo-robot" && r["disabled"] == false).collect();
    assert!(live.is_empty(), "{live:?}");
    Ok(())
}

/// What could not be tried is not proved.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_holds_where_nothing_could_be_tried() -> anyhow::Result<()> {
    let server = Server::start_with(jinwu_lab::Options {
        environment: vec![("JINWU_SCAN_FAILPOINT".into(), "abort".into())],
        ..Default::default()
    })?;
    // Without a scanner nothing can be found: refused as unscannable, which is not what the clauses ask.
    let blind = assess(&server, &["--level", "4"])?;
    for clause in SERVED {
        assert_ne!(verdict(&blind, clause), "符合", "{clause} was not proved: not even a good image could be pushed");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_record_and_the_evidence_can_be_checked_by_hand() -> anyhow::Result<()> {
    let server = Server::start()?;
    let out = server.folder().join("evidence");
    let output = server.jinwu(&["assess", "--level", "3", "--inspections-only", "--format", "markdown", "--output", &out.display().to_string()])?;
    let text = program::said(&output);
    assert!(output.status.success(), "{text}");
    for part in ["IA-2", "预期", "实际", "判定"] {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
    program::run(std::process::Command::new(program::installed("sha256sum")?).current_dir(&out).args(["--check", "--quiet", "SHA256SUMS"]))?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_comes_out_right_and_fails_when_a_policy_is_off() -> anyhow::Result<()> {
    let server = Server::start()?;
    program::installed("skopeo")?;
    let right = server.jinwu(&["demo"])?;
    assert!(right.status.success(), "{}", program::said(&right));
    let switched = server.jinwu(&["policy", "set", "demo", "malware", "放行"])?;
    assert!(switched.status.success(), "{}", program::said(&switched));
    let wrong = server.jinwu(&["demo"])?;
    assert_eq!(wrong.status.code(), Some(1), "{}", program::said(&wrong));
    Ok(())
}
