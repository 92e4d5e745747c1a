//! Layer analyses: made while layers arrive, kept by digest and engines, asked for by the gate.
//!
//! An analysis depends on nothing but the layer's bytes and the engines that looked at them, so it
//! is kept below `<data>/scan/<engines>/` and serves every image that has the layer. It is derived:
//! the folder may be deleted, and a file that does not match its own checksum is made anew.

use jinwu_model::report::{Engines, ImageReport, Unscannable, UnscannableReason};
use jinwu_model::{Decision, Digest, RepositoryName};
use jinwu_registry::seam::{Feed, Inspector};
use jinwu_scan::client::{ComposeRequest, LayerOutcome, Pending, Pool, Progress};
use jinwu_scan::engine::layer_engines;
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Analyses in the making and at rest. Clones share everything.
#[derive(Clone)]
pub struct Analyses(Arc<Inner>);

struct Inner {
    pool: Pool,
    /// `<data>/scan`.
    root: PathBuf,
    /// Longest wait for one image's layers.
    patience: Duration,
    running: Mutex<HashMap<Digest, watch::Receiver<Option<LayerOutcome>>>>,
}

/// One upload being looked at.
struct Watching {
    analyses: Analyses,
    progress: Option<Progress>,
    pending: Mutex<Option<Pending>>,
}

// === impl Analyses ===

impl Analyses {
    pub fn new(pool: Pool, root: PathBuf, patience: Duration) -> Self {
        Analyses(Arc::new(Inner { pool, root, patience, running: Mutex::new(HashMap::new()) }))
    }

    pub fn engines(&self) -> Engines {
        self.0.pool.engines()
    }

    /// Processes that look at content now.
    pub fn workers(&self) -> Vec<u32> {
        self.0.pool.pids()
    }

    /// What the present engines make of a stored layer: from memory, from disk, or by looking now.
    /// Never longer than the configured patience.
    pub async fn of(&self, digest: &Digest, path: Option<&Path>, size: u64) -> LayerOutcome {
        let until = Instant::now() + self.0.patience;
        match tokio::time::timeout(self.0.patience, self.find_or_make(digest, path, size, until)).await {
            Ok(outcome) => outcome,
            Err(_) => LayerOutcome::Unscannable {
                reason: UnscannableReason::TimedOut,
                detail: format!("no analysis within {} s", self.0.patience.as_secs()),
            },
        }
    }

    async fn find_or_make(&self, digest: &Digest, path: Option<&Path>, size: u64, until: Instant) -> LayerOutcome {
        loop {
            let running = self.0.running.lock().get(digest).cloned();
            if let Some(mut running) = running {
                if let Ok(found) = running.wait_for(Option::is_some).await
                    && let Some(outcome) = found.clone()
                    && !matches!(outcome, LayerOutcome::Busy { .. })
                {
                    return outcome;
                }
            } else if let Some(kept) = self.kept(digest).await {
                return kept;
            }
            let Some(path) = path else {
                return LayerOutcome::Unscannable { reason: UnscannableReason::Unreadable, detail: "the layer is not stored here".into() };
            };
            let file = match std::fs::File::open(path) {
                Ok(file) => file,
                Err(e) => return LayerOutcome::Unscannable { reason: UnscannableReason::Unreadable, detail: e.to_string() },
            };
            self.keep(digest.clone(), self.0.pool.analyze_stored(file, size, Some(digest.clone())));
            let receiver = self.0.running.lock().get(digest).cloned();
            if let Some(mut receiver) = receiver
                && let Ok(found) = receiver.wait_for(Option::is_some).await
                && let Some(outcome) = found.clone()
            {
                match outcome {
                    LayerOutcome::Busy { .. } if Instant::now() < until => {}
                    other => return other,
                }
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Waits for an analysis in the background and stores it.
    fn keep(&self, digest: Digest, pending: Pending) {
        let (send, receive) = watch::channel(None);
        self.0.running.lock().insert(digest.clone(), receive);
        let this = self.clone();
        tokio::spawn(async move {
            let outcome = pending.await;
            // What failed is not kept: the next push of the layer is looked at anew.
            let lasting = matches!(outcome, LayerOutcome::Analysis { .. } | LayerOutcome::NotALayer);
            if lasting {
                let (path, text) = (this.path(&digest), encode(&outcome));
                let stored = tokio::task::spawn_blocking(move || store(&path, &text)).await;
                if let Ok(Err(error)) = stored {
                    tracing::warn!(%digest, %error, "the analysis cannot be kept and will be made again");
                }
            }
            let _ = send.send(Some(outcome));
            // Whoever asks within the next minute finds even a failure; then the disk answers.
            tokio::time::sleep(Duration::from_secs(if lasting { 1 } else { 60 })).await;
            let mut running = this.0.running.lock();
            if running.get(&digest).is_some_and(|r| r.has_changed().is_err() || r.borrow().is_some()) {
                running.remove(&digest);
            }
        });
    }

    /// Forgets a failure, so that the next push is looked at anew.
    pub fn forget_failures(&self, digests: impl Iterator<Item = Digest>) {
        let mut running = self.0.running.lock();
        for digest in digests {
            let failed = running.get(&digest).is_some_and(|r| matches!(&*r.borrow(), Some(LayerOutcome::Unscannable { .. } | LayerOutcome::Busy { .. })));
            if failed {
                running.remove(&digest);
            }
        }
    }

    pub async fn compose(&self, request: ComposeRequest) -> Result<ImageReport, Unscannable> {
        match tokio::time::timeout(self.0.patience, self.0.pool.compose(request)).await {
            Ok(result) => result,
            Err(_) => Err(Unscannable { layer: None, reason: UnscannableReason::TimedOut, detail: "the report was not composed in time".into() }),
        }
    }

    async fn kept(&self, digest: &Digest) -> Option<LayerOutcome> {
        let path = self.path(digest);
        tokio::task::spawn_blocking(move || decode(&std::fs::read(path).ok()?)).await.ok().flatten()
    }

    /// Analyses of other engines are of no use any more and stand in another folder.
    fn path(&self, digest: &Digest) -> PathBuf {
        let text = serde_json::to_string(&layer_engines(&self.engines())).unwrap_or_default();
        let key = hex::encode(&jinwu_trust::sha256(text.as_bytes())[..8]);
        self.0.root.join(key).join(&digest.hex()[..2]).join(format!("{}-{}", digest.algorithm(), digest.hex()))
    }

    fn report_path(&self, repository: &RepositoryName, digest: &Digest) -> PathBuf {
        let key = hex::encode(jinwu_trust::sha256(format!("{repository}@{digest}").as_bytes()));
        self.0.root.join("reports").join(&key[..2]).join(key)
    }

    /// Keeps the report and decision of a pushed image for whoever asks why.
    pub fn save_report(&self, repository: &RepositoryName, digest: &Digest, report: &ImageReport, decision: &Decision) -> std::io::Result<()> {
        let body = serde_json::json!({"repository": repository, "report": report, "decision": decision, "time": crate::journal::now()});
        store(&self.report_path(repository, digest), &serde_json::to_vec(&body).unwrap_or_default())
    }

    /// The last report and decision of an image in a repository.
    pub fn saved_report(&self, repository: &RepositoryName, digest: &Digest) -> std::io::Result<Option<Value>> {
        match std::fs::read(self.report_path(repository, digest)) {
            Ok(bytes) => Ok(unpack(&bytes).and_then(|b| serde_json::from_slice(&b).ok())),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }
}

impl Inspector for Analyses {
    fn started(&self, path: PathBuf, have: u64) -> Box<dyn Feed> {
        let (progress, pending) = match std::fs::File::open(&path) {
            Ok(file) => {
                let (progress, pending) = self.0.pool.analyze(file, None);
                progress.available(have);
                (Some(progress), Some(pending))
            }
            // The gate reads the stored layer then.
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "an upload cannot be watched");
                (None, None)
            }
        };
        Box::new(Watching { analyses: self.clone(), progress, pending: Mutex::new(pending) })
    }
}

impl Feed for Watching {
    fn available(&self, upto: u64) {
        if let Some(progress) = &self.progress {
            progress.available(upto);
        }
    }

    fn finished(&self, digest: &Digest, size: u64) {
        if let (Some(progress), Some(pending)) = (&self.progress, self.pending.lock().take()) {
            progress.finished(size);
            self.analyses.keep(digest.clone(), pending);
        }
    }
}

/// First byte: 1 analysis (diff_id, newline, bytes), 0 not a layer.
fn encode(outcome: &LayerOutcome) -> Vec<u8> {
    match outcome {
        LayerOutcome::Analysis { bytes, diff_id } => {
            let mut out = vec![1];
            out.extend_from_slice(diff_id.to_string().as_bytes());
            out.push(b'\n');
            out.extend_from_slice(bytes);
            out
        }
        _ => vec![0],
    }
}

fn decode(stored: &[u8]) -> Option<LayerOutcome> {
    let plain = unpack(stored)?;
    let (kind, rest) = plain.split_first()?;
    if *kind == 0 {
        return Some(LayerOutcome::NotALayer);
    }
    let end = rest.iter().position(|b| *b == b'\n')?;
    let diff_id = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
    Some(LayerOutcome::Analysis { bytes: rest[end + 1..].to_vec().into(), diff_id })
}

/// SHA-256 of what follows, then zstd. Written beside and renamed, so that a reader meets a whole file.
fn store(path: &Path, plain: &[u8]) -> std::io::Result<()> {
    let packed = zstd::encode_all(plain, 1)?;
    let mut out = jinwu_trust::sha256(&packed).to_vec();
    out.extend_from_slice(&packed);
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let beside = path.with_extension(format!("{}.new", uuid::Uuid::now_v7()));
    std::fs::write(&beside, out)?;
    std::fs::rename(beside, path)
}

/// Largest analysis or report read back.
const MAX_STORED: usize = 256 << 20;

fn unpack(stored: &[u8]) -> Option<Vec<u8>> {
    use std::io::Read;
    let (hash, packed) = stored.split_at_checked(32)?;
    if jinwu_trust::sha256(packed) != hash {
        return None;
    }
    let mut out = Vec::new();
    zstd::Decoder::new(packed).ok()?.take(MAX_STORED as u64).read_to_end(&mut out).ok()?;
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_and_damage_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a").join("b");
        let diff_id: Digest = format!("sha256:{}", "ab".repeat(32)).parse().unwrap();
        let outcome = LayerOutcome::Analysis { bytes: vec![1, b'\n', 3].into(), diff_id };
        store(&path, &encode(&outcome)).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        assert_eq!(decode(&bytes), Some(outcome));
        for i in 0..bytes.len() {
            bytes[i] ^= 1;
            assert_eq!(decode(&bytes), None, "byte {i}");
            bytes[i] ^= 1;
        }
        store(&path, &encode(&LayerOutcome::NotALayer)).unwrap();
        assert_eq!(decode(&std::fs::read(&path).unwrap()), Some(LayerOutcome::NotALayer));
    }
}
