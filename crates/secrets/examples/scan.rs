//! Scans folders and prints hits and throughput: `cargo run -p jinwu-secrets --example scan -- /etc /usr/share/doc`.

use std::io::Read as _;
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let scanner = jinwu_secrets::Scanner::new()?;
    let mut folders: Vec<std::path::PathBuf> = std::env::args_os().skip(1).map(Into::into).collect();
    let (mut files, mut bytes, mut hits, mut spent) = (0u64, 0u64, 0u64, Duration::ZERO);
    while let Some(at) = folders.pop() {
        let Ok(meta) = at.symlink_metadata() else { continue };
        if meta.is_dir() {
            folders.extend(std::fs::read_dir(&at).into_iter().flatten().flatten().map(|e| e.path()));
        } else if meta.is_file() {
            let path = at.to_string_lossy();
            let path = path.trim_start_matches('/');
            if !scanner.wants(path, meta.len()) {
                continue;
            }
            let mut content = Vec::new();
            if std::fs::File::open(&at).and_then(|mut f| f.read_to_end(&mut content)).is_err() {
                continue;
            }
            let start = Instant::now();
            let found = scanner.scan_file(path, &content);
            let took = start.elapsed();
            if took > Duration::from_millis(200) {
                println!("slow {path}: {} bytes in {took:?}", content.len());
            }
            spent += took;
            files += 1;
            bytes += content.len() as u64;
            for h in found {
                hits += 1;
                println!("{path}:{}: {} {} {}", h.line.unwrap_or(0), h.rule, h.variable.unwrap_or_default(), h.masked);
            }
        }
    }
    println!("{files} files, {bytes} bytes, {hits} hits, {spent:?}, {:.0} MB/s", bytes as f64 / 1e6 / spent.as_secs_f64());
    Ok(())
}
