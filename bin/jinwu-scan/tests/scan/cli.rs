//! The command line: exit codes, formats, languages, and pulling from a registry.

use crate::support::{Layer, data, digest, gzip, report, run};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;

fn alpine() -> String {
    data("images/alpine-minirootfs-3.20.3-x86_64.tar.gz").to_str().unwrap().to_owned()
}

fn busybox() -> String {
    data("images/busybox-musl-oci.tar").to_str().unwrap().to_owned()
}

#[test]
fn exit_codes() {
    assert_eq!(run(&[&busybox()]).0, 0);
    let (code, stdout, _) = run(&[&busybox(), "--level", "3"]);
    assert_eq!(code, 1, "runs as root");
    assert!(stdout.contains("裁决 拒绝") && stdout.contains("root-user"), "{stdout}");
    assert_eq!(run(&[&busybox(), "--level", "1"]).0, 0);
    assert_eq!(run(&[&busybox(), "--level", "5"]).0, 2);
    let (code, _, stderr) = run(&["./no-such-file"]);
    assert!(code == 2 && stderr.contains("no such file"), "{stderr}");
    assert_eq!(run(&["NOT A NAME"]).0, 2);
}

#[test]
fn formats_and_languages() {
    let (_, zh, _) = run(&[&alpine()]);
    assert!(zh.contains("镜像") && zh.contains("漏洞") && zh.contains("CVE-"), "{zh}");
    let (_, en, _) = run(&[&alpine(), "--lang", "en"]);
    assert!(en.contains("vulnerabilities") && !en.contains("镜像"), "{en}");
    let json = |format: &str| -> serde_json::Value { serde_json::from_str(&run(&[&alpine(), "--format", format]).1).unwrap() };
    let sarif = json("sarif");
    assert_eq!(sarif["version"], "2.1.0");
    let run = &sarif["runs"][0];
    let rules: Vec<_> = run["tool"]["driver"]["rules"].as_array().unwrap().iter().map(|r| r["id"].as_str().unwrap()).collect();
    let results = run["results"].as_array().unwrap();
    assert!(!results.is_empty() && results.iter().all(|r| rules.contains(&r["ruleId"].as_str().unwrap())));
    let bom = json("cyclonedx");
    assert_eq!((bom["bomFormat"].as_str(), bom["specVersion"].as_str()), (Some("CycloneDX"), Some("1.6")));
    let refs: Vec<_> = bom["components"].as_array().unwrap().iter().map(|c| c["bom-ref"].as_str().unwrap()).collect();
    assert!(refs.iter().any(|r| r.starts_with("pkg:apk/alpine/musl@")), "{refs:?}");
    for v in bom["vulnerabilities"].as_array().unwrap() {
        assert!(refs.contains(&v["affects"][0]["ref"].as_str().unwrap()), "{v}");
    }
}

#[test]
fn a_directory_is_a_root_file_system() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("lib/apk/db")).unwrap();
    std::fs::write(dir.path().join("lib/apk/db/installed"), "P:musl\nV:1.2.5-r0\nA:x86_64\no:musl\n\n").unwrap();
    std::os::unix::fs::symlink("/nowhere", dir.path().join("dangling")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
    std::fs::write(dir.path().join("tool"), "x").unwrap();
    std::fs::set_permissions(dir.path().join("tool"), std::os::unix::fs::PermissionsExt::from_mode(0o4755)).unwrap();
    let r = report(dir.path().to_str().unwrap());
    assert_eq!(r.packages.len(), 1);
    assert!(r.faults.is_empty() && !r.configuration.runs_as_root);
    assert_eq!(r.configuration.setuid.iter().map(|l| l.path.as_str()).collect::<Vec<_>>(), ["tool"]);
}

#[test]
fn database_information() {
    let output = std::process::Command::new(crate::support::PROGRAM).args(["db", "info"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("generation") && text.contains("alpine"), "{text}");
}

/// A registry of one image that wants a token, got with a user name and password.
struct Registry {
    address: String,
    manifest: Vec<u8>,
}

fn registry(tamper: bool) -> Registry {
    let layer = gzip(&Layer::new().file("etc/os-release", "ID=alpine\nVERSION_ID=3.20.3\n").file("data", vec![7; 2_000_000]).done());
    let tar = Layer::new().file("etc/os-release", "ID=alpine\nVERSION_ID=3.20.3\n").file("data", vec![7; 2_000_000]).done();
    let config = serde_json::json!({ "architecture": "amd64", "os": "linux", "config": { "User": "1000" }, "rootfs": { "type": "layers", "diff_ids": [digest(&tar)] } }).to_string();
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": jinwu_image::media::OCI_MANIFEST,
        "config": { "mediaType": jinwu_image::media::OCI_CONFIG, "digest": digest(config.as_bytes()), "size": config.len() },
        "layers": [{ "mediaType": jinwu_image::media::OCI_LAYER_GZIP, "digest": digest(&layer), "size": layer.len() }],
    })
    .to_string()
    .into_bytes();
    let mut sent = layer.clone();
    if tamper {
        let at = sent.len() / 2;
        sent[at] ^= 1;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let known = [
        ("/v2/team/app/manifests/v1".to_owned(), manifest.clone()),
        (format!("/v2/team/app/blobs/{}", digest(config.as_bytes())), config.into_bytes()),
        (format!("/v2/team/app/blobs/{}", digest(&layer)), sent),
    ];
    let own = address.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream);
            let mut lines = Vec::new();
            loop {
                let mut line = String::new();
                if reader.by_ref().take(8192).read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
                    break;
                }
                lines.push(line.trim().to_owned());
            }
            let path = lines.first().and_then(|l| l.split(' ').nth(1)).unwrap_or_default().to_owned();
            let authorization = lines.iter().find_map(|l| l.to_ascii_lowercase().starts_with("authorization:").then(|| l[14..].trim().to_owned()));
            let (status, extra, body) = if path.starts_with("/token") {
                match authorization.as_deref() {
                    Some("Basic dTpw") if path.contains("scope=repository%3Ateam%2Fapp%3Apull") => ("200 OK", String::new(), b"{\"token\":\"t0\"}".to_vec()),
                    _ => ("401 Unauthorized", String::new(), Vec::new()),
                }
            } else if authorization.as_deref() != Some("Bearer t0") {
                let challenge = format!("WWW-Authenticate: Bearer realm=\"http://{own}/token\",service=\"s\",scope=\"repository:team/app:pull\"\r\n");
                ("401 Unauthorized", challenge, Vec::new())
            } else {
                match known.iter().find(|(p, _)| *p == path) {
                    Some((p, body)) if p.contains("/manifests/") => {
                        ("200 OK", format!("Content-Type: {}\r\n", jinwu_image::media::OCI_MANIFEST), body.clone())
                    }
                    Some((_, body)) => ("200 OK", String::new(), body.clone()),
                    None => ("404 Not Found", String::new(), Vec::new()),
                }
            };
            let mut stream = reader.into_inner();
            let _ = write!(stream, "HTTP/1.1 {status}\r\n{extra}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(&body);
        }
    });
    Registry { address, manifest }
}

fn pull(address: &str, tag: &str, password: &str) -> (i32, String, String) {
    let output = std::process::Command::new(crate::support::PROGRAM)
        .args(["image", &format!("{address}/team/app:{tag}"), "--plain-http", "--username", "u", "--format", "json"])
        .env("JINWU_REGISTRY_PASSWORD", password)
        .output()
        .unwrap();
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn pulling_from_a_registry() {
    let good = registry(false);
    let (code, stdout, stderr) = pull(&good.address, "v1", "p");
    assert_eq!(code, 0, "{stderr}");
    let value: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(value["report"]["image"], digest(&good.manifest).to_string());
    assert_eq!(value["report"]["configuration"]["runs_as_root"], false);
    assert_eq!(value["report"]["faults"].as_array().unwrap().len(), 0);
    let (code, _, stderr) = pull(&good.address, "v2", "p");
    assert!(code == 2 && stderr.contains("404"), "{stderr}");
    let (code, _, stderr) = pull(&good.address, "v1", "wrong");
    assert!(code == 2 && stderr.contains("401") && !stderr.contains("wrong"), "{stderr}");
    let bad = registry(true);
    let (code, stdout, stderr) = pull(&bad.address, "v1", "p");
    assert_eq!(code, 2, "{stdout}");
    assert!(stderr.contains("hash to") || stdout.contains("unscannable"), "{stderr} {stdout}");
}
