//! What is known about images.

use crate::Gate;
use jinwu_admission::protocol::{ImageAnswer, ImageFinding, Knowledge};
use jinwu_lab::image::{File, Image, tar};
use jinwu_lab::{Server, image, now};
use jinwu_model::Mode;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Instant;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// An image of Alpine with this configuration.
fn with(config: &Value) -> Image {
    let layer = tar(&[
        File { path: "etc/os-release", mode: 0o644, content: b"ID=alpine\nVERSION_ID=3.20.3\n" },
        File { path: "etc/passwd", mode: 0o644, content: b"root:x:0:0::/:/bin/sh\napp:x:4242:4242::/:/bin/sh\n" },
        File { path: "lib/apk/db/installed", mode: 0o644, content: b"P:x\nV:1-r0\nA:x86_64\no:x\n\n" },
        File { path: "etc/apk/repositories", mode: 0o644, content: b"https://example.com/alpine/v3.20/main\n" },
    ]);
    Image::new(&[layer], config)
}

fn judged(answer: &ImageAnswer) -> anyhow::Result<(Option<u32>, Vec<ImageFinding>)> {
    match &answer.knowledge {
        Knowledge::Judged { uid, findings, user_basis } if !user_basis.is_empty() => Ok((*uid, findings.clone())),
        other => anyhow::bail!("{}: {other:?}", answer.reference),
    }
}

fn unknown(answer: &ImageAnswer) -> anyhow::Result<String> {
    match &answer.knowledge {
        Knowledge::Unknown { why } => Ok(why.to_string()),
        other => anyhow::bail!("{}: {other:?}", answer.reference),
    }
}

fn names(findings: &[ImageFinding]) -> Vec<&str> {
    findings.iter().map(|f| f.policy.0.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn good_bad_moved_unknown_and_foreign() -> anyhow::Result<()> {
    let server = Server::start()?;
    let system = server.log_in("sysadmin").await?;
    let gate = Gate::of_new_cluster(&system, &server, "prod").await?;
    let good = Image::good(61);
    assert_eq!(server.push("demo/app", "1", &good).await?.status(), 201);
    let begun = Instant::now();
    let answer = gate.image(&server, "demo/app:1", Some("linux/amd64")).await?;
    let first = begun.elapsed();
    assert_eq!(judged(&answer)?, (Some(65532), vec![]));
    assert_eq!(answer.digest.as_ref().map(ToString::to_string), Some(good.digest()));
    assert_eq!(answer.verdict_generation, gate.newest(&server).await?.verdict_generation);
    assert!((answer.valid_until - now() - 24 * 3600 * 1000).abs() < 60_000, "{}", answer.valid_until - now());
    let begun = Instant::now();
    let by_digest = gate.image(&server, &format!("demo/app:other@{}", good.digest()), None).await?;
    assert_eq!(judged(&by_digest)?.0, Some(65532), "by digest the tag says nothing");
    let mut repeated = vec![];
    for _ in 0..20 {
        let begun = Instant::now();
        gate.image(&server, "demo/app:1", Some("linux/amd64")).await?;
        repeated.push(begun.elapsed());
    }
    repeated.sort();
    println!("an answer made from the kept report: {first:?}; by digest {:?}; from memory: median {:?}", begun.elapsed(), repeated[10]);

    // The tag moves: asked again, it stands for the other image.
    let moved = Image::good(62);
    assert_eq!(server.push("demo/app", "1", &moved).await?.status(), 201);
    let answer = gate.image(&server, "demo/app:1", None).await?;
    assert_eq!(answer.digest.as_ref().map(ToString::to_string), Some(moved.digest()));

    // The same bad image is refused at the door of demo, and known for what it is in open.
    let bad = with(&json!({"Env": [format!("DB_PASSWORD=Xk9{}vQ2z", "#mTq7")]}));
    assert_eq!(server.push("demo/bad", "1", &bad).await?.status(), 403);
    assert!(unknown(&gate.image(&server, "demo/bad:1", None).await?)?.contains("push the image first"), "what was refused is not there");
    assert_eq!(server.push("open/bad", "1", &bad).await?.status(), 201);
    let answer = gate.image(&server, "open/bad:1", None).await?;
    let (uid, findings) = judged(&answer)?;
    assert_eq!((uid, names(&findings)), (Some(0), vec!["environment-password", "root-user"]));
    let projects = system.ok("GET", "/projects", None).await?;
    let open = projects["projects"].as_array().into_iter().flatten().find(|p| p["name"] == "open").cloned().unwrap_or_default();
    let level = open["level"].as_u64().unwrap_or(0) as usize;
    for finding in &findings {
        let defaults = [Mode::Alert, Mode::Alert, Mode::Block, Mode::Block];
        for (at, (mode, default)) in finding.modes.iter().zip(defaults).enumerate() {
            assert_eq!(*mode, if at + 1 == level { Mode::Allow } else { default }, "{}: what open has switched holds at its own level", finding.policy);
        }
        assert!(!finding.finding.zh.is_empty() && !finding.advice.en.is_empty() && !finding.clauses.is_empty());
        assert!(!serde_json::to_string(finding)?.contains("mTq7"), "the secret itself");
    }
    for (reference, expected) in [
        (format!("{}/demo/none:1", server.registry), "push the image first"),
        (format!("{}/demo/app@sha256:{}", server.registry, "00".repeat(32)), "push the image first"),
        ("nginx".to_owned(), "docker.io"),
        ("registry.example.com/a/b:1".to_owned(), server.registry.as_str()),
        (format!("{}/Demo", server.registry), "invalid"),
        (String::new(), "invalid"),
    ] {
        let answer = gate.question(&server, &json!({ "reference": reference })).await?;
        assert!(unknown(&answer)?.contains(expected), "{answer:?}");
        assert!(answer.digest.is_none() && answer.valid_until - now() < 10_000, "soon asked again: {answer:?}");
    }
    for bad in [json!({}), json!([]), json!({"reference": "a", "platform": "amd64"}), json!({"reference": "a", "x": 1})] {
        assert_eq!(gate.ask(&server, Method::POST, "/images", Some(&bad)).await?.status(), 400, "{bad}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_by_name_by_number_and_none() -> anyhow::Result<()> {
    let server = Server::start()?;
    let gate = Gate::of_new_cluster(&server.log_in("sysadmin").await?, &server, "prod").await?;
    for (tag, user, uid) in [
        ("number", json!({"User": "1234:1"}), Some(1234)),
        ("name", json!({"User": "app"}), Some(4242)),
        ("root", json!({"User": "root"}), Some(0)),
        ("none", json!({}), Some(0)),
        ("ghost", json!({"User": "ghost"}), None),
    ] {
        assert_eq!(server.push("open/user", tag, &with(&user)).await?.status(), 201);
        let (known, findings) = judged(&gate.image(&server, &format!("open/user:{tag}"), None).await?)?;
        assert_eq!(known, uid, "{tag}");
        assert_eq!(names(&findings).contains(&"root-user"), uid.is_none_or(|u| u == 0), "{tag}: what cannot be told counts as root");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn indexes_and_what_is_no_image() -> anyhow::Result<()> {
    let server = Server::start()?;
    let gate = Gate::of_new_cluster(&server.log_in("sysadmin").await?, &server, "prod").await?;
    let (amd, arm) = (with(&json!({"User": "1000"})), with(&json!({"User": "root"})));
    for (name, image) in [("amd", &amd), ("arm", &arm)] {
        assert_eq!(server.push("open/index", name, image).await?.status(), 201);
    }
    let child = |image: &Image, architecture: &str| {
        json!({"mediaType": image.media_type, "digest": image.digest(), "size": image.manifest.len(), "platform": {"os": "linux", "architecture": architecture}})
    };
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [child(&amd, "amd64"), child(&arm, "arm64")]}).to_string();
    assert_eq!(server.put_manifest("open/index", "all", INDEX, index.as_bytes()).await?.status(), 201);
    let of = async |platform| gate.image(&server, "open/index:all", platform).await;
    let answer = of(Some("linux/amd64")).await?;
    assert_eq!(judged(&answer)?.0, Some(1000));
    assert_eq!(answer.digest.as_ref().map(ToString::to_string), Some(image::digest(index.as_bytes())), "what the reference stands for is the index");
    assert_eq!(judged(&of(Some("linux/arm64")).await?)?.0, Some(0));
    let (uid, findings) = judged(&of(None).await?)?;
    assert_eq!((uid, names(&findings)), (Some(0), vec!["root-user"]), "without a platform the worst of all counts");
    assert!(unknown(&of(Some("linux/riscv64")).await?)?.contains("riscv64"));

    let empty = b"{}".to_vec();
    server.push_blob("open/index", &empty).await?;
    let note = b"hello".to_vec();
    server.push_blob("open/index", &note).await?;
    let artifact = json!({
        "schemaVersion": 2, "mediaType": image::MANIFEST, "artifactType": "application/spdx+json",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": image::digest(&empty), "size": 2},
        "layers": [{"mediaType": "text/plain", "digest": image::digest(&note), "size": note.len()}],
    });
    assert_eq!(server.put_manifest("open/index", "note", image::MANIFEST, artifact.to_string().as_bytes()).await?.status(), 201);
    assert!(unknown(&gate.image(&server, "open/index:note", None).await?)?.contains("no image"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exceptions_and_modes_change_the_generation_and_the_answer() -> anyhow::Result<()> {
    let server = Server::start()?;
    let system = server.log_in("sysadmin").await?;
    let security = server.log_in("secadmin").await?;
    let gate = Gate::of_new_cluster(&system, &server, "prod").await?;
    let root = with(&json!({}));
    assert_eq!(server.push("open/root", "1", &root).await?.status(), 201);
    let before = gate.image(&server, "open/root:1", None).await?;
    assert_eq!(judged(&before)?.1.first().and_then(|f| f.exception.clone()), None);
    let proposal = json!({"policy": "root-user", "digest": root.digest(), "reason": "until the rebuild", "days": 1});
    let id = system.ok("POST", "/exceptions", Some(&proposal)).await?["id"].as_str().unwrap_or_default().to_owned();
    assert_eq!(gate.image(&server, "open/root:1", None).await?.verdict_generation, before.verdict_generation, "a proposal changes nothing");
    security.ok("POST", &format!("/exceptions/{id}/approve"), None).await?;
    let after = gate.image(&server, "open/root:1", None).await?;
    assert_ne!(after.verdict_generation, before.verdict_generation);
    assert_eq!(judged(&after)?.1.first().and_then(|f| f.exception.clone()), Some(id.clone()));
    let expiry = system.ok("GET", "/exceptions", None).await?["exceptions"][0]["expires"].as_i64().unwrap_or(0);
    assert_eq!(after.valid_until.min(expiry), after.valid_until, "not beyond the exception's end");
    assert!(gate.newest(&server).await?.exceptions.is_empty(), "an image's exception is in the answer, not in the bundle");
    security.ok("DELETE", &format!("/exceptions/{id}"), None).await?;
    assert_eq!(gate.image(&server, "open/root:1", None).await?.verdict_generation, before.verdict_generation, "as before");
    let other = json!({"policy": "root-user", "namespace": "web", "reason": "legacy", "days": 1});
    let id = system.ok("POST", "/exceptions", Some(&other)).await?["id"].as_str().unwrap_or_default().to_owned();
    security.ok("POST", &format!("/exceptions/{id}/approve"), None).await?;
    assert_eq!(judged(&gate.image(&server, "open/root:1", None).await?)?.1.first().and_then(|f| f.exception.clone()), None, "one namespace's gate lifts it there");
    assert_eq!(gate.newest(&server).await?.exceptions.len(), 1);
    assert_eq!(server.push("demo/root", "1", &root).await?.status(), 403, "and no push passes by it");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_kept_is_made_anew() -> anyhow::Result<()> {
    let server = Server::start()?;
    let gate = Gate::of_new_cluster(&server.log_in("sysadmin").await?, &server, "prod").await?;
    let security = server.log_in("secadmin").await?;
    let image = with(&json!({"User": "app"}));
    for (repository, gone) in [("open/reports", "reports"), ("open/all", "")] {
        assert_eq!(server.push(repository, "1", &image).await?.status(), 201);
        // As an update leaves it: reports of other engines are of no use, in the end neither are layers' analyses.
        std::fs::remove_dir_all(server.data.join("scan").join(gone))?;
        let path = format!("/report?repository={repository}&reference=1");
        assert_eq!(security.call("GET", &path, None).await?.status, 404);
        let begun = Instant::now();
        let (uid, findings) = judged(&gate.image(&server, &format!("{repository}:1"), None).await?)?;
        println!("{repository} composed anew: {:?}", begun.elapsed());
        assert_eq!((uid, names(&findings)), (Some(4242), vec![]));
        assert_eq!(security.ok("GET", &path, None).await?["report"]["configuration"]["uid"], 4242, "and kept");
    }
    // Layers that cannot be read are no clean image.
    assert_eq!(server.push("open/lost", "1", &image).await?.status(), 201);
    std::fs::remove_dir_all(server.data.join("scan"))?;
    // An analysis that was just made is in memory for a second.
    tokio::time::sleep(std::time::Duration::from_millis(1300)).await;
    let layer = image::digest(&image.layers[0]);
    let find = std::process::Command::new("find").arg(server.data.join("registry")).args(["-name", &format!("*{}*", &layer[7..]), "-type", "f"]).output()?;
    let files = String::from_utf8_lossy(&find.stdout).lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(!files.is_empty(), "the layer is a file of the registry");
    for file in files {
        std::fs::remove_file(file)?;
    }
    let (uid, findings) = judged(&gate.image(&server, "open/lost:1", None).await?)?;
    assert!(names(&findings).contains(&"unscannable"), "{findings:?}");
    assert_eq!(uid, None, "whose name is in a file that cannot be read");
    Ok(())
}
