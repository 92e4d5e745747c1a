//! What the registry promises beside the protocol: refused images stay out of sight, nothing
//! happens unrecorded, uploads survive restarts, damaged bytes are never served, collection takes
//! only what nobody needs.

use serde_json::json;
use std::sync::atomic::Ordering;
use crate::support::{Lab, MANIFEST, descriptor, digest_of, header, noise, with_query};

async fn image(lab: &Lab, repository: &str, tag: &str, seed: u64) -> (reqwest::Response, String) {
    let (config, layer) = (format!("{{\"n\":{seed}}}"), noise(seed, 20_000));
    lab.push_blob(repository, config.as_bytes(), "sha256").await;
    let digest = lab.push_blob(repository, &layer, "sha256").await;
    let body = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor("a/b", config.as_bytes(), "sha256"), "layers": [descriptor("c/d", &layer, "sha256")]}).to_string();
    (lab.push_manifest(repository, tag, MANIFEST, &body).await, digest)
}

#[tokio::test]
async fn a_refused_image_is_denied_hidden_and_collected() {
    let lab = Lab::new().await;
    lab.world.refuse.store(true, Ordering::SeqCst);
    let (refused, layer) = image(&lab, "p/bad", "1", 50).await;
    assert_eq!(refused.status(), 403);
    let body: serde_json::Value = refused.json().await.unwrap();
    assert_eq!(body["errors"][0]["code"], "DENIED");
    assert_eq!(body["errors"][0]["detail"]["policy"], "test");
    assert_eq!(lab.get("/v2/p/bad/manifests/1").await.status(), 404);
    let path = format!("/v2/p/bad/blobs/{layer}");
    let by = |who: &'static str| lab.http.get(lab.url(&path)).header("x-subject", who).send();
    assert_eq!(by("tester").await.unwrap().status(), 200, "its pusher may still read it");
    assert_eq!(by("stranger").await.unwrap().status(), 404, "nobody else");
    let collected = lab.registry.collect().await.unwrap();
    assert_eq!(collected.blobs, 2);
    assert_eq!(by("tester").await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_permitted_image_survives_collection_and_shows_its_warnings() {
    let lab = Lab::new().await;
    let (pushed, layer) = image(&lab, "p/good", "1", 51).await;
    assert_eq!(pushed.status(), 201);
    assert_eq!(header(&pushed, "warning"), "299 - \"root-user: runs as root\"");
    assert_eq!(lab.registry.collect().await.unwrap().blobs, 0, "leases and references hold");
    assert_eq!(lab.get(&format!("/v2/p/good/blobs/{layer}")).await.status(), 200);
}

#[tokio::test]
async fn nothing_goes_through_that_cannot_be_recorded() {
    let lab = Lab::new().await;
    let (_, layer) = image(&lab, "p/rec", "1", 52).await;
    lab.world.unwritable.store(true, Ordering::SeqCst);
    assert_eq!(lab.get("/v2/p/rec/manifests/1").await.status(), 503);
    assert_eq!(lab.get(&format!("/v2/p/rec/blobs/{layer}")).await.status(), 503);
    assert_eq!(lab.delete("/v2/p/rec/manifests/1").await.status(), 503);
    let (refused, _) = image(&lab, "p/rec", "2", 53).await;
    assert_eq!(refused.status(), 503);
    lab.world.unwritable.store(false, Ordering::SeqCst);
    assert_eq!(lab.get("/v2/p/rec/manifests/1").await.status(), 200, "the refused delete deleted nothing");
    assert_eq!(lab.get("/v2/p/rec/manifests/2").await.status(), 404);
    let kinds: Vec<String> = lab.world.records.lock().iter().map(|r| format!("{} {}", r.action, r.object)).collect();
    assert!(kinds.contains(&"push p/rec:1".to_owned()), "{kinds:?}");
}

#[tokio::test]
async fn an_upload_is_resumed_after_a_restart() {
    let lab = Lab::new().await;
    let bytes = noise(54, 300_000);
    let digest = digest_of(&bytes, "sha256");
    let started = lab.post("/v2/p/resume/blobs/uploads/").await;
    let location = header(&started, "location").to_owned();
    let patched = lab.http.patch(lab.url(&location)).body(bytes[..200_000].to_vec()).send().await.unwrap();
    assert_eq!(patched.status(), 202);
    let lab = lab.restart().await;
    let status = lab.get(&location).await;
    assert_eq!((status.status().as_u16(), header(&status, "range")), (204, "0-199999"));
    let done = lab.http.put(with_query(&lab.url(&location), &format!("digest={digest}"))).body(bytes[200_000..].to_vec()).send().await.unwrap();
    assert_eq!(done.status(), 201);
    assert_eq!(lab.get(&format!("/v2/p/resume/blobs/{digest}")).await.bytes().await.unwrap(), bytes);
}

#[tokio::test]
async fn damaged_content_is_never_served_and_heals_by_pushing_again() {
    let lab = Lab::new().await;
    let bytes = noise(55, 50_000);
    let digest = lab.push_blob("p/flip", &bytes, "sha256").await;
    let file = lab.registry.store().path(&digest.parse().unwrap());
    let mut damaged = bytes.clone();
    damaged[40_000] ^= 1;
    std::fs::write(&file, &damaged).unwrap();
    let scrubbed = lab.registry.scrub().await.unwrap();
    assert_eq!(scrubbed.damaged, [digest.clone()]);
    assert_eq!(lab.get(&format!("/v2/p/flip/blobs/{digest}")).await.status(), 404);
    lab.push_blob("p/flip", &bytes, "sha256").await;
    assert_eq!(lab.get(&format!("/v2/p/flip/blobs/{digest}")).await.bytes().await.unwrap(), bytes);
    // A file cut short is noticed without a scrub.
    std::fs::write(&file, &bytes[..100]).unwrap();
    assert_eq!(lab.get(&format!("/v2/p/flip/blobs/{digest}")).await.status(), 404);
    assert!(lab.registry.scrub().await.unwrap().damaged.is_empty(), "counted as lost already");
}

#[tokio::test]
async fn what_a_crash_leaves_is_repaired_at_the_next_start() {
    let lab = Lab::new().await;
    let bytes = noise(56, 10_000);
    let digest = lab.push_blob("p/crash", &bytes, "sha256").await;
    let file = lab.registry.store().path(&digest.parse().unwrap());
    // Content without a row: a crash between rename and commit.
    let orphan = noise(57, 9_000);
    let orphan_digest = digest_of(&orphan, "sha256");
    let orphan_file = lab.registry.store().path(&orphan_digest.parse().unwrap());
    std::fs::write(&orphan_file, &orphan).unwrap();
    // Content that is not what its name says.
    let stranger = lab.registry.store().path(&digest_of(b"something else", "sha256").parse().unwrap());
    std::fs::write(&stranger, b"garbage").unwrap();
    // A row without content.
    std::fs::remove_file(&file).unwrap();
    let lab = lab.restart().await;
    assert_eq!(lab.get(&format!("/v2/p/crash/blobs/{digest}")).await.status(), 404);
    assert!(orphan_file.exists(), "leased, so that the retrying client finds it");
    assert!(!stranger.exists(), "in quarantine");
    lab.push_blob("p/crash", &bytes, "sha256").await;
    assert_eq!(lab.get(&format!("/v2/p/crash/blobs/{digest}")).await.bytes().await.unwrap(), bytes);
}

#[tokio::test]
async fn a_client_that_goes_away_loses_nothing_it_sent() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let lab = Lab::new().await;
    let bytes = noise(58, 100_000);
    let digest = digest_of(&bytes, "sha256");
    let started = lab.post("/v2/p/away/blobs/uploads/").await;
    let location = header(&started, "location").to_owned();
    let mut socket = tokio::net::TcpStream::connect(lab.base.trim_start_matches("http://")).await.unwrap();
    let head = format!("PATCH {location} HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(&bytes[..60_000]).await.unwrap();
    socket.shutdown().await.unwrap();
    let _ = socket.read_to_end(&mut Vec::new()).await;
    drop(socket);
    let mut offset = 0;
    for _ in 0..50 {
        let status = lab.get(&location).await;
        if status.status() == 204 {
            offset = header(&status, "range").split_once('-').unwrap().1.parse::<usize>().unwrap() + 1;
            if offset == 60_000 {
                break;
            }
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(offset, 60_000);
    let done = lab.http.put(with_query(&lab.url(&location), &format!("digest={digest}"))).body(bytes[offset..].to_vec()).send().await.unwrap();
    assert_eq!(done.status(), 201);
}

/// Pushes, mounts, deletes and collections at once; a checker holds every 201 to its word.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_pushes_mounts_deletes_and_collection_lose_nothing() {
    let root = std::sync::Arc::new(tempfile::tempdir().unwrap());
    // No grace at all: only what is referenced or just being pushed may live.
    let lab = std::sync::Arc::new(Lab::on(root, |c| c.lease = 2000).await);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(8);
    let mut tasks = Vec::new();
    for worker in 0..6u64 {
        let lab = lab.clone();
        tasks.push(tokio::spawn(async move {
            let (mut pushed, mut round) = (0u64, 0u64);
            while std::time::Instant::now() < until {
                round += 1;
                // Workers share layers, so that one's delete meets another's push.
                let seed = round % 5;
                let repository = format!("soak/r{}", worker % 3);
                let tag = format!("w{worker}");
                let (config, layer) = (format!("{{\"w\":{seed}}}"), noise(1000 + seed, 30_000));
                if round.is_multiple_of(3) {
                    let other = format!("soak/r{}", (worker + 1) % 3);
                    let digest = digest_of(&layer, "sha256");
                    let mounted = lab.post(&format!("/v2/{repository}/blobs/uploads/?mount={digest}&from={other}")).await;
                    if mounted.status() == 202 {
                        lab.delete(header(&mounted, "location")).await;
                        lab.push_blob(&repository, &layer, "sha256").await;
                    }
                } else {
                    lab.push_blob(&repository, &layer, "sha256").await;
                }
                lab.push_blob(&repository, config.as_bytes(), "sha256").await;
                let body = json!({"schemaVersion": 2, "mediaType": MANIFEST, "annotations": {"w": worker.to_string()}, "config": descriptor("a/b", config.as_bytes(), "sha256"), "layers": [descriptor("c/d", &layer, "sha256")]}).to_string();
                let answer = lab.push_manifest(&repository, &tag, MANIFEST, &body).await;
                assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
                pushed += 1;
                let got = lab.get(&format!("/v2/{repository}/manifests/{tag}")).await;
                assert_eq!(got.text().await.unwrap(), body);
                let digest = digest_of(&layer, "sha256");
                let blob = lab.get(&format!("/v2/{repository}/blobs/{digest}")).await;
                assert_eq!(blob.status(), 200, "a published manifest names it");
                assert_eq!(blob.bytes().await.unwrap(), layer);
                if round.is_multiple_of(2) {
                    let manifest = digest_of(body.as_bytes(), "sha256");
                    assert_eq!(lab.delete(&format!("/v2/{repository}/manifests/{manifest}")).await.status(), 202);
                }
            }
            pushed
        }));
    }
    let collector = {
        let lab = lab.clone();
        tokio::spawn(async move {
            let mut taken = 0;
            while std::time::Instant::now() < until {
                taken += lab.registry.collect().await.unwrap().blobs;
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            taken
        })
    };
    let mut pushed = 0;
    for task in tasks {
        pushed += task.await.unwrap();
    }
    collector.await.unwrap();
    assert!(pushed > 20, "only {pushed} pushes: this proves little");
    assert!(lab.registry.scrub().await.unwrap().damaged.is_empty());
}
