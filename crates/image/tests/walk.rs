//! The walk against tars made here: well-formed, damaged, and hostile.

#![allow(clippy::unwrap_used, reason = "a failed unwrap in a test is a failed test")]

use flate2::write::GzEncoder;
use jinwu_image::tar::{Entry, Kind};
use jinwu_image::walk::{Limits, Part, Visitor, WalkError, Walked, walk};
use proptest::prelude::*;
use sha2::Digest as _;
use std::io::{Cursor, Read, Write};

#[derive(Default)]
struct All {
    entries: Vec<Entry>,
    content: Vec<(String, u64, Vec<u8>)>,
}

impl Visitor for All {
    fn entry(&mut self, entry: &Entry, head: &[u8]) -> bool {
        assert_eq!(head.len() as u64, entry.size.min(4096));
        self.entries.push(entry.clone());
        !entry.path.ends_with(".skip")
    }
    fn content(&mut self, entry: &Entry, part: Part<'_>) {
        self.content.push((entry.path.clone(), part.offset, part.bytes.to_vec()));
    }
}

fn header(name: &[u8], size: u64, flag: u8, link: &[u8]) -> Vec<u8> {
    let mut block = vec![0_u8; 512];
    block[..name.len().min(100)].copy_from_slice(&name[..name.len().min(100)]);
    block[100..108].copy_from_slice(b"0000644\0");
    block[108..116].copy_from_slice(b"0000000\0");
    block[116..124].copy_from_slice(b"0000000\0");
    block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    block[136..148].copy_from_slice(b"00000000000\0");
    block[156] = flag;
    block[157..157 + link.len()].copy_from_slice(link);
    block[257..265].copy_from_slice(b"ustar\x0000");
    seal(&mut block);
    block
}

fn seal(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn file(name: &[u8], content: &[u8]) -> Vec<u8> {
    entry(name, content, b'0')
}

fn entry(name: &[u8], content: &[u8], flag: u8) -> Vec<u8> {
    let mut out = header(name, content.len() as u64, flag, b"");
    out.extend_from_slice(content);
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

fn tar(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut out = entries.concat();
    out.extend_from_slice(&[0; 1024]);
    out
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    sha2::Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

fn run(bytes: &[u8]) -> (Result<Walked, WalkError>, All) {
    run_with(bytes, &Limits::default())
}

fn run_with(bytes: &[u8], limits: &Limits) -> (Result<Walked, WalkError>, All) {
    let mut all = All::default();
    let result = walk(Cursor::new(bytes), true, limits, &mut all);
    (result, all)
}

#[test]
fn every_compression_gives_the_same_walk() {
    let big = vec![7_u8; 1_300_000];
    let plain = tar(&[file(b"./etc/a", b"hello"), file(b"/big", &big), file(b"x.skip", b"no"), entry(b"d/", b"", b'5')]);
    let half = plain.len() / 2;
    let members = [gzip(&plain[..half]), gzip(&plain[half..])].concat();
    let frames = [zstd::encode_all(&plain[..half], 1).unwrap(), zstd::encode_all(&plain[half..], 1).unwrap()].concat();
    let skippable = [&b"\x50\x2a\x4d\x18\x03\0\0\0abc"[..], &frames].concat();
    for stored in [plain.clone(), gzip(&plain), members, frames, skippable] {
        let (walked, all) = run(&stored);
        let walked = walked.unwrap();
        assert_eq!(walked.diff_id.hex(), sha256(&plain));
        assert_eq!(walked.compressed.unwrap().hex(), sha256(&stored));
        assert_eq!((walked.entries, walked.trailing, walked.stored), (4, 0, stored.len() as u64));
        let paths: Vec<_> = all.entries.iter().map(|e| e.path.as_str()).collect();
        assert_eq!(paths, ["etc/a", "big", "x.skip", "d"]);
        assert_eq!(all.content, [("etc/a".into(), 0, b"hello".to_vec()), ("big".into(), 0, big.clone())]);
    }
}

#[test]
fn long_files_come_in_overlapping_windows() {
    let content: Vec<u8> = (0..2_000_000_u32).map(|i| (i / 7) as u8).collect();
    let limits = Limits { window: 300_000, overlap: 1000, ..Limits::default() };
    let (walked, all) = run_with(&tar(&[file(b"f", &content), file(b"g", b"after")]), &limits);
    walked.unwrap();
    let (last, windows) = all.content.split_last().unwrap();
    assert_eq!(last.2, b"after");
    let mut covered = 0;
    for (_, offset, bytes) in windows {
        assert!(*offset <= covered.max(1) as u64 && bytes.len() <= 300_000);
        assert_eq!(&content[*offset as usize..*offset as usize + bytes.len()], bytes);
        assert!(*offset == 0 || covered - *offset as usize == 1000);
        covered = *offset as usize + bytes.len();
    }
    assert_eq!(covered, content.len());
}

#[test]
fn names_of_every_kind() {
    let long = [b"deep/".repeat(60), b"file".to_vec()].concat();
    let mut prefixed = header(b"name", 0, b'0', b"");
    prefixed[345..351].copy_from_slice(b"prefix");
    seal(&mut prefixed);
    let record = |key: &str, value: &str| {
        let body = format!(" {key}={value}\n");
        let length = (1..6).map(|d| body.len() + d).find(|n| n.to_string().len() + body.len() == *n).unwrap();
        format!("{length}{body}").into_bytes()
    };
    let mut sized = header(b"pax-sized", 0, b'0', b"");
    sized.extend_from_slice(&[b'z'; 512]);
    let bytes = tar(&[
        entry(b"././@LongLink", &[&long[..], b"\0"].concat(), b'L'),
        header(b"short", 0, b'0', b""),
        prefixed,
        entry(b"pax", &record("path", "中文/名"), b'x'),
        header(b"ignored", 0, b'0', b""),
        entry(b"pax", &record("path", "x"), b'x'),
        entry(b"pax", &record("size", "512"), b'x'),
        sized,
        entry(b"g", &record("path", "global"), b'g'),
        header(b"bin/l", 0, b'2', b"../usr/l"),
        header(b"hard", 0, b'1', b"/bin/../etc/x"),
        header(b"bad\xff", 0, b'0', b""),
        header(b"../../up", 0, b'0', b""),
    ]);
    let (walked, all) = run(&bytes);
    walked.unwrap();
    let seen: Vec<_> = all.entries.iter().map(|e| (e.path.as_str(), e.link.as_deref())).collect();
    let long = String::from_utf8(long).unwrap();
    assert_eq!(seen, [
        (long.as_str(), None),
        ("prefix/name", None),
        ("中文/名", None),
        ("pax-sized", None),
        ("bin/l", Some("../usr/l")),
        ("hard", Some("etc/x")),
        ("bad\\xff", None),
        ("up", None),
    ]);
    assert_eq!(all.entries[5].kind, Kind::HardLink);
    assert_eq!(all.content, [("pax-sized".into(), 0, vec![b'z'; 512])]);
}

#[test]
fn damage_is_told_with_its_place() {
    let good = tar(&[file(b"a", b"hello"), file(b"b", &[1; 5000])]);
    let zipped = gzip(&good);
    let mut wrong_sum = good.clone();
    wrong_sum[1024 + 3] ^= 1;
    let mut flipped = zipped.clone();
    let last = flipped.len() - 6;
    flipped[last] ^= 0xff;
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("ends too early", zipped[..zipped.len() - 9].to_vec()),
        ("damaged", flipped),
        ("damaged", [&zipped[..], b"garbage that is no member of a gzip file"].concat()),
        ("at inflated byte 1024", wrong_sum),
        ("the tar ends within content", good[..2000].to_vec()),
        ("the tar ends within a header", good[..1200].to_vec()),
        ("sparse", tar(&[header(b"s", 0, b'S', b"")])),
        ("an entry follows the end mark", [file(b"a", b""), vec![0; 512], file(b"b", b"")].concat()),
        ("an extension header", tar(&[entry(b"x", b"name\0", b'L')])),
        ("size is not a number", {
            let mut h = header(b"a", 0, b'0', b"");
            h[124..136].fill(0xff);
            seal(&mut h);
            tar(&[h])
        }),
    ];
    for (what, bytes) in cases {
        match run(&bytes).0 {
            Err(WalkError::Unreadable(detail)) => assert!(detail.contains(what), "{what}: {detail}"),
            other => panic!("{what}: {other:?}"),
        }
    }
    for bytes in [&b""[..], b"{\"a\":1}", &[b'x'; 4096], &gzip(b"no tar at all")] {
        assert!(matches!(run(bytes).0, Err(WalkError::NotALayer(_))));
    }
    assert!(matches!(run(b"\xfd7zXZ\0rest").0, Err(WalkError::UnknownFormat(_))));
}

#[test]
fn what_follows_the_end_is_noticed_and_hashed() {
    let padded = [tar(&[file(b"a", b"x")]), vec![0; 9000]].concat();
    let (walked, _) = run(&padded);
    assert_eq!(walked.unwrap().trailing, 0);
    let hidden = [tar(&[file(b"a", b"x")]), file(b"hidden", b"key")].concat();
    let (walked, all) = run(&hidden);
    let walked = walked.unwrap();
    assert!(walked.trailing > 0 && all.entries.len() == 1);
    assert_eq!(walked.diff_id.hex(), sha256(&hidden));
    // Neither is an archive that just stops an error, nor an empty one.
    assert_eq!(run(&file(b"a", b"x")).0.unwrap().entries, 1);
    assert_eq!(run(&gzip(b"")).0.unwrap().entries, 0);
}

#[test]
fn bombs_and_bounds() {
    let zeros = || std::io::repeat(0).take(600 << 20);
    let head = header(b"bomb", 600 << 20, b'0', b"");
    let bomb = gzip_stream(Cursor::new(head).chain(zeros()));
    let started = std::time::Instant::now();
    match run(&bomb).0 {
        Err(WalkError::TooLarge(detail)) => assert!(detail.contains("bomb"), "{detail}"),
        other => panic!("{other:?}"),
    }
    assert!(started.elapsed().as_secs() < 10);
    let many = tar(&(0..50).map(|i| file(format!("f{i}").as_bytes(), b"")).collect::<Vec<_>>());
    let limits = Limits { entries: 49, ..Limits::default() };
    assert!(matches!(run_with(&many, &limits).0, Err(WalkError::TooLarge(_))));
    let limits = Limits { inflated: 1000, ..Limits::default() };
    assert!(matches!(run_with(&many, &limits).0, Err(WalkError::TooLarge(_))));
    let lying = header(b"huge", 0o77777777777, b'0', b"");
    assert!(matches!(run(&lying).0, Err(WalkError::Unreadable(_) | WalkError::TooLarge(_))));
    let name = header(b"L", 2 << 20, b'L', b"");
    assert!(matches!(run(&name).0, Err(WalkError::Unreadable(_))));
}

fn gzip_stream(mut input: impl Read) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::copy(&mut input, &mut encoder).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_source_that_gives_up_is_not_damage() {
    struct GivesUp(usize);
    impl Read for GivesUp {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            if self.0 == 0 {
                return Err(std::io::Error::from(std::io::ErrorKind::ConnectionAborted));
            }
            self.0 -= 1;
            buffer.fill(0);
            buffer[0] = 1;
            Ok(1)
        }
    }
    for n in [0, 3, 100] {
        let result = walk(GivesUp(n), false, &Limits::default(), &mut All::default());
        assert_eq!(result.unwrap_err(), WalkError::Aborted);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000), magic in 0..4_usize) {
        let magics: [&[u8]; 4] = [b"", b"\x1f\x8b\x08\0\0\0\0\0\0\x03", b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18"];
        let _ = run(&[magics[magic], &bytes].concat());
    }

    /// Damage anywhere in a real archive: an answer, and when it is "fine" the digest is of these bytes.
    #[test]
    fn damaged_archives(at in 0..4096_usize, value in any::<u8>(), cut in 0..4608_usize, repair in any::<bool>()) {
        let mut bytes = tar(&[file(b"a", b"hello"), entry(b"x", b"12 path=abc\n", b'x'), file(b"b", &[3; 700]), header(b"l", 0, b'2', b"a")]);
        let at = at % bytes.len();
        bytes[at] = value;
        if repair {
            let start = at / 512 * 512;
            seal(&mut bytes[start..start + 512]);
        }
        bytes.truncate(cut.max(1));
        if let Ok(walked) = run(&bytes).0 {
            prop_assert_eq!(walked.diff_id.hex().to_owned(), sha256(&bytes));
            prop_assert_eq!(walked.inflated, bytes.len() as u64);
        }
        let _ = run(&gzip(&bytes)).0;
    }

    #[test]
    fn what_is_written_is_seen(files in proptest::collection::vec(("[a-z]{1,20}", proptest::collection::vec(any::<u8>(), 0..3000)), 0..20)) {
        let bytes = tar(&files.iter().map(|(n, c)| file(n.as_bytes(), c)).collect::<Vec<_>>());
        let (walked, all) = run(&zstd::encode_all(&bytes[..], 1).unwrap());
        prop_assert_eq!(walked.unwrap().entries, files.len() as u64);
        let with_content: Vec<_> = files.into_iter().filter(|(_, c)| !c.is_empty()).map(|(n, c)| (n, 0, c)).collect();
        prop_assert_eq!(all.content, with_content);
    }
}
