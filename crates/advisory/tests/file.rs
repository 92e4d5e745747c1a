//! The database as a file: determinism, signature, replacement, time to open.
// A failed unwrap is a failed test, in helpers too.
#![allow(clippy::unwrap_used)]

use jinwu_advisory::{Database, DatabaseError, Sources, compile, embedded, sign, write};
use jinwu_trust::SigningKey;
use std::path::PathBuf;
use std::time::Instant;

fn content() -> Sources {
    Sources::load(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../content/advisories")).unwrap()
}

#[test]
fn compiling_is_deterministic_and_what_was_embedded() {
    let sources = content();
    let (a, b) = (compile(&sources).unwrap(), compile(&sources).unwrap());
    assert_eq!(a, b);
    assert_eq!(a, embedded());
    let d = Database::embedded().unwrap();
    println!("{d:?}: {} bytes, generation {}", a.len(), d.generation());
    println!("{:#?}\nskipped: {:?}", d.releases().unwrap(), d.skipped().unwrap());
    assert_eq!(d.releases().unwrap().len(), 13);
    assert!(d.generation().starts_with("2026-11-19-"));
    assert!(d.advisories() > 40_000);
    assert!(a.len() < 15 << 20);
}

#[test]
fn another_feed_gives_another_generation() {
    let mut sources = content();
    sources.files.remove("cisa-kev.tar.zst");
    let other = Database::from_bytes(compile(&sources).unwrap()).unwrap();
    assert_ne!(other.generation(), Database::embedded().unwrap().generation());
}

#[test]
fn a_signed_file_opens_with_its_key_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("advisories.db");
    let key = SigningKey::generate();
    let signed = sign(embedded(), &key).unwrap();
    write(&path, &signed).unwrap();
    let d = Database::open(&path, &key.verifying_key()).unwrap();
    assert_eq!(d.generation(), Database::embedded().unwrap().generation());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");

    let message = |bytes: &[u8], key: &SigningKey| {
        write(&path, bytes).unwrap();
        let error = Database::open(&path, &key.verifying_key()).unwrap_err().to_string();
        assert!(error.contains("advisories.db"), "{error}");
        error
    };
    assert!(message(&signed, &SigningKey::generate()).contains("another key"));
    assert!(message(embedded(), &key).contains("not signed"));
    assert!(message(&signed[..signed.len() - 1], &key).contains("cut short"));
    assert!(message(b"", &key).contains("cut short"));
    assert!(message(b"hello, this is no database", &key).contains("not an advisory database"));
    // A flipped bit in the header, at some places of the content, and in the trailer.
    let content = embedded().len();
    for at in (0..160).chain((160..content).step_by(content / 97)).chain(content..signed.len()) {
        let mut bad = signed.clone();
        bad[at] ^= 0x10;
        message(&bad, &key);
    }
    // Content and hash changed together: only the signature tells.
    let mut bad = embedded().to_vec();
    bad[200] ^= 1;
    let hash = jinwu_advisory_compiler::format::hash(&bad);
    bad[24..56].copy_from_slice(&hash);
    bad.extend_from_slice(&signed[content..]);
    assert!(message(&bad, &key).contains("signature does not match"));
    let gone = Database::open(&folder.path().join("none.db"), &key.verifying_key()).unwrap_err();
    assert!(matches!(gone, DatabaseError::Io { .. }));
    // An open database outlives the replacement of its file.
    assert_eq!(d.releases().unwrap().len(), Database::embedded().unwrap().releases().unwrap().len());
}

#[test]
fn opening_is_quick() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("advisories.db");
    let key = SigningKey::generate();
    write(&path, &sign(embedded(), &key).unwrap()).unwrap();
    let mut times: Vec<_> = (0..9)
        .map(|_| {
            let start = Instant::now();
            let d = Database::open(&path, &key.verifying_key()).unwrap();
            assert!(d.advisories() > 0);
            start.elapsed()
        })
        .collect();
    times.sort();
    println!("open and verify {} bytes: median {:?}, worst {:?}", embedded().len(), times[4], times[8]);
    // The budget is 5 ms; the bound here leaves room for a busy machine.
    assert!(times[0].as_millis() < 5, "{times:?}");
}
