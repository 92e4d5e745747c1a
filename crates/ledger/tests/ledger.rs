//! The ledger as its users see it: durable, searchable, and unforgeable.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

use jinwu_ledger::{Config, Head, Ledger, Query, verify};
use jinwu_model::{Kind, Outcome, Record, Subject};
use jinwu_trust::SigningKey;
use std::path::Path;

fn record(n: u64) -> Record {
    Record::new(1_700_000_000_000 + n as i64, Kind::Push, Subject::user("alice"), "push", format!("demo/app:{n}"))
        .from(Some("192.0.2.7".parse().unwrap()))
        .with("digest", format!("sha256:{n:064x}"))
}

fn config(dir: &Path) -> Config {
    let key = SigningKey::load_or_create(&dir.join("key.pem")).unwrap();
    Config::under(dir, key)
}

async fn filled(dir: &Path, segments: u64, each: u64) -> Config {
    let config = config(dir);
    let ledger = Ledger::open(config.clone()).unwrap();
    let mut n = 0;
    for s in 0..segments {
        for _ in 0..each {
            n += 1;
            ledger.append(vec![record(n)]).await.unwrap();
        }
        if s + 1 < segments {
            ledger.seal().await.unwrap();
        }
    }
    config
}

fn heads(config: &Config) -> Vec<Head> {
    Head::read_all(&config.heads).unwrap()
}

#[tokio::test]
async fn appended_records_are_found_again_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let config = filled(dir.path(), 2, 5).await;
    let ledger = Ledger::open(config.clone()).unwrap();
    let denied = record(11).outcome(Outcome::Denied);
    assert_eq!(ledger.append(vec![denied]).await.unwrap(), 11);
    let all = ledger.search(Query::default()).await.unwrap();
    assert_eq!(all.iter().map(|f| f.seq).collect::<Vec<_>>(), (1..=11).rev().collect::<Vec<_>>());
    assert_eq!(all[10].record, record(1));
    let one = ledger.search(Query { object: Some("app:7".into()), ..Query::default() }).await.unwrap();
    assert_eq!(one.len(), 1);
    let denied = ledger.search(Query { outcome: Some("denied".into()), ..Query::default() }).await.unwrap();
    assert_eq!(denied.len(), 1);
    let none = ledger.search(Query { subject: Some("mallory".into()), ..Query::default() }).await.unwrap();
    assert!(none.is_empty());
    let since = ledger.search(Query { since: Some(1_700_000_000_010), ..Query::default() }).await.unwrap();
    assert_eq!(since.len(), 2);
    let v = verify(&config.dir, Some(&heads(&config))).unwrap();
    assert!(v.intact, "{v:?}");
    assert_eq!((v.records, v.sealed, v.unsealed_records), (11, 1, 6));
}

#[tokio::test]
async fn a_lost_index_is_rebuilt() {
    let dir = tempfile::tempdir().unwrap();
    let config = filled(dir.path(), 3, 4).await;
    std::fs::remove_dir_all(config.index.parent().unwrap()).unwrap();
    let ledger = Ledger::open(config).unwrap();
    assert_eq!(ledger.search(Query::default()).await.unwrap().len(), 12);
}

#[tokio::test]
async fn every_flipped_byte_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let config = filled(dir.path(), 2, 3).await;
    let heads = heads(&config);
    for name in ["segment-00000001.jwl", "segment-00000002.jwl"] {
        let path = config.dir.join(name);
        let good = std::fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            std::fs::write(&path, &bad).unwrap();
            let v = verify(&config.dir, None).unwrap();
            assert!(!v.intact, "{name} byte {at} flipped unnoticed");
            assert_eq!(v.faults[0].file, name);
            assert!(v.faults[0].offset <= at as u64, "{:?} for byte {at}", v.faults[0]);
        }
        std::fs::write(&path, &good).unwrap();
    }
    assert!(verify(&config.dir, Some(&heads)).unwrap().intact);
}

#[tokio::test]
async fn cuts_swaps_and_missing_segments_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let config = filled(dir.path(), 4, 3).await;
    let path = |n: u32| config.dir.join(format!("segment-{n:08}.jwl"));
    let (one, two, last) = (std::fs::read(path(1)).unwrap(), std::fs::read(path(2)).unwrap(), std::fs::read(path(4)).unwrap());

    std::fs::write(path(1), &one[..one.len() - 10]).unwrap();
    assert!(!verify(&config.dir, None).unwrap().intact, "a cut inside a sealed segment");
    std::fs::write(path(1), &two).unwrap();
    std::fs::write(path(2), &one).unwrap();
    assert!(!verify(&config.dir, None).unwrap().intact, "swapped segments");
    std::fs::write(path(1), &one).unwrap();
    std::fs::remove_file(path(2)).unwrap();
    let v = verify(&config.dir, None).unwrap();
    assert!(v.faults.iter().any(|f| f.detail.contains("segment 2 is missing")), "{v:?}");
    std::fs::write(path(2), &two).unwrap();

    // The end: whole blocks cut off, and a whole segment gone. Only heads can tell.
    let heads = heads(&config);
    std::fs::remove_file(path(4)).unwrap();
    let without = verify(&config.dir, None).unwrap();
    assert!(without.intact && !without.cannot_exclude.is_empty());
    let with = verify(&config.dir, Some(&heads)).unwrap();
    assert!(!with.intact && with.faults[0].detail.contains("cut off"), "{with:?}");
    std::fs::write(path(4), &last).unwrap();
    assert!(verify(&config.dir, Some(&heads)).unwrap().intact);
}

#[tokio::test]
async fn a_rewrite_of_the_whole_is_betrayed_by_heads() {
    let dir = tempfile::tempdir().unwrap();
    let config = filled(dir.path(), 2, 3).await;
    let kept = heads(&config);
    std::fs::remove_dir_all(&config.dir).unwrap();
    std::fs::remove_dir_all(config.index.parent().unwrap()).unwrap();
    std::fs::remove_file(&config.heads).unwrap();
    // The forger holds the key and writes as many records, one of them different.
    let ledger = Ledger::open(config.clone()).unwrap();
    for n in 1..=6 {
        ledger.append(vec![record(n * 7)]).await.unwrap();
        if n == 3 {
            ledger.seal().await.unwrap();
        }
    }
    assert!(verify(&config.dir, None).unwrap().intact);
    let v = verify(&config.dir, Some(&kept)).unwrap();
    assert!(v.faults.iter().any(|f| f.detail.contains("rewritten")), "{v:?}");
}

#[tokio::test]
async fn what_a_crash_left_half_written_goes_and_what_was_answered_stays() {
    let dir = tempfile::tempdir().unwrap();
    let config = filled(dir.path(), 1, 4).await;
    let path = config.dir.join("segment-00000001.jwl");
    let good = std::fs::read(&path).unwrap();
    for torn in [1usize, 159, 160, 200] {
        let mut bytes = good.clone();
        let block = good[good.len() - 300..].to_vec();
        bytes.extend_from_slice(&block[..torn.min(block.len())]);
        std::fs::write(&path, &bytes).unwrap();
        let ledger = Ledger::open(config.clone()).unwrap();
        assert_eq!(ledger.search(Query::default()).await.unwrap().len(), 4);
        drop(ledger);
    }
    // A committed block that is damaged is not "half written": the ledger refuses.
    let mut bytes = good.clone();
    let end = bytes.len() - 5;
    bytes[end] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let error = Ledger::open(config.clone()).err().unwrap().to_string();
    assert!(error.contains("segment-00000001.jwl") && error.contains("committed"), "{error}");
    std::fs::write(&path, &good[..good.len() - 400]).unwrap();
    assert!(Ledger::open(config).is_err(), "answered records that are gone are not a crash");
}

#[tokio::test]
async fn a_full_disk_refuses_and_later_goes_on() {
    // RLIMIT_FSIZE would end the process; a tiny file system gives the same answer as a full disk.
    let dir = tempfile::tempdir().unwrap();
    let mount = dir.path().join("small");
    std::fs::create_dir(&mount).unwrap();
    let run = |args: &[&str]| std::process::Command::new(args[0]).args(&args[1..]).status().unwrap().success();
    assert!(run(&["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", mount.to_str().unwrap()]), "needs root to mount a tmpfs");
    let mut config = config(dir.path());
    config.dir = mount.join("ledger");
    let ledger = Ledger::open(config.clone()).unwrap();
    let filler = mount.join("filler");
    ledger.append(vec![record(1)]).await.unwrap();
    let _ = std::fs::write(&filler, vec![1u8; 1 << 20]);
    let mut refused = None;
    for n in 2..2000 {
        if let Err(e) = ledger.append(vec![record(n)]).await {
            refused = Some(e.to_string());
            break;
        }
    }
    let refused = refused.expect("a full disk must refuse");
    assert!(refused.contains("cannot be written"), "{refused}");
    std::fs::remove_file(&filler).unwrap();
    let last = ledger.append(vec![record(9999)]).await.unwrap();
    let found = ledger.search(Query { limit: Some(10_000), ..Query::default() }).await.unwrap();
    assert_eq!(found.len() as u64, last);
    let v = verify(&config.dir, Some(&heads(&config))).unwrap();
    assert!(v.intact, "{v:?}");
    drop(ledger);
    assert!(run(&["umount", "-l", mount.to_str().unwrap()]));
}

#[tokio::test]
async fn concurrent_appends_share_commits_and_keep_order() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    let ledger = Ledger::open(config.clone()).unwrap();
    let mut tasks = Vec::new();
    for t in 0..32u64 {
        let ledger = ledger.clone();
        tasks.push(tokio::spawn(async move {
            let mut last = 0;
            for n in 0..50 {
                let seq = ledger.append(vec![record(t * 1000 + n), record(t * 1000 + n)]).await.unwrap();
                assert!(seq > last);
                last = seq;
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let v = verify(&config.dir, Some(&heads(&config))).unwrap();
    assert!(v.intact);
    assert_eq!(v.records, 3200);
}
