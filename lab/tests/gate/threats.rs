//! What an attacker who reaches a gate can try (SIG Security's Admission Control Threat Model, docs/en/threats.md): floods, reviews
//! that cost much, stolen credentials, a full disk. It refuses or answers, never admits by accident, and lives.

use crate::process::{Process, said};
use jinwu_lab::{Server, image::Image, program};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A pod that runs privileged.
fn bad_pod() -> Value {
    json!({"metadata": {"name": "bad"}, "spec": {"containers": [{"name": "c", "image": "x", "securityContext": {"privileged": true}}]}})
}

fn review(uid: &str, pod: &Value) -> Value {
    let (kind, resource) = (json!({"group": "", "version": "v1", "kind": "Pod"}), json!({"group": "", "version": "v1", "resource": "pods"}));
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": uid, "kind": kind, "resource": resource, "name": "bad", "namespace": "shop", "operation": "CREATE",
        "userInfo": {"username": "ann", "groups": ["system:authenticated"]}, "object": pod, "oldObject": null, "dryRun": false}})
}

/// A gate of a cluster where everything blocks.
async fn blocking(server: &Server, name: &str, more: &[&str]) -> anyhow::Result<Process> {
    let arguments = ["serve"].iter().chain(more).map(|a| (*a).to_owned()).collect();
    let mut gate = Process::start_with(server, name, arguments)?;
    said(server, &["cluster", "enforce", "prod", "block"])?;
    gate.ready().await?;
    // Its bundle says so within moments.
    let client = gate.client(false)?;
    let until = Instant::now() + Duration::from_secs(20);
    while answer(&client, &gate, &review("u", &bad_pod())).await?.0 {
        anyhow::ensure!(Instant::now() < until, "a privileged pod is let in");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(gate)
}

/// Whether it is permitted, and the status.
async fn answer(client: &reqwest::Client, gate: &Process, review: &Value) -> anyhow::Result<(bool, u64)> {
    let answer: Value = client.post(gate.url("/admit")).json(review).send().await?.error_for_status()?.json().await?;
    let response = &answer["response"];
    anyhow::ensure!(response["uid"] == review["request"]["uid"], "another uid: {answer}");
    Ok((response["allowed"] == true, response["status"]["code"].as_u64().unwrap_or(200)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reviews_that_are_none_get_an_error_in_bounded_time_and_memory() -> anyhow::Result<()> {
    let server = Server::start()?;
    let mut gate = blocking(&server, "gate", &[]).await?;
    let client = gate.client(false)?;
    let good = review("u", &bad_pod());
    let with = |pointer: &str, value: Value| {
        let mut changed = good.clone();
        if let Some(place) = changed.pointer_mut(pointer) {
            *place = value;
        }
        changed.to_string()
    };
    let nested = format!("{}1{}", "[".repeat(200_000), "]".repeat(200_000));
    for (body, status, what) in [
        (String::new(), 400, "empty"),
        ("null".to_owned(), 400, "null"),
        ("{".to_owned(), 400, "half"),
        (nested.clone(), 400, "nested"),
        (with("/apiVersion", json!("admission.k8s.io/v1beta1")), 400, "an old version"),
        (with("/apiVersion", json!("admission.k8s.io/v2")), 400, "a version to come"),
        (with("/kind", json!("ConversionReview")), 400, "another kind"),
        (with("/request", Value::Null), 400, "no request"),
        (with("/request/uid", json!("")), 400, "no uid"),
        (with("/request/operation", json!("PATCH")), 400, "an operation nobody knows"),
        (with("/request/userInfo", json!("ann")), 400, "no user"),
        ("x".repeat(9 << 20), 413, "huge"),
    ] {
        let begun = Instant::now();
        // Of a body that is too long the rest may be cut off.
        match client.post(gate.url("/admit")).body(body).send().await {
            Ok(answer) => {
                assert_eq!(answer.status(), status, "{what}");
                assert!(answer.text().await?.len() > 10, "{what}: says why");
            }
            Err(error) => assert_eq!(status, 413, "{what}: {error}"),
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{what} took {:?}", begun.elapsed());
    }
    // Objects that are no pods, or cost much, are refused, not let pass.
    let many: Vec<Value> = (0..20_000).map(|n| json!({"name": format!("c{n}"), "image": format!("r.example/{n}")})).collect();
    for (pod, what) in [
        (json!({"metadata": {}, "spec": {"containers": "none"}}), "containers that are none"),
        (json!({"spec": 7}), "a spec that is none"),
        (json!([]), "a list"),
        (serde_json::from_str(&format!("{}1{}", "[".repeat(100), "]".repeat(100)))?, "nested"),
        (json!({"metadata": {"name": "many"}, "spec": {"containers": many}}), "many containers"),
    ] {
        let begun = Instant::now();
        let answer = client.post(gate.url("/admit")).json(&review("u", &pod)).send().await?;
        let permitted = answer.status() == 200 && answer.json::<Value>().await?["response"]["allowed"] == true;
        assert!(!permitted, "{what} is let in");
        assert!(begun.elapsed() < Duration::from_secs(10), "{what} took {:?}", begun.elapsed());
    }
    assert!(gate.is_alive());
    assert!(!answer(&client, &gate, &good).await?.0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_is_shed_and_memory_stays_bounded() -> anyhow::Result<()> {
    let server = Server::start()?;
    let mut gate = blocking(&server, "gate", &["--concurrency", "2"]).await?;
    // Connections that never say anything, and one that says half a head.
    let mut silent: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(gate.address())).collect::<Result<_, _>>()?;
    silent.iter_mut().take(50).try_for_each(|s| s.write_all(b"\x16\x03\x01"))?;
    // Bodies nobody asked for: half a gigabyte at once.
    let client = gate.client(false)?;
    let filler = json!({"metadata": {"name": "big", "annotations": {"a": "x".repeat(4 << 20)}}, "spec": bad_pod()["spec"]});
    let body = review("flood", &filler).to_string();
    let flood: Vec<_> = (0..128)
        .map(|_| {
            let (client, url, body) = (client.clone(), gate.url("/admit"), body.clone());
            tokio::spawn(async move {
                let answer = client.post(url).body(body).send().await.ok()?;
                let status = answer.status().as_u16();
                let body: Value = answer.json().await.unwrap_or_default();
                Some((status, body["response"]["allowed"].as_bool(), body["response"]["status"]["code"].as_u64()))
            })
        })
        .collect();
    let (mut refused, mut shed) = (0, 0);
    for one in flood {
        match one.await? {
            Some((200, Some(false), Some(429))) | Some((429 | 503, ..)) => shed += 1,
            Some((200, Some(false), _)) => refused += 1,
            // Cut off while it was still sending.
            None => shed += 1,
            other => anyhow::bail!("{other:?}"),
        }
    }
    assert!(shed > 0, "{refused} judged, {shed} shed: this was no flood");
    assert!(gate.is_alive());
    assert!(gate.peak()? < 256, "{} MiB: more than its pod may use", gate.peak()?);
    // And it answers as before.
    let begun = Instant::now();
    assert_eq!(answer(&client, &gate, &review("after", &bad_pod())).await?, (false, 403));
    assert!(begun.elapsed() < Duration::from_secs(2));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_speaks_for_the_api_server_and_nothing_is_said_in_the_clear() -> anyhow::Result<()> {
    let server = Server::start()?;
    let gate = blocking(&server, "gate", &[]).await?;
    // A certificate of another cluster's authority, and none.
    said(&server, &["cluster", "add", "other"])?;
    let side = server.folder().join("other-side");
    said(&server, &["cluster", "apiserver", "other", "--out", &side.display().to_string()])?;
    let identity = [std::fs::read(side.join("client.crt"))?, std::fs::read(side.join("client.key"))?].concat();
    let stranger = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&std::fs::read(gate.folder.join("side").join("authority.crt"))?)?])
        .identity(reqwest::Identity::from_pem(&identity)?)
        .resolve("jinwu-gate.jinwu.svc", gate.address())
        .build()?;
    for path in ["/audit", "/authorize", "/admit"] {
        assert!(stranger.post(gate.url(path)).body("{}").send().await.is_err(), "{path}: a stranger's certificate is taken");
    }
    let anonymous = gate.client(false)?;
    for path in ["/audit", "/authorize"] {
        assert_eq!(anonymous.post(gate.url(path)).body("{}").send().await?.status(), 401, "{path}");
    }
    // Plain HTTP gets nothing of use.
    let mut plain = TcpStream::connect(gate.address())?;
    plain.set_read_timeout(Some(Duration::from_secs(15)))?;
    plain.write_all(b"POST /admit HTTP/1.1\r\nhost: gate\r\ncontent-length: 2\r\n\r\n{}")?;
    let mut heard = Vec::new();
    let _ = plain.read_to_end(&mut heard);
    assert!(!heard.starts_with(b"HTTP/"), "{:?}", String::from_utf8_lossy(&heard));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pinning_changes_images_and_nothing_else() -> anyhow::Result<()> {
    let server = Server::start()?;
    let image = Image::good(7);
    assert_eq!(server.push("open/app", "1", &image).await?.status(), 201);
    let gate = blocking(&server, "gate", &[]).await?;
    let client = gate.client(false)?;
    let reference = format!("{}/open/app:1", server.registry);
    let pod = json!({"metadata": {"name": "p"}, "spec": {"hostNetwork": false, "containers": [{"name": "a", "image": reference}, {"name": "b", "image": reference}],
        "initContainers": [{"name": "i", "image": reference}], "ephemeralContainers": [{"name": "e", "image": reference}]}});
    let answer: Value = client.post(gate.url("/pin")).json(&review("u", &pod)).send().await?.json().await?;
    assert_eq!(answer["response"]["allowed"], true, "pinning refuses nothing: {answer}");
    use base64::Engine as _;
    let patch = base64::engine::general_purpose::STANDARD.decode(answer["response"]["patch"].as_str().unwrap_or_default())?;
    let patch: Vec<Value> = serde_json::from_slice(&patch)?;
    assert_eq!(patch.len(), 4, "{patch:?}");
    for operation in &patch {
        let path = operation["path"].as_str().unwrap_or_default();
        assert!(path.starts_with("/spec/") && path.ends_with("/image"), "{operation}");
        assert!(operation["value"].as_str().is_some_and(|v| v.contains(&format!("@{}", image.digest()))), "{operation}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_of_the_gate_admits_nothing_and_loses_nothing() -> anyhow::Result<()> {
    let mut server = Server::start()?;
    let audit = server.log_in("auditadmin").await?.token;
    let small = server.folder().join("small");
    std::fs::create_dir_all(&small)?;
    program::run(std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(&small))?;
    let _unmount = Unmount(small.clone());
    std::fs::create_dir_all(server.folder().join("gate"))?;
    std::os::unix::fs::symlink(&small, server.folder().join("gate").join("data"))?;
    let mut gate = blocking(&server, "gate", &[]).await?;
    let client = gate.client(false)?;
    // The server is away, and every refusal leaves two records on the gate's disk until it is full.
    server.kill();
    let (mut kept, mut full) = (0, 0);
    for n in 0..4000 {
        match answer(&client, &gate, &review(&format!("u-{n}"), &bad_pod())).await? {
            (false, 403) => kept += 1,
            (false, 503) => full += 1,
            other => anyhow::bail!("{n}: {other:?}"),
        }
        if full > 20 {
            break;
        }
    }
    assert!(full > 20, "the disk never was full ({kept} refusals)");
    assert!(gate.is_alive());
    server.restart()?;
    std::fs::write(gate.folder.join("way").join("url"), server.url(""))?;
    // What was said is in the ledger, each once; and there is room again.
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let found = server.call("GET", "/ledger?kind=interception&limit=10000", Some(&audit), None).await?;
        let found = found.body["records"].as_array().map_or(0, Vec::len);
        if found >= kept {
            break;
        }
        anyhow::ensure!(Instant::now() < until, "{found} of {kept} interceptions are in the ledger");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let until = Instant::now() + Duration::from_secs(30);
    while answer(&client, &gate, &review("after", &bad_pod())).await? != (false, 403) {
        anyhow::ensure!(Instant::now() < until, "there is no room again");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

struct Unmount(std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
