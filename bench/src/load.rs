//! What clients do, four at a time.

use crate::servers::REPOSITORY;
use crate::wire::{Client, Endpoint};
use anyhow::Context as _;
use sha2::{Digest as _, Sha256};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

/// Clients at once.
pub(crate) const CLIENTS: usize = 4;

/// Blobs that differ from each other in their last eight bytes, with digests made beforehand.
#[derive(Clone)]
pub(crate) struct Blobs {
    prefix: Arc<Vec<u8>>,
    hasher: Sha256,
}

/// One of them.
pub(crate) struct Blob<'a> {
    pub(crate) digest: String,
    prefix: &'a [u8],
    suffix: [u8; 8],
}

/// How long clients go on.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    Elapsed(Duration),
    /// Pieces of work of each client.
    Count(u64),
}

/// Pieces of work done and the seconds they took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Done {
    pub(crate) count: u64,
    pub(crate) seconds: f64,
}

/// Never repeats within a run; begins at the clock, so that runs differ.
static NEXT: AtomicU64 = AtomicU64::new(0);

// === impl Blobs ===

impl Blobs {
    /// Of `size` bytes that do not compress.
    pub(crate) fn new(size: usize) -> Blobs {
        if NEXT.load(Ordering::Relaxed) == 0 {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |d| d.as_nanos() as u64);
            NEXT.store(now, Ordering::Relaxed);
        }
        let prefix = noise(size as u64, size.saturating_sub(8));
        let hasher = Sha256::new_with_prefix(&prefix);
        Blobs { prefix: Arc::new(prefix), hasher }
    }

    pub(crate) fn next(&self) -> Blob<'_> {
        let suffix = NEXT.fetch_add(1, Ordering::Relaxed).to_le_bytes();
        let digest = format!("sha256:{}", hex::encode(self.hasher.clone().chain_update(suffix).finalize()));
        Blob { digest, prefix: &self.prefix, suffix }
    }
}

impl Blob<'_> {
    pub(crate) fn parts(&self) -> [&[u8]; 2] {
        [self.prefix, &self.suffix]
    }
}

impl Done {
    pub(crate) fn rate(self) -> f64 {
        self.count as f64 / self.seconds
    }
}

/// `n` bytes that do not repeat and do not compress.
pub(crate) fn noise(seed: u64, n: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = Vec::with_capacity(n + 8);
    while out.len() < n {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    out.truncate(n);
    out
}

/// Lets `clients` connections do `work` until told otherwise. Connecting is not measured.
pub(crate) fn drive(
    endpoint: &Endpoint,
    clients: usize,
    until: Until,
    work: impl Fn(&mut Client) -> anyhow::Result<()> + Send + Sync,
) -> anyhow::Result<Done> {
    let barrier = Barrier::new(clients);
    let (barrier, work) = (&barrier, &work);
    let results: Vec<anyhow::Result<(u64, Instant, Instant)>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..clients)
            .map(|_| {
                scope.spawn(move || {
                    let connected = Client::connect(endpoint).and_then(|mut c| c.expect(200, "GET", "/v2/", "", &[]).map(|_| c));
                    barrier.wait();
                    let mut client = connected?;
                    let start = Instant::now();
                    let mut count = 0;
                    while match until {
                        Until::Elapsed(time) => start.elapsed() < time,
                        Until::Count(n) => count < n,
                    } {
                        work(&mut client)?;
                        count += 1;
                    }
                    Ok((count, start, Instant::now()))
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a client panicked")))).collect()
    });
    let results = results.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    let count = results.iter().map(|r| r.0).sum();
    let first = results.iter().map(|r| r.1).min().context("no clients")?;
    let last = results.iter().map(|r| r.2).max().context("no clients")?;
    Ok(Done { count, seconds: last.duration_since(first).as_secs_f64() })
}

/// POST, PATCH with everything, PUT: as docker and containerd push.
pub(crate) fn push_blob(client: &mut Client, digest: &str, parts: &[&[u8]]) -> anyhow::Result<()> {
    let started = client.expect(202, "POST", &format!("/v2/{REPOSITORY}/blobs/uploads/"), "", &[])?;
    let location = started.location.context("no Location after POST")?;
    let patched = client.expect(202, "PATCH", &location, "content-type: application/octet-stream\r\n", parts)?;
    let location = patched.location.context("no Location after PATCH")?;
    let mark = if location.contains('?') { '&' } else { '?' };
    client.expect(201, "PUT", &format!("{location}{mark}digest={digest}"), "", &[])?;
    Ok(())
}

/// A blob of exactly this length.
pub(crate) fn pull_blob(client: &mut Client, digest: &str, size: u64) -> anyhow::Result<()> {
    let head = client.expect(200, "GET", &format!("/v2/{REPOSITORY}/blobs/{digest}"), "", &[])?;
    anyhow::ensure!(head.length == size, "{} bytes instead of {size}", head.length);
    Ok(())
}

/// Media types of what is pushed here.
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// A manifest of one configuration and layers given as (media type, digest, size).
pub(crate) fn manifest(config: &[u8], layers: &[(&str, &str, u64)]) -> Vec<u8> {
    let layers: Vec<_> = layers.iter().map(|(t, d, s)| serde_json::json!({"mediaType": t, "digest": d, "size": s})).collect();
    serde_json::json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": digest(config), "size": config.len()},
        "layers": layers,
    })
    .to_string()
    .into_bytes()
}

pub(crate) fn put_manifest(client: &mut Client, tag: &str, manifest: &[u8]) -> anyhow::Result<()> {
    client.expect(201, "PUT", &format!("/v2/{REPOSITORY}/manifests/{tag}"), &format!("content-type: {MANIFEST}\r\n"), &[manifest])?;
    Ok(())
}

pub(crate) fn head_manifest(client: &mut Client, tag: &str) -> anyhow::Result<()> {
    client.expect(200, "HEAD", &format!("/v2/{REPOSITORY}/manifests/{tag}"), &format!("accept: {MANIFEST}\r\n"), &[])?;
    Ok(())
}

/// `sha256:…`.
pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_differ_and_their_digests_are_right() {
        let blobs = Blobs::new(1000);
        let (a, b) = (blobs.next(), blobs.next());
        assert_eq!(a.parts().concat().len(), 1000);
        assert_eq!(a.digest, digest(&a.parts().concat()));
        assert_ne!(a.digest, b.digest);
    }
}
