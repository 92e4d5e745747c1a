//! The pool: what happens to a layer when its worker dies, hangs, grows, or is fed slowly; and what a
//! worker cannot do.

use crate::support::{Layer, block_on, config, digest, failing, file, gzip};
use jinwu_model::report::UnscannableReason;
use jinwu_scan::client::{LayerOutcome, Pool, PoolConfig};
use std::io::Write;
use std::time::{Duration, Instant};

fn small() -> Vec<u8> {
    gzip(&Layer::new().file("etc/hostname", "x\n").done())
}

fn reason(outcome: &LayerOutcome) -> (UnscannableReason, &str) {
    match outcome {
        LayerOutcome::Unscannable { reason, detail } => (*reason, detail),
        other => panic!("{other:?}"),
    }
}

/// One stored layer through a pool made like this.
fn one(config: PoolConfig) -> LayerOutcome {
    block_on(async {
        let pool = Pool::start(config).await.unwrap();
        let bytes = small();
        pool.analyze_stored(file(&bytes), bytes.len() as u64, None).await
    })
}

#[test]
fn what_the_sandbox_forbids_does_not_happen() {
    for (attempt, end) in
        [("open", "exit code 43"), ("write", "exit code 43"), ("connect", "signal 31"), ("unix", "signal 31"), ("exec", "signal 31")]
    {
        let outcome = one(failing(attempt));
        let (reason, detail) = reason(&outcome);
        assert_eq!(reason, UnscannableReason::WorkerCrashed, "{attempt}");
        assert!(detail.contains(end), "{attempt}: {detail}");
    }
    assert!(!std::path::Path::new("/tmp/jinwu-scan-sandbox").exists());
}

/// An allocator gives memory back to the kernel in its own time and looks into `/proc` before: that
/// must not end the worker.
#[test]
fn large_files_one_after_another_leave_the_worker_alive() {
    block_on(async {
        let pool = Pool::start(config()).await.unwrap();
        let pids = pool.pids();
        let bytes = gzip(&Layer::new().file("zeros", vec![0; 100 << 20]).file("ones", vec![1; 70 << 20]).done());
        for _ in 0..4 {
            let outcome = pool.analyze_stored(file(&bytes), bytes.len() as u64, None).await;
            assert!(matches!(outcome, LayerOutcome::Analysis { .. }), "{outcome:?}");
        }
        assert_eq!(pool.pids(), pids);
    });
}

#[test]
fn landlock_alone_stops_every_file() {
    // A thread of its own: what landlock takes away it takes from this thread only.
    std::thread::spawn(|| match jinwu_scan::worker::sandbox::no_files() {
        Ok(()) => {
            let error = std::fs::File::open("/etc/passwd").unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
        }
        Err(missing) => {
            // Then the worker must say so.
            let warnings = block_on(async { Pool::start(config()).await.unwrap().warnings() });
            assert!(warnings.iter().any(|w| w.contains("landlock")), "{missing}: {warnings:?}");
        }
    })
    .join()
    .unwrap();
}

#[test]
fn a_worker_that_crashes_hangs_or_grows_is_replaced() {
    let outcome = one(failing("abort"));
    assert_eq!(reason(&outcome).0, UnscannableReason::WorkerCrashed);
    assert!(reason(&outcome).1.contains("signal 6"), "{outcome:?}");
    let mut hang = failing("hang");
    hang.layer_timeout = Duration::from_millis(600);
    assert_eq!(reason(&one(hang)).0, UnscannableReason::TimedOut);
    let mut grow = failing("grow");
    grow.memory_limit = 512 << 20;
    assert_eq!(reason(&one(grow)).0, UnscannableReason::TooLarge);
}

#[test]
fn kill_9_mid_layer_is_a_crash_and_the_next_layer_is_fine() {
    block_on(async {
        let pool = Pool::start(config()).await.unwrap();
        let bytes = small();
        let (progress, pending) = pool.analyze(file(&bytes), None);
        progress.available(10);
        tokio::time::sleep(Duration::from_millis(300)).await;
        let pids = pool.pids();
        assert_eq!(pids.len(), 1);
        std::process::Command::new("kill").args(["-9", &pids[0].to_string()]).status().unwrap();
        let outcome = tokio::time::timeout(Duration::from_secs(10), pending).await.unwrap();
        assert_eq!(reason(&outcome).0, UnscannableReason::WorkerCrashed);
        assert!(reason(&outcome).1.contains("signal 9"), "{outcome:?}");
        let next = pool.analyze_stored(file(&bytes), bytes.len() as u64, Some(digest(&bytes))).await;
        assert!(matches!(next, LayerOutcome::Analysis { .. }), "{next:?}");
        assert_ne!(pool.pids(), pids);
    });
}

#[test]
fn a_growing_file_is_read_as_it_grows() {
    block_on(async {
        let pool = Pool::start(config()).await.unwrap();
        let tar = Layer::new().file("a", vec![1; 300_000]).file("b", "end").done();
        let bytes = gzip(&tar);
        let mut writer = tempfile::tempfile().unwrap();
        let (progress, pending) = pool.analyze(writer.try_clone().unwrap(), None);
        let mut written = 0;
        for piece in bytes.chunks(bytes.len() / 7 + 1) {
            writer.write_all(piece).unwrap();
            written += piece.len() as u64;
            progress.available(written);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        progress.finished(written);
        match pending.await {
            LayerOutcome::Analysis { diff_id, .. } => assert_eq!(diff_id, digest(&tar)),
            other => panic!("{other:?}"),
        }
        // Given up, changed, and no layer at all.
        let (progress, pending) = pool.analyze(file(&bytes), None);
        progress.available(20);
        drop(progress);
        assert!(reason(&pending.await).1.contains("given up"));
        let wrong = pool.analyze_stored(file(&bytes), bytes.len() as u64, Some(digest(b"other"))).await;
        assert!(reason(&wrong).1.contains("hash to"), "{wrong:?}");
        assert_eq!(pool.analyze_stored(file(b"{}"), 2, None).await, LayerOutcome::NotALayer);
        let short = pool.analyze_stored(file(&bytes), bytes.len() as u64 + 5, None).await;
        assert_eq!(reason(&short).0, UnscannableReason::Unreadable);
    });
}

#[test]
fn the_queue_is_bounded_and_a_slow_upload_yields() {
    block_on(async {
        let mut config = config();
        config.queue = 2;
        config.patience = Duration::from_millis(300);
        let pool = Pool::start(config).await.unwrap();
        let bytes = small();
        let stored = || pool.analyze_stored(file(&bytes), bytes.len() as u64, None);
        let (slow, slow_pending) = pool.analyze(file(&bytes), None);
        slow.available(10);
        tokio::time::sleep(Duration::from_millis(200)).await;
        let waiting = [stored(), stored()];
        let refused = stored().await;
        assert!(matches!(&refused, LayerOutcome::Busy { detail } if detail.contains("2 scans wait")), "{refused:?}");
        let started = Instant::now();
        for pending in waiting {
            let outcome = tokio::time::timeout(Duration::from_secs(20), pending).await.unwrap();
            assert!(matches!(outcome, LayerOutcome::Analysis { .. }));
        }
        assert!(started.elapsed() < Duration::from_secs(10));
        // The slow one is read again when it is complete.
        slow.finished(bytes.len() as u64);
        assert!(matches!(slow_pending.await, LayerOutcome::Analysis { .. }));
    });
}

/// Two threads share a large layer; who was faster must not show.
#[test]
fn the_same_bytes_give_the_same_analysis() {
    let eicar = ["X5O!P%@AP[4\\PZX54(P^)7CC)7}$", "EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"].concat();
    let mut layer = Layer::new();
    for i in 0..400 {
        layer = match i % 40 {
            0 => layer.file(&format!("opt/{i}.sh"), &eicar),
            _ => layer.file(&format!("opt/{i}.sh"), format!("#!/bin/sh\n{}", "echo hello world\n".repeat(3000))),
        };
    }
    let bytes = gzip(&layer.done());
    block_on(async {
        let pool = Pool::start(config()).await.unwrap();
        let mut seen = Vec::new();
        for _ in 0..6 {
            match pool.analyze_stored(file(&bytes), bytes.len() as u64, None).await {
                LayerOutcome::Analysis { bytes, .. } => seen.push(bytes),
                other => panic!("{other:?}"),
            }
        }
        let analysis = jinwu_scan::analysis::LayerAnalysis::from_bytes(&seen[0]).unwrap();
        assert_eq!(analysis.findings.len(), 10);
        assert!(seen.iter().all(|s| *s == seen[0]));
    });
}

#[test]
fn no_program_is_a_clear_error() {
    let error = block_on(Pool::start(PoolConfig::new("/nowhere/jinwu-scan"))).err().unwrap().to_string();
    assert!(error.contains("/nowhere/jinwu-scan") && error.contains("check that"), "{error}");
    let error = block_on(Pool::start(PoolConfig { arguments: vec!["--version".into()], ..config() })).err().unwrap().to_string();
    assert!(error.contains("ended before it was ready"), "{error}");
}

#[test]
fn engines_are_named() {
    let engines = block_on(async { Pool::start(config()).await.unwrap().engines() });
    for name in ["walker", "analyzers", "secrets", "malware", "advisories"] {
        assert!(engines.get(name).is_some_and(|v| !v.is_empty()), "{name} in {engines:?}");
    }
    assert!(!jinwu_scan::engine::layer_engines(&engines).contains_key("advisories"));
}
