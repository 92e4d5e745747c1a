//! kill -9: at every failpoint, and at random under concurrent pushes. Whatever was answered 201 is
//! there after the restart, bit for bit; the ledger holds a record of it.

use jinwu_lab::{Server, image::Image};
use reqwest::Method;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Everything answered 201: repository and reference to manifest, digest to blob.
#[derive(Default)]
struct Promised {
    manifests: BTreeMap<(String, String), Vec<u8>>,
    blobs: BTreeMap<(String, String), Vec<u8>>,
}

async fn push(server: &Server, promised: &Mutex<Promised>, repository: &str, tag: &str, image: &Image) -> anyhow::Result<()> {
    for blob in image.blobs() {
        let digest = server.push_blob(repository, blob).await?;
        if let Ok(mut p) = promised.lock() {
            p.blobs.insert((repository.to_owned(), digest), blob.to_vec());
        }
    }
    let answer = server.put_manifest(repository, tag, &image.media_type, &image.manifest).await?;
    if answer.status() == 201
        && let Ok(mut p) = promised.lock()
    {
        p.manifests.insert((repository.to_owned(), tag.to_owned()), image.manifest.clone());
    }
    Ok(())
}

async fn check(server: &Server, promised: &Mutex<Promised>, when: &str) -> anyhow::Result<()> {
    let (manifests, blobs) = match promised.lock() {
        Ok(p) => (p.manifests.clone(), p.blobs.clone()),
        Err(_) => anyhow::bail!("poisoned"),
    };
    for ((repository, reference), bytes) in manifests {
        let got = server.as_robot(Method::GET, &format!("/v2/{repository}/manifests/{reference}")).send().await?;
        anyhow::ensure!(got.status() == 200, "{when}: {repository}:{reference} was answered 201 and is {}", got.status());
        anyhow::ensure!(got.bytes().await? == bytes, "{when}: {repository}:{reference} has other bytes");
    }
    for ((repository, digest), bytes) in blobs {
        let got = server.as_robot(Method::GET, &format!("/v2/{repository}/blobs/{digest}")).send().await?;
        anyhow::ensure!(got.status() == 200, "{when}: {repository}@{digest} was answered 201 and is {}", got.status());
        anyhow::ensure!(got.bytes().await? == bytes, "{when}: {repository}@{digest} has other bytes");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_every_failpoint() -> anyhow::Result<()> {
    let mut server = Server::start()?;
    let promised = Mutex::new(Promised::default());
    push(&server, &promised, "open/before", "0", &Image::good(100)).await?;
    for (i, failpoint) in jinwu_registry::failpoint::ALL.iter().enumerate() {
        // The first arrival, and one in the middle of a push.
        for nth in ["1", "3"] {
            // Repair at the start passes the metadata's failpoints too: a crash in the middle of it
            // is one more case.
            let started = server.restart_with(&[("JINWU_FAILPOINT", &format!("{failpoint}:{nth}"))]);
            anyhow::ensure!(started.is_ok() || server.ended(), "{failpoint}:{nth}: {started:?}");
            let image = Image::good(200 + i as u64 * 2 + u64::from(nth == "3"));
            let repository = format!("open/fp{i}");
            for round in 0..3 {
                if push(&server, &promised, &repository, &format!("r{round}"), &image).await.is_err() {
                    break;
                }
            }
            let mut ended = server.ended();
            for _ in 0..50 {
                if ended {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
                ended = server.ended();
            }
            anyhow::ensure!(ended, "{failpoint}:{nth} was never reached: the matrix has a hole");
            server.restart_with(&[])?;
            check(&server, &promised, failpoint).await?;
            // The same push goes through now, whatever the crash left.
            push(&server, &promised, &repository, "again", &image).await?;
            check(&server, &promised, failpoint).await?;
        }
    }
    let verified = server.jinwu(&["ledger", "verify", "--head", &server.data.join("ledger-heads/heads.jsonl").display().to_string()])?;
    anyhow::ensure!(verified.status.success(), "{}", jinwu_lab::program::said(&verified));
    let audit = server.log_in("auditadmin").await?;
    for (repository, tag) in promised.lock().map(|p| p.manifests.keys().cloned().collect::<Vec<_>>()).unwrap_or_default() {
        let records = audit.records(&format!("kind=push&outcome=success&object={repository}:{tag}")).await?;
        anyhow::ensure!(!records.is_empty(), "{repository}:{tag} was answered 201 without a record");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_random_under_concurrent_pushes() -> anyhow::Result<()> {
    let mut server = Server::start()?;
    let promised = Arc::new(Mutex::new(Promised::default()));
    let mut seed = 0u64;
    for round in 0..8u64 {
        let pid = server.pid();
        // Between 60 and 700 ms in: in the middle of something, a different one each time.
        let after = Duration::from_millis(60 + (round * 89) % 640);
        let killer = tokio::spawn(async move {
            tokio::time::sleep(after).await;
            let _ = rustix::process::Pid::from_raw(pid as i32).map(|p| rustix::process::kill_process(p, rustix::process::Signal::KILL));
        });
        let until = Instant::now() + after + Duration::from_millis(200);
        let mut pushes = Vec::new();
        for worker in 0..4u64 {
            seed += 1;
            let (server, promised, start) = (&server, &promised, seed * 1000);
            pushes.push(async move {
                let mut n = 0;
                while Instant::now() < until {
                    n += 1;
                    let image = Image::good(start + n);
                    if push(server, promised, &format!("open/k{worker}"), &format!("s{}", start + n), &image).await.is_err() {
                        break;
                    }
                }
            });
        }
        futures::future::join_all(pushes).await;
        killer.await?;
        server.restart()?;
        check(&server, &promised, &format!("round {round}")).await?;
    }
    let count = promised.lock().map(|p| p.manifests.len()).unwrap_or_default();
    anyhow::ensure!(count > 10, "only {count} pushes were answered: this proves little");
    Ok(())
}

/// A full disk is an ordinary answer: 507, nothing published by halves, everything from before still
/// there, and the same push goes through once there is room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk() -> anyhow::Result<()> {
    let folder = Arc::new(tempfile::Builder::new().prefix("jinwu-lab-full-").tempdir()?);
    let store = folder.path().join("data").join("registry");
    std::fs::create_dir_all(&store)?;
    jinwu_lab::program::run(std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"]).arg(&store))?;
    struct Unmount(std::path::PathBuf);
    impl Drop for Unmount {
        fn drop(&mut self) {
            let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
        }
    }
    let _unmount = Unmount(store.clone());
    let mut server = Server::start_with(jinwu_lab::Options { folder: Some(folder.clone()), ..Default::default() })?;
    let promised = Mutex::new(Promised::default());
    push(&server, &promised, "open/room", "0", &Image::good(1)).await?;
    let big = jinwu_lab::image::noise(9, 40 << 20);
    let digest = jinwu_lab::image::digest(&big);
    let started = server.as_robot(Method::POST, "/v2/open/room/blobs/uploads/").header("content-length", 0).send().await?;
    let location = started.headers()["location"].to_str()?.to_owned();
    let refused = server.as_robot(Method::PUT, &format!("{location}?digest={digest}")).body(big.clone()).send().await?;
    let (status, text) = (refused.status().as_u16(), refused.text().await?);
    anyhow::ensure!(status == 507, "{status} {text}");
    // What arrived is kept, so the client could go on; it gives up instead and frees the room.
    let kept = server.as_robot(Method::GET, &location).send().await?;
    anyhow::ensure!(kept.status() == 204, "the session is gone: {}", kept.status());
    check(&server, &promised, "full").await?;
    anyhow::ensure!(server.as_robot(Method::DELETE, &location).send().await?.status() == 204);
    let head = server.as_robot(Method::HEAD, &format!("/v2/open/room/blobs/{digest}")).send().await?;
    anyhow::ensure!(head.status() == 404, "half a blob was published");
    push(&server, &promised, "open/room", "1", &Image::good(2)).await?;
    server.restart()?;
    check(&server, &promised, "after the restart").await
}
