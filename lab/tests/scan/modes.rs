//! One policy, three modes, per project; exceptions; the records of each.

use jinwu_lab::image::{File, Image, tar};
use jinwu_lab::{Server, image};
use serde_json::{Value, json};

/// Alpine with an environment password and nothing else wrong.
fn with_password() -> Image {
    let layer = tar(&[
        File { path: "etc/os-release", mode: 0o644, content: b"ID=alpine\nVERSION_ID=3.20.3\n" },
        File { path: "lib/apk/db/installed", mode: 0o644, content: b"P:x\nV:1-r0\nA:x86_64\no:x\n\n" },
    ]);
    Image::new(&[layer], &json!({"User": "65532", "Env": ["PATH=/bin", format!("DB_PASSWORD=Xk9{}vQ2z", "#mTq7")]}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn allow_alert_block_and_exception() -> anyhow::Result<()> {
    let server = Server::start()?;
    let sec = server.log_in("secadmin").await?;
    let sys = server.log_in("sysadmin").await?;
    let audit = server.log_in("auditadmin").await?;
    let bad = with_password();
    let push = async |tag: &str| server.push("demo/pw", tag, &bad).await;
    let mode = async |mode: Value| sec.ok("PUT", "/projects/demo/policies/environment-password", Some(&json!({ "mode": mode }))).await;

    let refused = push("block").await?;
    assert_eq!(refused.status(), 403);
    let body: Value = refused.json().await?;
    let text = body["errors"][0]["message"].as_str().unwrap_or_default();
    assert!(text.contains("DB_PASSWORD") && text.contains("环境变量") && text.contains("environment variable"), "{text}");
    assert!(!body.to_string().contains("mTq7"), "the secret itself is in the answer: {body}");
    let decision = body["errors"][0]["detail"]["decision"].as_str().unwrap_or_default().to_owned();
    let linked = audit.records(&format!("decision={decision}")).await?;
    let mut kinds: Vec<&str> = linked.iter().filter_map(|r| r["kind"].as_str()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["alarm", "interception", "push"], "{linked:?}");
    assert!(linked.iter().all(|r| r["source"] == "127.0.0.1" && r["outcome"] == "denied"));
    assert!(!serde_json::to_string(&linked)?.contains("mTq7"));

    mode(json!("alert")).await?;
    let alerted = push("alert").await?;
    assert_eq!(alerted.status(), 201);
    let warning = alerted.headers()["warning"].to_str()?.to_owned();
    assert!(warning.starts_with("299 - \"jinwu environment-password"), "{warning}");
    let alarms = audit.records("kind=alarm&object=demo/pw:alert").await?;
    assert_eq!(alarms.len(), 1);
    assert_eq!((alarms[0]["outcome"].as_str(), alarms[0]["detail"]["mode"].as_str()), (Some("success"), Some("alert")));
    let pushed = audit.records("kind=push&object=demo/pw:alert").await?;
    assert_eq!(pushed[0]["decision"], alarms[0]["decision"]);

    mode(json!("放行")).await?;
    assert_eq!(push("allow").await?.status(), 201);
    assert!(audit.records("kind=alarm&object=demo/pw:allow").await?.is_empty());

    mode(Value::Null).await?;
    assert_eq!(push("default").await?.status(), 403, "level 4 blocks");
    let proposal = json!({"policy": "environment-password", "repository": "demo/pw", "finding": "DB_PASSWORD", "reason": "rotated, migration until next week", "days": 7});
    let id = sys.ok("POST", "/exceptions", Some(&proposal)).await?["id"].as_str().unwrap_or_default().to_owned();
    assert_eq!(push("proposed").await?.status(), 403, "a proposal lifts nothing");
    sec.ok("POST", &format!("/exceptions/{id}/approve"), None).await?;
    assert_eq!(push("excepted").await?.status(), 201);
    assert_eq!(server.push("demo/other", "1", &bad).await?.status(), 403, "elsewhere it still stands");
    sec.ok("DELETE", &format!("/exceptions/{id}"), None).await?;
    assert_eq!(push("ended").await?.status(), 403);
    let changes = audit.records("kind=policy&object=environment-password").await?;
    assert!(changes.iter().all(|r| r["subject"]["name"] == "secadmin"));
    assert_eq!(changes.len(), 6, "three switches, requested and done");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_custom_policy_in_cel_is_checked_and_holds() -> anyhow::Result<()> {
    let server = Server::start()?;
    let sec = server.log_in("secadmin").await?;
    let yaml = |expression: &str| {
        format!(
            "apiVersion: policy.jinwu.io/v1\nkind: ImagePolicy\nmetadata:\n  name: only-release-tags\n  title: {{ zh: 仅限发布标签, en: release tags only }}\nspec:\n  clauses: [AU-2]\n  gates: [push]\n  modes: {{ \"1\": block, \"2\": block, \"3\": block, \"4\": block }}\n  validations:\n    - expression: {expression}\n      message: {{ zh: 标签须为发布号, en: the tag must be a release }}\n"
        )
    };
    let broken = sec.call("POST", "/policies", Some(&json!({"yaml": yaml("image.tags.all(t,")}))).await?;
    assert_eq!(broken.status, 400);
    assert!(broken.body["error"]["message"].as_str().unwrap_or_default().contains("only-release-tags"), "{broken:?}");
    sec.ok("POST", "/policies", Some(&json!({"yaml": yaml("\"image.tags.all(t, t.startsWith('v'))\"")}))).await?;
    let good = image::Image::good(3);
    let refused = server.push("demo/custom", "latest", &good).await?;
    assert_eq!(refused.status(), 403);
    assert!(refused.text().await?.contains("only-release-tags"));
    assert_eq!(server.push("demo/custom", "v1", &good).await?.status(), 201);
    let taken = sec.call("POST", "/policies", Some(&json!({"yaml": yaml("'true'").replace("only-release-tags", "root-user")}))).await?;
    assert!(taken.status.is_client_error(), "a built-in policy cannot be replaced: {taken:?}");
    sec.ok("DELETE", "/policies/only-release-tags", None).await?;
    assert_eq!(server.push("demo/custom", "latest", &good).await?.status(), 201);
    Ok(())
}
