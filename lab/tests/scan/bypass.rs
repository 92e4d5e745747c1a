//! Ways round the gate that must not be ways.

use jinwu_lab::image::{CONFIG, File, Image, LAYER, MANIFEST, digest, gzip, noise, tar};
use jinwu_lab::{Options, Server};
use reqwest::Method;
use serde_json::{Value, json};

/// A private key as OpenSSH writes it, made now.
fn key() -> anyhow::Result<Vec<u8>> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("k");
    jinwu_lab::program::run(
        std::process::Command::new(jinwu_lab::program::installed("ssh-keygen")?).args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&path),
    )?;
    Ok(std::fs::read(path)?)
}

fn base() -> Vec<u8> {
    tar(&[
        File { path: "etc/os-release", mode: 0o644, content: b"ID=alpine\nVERSION_ID=3.20.3\n" },
        File { path: "lib/apk/db/installed", mode: 0o644, content: b"P:x\nV:1-r0\nA:x86_64\no:x\n\n" },
    ])
}

fn user() -> Value {
    json!({"User": "65532"})
}

async fn refused_for(server: &Server, repository: &str, image: &Image, policy: &str) -> anyhow::Result<()> {
    let answer = server.push(repository, "1", image).await?;
    let (status, text) = (answer.status().as_u16(), answer.text().await?);
    anyhow::ensure!(status == 403 && text.contains(&format!("[{policy}]")), "{repository}: expected a refusal by {policy}, got {status} {text}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_found_by_whatever_way_its_layer_came() -> anyhow::Result<()> {
    let mut server = Server::start()?;
    let secret = tar(&[File { path: "usr/share/notes.txt", mode: 0o644, content: &key()? }]);
    let bad = Image::new(&[base(), secret.clone()], &user());
    refused_for(&server, "demo/direct", &bad, "embedded-secret").await?;
    // Deleted in an upper layer: still in the image.
    let upper = tar(&[File { path: "usr/share/.wh.notes.txt", mode: 0o644, content: b"" }]);
    refused_for(&server, "demo/deleted", &Image::new(&[base(), secret.clone(), upper], &user()), "embedded-secret").await?;
    // Stored by way of a project that lets everything pass, then mounted.
    assert_eq!(server.push("open/carrier", "1", &bad).await?.status(), 201);
    for blob in bad.blobs() {
        let mounted = server.as_robot(Method::POST, &format!("/v2/demo/mounted/blobs/uploads/?mount={}&from=open/carrier", digest(blob))).header("content-length", 0).send().await?;
        assert_eq!(mounted.status(), 201);
    }
    let answer = server.put_manifest("demo/mounted", "1", MANIFEST, &bad.manifest).await?;
    assert_eq!(answer.status(), 403);
    // Stored before a crash, every analysis lost with it.
    server.kill();
    std::fs::remove_dir_all(server.data.join("scan"))?;
    server.restart()?;
    let answer = server.put_manifest("demo/mounted", "1", MANIFEST, &bad.manifest).await?;
    assert_eq!(answer.status(), 403, "layers from before are read again");
    // In pieces, resumed after a restart.
    let fresh = Image::new(&[base(), tar(&[File { path: "usr/lib/x", mode: 0o644, content: &[key()?, noise(3, 200_000)].concat() }])], &user());
    for blob in [&fresh.layers[0], &fresh.config] {
        server.push_blob("demo/resumed", blob).await?;
    }
    let layer = fresh.layers[1].clone();
    let started = server.as_robot(Method::POST, "/v2/demo/resumed/blobs/uploads/").header("content-length", 0).send().await?;
    let location = started.headers()["location"].to_str()?.to_owned();
    assert_eq!(server.as_robot(Method::PATCH, &location).body(layer[..50_000].to_vec()).send().await?.status(), 202);
    server.restart()?;
    let done = server.as_robot(Method::PUT, &format!("{location}?digest={}", digest(&layer))).body(layer[50_000..].to_vec()).send().await?;
    assert_eq!(done.status(), 201, "{}", done.text().await?);
    let answer = server.put_manifest("demo/resumed", "1", MANIFEST, &fresh.manifest).await?;
    assert_eq!(answer.status(), 403);
    assert!(answer.text().await?.contains("[embedded-secret]"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_what_it_says_is_refused() -> anyhow::Result<()> {
    let server = Server::start()?;
    let layer = gzip(&base());
    let config = |diff: &str| json!({"architecture": "amd64", "os": "linux", "config": user(), "rootfs": {"type": "layers", "diff_ids": [diff]}}).to_string().into_bytes();
    let right = digest(&base());
    assert_eq!(server.push("demo/control", "1", &Image::of(std::slice::from_ref(&layer), LAYER, config(&right))).await?.status(), 201);
    refused_for(&server, "demo/diff", &Image::of(std::slice::from_ref(&layer), LAYER, config(&digest(b"other"))), "integrity").await?;
    // Twice the same member, or the same but for case: readers disagree about what it says.
    for (name, twisted) in [
        ("twice", String::from_utf8(config(&right))?.replacen("\"os\"", "\"architecture\":\"arm64\",\"os\"", 1)),
        ("case", String::from_utf8(config(&right))?.replacen("\"os\"", "\"Config\":{\"User\":\"0\"},\"os\"", 1)),
    ] {
        refused_for(&server, &format!("demo/{name}"), &Image::of(std::slice::from_ref(&layer), LAYER, twisted.into_bytes()), "integrity").await?;
    }
    // A layer to be fetched from elsewhere.
    let mut foreign = Image::of(std::slice::from_ref(&layer), LAYER, config(&right));
    let mut manifest: Value = serde_json::from_slice(&foreign.manifest)?;
    manifest["layers"] = json!([manifest["layers"][0], {"mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "digest": digest(b"elsewhere"), "size": 9, "urls": ["https://example.com/l"]}]);
    foreign.manifest = manifest.to_string().into_bytes();
    refused_for(&server, "demo/foreign", &foreign, "integrity").await?;
    // An image dressed as a chart.
    let mut dressed = Image::of(std::slice::from_ref(&layer), LAYER, config(&right));
    dressed.manifest = String::from_utf8(dressed.manifest)?.replace(CONFIG, "application/vnd.cncf.helm.config.v1+json").into_bytes();
    refused_for(&server, "demo/dressed", &dressed, "integrity").await?;
    // Damaged, cut, encrypted, not a layer at all.
    let mut cut = layer.clone();
    cut.truncate(layer.len() / 2);
    refused_for(&server, "demo/cut", &Image::of(&[cut], LAYER, config(&right)), "unscannable").await?;
    refused_for(&server, "demo/noise", &Image::of(&[noise(4, 5000)], LAYER, config(&right)), "unscannable").await?;
    let encrypted = "application/vnd.oci.image.layer.v1.tar+gzip+encrypted";
    refused_for(&server, "demo/encrypted", &Image::of(&[noise(5, 5000)], encrypted, config(&right)), "unscannable").await?;
    Ok(())
}

/// 10 GB of zeros in 10 MB: bounded time and memory, and never clean.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bomb_is_bounded() -> anyhow::Result<()> {
    let server = Server::start_with(Options::default())?;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let mut header = tar::Header::new_gnu();
    header.set_path("zeros")?;
    header.set_size(10 << 30);
    header.set_mode(0o644);
    header.set_cksum();
    std::io::Write::write_all(&mut encoder, header.as_bytes())?;
    let zeros = vec![0u8; 1 << 20];
    for _ in 0..10 << 10 {
        std::io::Write::write_all(&mut encoder, &zeros)?;
    }
    let bomb = encoder.finish()?;
    let image = Image::of(&[gzip(&base()), bomb], LAYER, json!({"config": user(), "rootfs": {"type": "layers", "diff_ids": [digest(&base()), digest(b"x")]}}).to_string().into_bytes());
    let begun = std::time::Instant::now();
    refused_for(&server, "demo/bomb", &image, "unscannable").await?;
    assert!(begun.elapsed().as_secs() < 120, "{:?}", begun.elapsed());
    assert_eq!(server.push("demo/after", "1", &Image::good(8)).await?.status(), 201, "and the next image is served");
    Ok(())
}
