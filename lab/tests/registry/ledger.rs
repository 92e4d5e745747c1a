//! The ledger of a running server, verified offline by the command line.

use jinwu_lab::{Server, image, program};
use serde_json::json;
use std::path::{Path, PathBuf};

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

fn verify(dir: &Path, head: Option<&Path>) -> anyhow::Result<(Option<i32>, String)> {
    let mut command = std::process::Command::new(program::built("jinwu")?);
    command.args(["--lang", "en", "ledger", "verify", "--dir"]).arg(dir);
    if let Some(head) = head {
        command.arg("--head").arg(head);
    }
    let output = command.output()?;
    Ok((output.status.code(), program::said(&output)))
}

fn segments(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut all: Vec<PathBuf> = std::fs::read_dir(dir)?.filter_map(|e| e.ok().map(|e| e.path())).filter(|p| p.extension().is_some_and(|e| e == "jwl")).collect();
    all.sort();
    Ok(all)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_manipulation_is_found_offline() -> anyhow::Result<()> {
    let server = Server::start()?;
    let audit = server.log_in("auditadmin").await?;
    for seed in 0..3 {
        assert_eq!(server.push("open/l", &format!("t{seed}"), &image::Image::good(seed)).await?.status(), 201);
        audit.ok("POST", "/ledger/seal", None).await?;
    }
    assert_eq!(server.push("open/l", "tail", &image::Image::good(9)).await?.status(), 201);
    let online = audit.ok("GET", "/ledger/verify", None).await?;
    assert_eq!(online["intact"], true, "{online}");
    let (ledger, heads) = (server.data.join("ledger"), server.data.join("ledger-heads").join("heads.jsonl"));
    let names: Vec<String> = std::fs::read_dir(&ledger)?.filter_map(|e| Some(e.ok()?.file_name().to_string_lossy().into_owned())).collect();
    assert!(names.iter().all(|n| n == "public-key.pem" || n.ends_with(".jwl")), "segments and key lie alone: {names:?}");
    let work = server.folder().join("copy");
    let fresh = |name: &str| -> anyhow::Result<PathBuf> {
        let to = work.join(name);
        copy(&ledger, &to)?;
        Ok(to)
    };
    let dir = fresh("whole")?;
    let (code, said) = verify(&dir, Some(&heads))?;
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = verify(&dir, None)?;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("cannot exclude") && said.contains("--head"), "{said}");

    let dir = fresh("flip")?;
    let all = segments(&dir)?;
    assert!(all.len() >= 4);
    let mut bytes = std::fs::read(&all[1])?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&all[1], &bytes)?;
    let (code, said) = verify(&dir, None)?;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("segment-00000002.jwl"), "{said}");

    let dir = fresh("missing")?;
    std::fs::remove_file(&segments(&dir)?[1])?;
    assert_eq!(verify(&dir, None)?.0, Some(1));

    let dir = fresh("swapped")?;
    let all = segments(&dir)?;
    let (a, b) = (std::fs::read(&all[0])?, std::fs::read(&all[1])?);
    std::fs::write(&all[0], b)?;
    std::fs::write(&all[1], a)?;
    assert_eq!(verify(&dir, None)?.0, Some(1));

    let dir = fresh("cut")?;
    let all = segments(&dir)?;
    let last = all.last().cloned().unwrap_or_default();
    let text = std::fs::read(&last)?;
    std::fs::write(&last, &text[..text.len() - 7])?;
    assert_eq!(verify(&dir, None)?.0, Some(1), "a cut inside a block");

    let dir = fresh("end")?;
    std::fs::remove_file(segments(&dir)?.last().cloned().unwrap_or_default())?;
    assert_eq!(verify(&dir, None)?.0, Some(0), "the chain alone cannot see that its end is gone");
    let (code, said) = verify(&dir, Some(&heads))?;
    assert_eq!(code, Some(1), "the heads can: {said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_say_who_what_from_where_and_hide_secrets() -> anyhow::Result<()> {
    let server = Server::start()?;
    assert_eq!(server.push("open/r", "1", &image::Image::good(1)).await?.status(), 201);
    let sys = server.log_in("sysadmin").await?;
    let secret = "postgres://app:S3cretPassw0rd9x@db.example/prod";
    let _ = sys.call("POST", "/grants", Some(&json!({"change": "member", "project": "open", "account": "sysadmin", "role": "guest", "reason": secret}))).await?;
    let robot = sys.ok("POST", "/robots", Some(&json!({"name": "ci", "days": 3}))).await?;
    let audit = server.log_in("auditadmin").await?;
    let pushes = audit.records("kind=push&object=open/r").await?;
    assert_eq!(pushes.len(), 1, "{pushes:?}");
    assert_eq!(pushes[0]["subject"], json!({"kind": "robot", "name": "demo-robot"}));
    assert_eq!((pushes[0]["source"].as_str(), pushes[0]["outcome"].as_str()), (Some("127.0.0.1"), Some("success")));
    let robots = audit.records("kind=robot").await?;
    let stages: Vec<&str> = robots.iter().filter_map(|r| r["outcome"].as_str()).collect();
    assert_eq!(stages, ["success", "requested"], "recorded before and after");
    let all = audit.records("").await?;
    let text = serde_json::to_string(&all)?;
    for hidden in ["S3cretPassw0rd9x", robot["secret"].as_str().unwrap_or("?"), server.robot().1] {
        assert!(!text.contains(hidden), "{hidden} stands in a record");
    }
    let kinds: std::collections::BTreeSet<&str> = all.iter().filter_map(|r| r["kind"].as_str()).collect();
    for kind in ["login", "push", "grant", "robot", "system", "account"] {
        assert!(kinds.contains(kind), "{kind} is missing: {kinds:?}");
    }
    Ok(())
}

/// A ledger that cannot be written stops everything that must be recorded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_below_the_ledger_stops_the_doors_and_loses_nothing() -> anyhow::Result<()> {
    let folder = std::sync::Arc::new(tempfile::Builder::new().prefix("jinwu-lab-").tempdir()?);
    let small = folder.path().join("data").join("ledger");
    std::fs::create_dir_all(&small)?;
    program::run(std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(&small))?;
    struct Unmount(PathBuf);
    impl Drop for Unmount {
        fn drop(&mut self) {
            let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
        }
    }
    let _unmount = Unmount(small.clone());
    let mut server = Server::start_with(jinwu_lab::Options { folder: Some(folder.clone()), ..Default::default() })?;
    let picture = image::Image::good(1);
    assert_eq!(server.push("open/full", "0", &picture).await?.status(), 201);
    std::fs::write(small.join("filler"), vec![0u8; 1 << 20]).err();
    let mut refused = None;
    for i in 0..200 {
        let pulled = server.as_robot(reqwest::Method::GET, "/v2/open/full/manifests/0").send().await?;
        if pulled.status() != 200 {
            refused = Some((i, pulled.status()));
            break;
        }
    }
    assert_eq!(refused.map(|r| r.1.as_u16()), Some(503), "{refused:?}");
    assert!(server.push("open/full", "1", &image::Image::good(2)).await.is_err() || server.as_robot(reqwest::Method::HEAD, "/v2/open/full/manifests/1").send().await?.status() == 404);
    std::fs::remove_file(small.join("filler"))?;
    let pulled = server.as_robot(reqwest::Method::GET, "/v2/open/full/manifests/0").send().await?;
    assert_eq!(pulled.status(), 200, "room again: the doors open without a restart");
    server.restart()?;
    assert_eq!(verify(&small, Some(&server.data.join("ledger-heads").join("heads.jsonl")))?.0, Some(0));
    Ok(())
}
