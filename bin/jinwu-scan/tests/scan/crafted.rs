//! Images made to be dangerous, dishonest or damaged.

use crate::support::{Layer, Made, block_on, config, digest, file, gzip};
use jinwu_model::report::{Coverage, FaultKind, UnscannableReason};
use jinwu_scan::client::{LayerOutcome, Pool};
use serde_json::json;
use std::io::Read;
use tar::EntryType;

const KEY: &str = include_str!("key.pem");

#[test]
fn a_key_under_an_innocent_name_deleted_by_an_upper_layer() {
    let lower = Layer::new().file("srv/notes.txt", KEY).file("srv/kept.bin", KEY).done();
    let upper = Layer::new().file("srv/.wh.notes.txt", "").done();
    let r = Made::new(vec![lower.clone(), upper]).scan();
    let at = |path: &str| r.secrets.iter().find(|s| s.location.path == path).unwrap_or_else(|| panic!("{path}: {:?}", r.secrets));
    assert!(at("srv/notes.txt").location.deleted);
    assert!(!at("srv/kept.bin").location.deleted);
    assert_eq!(at("srv/notes.txt").location.layer, Some(digest(&lower)));
    assert!(!at("srv/notes.txt").masked.contains("PRIVATE"));
    // Opaque directory, replaced file, replaced parent.
    for upper in [
        Layer::new().file("srv/.wh..wh..opq", "").done(),
        Layer::new().file("srv/notes.txt", "clean").file("srv/kept.bin", "clean").done(),
        Layer::new().file("srv", "a file now").done(),
        Layer::new().file(".wh.srv", "").done(),
        Layer::new().file(".wh..wh..opq", "").done(),
    ] {
        let r = Made::new(vec![lower.clone(), upper]).scan();
        assert!(r.secrets.len() >= 2 && r.secrets.iter().all(|s| s.location.deleted), "{:?}", r.secrets);
    }
    // What a whiteout carries is in the image too.
    let r = Made::new(vec![Layer::new().file("srv/.wh.gone", KEY).done()]).scan();
    assert!(r.secrets.iter().any(|s| s.location.path == "srv/.wh.gone"));
}

#[test]
fn variables_and_history() {
    let mut made = Made::new(vec![Layer::new().done()]).with("Env", json!(["PATH=/bin", "DB_PASSWORD=Xk29dLq0-pw", "EMPTY"]));
    made.config["history"] = json!([{ "created_by": "/bin/sh -c export AWS=AKIAQ3EGXW5PLNMZDUVT && x" }, { "created_by": "COPY . ." }]);
    let r = made.scan();
    let found: Vec<_> = r.secrets.iter().map(|s| s.location.path.as_str()).collect();
    assert!(found.contains(&"config.Env[DB_PASSWORD]"), "{found:?}");
    assert!(found.contains(&"history[0]"), "{found:?}");
    assert!(!found.iter().any(|p| p.contains("PATH") || *p == "history[1]"), "{found:?}");
    let variable = r.secrets.iter().find(|s| s.location.path == "config.Env[DB_PASSWORD]").unwrap();
    assert_eq!(variable.variable.as_deref(), Some("DB_PASSWORD"));
    assert!(!serde_json::to_string(&r).unwrap().contains("Xk29dLq0-pw"), "the value itself is nowhere");
}

#[test]
fn who_the_image_runs_as() {
    let passwd = "root:x:0:0::/:/bin/sh\ntoor:x:0:0::/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n0x:x:5:5::/:/\n";
    let layer = Layer::new().file("etc/passwd", passwd).done();
    let of = |user: &str| {
        let c = Made::new(vec![layer.clone()]).with("User", json!(user)).scan().configuration;
        (c.runs_as_root, c.uid)
    };
    assert_eq!(of(""), (true, Some(0)));
    assert_eq!(of("0"), (true, Some(0)));
    assert_eq!(of("0:1000"), (true, Some(0)));
    assert_eq!(of("toor"), (true, Some(0)));
    assert_eq!(of("toor:app"), (true, Some(0)));
    assert_eq!(of("nobody-knows"), (true, None));
    assert_eq!(of("-1"), (true, None));
    assert_eq!(of("app:root"), (false, Some(1000)));
    assert_eq!(of("65532"), (false, Some(65532)));
    // An upper layer changes who `app` is; a link instead of the file cannot be trusted.
    let upper = Layer::new().file("etc/passwd", "app:x:0:0::/:/\n").done();
    let c = Made::new(vec![layer.clone(), upper]).with("User", json!("app")).scan().configuration;
    assert!(c.runs_as_root && c.uid == Some(0));
    let upper = Layer::new().link("etc/passwd", "/opt/passwd", EntryType::Symlink).done();
    let r = Made::new(vec![layer, upper]).with("User", json!("app")).scan();
    assert!(r.configuration.runs_as_root && r.configuration.uid.is_none());
    assert!(r.unscannable.iter().any(|u| u.detail.contains("etc/passwd is a link")), "{:?}", r.unscannable);
}

#[test]
fn ssh_and_setuid() {
    let lower = Layer::new()
        .with_mode("usr/bin/owned", "x", 0o4755)
        .with_mode("usr/bin/planted", "x", 0o4755)
        .with_mode("usr/bin/group", "x", 0o2755)
        .with_mode("opt/calm", "x", 0o4755)
        .link("bin", "usr/bin", EntryType::Symlink)
        .file("var/lib/dpkg/info/owner.list", "/bin\n/bin/owned\n")
        .file("var/lib/dpkg/status", "Package: owner\nStatus: install ok installed\nVersion: 1\n\n")
        .done();
    let upper = Layer::new().with_mode("opt/calm", "x", 0o755).link("tmp/again", "usr/bin/planted", EntryType::Link).done();
    let made = Made::new(vec![lower, upper]).with("ExposedPorts", json!({ "22/tcp": {}, "80/tcp": {} })).with("Cmd", json!(["sh", "-c", "exec /usr/sbin/sshd -D"]));
    let c = made.scan().configuration;
    let paths = |l: &[jinwu_model::report::Location]| l.iter().map(|l| l.path.clone()).collect::<Vec<_>>();
    assert_eq!(paths(&c.setuid), ["tmp/again", "usr/bin/group", "usr/bin/planted"]);
    assert_eq!(paths(&c.ssh), ["config.ExposedPorts[22/tcp]", "config.Cmd"]);
}

#[test]
fn systems_and_packages_across_layers() {
    let status = "Package: a\nStatus: install ok installed\nVersion: 1-1\nArchitecture: amd64\n\n";
    let base = Layer::new().file("usr/lib/os-release", "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=Debian\n").file("var/lib/dpkg/status", status).done();
    let link = Layer::new().link("etc/os-release", "../usr/lib/os-release", EntryType::Symlink).done();
    let more = Layer::new().file("var/lib/dpkg/status", format!("{status}Package: b\nStatus: install ok installed\nVersion: 2\nSource: src (2-3)\n")).done();
    let r = Made::new(vec![base.clone(), link.clone(), more.clone()]).scan();
    assert_eq!(r.os.as_ref().map(|o| (o.id.as_str(), o.version.as_str())), Some(("debian", "12")));
    assert_eq!(r.coverage, Coverage::Covered);
    assert!(r.unscannable.is_empty(), "{:?}", r.unscannable);
    let seen: Vec<_> = r.packages.iter().map(|p| (p.name.as_str(), p.source_name.as_str(), p.location.layer.clone())).collect();
    assert_eq!(seen, [("a", "a", Some(digest(&base))), ("b", "src", Some(digest(&more)))]);
    // The database removed, or moved behind a link: a system about which nothing is known.
    for upper in [
        Layer::new().file("var/lib/dpkg/.wh.status", "").done(),
        Layer::new().link("var/lib/dpkg", "/opt/dpkg", EntryType::Symlink).done(),
    ] {
        let r = Made::new(vec![base.clone(), upper]).scan();
        assert!(r.packages.is_empty() && matches!(r.coverage, Coverage::NotCovered { .. }), "{:?}", r.coverage);
    }
    // Distroless: one file per package.
    let r = Made::new(vec![Layer::new().file("var/lib/dpkg/status.d/tz", "Package: tzdata\nVersion: 2024a\n").file("var/lib/dpkg/status.d/tz.md5sums", "0  usr/x\n").done()]).scan();
    assert_eq!(r.packages.len(), 1);
}

#[test]
fn malware_is_found_and_named() {
    let eicar = ["X5O!P%@AP[4\\PZX54(P^)7CC)7}$", "EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"].concat();
    let lower = Layer::new().file("opt/readme", &eicar).done();
    let r = Made::new(vec![lower.clone(), Layer::new().file("opt/.wh.readme", "").done()]).scan();
    let hit = r.malware.first().expect("EICAR is found");
    assert_eq!(hit.location.path, "opt/readme");
    assert!(hit.location.deleted);
    assert_eq!(hit.sha256, digest(eicar.as_bytes()));
}

#[test]
fn dishonest_documents() {
    let layer = Layer::new().file("a", "b").done();
    let mut made = Made::new(vec![layer.clone()]);
    made.config["rootfs"]["diff_ids"] = json!([digest(b"something else")]);
    let kinds = |r: jinwu_model::report::ImageReport| r.faults.iter().map(|f| f.kind).collect::<Vec<_>>();
    assert_eq!(kinds(made.scan()), [FaultKind::DiffIdMismatch]);
    made.config["rootfs"]["diff_ids"] = json!([]);
    assert_eq!(kinds(made.scan()), [FaultKind::LayerCountMismatch]);
    let made = Made::new(vec![layer.clone()]);
    let twice = made.config.to_string().replacen("\"config\":{}", "\"config\":{\"User\":\"app\",\"user\":\"root\"}", 1);
    assert_eq!(kinds(made.scan_raw(None, Some(&twice))), [FaultKind::AmbiguousJson]);
    assert_eq!(kinds(made.scan_raw(Some("{\"layers\":[],\"layers\":[]}"), None)), [FaultKind::AmbiguousJson]);
    let r = made.scan_raw(None, Some("no json"));
    assert!(r.unscannable.iter().any(|u| u.reason == UnscannableReason::Unreadable && u.detail.contains("config")));
    let mut made = Made::new(vec![layer]);
    for (media_type, reason) in [
        ("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", UnscannableReason::Encrypted),
        ("application/x-unknown", UnscannableReason::UnknownFormat),
    ] {
        made.media_type = media_type;
        let r = made.scan();
        assert_eq!(r.unscannable.iter().map(|u| u.reason).collect::<Vec<_>>(), [reason]);
    }
    made.media_type = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    assert_eq!(kinds(made.scan()), [FaultKind::ForeignLayer]);
}

#[test]
fn damaged_and_oversized_layers() {
    let good = Layer::new().file("a", vec![1; 100_000]).done();
    let zipped = gzip(&good);
    let mut wrong = good.clone();
    wrong[1] ^= 1;
    let hidden = [&good[..], KEY.as_bytes()].concat();
    let bomb = {
        let mut header = tar::Header::new_gnu();
        header.set_path("zeros").unwrap();
        header.set_size(3 << 30);
        header.set_mode(0o644);
        header.set_cksum();
        let mut encoder = flate2::GzBuilder::new().read(header.as_bytes().chain(std::io::repeat(0).take(1 << 30)), flate2::Compression::best());
        let mut bytes = Vec::new();
        encoder.read_to_end(&mut bytes).unwrap();
        bytes
    };
    block_on(async {
        let pool = Pool::start(config()).await.unwrap();
        let of = async |bytes: &[u8]| pool.analyze_stored(file(bytes), bytes.len() as u64, None).await;
        let reason = |outcome: LayerOutcome| match outcome {
            LayerOutcome::Unscannable { reason, detail } => (reason, detail),
            other => panic!("{other:?}"),
        };
        let (r, detail) = reason(of(&zipped[..zipped.len() / 2]).await);
        assert!(r == UnscannableReason::Unreadable && detail.contains("ends too early"), "{detail}");
        let (r, detail) = reason(of(&wrong).await);
        assert!(r == UnscannableReason::Unreadable && detail.contains("checksum"), "{detail}");
        let (r, detail) = reason(of(&bomb).await);
        assert!(r == UnscannableReason::TooLarge && detail.contains("bomb"), "{detail}");
        assert!(matches!(of(&hidden).await, LayerOutcome::Analysis { .. }));
    });
    let r = Made::new(vec![hidden]).scan();
    assert!(r.unscannable.iter().any(|u| u.detail.contains("follow the end of the tar")), "{:?}", r.unscannable);
}

#[test]
fn a_million_entries_and_deep_paths() {
    let mut tar = Vec::with_capacity(600 << 20);
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    header.set_mode(0o644);
    for i in 0..1_000_000_u32 {
        header.set_path(format!("d{}/f{i}", i % 1000)).unwrap();
        header.set_cksum();
        tar.extend_from_slice(header.as_bytes());
    }
    tar.resize(tar.len() + 1024, 0);
    let deep = Layer::new().file(&"d/".repeat(1900), "").file(&format!("{}key", "e/".repeat(1900)), KEY).done();
    block_on(async {
        let pool = Pool::start(config()).await.unwrap();
        let started = std::time::Instant::now();
        let outcome = pool.analyze_stored(file(&tar), tar.len() as u64, None).await;
        assert!(matches!(&outcome, LayerOutcome::Analysis { bytes, .. } if bytes.len() < 17_000_000), "a million entries");
        assert!(started.elapsed().as_secs() < 30);
    });
    let r = Made::new(vec![deep]).scan();
    assert!(r.secrets.iter().any(|s| s.location.path.ends_with("e/key")));
}
