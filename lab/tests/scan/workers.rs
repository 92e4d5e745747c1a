//! The scanner's death is a verdict, not an outage, and never clean.

use jinwu_lab::image::{CONFIG, File, Image, LAYER, MANIFEST, digest, gzip, noise, tar};
use jinwu_lab::{Options, Server};
use reqwest::Method;
use serde_json::json;
use std::time::Duration;

fn kill(pid: u32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid as i32) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

fn base() -> Vec<u8> {
    tar(&[
        File { path: "etc/os-release", mode: 0o644, content: b"ID=alpine\nVERSION_ID=3.20.3\n" },
        File { path: "lib/apk/db/installed", mode: 0o644, content: b"P:x\nV:1-r0\nA:x86_64\no:x\n\n" },
        File { path: "data", mode: 0o644, content: &noise(11, 4 << 20) },
    ])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_the_middle_of_a_layer_means_unscannable_and_the_next_push_is_read_anew() -> anyhow::Result<()> {
    let server = Server::start_with(Options { config: "workers = 1".into(), ..Options::default() })?;
    let (tar, layer) = (base(), gzip(&base()));
    let config = json!({"architecture": "amd64", "os": "linux", "config": {"User": "65532"}, "rootfs": {"type": "layers", "diff_ids": [digest(&tar)]}}).to_string().into_bytes();
    let image = Image::of(std::slice::from_ref(&layer), LAYER, config);
    assert!(std::str::from_utf8(&image.manifest)?.contains(CONFIG));
    server.push_blob("demo/killed", &image.config).await?;
    let started = server.as_robot(Method::POST, "/v2/demo/killed/blobs/uploads/").header("content-length", 0).send().await?;
    let location = started.headers()["location"].to_str()?.to_owned();
    assert_eq!(server.as_robot(Method::PATCH, &location).body(layer[..1 << 20].to_vec()).send().await?.status(), 202);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let workers = server.workers();
    assert_eq!(workers.len(), 1);
    workers.into_iter().for_each(kill);
    let done = server.as_robot(Method::PUT, &format!("{location}?digest={}", digest(&layer))).body(layer[1 << 20..].to_vec()).send().await?;
    assert_eq!(done.status(), 201, "the bytes are stored all the same");
    let refused = server.put_manifest("demo/killed", "1", MANIFEST, &image.manifest).await?;
    let (status, text) = (refused.status(), refused.text().await?);
    assert_eq!(status, 403, "{text}");
    assert!(text.contains("[unscannable]") && text.contains("无法扫描"), "{text}");
    let again = server.put_manifest("demo/killed", "1", MANIFEST, &image.manifest).await?;
    assert_eq!(again.status(), 201, "{}", again.text().await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scanner_that_always_dies_refuses_where_it_must_and_lets_the_registry_live() -> anyhow::Result<()> {
    let server = Server::start_with(Options {
        config: "workers = 2".into(),
        environment: vec![("JINWU_SCAN_FAILPOINT".into(), "abort".into())],
        ..Options::default()
    })?;
    let image = Image::good(21);
    let refused = server.push("demo/dead", "1", &image).await?;
    assert_eq!(refused.status(), 403);
    assert!(refused.text().await?.contains("[unscannable]"));
    assert_eq!(server.push("open/dead", "1", &image).await?.status(), 201, "a project that lets everything pass");
    assert_eq!(server.as_robot(Method::GET, "/v2/open/dead/manifests/1").send().await?.status(), 200);
    Ok(())
}
